#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""Tests that every store and every image cache manager has to pass.

For the tests of another project too: they need this package and nova, and run
with :mod:`unittest`, testtools or whatever is made from these. A *stage*
(:mod:`.stage`) says how to make the store and how to put an image into it::

    class MyStage(stage.StoreStage):

        def make_store(self):
            return mystore.Store(...)

        def put_image(self, image_id, size=stage.GIB, age=stage.SETTLED):
            ...

    class TestStore(MyStage, stores.StoreConformance, unittest.TestCase):
        pass

    globals().update(
        managers.suites(__name__, MyStage, unittest.TestCase))

The last statement makes a test case for each installed manager: ``TestMyAge``,
``TestMyLru`` and so on. For a manager of your own on a directory, see
:func:`.managers.suites`.
"""

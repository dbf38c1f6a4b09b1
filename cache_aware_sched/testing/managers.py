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

"""What every image cache manager does, on whatever store."""

from typing import Any

from cache_aware_sched.conf import imagecache as conf
from cache_aware_sched.testing import limits
from cache_aware_sched.testing import needed
from cache_aware_sched.testing import told


class ManagerConformance(needed.NeededSuite, limits.LimitSuite,
                         limits.FetchSuite, told.ToldSuite,
                         told.TroubleSuite):
    """What a manager does on a store; the test case says which of both."""


#: What sets the managers of the package apart, for the tests.
_TRAITS: dict[str, dict[str, Any]] = {
    'age': {'expires': True},
    'none': {'expires': True, 'keeps_unused': False},
    'protected': {'evicts': False},
}


def suites(module: str, stage: type, case: type,
           names: tuple[str, ...] | None = None, **traits: Any,
           ) -> dict[str, type]:
    """Return a test case for each manager, by the name of the class.

    To be put among the names of a test module, where it is found::

        globals().update(
            managers.suites(__name__, MyStage, unittest.TestCase))

    For a manager of one's own, on a directory::

        globals().update(managers.suites(
            __name__, directories.DirectoryStage, unittest.TestCase,
            ('mine',), keeps_unused=False))

    :param module: in which they are
    :param stage: a :class:`.stage.StoreStage`
    :param case: the test case that it is mixed in
    :param names: the entry points of the managers; all that are installed if
        it is left out
    :param traits: ``evicts``, ``keeps_unused`` and ``expires`` of them: see
        :class:`.needed.Traits`
    """
    made = {}
    for name in names or conf.installed():
        class_name = (f'Test{stage.__name__.removesuffix("Stage")}'
                      f'{name.title().replace("_", "").replace("-", "")}')
        made[class_name] = type(
            class_name, (stage, ManagerConformance, case), {
                '__module__': module, 'manager': name,
                **_TRAITS.get(name, {}), **traits})
    return made

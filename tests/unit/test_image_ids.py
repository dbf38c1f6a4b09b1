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

from cache_aware_sched import image_ids
from tests.unit import base
from tests.unit import factories


class TestCanonical(base.TestCase):

    def test_spelling_of_nova_stays(self):
        self.assertEqual(
            factories.IMAGE, image_ids.canonical(factories.IMAGE))

    def test_upper_case_is_another_spelling(self):
        mixed = factories.IMAGE[:4].upper() + factories.IMAGE[4:]

        for typed in (factories.IMAGE.upper(), mixed):
            self.assertEqual(factories.IMAGE, image_ids.canonical(typed))

    def test_images_stay_apart(self):
        self.assertNotEqual(image_ids.canonical(factories.IMAGE),
                            image_ids.canonical(factories.OTHER_IMAGE))

    def test_no_image_stays_none(self):
        """A server that boots from a volume has an empty id."""
        self.assertEqual('', image_ids.canonical(''))

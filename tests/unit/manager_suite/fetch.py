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

"""Room is made before a fetch."""

import os
from unittest import mock

import fixtures

from cache_aware_sched.imagecache import room
from tests.unit import managers
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import image
from tests.unit.managers import sha1

MIB = 2 ** 20


class FetchSuite:
    """Room is made before an image is fetched."""

    def test_boot(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, 3)
        self.glance.add(4, GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual(self.wanted(names, 1), left)

    def test_pre_cache(self):
        self.set(image_cache_max_images=3)
        names = self.put_images(1, 2, 3)
        self.glance.add(4, GIB)

        self.assert_fetched_ahead(names, 1)

    def test_room_that_is_there(self):
        self.set(image_cache_max_size_gb=4, image_cache_max_images=4)
        names = self.put_images(1, 2, 3)
        self.glance.add(4, GIB)

        left = self.fetch(self.start(), 4, ahead=True)

        self.assertEqual(set(names), left)

    def test_no_limit_before_a_fetch(self):
        names = self.put_images(1, 2, 3)
        self.glance.add(4, 1000 * GIB)

        left = self.fetch(self.start(), 4, ahead=True)

        self.assertEqual(set(names), left)

    def test_disk_that_the_image_would_fill(self):
        self.limit_disk(10)
        self.glance.add(6, 3 * GIB)
        for limits, gone in (
                ({'image_cache_high_watermark_percent': 60}, 2),
                ({'image_cache_high_watermark_percent': 60,
                  'image_cache_low_watermark_percent': 40}, 4),
                ({'image_cache_min_free_gb': 5}, 3)):
            names = self.put_images(1, 2, 3, 4, 5)
            self.set(**limits)

            left = self.fetch(self.start(), 6)

            self.assertEqual(self.wanted(names, gone), left)
            self.set(**dict.fromkeys(limits, 0))

    def test_pre_cache_below_the_high_watermark_only(self):
        """The low one is where emptying ends, and refuses nothing."""
        self.set(image_cache_high_watermark_percent=60,
                 image_cache_low_watermark_percent=20)
        self.limit_disk(10 / 1024)
        self.set(protected_images=[image(1)])
        names = self.put_images(1, 2, size=MIB)
        self.glance.add(4, 5 * MIB)
        for name in names:
            path = os.path.join(self.cache, name)
            with open(path, 'wb') as file:
                file.write(b'x' * MIB)

        if not self.evicts:
            self.assertRaises(
                room.NoRoom, self.fetch, self.start(), 4, ahead=True)
            return
        left = self.fetch(self.start(), 4, ahead=True)

        self.assertEqual({names[0]}, left)

    def test_both_copies_of_what_is_made_raw(self):
        self.set(image_cache_max_size_gb=6)
        names = self.put_images(1, 2, 3, 4)
        self.glance.add(5, GIB, virtual_size=3 * GIB)

        left = self.fetch(self.start(), 5)

        # 1 GiB and 3 GiB: 2 GiB are left for others.
        self.assertEqual(self.wanted(names, 2), left)

    def test_one_copy_of_what_is_kept_as_it_is(self):
        self.set_nova(force_raw_images=False)
        self.set(image_cache_max_size_gb=6)
        names = self.put_images(1, 2, 3, 4)
        self.glance.add(5, 3 * GIB, virtual_size=100 * GIB)

        left = self.fetch(self.start(), 5)

        self.assertEqual(self.wanted(names, 1), left)

    def test_copy_that_exceeds_the_limit_for_a_moment(self):
        self.set(image_cache_max_size_gb=6)
        names = self.put_images(1, 2, 3)
        self.glance.add(5, 2 * GIB, virtual_size=5 * GIB)

        left = self.fetch(self.start(), 5)

        self.assertEqual(self.wanted(names, 2), left)

    def test_too_large_for_a_boot(self):
        self.set(image_cache_max_size_gb=3, image_cache_max_images=1)
        names = self.put_images(1, 2, 3)
        self.glance.add(4, 4 * GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual(set(names), left)
        [line] = self.logged()
        for what in (HOST, image(4), str(4 * GIB),
                     'image_cache_max_size_gb is 3'):
            self.assertIn(what, line)

    def test_too_large_for_a_pre_cache(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, 3)
        self.glance.add(4, 4 * GIB)

        error = self.assertRaises(
            room.NoRoom, self.fetch, self.start(), 4, ahead=True)

        for what in (HOST, image(4), str(4 * GIB),
                     'image_cache_max_size_gb is 3'):
            self.assertIn(what, str(error))
        self.assert_left(*names)

    def test_pre_cache_that_cannot_fit(self):
        self.set(image_cache_max_size_gb=3)
        self.boot(1)
        self.set(protected_images=[image(2)])
        names = self.put_images(1, 2, 3)
        self.glance.add(4, 2 * GIB)

        error = self.assertRaises(
            room.NoRoom, self.fetch, self.start(), 4, ahead=True)

        self.assertIn('in use or protected', str(error))
        self.assertIn('image_cache_max_size_gb', str(error))
        self.assert_left(*names)

    def test_boot_that_cannot_fit(self):
        self.set(image_cache_max_size_gb=3)
        self.boot(1)
        self.set(protected_images=[image(2)])
        names = self.put_images(1, 2, 3)
        self.glance.add(4, 2 * GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual(
            set(names[:2] if self.evicts else names), left)
        self.assertIn('image_cache_max_size_gb', self.logged()[-1])

    def test_concurrent_fetches(self):
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3)
        for number in (4, 5):
            self.glance.add(number, GIB)
        manager = self.start()

        with manager.fetching(self.context, image(4)):
            self.assert_left(*names)
            left = self.fetch(manager, 5)

        self.assertEqual(self.wanted(names, 1), left)

    def test_fetches_one_after_the_other(self):
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3)
        for number in (4, 5):
            self.glance.add(number, GIB)
        manager = self.start()

        self.fetch(manager, 4)
        left = self.fetch(manager, 5)

        self.assertEqual(set(names), left)

    def test_what_is_on_the_disk_already_counts_once(self):
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3)
        self.glance.add(4, GIB)
        manager = self.start()

        with manager.fetching(self.context, image(4)):
            part = self.put(f'{sha1(4)}.part')
            self.run_pass(manager)

            self.assert_left(part, *(names if self.keeps_unused else ()))

    def test_copies_that_are_there_are_of_the_image(self):
        self.set(image_cache_max_images=3)
        names = [*self.put_images(1, 2), self.put(f'{sha1(4)}_20')]
        self.glance.add(4, GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual(set(names), left)

    def test_what_is_on_the_disk_already_is_not_to_come(self):
        self.set(image_cache_high_watermark_percent=60)
        self.limit_disk(10 / 1024)
        names = self.put_images(1, 2, size=MIB)
        self.glance.add(4, 4 * MIB)
        manager = self.start()

        with manager.fetching(self.context, image(4)):
            part = self.put(f'{sha1(4)}.part', 0)
            self.write(part, 3 * MIB)
            self.run_pass(manager)

            self.assert_left(part, *(names if self.keeps_unused else ()))

    def test_image_that_glance_does_not_know(self):
        self.set(image_cache_max_size_gb=1)
        names = self.put_images(1, 2)

        left = self.fetch(self.start(), 4)

        self.assertEqual(set(names), left)
        self.assertIn(image(4), self.warnings()[0])

    def test_instances_that_cannot_be_told(self):
        self.set(image_cache_max_size_gb=1)
        names = self.put_images(1, 2)
        self.glance.add(4, GIB)
        manager = self.start()

        with mock.patch.object(self.database, 'disks_of', autospec=True,
                               side_effect=RuntimeError('no database')):
            self.useFixture(fixtures.MockPatchObject(
                managers.objects.BlockDeviceMappingList,
                'bdms_by_instance_uuid', self.database.disks_of))
            left = self.fetch(manager, 4)

        self.assertEqual(set(names), left)
        self.assertIn(image(4), self.errors()[0])

    def test_fetch_that_fails(self):
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3)
        for number in (4, 5):
            self.glance.add(number, GIB)
        manager = self.start()

        def fail():
            with manager.fetching(self.context, image(4)):
                raise OSError('no more')

        self.assertRaises(OSError, fail)
        left = self.fetch(manager, 5)

        self.assertEqual(set(names), left)

    def wanted(self, names, gone):
        """Return what a fetch leaves."""
        return set(names[gone:] if self.evicts else names)

    def assert_fetched_ahead(self, names, gone):
        manager = self.start()
        if not self.evicts:
            self.assertRaises(
                room.NoRoom, self.fetch, manager, 4, ahead=True)
            self.assert_left(*names)
            return
        self.assertEqual(self.wanted(names, gone),
                         self.fetch(manager, 4, ahead=True))

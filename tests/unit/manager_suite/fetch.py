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

import contextlib
import os
from unittest import mock

import fixtures

from cache_aware_sched.imagecache import evictable
from cache_aware_sched.imagecache import fetches
from tests.unit import managers
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import image
from tests.unit.managers import sha1

MIB = 2 ** 20


class FetchSuite:
    """Room is made before an image is fetched."""

    def test_pre_cache(self):
        self.set(image_cache_max_images=3)
        names = self.put_images(1, 2, 3)
        self.glance.add(4, GIB)

        self.assert_fetched_ahead(names, 1)

    def test_no_limit_before_a_fetch(self):
        self.limit_disk(4000)
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
                fetches.NoRoom, self.fetch, self.start(), 4, ahead=True)
            return
        left = self.fetch(self.start(), 4, ahead=True)

        self.assertEqual({names[0]}, left)

    def test_both_copies_of_what_is_made_raw(self):
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3, 4)
        self.glance.add(5, GIB, 'qcow2')

        left = self.fetch(self.start(), 5)

        self.assertEqual(self.wanted(names, 2), left)

    def test_one_copy_of_what_is_kept_as_it_is(self):
        self.set_nova(force_raw_images=False)
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3, 4)
        self.glance.add(5, GIB, 'qcow2')

        left = self.fetch(self.start(), 5)

        self.assertEqual(self.wanted(names, 1), left)

    def test_copies_that_exceed_the_limit_for_a_moment(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, 3)
        self.glance.add(5, 2 * GIB, 'qcow2')

        left = self.fetch(self.start(), 5)

        self.assertEqual(self.wanted(names, 2), left)

    def test_disk_keeps_room_for_both_copies_that_exceed_the_size(self):
        self.set(image_cache_max_size_gb=3, image_cache_min_free_gb=1)
        self.limit_disk(6)
        names = self.put_images(1, 2, 3)
        self.glance.add(5, 2 * GIB, 'qcow2')

        left = self.fetch(self.start(), 5)

        # Of 6 GiB 4 are for the copies and 1 stays free.
        self.assertEqual(self.wanted(names, 2), left)

    def test_all_that_is_sent_is_on_the_disk_meanwhile(self):
        """Besides the raw image, which is no larger than the server's disk."""
        self.set(image_cache_min_free_gb=2)
        self.limit_disk(23)
        names = self.put_images(1, 2, 3, size=2 * GIB)
        self.glance.add(5, 9 * GIB, 'qcow2')

        left = self.fetch(self.start(), 5, disk_bytes=9 * GIB)

        # 18 of 23 GiB, and 2 stay free.
        self.assertEqual(self.wanted(names, 2), left)

    def test_kernel_is_not_converted(self):
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3)
        self.glance.add(5, GIB, 'qcow2')

        left = self.fetch(self.start(), 5, converts=False)

        self.assertEqual(set(names), left)

    def test_image_that_only_another_host_has(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, 3)

        left = self.fetch(self.start(), 5, size_of=lambda: 2 * GIB)

        self.assertEqual(self.wanted(names, 2), left)

    def test_other_host_that_does_not_answer(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, 3)
        size_of = mock.Mock(side_effect=TimeoutError('no answer'))

        with self.assertLogs(fetches.__name__, 'WARNING') as logs:
            left = self.fetch(self.start(), 5, size_of=size_of)

        self.assertEqual(set(names), left)
        self.assertIn('no answer', logs.output[0])

    def test_disks_that_take_long_to_look_into(self):
        """No server waits for them for long, nor again at once."""
        self.set(image_cache_max_images=2)
        names = self.put_images(1, 2, 3)
        self.make_disk()
        manager = self.start()
        self.glance.add(5, GIB)
        with (mock.patch.object(evictable, 'LOOK_SECONDS', -1),
              self.assertLogs(evictable.__name__, 'INFO') as logs):
            self.assertEqual(set(names), self.fetch(manager, 5))
        self.assertIn('evicts nothing', logs.output[0])
        with mock.patch.object(manager.store, 'backing') as look:
            self.assertEqual(set(names), self.fetch(manager, 5))
        look.assert_not_called()

        with (mock.patch.object(evictable, 'LOOK_SECONDS', -1),
              contextlib.suppress(fetches.NoRoom)):
            self.fetch(manager, 5, ahead=True)  # nobody waits for this one

        self.assert_left(*self.wanted(names, 2))

    def test_room_is_no_larger_than_the_disk_of_the_server(self):
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3)
        for disk_format in ('raw', 'qcow2'):
            self.glance.add(5, 3 * GIB, disk_format)

            left = self.fetch(self.start(), 5, disk_bytes=GIB)

            self.assertEqual(set(names), left)

    def test_image_that_ceph_clones(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, 3)
        self.glance.add(5, GIB)

        left = self.fetch(self.start(), 5, clones=True)

        self.assertEqual(set(names), left)

    def test_image_that_ceph_clones_is_none_of_the_cache(self):
        self.set(image_cache_max_images=3)
        names = self.put_images(1, 2, 3)
        self.glance.add(5, GIB)
        manager = self.start()

        with manager.cache.fetching(self.context, image(5), clones=True):
            self.run_pass(manager)
            self.assert_left(*(names if self.keeps_unused else ()))

    def test_image_that_ceph_cannot_clone(self):
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3)
        self.glance.add(5, GIB, 'qcow2')

        left = self.fetch(self.start(), 5, clones=True)

        self.assertEqual(self.wanted(names, 1), left)

    def test_image_that_is_smaller_than_it_says(self):
        """A tenant can have nothing evicted by what an image says."""
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3)
        self.glance.add(5, 197 * 1024, 'qcow2')
        manager = self.start()

        with manager.cache.fetching(self.context, image(5)):
            new = self.put(sha1(5), 4096, age=0)
        manager.cache.fetched(image(5))

        self.assert_left(*names, new)

    def test_too_large_an_image_that_has_come(self):
        """It is evicted before all others when it is not used any more."""
        self.set(image_cache_max_size_gb=4)
        names = self.put_images(1, 2, 3)
        self.glance.add(5, MIB, 'qcow2')
        manager = self.start()

        with manager.cache.using(image(5)):
            with manager.cache.fetching(self.context, image(5)):
                new = self.put(sha1(5), 5 * GIB, age=0)
            manager.cache.fetched(image(5))
            self.assert_left(*names, new)
        manager.cache.fetched(image(5))

        self.assert_left(*names, *(() if self.evicts else (new,)))

    def test_file_that_is_found_under_both_names_counts_once(self):
        """It gets its final name while the directory is read."""
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, 3)
        os.link(os.path.join(self.cache, names[0]),
                os.path.join(self.cache, f'{names[0]}.part'))

        left = self.run_pass(self.start()) and self.names()

        self.assertEqual(
            {*(names if self.keeps_unused else ()), f'{names[0]}.part'}, left)

    def test_fetch_that_ends_during_a_pass_counts_once(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2)
        self.glance.add(3, GIB)
        manager = self.start()

        # The file is there before nova returns from the fetch.
        with manager.cache.fetching(self.context, image(3)):
            names.append(self.put(sha1(3), GIB))
            self.run_pass(manager)

            self.assert_left(*(names if self.keeps_unused else names[2:]))

    def test_disk_is_kept_for_what_exceeds_the_size(self):
        self.set(image_cache_max_size_gb=3, image_cache_min_free_gb=2)
        self.limit_disk(10)
        names = self.put_images(1, 2, 3)
        self.glance.add(4, 6 * GIB)

        left = self.fetch(self.start(), 4)

        # Of 10 GiB 6 are for the image and 2 stay free.
        self.assertEqual(self.wanted(names, 1), left)

    def test_host_that_fetched_nothing_yet(self):
        self.set(image_cache_max_size_gb=3, image_cache_min_free_gb=2)
        os.rmdir(self.cache)
        self.glance.add(4, GIB)
        manager = self.start()

        with manager.cache.fetching(self.context, image(4), ahead=True):
            os.mkdir(self.cache)

        self.assertEqual([], self.errors() + self.warnings())

    def test_too_large_for_a_boot(self):
        self.set(image_cache_max_size_gb=3)
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
            fetches.NoRoom, self.fetch, self.start(), 4, ahead=True)

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
            fetches.NoRoom, self.fetch, self.start(), 4, ahead=True)

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

        with manager.cache.fetching(self.context, image(4)):
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

        with manager.cache.fetching(self.context, image(4)):
            part = self.put(f'{sha1(4)}.part', 0)
            self.write(part, 3 * MIB)
            self.run_pass(manager)

            self.assert_left(part, *(names if self.keeps_unused else ()))

    def test_image_that_glance_does_not_know(self):
        self.set(image_cache_max_size_gb=1)
        names = self.put_images(1, 2)

        left = self.fetch(self.start(), 4)

        self.assertEqual(set(names), left)
        self.assertEqual([], self.warnings())

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
            with manager.cache.fetching(self.context, image(4)):
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
                fetches.NoRoom, self.fetch, manager, 4, ahead=True)
            self.assert_left(*names)
            return
        self.assertEqual(self.wanted(names, gone),
                         self.fetch(manager, 4, ahead=True))

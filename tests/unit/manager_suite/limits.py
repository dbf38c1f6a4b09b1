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

"""The limits are kept in a pass."""

import errno
import os
import shutil
import subprocess
import unittest
from unittest import mock

import fixtures

from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import HOUR
from tests.unit.managers import sha1

MIB = 2 ** 20


class LimitsSuite:
    """The limits are kept whenever they can be."""

    def test_one_image_that_is_larger_than_all_may_be(self):
        self.set(image_cache_max_size_gb=3)
        small = self.put_images(1, 2, 3)
        large = self.put(sha1(4), 4 * GIB)

        self.run_pass()

        self.assert_left(*self.unneeded(large, *small))

    def test_image_in_use_that_is_larger_than_all_may_be(self):
        self.set(image_cache_max_size_gb=3)
        self.boot(4)
        small = self.put_images(1, 2, 3)
        large = self.put(sha1(4), 4 * GIB)

        self.run_pass()

        self.assert_left(large, *(small if self.keeps_unused else ()))

    def test_image_in_use_that_is_larger_than_all_may_be_is_an_image(self):
        self.set(image_cache_max_size_gb=3, image_cache_max_images=2)
        self.boot(4)
        small = self.put_images(1, 2)
        large = self.put(sha1(4), 4 * GIB)

        self.run_pass()

        self.assert_left(large, *self.unneeded(*small))

    def test_image_that_is_larger_than_all_may_be_and_cannot_go(self):
        """Nothing else need go for it, as the limit would not be kept."""
        self.set(image_cache_max_size_gb=3)
        small = self.put_images(1, 2)
        large = self.put(sha1(4), 4 * GIB, age=9 * DAY)

        with self.locked_elsewhere(large):
            self.run_pass()

        self.assert_left(large, *(small if self.keeps_unused else ()))

    def test_resized_copies_are_one_image_with_the_original(self):
        self.set(image_cache_max_images=2)
        old = [*self.put_images(1, age=HOUR),
               self.put(f'{sha1(1)}_20', age=HOUR)]
        new = [*self.put_images(2, 3), self.put(f'{sha1(2)}_20')]

        self.run_pass()

        self.assert_left(*self.unneeded(*old, *new, of=2))

    def test_image_of_which_a_copy_is_needed(self):
        """One file less would not be one image less."""
        self.set(image_cache_max_images=2)
        original = self.put_images(1, age=HOUR)
        copy = self.put(f'{sha1(1)}_20', age=HOUR)
        self.write_disk('aaaaaaaa-server', copy)
        names = self.put_images(2, 3)

        self.run_pass()

        self.assert_left(
            copy, *(original if self.keeps_unused else ()),
            *self.unneeded(*names))

    def test_swap_and_ephemeral_disks_are_no_images(self):
        self.set(image_cache_max_images=1)
        names = [self.put('swap_512'), self.put(sha1(1)),
                 self.put(managers.ephemeral_name(1))]

        self.run_pass()

        self.assert_left(*(names if self.keeps_unused else ()))

    def test_high_watermark(self):
        self.set(image_cache_high_watermark_percent=50)
        self.limit_disk(10)
        names = self.put_images(1, 2, 3, 4, 5, 6)

        self.run_pass()

        self.assert_left(*self.unneeded(*names, of=1))

    def test_low_watermark(self):
        self.set(image_cache_high_watermark_percent=50,
                 image_cache_low_watermark_percent=20)
        self.limit_disk(10)
        names = self.put_images(1, 2, 3, 4, 5, 6)

        self.run_pass()

        self.assert_left(*self.unneeded(*names, of=4))

    def test_between_the_watermarks(self):
        self.set(image_cache_high_watermark_percent=50,
                 image_cache_low_watermark_percent=20)
        self.limit_disk(10)
        names = self.put_images(1, 2, 3, 4, 5)

        self.run_pass()

        self.assert_left(*(names if self.keeps_unused else ()))

    def test_disk_that_cannot_be_asked(self):
        self.set(image_cache_min_free_gb=7)
        names = self.put_images(1, 2, 3)
        self.useFixture(fixtures.MonkeyPatch(
            'shutil.disk_usage', mock.Mock(side_effect=OSError)))

        self.run_pass()

        self.assert_left(*(names if self.keeps_unused else ()))

    def test_disk_that_tells_of_free_space_late(self):
        """What has gone is counted, whatever the disk says."""
        self.set(image_cache_high_watermark_percent=50)
        names = self.put_images(1, 2, 3, 4, size=0)
        for name in names:
            self.write(name, MIB)
        self.useFixture(fixtures.MonkeyPatch(
            'shutil.disk_usage', lambda path: (
                shutil._ntuple_diskusage(8 * MIB, 5 * MIB, 3 * MIB))))

        self.run_pass()

        self.assert_left(*self.unneeded(*names, of=1))

    def test_disk_that_tells_late_of_what_was_too_old(self):
        self.set(image_cache_high_watermark_percent=50)
        names = [*self.put_images(1, size=0, age=9 * DAY),
                 *self.put_images(2, 3, 4, size=0)]
        for name in names:
            self.write(name, MIB)
        self.useFixture(fixtures.MonkeyPatch(
            'shutil.disk_usage', lambda path: (
                shutil._ntuple_diskusage(8 * MIB, 5 * MIB, 3 * MIB))))

        self.run_pass()

        self.assert_left(*self.unneeded(*names, of=1))

    def test_disk_that_tells_at_once_of_what_was_too_old(self):
        self.set(image_cache_high_watermark_percent=30)
        names = [*self.put_images(1, 2, size=0, age=9 * DAY),
                 *self.put_images(3, 4, 5, 6, size=0)]
        for name in names:
            self.write(name, MIB)

        def usage(path):
            used = MIB * len(os.listdir(path))
            return shutil._ntuple_diskusage(10 * MIB, used, 10 * MIB - used)

        self.useFixture(fixtures.MonkeyPatch('shutil.disk_usage', usage))

        self.run_pass()

        self.assert_left(*self.unneeded(*names, of=3))

    def test_all_limits_at_once(self):
        self.set(image_cache_max_size_gb=5, image_cache_max_images=3,
                 image_cache_high_watermark_percent=60,
                 image_cache_min_free_gb=8)
        self.limit_disk(10)
        names = self.put_images(1, 2, 3, 4, 5, 6)

        self.run_pass()

        self.assert_left(*self.unneeded(*names, of=4))

    def test_limit_that_cannot_be_kept(self):
        self.set(image_cache_max_images=1)
        for number in (1, 2):
            self.boot(number)
        needed = self.put_images(1, 2)
        unused = self.put_images(3)

        self.run_pass()

        self.assert_left(*needed, *(() if self.evicts else unused))
        self.assertIn('still exceeded: image_cache_max_images',
                      self.logged()[-1])

    @unittest.skipUnless(shutil.which('mount'), 'needs mount')
    def test_file_system_that_is_full(self):
        self.mount_small_disk()
        self.set(image_cache_high_watermark_percent=80,
                 image_cache_low_watermark_percent=50)
        self.boot(1)
        needed, *names = self.put_images(1, 2, 3, 4, 5, 6, 7, 8, 9, size=0)
        for name in (needed, *names):
            self.write(name, MIB)
        self.fill_disk()

        self.run_pass()

        usage = shutil.disk_usage(self.path)
        self.assertIn(needed, self.names())
        self.assertEqual([], self.errors())
        if self.evicts:
            # Which is written when there is room again.
            history = os.stat(os.path.join(
                self.path, f'image-cache-{HOST}.json')).st_blocks * 512
            self.assertLessEqual(usage.used - history, usage.total // 2)
        else:
            self.assertLessEqual(set(names), self.names())

    def mount_small_disk(self):
        """Put the instances on a disk of ten MiB."""
        done = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=10m', 'none', self.path],
            capture_output=True, check=False)
        if done.returncode:
            self.skipTest('nothing can be mounted here')
        self.addCleanup(subprocess.run, ['umount', self.path], check=True)
        os.mkdir(self.cache)

    def fill_disk(self):
        """Write until there is no room left."""
        with open(os.path.join(self.path, 'rest'), 'wb',
                  buffering=0) as file:
            try:
                while True:
                    file.write(b'x' * 2 ** 12)
            except OSError as error:
                self.assertEqual(errno.ENOSPC, error.errno)

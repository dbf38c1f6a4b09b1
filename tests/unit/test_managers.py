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

"""One suite that all image cache managers pass, and what sets them apart."""

import contextlib
import dataclasses
import errno
import logging
import os
import shutil
import signal
import subprocess
import time
import unittest
from unittest import mock

import fixtures
from nova.virt.libvirt import imagecache as nova_imagecache

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import room
from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import HOUR
from tests.unit.managers import image
from tests.unit.managers import OTHER_HOST
from tests.unit.managers import sha1

NOBODY = 65534
MIB = 2 ** 20


class SuiteTestCase(managers.ManagerTestCase):
    """A cache in which everything has to go that can."""

    #: Whether the manager lets go of anything.
    evicts = True
    #: Whether it keeps what nobody uses until a limit asks for room.
    keeps_unused = True

    def squeeze(self):
        """Have nothing fit but one image that is needed.

        :returns: what nobody needs: larger than the cache may be, and old
        """
        self.set(image_cache_max_size_gb=1, image_cache_max_images=1)
        return self.put_images(901, 902, size=2 * GIB, age=9 * DAY)

    def assert_stays(self, *names, manager=None):
        """See files stay in a pass and before a fetch, and others go."""
        kept = set(names)
        self.glance.add(900, GIB)
        manager = manager or self.start()

        for make_room in (self.run_pass, self.fetch):
            unused = set(self.squeeze())
            for name in kept:
                self.set_age(os.path.join(self.cache, name), 10 * DAY)
            # The options are read when the service starts.
            manager = self.start(type(manager), manager.host)
            make_room(manager)
            self.assert_left(*kept, *(() if self.evicts else unused))

    def fetch(self, manager, number=900, ahead=False):
        """Make room for an image; return what is there then."""
        with manager.fetching(self.context, image(number), ahead):
            return self.names()

    def unneeded(self, *names, of=1):
        """Return those of the files that a manager keeps that evicts some.

        :param of: how many go, the first of them first
        """
        if not self.evicts:
            return set(names)
        return set(names[of:]) if self.keeps_unused else set()


class InUseSuite:
    """What somebody needs stays, and what nobody needs goes for it."""

    def test_image_of_a_server(self):
        self.boot(1)

        self.assert_stays(*self.put_images(1))

    def test_resized_copies_of_the_image_of_a_server(self):
        self.boot(1)
        names = [self.put(f'{sha1(1)}{ending}', 2 ** 20)
                 for ending in ('', '_5', '_20', f'_{20 * GIB}', '_sm')]

        self.assert_stays(*names)

    def test_kernel_and_ramdisk(self):
        self.boot(1, kernel_id=image(2), ramdisk_id=image(3))

        self.assert_stays(*self.put_images(1, 2, 3, size=2 ** 20))

    def test_swap_disk(self):
        self.boot(1, disks=[managers.swap_disk(512)])

        self.assert_stays(self.put('swap_512', 2 ** 29))

    def test_ephemeral_disk(self):
        self.boot(1, disks=[managers.ephemeral_disk(1)])

        self.assert_stays(self.put(managers.ephemeral_name(1)))

    def test_server_that_boots_from_a_volume(self):
        self.boot()
        self.boot(None, kernel_id=image(1))

        self.assert_stays(*self.put_images(1))

    def test_server_of_another_host_on_the_same_storage(self):
        self.share_storage(HOST, OTHER_HOST)
        self.boot(1, host=OTHER_HOST)

        self.assert_stays(*self.put_images(1))

    def test_server_of_a_host_that_has_its_own_storage(self):
        self.boot(1, host=OTHER_HOST)
        self.put_images(1, size=2 * GIB, age=10 * DAY)
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else (sha1(1), *unused)))

    def test_both_ends_of_what_moves(self):
        for source, destination in (
                (HOST, OTHER_HOST), (OTHER_HOST, HOST)):
            self.database.clear()
            # The server is the other host's already, or not here yet.
            moving = self.boot(1, host=OTHER_HOST, kernel_id=image(2))
            self.migrate(moving, 'migrating', source, destination)

            self.assert_stays(*self.put_images(1, 2, size=2 ** 20))

    def test_move_in_each_state(self):
        for status in ('accepted', 'queued', 'preparing', 'pre-migrating',
                       'migrating', 'running', 'running (post-copy)',
                       'post-migrating', 'finished', 'confirming',
                       'reverting'):
            self.database.clear()
            self.migrate(self.boot(1, host=OTHER_HOST), status)
            self.put_images(1)
            self.squeeze()

            self.run_pass()

            self.assertIn(sha1(1), self.names(), status)

    def test_move_that_is_over(self):
        self.migrate(self.boot(1, host=OTHER_HOST), 'confirmed')
        self.put_images(1, size=2 * GIB, age=10 * DAY)
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else (sha1(1), *unused)))

    def test_image_that_a_server_is_made_of_now(self):
        self.put_images(1)
        manager = self.start()
        self.glance.add(900, GIB)
        unused = set(self.squeeze())
        manager = self.start(type(manager))

        with manager.using(image(1), None):
            self.set_age(os.path.join(self.cache, sha1(1)), 10 * DAY)
            self.run_pass(manager)

            self.assert_left(sha1(1), *(() if self.evicts else unused))

    def test_image_that_a_server_was_made_of_just_now(self):
        """The claim of another process is seen by the time of the file."""
        def other_process(entry):
            with self.start().using(image(902)):
                pass

        manager = self.meddle(other_process)

        self.run_pass(manager)

        self.assertIn(sha1(902), self.names())

    def meddle(self, meddle):
        """Return a manager for which things happen before each removal."""
        self.squeeze()
        return self.start(store=managers.MeddlingStore(HOST, meddle))


class DiskSuite:
    """Disks tell what they are made on top of, whoever they are of."""

    def test_flat_disk_needs_nothing(self):
        self.put_images(1, size=2 * GIB, age=10 * DAY)
        folder = os.path.join(self.path, 'aaaaaaaa-flat')
        os.mkdir(folder)
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'raw',
                        os.path.join(folder, 'disk'), '1G'], check=True)
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else (sha1(1), *unused)))

    def test_flat_disk_of_a_server(self):
        booted = self.boot(1)
        folder = os.path.join(self.path, booted.uuid)
        os.mkdir(folder)
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'raw',
                        os.path.join(folder, 'disk'), '1G'], check=True)

        self.assert_stays(*self.put_images(1))

    def test_directory_that_the_database_does_not_know(self):
        self.put_images(1)
        self.make_disk(sha1(1))

        self.assert_stays(sha1(1))

    def test_directory_of_a_resize(self):
        self.put_images(1)
        self.make_disk(sha1(1), of=f'{self.boot(2).uuid}_resize')

        self.assert_stays(sha1(1))

    def test_old_name_of_a_directory(self):
        self.put_images(1)
        self.make_disk(sha1(1), of='instance-00000001')

        self.assert_stays(sha1(1))

    def test_image_that_the_server_was_rebuilt_from(self):
        self.put_images(1)
        self.make_disk(sha1(1), of=self.boot(2).uuid)

        self.assert_stays(sha1(1))

    def test_resized_copy(self):
        self.put_images(1, size=2 ** 20)
        resized = self.put(f'{sha1(1)}_20', 2 ** 20)
        self.make_disk(resized)
        self.set(image_cache_max_size_gb=0)

        # The original is of no use to the disk, nor is it in the way: one
        # image is one image.
        manager = self.start()
        self.run_pass(manager)

        self.assertIn(resized, self.names())

    def test_chain_of_three_within_the_cache(self):
        self.put_images(1, size=GIB // 2)
        managers.make_qcow2(os.path.join(self.cache, f'{sha1(1)}_1'),
                            os.path.join(self.cache, sha1(1)))
        self.make_disk(f'{sha1(1)}_1')

        self.assert_stays(sha1(1), f'{sha1(1)}_1')

    def test_chain_of_three_beside_the_cache(self):
        self.put_images(1)
        middle = self.make_disk(sha1(1), name='middle', of='aaaaaaaa-server')
        self.make_disk(middle, of='aaaaaaaa-server')

        self.assert_stays(sha1(1))

    def test_disk_of_another_name(self):
        self.put_images(1)
        self.make_disk(sha1(1), name='disk.eph0')

        self.assert_stays(sha1(1))

    def test_disk_that_was_moved_here(self):
        self.put_images(1)
        path = self.make_disk(sha1(1))
        subprocess.run(
            ['qemu-img', 'rebase', '-u', '-f', 'qcow2', '-F', 'raw',
             '-b', f'/elsewhere/_base/{sha1(1)}', path], check=True)

        self.assert_stays(sha1(1))

    def test_disk_that_cannot_be_read(self):
        # Given a disk that is a link in a circle.
        folder = os.path.join(self.path, 'aaaaaaaa-circle')
        os.mkdir(folder)
        os.symlink('disk', os.path.join(folder, 'disk'))
        unused = self.squeeze()

        manager = self.run_pass()
        self.run_pass(manager)

        self.assert_left(*unused)
        [warning] = self.warnings()
        self.assertIn(os.path.join(folder, 'disk'), warning)
        self.assertIn(HOST, warning)

    def test_disk_that_can_be_read_again(self):
        folder = os.path.join(self.path, 'aaaaaaaa-circle')
        os.mkdir(folder)
        os.symlink('disk', os.path.join(folder, 'disk'))
        unused = self.squeeze()
        manager = self.run_pass()

        os.unlink(os.path.join(folder, 'disk'))
        self.run_pass(manager)

        self.assert_left(*(() if self.evicts else unused))

    def test_directory_of_a_server_that_cannot_be_read(self):
        unused = self.squeeze()
        self.make_disk(unused[0], of='aaaaaaaa-secret')
        secret = os.path.join(self.path, 'aaaaaaaa-secret')
        os.chmod(secret, 0)
        self.addCleanup(os.chmod, secret, 0o700)

        warnings = self.run_pass_as_nobody()

        self.assert_left(*unused)
        self.assertEqual(1, len(warnings))
        self.assertIn('aaaaaaaa-secret', warnings[0])

    def run_pass_as_nobody(self, level=logging.WARNING):
        """Make a pass in a process that is not root's; return its log."""
        locks = os.path.join(self.path, 'locks')
        os.makedirs(locks, exist_ok=True)
        for path in (os.path.dirname(self.path), self.path, locks):
            os.chmod(path, 0o777)
        manager = self.start()

        def child():
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            self.run_pass(manager)
            return self.logged(level)

        code, lines = self.run_in_child(child)
        self.assertEqual(0, code)
        return lines


class ProtectedSuite:

    def test_protected_by_option(self):
        self.set(protected_images=[image(1).upper()])

        self.assert_stays(*self.put_images(1))

    def test_protected_by_file(self):
        self.protect(image(1))

        self.assert_stays(*self.put_images(1))

    def test_resized_copy_is_protected(self):
        self.set(protected_images=[image(1)])

        self.assert_stays(self.put(f'{sha1(1)}_20'))

    def test_protected_under_every_limit(self):
        self.set(protected_images=[image(1)])
        self.limit_disk(10)
        self.put_images(1)
        for limits in ({'image_cache_max_size_gb': 1},
                       {'image_cache_high_watermark_percent': 1},
                       {'image_cache_min_free_gb': 9}):
            self.put_images(901, age=9 * DAY)
            self.set(**limits)

            self.run_pass(self.start())

            self.assert_left(sha1(1), *(
                () if self.evicts else (sha1(901),)))
            self.set(**dict.fromkeys(limits, 0))

    def test_file_is_read_again(self):
        self.protect('# nothing yet')
        unused = self.squeeze()
        manager = self.start()

        self.protect(f'{image(901)}  # the golden one', 'rubbish',
                     image(902))
        self.run_pass(manager)

        self.assert_left(*unused)
        self.assertIn("line 2 ('rubbish')", self.warnings()[0])

    def test_no_longer_protected(self):
        self.protect(image(901))
        unused = self.squeeze()
        manager = self.run_pass()
        self.assertIn(sha1(901), self.names())

        self.protect('# nothing any more')
        self.run_pass(manager)

        self.assert_left(*(() if self.evicts else unused))

    def test_missing_file(self):
        self.protect(image(901))
        unused = self.squeeze()
        manager = self.run_pass()

        os.unlink(os.path.join(self.path, 'protected'))
        self.run_pass(manager)
        self.run_pass(manager)

        self.assertIn(unused[0], self.names())
        self.assertEqual(1, len(self.warnings()))

    def protect(self, *lines):
        path = os.path.join(self.path, 'protected')
        with open(f'{path}.new', 'w') as file:
            file.write('\n'.join(lines) + '\n')
        os.replace(f'{path}.new', path)
        self.set(protected_images_file=path)


class UntouchedSuite:
    """What is no entry of the cache is not there for a manager."""

    def test_other_names(self):
        self.assert_stays(*[self.put(name, 2 * GIB) for name in (
            'notes', 'x' * 40, 'A' * 40, f'{sha1(1)}.bak', f'{sha1(1)}_x',
            f'{sha1(1)}_', f'.{sha1(1)}', f'{sha1(1)}_20.part', 'swap_x',
            'ephemeral_1_abc', 'ephemeral_x_abcdef0', sha1(1)[1:])])

    def test_directories(self):
        os.mkdir(os.path.join(self.cache, sha1(1)))
        os.mkdir(os.path.join(self.cache, 'swap_512'))

        self.assert_stays(sha1(1), 'swap_512')

    def test_what_does_not_count(self):
        self.set(image_cache_max_images=1, image_cache_max_size_gb=1)
        os.mkdir(os.path.join(self.cache, sha1(1)))
        target = os.path.join(self.path, 'large')
        with open(target, 'wb') as file:
            file.truncate(9 * GIB)
        os.symlink(target, os.path.join(self.cache, sha1(2)))
        self.put('x' * 40)
        names = self.put_images(3)

        self.run_pass()

        self.assert_left(sha1(1), sha1(2), 'x' * 40,
                         *(names if self.keeps_unused else ()))

    def test_pipe(self):
        os.mkfifo(os.path.join(self.cache, sha1(1)))

        self.assert_stays(sha1(1))

    def test_symlink_to_a_file_outside(self):
        target = os.path.join(self.path, 'precious')
        with open(target, 'w') as file:
            file.write('x')
        os.symlink(target, os.path.join(self.cache, sha1(1)))

        self.assert_stays(sha1(1))

        self.assertTrue(os.path.exists(target))

    def test_symlink_to_a_file_inside(self):
        self.boot(1)
        self.put_images(1)
        os.symlink(sha1(1), os.path.join(self.cache, sha1(2)))
        os.symlink('nowhere', os.path.join(self.cache, sha1(3)))
        self.squeeze()

        self.run_pass()

        self.assertLessEqual({sha1(1), sha1(2), sha1(3)}, self.names())

    def test_file_that_becomes_a_symlink(self):
        target = os.path.join(self.path, 'precious')
        with open(target, 'w') as file:
            file.write('x')

        def swap_it(entry):
            path = os.path.join(self.cache, entry.name)
            status = os.lstat(path)
            os.unlink(path)
            os.symlink(target, path)
            os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns),
                     follow_symlinks=False)

        manager = self.meddle(swap_it)

        self.run_pass(manager)

        self.assert_left(sha1(901), sha1(902))
        self.assertTrue(os.path.exists(target))

    def test_nothing_beside_the_cache(self):
        self.squeeze()
        os.mkdir(os.path.join(self.path, 'aaaaaaaa-server'))
        for path in (sha1(1), f'aaaaaaaa-server/{sha1(2)}'):
            with open(os.path.join(self.path, path), 'w'):
                pass

        self.run_pass()

        self.assertTrue(os.path.exists(os.path.join(self.path, sha1(1))))
        self.assertTrue(os.path.exists(
            os.path.join(self.path, 'aaaaaaaa-server', sha1(2))))

    def test_directory_that_is_not_there(self):
        os.rmdir(self.cache)

        self.run_pass()

        self.assertEqual([], self.warnings() + self.errors())
        os.mkdir(self.cache)

    def test_directory_that_cannot_be_read(self):
        self.squeeze()
        os.rename(self.cache, f'{self.cache}.away')
        with open(self.cache, 'w'):
            pass

        self.run_pass()

        [warning] = self.warnings()
        self.assertIn(HOST, warning)
        self.assertIn(self.cache, warning)

    def test_directory_that_is_a_symlink(self):
        """Operators put the cache on a disk of its own."""
        elsewhere = self.useFixture(fixtures.TempDir()).path
        os.rmdir(self.cache)
        os.symlink(elsewhere, self.cache)
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else unused))


class LimitsSuite:
    """The limits are kept whenever they can be."""

    def test_no_limit(self):
        names = self.put_images(1, 2, 3)

        self.run_pass()

        self.assert_left(*(names if self.keeps_unused else ()))

    def test_size(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, 3, 4, 5)

        self.run_pass()

        self.assert_left(*self.unneeded(*names, of=2))

    def test_size_that_is_just_kept(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, 3)

        self.run_pass()

        self.assert_left(*(names if self.keeps_unused else ()))

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

    def test_images(self):
        self.set(image_cache_max_images=2)
        names = self.put_images(1, 2, 3, 4)

        self.run_pass()

        self.assert_left(*self.unneeded(*names, of=2))

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

    def test_min_free(self):
        self.set(image_cache_min_free_gb=7)
        self.limit_disk(10)
        names = self.put_images(1, 2, 3, 4, 5)

        self.run_pass()

        self.assert_left(*self.unneeded(*names, of=2))

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
            self.assertLessEqual(usage.used, usage.total // 2)
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


class ArrivingSuite:
    """Files of a fetch: one that goes on, and one that was killed."""

    def test_fetch_of_this_process(self):
        manager = self.start()
        unused = self.squeeze()
        self.glance.add(4, GIB)
        manager = self.start(type(manager))

        with manager.fetching(self.context, image(4)):
            # What was written first is idle while it is made raw.
            names = [self.put(f'{sha1(4)}.part', age=9 * HOUR),
                     self.put(f'{sha1(4)}.converted', age=2 * HOUR)]
            self.run_pass(manager)

            self.assert_left(*names, *(() if self.evicts else unused))

    def test_complete_image_before_its_server_is_there(self):
        unused = self.squeeze()
        self.glance.add(4, GIB)
        manager = self.start()

        with manager.fetching(self.context, image(4)):
            self.put(sha1(4), age=9 * DAY)
            self.run_pass(manager)

            self.assert_left(sha1(4), *(() if self.evicts else unused))

    def test_fetch_of_another_host(self):
        unused = self.squeeze()
        names = [self.put(f'{sha1(4)}.part', age=2 * HOUR),
                 self.put(f'{sha1(4)}.converted', age=600),
                 self.put(f'{sha1(5)}.part', age=3000)]

        self.run_pass()

        self.assert_left(*names, *(() if self.evicts else unused))

    def test_fetch_that_was_killed_goes_first(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, age=DAY // 2)
        self.put(f'{sha1(4)}.part', age=HOUR + 60)
        self.put(f'{sha1(4)}.converted', age=HOUR + 60)
        self.glance.add(5, GIB)

        left = self.fetch(self.start(), 5)

        self.assertEqual(set(names), left)

    def test_why_the_remains_of_a_fetch_go(self):
        self.set(image_cache_max_size_gb=1)
        notifier = self.listen()
        self.put(f'{sha1(4)}.part', 2 * GIB, age=HOUR + 60)

        self.run_pass()

        [payload] = self.evictions(notifier)
        self.assertEqual('left_behind', payload['reason'])

    def test_fetch_that_was_killed_is_no_image(self):
        self.set(image_cache_max_images=2)
        names = self.put_images(1, 2)
        part = self.put(f'{sha1(4)}.part', age=9 * DAY)

        self.run_pass()

        self.assert_left(part, *(names if self.keeps_unused else ()))

    def test_fetch_that_was_killed_of_an_image_in_use(self):
        """A fetch that is over is of no use to the server."""
        self.boot(1)
        self.squeeze()
        self.put_images(1)
        part = self.put(f'{sha1(1)}.part', age=9 * DAY)

        self.run_pass()

        self.assertNotIn(part, self.names())

    def test_time_of_a_fetch_is_not_that_of_its_image(self):
        """Or it would seem to go on forever."""
        self.boot(1)
        part = self.put(f'{sha1(1)}.part', age=600)
        path = os.path.join(self.cache, part)
        written = os.stat(path).st_mtime_ns

        self.run_pass()

        self.assertEqual(written, os.stat(path).st_mtime_ns)

    def test_fetch_that_was_killed_of_a_protected_image(self):
        self.set(protected_images=[image(1)])
        self.set(image_cache_max_size_gb=1)
        names = self.put_images(1)
        self.put(f'{sha1(1)}.part', age=9 * DAY)

        self.run_pass()

        self.assert_left(*names)

    def test_fetch_that_was_killed_takes_no_image_with_it(self):
        self.set(image_cache_max_images=2)
        names = self.put_images(1, 2, 3)
        part = self.put(f'{names[-1]}.part', age=9 * DAY)

        self.run_pass()

        self.assert_left(part, *self.unneeded(*names))

    def test_killed_in_the_middle_of_a_fetch(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2)
        self.glance.add(4, GIB)
        manager = self.start()

        def child():
            with manager.fetching(self.context, image(4)):
                self.put(f'{sha1(4)}.part', GIB // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        code, _answer = self.run_in_child(child)
        left = self.fetch(self.start(), 4)

        # It fits, with and without what was fetched before.
        self.assertEqual(-signal.SIGKILL, code)
        self.assertEqual({*names, f'{sha1(4)}.part'}, left)


class TroubleSuite:
    """A pass always comes to its end."""

    def test_locked_by_another_process(self):
        unused = self.squeeze()

        with self.locked_elsewhere(sha1(901)):
            self.run_pass()

        self.assert_left(*(unused[:1] if self.evicts else unused))

    def test_resized_copy_of_an_image_that_is_locked(self):
        unused = self.squeeze()
        resized = self.put(f'{sha1(901)}_20', 2 * GIB, 9 * DAY)

        with self.locked_elsewhere(sha1(901)):
            self.run_pass()

        self.assert_left(resized, *(unused[:1] if self.evicts else unused))

    def test_used_between_look_and_removal(self):
        def use(entry):
            os.utime(os.path.join(self.cache, entry.name))

        manager = self.meddle(use)

        self.run_pass(manager)

        self.assert_left(sha1(901), sha1(902))

    def test_replaced_between_look_and_removal(self):
        replaced = set()

        def replace(entry):
            # The second time it could get the inode that it had at first.
            if entry.name in replaced:
                return
            replaced.add(entry.name)
            path = os.path.join(self.cache, entry.name)
            with open(f'{path}.new', 'wb'):
                pass
            os.utime(f'{path}.new', ns=(entry.used_ns, entry.used_ns))
            os.replace(f'{path}.new', path)

        manager = self.meddle(replace)

        self.run_pass(manager)

        self.assert_left(sha1(901), sha1(902))

    def test_protected_between_look_and_removal(self):
        self.protect('# nothing yet')
        manager = self.meddle(
            lambda entry: self.protect(image(901), image(902)))

        self.run_pass(manager)

        self.assert_left(sha1(901), sha1(902))

    def test_file_that_cannot_be_removed_is_tried_once(self):
        """In a pass: what is too old may exceed a limit, too."""
        self.squeeze()
        manager = self.start()
        self.useFixture(fixtures.MockPatchObject(
            directory.os, 'unlink', autospec=True,
            side_effect=PermissionError(errno.EPERM, 'Not permitted')))

        self.run_pass(manager)

        self.assertEqual(2 if self.evicts else 0, len(self.errors()))

    def test_file_that_vanishes(self):
        def vanish(entry):
            os.unlink(os.path.join(self.cache, entry.name))

        notifier = self.listen()
        manager = self.meddle(vanish)

        self.run_pass(manager)

        self.assert_left(*(() if self.evicts else (sha1(901), sha1(902))))
        self.assertEqual([], self.errors() + self.evictions(notifier))

    def test_directory_that_vanishes(self):
        """As when the storage is unmounted."""
        manager = self.meddle(
            lambda entry: shutil.rmtree(self.cache, ignore_errors=True))

        self.run_pass(manager)

        self.assertEqual([], self.errors())

    def test_file_that_cannot_be_removed(self):
        for number in (errno.EPERM, errno.EROFS, errno.EIO):
            unused = self.squeeze()
            unlink = os.unlink

            def fail(path, unlink=unlink, number=number):
                if path.endswith(sha1(901)):
                    raise OSError(number, os.strerror(number), path)
                unlink(path)

            with mock.patch('os.unlink', fail):
                self.run_pass()

            self.assert_left(*(unused[:1] if self.evicts else unused))
            if self.evicts:
                error = self.errors()[-1]
                self.assertIn(HOST, error)
                self.assertIn(os.path.join(self.cache, sha1(901)), error)
                self.assertIn(os.strerror(number), error)

    def test_directory_that_is_not_ours(self):
        unused = self.squeeze()
        os.chmod(self.cache, 0o555)
        self.addCleanup(os.chmod, self.cache, 0o755)

        errors = self.run_pass_as_nobody(logging.ERROR)

        self.assert_left(*unused)
        for name in unused:
            self.assertEqual(
                self.evicts, any(name in error for error in errors))

    def test_disk_that_is_full(self):
        """Only the history needs any of it."""
        unused = self.squeeze()
        manager = self.start()

        def full(path, *args, **kwargs):
            if str(path).endswith('.json.new'):
                raise OSError(errno.ENOSPC, 'No space left on device')
            return open(path, *args, **kwargs)

        self.boot(1)
        self.boot(2)
        with mock.patch('cache_aware_sched.imagecache.history.open', full,
                        create=True):
            for _ in range(2):
                self.run_pass(manager)
                manager.booted(self.context, image(2), True, 1,
                               self.database.servers[1].uuid)

        self.assert_left(*(() if self.evicts else unused))
        [warning] = self.warnings()
        self.assertIn(f'image-cache-{HOST}.json', warning)

    def test_killed_in_the_middle_of_a_pass(self):
        self.boot(1)
        self.put_images(1)
        self.squeeze()
        more = self.put_images(3, 4, 5, size=2 * GIB, age=9 * DAY)
        manager = self.start()

        def child():
            unlink, removed = os.unlink, []

            def die(path):
                if len(removed) == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                removed.append(path)
                unlink(path)

            with mock.patch('os.unlink', die):
                self.run_pass(manager)

        code, _answer = self.run_in_child(child)
        if not self.evicts:
            self.assert_left(sha1(1), sha1(901), sha1(902), *more)
            return
        self.assertEqual(-signal.SIGKILL, code)
        self.assertEqual(4, len(self.names()))

        self.run_pass()

        self.assert_left(sha1(1))

    def test_migrations_that_cannot_be_told(self):
        self.boot(1)
        self.put_images(1)
        unused = self.squeeze()
        self.useFixture(fixtures.MockPatchObject(
            managers.objects.MigrationList, 'get_by_filters',
            side_effect=RuntimeError('no database')))

        manager = self.run_pass()
        self.run_pass(manager)

        self.assert_left(sha1(1), *(() if self.evicts else unused))
        self.assertEqual(1, len(self.warnings()))


class SharedSuite:
    """Two hosts on one storage."""

    def test_each_keeps_what_the_other_uses(self):
        self.share_storage(HOST, OTHER_HOST)
        self.boot(1, host=HOST)
        self.boot(2, host=OTHER_HOST)
        needed = self.put_images(1, 2)
        unused = self.squeeze()

        self.run_pass(self.start())
        self.run_pass(self.start(host=OTHER_HOST))

        self.assert_left(*needed, *(() if self.evicts else unused))

    def test_fetch_of_one_keeps_what_the_other_uses(self):
        self.share_storage(HOST, OTHER_HOST)
        self.boot(1, host=OTHER_HOST)
        needed = self.put_images(1)
        unused = self.squeeze()
        self.glance.add(4, GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual(
            {*needed, *(() if self.evicts else unused)}, left)

    def test_what_moves_between_others(self):
        self.share_storage(HOST, OTHER_HOST)
        self.migrate(self.boot(1, host='host3'), 'finished', OTHER_HOST,
                     'host3')

        self.assert_stays(*self.put_images(1))

    def test_lock_file_goes_with_the_image(self):
        self.squeeze()
        locks = self.lock_files()

        self.run_pass()

        self.assertEqual(not self.evicts,
                         locks[0] in os.listdir(directory.lock_path()))

    def test_lock_file_stays_when_others_may_wait_for_it(self):
        self.share_storage(HOST, OTHER_HOST)
        self.squeeze()
        locks = self.lock_files()

        self.run_pass()

        self.assertLessEqual(
            set(locks), set(os.listdir(directory.lock_path())))

    def test_lock_files_of_others_stay(self):
        self.squeeze()
        os.makedirs(directory.lock_path(), exist_ok=True)
        for name in ('nova-storage-registry-lock', f'nova-{sha1(1)}'):
            with open(os.path.join(directory.lock_path(), name), 'w'):
                pass

        self.run_pass()

        self.assertLessEqual(
            {'nova-storage-registry-lock', f'nova-{sha1(1)}'},
            set(os.listdir(directory.lock_path())))

    def test_each_has_a_history_of_its_own(self):
        self.boot(1)
        self.share_storage(HOST, OTHER_HOST)

        self.run_pass(self.start())
        self.run_pass(self.start(host=OTHER_HOST))

        self.assertLessEqual(
            {f'image-cache-{HOST}.json', f'image-cache-{OTHER_HOST}.json'},
            set(os.listdir(self.path)))

    def lock_files(self):
        names = [f'nova-{sha1(number)}' for number in (901, 902)]
        os.makedirs(directory.lock_path(), exist_ok=True)
        for name in names:
            with open(os.path.join(directory.lock_path(), name), 'w'):
                pass
        return names


class ToldSuite:
    """What operators and the scheduler get to see."""

    def test_notifications(self):
        notifier = self.listen()
        self.boot(901)
        self.run_pass()
        del self.database.servers[:]
        self.squeeze()

        self.run_pass()

        by_file = {payload['file']: payload
                   for payload in self.evictions(notifier)}
        if not self.evicts:
            self.assertEqual({}, by_file)
            return
        reason = by_file[sha1(901)].pop('reason')
        self.assertEqual(self.reason, reason)
        self.assertEqual(
            {'image_id': image(901), 'host': HOST, 'size': 2 * GIB,
             'file': sha1(901), 'instance_uuid': None}, by_file[sha1(901)])
        self.assertIsNone(by_file[sha1(902)]['image_id'])

    def test_versioned_notification(self):
        notifier = self.listen()
        self.squeeze()

        self.run_pass()

        versioned = [
            payload['nova_object.data'] for _context, _event, payload in (
                call.args for call in notifier.info.call_args_list)
            if 'nova_object.data' in payload]
        self.assertEqual(self.evictions(notifier), versioned)
        self.assertEqual(2 if self.evicts else 0, len(versioned))

    def test_image_that_is_protected_or_booted_is_known_by_its_id(self):
        manager = self.start()
        manager.booted(self.context, image(901), True, 1,
                       managers.server().uuid)
        with manager.using(image(902)):
            pass
        notifier = self.listen()
        self.squeeze()

        self.run_pass()

        self.assertEqual(
            {image(901), image(902)} if self.evicts else set(),
            {payload['image_id'] for payload in self.evictions(notifier)})

    def test_notification_that_cannot_be_sent(self):
        notifier = self.listen()
        notifier.info.side_effect = RuntimeError('no bus')
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else unused))
        self.assertEqual(1 if self.evicts else 0, len(self.warnings()))

    def test_scheduler_is_told_once_a_pass(self):
        self.squeeze()

        manager = self.run_pass()

        self.assertEqual(1 if self.evicts else 0, self.changes)
        self.run_pass(manager)
        self.assertEqual(1 if self.evicts else 0, self.changes)

    def test_scheduler_is_told_before_a_fetch(self):
        self.squeeze()
        self.glance.add(4, GIB)

        with self.start().fetching(self.context, image(4)):
            self.assertEqual(1 if self.evicts else 0, self.changes)

    def test_line_of_a_pass(self):
        self.boot(1)
        self.set(protected_images=[image(2)])
        self.put_images(1, 2, size=MIB)
        self.squeeze()

        self.run_pass()

        gone = (f'evicted 2 ({4 * GIB} bytes, {self.reason} 2)'
                if self.evicts else
                'evicted 0 (0 bytes); still exceeded: '
                'image_cache_max_size_gb, image_cache_max_images')
        if self.evicts:
            gone += '; still exceeded: image_cache_max_images'
        self.assertEqual(
            f'Image cache of host {HOST}: 4 files, {4 * GIB + 2 * MIB} '
            f'bytes; in use 1, protected 1, {gone}', self.logged()[-1])

    def test_line_of_each_eviction(self):
        with self.start().using(image(902)):
            pass
        unused = self.squeeze()

        self.run_pass()

        gone = zip(unused, ('unknown', image(902)), strict=True)
        self.assertEqual(
            [f'Host {HOST} evicted {name} (image {image_id}, {2 * GIB} '
             f'bytes): {self.reason}' for name, image_id in gone]
            if self.evicts else [], sorted(self.logged()[:-1]))

    def test_dry_run(self):
        self.set(image_cache_dry_run=True)
        notifier = self.listen()
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*unused)
        *lines, summary = self.logged()
        gone = unused if self.evicts else []
        self.assertEqual(
            [f'Host {HOST} would evict {name} (image unknown, {2 * GIB} '
             f'bytes): {self.reason}' for name in gone], sorted(lines))
        self.assertIn(f'would evict {len(gone)} ', summary)
        self.assertEqual([], self.evictions(notifier))
        self.assertEqual(0, self.changes)

    def test_dry_run_before_a_fetch(self):
        self.set(image_cache_dry_run=True)
        notifier = self.listen()
        unused = self.squeeze()
        self.glance.add(4, GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual(set(unused), left)
        self.assertEqual([], self.evictions(notifier))
        self.assertEqual(0, self.changes)

    def test_what_is_used_is_touched_in_a_dry_run_too(self):
        self.set(image_cache_dry_run=True)
        self.boot(1)
        [name] = self.put_images(1, age=9 * DAY)

        self.run_pass()

        self.assertGreater(
            os.stat(os.path.join(self.cache, name)).st_mtime,
            time.time() - HOUR)


class NovaSuite:
    """A manager is one of nova's."""

    def test_disk_usage(self):
        for number, size in ((1, 5000), (2, MIB)):
            with open(self.put_path(sha1(number)), 'wb') as file:
                file.write(b'x' * size)
        with open(self.put_path('notes'), 'wb') as file:
            file.write(b'x' * 70000)
        self.put_images(3)
        os.symlink(sha1(1), self.put_path(sha1(4)))
        os.mkdir(self.put_path(sha1(5)))

        usage = self.start().get_disk_usage()

        self.assertEqual(
            nova_imagecache.ImageCacheManager().get_disk_usage(), usage)
        self.assertGreater(usage, MIB)

    def test_disk_usage_of_a_missing_directory(self):
        os.rmdir(self.cache)

        self.assertEqual(0, self.start().get_disk_usage())
        os.mkdir(self.cache)

    def test_directory(self):
        manager = self.start()

        self.assertEqual(self.cache, manager.cache_dir)
        self.assertEqual(self.cache, manager._get_base())
        os.rmdir(self.cache)
        self.assertIsNone(manager._get_base())
        os.mkdir(self.cache)

    def test_other_subdirectory(self):
        self.set_nova('image_cache', subdirectory_name='elsewhere')
        nova_s = nova_imagecache.ImageCacheManager()

        self.assertEqual(nova_s.cache_dir, self.start().cache_dir)

    def test_steps_of_a_pass(self):
        unused = self.squeeze()
        manager = self.start()

        manager._scan_base_images(manager._get_base())
        manager._age_and_verify_cached_images(
            self.context, managers.objects.InstanceList(objects=[]),
            manager._get_base())

        self.assert_left(*(() if self.evicts else unused))

    def put_path(self, name):
        return os.path.join(self.cache, name)


class Suite(InUseSuite, DiskSuite, ProtectedSuite, UntouchedSuite,
            LimitsSuite, FetchSuite, ArrivingSuite, TroubleSuite,
            SharedSuite, ToldSuite, NovaSuite):
    """What every manager must pass."""

    reason = 'image_cache_max_size_gb'


class TestAge(Suite, SuiteTestCase):

    manager = 'age'
    reason = 'age'


class TestLRU(Suite, SuiteTestCase):

    manager = 'lru'


class TestPopularity(Suite, SuiteTestCase):

    manager = 'popularity'


class TestProtected(Suite, SuiteTestCase):

    manager = 'protected'
    evicts = False


class TestNone(Suite, SuiteTestCase):

    manager = 'none'
    keeps_unused = False
    reason = 'unused'


class TestThirdParty(Suite, SuiteTestCase):

    manager = managers.LargestFirst


class OrderTestCase(SuiteTestCase):

    def gone(self):
        """Return what was evicted, in the order in which it went."""
        return [line.split()[3] for line in self.logged()
                if line.startswith(f'Host {HOST} evicted ')]

    def booted(self, manager, number, times=1):
        for _ in range(times):
            manager.booted(self.context, image(number), True, GIB,
                           managers.server().uuid)

    def history(self):
        return os.path.join(self.path, f'image-cache-{HOST}.json')


class TestAgeOptions(OrderTestCase):

    manager = 'age'

    def test_defaults(self):
        fresh = self.put_images(1, age=23 * HOUR)
        self.put_images(2, age=25 * HOUR)
        resized = self.put(f'{sha1(3)}_20', age=HOUR // 2)
        self.put(f'{sha1(4)}_20', age=2 * HOUR)

        self.run_pass()

        self.assert_left(*fresh, resized)

    def test_remove_unused_base_images(self):
        self.set_nova('image_cache', remove_unused_base_images=False)
        names = [*self.put_images(1, 2, age=99 * DAY),
                 self.put(f'{sha1(3)}_20', age=99 * DAY),
                 self.put('swap_512', age=99 * DAY)]

        self.run_pass()

        self.assert_left(*names)

    def test_limits_when_unused_images_are_not_removed(self):
        self.set_nova('image_cache', remove_unused_base_images=False)
        self.set(image_cache_max_images=1)
        names = self.put_images(1, 2, age=99 * DAY)

        self.run_pass()

        self.assert_left(names[1])

    def test_age_of_originals(self):
        self.set_nova('image_cache',
                      remove_unused_original_minimum_age_seconds=600)
        young = [*self.put_images(1, age=400), self.put('swap_1', age=400)]
        self.put_images(2, age=700)
        self.put('swap_2', age=700)
        self.put('ephemeral_1_abcdef0', age=700)
        resized = self.put(f'{sha1(3)}_20', age=700)

        self.run_pass()

        self.assert_left(*young, resized)

    def test_age_of_resized_copies(self):
        self.set_nova('image_cache',
                      remove_unused_resized_minimum_age_seconds=600)
        original = self.put_images(1, age=700)
        young = self.put(f'{sha1(2)}_20', age=400)
        self.put(f'{sha1(2)}_40', age=700)
        self.put(f'{sha1(2)}_sm', age=700)

        self.run_pass()

        self.assert_left(*original, young)

    def test_age_of_nothing(self):
        self.set_nova('image_cache',
                      remove_unused_original_minimum_age_seconds=0,
                      remove_unused_resized_minimum_age_seconds=0)
        self.put_images(1)
        self.put(f'{sha1(2)}_20')

        self.run_pass()

        self.assert_left()

    def test_oldest_goes_first_for_a_limit(self):
        self.set(image_cache_max_images=1)
        names = self.put_images(3, 1, 2)

        self.run_pass()

        self.assertEqual(names[:2], self.gone())


class TestLRUOrder(OrderTestCase):

    manager = 'lru'

    def test_least_recently_used_goes_first(self):
        self.set(image_cache_max_size_gb=2)
        names = self.put_images(4, 1, 5, 2, 3)

        self.run_pass()

        self.assertEqual(names[:3], self.gone())
        self.assert_left(*names[3:])

    def test_use_is_remembered(self):
        self.set(image_cache_max_images=2)
        names = self.put_images(1, 2, 3, age=HOUR)
        booted = self.boot(1)
        manager = self.start()
        with manager.using(image(2)):
            pass
        self.run_pass(manager)
        self.assert_left(*names[:2])

        self.database.servers.remove(booted)
        self.put_images(4, age=HOUR // 2)
        self.run_pass(manager)

        self.assert_left(*names[:2])

    def test_old_images_stay_while_there_is_room(self):
        self.set(image_cache_max_size_gb=2)
        names = self.put_images(1, 2, age=999 * DAY)

        self.run_pass()

        self.assert_left(*names)


class TestPopularityOrder(OrderTestCase):

    manager = 'popularity'

    def test_fewest_boots_go_first(self):
        self.set(image_cache_max_images=1)
        names = self.put_images(1, 2, 3)
        manager = self.start()
        for number, times in ((1, 5), (2, 1), (3, 2)):
            self.booted(manager, number, times)

        self.run_pass(manager)

        self.assertEqual([names[1], names[2]], self.gone())

    def test_size_breaks_a_tie(self):
        self.set(image_cache_max_images=1)
        large = self.put(sha1(1), 5 * GIB)
        small = self.put(sha1(2), GIB, age=DAY)
        manager = self.start()
        for number in (1, 2):
            self.booted(manager, number, 3)

        self.run_pass(manager)

        self.assertEqual([large], self.gone())
        self.assert_left(small)

    def test_restart(self):
        self.set(image_cache_max_images=1)
        names = self.put_images(1, 2)
        self.booted(self.start(), 1, 2)

        self.run_pass(self.start())

        self.assert_left(names[0])

    def test_boots_of_long_ago_count_less(self):
        self.set(image_cache_max_images=1,
                 image_cache_popularity_half_life_hours=1.0)
        names = self.put_images(1, 2)
        manager = self.start()
        with mock.patch('time.time', return_value=time.time() - DAY):
            self.booted(manager, 1, 9)
        self.booted(manager, 2)

        self.run_pass(manager)

        self.assert_left(names[1])

    def test_torn_history(self):
        self.set(image_cache_max_images=2)
        small = self.put_images(1, 2)
        large = self.put(sha1(3), 5 * GIB)
        self.booted(self.start(), 3, 9)
        os.truncate(self.history(), os.path.getsize(self.history()) // 2)

        manager = self.run_pass(self.start())

        # The popularity is lost, and nothing else is.
        self.assertEqual([large], self.gone())
        self.assert_left(*small)
        self.assertIn(self.history(), self.warnings()[0])
        self.booted(manager, 1)
        self.put(sha1(4), 2)
        self.run_pass(self.start())
        self.assert_left(small[0], sha1(4))

    def test_missing_history(self):
        self.set(image_cache_max_images=1)
        names = self.put_images(1, 2)
        self.booted(self.start(), 1, 9)
        os.unlink(self.history())

        self.run_pass(self.start())

        self.assert_left(names[1])
        self.assertEqual([], self.warnings())

    def test_glance_is_not_asked(self):
        self.set(image_cache_max_images=1)
        self.put_images(1, 2)

        with mock.patch.object(self.glance, 'show', autospec=True) as show:
            self.run_pass()

        show.assert_not_called()
        self.assertEqual(1, len(self.names()))


class TestNoneOrder(OrderTestCase):

    manager = 'none'

    def test_what_was_just_used_goes(self):
        needed = self.put_images(1)
        self.boot(1)
        self.put_images(2)
        self.put(f'{sha1(2)}_20')
        self.put('swap_512')

        self.run_pass()

        self.assert_left(*needed)

    def test_least_recently_used_goes_first_before_a_fetch(self):
        self.set(image_cache_max_images=2)
        names = self.put_images(3, 1, 2)
        self.glance.add(4, GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual({names[2]}, left)


class TestProtectedOrder(OrderTestCase):

    manager = 'protected'

    def test_what_was_fetched_in_vain_goes(self):
        self.set(image_cache_max_size_gb=1)
        names = self.put_images(1, age=99 * DAY)
        self.put(f'{sha1(2)}.part', age=DAY)

        self.run_pass()

        self.assert_left(*names)


class TestBadPolicies(OrderTestCase):
    """A manager can be wrong, and do no harm."""

    def run_bad(self, order=None, expired=None):
        """Make a pass of a manager with such methods.

        :returns: the files that may go
        """
        class Bad(managers.LargestFirst):
            pass

        if order:
            Bad.order = order
        if expired:
            Bad.expired = expired
        self.boot(1)
        self.put_images(1)
        unused = self.squeeze()
        self.run_pass(self.start(Bad))
        return unused

    def test_exception(self):
        def fail(_manager, entries, now):
            raise RuntimeError('no idea')

        unused = self.run_bad(order=fail)

        self.assert_left(sha1(1), *unused)
        self.assertEqual(1, len(self.errors()))
        for what in ('Bad', HOST):
            self.assertIn(what, self.errors()[0])

    def test_exception_halfway(self):
        def fail(_manager, entries, now):
            yield entries[0]
            raise RuntimeError('no idea')

        unused = self.run_bad(order=fail)

        self.assert_left(sha1(1), *unused)

    def test_exception_from_one_of_the_two(self):
        def fail(_manager, entries, now):
            raise RuntimeError('no idea')

        self.run_bad(expired=fail)

        self.assert_left(sha1(1))
        self.assertEqual(1, len(self.errors()))

    def test_what_is_no_entry(self):
        for answer in (None, 5, [None], ['x'], [sha1(1)]):
            unused = self.run_bad(
                order=lambda _manager, entries, now, answer=answer: answer)

            self.assertLessEqual({sha1(1), *unused}, self.names())

    def test_entries_that_may_not_go(self):
        def everything(manager, entries, now):
            return manager.store.entries()

        self.run_bad(order=everything, expired=everything)

        self.assert_left(sha1(1))

    def test_entries_of_its_own(self):
        with open(os.path.join(self.path, 'precious'), 'w') as file:
            file.write('x')

        def made_up(_manager, entries, now):
            return [dataclasses.replace(entry, name=name)
                    for name in ('../precious', sha1(1), '.', '', 'x')
                    for entry in entries]

        unused = self.run_bad(order=made_up, expired=made_up)

        self.assert_left(sha1(1), *unused)
        self.assertTrue(
            os.path.exists(os.path.join(self.path, 'precious')))

    def test_entries_that_it_has_changed(self):
        def changed(_manager, entries, now):
            return [dataclasses.replace(
                entry, size=0, used_ns=0, kind=None, sha1=None)
                for entry in entries]

        self.run_bad(order=changed)

        self.assert_left(sha1(1))
        self.assertIn(f'evicted 2 ({4 * GIB} bytes', self.logged()[-1])

    def test_same_entry_many_times(self):
        notifier = self.listen()
        self.set(image_cache_max_images=2)

        self.run_bad(expired=lambda _manager, entries, now: (
            list(entries[:1]) * 3 + list(entries[:1])))

        self.assert_left(sha1(1))
        self.assertEqual(2, len(self.evictions(notifier)))

    def test_entries_that_are_left_out(self):
        unused = self.run_bad(
            order=lambda _manager, entries, now: [
                entry for entry in entries if entry.name == sha1(902)])

        self.assert_left(sha1(1), unused[0])
        self.assertIn('still exceeded', self.logged()[-1])

    def test_only_what_may_go_is_shown(self):
        shown = []

        def look(_manager, entries, now):
            shown.append({entry.name for entry in entries})
            return ()

        self.set(protected_images=[image(2)])
        self.put_images(2)
        self.put(f'{sha1(3)}.part', age=DAY)

        unused = self.run_bad(order=look, expired=look)

        self.assertEqual([set(unused), set(unused)], shown)

    def test_boot_that_begins_while_the_manager_decides(self):
        class Store(directory.Directory):
            def claim(self, sha1):
                """Leave no trace."""

        def decide(manager, entries, now):
            boots.enter_context(manager.using(image(901)))
            return entries

        class Slow(managers.LargestFirst):
            order = decide

        self.squeeze()
        manager = self.start(Slow, store=Store(lambda: HOST))

        with contextlib.ExitStack() as boots:
            self.run_pass(manager)

        self.assert_left(sha1(901))

    def test_what_an_entry_tells(self):
        shown = []

        def look(_manager, entries, now):
            shown.extend(entries)
            return ()

        manager = self.start()
        self.booted(manager, 902, 2)
        self.run_bad(order=look)

        entry = next(one for one in shown if one.name == sha1(902))
        self.assertEqual(
            (image(902), 2 * GIB, sha1(902)),
            (entry.image_id, entry.size, entry.sha1))
        self.assertAlmostEqual(2.0, entry.boots, places=2)
        self.assertAlmostEqual(
            os.stat(os.path.join(self.cache, sha1(1))).st_mtime - 9 * DAY,
            entry.last_used, delta=600)

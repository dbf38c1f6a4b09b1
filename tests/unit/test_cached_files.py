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

import errno
import functools
import os
import time
import unittest
from unittest import mock

import fixtures

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import evictable
from cache_aware_sched import report
from cache_aware_sched.report import FileKind
from cache_aware_sched.virt import cached_files
from tests.unit import base
from tests.unit import factories

GIB = factories.GIB
SHA1 = report.image_sha1(factories.IMAGE)
OTHER = report.image_sha1(factories.OTHER_IMAGE)


CLOCKS = {'monotonic': time.monotonic, 'time': time.time}


class CachedFilesTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.set_nova(instances_path=self.useFixture(fixtures.TempDir()).path)
        self.path = directory.cache_dir()
        os.mkdir(self.path)
        self.listed = cached_files.CachedFiles(
            directory.Directory(lambda: 'h'))

    def write(self, name, size=1000, age=0):
        path = os.path.join(self.path, name)
        with open(path, 'wb') as file:
            file.truncate(size)
        then = time.time() - age
        os.utime(path, (then, then))
        return path

    def assert_files(self, *expected):
        def order(file):
            return file.sha1, file.kind, file.size

        self.assertEqual(
            sorted(expected, key=order),
            sorted(self.listed.files(), key=order))


class TestCachedFiles(CachedFilesTestCase):

    def test_complete_images(self):
        self.write(SHA1, 3 * GIB)
        self.write(OTHER, 5)

        self.assert_files(report.BaseFile(SHA1, 3 * GIB),
                          report.BaseFile(OTHER, 5))

    def test_old_images_are_complete(self):
        self.write(SHA1, age=10 ** 7)

        self.assert_files(report.BaseFile(SHA1, 1000))

    def test_empty_directory(self):
        self.assert_files()

    def test_missing_directory(self):
        os.rmdir(self.path)

        self.assert_files()
        os.mkdir(self.path)

    def test_arriving(self):
        for suffix in ('.part', '.converted'):
            path = self.write(SHA1 + suffix, 77)

            self.assert_files(report.BaseFile(SHA1, 77, FileKind.ARRIVING))
            os.unlink(path)

    def test_fetch_that_was_killed_long_ago(self):
        self.write(f'{SHA1}.part', age=3600)
        self.write(f'{OTHER}.converted', age=3600)

        self.assert_files()

    def test_conversion_of_what_was_fetched_some_time_ago(self):
        self.write(f'{SHA1}.part', age=3600)
        self.write(f'{SHA1}.converted', 5)

        self.assert_files(report.BaseFile(SHA1, 1000, FileKind.ARRIVING))

    def test_complete_image_that_is_fetched_again(self):
        for order in ((SHA1, f'{SHA1}.part'), (f'{SHA1}.part', SHA1)):
            for name in order:
                self.write(name, 9)

            self.assert_files(report.BaseFile(SHA1, 9))

    def test_resized_copies(self):
        self.write(SHA1)
        self.write(f'{SHA1}_20')
        self.write(f'{SHA1}_{40 * GIB}')

        self.assert_files(
            report.BaseFile(SHA1, 1000),
            report.BaseFile(SHA1, 20 * GIB, FileKind.RESIZED),
            report.BaseFile(SHA1, 40 * GIB, FileKind.RESIZED))

    def test_one_size_named_in_two_ways(self):
        self.write(f'{SHA1}_20')
        self.write(f'{SHA1}_{20 * GIB}')

        self.assert_files(report.BaseFile(SHA1, 20 * GIB, FileKind.RESIZED))

    def test_foreign_names(self):
        for name in ('swap_512', 'ephemeral_10_abcdef0', 'x', f'{SHA1}.bak',
                     f'{SHA1}_', f'{SHA1}_x', f'{SHA1}_-1', f'x{SHA1}',
                     f'{SHA1}x', SHA1[:-1], SHA1.upper(), f'{SHA1}.PART',
                     f'{SHA1}_20.part', f'{SHA1}\n', f'{SHA1}_{"9" * 19}',
                     f'{SHA1}_\u0661', f'.{SHA1}', f'{SHA1}.part.part'):
            self.write(name)

        self.assert_files()

    def test_directories_and_symlinks(self):
        target = self.write('target')
        os.mkdir(os.path.join(self.path, SHA1))
        os.mkdir(os.path.join(self.path, f'{SHA1}.part'))
        os.symlink(target, os.path.join(self.path, OTHER))
        os.symlink('nowhere', os.path.join(self.path, f'{OTHER}_20'))
        os.mkfifo(os.path.join(self.path, 'a' * 40))

        self.assert_files()

    def test_files_that_vanish(self):
        self.write(SHA1)
        self.write(f'{OTHER}.part')
        with os.scandir(self.path) as scanned:
            entries = list(scanned)
        for entry in entries:
            os.unlink(entry.path)

        with mock.patch('os.scandir', autospec=True) as scandir:
            scandir.return_value.__enter__.return_value = iter(entries)
            self.assert_files()

    @unittest.skipIf(os.geteuid() == 0, 'nothing is forbidden to root')
    def test_no_permission(self):
        os.chmod(self.path, 0)
        self.addCleanup(os.chmod, self.path, 0o700)

        self.assertRaises(PermissionError, self.listed.files)

    def test_path_that_is_no_directory(self):
        os.rmdir(self.path)
        with open(self.path, 'wb'):
            pass

        self.assertRaises(OSError, self.listed.files)


class TestChange(CachedFilesTestCase):

    def pass_by(self, seconds):
        """Let time go on, also for files whose time is yet to come."""
        self.passed = getattr(self, 'passed', 0) + seconds
        for name in ('monotonic', 'time'):
            self.useFixture(fixtures.MonkeyPatch(
                f'time.{name}', functools.partial(
                    lambda clock, passed: clock() + passed,
                    CLOCKS[name], self.passed)))

    def test_file_that_grows_under_its_final_name_is_arriving(self):
        path = self.write(SHA1, 1)
        self.listed.files()
        os.truncate(path, 2000)

        self.assert_files(report.BaseFile(SHA1, 2000, FileKind.ARRIVING))

    def test_file_that_grows_no_more_is_complete(self):
        path = self.write(SHA1, 1)
        self.listed.files()
        os.truncate(path, 2000)
        self.listed.files()

        self.pass_by(cached_files.COMPLETE_SECONDS + 1)

        self.assert_files(report.BaseFile(SHA1, 2000))

    def test_fetch_whose_time_is_yet_to_come_goes_on(self):
        self.write(f'{SHA1}.part', 5, age=-10 ** 6)

        for _look in range(2):
            self.assert_files(report.BaseFile(SHA1, 5, FileKind.ARRIVING))

    def test_fetch_that_was_killed_and_whose_time_is_yet_to_come(self):
        """It must not arrive for a year."""
        self.write(f'{SHA1}.part', 5, age=-10 ** 6)
        self.listed.files()

        self.pass_by(evictable.ABANDONED_SECONDS + 1)

        self.assert_files()

    def test_replaced_file_is_looked_at(self):
        self.write(SHA1, 1000)
        self.assert_files(report.BaseFile(SHA1, 1000))

        self.write(f'{SHA1}.new', 2000)
        os.rename(os.path.join(self.path, f'{SHA1}.new'),
                  os.path.join(self.path, SHA1))

        self.assert_files(report.BaseFile(SHA1, 2000))

    def test_file_that_went_and_came_is_looked_at(self):
        path = self.write(SHA1, 1000)
        self.listed.files()
        os.unlink(path)
        self.assert_files()

        self.write(SHA1, 2000)

        self.assert_files(report.BaseFile(SHA1, 2000))

    def test_image_that_arrived_is_complete(self):
        path = self.write(f'{SHA1}.part', 500)
        self.assert_files(report.BaseFile(SHA1, 500, FileKind.ARRIVING))

        os.rename(path, os.path.join(self.path, SHA1))

        self.assert_files(report.BaseFile(SHA1, 500))


class TestTrouble(CachedFilesTestCase):

    def test_file_that_another_host_has_removed(self):
        """The NFS client tells so in words of its own."""
        self.write(SHA1)
        self.write(OTHER)
        with os.scandir(self.path) as scanned:
            entries = list(scanned)
        stale = mock.Mock(spec=os.DirEntry)
        stale.name = SHA1
        stale.stat.side_effect = OSError(errno.ESTALE, 'Stale file handle')

        with mock.patch('os.scandir', autospec=True) as scandir:
            scandir.return_value.__enter__.return_value = iter([
                stale, *(one for one in entries if one.name == OTHER)])
            self.assert_files(report.BaseFile(OTHER, 1000))

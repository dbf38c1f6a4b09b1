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


import fcntl
import os
from unittest import mock

import fixtures

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import file_system
from tests.unit import base


class TestReflinks(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = self.useFixture(fixtures.TempDir()).path

    def of(self, kind):
        """Look at a real directory that is said to be of some kind."""
        with mock.patch.object(file_system, 'kind_of', autospec=True,
                               return_value=kind):
            return file_system.Reflinks().look(
                self.path, self.path).reflinks

    def test_file_system_that_never_has_them(self):
        self.assertIs(False, self.of('ext4'))

    def test_file_system_of_another_machine_is_not_tried(self):
        with mock.patch.object(fcntl, 'ioctl', autospec=True) as ioctl:
            for kind in ('nfs4', 'ceph', 'fuse.glusterfs', ''):
                self.assertIsNone(self.of(kind))

        ioctl.assert_not_called()

    def test_kernel_is_asked(self):
        """It says no of the file systems that machines of tests have."""
        if file_system.kind_of(self.path) not in file_system._NEVER_HAVE:
            self.skipTest('a file system that may have reflinks')

        self.assertIs(False, self.of('xfs'))

    def test_kernel_that_clones(self):
        with mock.patch.object(fcntl, 'ioctl', autospec=True):
            self.assertIs(True, self.of('xfs'))
        self.assertEqual([], os.listdir(self.path))

    def test_full_disk_says_nothing(self):
        with mock.patch.object(fcntl, 'ioctl', autospec=True,
                               side_effect=OSError(28, 'No space')):
            self.assertIsNone(self.of('btrfs'))

    def test_each_device_is_tried_once(self):
        reflinks = file_system.Reflinks()
        with mock.patch.object(file_system, '_try', autospec=True,
                               return_value=None) as trial:
            for _ in range(3):
                reflinks.look(self.path, self.path)

        trial.assert_called_once_with(self.path)

    def test_directory_that_is_not_there(self):
        gone = os.path.join(self.path, 'gone')

        self.assertEqual(file_system.FileSystem(),
                         file_system.Reflinks().look(gone, gone))

    def test_mounts_that_cannot_be_read(self):
        with mock.patch.object(file_system, 'kind_of', autospec=True,
                               side_effect=OSError):
            self.assertIsNone(file_system.Reflinks().look(
                self.path, self.path).reflinks)


class TestKind(base.TestCase):

    def test_of_what_every_linux_has(self):
        self.assertEqual('proc', file_system.kind_of('/proc/self'))
        self.assertEqual('sysfs', file_system.kind_of('/sys'))

    def test_deepest_and_last_mount_counts(self):
        mounts = self.useFixture(fixtures.TempDir()).join('mounts')
        with open(mounts, 'w') as file:
            for where, kind in (('/', 'ext4'), ('/var/lib', 'xfs'),
                                ('/var/lib', 'btrfs'), ('/var/li', 'nfs'),
                                ('/a\\040b', 'zfs')):
                file.write(f'1 2 8:1 / {where} rw shared:1 - {kind} x rw\n')
        real = open

        with mock.patch('builtins.open', lambda _path, **how: real(
                mounts, **how)):
            found = [file_system.kind_of(path) for path in (
                '/usr', '/var/lib/nova', '/var/lib', '/a b/c')]

        self.assertEqual(['ext4', 'btrfs', 'btrfs', 'zfs'], found)


class TestDirectory(base.TestCase):

    def test_device_of_its_own(self):
        """Of two that are never one."""
        self.assertIs(True, file_system.differ('/proc', '/sys'))
        self.assertIs(False, file_system.differ('/proc', '/proc'))
        self.assertIsNone(file_system.differ('/proc', '/no/such'))

    def test_cache_that_is_not_there_yet(self):
        where = directory.Directory(lambda: 'host')
        os.makedirs(where.instances_path, exist_ok=True)

        found = where.file_system()

        self.assertIsNone(found.own_device)
        self.assertEqual(
            file_system.Reflinks().look(
                where.instances_path, where.instances_path).reflinks,
            found.reflinks)

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

import contextlib
import errno
import fcntl
import os
import pathlib
import subprocess
import threading
from unittest import mock

import fixtures

from cache_aware_sched.neighbours import copying
from cache_aware_sched.neighbours import sending
from cache_aware_sched.neighbours.sending import Trouble
from cache_aware_sched.neighbours.sources import Source
from cache_aware_sched.neighbours import watching
from cache_aware_sched import report
from tests.unit import base
from tests.unit import factories
from tests.unit import neighbours

SHA1 = report.image_sha1(factories.IMAGE)
DATA = b'\x01disk' * 200_000
ADDRESS = '192.0.2.7'


class CopyTestCase(base.TestCase):
    """nova.conf says how; host `other` has the image."""

    TRANSPORT = 'rsync'

    def setUp(self):
        super().setUp()
        self.instances = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'instances')
        (self.instances / '_base').mkdir(parents=True)
        self.set_nova(instances_path=str(self.instances))
        self.set_nova('libvirt', remote_filesystem_transport=self.TRANSPORT)
        self.path = self.instances / '_base' / SHA1
        self.hosts = self.useFixture(neighbours.Hosts(self.instances))
        self.need_qemu_img()
        for name in ('LOOK_SECONDS', '_GRACE_SECONDS'):
            self.useFixture(fixtures.MockPatchObject(watching, name, 0.05))
        self.room = []

    @contextlib.contextmanager
    def make_room(self, size):
        self.room.append(size)
        yield

    def copy(self, size_code=None, converts=True):
        return copying.copy(
            Source('other', ADDRESS, size_code), str(self.path), converts,
            self.make_room)

    def assert_fails(self, trouble, text='', **kwargs):
        error = self.assertRaises(sending.CopyFailed, self.copy, **kwargs)
        self.assertIs(trouble, error.trouble, error)
        self.assertIn(text, str(error))
        self.assert_nothing_left()

    def assert_nothing_left(self):
        self.assertEqual([], os.listdir(self.instances / '_base'))


class TestRsync(CopyTestCase):

    def test_image_comes(self):
        self.hosts.add(ADDRESS, SHA1, DATA)

        self.assertEqual(len(DATA), self.copy())

        self.assertEqual(DATA, self.path.read_bytes())
        self.assertEqual([SHA1], os.listdir(self.path.parent))

    def test_it_has_another_name_until_all_of_it_is_there(self):
        self.hosts.add(ADDRESS, SHA1, DATA)
        seen = []

        def look(part, *args):
            seen.append((part, os.listdir(self.path.parent)))

        with mock.patch.object(copying, '_check_length', look):
            self.copy()

        self.assertEqual([(f'{self.path}.part', [f'{SHA1}.part'])], seen)

    def test_it_is_on_the_disk_before_it_has_its_name(self):
        """Else a host that loses power has a short file of that name."""
        self.hosts.add(ADDRESS, SHA1, DATA)
        synced = []

        def sync(file):
            synced.append((os.fstat(file.fileno()).st_ino,
                           os.listdir(self.path.parent)))

        with mock.patch.object(os, 'fsync', sync):
            self.copy()

        self.assertEqual([(self.path.stat().st_ino, [f'{SHA1}.part'])], synced)

    def test_room_is_made_for_it(self):
        other = self.hosts.add(ADDRESS, SHA1, DATA)
        path = other / '_base' / SHA1
        os.truncate(path, 2 ** 26)

        self.copy()

        whole = path.stat().st_blocks * 512
        self.assertEqual(
            [whole if self.TRANSPORT == 'rsync' else 2 ** 26], self.room)

    def test_what_is_left_of_one_that_was_killed(self):
        self.hosts.add(ADDRESS, SHA1, DATA)
        for name in (f'{SHA1}.part', f'.{SHA1}.part.aB3dE6'):
            (self.path.parent / name).write_bytes(b'half')

        self.copy()

        self.assertEqual([SHA1], os.listdir(self.path.parent))
        self.assertEqual(DATA, self.path.read_bytes())

    def test_host_refuses(self):
        self.hosts.add(ADDRESS, SHA1, DATA, 'refuses')

        self.assert_fails(Trouble.REFUSED, 'Permission denied')

    def test_host_is_not_there(self):
        self.assert_fails(Trouble.REFUSED)

    def test_host_does_not_answer(self):
        self.hosts.add(ADDRESS, SHA1, DATA, 'dead')

        with mock.patch.object(sending, 'ANSWER_SECONDS', 0.3):
            self.assert_fails(Trouble.NO_ANSWER)

    def test_shell_that_says_something_else(self):
        self.hosts.add(ADDRESS, SHA1, DATA, 'chatty')

        self.assert_fails(Trouble.REFUSED, 'Welcome, dear user')

    def test_image_is_gone(self):
        self.hosts.add(ADDRESS)

        self.assert_fails(Trouble.ABSENT)

    def test_image_that_is_no_file(self):
        host = self.hosts.add(ADDRESS)
        (host / '_base' / SHA1).mkdir()

        self.assert_fails(Trouble.ABSENT)

    def test_copy_breaks_off(self):
        self.hosts.add(ADDRESS, SHA1, DATA, 'breaks')

        error = self.assertRaises(sending.CopyFailed, self.copy)

        # scp sees that it was killed, or what has come is too short
        self.assertIn(error.trouble, (Trouble.BROKEN, Trouble.SIZE))
        self.assert_nothing_left()

    def test_copy_hangs(self):
        self.hosts.add(ADDRESS, SHA1, DATA, 'hangs')

        with mock.patch.object(watching, 'STALL_SECONDS', 0.5):
            self.assert_fails(Trouble.STALLED, 'not a byte came')

    def test_copy_takes_too_long(self):
        self.hosts.add(ADDRESS, SHA1, DATA, 'hangs')

        with mock.patch.object(watching, 'FIXED_SECONDS', 0.5):
            self.assert_fails(Trouble.STALLED, 'took longer')

    def test_host_that_sends_is_gone(self):
        self.hosts.add(ADDRESS, SHA1, DATA, 'leaves')

        self.assert_fails(Trouble.STALLED, 'does not answer any more')

    def test_image_that_becomes_shorter_meanwhile(self):
        self.hosts.add(ADDRESS, SHA1, DATA, 'shortens')

        self.assert_fails(Trouble.SIZE)

    def test_image_of_another_size_than_reported(self):
        """A file system that was damaged, say."""
        self.hosts.add(ADDRESS, SHA1, b'')

        self.assert_fails(Trouble.SIZE, 'reports another size',
                          size_code=report.size_code(len(DATA)))

    def test_image_of_the_size_that_is_reported(self):
        self.hosts.add(ADDRESS, SHA1, DATA)

        self.copy(report.size_code(len(DATA)))

        self.assertTrue(self.path.exists())

    def test_no_room(self):
        self.hosts.add(ADDRESS, SHA1, DATA)
        full = mock.Mock(free=len(DATA) // 2)

        with mock.patch.object(copying.shutil, 'disk_usage',
                               return_value=full):
            self.assertRaises(copying.DestinationFull, self.copy)

        self.assert_nothing_left()

    def test_disk_that_becomes_full(self):
        self.hosts.add(ADDRESS, SHA1, DATA, 'forgets')

        self.assertRaises(copying.DestinationFull, self.copy)

        self.assert_nothing_left()

    def test_place_is_given_back(self):
        self.set(fetch_from_hosts_concurrency=1)
        for fault in ('', 'breaks', 'shortens', ''):
            self.hosts.add(ADDRESS, SHA1, DATA, fault)
            with contextlib.suppress(sending.CopyFailed):
                self.copy()
            # Else the host would be busy now, and has nothing to lose
            self.path.unlink(missing_ok=True)
        host = self.hosts.root / ADDRESS
        self.assertEqual([f'{sending.LOCK_FILE}1'],
                         os.listdir(host / 'locks'))

    def test_host_is_busy(self):
        self.set(fetch_from_hosts_concurrency=2)
        host = self.hosts.add(ADDRESS, SHA1, DATA)
        held = []
        for number in (1, 2):
            file = (host / 'locks' / f'{sending.LOCK_FILE}{number}').open('w')
            self.addCleanup(file.close)
            fcntl.flock(file, fcntl.LOCK_EX)
            held.append(file)

        self.assertRaises(sending.Busy, self.copy)

        self.assert_nothing_left()
        held[1].close()
        self.copy()

    def test_no_more_than_that_many_at_a_time(self):
        self.set(fetch_from_hosts_concurrency=2)
        self.hosts.add(ADDRESS, SHA1, DATA)
        found, all_there = [], threading.Barrier(5)

        def hold():
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(sending.sending(
                        ADDRESS, str(self.path), f'{self.instances}/locks',
                        2, 600))
                    found.append('sends')
                except sending.Busy:
                    found.append('busy')
                all_there.wait(60)

        threads = [threading.Thread(target=hold) for _number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual(['busy'] * 3 + ['sends'] * 2, sorted(found))


class TestCheck(CopyTestCase):
    """Whether a copy could begin, without one."""

    def check(self):
        sending.check(ADDRESS, f'{self.instances}/locks')

    def test_host_that_lets_us_in(self):
        self.hosts.add(ADDRESS)

        self.check()

    def test_what_is_wrong(self):
        for fault, text in (
                ('refuses', 'Permission denied'),
                ('chatty', 'its shell says: Welcome')):
            self.hosts.add(ADDRESS, fault=fault)

            error = self.assertRaises(sending.CopyFailed, self.check)

            self.assertIn(text, str(error))

    def test_host_that_does_not_answer(self):
        self.hosts.add(ADDRESS, fault='dead')

        with mock.patch.object(sending, 'ANSWER_SECONDS', 0.3):
            error = self.assertRaises(sending.CopyFailed, self.check)

        self.assertIs(Trouble.NO_ANSWER, error.trouble)


class TestScp(TestRsync):

    TRANSPORT = 'ssh'

    def test_disk_that_becomes_full(self):
        self.hosts.add(ADDRESS, SHA1, DATA)
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with mock.patch.object(copying.remotefs.RemoteFilesystem, 'copy_file',
                               side_effect=error):
            self.assertRaises(copying.DestinationFull, self.copy)

        self.assert_nothing_left()


class TestUsable(CopyTestCase):
    """What comes is looked at as nova looks at what Glance has sent."""

    def qemu_img(self, *arguments):
        subprocess.run(['qemu-img', *arguments], check=True,
                       capture_output=True)

    def other(self):
        host = self.hosts.add(ADDRESS)
        return host / '_base' / SHA1

    def test_qcow2_where_images_are_kept_as_they_are(self):
        self.set_nova(force_raw_images=False)
        self.qemu_img('create', '-f', 'qcow2', str(self.other()), '10M')

        self.copy()

        self.assertTrue(self.path.exists())

    def test_qcow2_where_images_are_made_raw(self):
        self.qemu_img('create', '-f', 'qcow2', str(self.other()), '10M')

        self.assert_fails(Trouble.UNFIT, 'it is qcow2')

    def test_backing_file(self):
        self.set_nova(force_raw_images=False)
        for disabled in (False, True):
            self.set_nova('workarounds',
                          disable_deep_image_inspection=disabled)
            self.qemu_img('create', '-f', 'qcow2', '-u', '-b', '/etc/passwd',
                          '-F', 'raw', str(self.other()), '10M')

            self.assert_fails(Trouble.UNFIT)

    def test_data_file(self):
        self.set_nova(force_raw_images=False)
        for disabled in (False, True):
            self.set_nova('workarounds',
                          disable_deep_image_inspection=disabled)
            data = self.useFixture(fixtures.TempDir()).join('data')
            self.qemu_img('create', '-f', 'qcow2', '-o', f'data_file={data}',
                          str(self.other()), '10M')

            self.assert_fails(Trouble.UNFIT)

    def test_damaged_qcow2(self):
        self.set_nova(force_raw_images=False)
        other = self.other()
        self.qemu_img('create', '-f', 'qcow2', str(other), '10M')
        with other.open('r+b') as file:
            file.seek(4)
            file.write(b'\xff' * 100)

        self.assert_fails(Trouble.UNFIT)

    def test_kernel(self):
        self.other().write_bytes(b'QFI\xfb a kernel may be anything')

        self.copy(converts=False)

        self.assertTrue(self.path.exists())

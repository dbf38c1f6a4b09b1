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

import os
import pathlib
import subprocess
from unittest import mock

import fixtures
import hypothesis
from hypothesis import strategies as st
from nova.virt.libvirt.volume import remotefs
from oslo_utils.imageutils import format_inspector

from tests.cloud import disk
from tests.cloud import environment
from tests.cloud import namespace
from tests.cloud import procfs
from tests.cloud import remote
from tests.unit import base

#: Longer than any number of a process.
NO_PID = 1 << 30

#: Says what it is asked for, and does it on this host.
NSENTER = """#!/bin/sh
echo "$*" >>{log}
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


class FilesTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)


class TestProcfs(base.TestCase):

    @staticmethod
    def line(pid=1, name='sh', state='S', group=2, session=3, start=4):
        return (f'{pid} ({name}) {state} 0 {group} {session}'
                f'{" 0" * 15} {start}{" 0" * 30}\n')

    @hypothesis.given(st.text())
    @hypothesis.example('Web Content')
    @hypothesis.example(') S 1 2 3 (')
    @hypothesis.example('two\nlines')
    def test_any_name(self, name):
        line = self.line(77, name, 'R', group=8, session=9, start=10 ** 12)

        self.assertEqual(
            procfs.Stat(77, 'R', parent=0, group=8, session=9,
                        start=10 ** 12),
            procfs.parse(line))

    def test_what_is_no_line(self):
        for text in ('', '\n', 'sleep', '1 (sh)', '1 (sh) S 0 2 3\n',
                     self.line(pid='x'), self.line(start='x'),
                     self.line()[self.line().index(')'):]):
            self.assertRaises(ValueError, procfs.parse, text)

    def test_what_only_waits_for_its_parent_does_not_run(self):
        for state in 'RSDTtI':
            self.assertTrue(procfs.parse(self.line(state=state)).running)
        for state in 'ZX':
            self.assertFalse(procfs.parse(self.line(state=state)).running)

    def test_real_process(self):
        found = procfs.stat(os.getpid())

        self.assertEqual(
            (os.getpid(), os.getpgid(0), os.getsid(0), True),
            (found.pid, found.group, found.session, found.running))
        self.assertIn(found.pid, [one.pid for one in procfs.processes()])

    def test_no_process(self):
        self.assertIsNone(procfs.stat(NO_PID))
        self.assertEqual(('', '', '', 0), (
            procfs.name(NO_PID), procfs.mounts(NO_PID),
            procfs.output(NO_PID), procfs.memory(NO_PID)))

    def test_names_that_are_no_utf_8(self):
        """Linux cuts them after 15 bytes, also within a character."""
        program = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'é' * 10)
        program.symlink_to('/bin/sleep')

        with subprocess.Popen([program, '60']) as process:
            self.addCleanup(process.kill)
            found = procfs.stat(process.pid)
            process.kill()

        self.assertIsNotNone(found)

    def test_mounts_that_are_no_utf_8(self):
        """Anybody's: those of all processes are looked at."""
        proc = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (proc / '1').mkdir()
        (proc / '1' / 'mountinfo').write_bytes(b'/mnt/\xff\n/run-1/hosts/')
        (proc / '1' / 'comm').write_bytes(b'caf\xc3\n')

        with mock.patch.object(procfs, 'PROC', proc):
            self.assertIn('/run-1/hosts/', procfs.mounts(1))
            self.assertIn('caf', procfs.name(1))


class TestDisk(FilesTestCase):

    def setUp(self):
        super().setUp()
        self.disk = self.path / 'disk'

    def test_boot_sector(self):
        boot = disk.sectors('text')[:disk.SECTOR]

        self.assertEqual(b'\x55\xaa', boot[-2:])
        self.assertEqual(1, boot.count(disk.FAILED))
        # It is loaded to 0x7c00; "mov si" is 0xbe.
        where = 0x7c00 + boot.index(disk.FAILED)
        self.assertIn(b'\xbe' + where.to_bytes(2, 'little'), boot)

    def test_text_ends_in_the_second_sector(self):
        for text in ('', 'text', 'x' * 500):
            made = disk.sectors(text)

            self.assertEqual(2 * disk.SECTOR, len(made))
            printed, zero, _rest = made[disk.SECTOR:].partition(b'\0')
            self.assertEqual((text.encode(), b'\0'), (printed, zero))

    def test_text_that_cannot_be_printed(self):
        for text in ('é', 'x' * disk.SECTOR, 'x' * 1000):
            self.assertRaises(ValueError, disk.sectors, text)

    def test_size(self):
        for size in (1, disk.MIB, 3 * disk.MIB + 512):
            disk.write(self.disk, 'text', size)

            self.assertEqual(max(size, disk.MIB), self.disk.stat().st_size)

    def test_it_takes_no_room(self):
        disk.write(self.disk, 'text', 1 << 30)

        self.assertLess(self.disk.stat().st_blocks * 512, disk.MIB)

    def test_a_line_is_printed(self):
        disk.write(self.disk, 'a word')

        self.assertTrue(self.disk.read_bytes()[disk.SECTOR:].startswith(
            b'a word\r\n\0'))

    def test_nova_takes_it_for_a_disk(self):
        disk.write(self.disk, 'text')

        format_inspector.detect_file_format(str(self.disk)).safety_check()


class TestHost(FilesTestCase):

    def prepared(self):
        """Return the users and groups that there are on a new host."""
        namespace.prepare('compute1', self.path / 'host', self.path / 'shared')
        return [[line.split(':')[0] for line
                 in (self.path / 'host' / name).read_text().splitlines()]
                for name in ('passwd', 'group')]

    def test_the_user_of_the_guests_is_there_once(self):
        """Else libvirt ends: the Debian package that has it is not wanted."""
        for names in self.prepared():
            self.assertEqual(1, names.count('libvirt-qemu'), names)
            self.assertIn('root', names)

    def test_a_user_that_the_machine_has_stays_as_it_is(self):
        line = 'libvirt-qemu:x:7:8::/:/bin/false\n'
        for text in (f'a:x:1:1::/:/bin/sh\n{line}', line):
            self.assertEqual(
                text, namespace._with_user(text, 'libvirt-qemu:x:1:\n'))
        self.assertEqual('old-libvirt-qemu:x:1:\nlibvirt-qemu:x:2:\n',
                         namespace._with_user('old-libvirt-qemu:x:1:',
                                              'libvirt-qemu:x:2:\n'))


class TestRemote(FilesTestCase):
    """What nova does with ssh and scp."""

    HOST, OTHER = '127.0.1.1', '127.0.1.2'

    def setUp(self):
        super().setUp()
        self.bin = self.path / 'bin'
        self.asked = self.path / 'asked'
        self.install({self.HOST: 4711, self.OTHER: 4712})
        nsenter = self.bin / 'nsenter'
        nsenter.write_text(NSENTER.format(log=self.asked))
        nsenter.chmod(0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{self.bin}:{os.environ["PATH"]}'))
        self.nova = remotefs.RemoteFilesystem()

    def install(self, pids):
        records = {}
        for address, pid in pids.items():
            records[address] = self.path / f'{pid}.pid'
            records[address].write_text(f'{pid} (sleep) S 1 2 3\n')
        remote.install(self.bin, records)

    def test_they_are_shell_scripts(self):
        for name in ('ssh', 'scp'):
            subprocess.run(['sh', '-n', self.bin / name], check=True)

    def test_command(self):
        self.nova.create_dir(self.OTHER, str(self.path / 'a' / 'b'))

        self.assertTrue((self.path / 'a' / 'b').is_dir())
        self.assertTrue(self.asked.read_text().startswith(
            '--target=4712 --mount --uts -- '))

    def test_command_that_fails(self):
        done = subprocess.run(['ssh', self.HOST, 'exit 3'], check=False)

        self.assertEqual(3, done.returncode)

    def test_host_that_is_not_there(self):
        done = subprocess.run(['ssh', '127.0.1.9', 'true'], check=False,
                              stderr=subprocess.DEVNULL)

        self.assertEqual(255, done.returncode)
        self.assertFalse(self.asked.exists())

    def test_host_that_was_started_again(self):
        self.install({self.OTHER: 5000})

        self.nova.create_file(self.OTHER, str(self.path / 'new'))

        self.assertIn('--target=5000 ', self.asked.read_text())

    def test_copies(self):
        """To another host, and from it."""
        source, target = self.path / 'disk', self.path / 'copy'
        disk.write(source, 'text')
        for one, other in ((source, f'{self.OTHER}:{target}'),
                           (f'{self.OTHER}:{source}', target)):
            self.nova.copy_file(str(one), str(other))

            self.assertEqual(source.read_bytes(), target.read_bytes())
            target.unlink()

        self.assertEqual(2, self.asked.read_text().count('--target=4712 '))


class TestOurWheel(FilesTestCase):

    def test_files_that_it_is_made_of(self):
        wanted = ('setup.py', 'cache_aware_sched/a.py',
                  'cache_aware_sched/b/c.py', 'nova/virt/d.py')
        for name in (*wanted, 'cache_aware_sched/__pycache__/a.pyc',
                     'nova/virt/__pycache__/d.pyc', 'tests/e.py',
                     'build/lib/cache_aware_sched/a.py'):
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

        self.assertCountEqual(
            wanted, [str(path.relative_to(self.path))
                     for path in environment._files(self.path)])

    def test_all_of_it_is_there(self):
        """What is not would be left out without a word."""
        for name in environment.SOURCES:
            self.assertTrue((environment.CHECKOUT / name).exists(), name)

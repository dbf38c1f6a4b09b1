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
import dataclasses
import json
import math
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from unittest import mock

import fixtures
import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.imagecache import backing
from cache_aware_sched.imagecache import entry
from cache_aware_sched.imagecache import qcow2
from tests.unit import base
from tests.unit import factories
from tests.unit import managers

A, B, C = (letter * 40 for letter in 'abc')
A_20 = f'{A}_20'
NAMES = frozenset([A, A_20, B, C, 'swap_512', 'ephemeral_1_default'])
ENTRIES = [entry.Entry(name, entry.parse(name).kind, entry.parse(name).sha1,
                       1, 0, inode, length=1)
           for inode, name in enumerate(NAMES, start=1)]
MAGIC = b'QFI\xfb'
NOBODY = 65534


def head(offset, size, magic=MAGIC, version=3):
    """Return the beginning of a qcow2 file."""
    return struct.pack('>4sIQI', magic, version, offset, size)


def overlay(name):
    """Return a file that says that it is made on top of another."""
    name = os.fsencode(name)
    return head(20, len(name)) + name


class BackingTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        # Other users can look into it.
        self.top = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path).resolve()
        self.instances = self.top / 'instances'
        self.cache = self.instances / '_base'
        self.cache.mkdir(parents=True)
        self.disk = self.instances / factories.new_uuid() / 'disk'
        self.disk.parent.mkdir()

    def write(self, path, data=b''):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def used(self, known=()):
        return backing.Disks().used(
            str(self.instances), str(self.cache), ENTRIES, known, -math.inf)

    def assert_used(self, *expected, known=()):
        self.assertEqual(set(expected), self.used(known))

    def assert_unreadable(self, path):
        with self.assertRaises(backing.UnreadableDisk) as caught:
            self.used()

        self.assertIn(str(path), str(caught.exception))


class TestMadeWithQEMU(BackingTestCase):
    """Files as nova has them made."""

    def setUp(self):
        super().setUp()
        self.need_qemu_img()

    def create(self, path, *options, below=None, format_of_below='raw'):
        if below is not None:
            options = (*options, '-b', str(below), '-F', format_of_below)
        subprocess.run(
            ['qemu-img', 'create', '-q', '-f', 'qcow2', *options, str(path),
             '1M'], check=True, timeout=100)
        return path

    def base_file(self, name=A):
        path = self.cache / name
        with path.open('wb') as file:
            file.truncate(2 ** 20)
        return path

    def assert_backing(self, expected, path):
        self.assertEqual(str(expected), qcow2.backing_file(str(path)))

    def test_head_is_what_other_tests_write(self):
        below = self.base_file()
        self.create(self.disk, below=below)
        written = managers.make_qcow2(
            str(self.disk.with_name('written')), str(below))

        with open(written, 'rb') as file:
            self.assertEqual(qcow2.backing_file(str(self.disk)),
                             qcow2.backing_file(written))
            subprocess.run(['qemu-img', 'info', '-U', str(self.disk)],
                           check=True, capture_output=True, timeout=100)
            self.assertEqual(self.disk.read_bytes()[:8], file.read(8))

    def test_flat_raw_disk(self):
        self.base_file()
        with self.disk.open('wb') as file:
            file.truncate(2 ** 20)

        self.assert_backing('', self.disk)
        self.assert_used()

    def test_qcow2_without_a_backing_file(self):
        self.base_file()
        self.create(self.disk)

        self.assert_backing('', self.disk)
        self.assert_used()

    def test_qcow2_on_a_base_file(self):
        below = self.base_file()
        self.base_file(B)
        self.create(self.disk, below=below)

        self.assert_backing(below, self.disk)
        self.assert_used(A)

    def test_versions(self):
        below = self.base_file()
        for version, compat in ((2, '0.10'), (3, '1.1')):
            path = self.create(
                self.disk, '-o', f'compat={compat}', below=below)

            self.assertEqual(version, path.read_bytes()[7])
            self.assert_backing(below, path)
            self.assert_used(A)

    def test_qcow(self):
        below = self.base_file()
        self.create(self.disk, '-f', 'qcow', below=below)

        self.assertEqual(1, self.disk.read_bytes()[7])
        self.assert_backing(below, self.disk)

    def test_other_formats(self):
        for name in ('vmdk', 'vdi', 'vpc', 'qed'):
            self.create(self.disk, '-f', name)

            self.assert_backing('', self.disk)

    def test_small_clusters(self):
        below = self.base_file()
        self.create(self.disk, '-o', 'cluster_size=512', below=below)

        self.assert_backing(below, self.disk)

    def test_resized_copy(self):
        below = self.base_file(A_20)
        self.create(self.disk, below=below)

        self.assert_used(A_20)

    def test_swap_and_ephemeral_disks(self):
        for name in ('swap_512', 'ephemeral_1_default'):
            self.create(self.disk.with_name(f'disk.{name}'),
                        below=self.base_file(name))

        self.assert_used('swap_512', 'ephemeral_1_default')

    def test_chain_of_three(self):
        bottom = self.base_file(B)
        middle = self.create(self.cache / A, below=bottom)
        self.create(self.disk, below=middle, format_of_below='qcow2')

        self.assert_used(A, B)

    def test_chain_of_three_on_the_side_of_the_instance(self):
        """As a snapshot of a running server leaves it."""
        below = self.base_file()
        middle = self.create(self.disk.with_name('base'), below=below)
        self.create(self.disk, below=middle, format_of_below='qcow2')

        self.assert_used(A)

    def test_chain_from_what_is_used_anyway(self):
        bottom = self.base_file(C)
        middle = self.create(self.cache / B, below=bottom)
        self.create(self.cache / A, below=middle, format_of_below='qcow2')

        self.assert_used(A, B, C, known=[A])
        self.assert_used()

    def test_relative_name(self):
        self.base_file()
        self.create(self.disk, below=f'../_base/{A}')

        self.assert_backing(f'../_base/{A}', self.disk)
        self.assert_used(A)

    def test_relative_name_in_the_cache(self):
        self.base_file(B)
        self.create(self.cache / A, below=B)

        self.assert_used(A, B, known=[A])

    def test_json_name(self):
        name = 'json:' + json.dumps({
            'driver': 'raw', 'file': {
                'driver': 'file', 'filename': str(self.base_file())}})
        self.create(self.disk, below=name)

        self.assertIn('json:', qcow2.backing_file(str(self.disk)))
        self.assert_used(A)

    def test_name_with_a_protocol(self):
        self.base_file()
        self.create(self.disk, below=f'file:{self.cache}/{A}')

        self.assert_used(A)

    def test_other_directory(self):
        """The cache had another path when the disk was made."""
        self.base_file()
        self.create(self.disk, '-u', below=f'/srv/nova/old/_base/{A}')

        self.assert_used(A)

    def test_base_file_that_is_not_there(self):
        self.create(self.disk, '-u', below=self.cache / A)

        self.assert_used(A)

    def test_no_entry_of_the_cache(self):
        self.create(self.disk, '-u', below=f'/srv/{A}.bak')

        self.assert_used()

    def test_longest_name(self):
        name = '/'.join(['x' * 99] * 9 + [A])
        self.create(self.disk, '-u', below=name)

        self.assert_backing(name, self.disk)
        self.assert_used(A)

    def test_rebased_disk(self):
        self.create(self.disk, below=self.base_file(A))
        subprocess.run(
            ['qemu-img', 'rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b',
             str(self.base_file(B)), str(self.disk)], check=True, timeout=100)

        self.assert_used(B)

    def test_disk_that_was_cut_loose(self):
        self.create(self.disk, below=self.base_file())
        subprocess.run(
            ['qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', '',
             str(self.disk)], check=True, timeout=100)

        self.assert_used()


class TestHead(BackingTestCase):
    """A guest with a raw disk can write what it likes into it."""

    def assert_backing(self, expected, data):
        self.write(self.disk, data)

        self.assertEqual(expected, qcow2.backing_file(str(self.disk)))

    def test_name(self):
        self.assert_backing('/x/y', overlay('/x/y'))

    def test_name_anywhere_in_the_file(self):
        self.assert_backing(
            'name', head(5000, 4) + b'x' * 4980 + b'name' + b'x' * 10)

    def test_no_offset(self):
        self.assert_backing('', head(0, 4) + b'name')

    def test_no_length(self):
        self.assert_backing('', head(20, 0) + b'name')

    def test_another_magic(self):
        self.assert_backing('', head(20, 4, b'QED\0') + b'name')

    def test_truncated(self):
        data = overlay(A)
        for length in range(20):
            self.assert_backing('', data[:length])

    def test_name_that_is_cut_off(self):
        self.assert_backing('', head(20, 4))
        self.assert_backing('na', head(20, 4) + b'na')

    def test_offset_beyond_the_file(self):
        self.assert_backing('', head(21, 4))

    def test_huge_offsets(self):
        """None of them is where a file can be."""
        for offset in (2 ** 31, 2 ** 32, 2 ** 40, 2 ** 62, 2 ** 63 - 4096,
                       2 ** 63 - 1024, 2 ** 63 - 1023, 2 ** 63 - 1, 2 ** 63,
                       2 ** 63 + 1, 2 ** 64 - 1):
            for size in (1, 1023, 2 ** 32 - 1):
                self.assert_backing('', head(offset, size))

    def test_huge_offset_is_no_reason_to_keep_everything(self):
        for offset in (2 ** 62, 2 ** 63 - 1, 2 ** 64 - 1):
            self.write(self.disk, head(offset, 1023))

            self.assert_used()

    def test_huge_length(self):
        """No more is read than a name can be long."""
        self.assert_backing('x' * 1023, head(20, 2 ** 32 - 1) + b'x' * 5000)

    def test_no_text(self):
        self.write(self.disk, overlay(b'\xff\0/' + A.encode()))

        self.assert_used(A)

    def test_any_version(self):
        for version in (0, 1, 2, 3, 4, 2 ** 32 - 1):
            self.assert_backing('name', head(20, 4, version=version) + b'name')

    def test_empty_file(self):
        self.assert_backing('', b'')

    def test_missing_file(self):
        self.assertRaises(
            FileNotFoundError, qcow2.backing_file, str(self.disk))

    def test_it_is_not_changed(self):
        self.write(self.disk, overlay(A))
        os.utime(self.disk, (1, 2))

        qcow2.backing_file(str(self.disk))

        self.assertEqual(2, self.disk.stat().st_mtime)
        self.assertEqual(overlay(A), self.disk.read_bytes())

    def test_it_is_not_left_open(self):
        for data in (overlay(A), b'', head(2 ** 64 - 1, 1)):
            self.write(self.disk, data)
            qcow2.backing_file(str(self.disk))

        links = []
        for link in pathlib.Path('/proc/self/fd').iterdir():
            with contextlib.suppress(OSError):
                links.append(os.readlink(link))
        self.assertNotIn(str(self.disk), links)

    @hypothesis.example(head(2 ** 63 - 1, 2 ** 32 - 1))
    @hypothesis.given(st.one_of(st.binary(max_size=60), st.builds(
        lambda fields, rest: head(*fields) + rest,
        st.tuples(st.one_of(st.integers(0, 60), st.integers(0, 2 ** 64 - 1)),
                  st.one_of(st.integers(0, 60), st.integers(0, 2 ** 32 - 1)),
                  st.one_of(st.just(MAGIC), st.binary(min_size=4,
                                                      max_size=4))),
        st.binary(max_size=60))))
    def test_any_bytes(self, data):
        self.write(self.disk, data)

        name = qcow2.backing_file(str(self.disk))

        self.assertLessEqual(len(name), len(data))
        self.assert_used()

    @hypothesis.given(st.text(max_size=20), st.sampled_from(sorted(NAMES)),
                      st.sampled_from('/:'))
    def test_any_name(self, directory, name, separator):
        self.write(self.disk, overlay(
            f'{directory}{separator}{name}'.encode('utf-8', 'replace')))

        self.assert_used(name)


class TestWords(BackingTestCase):
    """Which entries a name names."""

    def names(self, text):
        self.write(self.disk, overlay(text))
        return self.used()

    def test_whole_names_only(self):
        for text in (f'x{A}', f'{A}x', f'{A}.part', f'{A}_2', f'{A}_200',
                     f'{A}-{B}', f'/{A}.d/disk', A[:-1], ''):
            self.assertEqual(set(), self.names(text))

    def test_copy_is_not_its_image(self):
        self.assertEqual({A_20}, self.names(f'/_base/{A_20}'))
        self.assertEqual({A}, self.names(f'/_base/{A}'))

    def test_json(self):
        for text in (
                f'json:{{"driver":"raw","file":{{"filename":"/x/{A}"}}}}',
                f'json:{{"file.filename": "\\/x\\/{A}"}}',
                f'json:{{"file":{{"filename":"{A}"}},"size":1}}'):
            self.assertEqual({A}, self.names(text))

    def test_last_part_of_a_path_only(self):
        """A guest that writes a head keeps one entry at most."""
        self.assertEqual({B}, self.names(f'/{A}/{B}'))
        for text in (f'{A} {B}', f'"{A}"', f"{A},{B}",
                     f'json:{{"a": "{A}", "file": ["{B}"]}}',
                     f'json:{{"file": {{"backing": "{A}"}}}}',
                     f'json:"{A}"', 'json:' + '[' * 1000):
            self.assertEqual(set(), self.names(text), text)

    def test_what_is_no_json_after_all(self):
        """It keeps what it ends with: keeping too much does no harm."""
        for text in (f'json:{A}', f'json:/{A}', f'json:{{/{A}'):
            self.assertEqual({A}, self.names(text), text)

    def test_protocol(self):
        self.assertEqual({A}, self.names(f'file:{A}'))


class TestDirectories(BackingTestCase):

    def test_nothing(self):
        self.disk.parent.rmdir()

        self.assert_used()

    def test_no_directory_at_all(self):
        shutil.rmtree(self.instances)

        self.assert_used()

    def test_no_cache(self):
        self.cache.rmdir()

        self.assert_used(A, known=[A])

    def test_what_is_known_is_used(self):
        self.assert_used(A, B, known=[A, B])

    def test_all_disks_of_an_instance(self):
        for disk, name in (('disk', A), ('disk.eph0', 'ephemeral_1_default'),
                           ('disk.swap', 'swap_512'), ('disk.rescue', B),
                           ('disk.local', C)):
            self.write(self.disk.with_name(disk), overlay(f'/_base/{name}'))

        self.assert_used(A, B, C, 'ephemeral_1_default', 'swap_512')

    def test_file_of_any_name(self):
        self.write(self.disk.with_name('other'), overlay(A))

        self.assert_used(A)

    def test_both_ends_of_a_resize(self):
        self.write(self.disk, overlay(A))
        self.write(self.instances / f'{self.disk.parent.name}_resize/disk',
                   overlay(B))

        self.assert_used(A, B)

    def test_instance_that_is_being_deleted(self):
        self.write(self.instances / f'{self.disk.parent.name}_del/disk',
                   overlay(A))

        self.assert_used(A)

    def test_instance_of_an_old_release(self):
        self.write(self.instances / 'instance-0000002a/disk', overlay(A))

        self.assert_used(A)

    def test_directory_of_any_name(self):
        self.write(self.instances / 'snapshots/disk', overlay(A))

        self.assert_used(A)

    def test_directory_in_an_instance(self):
        self.write(self.disk.with_name('below') / 'disk', overlay(A))

        self.assert_used(A)

    def test_snapshot_that_is_made(self):
        self.write(self.instances / 'snapshots/tmpx/disk.delta', overlay(A))

        self.assert_used(A)

    def test_locks_and_cache_are_not_looked_into(self):
        self.write(self.instances / 'locks/nova-x', overlay(A))
        self.write(self.cache / B, overlay(C))

        self.assert_used()

    def test_cache_of_another_name(self):
        self.cache = self.instances / 'images'
        self.write(self.cache / A, overlay(B))

        self.assert_used()

    def test_file_beside_the_instances(self):
        self.write(self.instances / 'compute_nodes', b'{}')
        self.write(self.instances / 'disk', overlay(A))

        self.assert_used()

    def test_chain_in_the_cache_is_followed(self):
        self.write(self.disk, overlay(A))
        self.write(self.cache / A, overlay(B))
        self.write(self.cache / B, overlay(C))

        self.assert_used(A, B, C)

    def test_chain_in_a_circle(self):
        self.write(self.disk, overlay(A))
        self.write(self.cache / A, overlay(B))
        self.write(self.cache / B, overlay(A))

        self.assert_used(A, B)

    def test_many_disks_on_one_base_file(self):
        for _instance in range(20):
            self.write(self.instances / factories.new_uuid() / 'disk',
                       overlay(A))

        self.assert_used(A)


class TestLinks(BackingTestCase):

    def test_instance_on_another_disk(self):
        elsewhere = self.top / 'elsewhere'
        self.write(elsewhere / 'disk', overlay(A))
        self.disk.parent.rmdir()
        self.disk.parent.symlink_to(elsewhere)

        self.assert_used(A)

    def test_disk_on_another_disk(self):
        self.disk.symlink_to(self.write(self.top / 'elsewhere', overlay(A)))

        self.assert_used(A)

    def test_links_that_lead_nowhere(self):
        self.disk.symlink_to('nowhere')
        self.disk.with_name('below').symlink_to('nowhere')
        (self.instances / factories.new_uuid()).symlink_to('nowhere')

        self.assert_used()

    def test_instance_in_a_circle(self):
        name = factories.new_uuid()
        (self.instances / name).symlink_to(name)

        self.assert_used()

    def test_disk_in_a_circle(self):
        """Nobody can tell what it should be."""
        self.disk.symlink_to('disk')

        self.assert_unreadable(self.disk)

    def test_other_file_in_a_circle(self):
        self.disk.with_name('other').symlink_to('other')

        self.assert_used()

    def test_link_to_where_it_is(self):
        self.write(self.disk, overlay(A))
        self.disk.with_name('up').symlink_to('..')
        (self.instances / 'self').symlink_to('.')

        self.assert_used(A)


class TestOtherFiles(BackingTestCase):

    def test_pipe_is_not_waited_for(self):
        os.mkfifo(self.disk)
        os.mkfifo(self.disk.with_name('console.fifo'))

        self.assert_used()

    def test_device(self):
        self.disk.symlink_to('/dev/zero')

        self.assert_used()

    def test_socket(self):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.disk.with_name('agent.sock')))

            self.assert_used()

    def test_directory_named_disk(self):
        self.disk.mkdir()

        self.assert_used()

    def test_what_goes_meanwhile(self):
        self.write(self.disk, overlay(A))
        gone = self.instances / factories.new_uuid()
        self.write(gone / 'disk', overlay(B))

        with self.when_listed(gone, lambda: shutil.rmtree(gone)):
            self.assert_used(A)

    def test_disk_that_goes_meanwhile(self):
        self.write(self.disk.with_name('disk.eph0'), overlay(A))
        self.write(self.disk, overlay(B))

        with self.when_listed(self.disk.parent, self.disk.unlink, after=True):
            self.assert_used(A)

    def when_listed(self, directory, function, after=False):
        """Have something happen when a directory is listed."""
        scandir = os.scandir

        def list_(path):
            if path != str(directory):
                return scandir(path)
            if not after:
                function()
            with scandir(path) as entries:
                found = list(entries)
            function()
            return contextlib.nullcontext(found)

        return mock.patch.object(os, 'scandir', list_)


class TestNoPermission(BackingTestCase):
    """Nothing is said to be free that might not be."""

    def setUp(self):
        super().setUp()
        # oslotest's directory for the temporary files of this test.
        for path in (pathlib.Path(tempfile.gettempdir()), self.top):
            path.chmod(0o711)

    @contextlib.contextmanager
    def as_another_user(self):
        """Give up root's privileges, to which nothing is forbidden."""
        if os.geteuid() != 0:
            yield
            return
        try:
            os.seteuid(NOBODY)
        except OSError as error:
            self.skipTest(f'root cannot be another user here: {error}')
        try:
            if not os.access(self.top, os.X_OK, effective_ids=True):
                self.skipTest(f'other users have no access to {self.top}')
            yield
        finally:
            os.seteuid(0)

    def forbid(self, path, mode=0):
        self.addCleanup(self.allow, path, path.stat().st_mode)
        path.chmod(mode)

    def allow(self, path, mode):
        with contextlib.suppress(FileNotFoundError):
            path.chmod(mode)

    def used(self, known=()):
        with self.as_another_user():
            return super().used(known)

    def test_disk(self):
        self.forbid(self.write(self.disk, overlay(A)))

        self.assert_unreadable(self.disk)

    def test_other_disks(self):
        for name in ('disk.eph0', 'disk.rescue', 'disk.local', 'disk.config'):
            path = self.write(self.disk.with_name(name))
            self.forbid(path)

            self.assert_unreadable(path)

            path.unlink()

    def test_why_is_told(self):
        self.forbid(self.write(self.disk))

        self.assert_unreadable(f'{self.disk}: Permission denied')

    def test_disk_in_a_directory_of_an_instance(self):
        path = self.write(self.disk.with_name('below') / 'disk')
        self.forbid(path)

        self.assert_unreadable(path)

    def test_instance(self):
        self.forbid(self.disk.parent)

        self.assert_unreadable(self.disk.parent)

    def test_instance_of_any_name(self):
        uuid = factories.new_uuid()
        for name in (f'{uuid}_resize', f'{uuid}_del', 'instance-0000002a',
                     'instance-0000002a_resize'):
            path = self.instances / name
            path.mkdir()
            self.forbid(path)

            self.assert_unreadable(path)

            path.rmdir()

    def test_instance_that_can_be_listed_and_not_entered(self):
        self.write(self.disk)
        self.forbid(self.disk.parent, mode=0o444)

        self.assert_unreadable(self.disk)

    def test_instance_behind_a_closed_directory(self):
        """It is a link, and nobody can tell where to."""
        closed = self.top / 'closed'
        name = factories.new_uuid()
        self.write(closed / name / 'disk', overlay(A))
        (self.instances / name).symlink_to(closed / name)
        self.forbid(closed)

        self.assert_unreadable(self.instances / name)

    def test_directory_of_the_instances(self):
        self.forbid(self.instances)

        self.assert_unreadable(self.instances)

    def test_directory_of_the_file_system(self):
        path = self.instances / 'lost+found'
        path.mkdir()
        self.forbid(path)
        self.write(self.disk, overlay(A))

        self.assert_used(A)

    def test_log_of_the_console(self):
        self.forbid(self.write(self.disk.with_name('console.log')))
        self.write(self.disk, overlay(A))

        self.assert_used(A)

    def test_directory_in_an_instance(self):
        path = self.disk.with_name('below')
        path.mkdir()
        self.forbid(path)
        self.write(self.disk, overlay(A))

        self.assert_used(A)

    def test_locks(self):
        path = self.instances / 'locks'
        path.mkdir()
        self.forbid(path)

        self.assert_used()

    def test_file_beside_the_instances(self):
        self.forbid(self.write(self.instances / 'disk'))

        self.assert_used()

    def test_base_file(self):
        """It is used; nova cannot read what it is made on top of either."""
        self.write(self.disk, overlay(A))
        self.forbid(self.write(self.cache / A, overlay(B)))

        self.assert_used(A)


class TestRemembered(BackingTestCase):
    """What did not change since the last look is not looked at again."""

    def setUp(self):
        super().setUp()
        self.disks = backing.Disks()
        self.heads = set()
        self.write(self.disk, overlay(A))
        self.age(self.disk.parent)

    def age(self, directory, seconds=1000):
        then = time.time() - seconds
        os.utime(directory, (then, then))

    def look(self, patience=math.inf, **how):
        """Look for names and return them, with how many disks were read."""
        with mock.patch.object(qcow2, 'backing_file',
                               wraps=qcow2.backing_file) as read:
            found = self.disks.used(
                str(self.instances), str(self.cache), ENTRIES, (),
                time.time() - 300, patience, **how)
        # The entries that are found are read as well, each once.
        anew = found - self.heads
        self.heads = found
        return found, read.call_count - len(anew)

    def test_entry_that_is_replaced_is_read_again(self):
        self.write(self.cache / A, overlay(B))
        self.assertEqual({A, B}, self.look()[0])
        self.write(self.cache / A, overlay(C))
        self.assertEqual({A, B}, self.look()[0])

        [one] = [one for one in ENTRIES if one.name == A]
        with mock.patch.object(sys.modules[__name__], 'ENTRIES', [
                *(one for one in ENTRIES if one.name != A),
                dataclasses.replace(one, inode=99)]):
            self.assertEqual({A, C}, self.look()[0])

    def test_look_that_takes_too_long_goes_on_the_next_time(self):
        """As on a file server that is slow."""
        for _number in range(4):
            path = self.instances / factories.new_uuid() / 'disk'
            self.write(path, overlay(B))
            self.age(path.parent)
        for _look in range(4):  # each sees one disk, and base files besides
            with self.assertRaises(backing.TooManyDisks) as caught:
                self.look(patience=0)
        self.assertEqual('not all of its disks could be looked into within '
                         '0 s', str(caught.exception))

        for _look in range(3):
            with contextlib.suppress(backing.TooManyDisks):
                found, _read = self.look(patience=0)

        self.assertEqual({A, B}, found)
        self.assertEqual(0, self.look(patience=-1)[1])

    def test_disk_that_changed_within_itself_soon_after(self):
        """As nova does; nothing of the directory tells."""
        self.age(self.disk.parent, seconds=100)
        self.assertEqual({A}, self.look()[0])
        self.write(self.disk, overlay(B))
        # Now it has not changed for a while, but had when it was looked into.
        self.age(self.disk.parent)
        self.disks._known[self.disk.parent.name] = (
            self.disks._known[self.disk.parent.name]._replace(
                changed_ns=self.disk.parent.stat().st_mtime_ns))

        self.assertEqual({B}, self.look()[0])

    def test_look_anew(self):
        os.utime(self.disk.parent, (10 ** 9, 10 ** 9))
        self.look()
        self.write(self.disk, overlay(B))
        os.utime(self.disk.parent, (10 ** 9, 10 ** 9))

        self.assertEqual({A}, self.look()[0])
        self.assertEqual({B}, self.look(anew=True)[0])

    def test_disk_that_was_seen(self):
        self.assertEqual(({A}, 1), self.look())
        self.assertEqual(({A}, 0), self.look())

    def test_directory_that_changed(self):
        self.look()
        self.write(self.disk.with_name('disk.eph0'), overlay(B))

        self.assertEqual(({A, B}, 2), self.look())

    def test_directory_that_has_just_changed_is_read_again(self):
        self.age(self.disk.parent, 10)

        self.assertEqual([({A}, 1)] * 2, [self.look(), self.look()])

    def test_directory_that_is_new(self):
        self.look()
        new = self.write(
            self.instances / factories.new_uuid() / 'disk', overlay(B))
        self.age(new.parent)

        self.assertEqual(({A, B}, 1), self.look())

    def test_directory_that_is_gone(self):
        self.look()
        shutil.rmtree(self.disk.parent)

        self.assertEqual((set(), 0), self.look())

    def test_directories_in_it_are_read_again(self):
        inner = self.write(self.disk.parent / 'a' / 'b' / 'c', overlay(B))
        for directory in (inner.parent, inner.parent.parent,
                          self.disk.parent):
            self.age(directory)

        self.assertEqual([({A, B}, 2)] * 2, [self.look(), self.look()])

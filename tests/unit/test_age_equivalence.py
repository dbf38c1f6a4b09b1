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

"""The manager ``age`` against nova's own: what one removes the other does.

But for what was used a moment ago and for some empty disks in use, which only
nova's removes.
"""

import os
import shutil
import tempfile
import time
from unittest import mock

import fixtures
import hypothesis
from hypothesis import strategies as st
from nova.tests import fixtures as nova_fixtures
from nova.virt.libvirt import imagecache as nova_imagecache
from nova.virt.libvirt import utils as libvirt_utils

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import evictable
from cache_aware_sched.imagecache import managers as package_managers
from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import HOUR
from tests.unit.managers import image
from tests.unit.managers import OTHER_HOST
from tests.unit.managers import sha1

IMAGES = range(1, 6)
#: A copy of 5 GiB: nova looks for longer names, and keeps it forever.
SHORT = tuple(f'{sha1(number)}_5' for number in IMAGES)
OF_IMAGES = (
    *(sha1(number) + ending for number in IMAGES
      for ending in ('', '_10', '_20', f'_{20 * GIB}', '_sm')), *SHORT)
#: Of a file system that a server asked for: nova looks for the default only.
OTHER_FORMAT = 'ephemeral_1_abcdef0'
#: Files of all that nova keeps in the directory.
ENTRIES = (
    *OF_IMAGES, 'swap_1', 'swap_512', managers.ephemeral_name(1),
    managers.ephemeral_name(20), OTHER_FORMAT)
#: What neither may touch.
JUNK = (
    'notes', f'.{sha1(1)}', f'{sha1(1)}.bak', f'{sha1(1)}_', f'{sha1(1)}_x',
    sha1(1)[1:], 'swap_', 'swap_x', 'swap_1_2', 'ephemeral_1_abc',
    'ephemeral_x_abcdef0', 'ephemeral_1_abcdef0_2',
    f'{sha1(1)}.part', f'{sha1(1)}.converted', f'{sha1(2)}.part')

#: Seconds since a file was used: around what an option says, long ago, now,
#: and in the future.
AGES = st.one_of(
    st.tuples(st.sampled_from(('original', 'resized')),
              st.sampled_from((-1, -0.5, 0, 0.5, 1))),
    st.tuples(st.just('now'), st.sampled_from((0, 999 * DAY, -1, -DAY))))
LIMITS = st.sampled_from((
    0, 1, evictable.GRACE_SECONDS, HOUR, DAY, 30 * DAY))
OPTIONS = st.fixed_dictionaries({
    'remove_unused_base_images': st.sampled_from((True, True, True, False)),
    'remove_unused_original_minimum_age_seconds': LIMITS,
    'remove_unused_resized_minimum_age_seconds': LIMITS})
FILES = st.dictionaries(
    st.sampled_from(ENTRIES + JUNK), AGES, min_size=1, max_size=16)
NUMBERS = st.one_of(st.none(), st.sampled_from(IMAGES))
SERVERS = st.lists(st.fixed_dictionaries({
    'image': NUMBERS, 'kernel': NUMBERS, 'ramdisk': NUMBERS,
    'host': st.sampled_from((HOST, OTHER_HOST)),
    'state': st.sampled_from(('active', 'error', 'resized')),
    'folder': st.sampled_from(('uuid', 'name')),
    # One that the server was rebuilt from, or one that is not there.
    'backing': st.one_of(st.none(), st.sampled_from(OF_IMAGES)),
    'swap': st.sampled_from((None, 1, 512)),
    'ephemeral': st.sampled_from((None, 1, 20)),
}), max_size=3)


class NovaManager(nova_imagecache.ImageCacheManager):
    """nova's own, which takes from a list while it goes through it.

    Of two copies of an image that are next to each other in the directory it
    passes over one, and takes it for unused.
    """

    def _find_base_file(self, base_dir, fingerprint):
        return list(super()._find_base_file(base_dir, fingerprint))


class EquivalenceTestCase(managers.ManagerTestCase):

    manager = 'age'

    def setUp(self):
        super().setUp()
        self.home = self.path
        # nova touches files as root does.
        self.useFixture(nova_fixtures.PrivsepFixture())

    def outcome(self, manager_class, fill):
        """Make a pass over a directory of its own.

        :param fill: puts files there
        :returns: the names of the files that went, and of those that were
            touched
        """
        self.path = tempfile.mkdtemp(dir=self.home)
        self.set_nova(instances_path=self.path)
        self.cache = os.path.join(self.path, '_base')
        os.mkdir(self.cache)
        fill()
        before = self.times()
        manager_class().update(self.context, managers.objects.InstanceList(
            objects=self.database.servers))
        after = self.times()
        shutil.rmtree(self.path)
        return before.keys() - after.keys(), {
            name for name in after if after[name] != before[name]}

    def times(self):
        with os.scandir(self.cache) as files:
            return {file.name: file.stat(follow_symlinks=False).st_mtime_ns
                    for file in files}

    def outcomes(self, fill):
        """Return what became of two copies of a directory, nova's first."""
        return (self.outcome(NovaManager, fill),
                self.outcome(package_managers.AgeImageCacheManager, fill))


class TestSameAsNova(EquivalenceTestCase):

    def setUp(self):
        super().setUp()
        self.home = self.prepare_for_many_cases()
        self.now = int(time.time())
        self.useFixture(fixtures.MonkeyPatch('time.time', lambda: self.now))
        # The clock of the file server stands as still as that.
        self.useFixture(fixtures.MockPatchObject(
            directory.Directory, 'now', lambda _directory: self.now))

    @hypothesis.settings(max_examples=500)
    @hypothesis.given(FILES, SERVERS, OPTIONS)
    def test_same_files_go_and_same_files_are_touched(
            self, files, servers, options):
        self.set_nova('image_cache', **options)
        disks = self.add_servers(servers)

        # It takes a tenth of a second to ask qemu-img.
        with mock.patch.object(
                libvirt_utils, 'get_disk_backing_file', autospec=True,
                side_effect=lambda path: disks[
                    os.path.basename(os.path.dirname(path))]):
            (nova_s_gone, nova_s_touched), (gone, touched) = self.outcomes(
                lambda: self.fill(files, disks, options))

        recent = {name for name in files
                  if self.age(files[name], options) < evictable.GRACE_SECONDS}
        more = {OTHER_FORMAT} if any(
            fields['ephemeral'] == 1 for fields in servers) else set()
        self.assertEqual(nova_s_gone - recent - more, gone)
        # What is dated in the future is dated anew.
        future = {name for name in files
                  if self.age(files[name], options) < 0} - nova_s_touched
        self.assertEqual(nova_s_touched,
                         touched - set(SHORT) - more - future)
        self.assertTrue(gone.isdisjoint(JUNK))
        self.assertTrue(touched.isdisjoint(set(JUNK) - future))

    def add_servers(self, servers):
        """Have servers in the database.

        :returns: what is below their disks, by the name of the directory
        """
        self.database.clear()
        disks = {}
        for number, fields in enumerate(servers, start=1):
            blank = []
            if fields['swap']:
                blank.append(managers.swap_disk(fields['swap']))
            if fields['ephemeral']:
                blank.append(managers.ephemeral_disk(fields['ephemeral']))
            kernel, ramdisk = (
                None if fields[name] is None else image(fields[name])
                for name in ('kernel', 'ramdisk'))
            booted = self.boot(
                fields['image'], blank, id=number, host=fields['host'],
                vm_state=fields['state'], kernel_id=kernel,
                ramdisk_id=ramdisk)
            if fields['backing']:
                folder = getattr(booted, fields['folder'])
                if fields['state'] == 'resized':
                    folder += '_resize'
                disks[folder] = fields['backing']
        return disks

    def age(self, file, options):
        """Return how many seconds ago a file was used."""
        limit, seconds = file
        return seconds + (0 if limit == 'now' else options[
            f'remove_unused_{limit}_minimum_age_seconds'])

    def fill(self, files, disks, options):
        for name, file in files.items():
            self.put(name, 1, self.age(file, options))
        for folder, backing in disks.items():
            self.write_disk(folder, backing)


class TestExplicit(EquivalenceTestCase):
    """Some of the cases as an operator has them, with nova as it is."""

    def test_ordinary_host(self):
        self.need_qemu_img()
        booted = self.boot(1, [managers.swap_disk(512)])
        rebuilt = self.boot(2)

        def fill():
            self.put_images(1, 2, 3, 4, age=2 * DAY)
            self.put_images(5, age=HOUR)
            self.put('swap_512', age=2 * DAY)
            self.put('swap_1', age=2 * DAY)
            self.write_disk(booted.uuid, sha1(1))
            self.write_disk(rebuilt.uuid, sha1(3))

        nova_s, ours = self.outcomes(fill)

        self.assertEqual(({sha1(4), 'swap_1'},
                          {sha1(1), sha1(2), 'swap_512'}), nova_s)
        self.assertEqual(nova_s, ours)


class TestDifferences(EquivalenceTestCase):
    """Where nova removes what somebody needs, or what is none of its."""

    def assert_kept(self, fill, *names):
        """See that nova, as it is, removes files, and we do not."""
        nova_s = self.outcome(nova_imagecache.ImageCacheManager, fill)[0]
        ours = self.outcome(package_managers.AgeImageCacheManager, fill)[0]

        self.assertEqual(set(names), nova_s - ours)
        self.assertEqual(set(), ours - nova_s)

    def test_directory_that_the_database_does_not_know(self):
        def fill():
            self.put_images(1, 2, age=2 * DAY)
            self.write_disk('aaaaaaaa-orphan', sha1(1))

        self.assert_kept(fill, sha1(1))

    def test_directory_of_a_resize_that_is_over_for_the_database(self):
        booted = self.boot(2)

        def fill():
            self.put_images(1, age=2 * DAY)
            self.write_disk(f'{booted.uuid}_resize', sha1(1))

        self.assert_kept(fill, sha1(1))

    def test_disks_beside_the_first(self):
        self.need_qemu_img()
        booted = self.boot(2)

        def fill():
            self.put_images(1, age=2 * DAY)
            self.put('swap_512', age=2 * DAY)
            self.write_disk(booted.uuid, sha1(3))
            self.write_disk(booted.uuid, sha1(1), 'disk.local')
            self.write_disk(booted.uuid, 'swap_512', 'disk.swap')

        self.assert_kept(fill, sha1(1), 'swap_512')

    def test_chain(self):
        self.need_qemu_img()
        booted = self.boot(2)

        def fill():
            self.put_images(1, age=2 * DAY)
            copy = self.put(f'{sha1(1)}_20', age=2 * DAY)
            with open(os.path.join(self.cache, copy), 'wb') as file:
                file.write(managers.head_of_disk(sha1(1)))
            self.set_age(os.path.join(self.cache, copy), 2 * DAY)
            self.write_disk(booted.uuid, copy)

        self.assert_kept(fill, sha1(1))

    def test_server_that_moves_here(self):
        self.migrate(self.boot(1, host=OTHER_HOST), 'migrating',
                     OTHER_HOST, HOST)
        [moving] = self.database.servers

        def fill():
            # nova does not hand it over: it is the other host's.
            self.put_images(1, age=2 * DAY)

        with mock.patch.object(managers.objects.InstanceList, 'get_by_filters',
                               return_value=[moving]):
            self.database.servers = []
            self.assert_kept(fill, sha1(1))

    def test_symlink(self):
        def fill():
            target = self.put('target', age=2 * DAY)
            os.symlink(target, os.path.join(self.cache, sha1(1)))

        self.assert_kept(fill, sha1(1))

    def test_name_that_is_no_sha1(self):
        def fill():
            self.put('x' * 40, age=2 * DAY)
            self.put('A' * 40, age=2 * DAY)
            self.put(f'{sha1(1)}_backup', age=2 * DAY)
            self.put(f'{"notes".ljust(40, "x")}_20', age=2 * DAY)

        self.assert_kept(fill, 'x' * 40, 'A' * 40, f'{sha1(1)}_backup',
                         f'{"notes".ljust(40, "x")}_20')

    def test_second_copy_of_an_image_in_use(self):
        self.boot(1)
        copies = [f'{sha1(1)}_10', f'{sha1(1)}_20']
        self.useFixture(fixtures.MockPatchObject(
            nova_imagecache.os, 'listdir', side_effect=lambda path: (
                copies if path.endswith('_base') else [])))

        def fill():
            for copy in copies:
                self.put(copy, age=2 * DAY)

        self.assert_kept(fill, copies[1])

    def test_image_that_was_used_a_moment_ago(self):
        self.set_nova('image_cache',
                      remove_unused_original_minimum_age_seconds=0)

        self.assert_kept(
            lambda: self.put_images(1, age=0, step=10), sha1(1))

    def test_second_ephemeral_disk_of_a_server(self):
        self.boot(1, [managers.ephemeral_disk(1), managers.ephemeral_disk(2)])
        names = [managers.ephemeral_name(gib) for gib in (1, 2)]

        def fill():
            for name in names:
                self.put(name, age=2 * DAY)

        self.assert_kept(fill, names[1])

    def test_ephemeral_disk_with_another_file_system(self):
        self.boot(1, [managers.ephemeral_disk(1)])

        self.assert_kept(
            lambda: self.put(OTHER_FORMAT, age=2 * DAY), OTHER_FORMAT)

    def test_image_that_is_protected(self):
        self.set(protected_images=[image(1)])

        self.assert_kept(
            lambda: self.put_images(1, age=2 * DAY), sha1(1))

    def test_small_copy_of_an_image_in_use_is_touched(self):
        """For other managers to know how long it was not used."""
        self.boot(1)

        nova_s, ours = self.outcomes(lambda: self.put(SHORT[0], age=2 * DAY))

        self.assertEqual((set(), set()), nova_s)
        self.assertEqual((set(), {SHORT[0]}), ours)

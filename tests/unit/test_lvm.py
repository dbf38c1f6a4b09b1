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

"""Images in a volume group: the suites of all stores, and what is its own."""

import os
import re
import subprocess
import tempfile
import time
from unittest import mock

import fixtures
import hypothesis
from hypothesis import strategies
from nova import exception
from nova.virt.cache_aware import privileged

from cache_aware_sched.imagecache import entry
from cache_aware_sched.imagecache.store import Removal
from cache_aware_sched.lvm import choosing
from cache_aware_sched.lvm import chunks
from cache_aware_sched.lvm import group
from cache_aware_sched.lvm import image_volumes
from cache_aware_sched.lvm import store
from cache_aware_sched.lvm import volumes
from cache_aware_sched.testing import managers
from cache_aware_sched.testing import removals
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import image
from cache_aware_sched.testing.stage import sha1
from cache_aware_sched.testing import stores
from tests.unit import base
from tests.unit import lvm


class TestCopied(lvm.CopiedStage, stores.StoreConformance, base.TestCase):
    pass


class TestThin(lvm.ThinStage, stores.StoreConformance, base.TestCase):
    pass


class TestRealLvm(lvm.RealStage, stores.EntriesSuite, removals.RemovalSuite,
                  base.TestCase):
    """As above with LVM itself, which shows that FakeLvm is like it."""

    def test_reason_of_a_failure(self):
        self.break_store()

        error = self.assertRaises(
            group.LvmFailed, self.store.images.group.look)

        self.assertIn(f'Volume group "{lvm.GROUP}" not found', str(error))


globals().update(managers.suites(__name__, lvm.ThinStage, base.TestCase))
globals().update(managers.suites(
    __name__, lvm.CopiedStage, base.TestCase, ('lru',)))


class TestVolumeStore(lvm.ThinStage, base.TestCase):

    def base_file(self, name):
        os.makedirs(self.store.cache_dir, exist_ok=True)
        path = os.path.join(self.store.cache_dir, name)
        with open(path, 'wb') as file:
            file.write(b'x' * 5000)
        return path

    def kinds(self):
        return {one.name: (one.kind, one.size)
                for one in self.store.entries(self.store.now())}

    def test_kernels_are_files_still(self):
        self.put_image(image(1))
        self.base_file(sha1(2))

        self.assertEqual(
            {volumes.volume_name(sha1(1)): (entry.Kind.IMAGE, GIB),
             sha1(2): (entry.Kind.IMAGE, 0)}, self.kinds())

    def test_base_file_of_an_image_in_the_group(self):
        """Nobody needs it any more."""
        self.put_image(image(1))
        self.base_file(sha1(1))

        self.assertEqual((entry.Kind.TEMPORARY, 0), self.kinds()[sha1(1)])

    def test_id_that_only_the_tag_tells(self):
        self.put_image(image(1))

        [found] = self.start().cache.look().entries

        self.assertEqual(image(1), found.image_id)

    def test_one_command_for_many_questions(self):
        self.put_images(1, 2)
        self.lvm.commands.clear()

        now = self.store.now()
        self.store.entries(now)
        self.store.disk()
        self.store.disk_usage()

        self.assertEqual(['lvm_report'], self.lvm.commands)

    def test_disk_that_nova_has_removed_since(self):
        """It keeps no image any more, a moment later."""
        self.put_image(image(1))
        self.use_image(image(1))
        now = self.store.now()
        entries = self.store.entries(now)
        del self.lvm.rows['a_disk']

        self.assertEqual(set(), self.store.backing(
            entries, (), now, 1.0, True))

    def test_many_boots_note_one_use(self):
        self.put_images(1, 2)
        self.lvm.commands.clear()

        for _ in range(5):
            self.store.claim(sha1(1))
            self.store.touch(*map(volumes.volume_name, (sha1(1), sha1(1))))

        self.assertEqual(1, self.lvm.commands.count('lvm_tag'))

    def test_image_that_became_complete_meanwhile(self):
        self.put_part(image(1), age=9999)
        [found] = self.store.entries(self.store.now())
        self.store.images.group.change(
            'lvm_tag', [found.name], [volumes.INCOMPLETE],
            [volumes.COMPLETE])

        removal = self.store.remove(found, lambda: True)

        self.assertIs(Removal.IN_USE, removal)

    def test_snapshot_that_was_made_meanwhile(self):
        self.put_image(image(1))
        found = self.entry(1)
        self.use_image(image(1))

        self.assertIs(Removal.IN_USE,
                      self.store.remove(found, lambda: True))

    def test_fuller_of_data_and_metadata(self):
        self.put_image(image(1))
        self.lvm.size, self.lvm.pool_metadata = 100 * GIB, 60.0
        self.store.images.group.changed()

        self.assertEqual(60 * GIB, self.store.disk().used)

    def test_room_in_the_pool(self):
        self.put_image(image(1), 90 * GIB)
        self.lvm.size = 100 * GIB
        self.store.images.group.changed()
        images = self.store.images

        self.assertEqual(('', ''), (images.lacks(0), images.lacks(5 * GIB)))
        self.assertIn('90.0 %', images.lacks(6 * GIB))
        self.lvm.pool_metadata = 96.0
        images.group.changed()
        self.assertIn('metadata 96.0 %', images.lacks(0))
        self.lvm.pool_metadata = 20.0
        images.group.changed()
        self.configure(image_cache_high_watermark_percent=80)
        self.assertIn('full', images.lacks(1))
        self.assertEqual('', images.lacks(0))

        for error in self.errors():
            for word in ('vg0/pool0', 'lvextend', '90.0 %'):
                self.assertIn(word, error)

    def test_each_cause_of_no_room_is_one_error(self):
        """Whatever fits in between."""
        self.put_image(image(1), 90 * GIB)
        self.lvm.size = 100 * GIB
        self.store.images.group.changed()
        images = self.store.images

        for _ in range(3):
            images.lacks(6 * GIB)
            images.lacks(0)
        self.configure(image_cache_high_watermark_percent=80)
        for _ in range(3):
            images.lacks(1)
            images.lacks(0)
        self.lvm.size = 200 * GIB
        images.group.changed()
        images.lacks(1)
        self.lvm.size = 100 * GIB
        images.group.changed()
        images.lacks(1)

        self.assertEqual([6 * GIB, 1, 1], [
            int(re.search(r'(\d+) bytes', error)[1])
            for error in self.errors()])

    @hypothesis.given(strategies.sets(strategies.integers(0, 63)),
                      strategies.sampled_from((4096, 8192, 65536)))
    def test_image_whose_data_is_scattered(self, blocks, chunk):
        """A tenant cannot fill the pool with a few bytes in each chunk."""
        with tempfile.NamedTemporaryFile() as file:
            for block in blocks:
                os.pwrite(file.fileno(), b'x' * 4096, block * 4096)
            file.truncate(64 * 4096)

            self.assertEqual(
                chunk * len({block * 4096 // chunk for block in blocks}),
                chunks.taken(file.name, chunk))

    def test_image_whose_data_is_scattered_in_the_pool(self):
        self.put_image(image(1))
        with tempfile.NamedTemporaryFile() as file:
            for number in range(3):
                os.pwrite(file.fileno(), b'x', number * 2 * lvm.CHUNK)

            self.assertEqual(3 * lvm.CHUNK,
                             self.store.images.needs(file.name))

    def test_pool_of_which_nothing_is_told(self):
        """It is not taken for an empty one."""
        self.assertIsNone(self.store.disk())
        self.assertRaises(OSError, self.store.images.lacks, 1)

    def test_command_that_fails(self):
        self.lvm.broken = True

        error = self.assertRaises(
            group.LvmFailed, self.store.images.group.look)

        self.assertIn('Volume group not found', str(error))
        self.assertIn(lvm.GROUP, str(error))

    def test_failure_is_believed_for_a_moment(self):
        """Each boot asks several times, and LVM may hang."""
        self.lvm.broken = True

        for _ in range(5):
            self.assertRaises(group.LvmFailed, self.store.images.group.look)

        self.assertEqual(['lvm_report'], self.lvm.commands)
        self.lvm.broken = False
        self.store.images.group.look(anew=True)
        self.store.images.group.look()

    def test_command_that_takes_too_long(self):
        self.patch_object(privileged, 'lvm_report', mock.Mock(
            side_effect=subprocess.TimeoutExpired('lvm', 30)))

        error = self.assertRaises(
            group.LvmFailed, self.store.images.group.look)

        self.assertIn('30', str(error))


class TestCommands(base.TestCase):

    def test_one_that_reads_is_killed(self):
        """That harms nothing."""
        self.useFixture(fixtures.MonkeyPatch(
            'nova.virt.cache_aware.privileged.READ_SECONDS', 0.1))
        folder = self.useFixture(fixtures.TempDir()).path
        pid = os.path.join(folder, 'pid')
        with open(os.path.join(folder, 'lvm'), 'w') as file:
            file.write(f'#!/bin/sh\necho $$ > {pid}.new\n'
                       f'mv {pid}.new {pid}\nexec sleep 60\n')
        os.chmod(os.path.join(folder, 'lvm'), 0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{folder}:{os.environ["PATH"]}'))

        error = None
        try:
            privileged.lvm_report.args[0](lvm.GROUP)
        except Exception as found:
            error = found
        # Under eventlet it is another class of that name.
        self.assertEqual('TimeoutExpired', type(error).__name__)

        until = time.monotonic() + 30
        while self._runs(pid) and time.monotonic() < until:
            time.sleep(0.01)
        self.assertFalse(self._runs(pid))

    def _runs(self, path):
        try:
            with open(path) as file:
                os.waitpid(int(file.read()), os.WNOHANG)
        except FileNotFoundError:
            return False
        except ChildProcessError:
            return False
        return True


class TestChoosing(base.TestCase):

    def setUp(self):
        super().setUp()
        self.configure_all()

    def configure_all(self):
        self.set(lvm_image_store='thin', lvm_thin_pool='pool')
        self.set_nova('libvirt', images_type='lvm', volume_clear='none',
                      images_volume_group='vg')
        self.set_nova('ephemeral_storage_encryption', enabled=False)

    def choose(self):
        return choosing.store_of(lambda: HOST)

    def test_file(self):
        self.set(lvm_image_store='file')

        self.assertNotIsInstance(self.choose(), store.VolumeStore)

    def test_copy_and_thin(self):
        self.assertIsInstance(
            self.choose().images, image_volumes.ThinVolumes)

        self.set(lvm_image_store='copy')
        self.set_nova('libvirt', volume_clear='zero')

        self.assertIsInstance(
            self.choose().images, image_volumes.CopiedVolumes)

    def test_options_that_do_not_go_together(self):
        for name, section, values in (
                ('images_type', 'libvirt', {'images_type': 'qcow2'}),
                ('images_volume_group', 'libvirt',
                 {'images_volume_group': None}),
                ('volume_clear', 'libvirt', {'volume_clear': 'zero'}),
                ('[ephemeral_storage_encryption]',
                 'ephemeral_storage_encryption', {'enabled': True})):
            self.configure_all()
            self.set_nova(section, **values)

            error = self.assertRaises(
                exception.InvalidConfiguration, self.choose)

            for word in (name, 'lvm_image_store'):
                self.assertIn(word, str(error))

    def test_no_limit(self):
        choosing.warn_of_no_limit()
        choosing.warn_of_no_limit()
        self.assertEqual(1, len(self.warnings()))

    def test_limit(self):
        self.set(image_cache_high_watermark_percent=80)

        choosing.warn_of_no_limit()

        self.assertEqual([], self.warnings())

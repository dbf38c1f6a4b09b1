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

"""What the libvirt driver does where images are thin volumes.

With nova's own image backend; only LVM's commands are played. On real volumes
it is played in tests/lvm.
"""

import contextlib
import inspect
import itertools
import os
from unittest import mock

import fixtures
from nova import exception
from nova.tests import fixtures as nova_fixtures
from nova.virt.cache_aware import privileged
from nova.virt.disk import api as disk_api
from nova.virt import images
from nova.virt.libvirt import imagebackend
from oslo_utils import units

from cache_aware_sched.lvm import image_volumes
from cache_aware_sched.lvm import volumes
from cache_aware_sched import report
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import image
from cache_aware_sched.testing.stage import server
from cache_aware_sched.testing.stage import sha1
from cache_aware_sched.virt import libvirt
from cache_aware_sched.virt import lvm_backend
from tests.unit import base
from tests.unit import lvm

MIB = units.Mi
VOLUME = volumes.volume_name(sha1(1))


class LvmDriverTestCase(lvm.ThinStage, base.TestCase):

    def setUp(self):
        super().setUp()
        self.configure(lvm_image_store='thin', lvm_thin_pool=lvm.POOL,
                       image_cache_manager='lru',
                       report_changes_at_once=False)
        self.configure('libvirt', volume_clear='none')
        self.useFixture(nova_fixtures.LibvirtFixture())
        self.filled = self.useFixture(fixtures.MockPatchObject(
            privileged, 'fill_zeroed')).mock
        self.grown = self.useFixture(fixtures.MockPatchObject(
            disk_api, 'resize2fs', autospec=True)).mock
        # An empty pool is not told by the stage.
        self.put_image(image(99), MIB)
        self.driver = libvirt.LibvirtDriver(mock.Mock(spec=()))
        self.driver._cache_report.host = HOST
        self.driver.image_cache_manager.init_host(HOST)
        self.fetched = []

    def fetch(self, context, target, image_id, trusted_certs=None):
        self.fetched.append(image_id)
        with open(target, 'wb') as file:
            file.write(b'x' * MIB)

    def boot(self, number=1, size=GIB, fetch=None):
        instance = server(number, ephemeral_key_uuid=None,
                          trusted_certs=None, migration_context=None,
                          system_metadata={})
        with self.driver._cache_starting(self.context, instance):
            self.driver._try_fetch_image_cache(
                self.driver.image_backend.by_name(instance, 'disk'),
                fetch or self.fetch, self.context, sha1(number),
                image(number), instance, size)
        return f'{instance.uuid}_disk'

    def base_files(self):
        path = os.path.join(self.instances_path, '_base')
        return os.listdir(path) if os.path.exists(path) else []


class TestBoot(LvmDriverTestCase):

    def test_disks_are_snapshots(self):
        told = self.listen()

        disks = [self.boot() for _ in range(3)]

        self.assertEqual([image(1)], self.fetched)
        self.assertEqual([], self.base_files())
        self.filled.assert_called_once_with(
            os.path.join(self.instances_path, '_base', sha1(1)),
            f'/dev/{lvm.GROUP}/{VOLUME}')
        for disk in disks:
            self.assertEqual(
                (VOLUME, str(GIB)), (self.lvm.rows[disk]['origin'],
                                     self.lvm.rows[disk]['lv_size']))
            self.grown.assert_any_call(
                f'/dev/{lvm.GROUP}/{disk}', run_as_root=True)
        self.assertEqual([MIB], [one['size'] for one in told('miss')])
        self.assertEqual([MIB] * 2, [one['size'] for one in told('hit')])

    def test_two_boots_at_once(self):
        """The one that waits for the fetch of the other fetches nothing."""
        told = self.listen()
        backend = lvm_backend._StoredLvm
        waits = backend.create_image

        def while_other_boots(*args, **kwargs):
            """Come in when the image was not there, and be late."""
            with mock.patch.object(backend, 'create_image', waits):
                self.boot()
            return fetch_function(*args, **kwargs)

        def late(this, prepare_template, *args, **kwargs):
            nonlocal fetch_function
            fetch_function = prepare_template
            return waits(this, while_other_boots, *args, **kwargs)

        fetch_function = None
        with mock.patch.object(backend, 'create_image', late):
            disk = self.boot()

        self.assertEqual([image(1)], self.fetched)
        self.assertEqual(VOLUME, self.lvm.rows[disk]['origin'])
        self.assertEqual((1, 1), (len(told('miss')), len(told('hit'))))

    def test_commands_of_a_boot_whose_image_is_there(self):
        self.boot()
        self.lvm.commands.clear()

        self.boot()

        self.assertLessEqual(len(self.lvm.commands), 6)
        self.assertEqual(0, self.lvm.commands.count('lvm_tag'))

    def test_report_of_the_image(self):
        self.boot()

        found = {file.sha1: (file.size, file.kind)
                 for file in self.driver.cached_files()}

        self.assertEqual((MIB, report.FileKind.COMPLETE), found[sha1(1)])

    def test_image_that_is_being_written(self):
        found = []
        self.filled.side_effect = lambda *args: found.extend(
            file.kind for file in self.driver.cached_files()
            if file.sha1 == sha1(1))

        self.boot()

        self.assertEqual([report.FileKind.ARRIVING], found)

    def test_image_that_cannot_be_written(self):
        self.filled.side_effect = OSError('no')

        self.assertRaises(OSError, self.boot)

        self.assertEqual([], self.base_files())
        self.assertNotIn(VOLUME, self.lvm.rows)

    def test_fetch_that_fails(self):
        def fail(**kwargs):
            raise exception.ImageNotFound(image_id=image(1))

        self.assertRaises(exception.ImageNotFound, self.boot, fetch=fail)

        self.assertNotIn(VOLUME, self.lvm.rows)

    def test_remains_of_a_fetch_that_was_killed(self):
        self.put_part(image(1))

        self.boot()

        self.assertEqual([image(1)], self.fetched)
        self.assertIn(volumes.COMPLETE, self.lvm.rows[VOLUME]['lv_tags'])

    def test_volume_that_has_lost_its_tags(self):
        """Nobody knows what is in it, so it stays."""
        self.boot()
        for tags in ('', volumes.COMPLETE + ',cache_aware_sched:image=x'):
            self.lvm.rows[VOLUME]['lv_tags'] = tags
            self.driver._cache_directory.images.group.changed()

            error = self.assertRaises(image_volumes.StoreFull, self.boot)

            for word in (VOLUME, image(1), HOST, 'tags'):
                self.assertIn(word, str(error))
        self.assertEqual([image(1)], self.fetched)
        self.assertIn(VOLUME, self.lvm.rows)
        self.assertEqual(1, len(self.errors()))

    def test_nova_compute_that_is_killed(self):
        """At whatever step: the next boot gets a disk of all of the image."""
        self.need_qemu_img()
        for number, (name, is_done) in enumerate(itertools.product(
                ('lvm_create_thin', 'fill_zeroed', 'lvm_tag', 'lvm_snapshot',
                 'lvm_extend'), (False, True)), 1):
            self.kill(number, name, is_done)
            self.filled.reset_mock()
            driver = self.driver = libvirt.LibvirtDriver(mock.Mock(spec=()))
            driver.image_cache_manager.init_host(HOST)

            disk = self.boot(number)

            volume = volumes.volume_name(sha1(number))
            self.assertEqual((volume, str(GIB)), (
                self.lvm.rows[disk]['origin'], self.lvm.rows[disk]['lv_size']))
            self.assertIn(volumes.COMPLETE, self.lvm.rows[volume]['lv_tags'])
            # Nothing of it was there, or all.
            is_complete = (name, is_done) == ('lvm_tag', True) or (
                name in ('lvm_snapshot', 'lvm_extend'))
            self.assertEqual(not is_complete, self.filled.called)
            self.assertEqual(1, self.fetched.count(image(number)))

    def kill(self, number, name, is_done):
        """End nova-compute before or after a step: it tidies up nothing."""
        command = getattr(privileged, name)

        def step(*args):
            if is_done:
                command(*args)
            raise KeyboardInterrupt

        with (mock.patch.object(privileged, name, step),
              mock.patch.object(self.driver._volumes, '_discard'),
              mock.patch.object(lvm_backend._StoredLvm,
                                'remove_volume_on_error',
                                contextlib.nullcontext),
              mock.patch('os.unlink'),
              contextlib.suppress(KeyboardInterrupt)):
            self.boot(number)

    def test_base_file_from_before(self):
        self.need_qemu_img()
        os.makedirs(os.path.join(self.instances_path, '_base'))
        self.fetch(None, os.path.join(
            self.instances_path, '_base', sha1(1)), image(1))
        self.fetched.clear()
        told = self.listen()

        self.boot()

        self.assertEqual([], self.fetched)
        self.assertIn(VOLUME, self.lvm.rows)
        self.assertEqual(1, len(told('hit')))

    def test_full_pool(self):
        self.lvm.pool_metadata = 97.0

        error = self.assertRaises(image_volumes.StoreFull, self.boot)

        self.assertEqual([], self.fetched)
        self.assertIsInstance(error, exception.GroupAffinityViolation)
        self.assertIn(HOST, str(error))
        self.assertEqual(1, len(self.errors()))

    def test_pool_that_got_full(self):
        """Then no disk is made of an image that is there."""
        self.boot()
        self.lvm.pool_metadata = 97.0
        self.driver._cache_directory.images.group.changed()
        before = set(self.lvm.rows)

        self.assertRaises(image_volumes.StoreFull, self.boot)

        self.assertEqual(before, set(self.lvm.rows))

    def test_lvm_that_does_not_answer(self):
        self.lvm.broken = True

        self.assertRaises(OSError, self.boot)

        self.assertEqual([], self.fetched)

    def test_flavor_that_is_smaller_than_the_image(self):
        self.assertRaises(exception.FlavorDiskSmallerThanImage, self.boot,
                          size=MIB // 2)

    def test_flavor_without_a_disk_of_its_own(self):
        disk = self.boot(size=None)

        self.assertNotIn('lvm_extend', self.lvm.commands)
        self.grown.assert_not_called()
        self.assertIn(disk, self.lvm.rows)

    def test_image_ahead_of_time(self):
        self.glance.put(image(1), MIB)

        def fetch(context, image_id, path):
            self.fetch(context, path, image_id)

        with mock.patch.object(images, 'fetch_to_raw', fetch):
            fetched = [self.driver.cache_image(self.context, image(1))
                       for _ in range(2)]

        self.assertEqual(([True, False], []), (fetched, self.base_files()))
        self.boot()
        self.assertEqual([image(1)], self.fetched)

    def test_start_without_the_pool(self):
        self.lvm.rows.clear()

        error = self.assertRaises(
            exception.InvalidConfiguration, self.driver.init_host, HOST)

        self.assertIn('lvm_thin_pool', str(error))

    def test_start_without_the_group(self):
        self.lvm.broken = True

        error = self.assertRaises(
            exception.InvalidConfiguration, self.driver.init_host, HOST)

        self.assertIn('images_volume_group', str(error))


class TestNova(LvmDriverTestCase):
    """What of nova the backend stands on; private."""

    def disk_of_no_image(self, name, filename, **kwargs):
        backend = self.driver.image_backend.by_name(
            server(1, ephemeral_key_uuid=None), name)
        made = []

        def make(target, **kwargs):
            made.append(target)
            if not target.startswith('/dev'):
                with open(target, 'wb') as file:
                    file.truncate(MIB)

        backend.cache(fetch_func=make, filename=filename, size=MIB,
                      safe=True, context=self.context, **kwargs)
        return backend.lv, made

    def test_disks_of_no_image_are_in_the_pool(self):
        """nova does not clear disks then: others could read plain ones."""
        self.need_qemu_img()
        swap, files = self.disk_of_no_image('disk.swap', 'swap_1', swap_mb=1)
        data, devices = self.disk_of_no_image(
            'disk.eph0', 'ephemeral_1_x', ephemeral_size=1)

        for name in (swap, data):
            self.assertEqual((lvm.POOL, '', str(MIB)), tuple(
                self.lvm.rows[name][key]
                for key in ('pool_lv', 'lv_tags', 'lv_size')))
        self.assertEqual([f'/dev/{lvm.GROUP}/{data}'], devices)
        self.filled.assert_called_once_with(
            *files, f'/dev/{lvm.GROUP}/{swap}')

    def test_disk_of_no_image_and_a_full_pool(self):
        self.lvm.pool_metadata = 97.0

        error = self.assertRaises(
            image_volumes.StoreFull, self.disk_of_no_image, 'disk.eph0',
            'ephemeral_1_x', ephemeral_size=1)

        self.assertIn('eph0', str(error))

    def test_swap_is_made_as_nova_makes_it_without_a_pool(self):
        made = self.useFixture(fixtures.MockPatchObject(
            imagebackend.Lvm, 'create_image', autospec=True)).mock
        self.patch_object(image_volumes.ThinVolumes, 'takes_all_disks', False)

        self.disk_of_no_image('disk.swap', 'swap_1', swap_mb=1)

        self.assertEqual(1, made.call_count)

    def test_config_drives_and_kernels_are_files(self):
        for name in ('disk.config', 'kernel'):
            backend = self.driver.image_backend.by_name(
                server(1), name, 'raw')

            self.assertFalse(backend.is_block_dev)

    def test_names_of_nova(self):
        backend = self.driver.image_backend.backend('lvm')

        self.assertTrue(issubclass(backend, imagebackend.Lvm))
        # Since 34 "safe" follows.
        self.assertEqual(
            ['self', 'prepare_template', 'base', 'size'],
            list(inspect.signature(
                imagebackend.Lvm.create_image).parameters)[:4])
        for name in ('remove_volume_on_error', 'verify_base_size', 'exists'):
            self.assertTrue(callable(getattr(backend, name)))

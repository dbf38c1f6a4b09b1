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

"""What is seen of images in a volume group, with nova's own image backend."""

from concurrent import futures
import os
import shutil
import signal
import tempfile
import time
from unittest import mock

import fixtures
import nova.conf
from nova import context as nova_context
from nova import exception
from nova import objects
import nova.privsep
from nova.virt.cache_aware import privileged
from nova.virt import images
from nova.virt.libvirt import utils as libvirt_utils
from oslo_utils import units
import testtools

from cache_aware_sched.imagecache import evictable
from cache_aware_sched.lvm import group
from cache_aware_sched.lvm import image_volumes
from cache_aware_sched.lvm import volumes
from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched.testing import fakes
from cache_aware_sched.testing import stage
from cache_aware_sched.virt import libvirt
from tests.lvm.guest import GROUP
from tests.lvm.guest import POOL
from tests.lvm.guest import run

CONF = nova.conf.CONF
MIB = units.Mi


class FakeImageApi:
    """Glance's part in a download: nova inspects and converts for itself."""

    def __init__(self, where):
        self._where = where
        self._formats = {}
        self.downloads = []

    def path(self, image_id):
        return os.path.join(self._where, image_id)

    def add(self, image_id, mib, data_mib, disk_format='raw'):
        """Have an image, with data at both ends and a hole between."""
        raw = self.path(image_id)
        with open(raw, 'wb') as file:
            file.write(os.urandom(data_mib * MIB - 4096))
            file.truncate(mib * MIB - 4096)
            file.seek(0, os.SEEK_END)
            file.write(os.urandom(4096))
        self._formats[image_id] = disk_format
        if disk_format != 'raw':
            run('qemu-img', 'convert', '-f', 'raw', '-O', disk_format, raw,
                f'{raw}.{disk_format}')

    def _sent(self, image_id):
        ending = self._formats[image_id]
        return self.path(image_id) + (
            '' if ending == 'raw' else f'.{ending}')

    def get(self, context, image_id, **kwargs):
        return {'id': image_id, 'disk_format': self._formats[image_id],
                'size': os.stat(self._sent(image_id)).st_size}

    def download(self, context, image_id, dest_path=None, **kwargs):
        self.downloads.append(image_id)
        run('cp', '--sparse=always', self._sent(image_id), dest_path)


class LvmCase(testtools.TestCase):
    """A host with an empty cache, and a driver as nova-compute has it."""

    kind = 'thin'
    pool = POOL

    def setUp(self):
        super().setUp()
        self.figures = {}
        once.forget_all()
        objects.register_all()
        nova.privsep.sys_admin_pctxt.set_client_mode(False)
        self.path = self.useFixture(fixtures.TempDir()).path
        for section, options in (
                (None, {'instances_path': self.path, 'host': stage.HOST}),
                ('oslo_concurrency', {'lock_path': self.path}),
                ('libvirt', {'images_type': 'lvm', 'volume_clear': 'none',
                             'images_volume_group': GROUP}),
                ('cache_aware_sched', {
                    'lvm_image_store': self.kind, 'lvm_thin_pool': self.pool,
                    'image_cache_manager': 'lru',
                    'report_changes_at_once': False})):
            for name, value in options.items():
                self.set(section, name, value)
        # The guest may get little of a busy machine.
        for name in ('READ_SECONDS', 'CHANGE_SECONDS'):
            self.useFixture(fixtures.MockPatchObject(privileged, name, 600))
        # Each takes seconds here: the plug-ins of networks, and a Python for
        # each qemu-img.
        self.useFixture(fixtures.MockPatch('os_vif.initialize'))
        self.useFixture(fixtures.MockPatch(
            'nova.privsep.qemu.QEMU_IMG_LIMITS', None))
        # No guest is started: only its disks are made.
        self.useFixture(fixtures.MonkeyPatch(
            'nova.virt.libvirt.driver.libvirt', mock.MagicMock()))
        self.database = fakes.FakeDatabase()
        for owner, name, answer in self.database.stand_ins():
            self.useFixture(fixtures.MockPatchObject(owner, name, answer))
        home = tempfile.mkdtemp(dir='/tmp')
        self.addCleanup(shutil.rmtree, home)
        self.glance = FakeImageApi(home)
        self.useFixture(fixtures.MockPatchObject(
            images, 'IMAGE_API', self.glance))
        self.size_in_glance = self.useFixture(fixtures.MockPatch(
            'cache_aware_sched.imagecache.fetches._in_glance',
            lambda context, image_id: (
                self.glance.get(context, image_id)['size'], 'raw')))
        self.context = nova_context.get_admin_context()
        self.addCleanup(self.clear_group)

    def set(self, group, name, value):
        CONF.set_override(name, value, group)
        self.addCleanup(CONF.clear_override, name, group)

    def clear_group(self):
        for name in self.volumes():
            if name != POOL:
                run('lvremove', '-q', '-f', f'{GROUP}/{name}')

    # Given.

    def start(self):
        """Return the driver as it is when nova-compute has started."""
        driver = libvirt.LibvirtDriver(mock.Mock(spec=()))
        driver._cache_report.host = stage.HOST
        if driver._volumes:
            driver._volumes.check()
        driver.image_cache_manager.init_host(stage.HOST)
        return driver

    def image(self, number, mib=40, data_mib=12, **kwargs):
        """Have an image in Glance; return its id."""
        self.glance.add(stage.image(number), mib, data_mib, **kwargs)
        return stage.image(number)

    def instance(self, number):
        booted = stage.server(number, ephemeral_key_uuid=None,
                              trusted_certs=None, migration_context=None,
                              system_metadata={})
        booted.host = stage.HOST
        self.database.servers.append(booted)
        return booted

    def boot(self, driver, number, mib=60, name='disk'):
        """Make the disk of a server, as spawn does."""
        instance = self.instance(number)
        with driver._cache_starting(self.context, instance):
            self.make_disk(driver, instance, number, mib, name)
        return instance

    def make_disk(self, driver, instance, number, mib=60, name='disk'):
        backend = driver.image_backend.by_name(instance, name)
        driver._try_fetch_image_cache(
            backend, libvirt_utils.fetch_image, self.context,
            stage.sha1(number), stage.image(number), instance,
            mib and mib * MIB)
        return backend

    def delete(self, driver, instance):
        """Delete a server, and its disks as nova does."""
        self.database.servers.remove(instance)
        driver._cleanup_lvm(instance, None)

    def small_pool(self):
        run('lvcreate', '-q', '--type', 'thin-pool', '-L', '20M', '-n',
            'small', GROUP)
        self.set('cache_aware_sched', 'lvm_thin_pool', 'small')

    def age(self, seconds=2 * evictable.ABANDONED_SECONDS):
        """Have everything unused for some time."""
        then = time.time() - seconds
        for row in run('lvs', '--noheadings', '-o', 'lv_name,lv_tags',
                       GROUP).splitlines():
            name, _blank, tags = row.strip().partition(' ')
            old = [tag for tag in tags.strip().split(',') if 'used=' in tag]
            if old:
                run('lvchange', '-q', '--deltag', old[0], '--addtag',
                    volumes.used_tag(int(then * 1000)), f'{GROUP}/{name}')
        for name in self.in_base():
            os.utime(os.path.join(self.path, '_base', name), (then, then))

    def run_pass(self, driver):
        driver._cache_directory.images.group.changed()
        driver.image_cache_manager.update(
            self.context, objects.InstanceList(
                objects=self.database.servers))

    # Then.

    def volumes(self):
        return run('lvs', '--noheadings', '-o', 'lv_name', GROUP).split()

    def image_volumes(self):
        return {name for name in self.volumes() if name.startswith('i_')}

    def size(self, name):
        return int(run('blockdev', '--getsize64', f'/dev/{GROUP}/{name}'))

    def assert_disk(self, instance, number, mib=60, name='disk'):
        """See that a disk is the image, and as large as the flavor says."""
        name = f'{instance.uuid}_{name}'
        raw = self.glance.path(stage.image(number))
        length = os.stat(raw).st_size
        run('cmp', '-n', str(length), raw, f'/dev/{GROUP}/{name}')
        self.assertEqual((mib or length // MIB) * MIB, self.size(name))

    def in_base(self):
        path = os.path.join(self.path, '_base')
        return os.listdir(path) if os.path.exists(path) else []


class DiskCases:
    """What both ways to keep an image do alike."""

    def test_three_disks_of_an_image(self):
        image_id = self.image(1)
        driver = self.start()
        events = self.useFixture(fixtures.MockPatchObject(
            driver.image_cache_manager.cache, 'booted')).mock
        booted = []
        for number in range(3):
            start = time.monotonic()
            booted.append(self.boot(driver, 1))
            self.figures[f'disk {number + 1}'] = round(
                time.monotonic() - start, 2)

        self.assertEqual([image_id], self.glance.downloads)
        self.assertEqual([False, True, True],
                         [call.args[2] for call in events.call_args_list])
        self.assertEqual({40 * MIB}, {
            call.args[3] for call in events.call_args_list})
        self.assertEqual([], self.in_base())
        self.assertEqual({volumes.volume_name(stage.sha1(1))},
                         self.image_volumes())
        for instance in booted:
            self.assert_disk(instance, 1)
        [file] = driver.cached_files()
        self.assertEqual((stage.sha1(1), 40 * MIB, report.FileKind.COMPLETE),
                         (file.sha1, file.size, file.kind))
        if self.kind == 'thin':
            used = float(run('lvs', '--noheadings', '-o', 'data_percent',
                             f'{GROUP}/{POOL}')) * units.Gi / 100
            self.figures['MiB in the pool'] = round(used / MIB, 1)
            self.assertLess(used, 1.5 * 12 * MIB)
            # What an image takes is reckoned with it.
            self.assertGreaterEqual(group.Group(GROUP).look().volumes[
                POOL].chunk, 65536)


class CacheCases:
    """What becomes of images, which both ways do alike too."""

    def test_eviction_by_a_manager(self):
        self.set('cache_aware_sched', 'image_cache_max_images', 1)
        self.image(1)
        self.image(2)
        driver = self.start()
        kept = self.boot(driver, 1)
        gone = self.boot(driver, 2)
        self.delete(driver, gone)
        self.age()

        self.run_pass(driver)

        self.assertEqual({volumes.volume_name(stage.sha1(1))},
                         self.image_volumes())
        self.assert_disk(kept, 1)

    def test_fetch_that_is_killed(self):
        """What it leaves goes, or is begun anew."""
        self.set('cache_aware_sched', 'image_cache_min_free_gb', 1000)
        self.image(1)
        self.killed_fetch()
        [left] = self.image_volumes()
        driver = self.start()
        self.assertEqual([report.FileKind.ARRIVING],
                         [file.kind for file in driver.cached_files()])
        self.run_pass(driver)
        self.assertEqual({left}, self.image_volumes())
        self.age()
        self.run_pass(driver)
        self.assertEqual(([], set()), (self.in_base(), self.image_volumes()))

        self.killed_fetch()
        self.assert_disk(self.boot(driver, 1), 1)

        self.assertEqual({left}, self.image_volumes())
        self.assertIn(report.FileKind.COMPLETE,
                      [file.kind for file in driver.cached_files()])

    def killed_fetch(self):
        """Have nova-compute killed while it writes an image to its volume."""
        child = os.fork()
        if not child:
            try:
                driver = self.start()
                kind = type(driver._cache_directory.images)
                fill = kind.fill

                def die(*args):
                    fill(*args)
                    os.kill(os.getpid(), signal.SIGKILL)

                kind.fill = die
                self.boot(driver, 1)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.assertEqual(-signal.SIGKILL, code)


class TestCopy(DiskCases, LvmCase):
    kind = 'copy'


class MoreOfCopy(CacheCases, LvmCase):
    """What is played with --all only, for the time that it takes."""

    kind = 'copy'


class TestThin(DiskCases, CacheCases, LvmCase):

    def test_full_pool(self):
        """It takes no image before another has gone."""
        self.small_pool()
        self.image(1, 40, 14)
        self.image(2, 40, 14)
        driver = self.start()
        booted = self.boot(driver, 1)

        error = self.assertRaises(
            image_volumes.StoreFull, self.boot, driver, 2)

        for word in (stage.HOST, stage.image(2), 'small', 'data'):
            self.assertIn(word, str(error))
        self.assertIsInstance(error, exception.GroupAffinityViolation)
        self.assertEqual({volumes.volume_name(stage.sha1(1))},
                         self.image_volumes())
        self.assertEqual([], self.in_base())

        self.set('cache_aware_sched', 'image_cache_high_watermark_percent',
                 90)
        driver = self.start()
        self.delete(driver, booted)
        self.assert_disk(self.boot(driver, 2), 2)

        self.assertEqual({volumes.volume_name(stage.sha1(2))},
                         self.image_volumes())


class MoreOfThin(LvmCase):
    """What is played with --all only, too."""

    def test_disk_without_its_image_or_its_server(self):
        """A disk keeps its image, and needs none."""
        self.set('cache_aware_sched', 'image_cache_manager', 'none')
        self.image(1)
        driver = self.start()
        instance = self.boot(driver, 1)
        self.database.clear()
        self.age()

        self.run_pass(driver)

        [volume] = self.image_volumes()
        run('lvremove', '-q', '-f', f'{GROUP}/{volume}')
        self.assert_disk(instance, 1)

    def test_image_that_is_not_active(self):
        self.image(1)
        driver = self.start()
        self.boot(driver, 1)
        [volume] = self.image_volumes()
        run('lvchange', '-q', '-an', f'{GROUP}/{volume}')

        self.assert_disk(self.boot(driver, 1), 1)

    def test_rescue(self):
        """That disk has the size of its image."""
        self.image(1)
        driver = self.start()
        instance = self.boot(driver, 1)

        self.make_disk(driver, instance, 1, 0, 'disk.rescue')

        self.assert_disk(instance, 1, 0, 'disk.rescue')

    def test_boots_at_once(self):
        """They fetch once, also while images are evicted."""
        self.set('cache_aware_sched', 'image_cache_max_images', 1)
        self.image(1)
        self.image(2)
        driver = self.start()
        self.run_pass(driver)

        with futures.ThreadPoolExecutor(4) as pool:
            boots = [pool.submit(self.boot, driver, number)
                     for number in (1, 1, 2)]
            pool.submit(self.run_pass, driver).result()
            booted = [boot.result() for boot in boots]

        self.assertEqual([stage.image(1), stage.image(2)],
                         sorted(self.glance.downloads))
        for instance, number in zip(booted, (1, 1, 2), strict=True):
            self.assert_disk(instance, number)
        self.assertEqual(([], 2), (self.in_base(), len(self.image_volumes())))

    def test_disks_of_no_image(self):
        """They are in the pool, which hands out zeroes only."""
        driver = self.start()
        instance = self.instance(1)

        driver.image_backend.by_name(instance, 'disk.swap').cache(
            fetch_func=driver._create_swap, context=self.context,
            filename='swap_8', size=8 * MIB, swap_mb=8)
        driver.image_backend.by_name(instance, 'disk.eph0').cache(
            fetch_func=driver._create_ephemeral, context=self.context,
            filename='ephemeral_1_x', size=64 * MIB, ephemeral_size=1,
            fs_label='x', os_type=None, specified_fs='ext4',
            is_block_dev=True)

        self.assertEqual({f'{instance.uuid}_disk.{name}': POOL
                          for name in ('swap', 'eph0')}, {
            name: volume.pool for name, volume in group.Group(
                GROUP).look().volumes.items() if name != POOL})
        for name, kind in (('swap', 'swap'), ('eph0', 'ext4')):
            self.assertEqual(kind, run(
                'blkid', '-p', '-o', 'value', '-s', 'TYPE',
                f'/dev/{GROUP}/{instance.uuid}_disk.{name}').strip())

    def test_image_ahead_of_time(self):
        self.image(1)
        driver = self.start()

        fetched = [driver.cache_image(self.context, stage.image(1))
                   for _ in range(2)]

        self.assertEqual([True, False], fetched)
        self.assertEqual([], self.in_base())
        self.assert_disk(self.boot(driver, 1), 1)
        self.assertEqual(1, len(self.glance.downloads))

    def test_base_file_from_before(self):
        self.set('cache_aware_sched', 'lvm_image_store', 'file')
        self.image(1)
        self.delete(self.start(), self.boot(self.start(), 1))
        self.assertEqual([stage.sha1(1)], self.in_base())
        self.set('cache_aware_sched', 'lvm_image_store', self.kind)
        driver = self.start()

        self.assert_disk(self.boot(driver, 1), 1)

        self.assertEqual(1, len(self.glance.downloads))
        self.set('cache_aware_sched', 'image_cache_min_free_gb', 1000)
        self.age()
        self.run_pass(self.start())
        self.assertEqual(([], 1), (self.in_base(), len(self.image_volumes())))

    def test_flavor_that_is_smaller_than_the_image(self):
        self.image(1)
        driver = self.start()

        self.assertRaises(exception.FlavorDiskSmallerThanImage, self.boot,
                          driver, 1, 20)

        self.assertEqual([], [name for name in self.volumes()
                              if name.endswith('_disk')])

    def test_pool_above_its_watermark(self):
        self.small_pool()
        self.image(1, 40, 12)
        driver = self.start()
        self.boot(driver, 1)
        self.set('cache_aware_sched', 'image_cache_high_watermark_percent',
                 50)
        self.image(2, 40, 2)
        driver = self.start()

        self.assertRaises(image_volumes.StoreFull, self.boot, driver, 2)
        self.boot(driver, 1)

        self.assertEqual([stage.image(1)], self.glance.downloads)

    def test_pool_that_is_not_there(self):
        self.set('cache_aware_sched', 'lvm_thin_pool', 'nope')

        error = self.assertRaises(exception.InvalidConfiguration, self.start)

        self.assertIn('lvm_thin_pool', str(error))

    def test_pool_that_does_not_zero(self):
        run('lvchange', '-q', '--zero', 'n', f'{GROUP}/{POOL}')
        self.addCleanup(run, 'lvchange', '-q', '--zero', 'y',
                        f'{GROUP}/{POOL}')

        error = self.assertRaises(exception.InvalidConfiguration, self.start)

        self.assertIn('--zero y', str(error))


class TimesOfFile(LvmCase):
    """How long disks take; played by its name: ``-- Times``."""

    kind = 'file'

    def test_times(self):
        self.image(1, 400, 160)
        driver = self.start()
        for what in ('first disk', 'second disk'):
            run('sync')
            start = time.monotonic()
            self.boot(driver, 1, 500)
            run('sync')
            self.figures[what] = round(time.monotonic() - start, 1)
        self.figures['MiB of _base'] = sum(
            os.stat(os.path.join(self.path, '_base', name)).st_blocks // 2048
            for name in self.in_base())
        there = group.Group(GROUP).look().volumes
        # A snapshot counts what it shares.
        self.figures['MiB of the group'] = round((
            there[POOL].size * there[POOL].data_percent / 100
            if self.kind == 'thin' else sum(
                volume.size for name, volume in there.items()
                if name != POOL)) / MIB)


class TimesOfCopy(TimesOfFile):
    kind = 'copy'


class TimesOfThin(TimesOfFile):
    kind = 'thin'

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


"""The image cache of a libvirt host is managed: real files, the real nova.

Servers come through nova's API, and the passes are nova-compute's own.
"""

# isort: off
from tests.functional import test_libvirt
# isort: on

import inspect
import os
import shutil
import subprocess
import time

import fixtures
import nova.conf
from nova import context as nova_context
from nova import exception
from nova import objects
from nova.storage import rbd_utils
from nova.virt import images
from nova.virt.libvirt import driver as libvirt_driver
from nova.virt.libvirt import imagecache as nova_imagecache
from nova.virt.libvirt import utils as libvirt_utils
from nova.virt import storage_users

from cache_aware_sched.conf import imagecache as conf
from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import evictable
from cache_aware_sched import report
from cache_aware_sched.report import Holding

CONF = nova.conf.CONF

MIB = test_libvirt.MIB
GIB = 2 ** 30


class ImageCacheTestCase(test_libvirt.LibvirtTestCase):
    """host1 manages its image cache.

    :cvar OPTIONS: of this package, when host1 starts
    """

    OPTIONS = {}

    def setUp(self):
        self.set(**self.OPTIONS)
        super().setUp()
        # Sparse files stand for images: they are as large as they say.
        self.useFixture(fixtures.MockPatchObject(
            directory.Directory, 'size_of',
            staticmethod(lambda status: status.st_size)))
        os.makedirs(self.directory, exist_ok=True)
        self.seen = []

    # Given.

    def set(self, **options):
        """Set options of this package."""
        self.flags(group='cache_aware_sched', **options)

    def restart(self, **options):
        """Restart the compute with other options."""
        self.set(**options)
        self.restart_compute_service('host1')
        self.driver = self.computes['host1'].driver

    def hold(self, size=MIB, hours=0.0, image_id=None):
        """Let the host hold an image that was last used hours ago."""
        image_id = image_id or self.image()
        self.put_old(report.image_sha1(image_id), hours, size)
        return image_id

    def put_old(self, name, hours, size=MIB):
        """Put a file into the cache directory, last used hours ago."""
        self.put(name, size)
        used = time.time() - hours * 3600
        os.utime(os.path.join(self.directory, name), (used, used))

    def flavor(self, disk=1):
        return self._create_flavor(
            disk=disk, vcpu=1, memory_mb=64, ephemeral=0)

    def boot_and_delete(self, image_id):
        """Leave an image behind that a server was booted from."""
        self._delete_server(self.boot(image_id))

    def around(self, owner, name, before=lambda: None, after=lambda: None):
        """Have functions called before and after one of nova's own."""
        original = getattr(owner, name)

        def patched(*args, **kwargs):
            before()
            result = original(*args, **kwargs)
            after()
            return result

        if isinstance(inspect.getattr_static(owner, name), staticmethod):
            patched = staticmethod(patched)
        self.useFixture(fixtures.MockPatchObject(owner, name, patched))

    def at_fetch(self, before=lambda: None, after=lambda: None):
        """Have functions called when nova begins and ends a fetch."""
        self.around(images, 'fetch_to_raw', before, after)

    def arrives_as(self, image_id, size):
        """Have an image be larger than Glance says."""
        path = os.path.join(self.directory, report.image_sha1(image_id))
        self.at_fetch(after=lambda: os.truncate(path, size))

    def in_driver(self, name, before):
        """Have a function called before a method of nova's driver."""
        self.around(libvirt_driver.LibvirtDriver, name, before)

    def boot_to_shelve(self, image_id):
        """Boot a server whose disk can be uploaded to Glance."""
        update = self.glance.update

        def keep(context, image_id, metadata, data=None, **kwargs):
            # nova's stand-in drops it.
            if data is not None:
                self.glance._imagedata[image_id] = data.read()
            return update(context, image_id, metadata, **kwargs)

        self.useFixture(fixtures.MockPatchObject(
            self.glance, 'update', keep))
        self.mock_file_open.side_effect = open
        # A disk of the size of the image is fast to copy.
        return self.boot(image_id, disk=0)

    def cell(self):
        """Return the context in which nova-compute works."""
        return nova_context.target_cell(
            nova_context.get_admin_context(),
            self.host_mappings['host1'].cell_mapping)

    # When.

    def run_pass(self, host='host1'):
        """Have nova-compute make a pass, as its periodic task does."""
        self.flags(host=host)
        with self.cell() as cell:
            self.computes[host].manager._run_image_cache_manager_pass(cell)

    def look(self, *image_ids):
        """Remember which of the images are there now."""
        self.seen.append(self.held(*image_ids))

    def pass_and_look(self, image_id):
        """Make a pass, and remember whether it leaves an image."""
        self.run_pass()
        self.look(image_id)

    def pre_cache(self, image_id):
        """Ask for an image ahead of time, and wait for the outcome."""
        aggregate = self._create_aggregate('precache')
        self.api.add_host_to_aggregate(aggregate, 'host1')
        self.api.api_post(f'/os-aggregates/{aggregate}/images',
                          {'cache': [{'id': image_id}]})
        self.notifier.wait_for_versioned_notifications(
            'aggregate.cache_images.end')

    # Then.

    def files(self):
        return set(os.listdir(self.directory))

    def held(self, *image_ids):
        """Return which of the images are there."""
        return [image_id for image_id in image_ids
                if report.image_sha1(image_id) in self.files()]

    def payloads(self):
        """Return what was told of images, the same in both forms."""
        legacy = [
            (message.event_type.removeprefix('image_cache.'), message.payload)
            for message in self.notifier.notifications
            if message.event_type.startswith('image_cache.')]
        versioned = [
            (message['event_type'].removeprefix('image_cache.'),
             message['payload']['nova_object.data'])
            for message in self.notifier.versioned_notifications
            if message['event_type'].startswith('image_cache.')]
        self.assertEqual(legacy, versioned)
        return legacy

    def told(self):
        """Return what happened to which image."""
        return [(action, payload['image_id'])
                for action, payload in self.payloads()]

    def log(self):
        return self.stdlog.logger.output


class BootTests(ImageCacheTestCase):
    """One hit or miss for each boot, and none for anything else."""

    def test_cold(self):
        image_id = self.image()

        server = self.boot(image_id)

        self.assertEqual([('miss', {
            'image_id': image_id, 'host': 'host1', 'size': MIB,
            'instance_uuid': server['id'], 'reason': None,
            'file': report.image_sha1(image_id)})], self.payloads())

    def test_warm(self):
        image_id = self.image()
        self.boot(image_id)
        self.notifier.reset()

        server = self.boot(image_id)

        self.assertEqual([('hit', {
            'image_id': image_id, 'host': 'host1', 'size': MIB,
            'instance_uuid': server['id'], 'reason': None,
            'file': report.image_sha1(image_id)})], self.payloads())

    def test_kernel_and_ramdisk(self):
        kernel, ramdisk, image_id = (self.image() for _image in range(3))
        self.glance.images[image_id]['properties'] = {
            'kernel_id': kernel, 'ramdisk_id': ramdisk}

        self.boot(image_id)

        self.assertEqual([('miss', image_id)], self.told())
        self.assertEqual([kernel, ramdisk, image_id],
                         self.held(kernel, ramdisk, image_id))

    def test_volume(self):
        self._create_server_boot_from_volume(networks='none')

        self.assertEqual([], self.told())

    def test_pre_cached(self):
        self.need_qemu_img()
        image_id = self.image()

        self.pre_cache(image_id)
        self.assertEqual([], self.told())
        self.boot(image_id)

        self.assertEqual([('hit', image_id)], self.told())

    def test_several_at_once(self):
        self.need_qemu_img()
        image_id = self.image()
        server = self._build_server(
            image_uuid=image_id, networks='none', flavor_id=self.flavor())
        server.update(min_count=3, max_count=3)

        self.api.post_server({'server': server})
        for server in self.api.get_servers():
            self._wait_for_state_change(server, 'ACTIVE')

        self.assertEqual([('hit', image_id), ('hit', image_id),
                          ('miss', image_id)], sorted(self.told()))

    def test_fetch_that_fails(self):
        image_id = self.image()

        def fail():
            raise OSError('no route to Glance')

        self.at_fetch(before=fail)
        self.boot(image_id, expected_state='ERROR')

        self.assertEqual([], self.told())

    def test_rebuild(self):
        server = self.boot(self.image())
        self.notifier.reset()
        image_id = self.image()

        self._rebuild_server(server, image_id)

        self.assertEqual([('miss', image_id)], self.told())

    def test_resize_on_the_same_host(self):
        self.flags(allow_resize_to_same_host=True)
        server = self.boot(self.image())
        self.notifier.reset()

        self._resize_server(server, self.flavor(disk=2))
        self._confirm_resize(server)

        self.assertEqual([], self.told())

    def test_migration_that_fetches_the_image(self):
        image_id = self.image()
        server = self.boot(image_id)
        self.start_compute('host2')
        self.notifier.reset()
        os.unlink(os.path.join(self.directory, report.image_sha1(image_id)))

        self._migrate_server(server)

        self.assertEqual([image_id], self.held(image_id))
        self.assertEqual([], self.told())

    def test_unshelve(self):
        """Two images are fetched: the snapshot, and what it is based on."""
        image_id = self.image()
        server = self._shelve_server(self.boot_to_shelve(image_id))
        os.unlink(os.path.join(self.directory, report.image_sha1(image_id)))
        self.notifier.reset()

        self._unshelve_server(server)

        (action, payload), = self.payloads()
        self.assertEqual('miss', action)
        self.assertEqual(server['id'], payload['instance_uuid'])
        self.assertEqual([image_id], self.held(image_id))

    def ceph(self):
        """Return a Ceph in which disks are, by the name of the disk."""
        ceph = self.useFixture(fixtures.MockPatchObject(
            rbd_utils, 'RBDDriver', autospec=True)).mock.return_value
        there = set()
        ceph.configure_mock(pool='vms', rbd_user=None, ceph_conf=None)
        ceph.exists.side_effect = lambda name: name in there
        ceph.clone.side_effect = lambda location, name: there.add(name)
        ceph.import_image.side_effect = lambda base, name: there.add(name)
        ceph.size.return_value = MIB
        ceph.get_mon_addrs.return_value = ([], [])
        self.flags(group='libvirt', images_type='rbd', images_rbd_pool='vms')
        return ceph

    def test_ceph_that_cannot_clone_the_image(self):
        """It is then fetched into the cache, and from there into Ceph."""
        self.need_qemu_img()
        ceph = self.ceph()
        ceph.is_cloneable.return_value = False
        image_id = self.image()
        self.glance.images[image_id]['locations'] = []

        self.boot(image_id)
        self.boot(image_id)

        ceph.clone.assert_not_called()
        self.assertEqual([('miss', image_id), ('hit', image_id)], self.told())
        self.report_now()
        self.assertIs(Holding.WARM, self.report().holding(
            report.image_key(image_id)))

    def test_ceph(self):
        """Disks are clones there, and nothing is cached."""
        ceph = self.ceph()
        image_id = self.image()
        self.glance.images[image_id]['locations'] = [{'url': 'rbd://image'}]

        self.boot(image_id)

        ceph.clone.assert_called_once()
        self.assertEqual([], self.told())


class AgeTests(ImageCacheTestCase):
    """The default, with the options that nova has."""

    FILES = {'swap_512': 100, 'swap_1024': 1, 'ephemeral_20_40d1d2c': 100,
             'a' * 40: 100, 'b' * 40: 23, f'{"c" * 40}_10737418240': 2,
             f'{"d" * 40}_20': 0.5, f'{"e" * 40}.part': 100, 'README': 100}

    def setUp(self):
        super().setUp()
        for name, hours in self.FILES.items():
            self.put_old(name, hours)

    def test_what_nova_would_remove(self):
        image_id = self.image()
        self.boot(image_id)
        self.hold(hours=100, image_id=image_id)
        # Given a copy of the directory, which nova's own manager had
        nova_s = f'{self.directory}_nova'
        shutil.copytree(self.directory, nova_s)
        self.flags(group='image_cache',
                   subdirectory_name=os.path.basename(nova_s))
        with fixtures.MockPatchObject(self.driver, 'image_cache_manager',
                                      nova_imagecache.ImageCacheManager()):
            self.run_pass()
        self.flags(group='image_cache', subdirectory_name='_base')

        self.run_pass()

        self.assertEqual(set(os.listdir(nova_s)), self.files())
        self.assertEqual(
            {'swap_1024', 'b' * 40, f'{"d" * 40}_20', f'{"e" * 40}.part',
             'README', report.image_sha1(image_id)}, self.files())

    def test_what_is_pre_cached_again_stays(self):
        """It counts as used, and Glance is not asked for it."""
        image_id = self.hold(hours=100)
        self.at_fetch(before=lambda: self.look(image_id))

        self.pre_cache(image_id)
        self.run_pass()

        self.assertEqual(self.held(image_id), [image_id])
        self.assertEqual([], self.seen)

    def test_reason(self):
        image_id = self.image()
        self.boot_and_delete(image_id)
        self.hold(hours=100, image_id=image_id)
        self.notifier.reset()

        self.run_pass()

        self.assertIn(('evict', {
            'image_id': image_id, 'host': 'host1', 'size': MIB,
            'instance_uuid': None, 'reason': 'age',
            'file': report.image_sha1(image_id)}), self.payloads())

    def test_each_pass_is_one_line_in_the_log(self):
        self.run_pass()

        lines = [line for line in self.log().splitlines()
                 if 'Image cache of host host1:' in line]
        [_start, line] = lines
        self.assertIn(' INFO ', line)
        self.assertIn('8 files', line)


class NovaTests(ImageCacheTestCase):
    """What nova does with the manager of a driver goes on as it was."""

    def test_disk_that_the_cache_takes_is_reserved(self):
        self.flags(group='workarounds',
                   reserve_disk_resource_for_image_cache=True)
        self.boot(self.image())

        self._run_periodics()

        inventory = self._get_provider_inventory(
            self.compute_rp_uuids['host1'])
        self.assertEqual(1, inventory['DISK_GB']['reserved'])


class StartTests(ImageCacheTestCase):
    """What makes no sense stops nova-compute with the reason."""

    def refuse(self, **options):
        return str(self.assertRaises(
            exception.InvalidConfiguration, self.restart, **options))

    def test_unknown_manager(self):
        error = self.refuse(image_cache_manager='nosuch')

        self.assertEqual(
            "[cache_aware_sched] image_cache_manager is 'nosuch', which is "
            f"not installed. Installed are: {', '.join(conf.installed())}.",
            error)

    def test_low_watermark_above_the_high_one(self):
        error = self.refuse(image_cache_high_watermark_percent=70,
                            image_cache_low_watermark_percent=80)

        self.assertIn(
            'image_cache_low_watermark_percent is 80, above '
            'image_cache_high_watermark_percent, which is 70.', error)


class LimitTests(ImageCacheTestCase):
    """3 GiB, least recently used first."""

    OPTIONS = {'image_cache_manager': 'lru', 'image_cache_max_size_gb': 3}

    def setUp(self):
        super().setUp()
        self.old = self.hold(2 * GIB, hours=5)
        self.young = self.hold(GIB, hours=1)

    def left(self):
        return self.held(self.old, self.young)

    def test_room_for_the_kernel_of_a_resize(self):
        """It is made before nova fetches the kernel, not afterwards."""
        self.flags(allow_resize_to_same_host=True)
        kernel = self.image()
        image_id = self.image()
        self.glance.images[image_id]['properties'] = {'kernel_id': kernel}
        server = self.boot(image_id)
        os.unlink(os.path.join(self.directory, report.image_sha1(kernel)))
        self.hold(2 * GIB, hours=5, image_id=self.old)
        before = []
        self.around(libvirt_utils, 'fetch_raw_image',
                    lambda: before.append(self.left()))

        self._resize_server(server, self.flavor(disk=2))

        self.assertEqual([[self.young]], before)
        self.assertEqual([kernel], self.held(kernel))

    def test_oldest_goes(self):
        self.hold(GIB, hours=3)

        self.run_pass()

        self.assertEqual([self.young], self.left())
        self.assertEqual([('evict', {
            # Nobody has named it since the file is there.
            'image_id': None, 'host': 'host1', 'size': 2 * GIB,
            'instance_uuid': None, 'reason': 'image_cache_max_size_gb',
            'file': report.image_sha1(self.old)})], self.payloads())

    def test_image_that_was_pre_cached_is_known_by_its_id(self):
        self.need_qemu_img()
        image_id = self.image()
        self.pre_cache(image_id)
        self.hold(3 * GIB, hours=9, image_id=image_id)
        self.restart()
        self.notifier.reset()

        self.run_pass()

        self.assertEqual([('evict', image_id)], self.told())

    def test_image_of_a_server_stays(self):
        image_id = self.image()
        self.boot(image_id)
        self.hold(3 * GIB, hours=9, image_id=image_id)
        self.notifier.reset()

        self.run_pass()

        self.assertEqual([image_id], self.held(image_id))
        self.assertEqual([], self.left())

    def test_scheduler_learns_of_it_at_once(self):
        self.report_now()
        self.assertIs(Holding.WARM, self.holding(self.old))
        self.hold(GIB)

        self.run_pass()

        self.wait_for(self.old, Holding.COLD)

    def test_room_is_made_before_a_boot_fetches(self):
        image_id = self.image(size=GIB)
        self.at_fetch(before=lambda: self.look(self.old, self.young))

        self.boot(image_id)

        self.assertEqual([[self.young]], self.seen)
        self.assertEqual([('evict', None), ('miss', image_id)], self.told())

    def test_room_is_made_before_a_pre_cache_fetches(self):
        self.need_qemu_img()
        image_id = self.image(size=GIB)
        self.at_fetch(before=lambda: self.look(self.old, self.young))

        self.pre_cache(image_id)

        self.assertEqual([[self.young]], self.seen)
        self.assertEqual([image_id], self.held(image_id))

    def test_pre_cache_of_what_is_too_large(self):
        image_id = self.image(size=4 * GIB)

        self.pre_cache(image_id)

        self.assertEqual([], self.held(image_id))
        self.assertEqual([self.old, self.young], self.left())
        self.assertEqual([], self.told())
        self.assertRegex(
            self.log(), f'ERROR .*Failed to cache image {image_id}: .*'
                        'image_cache_max_size_gb is 3')

    def test_pre_cache_where_all_is_protected(self):
        self.restart(protected_images=[self.old, self.young])
        image_id = self.image(size=GIB)

        self.pre_cache(image_id)

        self.assertEqual([], self.held(image_id))
        self.assertEqual([self.old, self.young], self.left())
        self.assertRegex(
            self.log(), f'ERROR .*Failed to cache image {image_id}: .*'
                        'in use or protected for .*image_cache_max_size_gb')

    def test_boot_of_what_is_too_large(self):
        image_id = self.image(size=4 * GIB)
        self.arrives_as(image_id, 4 * GIB)

        self.boot(image_id, disk=4)

        self.assertEqual([self.old, self.young], self.left())
        self.assertEqual([('miss', image_id)], self.told())
        self.assertRegex(
            self.log(), f'INFO .*fetches image {image_id} for a server, and '
                        'evicts nothing for its size')

    def test_image_that_says_that_it_is_huge(self):
        """What it says has nothing evicted: nova refuses it."""
        self.need_qemu_img()
        self.restart(image_cache_max_size_gb=4)
        image_id = self.image()
        huge = os.path.join(self.directory, 'huge')
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', huge,
                        '20G'], check=True)
        with open(huge, 'rb') as file:
            data = file.read()
        os.unlink(huge)
        self.glance.images[image_id].update(
            disk_format='qcow2', size=len(data), virtual_size=20 * GIB)
        self.glance._imagedata[image_id] = data

        self.boot(image_id, disk=1, expected_state='ERROR')

        self.assertEqual([self.old, self.young], self.left())
        self.assertEqual([], self.told())
        self.assertIn('FlavorDiskSmallerThanImage', self.log())

    def test_room_is_made_again_for_what_has_come(self):
        """It is larger than Glance said, as what was sparse or compressed."""
        image_id = self.image(size=MIB)
        self.arrives_as(image_id, 2 * GIB)

        self.boot(image_id, disk=4)

        self.assertEqual([self.young], self.left())
        self.assertEqual([image_id], self.held(image_id))

    def test_boot_where_all_is_protected(self):
        self.restart(protected_images=[self.old, self.young])
        image_id = self.image(size=GIB)

        self.boot(image_id)

        self.assertEqual([self.old, self.young], self.left())
        self.assertEqual([('miss', image_id)], self.told())

    def test_glance_that_does_not_tell_the_size(self):
        # Given Glance is away until the image itself is fetched
        image_id = self.image(size=GIB)
        away = fixtures.MockPatchObject(
            self.glance, 'show', autospec=True,
            side_effect=OSError('no route to Glance'))
        self.in_driver('_create_image', before=away.setUp)
        self.at_fetch(before=away.cleanUp)

        self.boot(image_id)

        # Room is made when it can be seen how large it is.
        self.assertEqual([image_id], self.held(image_id))
        self.assertEqual([self.young], self.left())
        self.assertRegex(self.log(), 'WARNING .*makes no room for image '
                                     f'{image_id}: .*no route to Glance')

    def test_dry_run(self):
        self.restart(image_cache_dry_run=True)
        self.hold(GIB)

        self.run_pass()

        self.assertEqual([self.old, self.young], self.left())
        self.assertEqual([], self.told())
        self.assertRegex(
            self.log(), 'INFO .*Host host1 would evict '
                        f'{report.image_sha1(self.old)}.*'
                        'image_cache_max_size_gb')

    def test_protected_image(self):
        self.restart(protected_images=[self.old])
        self.hold(GIB)

        self.run_pass()

        self.assertEqual([self.old], self.left())

    def test_file_of_protected_images_is_read_again(self):
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'file')
        self.protect(path, self.old)
        self.restart(protected_images_file=path)
        self.hold(GIB)
        self.run_pass()
        self.assertEqual([self.old], self.left())

        self.protect(path, '# none any more')
        self.hold(GIB)
        self.run_pass()

        self.assertEqual([], self.left())

    def protect(self, path, line):
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'{line}\n')

    def test_pass_in_the_middle_of_a_fetch(self):
        # Given a fetch that takes hours, and no room
        self.need_qemu_img()
        image_id = self.image()
        part = f'{report.image_sha1(image_id)}.part'
        seen = []

        def fetch_some():
            self.put_old(part, 2, 4 * GIB)
            self.run_pass()
            seen.append(part in self.files())

        self.at_fetch(before=fetch_some)

        self.pre_cache(image_id)

        self.assertEqual([True], seen)
        self.assertEqual([image_id], self.held(image_id))


class UnusedTests(ImageCacheTestCase):
    """Nothing is kept that nobody needs."""

    OPTIONS = {'image_cache_manager': 'none'}

    def setUp(self):
        # Disks that do not show what they were made from.
        self.flags(group='libvirt', images_type='raw')
        super().setUp()
        # As long after as nothing was just used any more.
        self.useFixture(fixtures.MockPatchObject(
            evictable, 'GRACE_SECONDS', 0))
        self.useFixture(fixtures.MockPatchObject(
            directory, '_TAKEN_SECONDS', 0))

    def assert_kept_only_while(self, image_id, end):
        """Assert that an image stays in a pass, and that it goes after."""
        self.run_pass()
        self.assertEqual([image_id], self.held(image_id))
        end()
        self.run_pass()
        self.assertEqual([], self.held(image_id))

    def test_image_goes_with_its_last_server(self):
        image_id = self.image()
        server = self.boot(image_id)
        unused = self.hold()

        self.run_pass()

        self.assertEqual([image_id], self.held(image_id, unused))
        self._delete_server(server)
        self.run_pass()
        self.assertEqual([], self.held(image_id))

    def test_soft_deleted_server(self):
        self.flags(reclaim_instance_interval=3600)
        image_id = self.image()
        server = self.boot(image_id)
        self.api.delete_server(server['id'])
        self._wait_for_state_change(server, 'SOFT_DELETED')

        self.assert_kept_only_while(image_id, lambda: self.force_delete(
            server))

    def force_delete(self, server):
        self.api.post_server_action(server['id'], {'forceDelete': {}})
        self._wait_until_deleted(server)

    def test_shelved_server(self):
        self.flags(shelved_offload_time=-1)
        image_id = self.image()
        server = self._shelve_server(self.boot_to_shelve(image_id), 'SHELVED')

        self.assert_kept_only_while(
            image_id, lambda: self._shelve_offload_server(server))

    def test_pass_while_a_server_is_spawned(self):
        image_id = self.image()
        self.in_driver(
            '_create_guest_with_network',
            before=lambda: self.pass_and_look(image_id))

        self.boot(image_id)

        self.assertEqual([[image_id]], self.seen)

    def test_pass_before_the_database_knows_of_a_server(self):
        image_id = self.hold()

        def pass_without_servers():
            self.driver.manage_image_cache(
                nova_context.get_admin_context(), [])
            self.look(image_id)

        self.in_driver('_create_image', before=pass_without_servers)

        self.boot(image_id)

        self.assertEqual([[image_id]], self.seen)

    def test_pass_at_the_end_of_a_fetch(self):
        self.need_qemu_img()
        image_id = self.image()
        self.at_fetch(after=lambda: self.pass_and_look(image_id))

        self.pre_cache(image_id)

        self.assertEqual([[image_id]], self.seen)
        self.assertEqual([image_id], self.held(image_id))

    def test_pass_while_an_unshelved_disk_is_rebased(self):
        # Given a disk made from a snapshot, about to get its old backing file
        self.flags(group='libvirt', images_type='qcow2')
        image_id = self.image()
        server = self._shelve_server(self.boot_to_shelve(image_id))
        self.in_driver(
            '_rebase_with_qemu_img',
            before=lambda: self.pass_and_look(image_id))

        self._unshelve_server(server)

        self.assertEqual([[image_id]], self.seen)

    def test_server_that_moves_here(self):
        # Given a server on a host that does not share the storage
        self.start_fake_compute()
        image_id = self.image()
        server = self.boot(image_id, host='host2')
        self.hold(image_id=image_id)
        migration = self.migration(server, 'host2', 'host1')

        self.assert_kept_only_while(image_id, lambda: self.end(migration))

    def migration(self, server, source, dest):
        """Return a live migration that has begun."""
        with self.cell() as cell:
            migration = objects.Migration(
                cell, instance_uuid=server['id'], source_compute=source,
                dest_compute=dest, migration_type='live-migration',
                status='migrating')
            migration.create()
            # The record alone would not count: it may never end.
            instance = objects.Instance.get_by_uuid(cell, server['id'])
            instance.task_state = 'migrating'
            instance.save()
        return migration

    def end(self, migration):
        with self.cell() as cell:
            migration = objects.Migration.get_by_id(cell, migration.id)
            migration.status = 'error'
            migration.save()

    def test_resize_that_is_not_confirmed(self):
        image_id = self.image()
        server = self.boot(image_id)
        self.start_compute('host2')
        # host2 has another storage: only the resize tells of the server.
        self.useFixture(fixtures.MockPatchObject(
            storage_users, 'get_storage_users', lambda path: ['host1']))
        server = self._migrate_server(server)
        self.assertEqual('host2', server['OS-EXT-SRV-ATTR:host'])

        self.assert_kept_only_while(
            image_id, lambda: self._confirm_resize(server))

    def test_server_of_a_host_that_shares_the_storage(self):
        self.start_compute('host2')
        image_id = self.image()
        server = self.boot(image_id, host='host2')
        self.run_pass('host2')

        self.assert_kept_only_while(
            image_id, lambda: self._delete_server(server))


class PopularityTests(ImageCacheTestCase):

    OPTIONS = {'image_cache_manager': 'popularity',
               'image_cache_max_size_gb': 3}

    def test_boots_count_and_outlive_the_compute(self):
        popular = self.image()
        self.boot_and_delete(popular)
        self.hold(2 * GIB, hours=9, image_id=popular)
        never_booted = self.hold(2 * GIB, hours=1)
        self.restart()

        self.run_pass()

        self.assertEqual([popular], self.held(popular, never_booted))

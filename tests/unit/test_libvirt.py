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

import inspect
import os
import time
from unittest import mock

import fixtures
from nova.compute import manager as compute_manager
from nova import exception
from nova import objects
from nova.tests import fixtures as nova_fixtures
from nova import utils
from nova.virt import driver as nova_driver
from nova.virt import imagecache as nova_imagecache
from nova.virt.libvirt import driver as libvirt_driver
from nova.virt.libvirt import imagebackend
from nova.virt import storage_users
from oslo_concurrency import lockutils
from oslo_versionedobjects import base as ovo

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import entry
from cache_aware_sched.imagecache import used
from cache_aware_sched import report
from cache_aware_sched.virt import libvirt
from cache_aware_sched.virt import managed
from tests.unit import base
from tests.unit import factories
from tests.unit import managers
from tests.unit import rows

SHA1 = report.image_sha1(factories.IMAGE)
KEY = report.image_key(factories.IMAGE)


def entry_of(name):
    parsed = entry.parse(name)
    return entry.Entry(name, parsed.kind, parsed.sha1, 1, 1)


def _is_running(pid):
    """Return whether a process did not end; one that did may be a zombie."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


class LibvirtTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = self.useFixture(fixtures.TempDir()).path
        self.set_nova(instances_path=self.path)
        self.directory = os.path.join(self.path, '_base')
        os.mkdir(self.directory)
        self.useFixture(nova_fixtures.LibvirtFixture())
        self.rows = self.useFixture(rows.Rows())
        self.resources = self.useFixture(fixtures.MockPatchObject(
            libvirt_driver.LibvirtDriver, 'get_available_resource',
            autospec=True, side_effect=lambda *args: {'vcpus': 1})).mock
        self.driver = libvirt.LibvirtDriver(mock.Mock(spec=()))
        self.driver._cache_report.host = 'h'
        self.refresh = self.useFixture(fixtures.MockPatchObject(
            self.driver._cache_report._refresher, 'request',
            autospec=True)).mock

    def write(self, target, size=1000):
        with open(target, 'wb') as file:
            file.write(b'x' * size)

    def report(self):
        resources = self.driver.get_available_resource('node')
        return report.Report(resources['stats'][report.STATS_KEY])

    def holding(self):
        return self.report().holding(KEY)


class TestReport(LibvirtTestCase):

    def test_files_of_the_cache_directory(self):
        self.assertEqual(report.Holding.COLD, self.holding())

        self.write(os.path.join(self.directory, SHA1))

        self.assertEqual(report.Holding.WARM, self.holding())

    def test_subdirectory_that_nova_is_told_to_use(self):
        self.set_nova('image_cache', subdirectory_name='other')
        os.mkdir(os.path.join(self.path, 'other'))
        self.write(os.path.join(self.path, 'other', SHA1))

        driver = libvirt.LibvirtDriver(mock.Mock(spec=()))

        self.assertEqual(1, len(driver.cached_files()))

    def test_ceph_caches_nothing(self):
        self.set_nova('libvirt', images_type='rbd')

        self.assertFalse(self.driver.caches_images())
        self.assertEqual(report.Holding.COLD, self.holding())

    def test_ceph_caches_what_it_cannot_clone(self):
        self.set_nova('libvirt', images_type='rbd')
        self.write(os.path.join(self.directory, SHA1))

        self.assertTrue(self.driver.caches_images())
        self.assertEqual(report.Holding.WARM, self.holding())

    def test_ceph_tells_which_images_are_in_use(self):
        self.set_nova('libvirt', images_type='rbd')
        self.rows.server(host='h').node = 'node'

        [file] = self.report()

        self.assertEqual((KEY, report.FileKind.ABSENT, 1),
                         (file.sha1, file.kind, file.users))

    def test_file_of_another_spelling_of_the_image(self):
        typed = factories.IMAGE.upper()
        self.rows.server(typed, 'h').node = 'node'
        self.write(os.path.join(self.directory, report.image_sha1(typed)))

        self.assertEqual(report.Holding.WARM, self.holding())

    def test_files_are_cached_otherwise(self):
        for images_type in ('default', 'raw', 'qcow2', 'flat'):
            self.set_nova('libvirt', images_type=images_type)

            self.assertTrue(self.driver.caches_images())


class TestFetch(LibvirtTestCase):

    def fetch(self, fetch_func, target=None):
        """Boot a server whose image is not there, as nova does."""
        target = target or os.path.join(self.directory, SHA1)
        backend = mock.Mock(spec=('cache',))
        backend.cache.side_effect = (
            lambda fetch_func, context, filename, image_id, size,
            trusted_certs: fetch_func(
                context=context, target=target, image_id=image_id))
        server = factories.instance(vm_state='building', trusted_certs=None,
                                    migration_context=None)
        self.driver._try_fetch_image_cache(
            backend, fetch_func, self.context, SHA1, factories.IMAGE, server,
            None)

    def test_image_is_arriving_and_then_there(self):
        seen = []

        def fetch_func(context, target, image_id):
            seen.append((image_id, self.holding()))
            self.write(target)

        self.fetch(fetch_func)

        self.assertEqual(
            [(factories.IMAGE, report.Holding.ARRIVING)], seen)
        self.assertEqual(report.Holding.WARM, self.holding())
        self.assertEqual(2, self.refresh.call_count)

    def test_rate_is_that_of_the_bytes_on_disk(self):
        def fetch_func(context, target, image_id):
            self.write(target, 1000)
            os.truncate(target, 2 ** 40)

        with mock.patch.object(
                self.driver._cache_report._rate, 'add', autospec=True) as add:
            self.fetch(fetch_func)

        self.assertLess(add.call_args.args[0], 10 ** 6)
        self.assertGreater(add.call_args.args[0], 999)

    def test_argument_that_another_nova_has(self):
        """It is passed on, and boots go on."""
        given = {}

        def fetching(driver, image, fetch_func, context, filename, image_id,
                     instance, size, fallback_from_host=None, new=None):
            given.update(size=size, new=new)

        with mock.patch.object(libvirt_driver.LibvirtDriver,
                               '_try_fetch_image_cache', fetching):
            self.driver._try_fetch_image_cache(
                None, mock.Mock(), self.context, SHA1, factories.IMAGE,
                factories.instance(), 10, new=7)

        self.assertEqual({'size': 10, 'new': 7}, given)

    def test_failure_is_nova_s(self):
        def fetch_func(context, target, image_id):
            raise OSError('disk is full')

        self.assertRaises(OSError, self.fetch, fetch_func)

        self.assertEqual(report.Holding.COLD, self.holding())

    def boot(self, cache, filename=SHA1, **fields):
        """Boot a server with a backend of nova's.

        :param cache: what its method of that name does
        :returns: whether it was a hit
        """
        server = factories.instance(
            vm_state='building', trusted_certs=None, migration_context=None,
            **fields)
        backend = mock.Mock(spec=('cache',))
        backend.cache.side_effect = cache
        with self.driver.image_cache_manager.cache.using():
            boot = self.driver._cache_boots[server.uuid] = managed.ImageUse()
            self.driver._try_fetch_image_cache(
                backend, mock.Mock(), self.context, filename,
                factories.IMAGE, server, 10 ** 9, 'other-host')
        return boot.hit

    def test_copy_from_another_host(self):
        """nova tries Glance first, and then copies to the final name."""
        held = []

        def cache(fetch_func, filename, size, context=None, image_id=None,
                  trusted_certs=None):
            path = os.path.join(self.directory, filename)
            if context:
                raise exception.ImageNotFound(image_id=image_id)
            fetch_func(target=path)

        def copy(src, dest, host, receive):
            held.append((self.holding(), host))
            self.write(dest)

        with (mock.patch.object(libvirt_driver.libvirt_utils, 'copy_image',
                                copy),
              mock.patch.object(
                  self.driver.image_cache_manager.cache, 'fetching',
                  autospec=True) as fetching):
            hit = self.boot(cache)

        self.assertIs(False, hit)
        self.assertEqual([(report.Holding.ARRIVING, 'other-host')], held)
        [made] = fetching.call_args_list
        self.assertEqual((self.context, factories.IMAGE), made.args)
        self.assertEqual(
            (libvirt._bytes_on_host, ('other-host', os.path.join(
                self.directory, SHA1))),
            (made.kwargs['size_of'].func, made.kwargs['size_of'].args))

    def test_image_that_is_there(self):
        self.write(os.path.join(self.directory, SHA1))

        self.assertIs(True, self.boot(lambda *args, **kwargs: None))

    def test_nova_that_fetches_in_another_way(self):
        """Whether the image was there, nobody can tell."""
        self.write(os.path.join(self.directory, SHA1))
        with mock.patch.object(libvirt_driver.LibvirtDriver,
                               '_try_fetch_image_cache', autospec=True):
            self.assertIsNone(self.boot(lambda *args, **kwargs: None))

    def test_image_that_ceph_clones(self):
        """Nothing of it is in the cache: no hit and no miss."""
        self.set_nova('libvirt', images_type='rbd')

        def cache(fetch_func, filename, **fields):
            fetch_func(target=os.path.join(self.directory, filename))

        self.assertIsNone(self.boot(cache))

    def test_base_file_whose_name_is_no_digest(self):
        """As disks of old releases have; the report is made meanwhile."""
        seen = []

        def cache(fetch_func, filename, **fields):
            path = os.path.join(self.directory, filename)
            seen.append(self.holding())
            self.write(path)
            fetch_func(target=path)
            seen.append(self.holding())

        def fetch(target):
            seen.append(self.holding())

        with mock.patch.object(self.driver, 'image_fetched') as fetched:
            self.boot(cache, 'my-golden-image')

        fetched.assert_not_called()
        self.assertEqual([report.Holding.COLD] * 2, seen)

    def kernel(self, name, **fields):
        """Have nova's image backend make a kernel of a server; see its room.

        :returns: how room was made for it
        """
        def fetch(target, **fields):
            self.assertIn(SHA1, evictable.in_progress.sha1s())
            self.write(target)

        cache = self.driver.image_cache_manager.cache
        evictable = cache._evictor.evictable
        server = factories.instance(vm_state='active', os_type=None)
        os.makedirs(os.path.join(self.path, server.uuid), exist_ok=True)
        self.useFixture(nova_fixtures.PrivsepFixture())
        with mock.patch.object(cache, 'fetching', autospec=True) as fetching:
            self.driver.image_backend.by_name(server, name, 'raw').cache(
                fetch_func=fetch, filename=SHA1, **fields)
        return fetching.call_args_list

    def test_kernel_and_ramdisk(self):
        """Of a boot, a resize and a rescue, which nova has no method for."""
        for name in ('kernel', 'ramdisk', 'kernel.rescue', 'ramdisk.rescue'):
            made = self.kernel(name, context=self.context,
                               image_id=factories.IMAGE)

            self.assertEqual([mock.call(
                self.context, factories.IMAGE, converts=False)], made)
            os.unlink(os.path.join(self.directory, SHA1))

    def test_kernel_that_is_there(self):
        self.write(os.path.join(self.directory, SHA1))

        self.assertEqual([], self.kernel(
            'kernel', context=self.context, image_id=factories.IMAGE))

    def test_kernel_that_another_nova_fetches_otherwise(self):
        """Boots go on."""
        cache = self.driver.image_cache_manager.cache
        backend = mock.Mock(spec=('cache',))
        fetch = mock.Mock()
        backend.cache.side_effect = lambda fetch_func, *args, **fields: (
            fetch_func(*args, **fields))
        with mock.patch.object(self.driver.image_backend._backends, 'by_name',
                               autospec=True, return_value=backend):
            kernel = self.driver.image_backend.by_name(
                factories.instance(), 'kernel', 'raw')

        kernel.cache(fetch, self.context, new=7)

        fetch.assert_called_once_with(self.context, new=7)
        self.assertFalse(cache._evictor.evictable.fetching)

    def test_other_disks_are_nova_s(self):
        server = factories.instance(vm_state='active', os_type=None)
        for name in ('disk', 'disk.eph0', 'disk.swap', 'disk.rescue'):
            self.assertIsInstance(
                self.driver.image_backend.by_name(server, name, 'raw'),
                imagebackend.Flat)

    def test_other_host_tells_how_large_its_file_is(self):
        """By a real stat, with an ssh that stays here."""
        path = os.path.join(self.path, "it's $HOME; a file")
        self.write(path, 10_000)
        bin_dir = self.useFixture(fixtures.TempDir()).path
        ssh = os.path.join(bin_dir, 'ssh')
        with open(ssh, 'w') as script:
            script.write('#!/bin/sh\n[ "$3" = there ] || exit 1\n'
                         'shift 3\neval "$*"\n')
        os.chmod(ssh, 0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{bin_dir}:{os.environ["PATH"]}'))

        os.truncate(path, 300_000)  # most of which is a hole
        for transport, expected in (
                ('ssh', 300_000), ('rsync', os.stat(path).st_blocks * 512)):
            self.set_nova('libvirt', remote_filesystem_transport=transport)

            self.assertEqual(expected, libvirt._bytes_on_host('there', path))
        self.assertRaisesRegex(
            ValueError, 'host elsewhere does not tell over ssh how large',
            libvirt._bytes_on_host, 'elsewhere', path)

    def test_other_host_does_not_answer(self):
        bin_dir = self.useFixture(fixtures.TempDir()).path
        ssh = os.path.join(bin_dir, 'ssh')
        with open(ssh, 'w') as script:
            script.write(f'#!/bin/sh\necho $$ > {bin_dir}/pid\n'
                         'exec sleep 600\n')
        os.chmod(ssh, 0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{bin_dir}:{os.environ["PATH"]}'))

        with mock.patch.object(libvirt, '_ANSWER_SECONDS', 0.5):
            self.assertRaisesRegex(ValueError, ' timed out ',
                                   libvirt._bytes_on_host, 'there', 'path')

        with open(f'{bin_dir}/pid') as file:
            pid = int(file.read())
        end = time.monotonic() + 60
        while _is_running(pid):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_server_that_was_not_started(self):
        """What was fetched for it is the first to be evicted."""
        path = os.path.join(self.directory, SHA1)
        server = factories.instance(vm_state='building', trusted_certs=None,
                                    migration_context=None)

        def spawn(driver, context, instance, *args):
            with driver.image_used(factories.IMAGE, instance) as boot:
                boot.hit = False
                self.write(path)
            raise exception.FlavorDiskSmallerThanImage(
                flavor_size=1, image_size=2)

        cache = self.driver.image_cache_manager.cache
        with (mock.patch.object(libvirt_driver.LibvirtDriver, 'spawn', spawn),
              mock.patch.object(cache, 'fetched', autospec=True) as fetched,
              mock.patch.object(cache, 'booted', autospec=True) as booted):
            self.assertRaises(
                exception.FlavorDiskSmallerThanImage, self.driver.spawn,
                self.context, server, None, [], None, {})

        fetched.assert_called_once_with(factories.IMAGE, in_vain=True)
        booted.assert_not_called()

    def test_what_makes_disks_keeps_images(self):
        """Also empty ones, which are kept while anything is made."""
        server = factories.instance(kernel_id=None, ramdisk_id=None)
        meta = objects.ImageMeta(id=factories.OTHER_IMAGE)
        evictable = self.driver.image_cache_manager.cache._evictor.evictable
        for name in managed.DISK_MAKERS:
            seen = []
            with mock.patch.object(
                    libvirt_driver.LibvirtDriver, name, create=True,
                    side_effect=lambda *args, seen=seen: seen.append(
                        evictable.in_progress.sha1s())):
                getattr(self.driver, name)(self.context, server, meta)

            self.assertEqual(
                [{SHA1, report.image_sha1(factories.OTHER_IMAGE)}], seen)
            self.assertFalse(evictable.in_progress)

    def test_pre_cache_that_fails_leaves_no_lock_file(self):
        with mock.patch.object(
                libvirt_driver.LibvirtDriver, 'cache_image', autospec=True,
                side_effect=exception.ImageNotFound(image_id='x')):
            self.assertRaises(
                exception.ImageNotFound, self.driver.cache_image,
                self.context, factories.IMAGE)

        self.assertNotIn(f'nova-{SHA1}',
                         os.listdir(os.path.join(self.path, 'locks')))

    def test_disk_outside_of_the_cache(self):
        """With LVM the image is written to the volume of the server."""
        targets = []

        self.fetch(lambda context, target, image_id: targets.append(target),
                   '/dev/vg/disk')

        self.assertEqual(['/dev/vg/disk'], targets)
        self.refresh.assert_not_called()

    def test_file_that_nobody_can_look_at(self):
        self.fetch(lambda context, target, image_id: None)

        self.assertEqual(report.Holding.COLD, self.holding())

    def test_fetch_ahead_of_time(self):
        def cache_image(_driver, context, image_id):
            self.assertEqual(report.Holding.ARRIVING, self.holding())
            self.write(os.path.join(self.directory, SHA1))
            return True

        with mock.patch.object(
                libvirt_driver.LibvirtDriver, 'cache_image', autospec=True,
                side_effect=cache_image):
            self.assertTrue(
                self.driver.cache_image(self.context, factories.IMAGE))

        self.assertEqual(report.Holding.WARM, self.holding())

    def test_fetch_ahead_of_time_of_what_is_there(self):
        with mock.patch.object(
                libvirt_driver.LibvirtDriver, 'cache_image', autospec=True,
                return_value=False):
            self.assertFalse(
                self.driver.cache_image(self.context, factories.IMAGE))


class TestManager(LibvirtTestCase):

    def test_nova_knows_that_the_cache_is_managed(self):
        self.assertTrue(self.driver.capabilities['has_imagecache'])

    def test_pass_is_made_by_the_manager_of_the_driver(self):
        with mock.patch.object(self.driver.image_cache_manager, 'update',
                               autospec=True) as update:
            self.driver.manage_image_cache(self.context, [])

        update.assert_called_once_with(self.context, [])


class TestNova(base.TestCase):
    """What of nova's own this package stands on: look here first."""

    def parameters(self, function):
        return list(inspect.signature(function).parameters)

    def test_driver_is_where_nova_looks_for_it(self):
        from nova.virt import cache_aware

        self.assertIs(libvirt.LibvirtDriver, cache_aware.LibvirtDriver)
        self.assertEqual(['FakeDriver', 'LibvirtDriver', 'VMwareVCDriver'],
                         cache_aware.__all__)
        self.assertRaises(AttributeError, getattr, cache_aware, 'Other')

    def test_fetch_of_an_image_goes_through_a_function(self):
        method = getattr(
            libvirt_driver.LibvirtDriver, '_try_fetch_image_cache', None)

        self.assertIsNotNone(method, 'nova fetches images in another way: '
                             'see LibvirtDriver._try_fetch_image_cache')
        self.assertEqual(
            ['self', 'image', 'fetch_func'], self.parameters(method)[:3])

    def test_backend_tells_the_function_its_target_by_name(self):
        from nova.virt.libvirt import imagebackend

        self.assertIn('fetch_func(target=target',
                      inspect.getsource(imagebackend.Image.cache))

    def test_image_is_cached_ahead_of_time(self):
        for driver in (nova_driver.ComputeDriver,
                       libvirt_driver.LibvirtDriver):
            self.assertEqual(['self', 'context', 'image_id'],
                             self.parameters(driver.cache_image))

    def test_cache_is_managed(self):
        self.assertEqual(
            ['self', 'context', 'all_instances'], self.parameters(
                libvirt_driver.LibvirtDriver.manage_image_cache))

    def test_compute_can_be_asked_to_report_a_node(self):
        from nova.compute import manager

        self.assertEqual(
            ['self', 'context', 'nodename'], self.parameters(
                manager.ComputeManager
                ._update_available_resource_for_node)[:3])

    def test_driver_reaches_the_compute(self):
        from nova.compute import manager
        compute = mock.Mock()

        self.assertIs(compute, manager.ComputeVirtAPI(compute)._compute)

    def test_spawn_is_called_with_context_and_instance(self):
        self.assertEqual(
            ['self', 'context', 'instance', 'image_meta'],
            self.parameters(libvirt_driver.LibvirtDriver.spawn)[:4])

    def test_refusal_goes_to_the_next_host(self):
        from nova.compute import manager

        source = inspect.getsource(
            manager.ComputeManager._build_and_run_instance)
        self.assertIn('exception.GroupAffinityViolation', source)
        self.assertIn('RescheduledByPolicyException', source)

    def test_fields_of_objects_are_where_the_index_looks(self):
        self.assertEqual('_obj_x', ovo._get_attrname('x'))
        server = factories.instance()
        self.assertEqual(factories.IMAGE, vars(server)['_obj_image_ref'])

    def test_image_backends_fetch_into_the_cache_directory(self):
        self.assertEqual('_base', base.nova.conf.CONF
                         .image_cache.subdirectory_name)

    def test_fetch_of_an_image_is_called_as_it_is_overridden(self):
        *named, _args, _kwargs = self.parameters(
            libvirt.LibvirtDriver._try_fetch_image_cache)

        self.assertEqual(
            named, self.parameters(
                libvirt_driver.LibvirtDriver._try_fetch_image_cache)
            [:len(named)], 'see cache_aware_sched.virt.libvirt')

    def test_what_nova_says_that_instances_use_is_used(self):
        """nova's own list has the first ephemeral disk only."""
        server = factories.instance(
            id=1, kernel_id='kernel', ramdisk_id='', task_state=None,
            os_type=None)
        devices = [managers.swap_disk(512), managers.ephemeral_disk(20),
                   managers.ephemeral_disk(30)]

        with mock.patch.object(
                objects.BlockDeviceMappingList, 'bdms_by_instance_uuid',
                autospec=True, return_value={
                    server.uuid: objects.BlockDeviceMappingList(
                        objects=devices)}):
            running = (nova_imagecache.ImageCacheManager()
                       ._list_running_instances(self.context, [server]))
            ours = used.by_instances(self.context, [server])

        names = [*map(report.image_sha1, running['used_images']),
                 *running['used_swap_images'],
                 *running['used_ephemeral_images'],
                 managers.ephemeral_name(30)]
        entries = [entry_of(name) for name in names
                   if name != report.image_sha1('')]
        self.assertEqual(5, len(entries))
        self.assertEqual(entries, ours.entries(entries),
                         'see cache_aware_sched.imagecache.used')

    def test_hosts_that_share_the_storage_are_noted(self):
        path = base.nova.conf.CONF.instances_path
        storage_users.register_storage_use(path, 'other')

        self.assertEqual(['other'], storage_users.get_storage_users(path),
                         'see cache_aware_sched.imagecache.directory')
        self.assertEqual(['h', 'other'],
                         directory.Directory(lambda: 'h').hosts())

    def test_base_files_are_locked_under_the_same_name(self):
        path = os.path.join(base.nova.conf.CONF.instances_path, 'locks')

        @utils.synchronized(SHA1, external=True, lock_path=path)
        def lock_again():
            # Within: oslo.concurrency 7.1 and 7.2 keep it from getting out.
            lock = directory.Directory(lambda: 'h').lock(SHA1, blocking=False)
            self.assertRaises(
                lockutils.AcquireLockFailedException, lock.__enter__)
            return True

        self.assertTrue(lock_again())
        self.assertEqual([f'nova-{SHA1}'], os.listdir(path),
                         'see cache_aware_sched.imagecache.directory')

    def test_pass_is_a_periodic_task_of_nova_s(self):
        manager = compute_manager.ComputeManager

        self.assertEqual(
            base.nova.conf.CONF.image_cache.manager_interval,
            manager._periodic_spacing['_run_image_cache_manager_pass'],
            'see nova.compute.manager')

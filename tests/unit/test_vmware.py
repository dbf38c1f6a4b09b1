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

"""The driver of VMware's clusters, on nova's own fakes of vCenter."""

import inspect
import queue
import time
from unittest import mock

import fixtures
from nova.image import glance as nova_glance
from nova import objects
from nova.tests.unit import fake_instance
from nova.tests.unit import utils
from nova.tests.unit.virt.vmwareapi import fake
from nova import version
from nova.virt import cache_aware
from nova.virt import fake as nova_fake
from nova.virt.vmwareapi import driver as nova_driver
from nova.virt.vmwareapi import ds_util
from nova.virt.vmwareapi import imagecache as nova_imagecache
from nova.virt.vmwareapi import images
from nova.virt.vmwareapi import vim_util
from nova.virt.vmwareapi import vmops
from oslo_vmware import exceptions as vexc

from cache_aware_sched import cap
from cache_aware_sched import presence
from cache_aware_sched import report
from cache_aware_sched.testing.stage import DAY
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import image
from cache_aware_sched.testing.stage import MIB
from cache_aware_sched.testing.stage import sha1
from cache_aware_sched.virt import host_thread
from cache_aware_sched.virt.vmware import background
from cache_aware_sched.virt.vmware import driver
from cache_aware_sched.virt.vmware import folders
from tests.unit import base
from tests.unit import vmware

#: What the tests of other threads do without.
BEGIN = host_thread.HostThread.begin


class DriverTestCase(vmware.DatastoreStage, base.TestCase):
    """nova-compute with a cluster, whose vCenter is looked at when told."""

    def make_driver(self):
        self.configure(image_cache_manager=self.manager,
                       report_changes_at_once=False)
        with mock.patch.object(
                nova_driver.VMwareVCDriver, '_register_openstack_extension'):
            made = cache_aware.VMwareVCDriver(nova_fake.FakeVirtAPI(), False)
        made.init_host(HOST)
        # The machine of a server has nova's version in it.
        self.patch_object(version, 'loaded', True)
        self.patch_object(presence, 'on_node', lambda *args: ([], []))
        api = mock.create_autospec(nova_glance.API, instance=True)
        api.get.return_value = {}
        self.patch_object(images, 'IMAGE_API', api)
        return made

    def server(self, number, root_gb=20):
        flavor = objects.Flavor(
            id=1, flavorid='f', name='f', vcpus=1, memory_mb=512,
            root_gb=root_gb, ephemeral_gb=0, swap=0, extra_specs={})
        return fake_instance.fake_instance_obj(
            self.context, id=1, node=self.driver._nodename, host=HOST,
            image_ref=image(number) if number else '', flavor=flavor,
            name='server', display_name='server', memory_mb=512, vcpus=1,
            root_gb=root_gb, expected_attrs=['system_metadata'])

    def spawn(self, number, size=MIB, linked=False, disk_format='vmdk',
              **fields):
        """Boot a server of an image; return it."""
        self.configure('vmware', use_linked_clone=linked)
        server = self.server(number, **fields)
        meta = objects.ImageMeta.from_dict({
            'id': image(number), 'disk_format': disk_format, 'size': size,
            'properties': {}})
        self.glance.put(image(number), size, disk_format)
        self.driver.spawn(
            self.context, server, meta, injected_files=[],
            admin_password=None, allocations={}, block_device_info=None,
            network_info=utils.get_test_network_info())
        return server

    def resources(self):
        return self.driver.get_available_resource(self.driver._nodename)

    def reported(self):
        """Return what the scheduler gets to know, None if nothing."""
        text = self.resources().get('stats', {}).get(report.STATS_KEY)
        return text and report.decode(text)

    def look(self):
        self.driver._background.look()

    def asked_by(self, function):
        del self.datastores.asked[:]
        function()
        return list(self.datastores.asked)


class TestReport(DriverTestCase):

    def test_images_on_the_datastores(self):
        self.put_image(image(1), 3 * GIB)
        vmware.put_image(self.datastores, image(2), GIB, 0, 'ds2',
                         copies=(20,))
        self.look()

        found = {(file.sha1, file.kind, file.size)
                 for file in self.driver.cached_files()}

        self.assertEqual({
            (sha1(1), report.FileKind.COMPLETE, 3 * GIB),
            (sha1(2), report.FileKind.COMPLETE, GIB),
            (sha1(2), report.FileKind.RESIZED, 20 * GIB)}, found)

    def test_get_available_resource_asks_vcenter_for_no_image(self):
        self.put_image(image(1))
        self.look()
        self.resources()
        nova_s = self.asked_by(lambda: nova_driver.VMwareVCDriver
                               .get_available_resource(
                                   self.driver, self.driver._nodename))
        ours = self.asked_by(self.resources)

        self.assertEqual(nova_s, ours)
        self.assertIn(report.STATS_KEY, self.resources()['stats'])

    def test_nothing_is_reported_before_vcenter_was_asked(self):
        self.assertIsNone(self.reported())
        self.assertEqual([], self.errors())

    def test_error_keeps_what_was_seen(self):
        self.put_image(image(1))
        self.look()
        before = self.resources()['stats'][report.STATS_KEY]
        self.break_store()

        for _ in range(3):
            self.look()
        self.datastores.broken = False

        self.assertEqual(before, self.resources()['stats'][report.STATS_KEY])
        [warning] = [line for line in self.warnings()
                     if 'reports what it knew' in line]
        self.assertIn(HOST, warning)

    def test_same_report_while_nothing_changes(self):
        self.put_images(1, 2)
        self.look()
        before = self.resources()['stats'][report.STATS_KEY]

        self.look()

        self.assertEqual(before, self.resources()['stats'][report.STATS_KEY])

    def test_second_look_asks_once_a_datastore(self):
        self.put_images(1, 2, 3)
        self.look()

        asked = self.asked_by(self.look)

        self.assertEqual(2, asked.count('SearchDatastore_Task'))

    def test_incomplete_and_strange_folders(self):
        self.put_image(image(1))
        for name in ('notes', image(2)):
            self.datastores.put(f'[ds1] {vmware.BASE}/{name}/', 0)
        self.look()

        self.assertEqual([sha1(1)], [
            file.sha1 for file in self.driver.cached_files()])

    def test_node_is_known_as_a_cluster(self):
        """By which the scheduler knows that it has no cap."""
        self.assertEqual(
            cap.CLUSTER, self.resources()['hypervisor_type'])

    def test_no_cap_is_reported(self):
        self.look()

        facts = self.driver.cache_facts(())

        self.assertIsNone(facts.cap)
        self.assertEqual((0, False), (facts.room_gib, facts.evicts))

    def test_change_wakes_the_look(self):
        self.driver.image_cache_changed()

        self.assertTrue(self.driver._background._wake.is_set())


class TestBackground(base.TestCase):

    def test_looks_at_the_start_and_when_it_is_asked(self):
        self.useFixture(fixtures.MockPatchObject(
            background, 'SETTLE_SECONDS', 0))
        looks, changes = queue.Queue(), queue.Queue()

        def look():
            looks.put(None)
            return background.CacheContents(
                (report.BaseFile(sha1(1), GIB),), report.UNKNOWN_FACTS)

        one = background.BackgroundLook(
            look, lambda: changes.put(None), lambda: HOST)
        self.addCleanup(one.end)

        BEGIN(one.thread)
        BEGIN(one.thread)
        looks.get(timeout=60)
        one.request()
        looks.get(timeout=60)
        one.end()

        changes.get(timeout=60)
        self.assertEqual(sha1(1), one.seen.files[0].sha1)
        self.assertTrue(changes.empty())


class TestBoots(DriverTestCase):

    def test_first_boot_looks_into_the_folders_of_its_image_only(self):
        self.put_images(*range(1, 9), age=DAY)
        self.driver = driver_of_restart(self)

        asked = self.asked_by(
            lambda: self.driver._datastores.claim(sha1(1)))

        # One for each datastore, one for the folder, one for the timestamp.
        self.assertEqual(4, asked.count('SearchDatastore_Task'))
        self.assertIsNone(self.driver._datastores.listing.look()[
            f'[ds1] {vmware.BASE}/{image(1)}'].unused_ns)

    def test_miss_and_hit(self):
        told = self.listen()

        self.spawn(1)
        self.spawn(1)

        self.assertEqual([1, 1], [len(told(event))
                                  for event in ('miss', 'hit')])
        self.assertEqual(image(1), told('miss')[0]['image_id'])
        self.look()
        self.assertEqual({sha1(1)}, {
            file.sha1 for file in self.driver.cached_files()})

    def test_linked_clone_leaves_a_copy(self):
        self.spawn(1, linked=True, root_gb=30)
        self.look()

        self.assertIn((report.FileKind.RESIZED, 30 * GIB), {
            (file.kind, file.size) for file in self.driver.cached_files()})

    def test_iso_image(self):
        told = self.listen()

        self.spawn(1, disk_format='iso')
        self.spawn(1, disk_format='iso')

        self.assertEqual(1, len(told('hit')))

    def test_room_is_made_before_the_fetch(self):
        self.configure(image_cache_max_size_gb=3)
        self.put_images(1, 2, 3)
        self.driver = self.make_driver()
        seen = []
        fetch = fake.fake_fetch_image
        self.patch_object(images, 'fetch_image', lambda *args, **kwargs: (
            seen.append(self.left()), fetch(*args, **kwargs)))

        self.spawn(4, GIB)

        self.assertEqual([{sha1(2), sha1(3)}], seen)

    def test_fetch_that_fails_is_no_miss(self):
        told = self.listen()
        self.patch_object(images, 'fetch_image', mock.Mock(
            side_effect=RuntimeError('no Glance')))

        self.assertRaises(RuntimeError, self.spawn, 1)

        self.assertEqual([], told('miss') + told('hit'))
        self.assertEqual(set(), self.left())

    def test_no_late_check(self):
        with mock.patch.object(
                self.driver._cache_late_check, 'admit') as admit:
            self.spawn(1)

        admit.assert_not_called()

    def test_nothing_is_fetched_ahead_of_time(self):
        self.assertRaises(NotImplementedError, self.driver.cache_image,
                          self.context, image(1))
        self.assertFalse(self.driver.uses_fetched_images())

    def test_image_of_a_server_that_nova_forgot(self):
        """As of one that was unshelved: its disk is made on a snapshot."""
        self.configure(image_cache_max_size_gb=1)
        self.spawn(1, linked=True)
        self.datastores.sizes = {
            path: 2 * GIB for path in fake._db_content['files']
            if path.endswith('.vmdk')}
        machine = fake.get_first_object('VirtualMachine')
        fake.get_object(self.driver._vmops._root_resource_pool).get(
            'vm').ManagedObjectReference.append(machine.obj)
        self.driver = driver_of_restart(self)

        self.driver.manage_image_cache(self.context, [])

        self.assert_left(1)


def driver_of_restart(test):
    made = test.make_driver()
    test.store = made._datastores
    return made


class TestPasses(DriverTestCase):

    manager = 'age'

    def test_age_is_as_of_nova_s_own_manager(self):
        """Timestamps and folders are the same after each of its passes."""
        self.configure('image_cache',
                       remove_unused_original_minimum_age_seconds=DAY)
        cases = {1: 0, 2: 2 * DAY, 3: DAY / 2, 4: 2 * DAY, 5: 0}
        left = []
        for novas in (True, False):
            fake._db_content['files'] = []
            self.database.clear()
            for number, age in cases.items():
                self.put_image(image(number), GIB, age)
            for number in (4, 5):
                self.boot(number)
            made = driver_of_restart(self)
            if novas:
                made._vmops.manage_image_cache(
                    self.context, objects.InstanceList(
                        objects=self.database.servers))
            else:
                made.manage_image_cache(self.context, objects.InstanceList(
                    objects=self.database.servers))
            left.append({
                (path.split('/')[1], path.split('/')[2][:13])
                for path in fake._db_content['files']
                if path.count('/') > 2 or path.endswith('.vmdk')})

        self.assertEqual(left[0], left[1])
        self.assertNotIn(image(2), {one for one, _file in left[1]})

    def test_folder_that_other_hosts_may_use(self):
        self.configure('vmware', cache_prefix='')
        self.configure('image_cache', remove_unused_base_images=False)
        self.configure(image_cache_max_size_gb=1)
        self.patch_object(vmware, 'BASE', '_base')
        self.put_images(1, 2, size=2 * GIB, age=9 * DAY)
        self.driver = driver_of_restart(self)

        self.driver.manage_image_cache(self.context, [])

        self.assert_left(1, 2)
        self.assertIn('[vmware] cache_prefix', ' '.join(self.warnings()))

    def test_nova_s_lock_is_held_while_a_folder_is_deleted(self):
        self.configure(image_cache_max_size_gb=1)
        self.put_images(1, size=2 * GIB, age=9 * DAY)
        self.driver = driver_of_restart(self)
        held = []
        delete = ds_util.file_delete

        def look(session, path, dc_ref):
            with (mock.patch('time.sleep'),
                  self.assertRaisesRegex(Exception, 'acquire|lock')):
                where = self.driver._datastores.listing.where(str(path))
                with self.driver._datastores._center.locked(
                        where, image(1), blocking=False):
                    pass
            held.append(str(path))
            delete(session, path, dc_ref)

        self.patch_object(ds_util, 'file_delete', look)

        self.driver.manage_image_cache(self.context, [])

        self.assertEqual([f'[ds1] {vmware.BASE}/{image(1)}'], held)
        self.assert_left()

    def test_file_that_a_machine_has_open(self):
        self.configure(image_cache_max_size_gb=1)
        self.put_images(1, size=2 * GIB, age=9 * DAY)
        self.driver = driver_of_restart(self)
        self.patch_object(ds_util, 'file_delete', mock.Mock(
            side_effect=vexc.FileLockedException('in use')))

        self.driver.manage_image_cache(self.context, [])

        self.assert_left(1)
        self.assertEqual([], self.errors())

    def test_machines_that_cannot_be_told(self):
        self.configure(image_cache_max_size_gb=1)
        self.put_images(1, size=2 * GIB, age=9 * DAY)
        self.driver = driver_of_restart(self)
        self.patch_object(vim_util, 'get_inner_objects', mock.Mock(
            side_effect=vexc.VimFaultException([], 'no')))

        self.driver.manage_image_cache(self.context, [])

        self.assert_left(1)
        self.assertIn('vCenter', self.warnings()[-1])


class TestFolders(base.TestCase):

    def test_names_are_nova_s(self):
        self.assertEqual(
            (nova_imagecache.TIMESTAMP_PREFIX,
             nova_imagecache.TIMESTAMP_FORMAT),
            (folders.TIMESTAMP_PREFIX, folders.TIMESTAMP_FORMAT))

    def test_timestamp(self):
        now = int(time.time())

        folder = folders.parse(image(1), {folders.timestamp(now): 0})

        self.assertEqual(now * 10 ** 9, folder.unused_ns)

    def test_what_cannot_be_read(self):
        for stamp in ('ts-', 'ts-x', 'ts-2026-13-01-00-00-00', 'ts'):
            folder = folders.parse(image(1), {stamp: 0})

            self.assertIsNone(folder.unused_ns)

    def test_disk_with_extents(self):
        folder = folders.parse(image(1), {
            f'{image(1)}.vmdk': 500, f'{image(1)}-flat.vmdk': GIB,
            f'{image(1)}.20.vmdk': 500, f'{image(1)}.20-flat.vmdk': 20 * GIB})

        self.assertEqual((GIB, 21 * GIB + 1000, {20}, True), (
            folder.length, folder.size, folder.copies, folder.is_complete))

    def test_extents_alone(self):
        folder = folders.parse(image(1), {f'{image(1)}-flat.vmdk': GIB})

        self.assertFalse(folder.is_complete)


class TestNova(base.TestCase):
    """nova's private names: who changes one sees which of ours it is."""

    def parameters(self, method):
        return list(inspect.signature(method).parameters)

    def test_image_is_looked_for(self):
        self.assertEqual(['self', 'context', 'vi'], self.parameters(
            vmops.VMwareVMOps._fetch_image_if_missing))
        self.assertEqual(['self', 'vi'], self.parameters(
            vmops.VMwareVMOps._get_image_callbacks))
        source = inspect.getsource(vmops.VMwareVMOps._fetch_image_if_missing)
        self.assertIn('image_prepare(vi)', source)
        self.assertIn('nova-vmware-fetch_image', source)

    def test_what_is_asked_of_vcenter(self):
        for function, parameters in (
                (ds_util.get_available_datastores,
                 ['session', 'cluster', 'datastore_regex']),
                (ds_util.get_sub_folders,
                 ['session', 'ds_browser', 'ds_path']),
                (ds_util.search_datastore_spec,
                 ['client_factory', 'file_name']),
                (ds_util.mkdir, ['session', 'ds_path', 'dc_ref']),
                (ds_util.file_delete, ['session', 'ds_path', 'dc_ref']),
                (vmops.VMwareVMOps._get_ds_browser, ['self', 'ds_ref']),
                (vmops.VMwareVMOps.get_datacenter_ref_and_name,
                 ['self', 'ds_ref'])):
            self.assertEqual(parameters, self.parameters(function))
        source = inspect.getsource(vmops.VMwareVMOps.__init__)
        for name in ('_session', '_cluster', '_datastore_regex',
                     '_root_resource_pool', '_base_folder'):
            self.assertIn(f'self.{name} = ', source)

    def test_lock_of_a_folder(self):
        source = inspect.getsource(
            nova_imagecache.ImageCacheManager.enlist_image)

        self.assertIn("lock_file_prefix='nova-vmware-ts'", source)
        self.assertIn('external=True', source)

    def test_signatures(self):
        self.assertEqual(
            self.parameters(nova_driver.VMwareVCDriver.__init__),
            self.parameters(driver.VMwareVCDriver.__init__))

    def test_watch_without_nova_s_methods(self):
        with self.assertLogs(driver.__name__, 'WARNING'):
            driver._watch(mock.Mock(spec=()), mock.Mock())

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

"""The libvirt driver with real files in its cache directory.

libvirt itself is nova's stand-in; images are fetched, kept and copied as on a
real host.
"""

# isort: off
from nova.tests.functional.libvirt import base as libvirt_base
# isort: on

import os
import shutil
import time
import uuid

import fixtures
from nova import context as nova_context
from nova import objects
from nova.tests import fixtures as nova_fixtures
from nova.virt.libvirt import driver as libvirt_driver

from cache_aware_sched import report
from cache_aware_sched.report import Holding
from tests.functional import base
from tests import process

MIB = 2 ** 20


class LibvirtTestCase(libvirt_base.ServersTestBase):
    """host1 has the libvirt driver, host2 the fake one."""

    ADMIN_API = True
    api_major_version = 'v2.1'
    microversion = 'latest'
    #: So short that nothing waits when a test is over.
    SETTLE_SECONDS = 0.1

    def setUp(self):
        self.flags(group='wsgi', api_paste_config=base.api_paste())
        self.flags(group='filter_scheduler',
                   weight_classes=[base.ALL_WEIGHERS, base.WEIGHER],
                   available_filters=[base.ALL_FILTERS, base.FILTER],
                   enabled_filters=base.STOCK_FILTERS,
                   # nova alone shall prefer host2, for its CPUs
                   ram_weight_multiplier=0.0, disk_weight_multiplier=0.0,
                   hypervisor_version_weight_multiplier=0.0)
        self.flags(group='cache_aware_sched',
                   image_cache_weight_multiplier=10.0)
        # The files shall be real: not nova's stand-in for them.
        create_image = libvirt_driver.LibvirtDriver._create_image
        stand_in = fixtures.MonkeyPatch(
            'nova.tests.fixtures.LibvirtImageBackendFixture',
            fixtures.Fixture)
        with stand_in:
            super().setUp()
        self.useFixture(base.settling_in(self.SETTLE_SECONDS))
        self.useFixture(fixtures.MonkeyPatch(
            'nova.virt.libvirt.LibvirtDriver._create_image', create_image))
        self.useFixture(nova_fixtures.PrivsepFixture())
        process.forget()
        self.addCleanup(lambda: base.end_reports(self.computes.values()))
        self.start_compute('host1')
        self.driver = self.computes['host1'].driver
        self.directory = self.driver._cache_directory.cache_dir

    def _setup_compute_service(self):
        self.flags(compute_driver='cache_aware.LibvirtDriver')

    def start_fake_compute(self):
        self.flags(compute_driver='cache_aware.FakeDriver')
        self.computes['host2'] = self.start_service('compute', host='host2')

    def image(self, data=b'\0' * MIB, size=None):
        """Create an image that can be fetched."""
        image_id = str(uuid.uuid4())
        self.glance.create(None, {
            'id': image_id, 'name': image_id, 'status': 'active',
            'container_format': 'bare', 'disk_format': 'raw', 'min_disk': 0,
            'min_ram': 0, 'size': size or len(data), 'visibility': 'public',
            'created_at': None, 'updated_at': None, 'deleted_at': None,
            'deleted': False, 'protected': False, 'tags': [],
            'properties': {}})
        self.glance._imagedata[image_id] = data
        return image_id

    def put(self, name, size=MIB):
        """Put a file into the cache directory."""
        os.makedirs(self.directory, exist_ok=True)
        with open(os.path.join(self.directory, name), 'wb') as file:
            file.truncate(size)

    def report_now(self):
        self._run_periodics()

    def stats(self):
        context = nova_context.get_admin_context()
        with nova_context.target_cell(
                context, self.host_mappings['host1'].cell_mapping) as cell:
            node = objects.ComputeNode.get_first_node_by_host_for_old_compat(
                cell, 'host1')
        return node.stats

    def report(self):
        """Return what the scheduler knows of host1."""
        return report.Report(self.stats()[report.STATS_KEY])

    def holding(self, image_id):
        return self.report().holding(report.image_key(image_id))

    def wait_for(self, image_id, holding, seconds=20):
        """Wait until a change of the cache is known; no periodic task runs."""
        end = time.monotonic() + seconds
        while self.holding(image_id) is not holding:
            self.assertLess(time.monotonic(), end,
                            f'{self.holding(image_id)} is not {holding}')
            time.sleep(0.05)

    def need_qemu_img(self):
        """Skip where a real image cannot be looked into or copied."""
        if shutil.which('qemu-img') is None:
            self.skipTest('qemu-img is missing: install what bindep.txt lists')

    def boot(self, image_id, disk=1, **kwargs):
        self.need_qemu_img()
        return self._create_server(
            image_uuid=image_id, networks='none',
            flavor_id=self._create_flavor(
                disk=disk, vcpu=1, memory_mb=64, ephemeral=0), **kwargs)


class ReportTests(LibvirtTestCase):

    def test_an_empty_host_reports_nothing_held(self):
        self.assertEqual(0, self.report().header.images)
        self.assertTrue(self.report().header.caches)

    def test_files_are_told_apart(self):
        here, arriving, gone = (self.image() for _image in range(3))
        sha1 = report.image_sha1
        self.put(sha1(here), 5 * MIB)
        self.put(f'{sha1(here)}_20')
        self.put(f'{sha1(arriving)}.part')
        self.put(f'{sha1(gone)}.part')
        os.utime(os.path.join(self.directory, f'{sha1(gone)}.part'), (1, 1))
        for name in ('swap_512', 'ephemeral_20_40d1d2c', 'README',
                     'a' * 39, 'g' * 40, f'{"b" * 40}.sha1'):
            self.put(name)
        os.mkdir(os.path.join(self.directory, 'c' * 40))
        os.symlink('/etc/passwd', os.path.join(self.directory, 'd' * 40))

        self.report_now()

        self.assertEqual(2, self.report().header.images)
        self.assertEqual(3, self.report().header.records)
        self.assertIs(Holding.WARM, self.holding(here))
        self.assertIs(Holding.WARM_RESIZED, self.report().holding(
            report.image_key(here), report.size_code(20 * base.GIB)))
        self.assertIs(Holding.ARRIVING, self.holding(arriving))
        self.assertIs(Holding.COLD, self.holding(gone))

    def test_kernels_and_ramdisks_are_images_too(self):
        """A tenant could name any image as the kernel of his own."""
        kernel, ramdisk = self.image(), self.image()
        image_id = self.image()
        image = self.glance.images[image_id]
        image['properties'] = {'kernel_id': kernel, 'ramdisk_id': ramdisk}
        self.boot(image_id)
        self.report_now()

        self.assertIn(report.image_sha1(kernel), os.listdir(self.directory))
        self.assertIs(Holding.WARM, self.holding(kernel))
        self.assertIs(Holding.WARM, self.holding(ramdisk))
        self.assertIs(Holding.WARM, self.holding(image_id))

    def test_it_does_not_change_while_nothing_does(self):
        for _image in range(20):
            self.put(report.image_sha1(self.image()))
        self.report_now()
        before = self.stats()[report.STATS_KEY]
        self.report_now()

        self.assertEqual(before, self.stats()[report.STATS_KEY])

    def test_rbd_caches_what_it_cannot_clone(self):
        self.flags(group='libvirt', images_type='rbd')
        self.put(report.image_sha1(self.image()))
        self.report_now()

        self.assertTrue(self.report().header.caches)
        self.assertEqual(1, self.report().header.images)

    def test_rbd_does_not_cache(self):
        self.flags(group='libvirt', images_type='rbd')
        self.report_now()

        self.assertFalse(self.report().header.caches)
        self.assertEqual(0, self.report().header.images)

    def test_rbd_tells_which_images_are_in_use(self):
        image_id = self.image()
        self.boot(image_id)
        os.unlink(os.path.join(self.directory, report.image_sha1(image_id)))
        self.flags(group='libvirt', images_type='rbd')
        self.report_now()

        self.assertEqual(report.Found(Holding.COLD, 1, 0),
                         self.report().look_up(report.image_key(image_id)))
        self.assertEqual(1, self.report().header.servers)

    def test_image_in_use_whose_file_is_gone(self):
        image_id = self.image()
        self.boot(image_id)
        os.unlink(os.path.join(self.directory, report.image_sha1(image_id)))
        self.report_now()

        file, = self.report().files(report.image_key(image_id))
        self.assertEqual((report.FileKind.ABSENT, 1), (file.kind, file.users))
        self.assertEqual(0, self.report().header.images)

    def test_ten_thousand_files_fit_into_the_row(self):
        for number in range(10_000):
            self.put(f'{number:040x}')
        self.report_now()

        self.assertTrue(self.report().header.truncated)
        self.assertEqual(10_000, self.report().header.images)
        self.assertLessEqual(len(self.stats()[report.STATS_KEY]), 16 * 1024)

    def test_a_directory_that_cannot_be_read_breaks_nothing(self):
        os.makedirs(os.path.dirname(self.directory), exist_ok=True)
        with open(self.directory, 'w', encoding='utf-8'):
            pass
        self.report_now()
        os.unlink(self.directory)

        self.boot(self.image())

        self.assertIn('host1 does not report its image cache',
                      self.stdlog.logger.output)


class FetchTests(LibvirtTestCase):
    """What is fetched is reported at once: no periodic task runs here."""

    def test_a_boot(self):
        image_id = self.image()

        server = self.boot(image_id)

        self.assertEqual('host1', server['OS-EXT-SRV-ATTR:host'])
        self.assertIn(report.image_sha1(image_id),
                      os.listdir(self.directory))
        self.wait_for(image_id, Holding.WARM)
        users, = {file.users for file in self.report().files(
            report.image_key(image_id))}
        self.assertEqual(1, users)

    def test_a_pre_cache_request(self):
        self.need_qemu_img()
        image_id = self.image()
        aggregate = self._create_aggregate('precache')
        self.api.add_host_to_aggregate(aggregate, 'host1')

        self.api.api_post(f'/os-aggregates/{aggregate}/images',
                          {'cache': [{'id': image_id}]})

        self.wait_for(image_id, Holding.WARM)
        self.assertIn(report.image_sha1(image_id),
                      os.listdir(self.directory))

    def test_it_arrives_first(self):
        image_id = self.image()
        fetch = libvirt_driver.libvirt_utils.fetch_image
        seen = []

        def slow_fetch(*args, **kwargs):
            self.wait_for(image_id, Holding.ARRIVING)
            seen.append(image_id)
            fetch(*args, **kwargs)

        self.useFixture(fixtures.MonkeyPatch(
            'nova.virt.libvirt.utils.fetch_image', slow_fetch))
        self.boot(image_id)

        self.assertEqual([image_id], seen)
        self.wait_for(image_id, Holding.WARM)

    def test_a_fetch_that_fails(self):
        image_id = self.image()
        self.useFixture(fixtures.MonkeyPatch(
            'nova.virt.libvirt.utils.fetch_image', self.fail_to_fetch))

        self.boot(image_id, expected_state='ERROR')

        self.wait_for(image_id, Holding.COLD)

    def fail_to_fetch(self, *args, **kwargs):
        raise OSError('no route to Glance')

    def test_the_periodic_update_does_it_too(self):
        # Given nova has moved what is called to report at once
        self.useFixture(fixtures.MonkeyPatch(
            'cache_aware_sched.virt.refresh.Refresher._update_method',
            lambda refresher: None))
        image_id = self.image()
        self.boot(image_id)

        self.report_now()

        self.assertIs(Holding.WARM, self.holding(image_id))


class ServerChangesTests(LibvirtTestCase):
    """What changes the servers is reported at once, too."""

    # On a busy machine nova writes what it did a second later.
    SETTLE_SECONDS = 2.0

    def users(self, image_id):
        return self.report().look_up(report.image_key(image_id)).users

    def wait_for_users(self, image_id, users, seconds=20):
        end = time.monotonic() + seconds
        while self.users(image_id) != users:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_a_server_comes_and_goes(self):
        image_id = self.image()

        server = self.boot(image_id)

        self.wait_for_users(image_id, 1)
        self._delete_server(server)
        self.wait_for_users(image_id, 0)


class PlacementTests(LibvirtTestCase):

    def test_servers_go_where_the_file_is(self):
        # Given host1 is busier than host2, and holds a large image
        self.start_fake_compute()
        image_id = self.image(size=20 * base.GIB)
        self.put(report.image_sha1(image_id))
        self.report_now()
        self.boot(self.image(), host='host1')

        server = self.boot(image_id, disk=20)

        self.assertEqual('host1', server['OS-EXT-SRV-ATTR:host'])

    def test_and_no_longer_when_it_is_gone(self):
        self.start_fake_compute()
        image_id = self.image(size=20 * base.GIB)
        self.put(report.image_sha1(image_id))
        self.boot(self.image(), host='host1')
        os.unlink(os.path.join(self.directory, report.image_sha1(image_id)))
        self.report_now()

        server = self.boot(image_id, disk=20)

        self.assertEqual('host2', server['OS-EXT-SRV-ATTR:host'])

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
"""Builds whose image cannot be fetched, as Glance is down."""

from tests.functional import test_libvirt

# isort: off
# After nova's own fixtures.
from tests.functional import base

import os

import fixtures
import glanceclient.exc
import nova.conf
from nova import exception

from cache_aware_sched import report
from cache_aware_sched.virt import fake
from tests.unit import neighbours
# isort: on

OUTAGE = exception.GlanceConnectionFailed(
    server='http://glance:9292', reason='refused')


class OutageTestCase(base.CloudTestCase):
    """Hosts without an image are preferred, and cannot fetch it."""

    HOSTS = ('host1', 'host2', 'host3')
    MULTIPLIER = -100.0
    ERROR = OUTAGE

    def setUp(self):
        super().setUp()
        self.start(*self.HOSTS)
        self.image_id = self.image()

    def cut(self):
        """Let no host fetch anything."""
        self.useFixture(fixtures.MockPatchObject(
            fake.FakeImageCache, 'begin', side_effect=self.ERROR))

    def failed_builds(self):
        """Return how many each host counts."""
        found = {}
        for host in self.HOSTS:
            self.report(host)
            found[host] = int(self.stats(host).get('failed_builds', 0))
        return found


class OutageTests(OutageTestCase):

    def test_the_server_goes_to_a_host_that_holds_the_image(self):
        self.cache('host3', self.image_id)
        self.cut()

        self.assertEqual('host3', self.where(self.image_id))

        self.assertIn('is sent to its next candidate host: Glance is down for '
                      'host host', self.stdlog.logger.output)
        self.assertEqual(dict.fromkeys(self.HOSTS, 0), self.failed_builds())

    def test_no_host_holds_it(self):
        self.cut()

        server = self.boot(self.image_id, expect='ERROR')

        fault = server['fault']['message']
        self.assertIn('Exceeded max scheduling attempts 3', fault)
        self.assertIn('Glance is down for host host', fault)
        self.assertIn(self.image_id, fault)
        self.assertEqual(dict.fromkeys(self.HOSTS, 0), self.failed_builds())

    def test_a_forced_host(self):
        self.cut()

        server = self.boot(self.image_id, expect='ERROR', az='nova:host2')

        self.assertIn(
            f'Glance is down for host host2, which cannot fetch image '
            f'{self.image_id}: Connection to glance host http://glance:9292 '
            f'failed: refused', server['fault']['message'])
        self.assertEqual(dict.fromkeys(self.HOSTS, 0), self.failed_builds())
        # And nothing is left of it when it is deleted
        self._delete_server(server)
        self.assertEqual(0, self._get_provider_usages(
            self._get_provider_uuid_by_host('host2'))['VCPU'])


class FewHostsTests(OutageTestCase):
    """There are fewer hosts than attempts: the last word is nova's."""

    HOSTS = ('host1', 'host2')

    def test_no_host_holds_it(self):
        self.cut()

        server = self.boot(self.image_id, expect='ERROR')

        self.assertIn('Exhausted all hosts', server['fault']['message'])


class OtherErrorTests(OutageTestCase):

    ERROR = OSError('No space left on device')

    def test_it_counts(self):
        self.cut()

        self.boot(self.image_id, expect='ERROR')

        self.assertEqual(dict.fromkeys(self.HOSTS, 1), self.failed_builds())


class LibvirtOutageTests(test_libvirt.LibvirtTestCase):
    """host1 has the libvirt driver, host2 the fake one and the image."""

    def setUp(self):
        super().setUp()
        # Such that nova prefers host1
        self.flags(group='filter_scheduler', cpu_weight_multiplier=-1.0)
        self.start_fake_compute()
        self.image_id = self.image()
        fake.image_cache('host2').put(self.image_id, test_libvirt.MIB)
        self.report_now()

    def test_each_way_in_which_glance_fails(self):
        for error in (OUTAGE, glanceclient.exc.HTTPInternalServerError()):
            with fixtures.MockPatchObject(
                    self.glance, 'download', side_effect=error):
                server = self._create_server(
                    image_uuid=self.image_id, networks='none')

            self.assertEqual('host2', server['OS-EXT-SRV-ATTR:host'])
        self.assertEqual(2, self.stdlog.logger.output.count(
            'next candidate host: Glance is down for host host1'))
        self.report_now()
        self.assertEqual('0', self.stats().get('failed_builds', '0'))

    def test_an_image_that_glance_does_not_have(self):
        error = exception.ImageNotFound(image_id=self.image_id)
        with fixtures.MockPatchObject(
                self.glance, 'download', side_effect=error):
            self._create_server(image_uuid=self.image_id, networks='none')

        self.report_now()
        self.assertEqual('1', self.stats().get('failed_builds', '0'))


class NeighbourTests(test_libvirt.LibvirtTestCase):
    """host1 lacks the image, host2 reports it; Glance sends nothing."""

    def setUp(self):
        super().setUp()
        self.need_qemu_img()
        self.flags(group='cache_aware_sched', fetch_from_hosts='outage')
        self.flags(group='libvirt', remote_filesystem_transport='rsync')
        self.start_fake_compute()
        self.image_id = self.image()
        fake.image_cache('host2').put(self.image_id, test_libvirt.MIB)
        self.report_now()
        self.hosts = self.useFixture(
            neighbours.Hosts(self.driver._cache_directory.instances_path))
        self.useFixture(fixtures.MockPatchObject(
            self.glance, 'download', side_effect=OUTAGE))

    def send(self, data, image_id=None):
        """Have host2 send something."""
        self.hosts.add(nova.conf.CONF.my_ip,
                       report.image_sha1(image_id or self.image_id), data)

    def test_boot(self):
        data = b'disk' * (test_libvirt.MIB // 4)
        self.send(data)

        server = self.boot(self.image_id, az='nova:host1')

        self.assertEqual('host1', server['OS-EXT-SRV-ATTR:host'])
        with open(f'{self.directory}/{report.image_sha1(self.image_id)}',
                  'rb') as file:
            self.assertEqual(data, file.read())
        self.wait_for(self.image_id, report.Holding.WARM)
        self.assertIn('Host host1 has copied image', self.stdlog.logger.output)
        # How fast host2 sends says nothing of Glance
        self.assertEqual(0, self.report().header.rate)

    def test_kernel(self):
        kernel = self.image()
        self.glance.images[self.image_id]['properties'] = {
            'kernel_id': kernel}
        fake.image_cache('host2').put(kernel, test_libvirt.MIB)
        self.report_now()
        self.send(b'\0' * test_libvirt.MIB)
        self.send(b'kern' * (test_libvirt.MIB // 4), kernel)

        self.boot(self.image_id, az='nova:host1')

        with open(f'{self.directory}/{report.image_sha1(kernel)}',
                  'rb') as file:
            self.assertEqual(b'kern', file.read(4))

    def test_image_that_became_shorter(self):
        """By more than the report rounds sizes."""
        fake.image_cache('host2').put(self.image_id, 5 * test_libvirt.MIB)
        self.report_now()
        self.send(b'disk')

        server = self.boot(self.image_id, az='nova:host1',
                           expected_state='ERROR')

        self.assertIn('not copied from another host: 1 tried, 1 of another '
                      'size; ', server['fault']['message'])
        self.assertEqual([], os.listdir(self.directory))
        self.report_now()
        self.assertEqual('0', self.stats().get('failed_builds', '0'))

    def test_host_that_is_down(self):
        self.send(b'disk' * (test_libvirt.MIB // 4))
        self.computes['host2'].stop()
        self.api.put_service_force_down(next(
            one['id'] for one in self.api.get_services()
            if one['host'] == 'host2'), True)

        server = self.boot(self.image_id, az='nova:host1',
                           expected_state='ERROR')

        self.assertIn('no other host that is up reports it',
                      server['fault']['message'])

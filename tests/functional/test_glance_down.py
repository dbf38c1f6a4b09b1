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

import fixtures
import glanceclient.exc
from nova import exception

from cache_aware_sched.virt import fake
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

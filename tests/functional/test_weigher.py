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

"""Servers are placed by what the hosts hold."""

from tests.functional import base

from nova.tests import fixtures as nova_fixtures
from nova.volume import cinder
from oslo_serialization import jsonutils

from cache_aware_sched import report
from cache_aware_sched.virt import fake


class BusyWarmHostTestCase(base.CloudTestCase):
    """Of three hosts host2 holds an image, and runs a server already.

    nova's own weighers prefer the other two.
    """

    IMAGE_SIZE = 20 * base.GIB

    def setUp(self):
        super().setUp()
        self.start('host1', 'host2', 'host3')
        self.warm = self.image(size=self.IMAGE_SIZE)
        self.cache('host2', self.warm, self.IMAGE_SIZE)
        self.boot(self.image(), host='host2')


class SizeTests(BusyWarmHostTestCase):

    def test_a_large_image_draws_its_servers(self):
        self.assertEqual('host2', self.where(self.warm))

    def test_a_small_image_moves_nothing(self):
        small = self.image(size=20_000_000)
        self.cache('host2', small, 20_000_000)

        self.assertNotEqual('host2', self.where(small))

    def test_an_image_that_is_arriving_draws_its_servers(self):
        arriving = self.image()
        fake.image_cache('host2').begin(arriving, 20 * base.GIB)
        self.report('host2')

        # Not booted: the server would wait for the image.
        server = self.request(arriving)
        self.addCleanup(fake.image_cache('host2').put, arriving, 1)

        self._wait_for_server_parameter(
            server, {'OS-EXT-SRV-ATTR:host': 'host2'})


class StockTests(BusyWarmHostTestCase):

    WEIGHERS = (base.ALL_WEIGHERS,)

    def test_stock_nova_goes_elsewhere(self):
        self.assertNotEqual('host2', self.where(self.warm))


class HintTests(BusyWarmHostTestCase):

    def test_prefer_is_the_default(self):
        self.assertEqual('host2', self.where(
            self.warm, hints={'image_cache': 'prefer'}))

    def test_ignore_leaves_it_to_nova(self):
        self.assertNotEqual('host2', self.where(
            self.warm, hints={'image_cache': 'ignore'}))

    def test_nonsense_is_as_if_absent(self):
        self.assertEqual('host2', self.where(
            self.warm, hints={'image_cache': 'please'}))

    def test_avoid_goes_to_a_busier_host_without_the_image(self):
        # Given every host but host1 holds it, and host1 is the busiest
        self.cache('host3', self.warm)
        for _server in range(2):
            self.boot(self.image(), host='host1')

        self.assertEqual('host1', self.where(
            self.warm, hints={'image_cache': 'avoid'}))


class MultiplierTests(BusyWarmHostTestCase):

    def test_zero_has_no_effect(self):
        self.set(image_cache_weight_multiplier=0.0)

        self.assertNotEqual('host2', self.where(self.warm))

    def test_negative_prefers_hosts_without_the_image(self):
        self.set(image_cache_weight_multiplier=-10.0)
        for _server in range(2):
            self.boot(self.image(), host='host1')
            self.boot(self.image(), host='host3')

        self.assertNotEqual('host2', self.where(self.warm))

    def test_an_aggregate_overrides_the_option(self):
        self.aggregate(['host2'], image_cache_weight_multiplier='0')

        self.assertNotEqual('host2', self.where(self.warm))

    def test_an_aggregate_can_switch_it_on(self):
        self.set(image_cache_weight_multiplier=0.0)
        self.aggregate(['host2'], image_cache_weight_multiplier='10')

        self.assertEqual('host2', self.where(self.warm))

    def test_nonsense_in_an_aggregate_has_no_effect(self):
        self.aggregate(['host2'], image_cache_weight_multiplier='a lot')

        self.assertEqual('host2', self.where(self.warm))


class GuardTests(BusyWarmHostTestCase):

    def test_the_gate_closes_on_a_host_that_is_too_busy(self):
        # Given a server that takes a quarter of host2
        big = self.flavor_with(vcpu=25, memory_mb=100_000)
        self.boot(self.image(), flavor=big, host='host2')

        self.assertNotEqual('host2', self.where(self.warm))

    def test_the_headroom_fades_near_the_cap(self):
        # Given host2 is one below the cap, and host3, with as many servers
        # and a little less free memory, holds the image too
        self.set(max_same_image_instances_per_host=4)
        self.cache('host3', self.warm)
        for _server in range(3):
            self.boot(self.warm, host='host2')
        larger = self.flavor_with(vcpu=1, memory_mb=1024)
        for _server in range(4):
            self.boot(self.image(), flavor=larger, host='host3')
        self.report('host2')

        self.assertEqual('host3', self.where(self.warm))

    def test_a_burst_does_not_pile_up(self):
        # When eight servers are asked for at once
        self.set(max_same_image_instances_per_host=4)
        servers = self.settle(*[
            self.request(self.warm) for _server in range(8)])

        # Then the cap holds, and all are there
        spread = self.hosts_of(servers)
        self.assertEqual(8, spread.total())
        self.assertLessEqual(max(spread.values()), 4)


class VolumeTests(BusyWarmHostTestCase):
    """A server that boots from a volume has no use for the image cache."""

    def boot_from(self, **mapping):
        server = self._build_server(image_uuid='', flavor_id=self.flavor,
                                    networks='none')
        server['block_device_mapping_v2'] = [
            {'boot_index': 0, 'destination_type': 'volume', **mapping}]
        server = self.api.post_server({'server': server})
        return self._wait_for_state_change(
            server, 'ACTIVE')['OS-EXT-SRV-ATTR:host']

    def test_an_existing_volume(self):
        self.assertNotEqual('host2', self.boot_from(
            source_type='volume',
            uuid=nova_fixtures.CinderFixture.IMAGE_BACKED_VOL))

    def test_a_volume_made_from_the_image(self):
        self.assertNotEqual('host2', self.boot_from(
            source_type='image', uuid=self.warm, volume_size=1))

    def test_a_volume_made_from_a_snapshot(self):
        snapshot = cinder.API().create_snapshot_force(
            None, nova_fixtures.CinderFixture.IMAGE_BACKED_VOL, 'name', '')

        self.assertNotEqual('host2', self.boot_from(
            source_type='snapshot', uuid=snapshot['id'], volume_size=1))


class ReportTests(base.CloudTestCase):
    """Hosts that say nothing, or nothing that can be read."""

    def setUp(self):
        super().setUp()
        self.start('host1', 'host2', 'host3')
        self.warm = self.image()
        self.cache('host2', self.warm)
        for _server in range(2):
            self.boot(self.image(), host='host2')

    def let_say(self, host, text):
        """Let a host report a text instead of its cache."""
        driver = self.computes[host].manager.driver
        driver._cache_report._text = lambda *args: text
        self.report(host)

    def test_hosts_that_say_nothing_are_no_better_than_those_that_do(self):
        self.let_say('host1', None)
        self.let_say('host3', None)

        # The others score the average of those that report: of host2.
        self.assertNotEqual('host2', self.where(self.warm))

    def test_noise_is_as_if_nothing_was_said(self):
        self.let_say('host3', 'v=1;' + '\x00|' * 500)

        self.assertEqual('host2', self.where(self.warm))

    def test_another_version_is_as_if_nothing_was_said(self):
        text = report.encode([report.BaseFile(
            report.image_sha1(self.warm), 20 * base.GIB)], max_bytes=1000)
        self.let_say('host3', text.replace('v=1', 'v=2'))

        self.assertEqual('host2', self.where(self.warm))

    def test_a_truncated_report_is_no_denial(self):
        # Given host1 has more images than fit, and lists others
        self.flags(group='cache_aware_sched', report_max_bytes=1024)
        for _image in range(80):
            fake.image_cache('host1').put(self.image(), 50 * base.GIB)
        self.report('host1')

        self.assertTrue(self.reported('host1').header.truncated)
        self.assertEqual('host2', self.where(self.warm))

    def test_no_host_reports(self):
        for host in self.computes:
            self.let_say(host, None)

        self.assertNotEqual('host2', self.where(self.warm))
        self.assertEqual(1, self.stdlog.logger.output.count(
            'ImageCacheWeigher has no effect'))


class MixedComputesTests(base.CloudTestCase):

    def test_a_host_with_nova_s_own_driver_is_unknown(self):
        self.flags(compute_driver='fake.MediumFakeDriver')
        self.start('host1')
        self.flags(compute_driver='cache_aware.FakeDriver')
        self.start('host2', 'host3')
        warm = self.image()
        self.cache('host2', warm)

        self.assertIsNone(self.reported('host1'))
        self.assertIn(self.where(warm), ('host1', 'host2'))
        self.assertNotIn('ERROR', jsonutils.dumps(self.spread()))

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

"""The cap of same-image servers holds, whatever is done with them."""

from tests.functional import base

import fixtures
from nova.tests.functional.api import client as api_client

from cache_aware_sched.virt import fake


class CapTestCase(base.CloudTestCase):
    """Without the late check, so that it is the filter that is seen."""

    HOSTS = ('host1', 'host2', 'host3')
    CAP = 2
    POLICY = 'hard'
    LATE_CHECK = False
    MULTIPLIER = 100.0

    def setUp(self):
        super().setUp()
        self.set(max_same_image_instances_per_host=self.CAP,
                 same_image_cap_policy=self.POLICY,
                 same_image_late_check=self.LATE_CHECK)
        self.start(*self.HOSTS)
        self.image_id = self.image()

    def fill(self, *hosts, number=1, **kwargs):
        """Boot servers of the image on each of the hosts."""
        return [self.boot(self.image_id, host=host, **kwargs)
                for host in hosts for _server in range(number)]

    def migrate(self, server, host):
        """Cold migrate; the server waits to be confirmed."""
        return self._migrate_server(server, host=host)

    def assert_full(self, image_id=None, **kwargs):
        """Another server of the image finds no host."""
        self.boot(image_id or self.image_id, expect='ERROR', **kwargs)


class HardCapTests(CapTestCase):

    def test_every_host_is_filled_and_then_none_is_left(self):
        for _server in range(6):
            self.boot(self.image_id)

        self.assertEqual({'host1': 2, 'host2': 2, 'host3': 2}, self.spread())
        self.assert_full()
        self.assertIn(f'servers of image {self.image_id} (scope all) as the '
                      f'cap allows: ', self.stdlog.logger.output)
        self.assertIn('host1 2 of 2', self.stdlog.logger.output)
        # And another image is not affected
        self.boot(self.image())

    def test_a_deleted_server_makes_room(self):
        servers = self.fill('host1', 'host2', 'host3', number=2)
        self._delete_server(servers[0])

        self.assertEqual('host1', self.where(self.image_id))

    def test_a_multi_create_is_spread_evenly(self):
        self.request(self.image_id, number=6)

        self.assertEqual({'host1': 2, 'host2': 2, 'host3': 2}, self.spread())
        # And that there is no alternate is no refusal
        self.assertNotIn('No host is left', self.stdlog.logger.output)

    def test_a_multi_create_that_does_not_fit_is_refused_whole(self):
        self.request(self.image_id, number=7)

        self.assertEqual({}, self.spread())

    def test_alternates_are_below_the_cap(self):
        # Given host3 is full, and host1 fails every build
        self.fill('host3', number=2)
        driver = self.computes['host1'].manager.driver
        self.useFixture(fixtures.MockPatchObject(
            driver, '_fetch', side_effect=OSError('no')))

        servers = [self.request(self.image_id, number=2)]
        self.settle(*servers)

        self.assertEqual(2, self.spread()['host3'])

    def test_a_forced_host_is_taken_as_nova_does(self):
        self.fill('host1', number=2)

        self.assertEqual('host1', self.where(self.image_id, az='nova:host1'))

    def test_a_named_host_is_checked(self):
        self.fill('host1', number=2)

        self.assert_full(host='host1')

    def test_volume_backed_servers_are_neither_counted_nor_capped(self):
        self.fill('host1', 'host2', 'host3', number=2)
        server = self._build_server(image_uuid='', flavor_id=self.flavor,
                                    networks='none')
        server['block_device_mapping_v2'] = [{
            'boot_index': 0, 'destination_type': 'volume', 'volume_size': 1,
            'source_type': 'image', 'uuid': self.image_id}]

        server = self.api.post_server({'server': server})

        self._wait_for_state_change(server, 'ACTIVE')

    def test_no_cap(self):
        self.set(max_same_image_instances_per_host=0)

        self.fill('host1', number=4)


class WhereTheCapIsSetTests(CapTestCase):

    HOSTS = ('host1', 'host2')
    CAP = 3

    def test_an_aggregate_overrides_the_option(self):
        self.aggregate(['host1'], max_same_image_instances_per_host='1')
        self.request(self.image_id, number=4)

        self.assertEqual({'host1': 1, 'host2': 3}, self.spread())

    def test_of_two_aggregates_the_smallest_counts(self):
        self.aggregate(['host1'], max_same_image_instances_per_host='5')
        self.aggregate(['host1'], max_same_image_instances_per_host='1')
        self.request(self.image_id, number=4)

        self.assertEqual({'host1': 1, 'host2': 3}, self.spread())

    def test_a_flavor_overrides_both(self):
        self.aggregate(['host1'], max_same_image_instances_per_host='1')
        flavor = self.flavor_with({
            'cache_aware_sched:max_same_image_instances_per_host': '2'})
        self.request(self.image_id, number=4, flavor=flavor)

        self.assertEqual({'host1': 2, 'host2': 2}, self.spread())

    def test_a_hint_tightens(self):
        hints = {'max_same_image_instances_per_host': '1'}
        self.request(self.image_id, number=2, hints=hints)

        self.assertEqual({'host1': 1, 'host2': 1}, self.spread())
        self.assert_full(hints=hints)

    def test_a_hint_does_not_loosen(self):
        self.fill('host1', 'host2', number=3)

        for hint in ('9', '0', '-1', 'all'):
            self.assert_full(
                hints={'max_same_image_instances_per_host': hint})

    def test_a_bad_extra_spec_is_refused(self):
        error = self.assertRaises(
            api_client.OpenStackApiException, self.flavor_with, {
                'cache_aware_sched:max_same_image_instances_per_host': 'x'})

        self.assertEqual(400, error.response.status_code)
        self.assertIn("'x' is not a valid integer", str(error))

    def test_an_extra_spec_that_is_misspelt_is_refused(self):
        error = self.assertRaises(
            api_client.OpenStackApiException, self.flavor_with, {
                'cache_aware_sched:max_same_image_instances_per_host': '-1'})

        self.assertEqual(400, error.response.status_code)
        self.assertIn('less than the min value', str(error))


class ScopeTests(CapTestCase):

    HOSTS = ('host1',)
    CAP = 1

    def other_api(self):
        """Return what another project talks to."""
        api = api_client.TestOpenStackClient(
            'admin', self.api_fixture.base_url, project_id='b' * 32,
            roles=['reader', 'member', 'admin'])
        api.microversion = 'latest'
        return api

    def test_all_projects_are_counted_together(self):
        self.fill('host1')
        self.api = self.other_api()

        self.assert_full()

    def test_projects_are_counted_apart(self):
        self.set(same_image_scope='project')
        self.fill('host1')
        self.assert_full()
        self.api = self.other_api()

        self.assertEqual('host1', self.where(self.image_id))
        self.assert_full()


class SoftCapTests(CapTestCase):

    POLICY = 'soft'

    def test_beyond_the_cap_the_hosts_with_the_fewest_are_used(self):
        self.fill('host1', 'host2', 'host3', number=2)
        self.fill('host1', 'host2', az=None)

        self.assertEqual('host3', self.where(self.image_id))

    def test_a_large_multi_create_stays_even(self):
        self.request(self.image_id, number=11)

        self.assertEqual([4, 4, 3], sorted(
            self.spread().values(), reverse=True))

    def test_separate_requests_stay_even(self):
        self.settle(*[self.request(self.image_id) for _server in range(9)])

        self.assertEqual({'host1': 3, 'host2': 3, 'host3': 3}, self.spread())


class MoveTests(CapTestCase):
    """Two hosts and a third one; the cap is 1."""

    CAP = 1

    def configure(self):
        super().configure()
        self.flags(allow_resize_to_same_host=True)

    def test_a_resize_to_the_same_host_does_not_count_itself(self):
        self.useFixture(fixtures.MonkeyPatch(
            'nova.virt.fake.FakeDriver.capabilities',
            {**fake.FakeDriver.capabilities,
             'supports_migrate_to_same_host': True}))
        server, *_rest = self.fill('host1', 'host2', 'host3')

        server = self._resize_server(
            server, self.flavor_with(vcpu=2, memory_mb=1024))

        self.assertEqual('host1', server['OS-EXT-SRV-ATTR:host'])

    def test_a_server_that_waits_for_confirmation_is_on_both_hosts(self):
        # Given a server that moved from host1 to host2
        server, = self.fill('host1')
        server = self.migrate(server, 'host2')

        # Then only host3 is free
        self.assertEqual('host3', self.where(self.image_id))
        self.assert_full()
        # And host1 too when the move is confirmed
        self._confirm_resize(server)
        self.assertEqual('host1', self.where(self.image_id))

    def test_a_cold_migration_keeps_to_the_cap(self):
        server, _other = self.fill('host1', 'host2')

        server = self._migrate_server(server)

        self.assertEqual('host3', server['OS-EXT-SRV-ATTR:host'])

    def test_a_cold_migration_finds_no_host(self):
        server, *_rest = self.fill('host1', 'host2', 'host3')

        self.api.post_server_action(server['id'], {'migrate': None},
                                    check_response_status=[202])

        self._assert_resize_migrate_action_fail(
            server, 'migrate', 'NoValidHost')

    def test_a_live_migration_leaves_its_host_at_once(self):
        server, _other = self.fill('host1', 'host2')
        self._live_migrate(server, 'completed')
        self._wait_for_server_parameter(
            server, {'OS-EXT-SRV-ATTR:host': 'host3', 'status': 'ACTIVE'})

        # nova's scheduler shows it on host1 for up to two minutes more
        self.assertEqual('host1', self.where(self.image_id))
        self.assert_full()

    def test_an_evacuation_keeps_to_the_cap(self):
        server, _other = self.fill('host1', 'host2')
        compute = self.computes['host1']
        compute.stop()
        self.force_down('host1')

        server = self._evacuate_server(
            server, expected_host='host3', expected_migration_status='done')

        # And host1 is empty when it comes back
        compute.start()
        self.force_down('host1', False)
        self.assertEqual('host1', self.where(self.image_id))
        self.assert_full()

    def test_an_unshelve_keeps_to_the_cap(self):
        server, = self.fill('host1')
        server = self._shelve_server(server)
        self._shelve_offload_server_if_needed(server)
        self.fill('host1', 'host2')

        self.api.post_server_action(server['id'], {'unshelve': None})
        server = self._wait_for_state_change(server, 'ACTIVE')

        self.assertEqual('host3', server['OS-EXT-SRV-ATTR:host'])
        self.assert_full()

    def _shelve_offload_server_if_needed(self, server):
        if server['status'] != 'SHELVED_OFFLOADED':
            self._shelve_offload_server(server)

    def test_a_rebuild_is_let_through_and_counted(self):
        # Given host1 runs the image, and a server of another one
        self.fill('host1', 'host2', 'host3')
        other = self.boot(self.image(), host='host1')

        server = self._rebuild_server(other, self.image_id)
        self.assertEqual('host1', server['OS-EXT-SRV-ATTR:host'])

        # Then host1 has two of them: one gone is not enough
        first = next(
            server for server in self.all_servers()
            if server['OS-EXT-SRV-ATTR:host'] == 'host1'
            and server['id'] != other['id'])
        self._delete_server(first)
        self.assert_full()

    def test_a_rebuild_frees_the_old_image(self):
        server, *_rest = self.fill('host1', 'host2', 'host3')
        self._rebuild_server(server, self.image())

        self.assertEqual('host1', self.where(self.image_id))


class ServerGroupTests(CapTestCase):

    CAP = 2

    def group(self, policy):
        return self.api.post_server_groups(
            {'name': policy, 'policy': policy})['id']

    def test_an_affinity_group_stays_on_its_host(self):
        group = self.group('affinity')
        for _server in range(4):
            self.boot(self.image_id, hints={'group': group})

        self.assertEqual([4], list(self.spread().values()))
        self.assertIn('its affinity group wants one host',
                      self.stdlog.logger.output)

    def test_a_multi_create_in_a_group_counts_once(self):
        # nova leaves a stub of each server with the host
        group = self.group('anti-affinity')
        self.request(self.image_id, number=3, hints={'group': group})
        self.assertEqual({'host1': 1, 'host2': 1, 'host3': 1}, self.spread())

        self.request(self.image_id, number=3)
        self.assertEqual({'host1': 2, 'host2': 2, 'host3': 2}, self.spread())
        self.assert_full()


class SlowSpawnTests(CapTestCase):
    """Servers that are being built count, whoever placed them."""

    CAP = 1

    def setUp(self):
        super().setUp()
        self.set(fake_image_fetch_seconds=4.0, recent_placement_seconds=0)

    def test_requests_while_others_are_spawning(self):
        servers = [self.request(self.image_id)]
        for number in (2, 3):
            self._wait_for_server_parameter(
                servers[-1], {'OS-EXT-STS:task_state': 'spawning'})
            servers.append(self.request(self.image_id))
            self.assertEqual(number, len(servers))
        self._wait_for_server_parameter(
            servers[-1], {'OS-EXT-STS:task_state': 'spawning'})

        self.assert_full()

        self.settle(*servers)
        self.assertEqual({'host1': 1, 'host2': 1, 'host3': 1}, self.spread())


class UntrackedTests(CapTestCase):
    """The scheduler is not told of instances: it only has stubs."""

    CAP = 1

    def configure(self):
        super().configure()
        self.flags(group='filter_scheduler', track_instance_changes=False)

    def test_the_cap_holds(self):
        self.fill('host1', 'host2')

        self.assertEqual('host3', self.where(self.image_id))
        self.assert_full()


class RestartTests(CapTestCase):

    CAP = 1

    def test_the_cap_holds_after_a_restart_of_the_scheduler(self):
        self.fill('host1', 'host2')

        self.restart_scheduler()

        self.assertEqual('host3', self.where(self.image_id))
        self.assert_full()


class TwoCellsTests(CapTestCase):

    CAP = 1
    NUMBER_OF_CELLS = 2
    HOSTS = ()

    def test_the_cap_holds_in_both(self):
        self._start_compute('host1', cell_name='cell1')
        self._start_compute('host2', cell_name='cell2')
        # Given the cells must be asked
        self.restart_scheduler()
        self.set(recent_placement_seconds=0)

        hosts = {self.where(self.image_id), self.where(self.image_id)}

        self.assertEqual({'host1', 'host2'}, hosts)
        self.assert_full()


class LateCheckTests(CapTestCase):
    """What the schedulers could not know is caught on the host.

    The filter is not even enabled.
    """

    CAP = 2
    LATE_CHECK = True

    def configure(self):
        super().configure()
        self.flags(group='filter_scheduler',
                   enabled_filters=base.STOCK_FILTERS)

    def test_the_last_one_goes_to_the_next_host(self):
        self.fill('host1', number=2)
        # host1 attracts it, its alternates do not
        self.useFixture(fixtures.MockPatchObject(
            self.scheduler_service.manager.host_manager, 'get_weighed_hosts',
            side_effect=self.host1_first))

        self.assertNotEqual('host1', self.where(self.image_id))
        self.assertEqual('0', self.failed_builds('host1'))

    def host1_first(self, hosts, spec):
        from nova.scheduler import weights
        return [weights.WeighedHost(host, 0.0) for host in
                sorted(hosts, key=lambda host: host.host)]

    def failed_builds(self, host):
        from nova import context
        from nova import objects
        node = objects.ComputeNode.get_first_node_by_host_for_old_compat(
            context.get_admin_context(), host)
        return node.stats.get('failed_builds', '0')

    def test_a_burst_fills_the_hosts_exactly(self):
        self.flags(group='scheduler', max_attempts=3)
        self.useFixture(fixtures.MockPatchObject(
            self.scheduler_service.manager.host_manager, 'get_weighed_hosts',
            side_effect=self.host1_first))

        servers = self.settle(*[
            self.request(self.image_id) for _server in range(8)])

        # Six fit; nobody was sent away where there was room.
        self.assertEqual({'host1': 2, 'host2': 2, 'host3': 2},
                         self.hosts_of(servers))

    def test_a_hint_is_known_on_the_host(self):
        self.fill('host1', number=1)

        self.assert_full(
            host='host1', hints={'max_same_image_instances_per_host': '1'})

    def test_an_aggregate_is_known_on_the_host(self):
        self.aggregate(['host1'], max_same_image_instances_per_host='1')
        self.fill('host1', number=1)

        self.assert_full(host='host1')

    def test_it_can_be_switched_off(self):
        self.set(same_image_late_check=False)

        self.fill('host1', number=3)

    def test_the_soft_policy_does_not_ask_for_it(self):
        self.set(same_image_cap_policy='soft')

        self.fill('host1', number=3)

    def test_a_forced_host_is_taken(self):
        self.fill('host1', number=2)

        self.assertEqual('host1', self.where(self.image_id, az='nova:host1'))


class TwoSchedulersTests(CapTestCase):
    """Two schedulers that know nothing of each other's choices."""

    CAP = 2
    LATE_CHECK = True

    def setUp(self):
        super().setUp()
        # A second one with a memory of its own; nova's tests have one only.
        base.count.share(None)
        from nova.scheduler import manager
        self.second = manager.SchedulerManager()
        first = self.scheduler_service.manager
        self.turn = 0
        one, two = first._schedule, self.second._schedule

        def in_turn(*args, **kwargs):
            self.turn += 1
            return (one if self.turn % 2 else two)(*args, **kwargs)

        self.useFixture(fixtures.MockPatchObject(first, '_schedule', in_turn))

    def test_the_cap_holds_exactly(self):
        servers = self.settle(*[
            self.request(self.image_id) for _server in range(10)])

        spread = self.hosts_of(servers)
        self.assertLessEqual(max(spread.values()), 2)
        self.assertEqual(6, spread.total())
        self.assertEqual(
            4, sum(server['status'] == 'ERROR' for server in servers))



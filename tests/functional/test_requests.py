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

"""No request fails because of the package, where nova would have placed it."""

from tests.functional import base
from tests.functional import test_filter

import fixtures
from nova import context as nova_context
from nova import objects

from cache_aware_sched.scheduler.same_image import cells


class AffinityTests(test_filter.CapTestCase):
    """Defaults; host1 holds the image and runs three servers of it."""

    CAP = 10
    LATE_CHECK = True
    MULTIPLIER = 5.0

    def setUp(self):
        super().setUp()
        self.flags(group='quota', server_group_members=-1)
        self.fill('host1', number=3)
        self.report('host1')
        self.group = self.api.post_server_groups(
            {'name': 'group', 'policy': 'affinity'})['id']

    def group_spread(self, number):
        group = self.api.get_server_group(self.group)['members']
        servers = self.settle(*[
            self.api.get_server(member) for member in group])
        self.assertEqual(number, len(servers))
        return self.hosts_of(servers)

    def test_a_group_goes_where_all_of_it_has_room(self):
        self.request(self.image_id, number=8, hints={'group': self.group})

        [(host, number)] = self.group_spread(8).items()
        self.assertEqual(8, number)
        self.assertNotEqual('host1', host)

    def test_a_group_that_is_larger_than_the_cap(self):
        self.request(self.image_id, number=12, hints={'group': self.group})

        self.assertEqual([12], list(self.group_spread(12).values()))

    def test_a_member_is_not_refused_for_others(self):
        # Given a group on host2, which strangers fill
        self.boot(self.image_id, host='host2', hints={'group': self.group})
        self.fill('host2', number=9)

        self.boot(self.image_id, hints={'group': self.group})

        self.assertEqual({'host2': 2}, self.group_spread(2))


class EvacuationTests(test_filter.CapTestCase):
    """Each host is at the cap, by the users' hints."""

    CAP = 10
    LATE_CHECK = True
    HINT = {'max_same_image_instances_per_host': '1'}

    def setUp(self):
        super().setUp()
        self.server, *_rest = [
            self.boot(self.image_id, host=host, hints=self.HINT)
            for host in self.HOSTS]

    def lose(self, host):
        self.computes[host].stop()
        self.force_down(host)

    def test_a_hint_does_not_keep_a_server_down(self):
        self.lose('host1')

        server = self._evacuate_server(
            self.server, expected_migration_status='done')

        self.assertNotEqual('host1', server['OS-EXT-SRV-ATTR:host'])

    def test_nor_does_the_cap(self):
        self.set(max_same_image_instances_per_host=1)
        self.lose('host1')

        server = self._evacuate_server(
            self.server, expected_migration_status='done')

        self.assertNotEqual('host1', server['OS-EXT-SRV-ATTR:host'])
        self.assertIn('as it is evacuated', self.stdlog.logger.output)

    def test_a_named_host_is_taken(self):
        self.set(max_same_image_instances_per_host=1)
        self.lose('host1')

        server = self._evacuate_server(
            self.server, {'host': 'host2'}, expected_host='host2',
            expected_migration_status='done')

        self.assertEqual('host2', server['OS-EXT-SRV-ATTR:host'])
        self.assertIn('an administrator named host host2',
                      self.stdlog.logger.output)

    def test_a_hint_binds_no_migration(self):
        server = self._migrate_server(self.server)

        self.assertNotEqual('host1', server['OS-EXT-SRV-ATTR:host'])

    def test_the_cap_binds_a_migration(self):
        self.set(max_same_image_instances_per_host=1)

        self.api.post_server_action(self.server['id'], {'migrate': None},
                                    check_response_status=[202])

        self._assert_resize_migrate_action_fail(
            self.server, 'migrate', 'NoValidHost')


class RecordsThatNeverEndTests(test_filter.CapTestCase):
    """A migration of a server that is long elsewhere stays in the database."""

    HOSTS = ('host1', 'host2')
    CAP = 1
    LATE_CHECK = True

    def setUp(self):
        super().setUp()
        server, = self.fill('host2')
        context = nova_context.get_admin_context()
        for status in ('running', 'accepted', 'pre-migrating'):
            objects.Migration(
                context, instance_uuid=server['id'], status=status,
                source_compute='host1', source_node='host1',
                dest_compute='host2', dest_node='host2',
                dest_compute_id=1, migration_type='live-migration').create()
        # Given the cells must be asked
        self.restart_scheduler()
        self.set(recent_placement_seconds=0)

    def test_its_old_host_is_free(self):
        self.assertEqual('host1', self.where(self.image_id))

    def test_it_is_free_without_tracked_instances(self):
        self.flags(group='filter_scheduler', track_instance_changes=False)
        self.restart_scheduler()

        self.assertEqual('host1', self.where(self.image_id))


class WrongGuessTests(test_filter.CapTestCase):
    """nova takes another host than the one that leads."""

    HOSTS = ('host1', 'host2', 'host3', 'host4')

    def assert_eight_fit(self):
        for _server in range(8):
            self.boot(self.image_id)

        self.assertEqual(dict.fromkeys(self.HOSTS, 2), self.spread())

    def test_nova_shuffles_the_best(self):
        self.flags(group='filter_scheduler',
                   shuffle_best_same_weighed_hosts=True)

        self.assert_eight_fit()

    def test_nova_picks_among_the_best(self):
        self.flags(group='filter_scheduler', host_subset_size=3)

        self.assert_eight_fit()

    def test_another_weigher_has_the_last_word(self):
        weighers = self.scheduler_service.manager.host_manager.weighers
        weighers.reverse()

        self.assert_eight_fit()

    def test_what_nova_could_not_claim_does_not_count(self):
        # Given a multi-create whose last claim is refused
        from nova.scheduler import utils
        claim, claims = utils.claim_resources, []

        def two_claims(*args, **kwargs):
            claims.append(args)
            return len(claims) <= 2 and claim(*args, **kwargs)

        with fixtures.MonkeyPatch(
                'nova.scheduler.utils.claim_resources', two_claims):
            self.settle(self.request(self.image_id, number=3))

        # Then all of the room is there at once
        servers = self.settle(*[
            self.request(self.image_id) for _server in range(8)])
        self.assertEqual(dict.fromkeys(self.HOSTS, 2), self.hosts_of(servers))


class RollOutTests(base.CloudTestCase):
    """The steps of the installation page, with one nova.conf a service.

    All services of the tests read one, so each is told its own policy.
    """

    def configure(self):
        super().configure()
        self.flags(group='filter_scheduler',
                   enabled_filters=base.STOCK_FILTERS)

    def test_a_host_that_only_reports_refuses_nothing(self):
        """Computes as after step 1, and a flavor with a cap."""
        self.start('host1', 'host2', 'host3')
        flavor = self.flavor_with({
            'cache_aware_sched:max_same_image_instances_per_host': '1'})
        image = self.image()

        servers = [self.boot(image, flavor=flavor) for _server in range(4)]

        self.assertEqual(4, self.hosts_of(servers).total())


class OverTheCapTests(test_filter.CapTestCase):
    """A server that may come back, or comes, is counted where it will be."""

    HOSTS = ('host1', 'host2')

    def sync(self, *hosts):
        """Have hosts tell the scheduler which instances they have."""
        for host in hosts:
            self.computes[host].manager._sync_scheduler_instance_info(
                nova_context.get_admin_context())

    def test_a_server_may_come_back_after_the_sync(self):
        self.set(max_same_image_instances_per_host=1)
        server, = self.fill('host1')
        self.report('host1')
        server = self.migrate(server, 'host2')
        self.sync('host1', 'host2')

        self.assert_full()

        self._revert_resize(server)
        self.assertEqual({'host1': 1}, self.spread())

    def test_a_cold_migration_into_the_reserved_place(self):
        self.set(max_same_image_instances_per_host=1)
        self.start('host3')
        server, = self.fill('host1')
        self.report('host1')
        server = self.migrate(server, 'host2')
        other, = self.fill('host3')
        self.sync(*self.HOSTS)

        self.api.post_server_action(other['id'], {'migrate': None},
                                    check_response_status=[202])

        self._assert_resize_migrate_action_fail(
            other, 'migrate', 'NoValidHost')

    def test_a_live_migration_there_and_back(self):
        self.set(max_same_image_instances_per_host=1)
        server, = self.fill('host1')
        for _time in range(2):
            self._live_migrate(server, 'completed')
            server = self._wait_for_server_parameter(
                server, {'status': 'ACTIVE', 'OS-EXT-STS:task_state': None})
        self.assertEqual('host1', server['OS-EXT-SRV-ATTR:host'])
        self.fill('host2')

        self.assert_full()


class SpellingTests(test_filter.CapTestCase):
    """One image, its id typed in upper and in lower case."""

    HOSTS = ('host1', 'host2')
    CAP = 1
    LATE_CHECK = True

    def setUp(self):
        super().setUp()
        show = self.glance.show
        self.useFixture(fixtures.MonkeyPatch(
            'nova.tests.fixtures.GlanceFixture.show',
            lambda _self, context, image_id, *args, **kwargs: show(
                context, image_id.lower(), *args, **kwargs)))

    def test_both_are_one_image(self):
        hosts = {self.where(self.image_id.upper()), self.where(self.image_id)}

        self.assertEqual(set(self.HOSTS), hosts)
        self.assert_full()
        self.assert_full(self.image_id.upper())


class QuietCloudTests(test_filter.CapTestCase):
    """After a live migration nova knows both hosts' servers by uuid only."""

    def test_no_query_is_needed(self):
        # Given each host has moved a server, and all have told so
        for host in self.HOSTS:
            server, = self.fill(host)
            self._live_migrate(server, 'completed')
            self._wait_for_server_parameter(
                server, {'status': 'ACTIVE', 'OS-EXT-STS:task_state': None})
        for host in self.HOSTS:
            self.computes[host].manager._sync_scheduler_instance_info(
                nova_context.get_admin_context())
            self.report(host)
        queries = self.useFixture(fixtures.MockPatchObject(
            cells.CellQuery, 'servers', autospec=True,
            side_effect=cells.CellQuery.servers)).mock

        for _server in range(3):
            self.boot(self.image())
        self.restart_scheduler()
        self.boot(self.image())

        queries.assert_not_called()


class GoldenImageTests(test_filter.CapTestCase):
    """The filter starts in a cloud that boots all from one image."""

    CAP = 0

    def test_it_is_no_riddle(self):
        self.fill(*self.HOSTS, number=3)
        self.set(max_same_image_instances_per_host=2)

        self.assert_full()
        self.assert_full()

        log = self.stdlog.logger.output
        self.assertEqual(1, log.count(
            'Every host is at the same-image cap: 9 servers of image '
            f'{self.image_id} on 3 hosts: 3 on average, cap 2'), log[-3000:])


class ObserveTests(test_filter.CapTestCase):
    """Nothing changes; the log says what would."""

    POLICY = 'observe'
    LATE_CHECK = True

    def test_the_filter_refuses_nothing(self):
        self.fill(*self.HOSTS, number=2)

        self.boot(self.image_id)

        self.assertIn('would have refused it, as no host has room',
                      self.stdlog.logger.output)

    def test_the_weigher_says_where_it_would_be(self):
        self.set(image_cache_weigher_mode='observe')
        # Given host1 holds the image and is busier
        self.boot(self.image(), host='host1')
        self.cache('host1', self.image_id)

        self.assertNotEqual('host1', self.where(self.image_id))

        self.assertIn('it would be host host1, which saves a fetch of 113.0 s',
                      self.stdlog.logger.output)


class ShareTests(test_filter.CapTestCase):
    """A share lets more servers in as there are more of them."""

    CAP = 1

    def test_a_small_cloud_refuses_nothing(self):
        self.set(max_same_image_share_per_host=0.2)

        for _server in range(7):
            self.boot(self.image_id)

        self.assertEqual([2, 2, 3], sorted(self.spread().values()))

    def test_nor_does_a_request_with_one_candidate(self):
        """The late check knows no candidates, and refuses none of them."""
        self.set(max_same_image_share_per_host=0.2)

        for _server in range(3):
            self.boot(self.image_id, host='host1')
        self.boot(self.image_id, host='host1', number=3)

        self.settle(*self.api.get_servers())
        self.assertEqual({'host1': 6}, self.spread())

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

import contextlib
import datetime
import time
from unittest import mock

import fixtures
from nova import exception
from nova import objects
from nova import rpc
import oslo_messaging

from cache_aware_sched import config
from cache_aware_sched import request as request_mod
from cache_aware_sched.virt import late_check
from tests.unit import base
from tests.unit import database
from tests.unit import factories
from tests.unit import rows

HOST = 'h'


class ApiDatabase:
    """What the conductor's objects would read of it.

    :ivar specs: RequestSpec objects by the uuid of their server
    :ivar aggregates: of the host
    """

    def __init__(self):
        self.specs = {}
        self.aggregates = []

    def get_spec(self, context, uuid):
        spec = self.specs.get(uuid)
        if spec is None:
            raise exception.RequestSpecNotFound(instance_uuid=uuid)
        return spec

    def get_aggregates(self, context, host):
        return objects.AggregateList(objects=self.aggregates)


class LateCheckTestCase(base.TestCase):

    CAP = 2

    def setUp(self):
        super().setUp()
        if self.CAP is not None:
            self.set(max_same_image_instances_per_host=self.CAP)
        self.rows = self.useFixture(rows.Rows())
        self.api = ApiDatabase()
        self.check = late_check.LateCheck()
        self.get_spec = self.patch(
            objects.RequestSpec, 'get_by_instance_uuid', self.api.get_spec)
        self.get_aggregates = self.patch(
            objects.AggregateList, 'get_by_host', self.api.get_aggregates)

    def patch(self, target, name, function):
        return self.useFixture(fixtures.MockPatchObject(
            target, name, autospec=True, side_effect=function)).mock

    def server(self, vm_state='active', spec=None, node=None, **fields):
        """Add a server to the database."""
        server = self.rows.server(vm_state=vm_state, **fields)
        server.node = node or server.host
        self.api.specs[server.uuid] = spec or factories.spec(
            instance_uuid=server.uuid)
        return server

    def building(self, **fields):
        return self.server('building', **fields)

    def admit(self, server):
        self.check.admit(self.context, server)

    def admitted(self, *servers):
        """Return which servers are admitted, asked one after the other."""
        result = []
        for server in servers:
            try:
                self.admit(server)
            except late_check.SameImageCapReached:
                continue
            result.append(server)
        return result

    def assert_refused(self, server):
        return self.assertRaises(
            late_check.SameImageCapReached, self.admit, server)


class TestCap(LateCheckTestCase):

    def test_server_below_the_cap_is_admitted(self):
        self.server()

        self.admit(self.building())

    def test_server_at_the_cap_is_refused(self):
        self.server()
        self.server()

        error = self.assert_refused(self.building())

        for part in (HOST, factories.IMAGE, str(self.CAP)):
            self.assertIn(part, str(error))

    def test_refusal_makes_nova_try_the_next_host(self):
        """Without that it counts as a failed build of this one."""
        self.assertTrue(issubclass(
            late_check.SameImageCapReached,
            exception.GroupAffinityViolation))

    def test_server_that_is_alone_needs_no_look_up_of_the_cap(self):
        self.admit(self.building())

        self.get_spec.assert_not_called()
        self.get_aggregates.assert_not_called()

    def test_servers_of_other_images_do_not_count(self):
        for _ in range(5):
            self.server(image=factories.OTHER_IMAGE)
            self.admit(self.building(image=factories.new_uuid()))

        self.admit(self.building())

    def test_servers_of_other_hosts_do_not_count(self):
        for _ in range(5):
            self.server(host='other')

        self.admit(self.building())

    def test_other_projects_count(self):
        self.server(project=factories.OTHER_PROJECT)
        self.server()

        self.assert_refused(self.building())

    def test_other_projects_do_not_count_in_the_scope_of_a_project(self):
        self.set(same_image_scope='project')
        self.server(project=factories.OTHER_PROJECT)
        self.admit(self.building(project=factories.OTHER_PROJECT))
        self.server()

        last = self.building()
        self.admit(last)
        self.assert_refused(self.building())

    def test_servers_of_other_nodes_do_not_count(self):
        for _ in range(5):
            self.server(node='other')

        self.admit(self.building())

    def test_server_without_a_node_counts(self):
        """nova can leave it out of the row."""
        for _ in range(2):
            self.server().node = None

        self.assert_refused(self.building())

    def test_other_spelling_of_the_image_is_the_same_image(self):
        self.server(image=factories.IMAGE.upper())
        self.admit(self.building(image=factories.IMAGE.upper()))

        self.assert_refused(self.building())
        self.assert_refused(self.building(image=factories.IMAGE.upper()))

    def test_server_that_comes_here_counts(self):
        for _ in range(2):
            self.rows.moving('other', HOST)

        self.assert_refused(self.building())

    def test_server_that_comes_to_another_node_does_not_count(self):
        for _ in range(2):
            server = self.server(host='other', task_state='migrating')
            self.rows.migration(server, 'other', HOST, dest_node='node2')

        self.admit(self.building())

    def test_server_that_may_come_back_counts(self):
        for _ in range(2):
            server = self.server('resized', host='other')
            self.rows.migration(server, HOST, 'other', 'finished')

        self.assert_refused(self.building())

    def test_server_whose_migration_was_left_behind_does_not_count(self):
        """The row of a migration can say for ever that it runs."""
        for status in ('running', 'accepted', 'pre-migrating', 'finished'):
            for source, destination in ((HOST, 'other'), ('other', HOST)):
                self.rows.migration(
                    self.server(host='other'), source, destination, status)

        self.admit(self.building())

    def test_move_of_another_image_does_not_count(self):
        for _ in range(2):
            self.rows.moving('other', HOST, image=factories.OTHER_IMAGE)

        self.admit(self.building())

    def test_resize_on_the_host_counts_once(self):
        self.rows.moving(HOST, HOST, task_state='resize_migrating')

        self.admit(self.building())


class TestWhichCap(LateCheckTestCase):

    def setUp(self):
        super().setUp()
        self.server()
        self.server()

    def test_no_cap(self):
        self.set(max_same_image_instances_per_host=0)

        self.admit(self.building())

    def test_of_the_aggregate(self):
        self.api.aggregates = [
            factories.aggregate(**{factories.CAP: 3})]

        self.assertEqual(1, len(self.admitted(
            self.building(), self.building(), self.building())))

    def test_aggregate_that_lifts_the_cap(self):
        self.api.aggregates = [
            factories.aggregate(**{factories.CAP: 0})]

        self.admit(self.building())

    def test_of_the_flavor(self):
        self.admit(self.building(cap=3))

    def test_of_the_hint(self):
        self.set(max_same_image_instances_per_host=10)
        spec = factories.spec(hints={request_mod.HINT_CAP: ['2']})

        self.assert_refused(self.building(spec=spec))

    def test_hint_of_the_move_of_a_server_does_not_count(self):
        self.set(max_same_image_instances_per_host=10)
        spec = factories.move(hints={request_mod.HINT_CAP: ['2']})

        self.admit(self.building(spec=spec))

    def test_server_of_an_affinity_group_is_admitted(self):
        """The scheduler had no other host for it."""
        spec = factories.spec(group=factories.server_group('affinity'))

        self.admit(self.building(spec=spec))

    def test_server_of_another_group_is_refused(self):
        spec = factories.spec(group=factories.server_group('anti-affinity'))

        self.assert_refused(self.building(spec=spec))

    def test_forced_host_takes_any_number(self):
        for name in ('force_hosts', 'force_nodes'):
            spec = factories.spec()
            setattr(spec, name, [HOST])

            self.admit(self.building(spec=spec))

        self.assertIn('forced', self.logged()[0])

    def test_an_aggregate_that_was_changed_counts_at_once(self):
        self.assertEqual([], self.admitted(self.building()))

        self.api.aggregates = [factories.aggregate(
            max_same_image_instances_per_host='100')]

        self.assertEqual(1, len(self.admitted(self.building())))

    def test_a_server_that_is_alone_needs_no_look_up(self):
        self.rows.servers.clear()

        self.assertEqual(1, len(self.admitted(self.building())))

        self.get_aggregates.assert_not_called()


class TestShare(LateCheckTestCase):
    """A share admits what the number alone would refuse.

    Here are two servers, which is the number, and elsewhere eight on four
    hosts.
    """

    def setUp(self):
        super().setUp()
        self.set(max_same_image_share_per_host=0.3)
        self.server()
        self.server()
        for number in range(8):
            self.server(host=f'other{number % 4}')

    def test_of_the_servers_of_the_cell(self):
        """0.3 of 11, or of 13, is 4 when it is rounded up."""
        self.assertEqual(2, len(self.admitted(
            self.building(), self.building(), self.building())))

    def test_whose_image_is_spelt_in_another_way(self):
        for server in self.rows.servers:
            server.image_ref = factories.IMAGE.upper()

        self.admit(self.building(image=factories.IMAGE.upper()))

    def test_servers_of_other_images_make_it_no_larger(self):
        for _ in range(100):
            self.server(host='other', image=factories.OTHER_IMAGE)

        self.assertEqual(2, len(self.admitted(
            self.building(), self.building(), self.building())))

    def test_servers_of_other_projects_in_the_scope_of_a_project(self):
        self.set(same_image_scope='project')
        for server in self.rows.servers[4:]:
            server.project_id = factories.OTHER_PROJECT

        self.assert_refused(self.building())

    def test_as_many_as_the_other_hosts_run(self):
        """Such a distribution is fair, however small the share."""
        self.set(max_same_image_share_per_host=0.01)

        self.assertEqual(1, len(self.admitted(
            self.building(), self.building(), self.building())))

    def test_one_more_than_any_other_host_runs(self):
        """As the scheduler's average of its candidates is not known."""
        self.set(max_same_image_share_per_host=0.01)
        for _ in range(2):
            self.server(host='other0')

        self.assertEqual(3, len(self.admitted(
            *(self.building() for _ in range(5)))))

    def test_servers_without_a_host_are_no_host(self):
        self.set(max_same_image_share_per_host=0.01)
        for _ in range(9):
            self.server(host=None)

        self.assertEqual(1, len(self.admitted(
            self.building(), self.building(), self.building())))

    def test_without_a_number(self):
        self.set(max_same_image_instances_per_host=0)

        self.assertEqual(2, len(self.admitted(
            self.building(), self.building(), self.building())))

    def test_smaller_than_the_number(self):
        self.set(max_same_image_instances_per_host=5)

        self.assertEqual(3, len(self.admitted(
            *(self.building() for _ in range(5)))))

    def test_of_the_flavor(self):
        self.set(max_same_image_share_per_host=0.0)
        server = self.building()
        server.flavor.extra_specs[request_mod.EXTRA_SPEC_SHARE] = '0.3'

        self.admit(server)
        self.assert_refused(self.building())

    def test_of_the_aggregate(self):
        self.set(max_same_image_share_per_host=0.0)
        self.api.aggregates = [
            factories.aggregate(max_same_image_share_per_host='0.3')]

        self.admit(self.building())

    def test_hint_keeps_below_it(self):
        spec = factories.spec(hints={request_mod.HINT_CAP: ['2']})

        self.assert_refused(self.building(spec=spec))


class TestWhatTheSchedulerKnew(LateCheckTestCase):
    """A share allows the average of candidates that only it knows."""

    CAP = 1
    THEN = factories.SOME_TIME
    LATER = THEN + datetime.timedelta(seconds=2)

    def setUp(self):
        super().setUp()
        self.set(max_same_image_share_per_host=0.2)

    def test_server_that_ran_already(self):
        for _ in range(5):
            self.server(launched_at=self.THEN)

        self.admit(self.building(created_at=self.THEN))

    def test_server_that_was_not_launched_yet(self):
        for launched in (self.LATER, None):
            self.server(launched_at=launched)

        self.assert_refused(self.building(created_at=self.THEN))

    def test_servers_of_one_request(self):
        servers = [self.building(reservation_id='r-1', created_at=self.THEN)
                   for _ in range(4)]

        self.assertEqual(servers, self.admitted(*servers))

    def test_servers_of_several_requests(self):
        servers = [self.building(reservation_id=f'r-{number}',
                                 created_at=self.THEN)
                   for number in range(4)]

        self.assertEqual(servers[:1], self.admitted(*servers))

    def test_number_alone(self):
        self.set(max_same_image_share_per_host=0.0)
        self.server(launched_at=self.THEN)

        self.assert_refused(self.building(created_at=self.LATER))

    def test_hint(self):
        self.server(launched_at=self.THEN)
        spec = factories.spec(hints={request_mod.HINT_CAP: ['1']})

        self.assert_refused(self.building(spec=spec, created_at=self.LATER))


class TestNobodyAsksForACap(LateCheckTestCase):
    """The driver alone brings no cap, whoever else sets one."""

    CAP = None

    def setUp(self):
        super().setUp()
        for _server in range(10):
            self.server()

    def test_the_default_is_no_cap(self):
        self.admit(self.building())

        self.rows.read_servers.assert_not_called()

    def test_of_an_aggregate(self):
        self.api.aggregates = [factories.aggregate(**{factories.CAP: 1})]

        self.admit(self.building())

    def test_of_a_flavor(self):
        self.admit(self.building(cap=1))

    def test_of_a_hint(self):
        spec = factories.spec(hints={request_mod.HINT_CAP: ['1']})

        self.admit(self.building(spec=spec))


class TestWhoAsksForACap(LateCheckTestCase):

    CAP = None

    def setUp(self):
        super().setUp()
        for _server in range(config.CONF.cache_aware_sched
                             .max_same_image_instances_per_host):
            self.server()

    def test_number(self):
        self.set(max_same_image_instances_per_host=5)

        self.assert_refused(self.building())

    def test_share(self):
        self.set(max_same_image_share_per_host=0.01)
        for number in range(20):
            self.server(host=f'other{number}')

        self.assert_refused(self.building())

    def test_policy(self):
        self.set(same_image_cap_policy='hard')

        self.assert_refused(self.building())

    def test_filter(self):
        self.set_nova('filter_scheduler',
                      enabled_filters=['ImageAntiAffinityFilter'])

        self.assert_refused(self.building())

    def test_not_the_scope(self):
        self.set(same_image_scope='all')

        self.admit(self.building())


class TestNotAsked(LateCheckTestCase):

    def setUp(self):
        super().setUp()
        self.server()
        self.server()

    def tearDown(self):
        super().tearDown()
        self.rows.read_servers.assert_not_called()

    def test_soft_policy(self):
        self.set(same_image_cap_policy='soft')

        self.admit(self.building())

    def test_switched_off(self):
        self.set(same_image_late_check=False)

        self.admit(self.building())

    def test_server_that_is_not_new(self):
        """Unshelving, evacuating or rebuilding it, nova also spawns it."""
        for state in ('shelved_offloaded', 'active', 'error', 'stopped'):
            self.admit(self.server(state))

    def test_server_that_boots_from_volume(self):
        self.admit(self.building(image=''))
        self.admit(self.building(image=None))


class TestTie(LateCheckTestCase):

    CAP = 1

    def test_two_servers_do_not_evict_each_other(self):
        one, other = self.building(), self.building()

        self.assertEqual([one], self.admitted(one, other))

    def test_who_is_asked_first_stays(self):
        one, other = self.building(), self.building()

        self.assertEqual([other], self.admitted(other, one))

    def test_server_that_was_not_asked_yet_does_not_count(self):
        self.building()
        self.building()

        self.admit(self.building())

    def test_server_that_is_asked_again_stays(self):
        one = self.building()

        self.assertEqual([one, one], self.admitted(one, one))

    def test_failed_spawn_is_forgotten(self):
        one, other = self.building(), self.building()
        self.admit(one)

        self.check.forget(one.uuid)

        self.admit(other)

    def test_server_that_nobody_knows_is_forgotten(self):
        self.check.forget(factories.new_uuid())

    def test_refused_server_does_not_count(self):
        one, other, last = (self.building() for _ in range(3))
        self.admitted(one, other)
        self.check.forget(one.uuid)

        self.admit(last)

    def test_server_counts_once_when_it_is_there(self):
        self.set(max_same_image_instances_per_host=2)
        one = self.building()
        self.admit(one)

        one.vm_state = 'active'

        self.admit(self.building())
        self.assert_refused(self.building())

    def test_server_that_was_deleted_does_not_count(self):
        one = self.building()
        self.admit(one)

        self.rows.servers.remove(one)

        self.admit(self.building())

    def test_server_that_was_deleted_while_active_does_not_count(self):
        one = self.building()
        self.admit(one)
        one.vm_state = 'active'
        self.assert_refused(self.building())

        self.rows.servers.remove(one)

        self.admit(self.building())

    def test_server_whose_build_ended_during_the_check_counts(self):
        """It is building in what this check read, and here by now."""
        self.set(max_same_image_instances_per_host=2)
        first, second, third = (self.building() for _ in range(3))
        self.admit(first)
        later = []

        def second_comes_between(context, uuid):
            self.get_spec.side_effect = self.api.get_spec
            first.vm_state = 'active'
            self.run_in_thread(lambda: later.extend(
                self.admitted(second))).join(0.5)
            return self.api.get_spec(context, uuid)

        self.get_spec.side_effect = second_comes_between
        admitted = self.admitted(third)
        for _attempt in range(20):  # it may have had to wait for the third
            time.sleep(0.01)

        self.assertEqual(1, len(admitted + later))

    def test_server_that_was_admitted_after_the_look_counts(self):
        """What this check has read does not show it yet."""
        one, other = self.building(), self.building(host='other')

        def other_comes_between(*args, **kwargs):
            found = self.rows.servers_of(*args, **kwargs)
            self.rows.read_servers.side_effect = self.rows.servers_of
            other.host = other.node = HOST
            self.admit(other)
            return found

        self.rows.read_servers.side_effect = other_comes_between

        self.assert_refused(one)

    def test_servers_of_two_nodes_know_nothing_of_each_other(self):
        first = self.building(node='node1')
        second = self.building(node='node2')

        self.assertEqual([first, second], self.admitted(first, second))

        self.assert_refused(self.building(node='node1'))
        self.assert_refused(self.building(node='node2'))

    def test_admissions_do_not_pile_up_in_memory(self):
        with mock.patch.object(late_check, 'time', autospec=True) as clock:
            clock.monotonic.return_value = 0.0
            for _ in range(5):
                self.admit(self.building(image=factories.new_uuid()))

            clock.monotonic.return_value = 24 * 3600 + 1.0
            self.admit(self.building())

        self.assertEqual(1, len(self.check._admitted))


class TestThreads(LateCheckTestCase):

    CAP = 3

    def admitted_at_once(self, servers):
        """Return which servers are admitted, asked in the same instant."""
        admitted = []

        def ask(server):
            with contextlib.suppress(late_check.SameImageCapReached):
                self.admit(server)
                admitted.append(server)

        def slowly(*args, **kwargs):
            found = self.rows.servers_of(*args, **kwargs)
            time.sleep(0.01)
            return found

        self.rows.read_servers.side_effect = slowly
        threads = [self.run_in_thread(ask, server) for server in servers]
        for thread in threads:
            thread.join(20)
        return admitted

    def test_cap_is_kept_exactly(self):
        servers = [self.building() for _ in range(20)]

        self.assertEqual(self.CAP, len(self.admitted_at_once(servers)))

    def test_servers_that_run_count(self):
        self.server()
        servers = [self.building() for _ in range(20)]

        self.assertEqual(self.CAP - 1, len(self.admitted_at_once(servers)))

    def test_images_do_not_hinder_each_other(self):
        images = [factories.new_uuid() for _ in range(5)]
        servers = [self.building(image=image) for image in images * 3]

        self.assertEqual(15, len(self.admitted_at_once(servers)))


class TestTrouble(LateCheckTestCase):

    def setUp(self):
        super().setUp()
        self.server()
        self.server()

    def test_api_database_out_of_reach_leaves_option_and_flavor(self):
        self.get_spec.side_effect = exception.DBNotAllowed(binary='nova')
        self.get_aggregates.side_effect = exception.DBNotAllowed(
            binary='nova')

        for _again in range(3):
            self.assert_refused(self.building())
        self.admit(self.building(cap=3))

        [line] = self.warnings()
        self.assertIn('API database', line)

    def test_api_database_out_of_reach_is_tried_again_after_a_minute(self):
        self.get_spec.side_effect = exception.DBNotAllowed(binary='nova')
        with mock.patch.object(late_check, 'time', autospec=True) as clock:
            for seconds, calls in ((100, 1), (130, 1), (159, 1), (161, 2)):
                clock.monotonic.return_value = float(seconds)
                self.assert_refused(self.building())

                self.assertEqual(calls, self.get_spec.call_count)

    def test_spec_of_one_server_missing_does_not_lose_the_aggregates(self):
        """It is gone as soon as the server is deleted."""
        self.api.aggregates = [
            factories.aggregate(**{factories.CAP: 5})]
        deleted = self.building()
        del self.api.specs[deleted.uuid]

        self.admit(deleted)
        self.admit(self.building())

    def test_database_error_admits(self):
        self.rows.read_servers.side_effect = RuntimeError('database is down')

        self.admit(self.building())

        [line] = self.warnings()
        self.assertIn('database is down', line)

    def test_lost_migrations_admit(self):
        self.rows.read_migrations.side_effect = RuntimeError('lost')

        self.admit(self.building())

        self.assertEqual(1, len(self.warnings()))


class TestDatabase(database.DatabaseTestCase):
    """What nova's objects find in a real database."""

    def setUp(self):
        super().setUp()
        self.set(max_same_image_instances_per_host=2)
        self.check = late_check.LateCheck()

    def admit(self, uuid):
        self.check.admit(self.admin, self.load(uuid))

    def assert_full(self):
        self.assertRaises(late_check.SameImageCapReached, self.admit,
                          self.server(HOST, 'building'))

    def test_servers_on_the_host(self):
        self.server(HOST)
        self.server('other')
        self.server(HOST, image=factories.OTHER_IMAGE)
        self.server(HOST, 'building')
        self.admit(self.server(HOST, 'building'))

        self.assert_full()

    def test_servers_that_are_off_count(self):
        self.server(HOST, 'stopped')
        self.server(HOST, 'paused')

        self.assert_full()

    def test_server_that_can_be_restored_counts(self):
        self.server(HOST, 'soft-delete')
        self.server(HOST)

        self.assert_full()

    def test_deleted_server_does_not_count(self):
        for _ in range(2):
            self.load(self.server(HOST)).destroy()

        self.admit(self.server(HOST, 'building'))

    def test_servers_of_another_node(self):
        self.server(HOST)
        self.server(HOST, node='node2')

        self.admit(self.server(HOST, 'building'))

    def test_other_spelling_of_the_image(self):
        self.server(HOST)
        self.server(HOST, image=factories.IMAGE.upper())

        self.assert_full()

    def test_servers_that_come_count(self):
        for task_state, status in (
                ('migrating', 'running'), ('resize_prep', 'pre-migrating')):
            self.migration(self.server('other', task_state=task_state),
                           status, 'other', HOST)

        self.assert_full()

    def test_servers_that_may_come_back_count(self):
        for _server in range(2):
            self.migration(self.server('other', 'resized'), 'finished', HOST,
                           'other')

        self.assert_full()

    def test_servers_whose_migration_was_left_behind_do_not_count(self):
        for status in ('running', 'accepted', 'pre-migrating'):
            self.migration(self.server('other'), status, HOST, 'other')

        self.admit(self.server(HOST, 'building'))

    def test_servers_that_went_do_not_count(self):
        for status in ('confirmed', 'completed', 'error'):
            self.migration(self.server('other', task_state='migrating'),
                           status, HOST, 'other')

        self.admit(self.server(HOST, 'building'))

    def test_share_of_the_servers_of_the_cell(self):
        self.set(max_same_image_share_per_host=0.3)
        for number in range(8):
            self.server(f'other{number % 4}')
        for _server in range(2):
            self.server(HOST)

        for _server in range(2):
            self.admit(self.server(HOST, 'building'))

        self.assert_full()

    def test_affinity_group(self):
        for name in ('LEGACY_NOTIFIER', 'NOTIFIER'):
            self.useFixture(fixtures.MockPatchObject(
                rpc, name, mock.create_autospec(
                    oslo_messaging.Notifier, instance=True)))
        group = objects.InstanceGroup(
            self.admin, project_id=factories.PROJECT, user_id='u', name='g',
            policy='affinity', uuid=factories.new_uuid())
        group.create()
        for _server in range(2):
            self.server(HOST)
        server = self.server(HOST, 'building')
        spec = factories.spec(instance_uuid=server, group=group)
        spec._context = self.admin
        spec.create()

        self.admit(server)

        self.assert_full()

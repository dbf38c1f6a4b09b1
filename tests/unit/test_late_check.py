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
import time
from unittest import mock

import fixtures
from nova import exception
from nova import objects

from cache_aware_sched import config
from cache_aware_sched import request as request_mod
from cache_aware_sched.virt import late_check
from tests.unit import base
from tests.unit import database
from tests.unit import factories

HOST = 'h'


class Database:
    """What nova's objects would read, and who asked for it.

    :ivar servers: Instance objects
    :ivar moves: Migration objects in progress
    :ivar specs: RequestSpec objects by the uuid of their server
    :ivar aggregates: of the host
    """

    def __init__(self):
        self.servers = []
        self.moves = []
        self.specs = {}
        self.aggregates = []

    def get_by_filters(self, context, filters, **_kwargs):
        assert context.is_admin
        return objects.InstanceList(objects=[
            server for server in self.servers
            if server.image_ref == filters['image_ref']
            and filters.get('host') in (None, server.host)
            and server.uuid in filters.get('uuid', (server.uuid,))])

    def get_in_progress(self, context, host, node):
        return objects.MigrationList(objects=self.moves)

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
        self.set(max_same_image_instances_per_host=self.CAP)
        self.database = Database()
        self.check = late_check.LateCheck()
        self.find = self.patch(
            objects.InstanceList, 'get_by_filters',
            self.database.get_by_filters)
        self.find_moves = self.patch(
            objects.MigrationList, 'get_in_progress_by_host_and_node',
            self.database.get_in_progress)
        self.get_spec = self.patch(
            objects.RequestSpec, 'get_by_instance_uuid',
            self.database.get_spec)
        self.get_aggregates = self.patch(
            objects.AggregateList, 'get_by_host',
            self.database.get_aggregates)

    def patch(self, target, name, function):
        return self.useFixture(fixtures.MockPatchObject(
            target, name, autospec=True, side_effect=function)).mock

    def server(self, vm_state='active', spec=None, **fields):
        """Add a server to the database."""
        server = factories.instance(host=HOST, vm_state=vm_state, **fields)
        self.database.servers.append(server)
        self.database.specs[server.uuid] = spec or factories.spec(
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
            self.server().host = 'other'

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

    def test_server_that_comes_here_counts(self):
        for _ in range(2):
            server = self.server()
            server.host = 'other'
            self.database.moves.append(
                objects.Migration(instance_uuid=server.uuid))

        self.assert_refused(self.building())

    def test_move_of_another_image_does_not_count(self):
        for _ in range(2):
            server = self.server(image=factories.OTHER_IMAGE)
            server.host = 'other'
            self.database.moves.append(
                objects.Migration(instance_uuid=server.uuid))

        self.admit(self.building())

    def test_resize_on_the_host_counts_once(self):
        server = self.server()
        self.database.moves.append(
            objects.Migration(instance_uuid=server.uuid))

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
        self.database.aggregates = [
            factories.aggregate(**{factories.CAP: 3})]

        self.assertEqual(1, len(self.admitted(
            self.building(), self.building(), self.building())))

    def test_aggregate_that_lifts_the_cap(self):
        self.database.aggregates = [
            factories.aggregate(**{factories.CAP: 0})]

        self.admit(self.building())

    def test_of_the_flavor(self):
        self.admit(self.building(cap=3))

    def test_of_the_hint(self):
        self.set(max_same_image_instances_per_host=10)
        spec = factories.spec(hints={request_mod.HINT_CAP: ['2']})

        self.assert_refused(self.building(spec=spec))

    def test_forced_host_takes_any_number(self):
        for name in ('force_hosts', 'force_nodes'):
            spec = factories.spec()
            setattr(spec, name, [HOST])

            self.admit(self.building(spec=spec))

        self.assertIn('forced', self.logged()[0])

    def test_an_aggregate_that_was_changed_counts_at_once(self):
        self.assertEqual([], self.admitted(self.building()))

        self.database.aggregates = [factories.aggregate(
            max_same_image_instances_per_host='100')]

        self.assertEqual(1, len(self.admitted(self.building())))

    def test_a_server_that_is_alone_needs_no_look_up(self):
        self.database.servers.clear()

        self.assertEqual(1, len(self.admitted(self.building())))

        self.get_aggregates.assert_not_called()


class TestNobodySetACap(LateCheckTestCase):
    """The driver alone does not bring the cap that the option defaults to."""

    def setUp(self):
        super().setUp()
        config.CONF.clear_override(
            'max_same_image_instances_per_host', group='cache_aware_sched')
        for _server in range(10):
            self.server()

    def test_the_default_is_no_cap(self):
        self.assertEqual(1, len(self.admitted(self.building())))

    def test_the_default_counts_where_the_filter_is_enabled(self):
        self.set_nova('filter_scheduler',
                      enabled_filters=['ImageAntiAffinityFilter'])

        self.assertEqual([], self.admitted(self.building()))

    def test_an_aggregate_counts(self):
        self.database.aggregates = [factories.aggregate(
            max_same_image_instances_per_host='10')]

        self.assertEqual([], self.admitted(self.building()))


class TestNotAsked(LateCheckTestCase):

    def setUp(self):
        super().setUp()
        self.server()
        self.server()

    def tearDown(self):
        super().tearDown()
        self.find.assert_not_called()

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

        self.database.servers.remove(one)

        self.admit(self.building())

    def test_server_that_was_deleted_while_active_does_not_count(self):
        one = self.building()
        self.admit(one)
        one.vm_state = 'active'
        self.assert_refused(self.building())

        self.database.servers.remove(one)

        self.admit(self.building())

    def test_server_whose_build_ended_during_the_check_counts(self):
        """It is building in what this check read, and here by now."""
        self.set(max_same_image_instances_per_host=2)
        first, second, third = (self.building() for _ in range(3))
        self.admit(first)
        later = []

        def second_comes_between(context, uuid):
            self.get_spec.side_effect = self.database.get_spec
            first.vm_state = 'active'
            self.run_in_thread(lambda: later.extend(
                self.admitted(second))).join(0.5)
            return self.database.get_spec(context, uuid)

        self.get_spec.side_effect = second_comes_between
        admitted = self.admitted(third)
        for _attempt in range(20):  # it may have had to wait for the third
            time.sleep(0.01)

        self.assertEqual(1, len(admitted + later))

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
            found = self.database.get_by_filters(*args, **kwargs)
            time.sleep(0.01)
            return found

        self.find.side_effect = slowly
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
        self.database.aggregates = [
            factories.aggregate(**{factories.CAP: 5})]
        deleted = self.building()
        del self.database.specs[deleted.uuid]

        self.admit(deleted)
        self.admit(self.building())

    def test_database_error_admits(self):
        self.find.side_effect = RuntimeError('database is down')

        self.admit(self.building())

        [line] = self.warnings()
        self.assertIn('database is down', line)

    def test_lost_migrations_admit(self):
        self.find_moves.side_effect = RuntimeError('lost')

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

    def test_servers_that_come_or_may_come_back_count(self):
        for source, destination, status in (
                ('other', HOST, 'running'), (HOST, 'other', 'finished')):
            self.migration(self.server('other'), status, source, destination)

        self.assert_full()

    def test_servers_that_went_do_not_count(self):
        for status in ('confirmed', 'completed', 'error'):
            self.migration(self.server('other'), status, HOST, 'other')

        self.admit(self.server(HOST, 'building'))

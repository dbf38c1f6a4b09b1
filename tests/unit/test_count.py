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

import gc
from unittest import mock
import weakref

from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler.same_image import query
from tests.unit import base
from tests.unit import factories

CELL = factories.CELL
PROJECT, OTHER_PROJECT = factories.PROJECT, factories.OTHER_PROJECT


def server(*hosts, uuid=None, project=PROJECT, building=False):
    """Return a server as a cell database has it."""
    return query.Server(uuid or factories.new_uuid(), project,
                        frozenset(hosts), building)


class CountTestCase(base.TestCase):

    CAP = 10

    def setUp(self):
        super().setUp()
        self.query = mock.create_autospec(query.CellQuery, instance=True)
        self.query.servers.return_value = {CELL: []}
        self.counter = count.SameImageCounter(cells=self.query)

    def answer(self, *servers):
        """Let the cell answer with these servers, and nothing else."""
        self.query.servers.return_value = {CELL: list(servers)}

    def place(self, host, spec=None):
        """Let another request place a server moments ago."""
        spec = spec or factories.spec()
        self.counter.place(
            spec, factories.request_mod.Request.from_spec(spec), host)
        return spec.instance_uuid

    def count(self, *hosts, spec=None, caps=None, again=False):
        spec = spec or factories.spec()
        return self.counter.count(
            spec, factories.request_mod.Request.from_spec(spec), hosts,
            caps or [self.CAP] * len(hosts), again=again)

    def assert_asked(self, *hosts):
        """Assert that the cells were asked once, for some hosts or all."""
        self.query.servers.assert_called_once_with(
            factories.IMAGE, mock.ANY, {CELL})
        asked = self.query.servers.call_args.args[1]
        self.assertEqual(sorted(hosts) or None, asked and sorted(asked))


class TestMemory(CountTestCase):
    """What nova's scheduler knows suffices."""

    def tearDown(self):
        super().tearDown()
        self.query.servers.assert_not_called()

    def test_servers_of_the_image_count(self):
        hosts = [factories.host('a', 3), factories.host('b'),
                 factories.host('c', 2, image=factories.OTHER_IMAGE)]

        self.assertEqual([3, 0, 0], self.count(*hosts))

    def test_servers_that_boot_from_volume_do_not_count(self):
        host = factories.host(instances=[factories.instance('')])

        self.assertEqual([0], self.count(host))

    def test_no_image_counts_nothing(self):
        host = factories.host(instances=[factories.instance('')])

        self.assertEqual(
            [0], self.count(host, spec=factories.spec(is_bfv=True)))

    def test_no_host_has_a_cap(self):
        hosts = [factories.host('a', 3), factories.host('b', 1)]

        self.assertEqual([0, 0], self.count(*hosts, caps=[0, 0]))

    def test_one_host_has_a_cap(self):
        hosts = [factories.host('a', 3), factories.host('b', 1)]

        self.assertEqual([3, 1], self.count(*hosts, caps=[0, 5]))

    def test_server_that_is_moved_does_not_count(self):
        # As for a resize to the same host.
        host = factories.host(servers=3)
        moved = next(iter(host.instances))

        self.assertEqual(
            [2], self.count(host, spec=factories.spec(instance_uuid=moved)))

    def test_other_projects_count(self):
        host = factories.host(instances=[
            factories.instance(project=PROJECT),
            factories.instance(project=OTHER_PROJECT)])

        self.assertEqual([2], self.count(host))

    def test_other_projects_do_not_count_in_the_scope_of_a_project(self):
        self.set(same_image_scope='project')
        host = factories.host(instances=[
            factories.instance(project=PROJECT),
            factories.instance(project=OTHER_PROJECT)])

        self.assertEqual([1], self.count(host))

    def test_no_query_where_a_sure_host_passes(self):
        hosts = [factories.host('a', 10), factories.host('b', 9)]

        self.assertEqual([10, 9], self.count(*hosts))

    def test_live_migration_leaves_nothing_behind(self):
        # Given a server that the old host shows until its next sync.
        uuid = factories.new_uuid()
        old = factories.instance(host='old', instance_uuid=uuid)
        new = factories.instance(host='new', minutes=1, instance_uuid=uuid)
        hosts = [factories.host('old', instances=[old]),
                 factories.host('new', instances=[new])]

        for _request in range(3):
            self.assertEqual([0, 1], self.count(*hosts))

    def test_unconfirmed_resize_counts_on_both(self):
        uuid = factories.new_uuid()
        old = factories.instance(host='old', instance_uuid=uuid)
        new = factories.instance(host='new', minutes=1, instance_uuid=uuid,
                                 vm_state='resized')
        hosts = [factories.host('old', instances=[old]),
                 factories.host('new', instances=[new])]

        for _request in range(3):
            self.assertEqual([1, 1], self.count(*hosts))

    def test_weigher_gets_the_numbers_of_the_filter(self):
        spec = factories.spec()
        hosts = [factories.host('a', 3), factories.host('b', 1)]
        self.count(*hosts, spec=spec)
        hosts[0].instances = {}

        self.assertEqual(
            [1, 3], self.count(*hosts[::-1], spec=spec, again=True))

    def test_weigher_without_a_filter_counts_itself(self):
        host = factories.host(servers=3)

        self.assertEqual([3], self.count(host, again=True))

    def test_weigher_counts_a_host_that_the_filter_did_not_see(self):
        spec = factories.spec()
        hosts = [factories.host('a', 3), factories.host('b', 1)]
        self.count(hosts[0], spec=spec)

        self.assertEqual([3, 1], self.count(*hosts, spec=spec, again=True))


class TestOneRequest(CountTestCase):
    """The servers that a request has placed count for its next ones."""

    def place_next(self, spec, host):
        """Consume a host as nova does, and go on to the next server."""
        host.consume_from_request(spec)
        if spec.instance_group is not None:
            host.instances[spec.instance_uuid] = factories.stub(
                spec.instance_uuid)
        spec.instance_uuid = factories.new_uuid()

    def test_multi_create(self):
        self.assert_counts_what_it_placed(factories.spec(number=3))

    def test_multi_create_with_a_server_group(self):
        self.assert_counts_what_it_placed(
            factories.spec(number=3, group=factories.server_group()))

    def assert_counts_what_it_placed(self, spec):
        hosts = [factories.host('a', 2), factories.host('b')]

        seen = []
        for number in range(3):
            seen.append(self.count(*hosts, spec=spec))
            self.place_next(spec, hosts[number % 2])

        self.assertEqual([[2, 0], [3, 0], [3, 1]], seen)
        self.query.servers.assert_not_called()

    def test_looking_for_alternates_asks_nobody(self):
        """nova filters once more after the last server was placed."""
        spec = factories.spec(number=2)
        hosts = [factories.host('a', 2), factories.host('b')]
        self.count(*hosts, spec=spec)
        self.place_next(spec, hosts[0])
        self.count(*hosts, spec=spec)
        self.place('a', spec)
        hosts[0].consume_from_request(spec)

        self.assertEqual([4, 0], self.count(*hosts, spec=spec))
        self.query.servers.assert_not_called()

    def test_multi_create_with_guesses_recorded(self):
        spec = factories.spec(number=4)
        host = factories.host('a', 2)

        seen = []
        for _number in range(4):
            seen += self.count(host, spec=spec)
            self.place('a', spec)
            self.place_next(spec, host)

        self.assertEqual([2, 3, 4, 5], seen)

    def test_multi_create_after_a_query(self):
        self.answer(*[server('a') for _ in range(4)])
        spec = factories.spec(number=3)
        host = factories.host('a', building=4)

        seen = []
        for _number in range(3):
            seen += self.count(host, spec=spec)
            self.place_next(spec, host)

        self.assertEqual([4, 5, 6], seen)
        self.assert_asked()

    def test_multi_create_in_the_scope_of_a_project(self):
        self.set(same_image_scope='project')
        spec = factories.spec(number=3)
        host = factories.host('a', 2, project=OTHER_PROJECT)

        seen = []
        for _number in range(3):
            seen += self.count(host, spec=spec)
            self.place_next(spec, host)

        self.assertEqual([0, 1, 2], seen)

    def test_another_request_starts_anew(self):
        host = factories.host('a', 1)
        spec = factories.spec(number=2)
        self.count(host, spec=spec)
        self.place_next(spec, host)
        self.count(host, spec=spec)

        fresh = factories.host('a', 1)

        self.assertEqual([1], self.count(fresh))

    def test_request_is_forgotten_with_its_spec(self):
        spec = factories.spec()
        self.count(factories.host(), spec=spec)

        del spec
        gc.collect()

        self.assertEqual(0, len(self.counter._progress))

    def test_hosts_are_not_kept_longer_than_nova_keeps_them(self):
        """A spec is part of a cycle: it lives until the garbage collection.

        The states of a thousand hosts must not live as long.
        """
        gc.disable()
        self.addCleanup(gc.enable)
        host = factories.host(servers=1)
        kept = weakref.ref(host)

        self.count(host)
        del host

        self.assertIsNone(kept())

    def test_spec_that_cannot_be_remembered(self):
        request = factories.request()
        host = factories.host(servers=2)

        counts = self.counter.count({}, request, [host], [10])

        self.assertEqual([2], counts)


class TestRecentPlacements(CountTestCase):

    def test_count(self):
        self.place('a')
        self.place('a')
        hosts = [factories.host('a', 1), factories.host('b', 1)]

        self.assertEqual([3, 1], self.count(*hosts))

    def test_of_another_image_do_not_count(self):
        self.place('a', factories.spec(factories.OTHER_IMAGE))

        self.assertEqual([0], self.count(factories.host('a')))

    def test_of_another_project_do_not_count_in_the_scope_of_a_project(self):
        self.set(same_image_scope='project')
        self.place('a', factories.spec(project=OTHER_PROJECT))
        self.place('a')

        self.assertEqual([1], self.count(factories.host('a')))

    def test_count_once_when_the_host_shows_them(self):
        uuid = self.place('a')
        shown = factories.instance(instance_uuid=uuid)

        counts = self.count(factories.host('a', instances=[shown]))

        self.assertEqual([1], counts)
        self.assertEqual({}, self.counter.placements.by_host())

    def test_count_when_the_host_shows_a_stub(self):
        # As nova's scheduler leaves behind for server groups.
        uuid = self.place('a')
        host = factories.host('a', instances=[factories.stub(uuid)])

        self.assertEqual([1], self.count(host))
        self.query.servers.assert_not_called()

    def test_do_not_count_when_a_stub_went(self):
        """The server was there, and was deleted."""
        uuid = self.place('a')
        self.count(factories.host('a', instances=[factories.stub(uuid)]))

        self.assertEqual([0], self.count(factories.host('a')))

    def test_claim_that_is_not_shown_is_the_recent_placement(self):
        self.place('a')
        host = factories.host('a', 1, building=1)

        self.assertEqual([2], self.count(host))
        self.query.servers.assert_not_called()

    def test_own_placement_does_not_count(self):
        spec = factories.spec()
        self.place('a', spec)

        self.assertEqual([0], self.count(factories.host('a'), spec=spec))

    def test_first_word_of_a_request_counts(self):
        spec = factories.spec()
        self.place('a', spec)
        self.place('b', spec)
        hosts = factories.host('a'), factories.host('b')

        self.assertEqual([1, 0], self.count(*hosts))

    def test_not_remembered_if_not_wanted(self):
        self.set(recent_placement_seconds=0)
        self.place('a')

        self.assertEqual([0], self.count(factories.host('a')))

    def test_server_without_image_is_not_remembered(self):
        self.place('a', factories.spec(is_bfv=True))

        self.assertEqual({}, self.counter.placements.by_host())

    def test_expire(self):
        now = [0.0]
        self.counter.placements = count.placements.RecentPlacements(
            lambda: now[0])
        self.place('a')

        now[0] = 9.9
        before = self.count(factories.host('a'))
        now[0] = 10.1
        after = self.count(factories.host('a'))

        self.assertEqual(([1], [0]), (before, after))


class TestQuery(CountTestCase):

    def test_stub_makes_a_host_unsure(self):
        self.answer(server('a'), server('a'))
        hosts = [factories.host('a', 1, instances=[factories.stub()]),
                 factories.host('b', 3)]

        self.assertEqual([2, 3], self.count(*hosts))
        self.assert_asked('a')

    def test_claim_that_is_not_shown_makes_a_host_unsure(self):
        self.answer(server('a'), server('a', building=True))
        hosts = [factories.host('a', 1, building=1), factories.host('b', 3)]

        self.assertEqual([2, 3], self.count(*hosts))
        self.assert_asked('a')

    def test_host_that_runs_nothing_of_its_own_is_sure(self):
        hosts = factories.host('a'), factories.host('b')

        self.assertEqual([0, 0], self.count(*hosts))
        self.query.servers.assert_not_called()

    def test_one_query_a_request(self):
        self.answer(server('a'))
        spec = factories.spec(number=5)
        host = factories.host('a', building=1)

        for _number in range(5):
            self.count(host, spec=spec)
            self.count(host, spec=spec, again=True)
            host.consume_from_request(spec)
            spec.instance_uuid = factories.new_uuid()

        self.assert_asked()

    def test_nothing_is_asked_again_for_the_weigher(self):
        self.answer(*[server('a') for _ in range(10)])
        spec = factories.spec()
        host = factories.host('a', 10)

        self.count(host, spec=spec)
        self.assertEqual([10], self.count(host, spec=spec, again=True))
        self.assert_asked()

    def test_each_request_asks(self):
        host = factories.host('a', building=1)

        self.count(host)
        self.count(host)

        self.assertEqual(2, self.query.servers.call_count)

    def test_nothing_is_refused_on_hearsay(self):
        # Given a host that seems full, and has lost two servers since.
        self.answer(*[server('a') for _ in range(8)])

        self.assertEqual([8], self.count(factories.host('a', 10)))
        self.assert_asked()

    def test_all_hosts_are_asked_about_if_none_seems_to_pass(self):
        self.answer(server('a'), server('b'), server('c'))
        hosts = [factories.host('a', 10), factories.host('b', 12),
                 factories.host('c', building=1)]

        self.assertEqual([1, 1, 1], self.count(*hosts))
        self.assert_asked()

    def test_multi_create_is_not_refused_on_hearsay(self):
        """Nor when an unsure host was asked about for an earlier server."""
        # Given b, unsure and full, and a with one server that is gone.
        self.answer(*[server('b') for _ in range(2)])
        spec = factories.spec(number=2)
        hosts = [factories.host('a', 1), factories.host('b', building=2)]
        caps = [2, 2]
        self.assertEqual([0, 2], self.count(*hosts, spec=spec, caps=caps))

        # When the first is placed on a, which now would seem full.
        hosts[0].consume_from_request(spec)
        spec.instance_uuid = factories.new_uuid()

        # Then only what this request placed there counts.
        self.assertEqual([1, 2], self.count(*hosts, spec=spec, caps=caps))

    def test_wrong_guess_is_corrected(self):
        """A server that was thought to go to a is on b."""
        uuid = self.place('a')
        self.answer(server('b', uuid=uuid, building=True))
        hosts = [factories.host('a'), factories.host('b', building=1)]

        self.assertEqual([0, 1], self.count(*hosts))
        self.assertEqual({}, self.counter.placements.by_host())

    def test_guess_of_a_failed_build_is_corrected(self):
        uuid = self.place('a')
        self.answer(server(uuid=uuid))

        self.assertEqual(
            [0], self.count(factories.host('a'), caps=[1]))

    def test_guess_of_a_server_before_its_claim_stays(self):
        uuid = self.place('a')
        self.answer(server(uuid=uuid, building=True))

        self.assertEqual(
            [1], self.count(factories.host('a'), caps=[1]))

    def test_guess_of_a_deleted_server_is_corrected(self):
        now = [0.0]
        self.counter.placements = count.placements.RecentPlacements(
            lambda: now[0])
        self.place('a')
        now[0] = count.placements.WRITTEN_AFTER + 0.1

        self.assertEqual([0], self.count(factories.host('a'), caps=[1]))

    def test_guess_that_is_not_written_yet_stays(self):
        self.place('a')

        self.assertEqual([1], self.count(factories.host('a'), caps=[1]))

    def test_right_guess_counts_once(self):
        uuid = self.place('a')
        self.answer(server('a', uuid=uuid, building=True))

        self.assertEqual(
            [1], self.count(factories.host('a', building=1), caps=[1]))

    def test_server_on_its_way_counts_on_both_hosts(self):
        self.answer(server('a', 'b'))
        hosts = [factories.host('a', 1), factories.host('b', building=1)]

        self.assertEqual([1, 1], self.count(*hosts, caps=[1, 1]))

    def test_server_that_is_moved_does_not_count(self):
        spec = factories.spec()
        self.answer(server('a', uuid=spec.instance_uuid), server('a'))

        self.assertEqual(
            [1], self.count(factories.host('a', building=2), spec=spec))

    def test_other_projects_do_not_count_in_the_scope_of_a_project(self):
        self.set(same_image_scope='project')
        self.answer(server('a'), server('a', project=OTHER_PROJECT))

        self.assertEqual([1], self.count(factories.host('a', building=2)))

    def test_cell_that_does_not_answer(self):
        self.query.servers.return_value = {}

        self.assertEqual([2], self.count(factories.host('a', 2, building=1)))
        self.query.servers.assert_called_once()

    def test_each_host_is_looked_up_in_its_own_cell(self):
        self.query.servers.return_value = {
            CELL: [server('a')],
            factories.OTHER_CELL: [server('b'), server('b')]}
        hosts = [factories.host('a', building=1),
                 factories.host('b', building=1, cell=factories.OTHER_CELL)]

        self.assertEqual([1, 2], self.count(*hosts))
        self.assertEqual({CELL, factories.OTHER_CELL},
                         self.query.servers.call_args.args[2])

    def test_only_the_cells_of_unsure_hosts_are_asked(self):
        hosts = [factories.host('a', building=1),
                 factories.host('b', cell=factories.OTHER_CELL)]

        self.count(*hosts)

        self.assert_asked('a')


class TestShared(base.TestCase):

    def test_filter_and_weigher_share_one_counter(self):
        self.assertIs(count.shared(), count.shared())


class TestGiven(base.TestCase):

    def test_given_one_is_shared(self):
        counter = count.SameImageCounter()

        count.share(counter)
        self.assertIs(counter, count.shared())

        count.share(None)
        self.assertIsNot(counter, count.shared())

    def test_clock(self):
        now = [0.0]
        counter = count.SameImageCounter(lambda: now[0])
        counter.placements.record('uuid', 'h', factories.IMAGE, PROJECT, 10)
        self.assertEqual(['h'], list(counter.placements.by_host()))

        now[0] = 10.0

        self.assertEqual([], list(counter.placements.by_host()))

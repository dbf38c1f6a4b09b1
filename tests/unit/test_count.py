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
import threading
from unittest import mock

import fixtures

from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.same_image import cells
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler.same_image import host_servers
from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image import memory
from cache_aware_sched.scheduler.same_image.servers import Server
from cache_aware_sched.scheduler.same_image.servers import Spot
from cache_aware_sched.scheduler import settings
from tests.unit import base
from tests.unit import factories

CELL, OTHER_CELL = factories.CELL, factories.OTHER_CELL
IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
PROJECT, OTHER_PROJECT = factories.PROJECT, factories.OTHER_PROJECT
server = factories.server


class CountTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.query = mock.create_autospec(cells.CellQuery, instance=True)
        self.query.spots.return_value = set()
        self.answer()
        self.counter = count.SameImageCounter(lambda: self.now, self.query)
        self.cap(10)
        # Requests that have not ended.
        self.specs = []

    # Given.

    def cap(self, number):
        self.set(max_same_image_instances_per_host=number)

    def answer(self, *servers):
        """Let the cell answer with these servers, and nothing else."""
        self.query.servers.return_value = {CELL: list(servers)}

    def guess(self, host='a', spec=None, node=None):
        """Let another request suppose that its server goes to a host."""
        spec = spec or factories.spec()
        progress, request, found = self.look(
            spec, factories.host(host, node=node), options=False)
        self.counter.place(progress, request, found)
        self.specs.append(spec)
        return spec.instance_uuid

    # When.

    def look(self, spec, *hosts, options=True):
        """Ask as filters and weighers do."""
        request = request_mod.Request.from_spec(spec)
        progress = self.counter.progress(spec, request, hosts)
        return progress, request, self.counter.gather(
            progress, request, hosts, settings.HostSettings(request, options))

    def candidates(self, *hosts, spec=None):
        return self.look(spec or factories.spec(), *hosts)[2]

    def count(self, *hosts, spec=None):
        return [candidate.count
                for candidate in self.candidates(*hosts, spec=spec)]

    def place_next(self, spec, host):
        """Consume a host as nova does, and go on to the next server."""
        factories.manager.SchedulerManager._consume_selected_host(
            host, spec, instance_uuid=spec.instance_uuid)
        spec.instance_uuid = factories.new_uuid()

    # Then.

    def assert_asked(self, times=1):
        self.assertEqual(times, self.query.servers.call_count)

    def asked_uuids(self):
        return set(self.query.servers.call_args.args[1])


class TestMemory(CountTestCase):
    """What nova's scheduler knows suffices."""

    def tearDown(self):
        super().tearDown()
        self.assert_asked(0)

    def test_servers_of_the_image_count(self):
        hosts = [factories.host('a', 3), factories.host('b'),
                 factories.host('c', 2, image=OTHER_IMAGE)]

        self.assertEqual([3, 0, 0], self.count(*hosts))

    def test_other_spelling_of_the_image(self):
        hosts = [factories.host('a', 3, image=IMAGE.upper()),
                 factories.host('b', 2)]

        self.assertEqual([3, 2], self.count(*hosts))
        self.assertEqual([3, 2], self.count(
            *hosts, spec=factories.spec(IMAGE.upper())))

    def test_servers_that_boot_from_volume_do_not_count(self):
        host = factories.host(instances=[factories.instance('')])

        self.assertEqual([0], self.count(host))

    def test_nothing_is_counted_where_no_host_has_a_cap(self):
        self.cap(0)
        hosts = [factories.host('a', 3), factories.host('b', 1)]

        self.assertEqual([0, 0], self.count(*hosts))

    def test_all_are_counted_where_one_host_has_a_cap(self):
        self.cap(0)
        hosts = [factories.host('a', 3),
                 factories.host('b', 1, aggregates=[
                     factories.aggregate(**{factories.CAP: 5})])]

        found = self.candidates(*hosts)

        self.assertEqual([(3, 0), (1, 5)], [
            (candidate.count, candidate.limit) for candidate in found])

    def test_server_that_is_moved_does_not_count(self):
        # As for a resize to the same host.
        host = factories.host(servers=3)
        moved = next(iter(host.instances))

        self.assertEqual([2], self.count(
            host, spec=factories.move(instance_uuid=moved)))

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

    def test_host_that_is_not_sure_but_has_room_for_all(self):
        hosts = [factories.host('a', 3, building=6), factories.host('b')]

        found = self.candidates(*hosts)

        self.assertEqual([(3, 9), (0, 0)], [
            (candidate.count, candidate.most) for candidate in found])

    def test_unconfirmed_resize_counts_on_both(self):
        uuid = factories.new_uuid()
        old = factories.instance(host='old', instance_uuid=uuid)
        new = factories.instance(host='new', instance_uuid=uuid,
                                 vm_state='resized')
        hosts = [factories.host('old', instances=[old]),
                 factories.host('new', instances=[new])]

        for _request in range(3):
            self.assertEqual([1, 1], self.count(*hosts))

    def test_host_that_no_request_has_seen_of_late_is_forgotten(self):
        self.count(factories.host('a', 1), factories.host('b', 1))
        self.now += memory.FORGOTTEN_AFTER + 1

        self.count(factories.host('a', 1))

        self.assertEqual(['a'], self.counter.memory.hosts())


class TestTake(CountTestCase):
    """The weigher gets what the filter has gathered."""

    def setUp(self):
        super().setUp()
        self.spec = factories.spec(number=2)
        self.hosts = [factories.host('a', 3), factories.host('b', 1)]

    def keep(self, *hosts):
        """Gather and keep, as a filter does that lets all hosts pass."""
        progress, _request, found = self.look(
            self.spec, *hosts or self.hosts)
        self.counter.keep((progress, found))
        return found

    def take(self, *hosts, spec=None):
        spec = spec or self.spec
        return self.counter.take(
            spec, spec.instance_uuid, hosts or self.hosts)

    def test_what_the_filter_has_gathered(self):
        found = self.keep()

        progress, again = self.take()

        self.assertEqual(self.spec.instance_uuid, progress.request.instance)
        self.assertEqual(found, again)

    def test_in_the_order_of_the_hosts(self):
        found = self.keep()

        _progress, again = self.take(*self.hosts[::-1])

        self.assertEqual(found[::-1], again)

    def test_fewer_hosts_than_the_filter_saw(self):
        found = self.keep()

        _progress, again = self.take(self.hosts[1])

        self.assertEqual(found[1:], again)

    def test_once_for_each_time_it_was_kept(self):
        self.keep()
        self.take()
        self.assertIsNone(self.take())

        found = self.keep()

        self.assertEqual(found, self.take()[1])

    def test_without_a_filter(self):
        self.assertIsNone(self.take())

    def test_nothing_was_kept(self):
        self.look(self.spec, *self.hosts)

        self.assertIsNone(self.take())

    def test_host_that_the_filter_did_not_see(self):
        self.keep(self.hosts[0])

        self.assertIsNone(self.take())

    def test_what_was_gathered_for_the_server_before(self):
        self.keep()
        self.place_next(self.spec, self.hosts[0])

        self.assertIsNone(self.take())

    def test_what_was_gathered_for_another_request(self):
        """Though it is for the same server, as of one that is moved again."""
        other = factories.spec(instance_uuid=self.spec.instance_uuid)
        self.look(other, *self.hosts)
        self.keep()

        self.assertIsNone(self.take(spec=other))

    def test_what_another_request_has_kept_since(self):
        """A thread filters a request and weighs it before the next."""
        self.keep()
        other = factories.spec()
        progress, _request, found = self.look(other, *self.hosts)
        self.counter.keep((progress, found))

        self.assertIsNone(self.take())

    def test_what_another_thread_has_kept(self):
        found = self.keep()
        seen = []

        self.in_a_thread(lambda: seen.append(self.take()))

        self.assertEqual([None], seen)
        self.assertEqual(found, self.take()[1])

    def test_other_thread_keeps_for_itself(self):
        found = self.keep()
        other = factories.spec()

        def keep():
            progress, _request, gathered = self.look(other, *self.hosts)
            self.counter.keep((progress, gathered))

        self.in_a_thread(keep)

        self.assertEqual(found, self.take()[1])

    def in_a_thread(self, do):
        thread = threading.Thread(target=do)
        thread.start()
        thread.join()


class TestReports(CountTestCase):
    """A host says how many servers of the image it runs or expects."""

    def test_report_that_says_more_than_memory(self):
        host = factories.host('a', 1, building=2,
                              text=factories.using(3, 3))

        self.assertEqual([3], self.count(host))
        self.assert_asked(0)

    def test_report_that_says_less_than_memory(self):
        host = factories.host('a', 3, text=factories.using(1, 1))

        self.assertEqual([3], self.count(host))

    def test_report_is_of_all_projects(self):
        self.set(same_image_scope='project')
        host = factories.host('a', 1, text=factories.using(3, 3))

        self.assertEqual([1], self.count(host))

    def test_report_of_an_old_release_says_nothing(self):
        # Its users are those of the file, and not who is on the way.
        host = factories.host('a', 1, text=factories.using(3))

        self.assertEqual([1], self.count(host))

    def test_report_that_cannot_be_read_says_nothing(self):
        host = factories.host('a', 1, text='v=9;x|')

        self.assertEqual([1], self.count(host))

    def test_server_that_is_moved_does_not_count(self):
        host = factories.host('a', 1, building=2,
                              text=factories.using(3, 3))
        moved = next(iter(host.instances))

        self.assertEqual([2], self.count(
            host, spec=factories.move(instance_uuid=moved)))

    def test_fresh_report_without_the_image_makes_a_host_sure(self):
        self.cap(1)
        host = factories.host('a', instances=[factories.stub()], building=1,
                              text=factories.using(0, 2))

        [found] = self.candidates(host)

        self.assertEqual((0, 0), (found.count, found.most))
        self.assert_asked(0)

    def test_report_that_does_not_list_the_image_makes_a_host_sure(self):
        self.cap(1)
        host = factories.host('a', instances=[factories.stub()],
                              text=factories.using(1, 1, OTHER_IMAGE))

        self.assertEqual([0], self.count(host))
        self.assert_asked(0)

    def test_report_of_an_old_release_leaves_stubs_unsure(self):
        self.cap(1)
        host = factories.host('a', instances=[factories.stub()],
                              text=factories.using(0))

        self.count(host)

        self.assert_asked()

    def test_report_that_is_late_by_some_servers(self):
        stubs = [factories.stub() for _ in range(5)]
        host = factories.host('a', instances=stubs,
                              text=factories.using(1, 3))

        [found] = self.candidates(host)

        self.assertEqual((1, 3), (found.count, found.most))

    def test_report_that_is_late_by_a_server_leaves_a_host_unsure(self):
        self.cap(1)
        host = factories.host(
            'a', instances=[factories.stub(), factories.stub()],
            text=factories.using(0, 1))

        self.count(host)

        self.assert_asked()

    def test_placement_counts_with_what_the_host_reported_before(self):
        self.place_on_a_host_that_reports(2)

        later = factories.host('a', building=2, text=factories.using(2, 2))

        self.assertEqual([3], self.count(later))

    def test_placement_that_is_reported_counts_once(self):
        self.place_on_a_host_that_reports(2)

        later = factories.host('a', building=3, text=factories.using(3, 3))

        self.assertEqual([3], self.count(later))

    def place_on_a_host_that_reports(self, users):
        spec = factories.spec()
        self.specs.append(spec)
        progress, request, found = self.look(spec, factories.host(
            'a', building=users, text=factories.using(users, users)))
        self.counter.place(progress, request, found)


class TestFirstReads(CountTestCase):
    """The first request after a start does not read a whole cloud."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch(
            f'{memory.__name__}.FIRST_READS', 2))

    def read(self):
        """Return how many hosts were read."""
        return sum(known.source is not None for known
                   in self.counter.memory._hosts.values())

    def hosts(self, text):
        return factories.hosts(5, servers=1, text=text)

    def test_some_hosts_are_read_where_reports_tell_as_much(self):
        hosts = self.hosts(factories.using(1, 1))

        self.assertEqual([1] * 5, self.count(*hosts))
        self.assertEqual(2, self.read())

    def test_the_next_requests_read_the_others(self):
        hosts = self.hosts(factories.using(1, 1))
        for expected in (2, 4, 5, 5):
            self.assertEqual([1] * 5, self.count(*hosts))

            self.assertEqual(expected, self.read())

    def test_hosts_that_do_not_report_are_read_likewise(self):
        for text in (None, factories.using(1), factories.truncated()):
            self.counter = count.SameImageCounter(
                lambda: self.now, self.query)
            hosts = self.hosts(text)

            self.assertEqual([1] * 5, self.count(*hosts))
            self.assertEqual(2, self.read())

    def test_hosts_whose_reports_are_late_are_read_likewise(self):
        hosts = self.hosts(factories.using(0, 0))

        self.assertEqual([1] * 5, self.count(*hosts))
        self.assertEqual(2, self.read())

    def test_report_that_is_late_is_believed_until_the_host_is_read(self):
        """As after a rebuild: the number is right, and the images late."""
        hosts = self.hosts(factories.using(0, 1))

        self.assertEqual([1, 1, 0, 0, 0], self.count(*hosts))
        self.count(*hosts)
        self.assertEqual([1] * 5, self.count(*hosts))

    def test_hosts_that_report_more_than_they_show(self):
        hosts = self.hosts(factories.using(3, 3))

        self.assertEqual([3] * 5, self.count(*hosts))
        self.assertEqual(2, self.read())

    def test_reports_tell_of_hosts_that_show_stubs(self):
        hosts = [factories.host(name, instances=[factories.stub()],
                                text=factories.using(1, 1))
                 for name in 'abcde']

        self.assertEqual([1] * 5, self.count(*hosts))
        self.assertEqual(2, self.read())

    def test_reports_do_not_tell_of_projects(self):
        self.set(same_image_scope='project')
        hosts = self.hosts(factories.using(1, 1))

        self.count(*hosts)

        self.assertEqual(5, self.read())

    def test_placement_counts_on_a_host_that_was_not_read(self):
        hosts = self.hosts(factories.using(1, 1))
        self.count(*hosts[:2])
        self.useFixture(fixtures.MonkeyPatch(
            f'{memory.__name__}.FIRST_READS', 1))
        spec = factories.spec()
        self.specs.append(spec)
        progress, request, found = self.look(spec, *hosts[2:])
        self.counter.place(progress, request, found[::-1])

        self.assertEqual([1, 2], self.count(*hosts[3:]))
        self.assertEqual(4, self.read())


class TestKept(CountTestCase):
    """What was counted is kept, and not longer than it is right."""

    def test_host_that_was_forgotten_is_remembered_anew(self):
        one, other = factories.host('a', servers=1), factories.host('b')
        self.count(one, other)
        for _minute in range(11):
            self.now += memory.SWEEP_EVERY
            self.count(other)
        self.assertEqual(['b'], self.counter.memory.hosts())

        self.assertEqual([1, 0], self.count(one, other))

        self.assertEqual({'a', 'b'}, set(self.counter.memory.hosts()))

    def test_thread_that_reads_a_host_while_another_counts(self):
        host = factories.host('a', servers=1)
        self.count(host)
        new = factories.instance(host='a')
        host.instances[new.uuid] = new
        seen = []
        add = host_servers.HostServers._add

        def add_and_look(servers, fields, facts):
            seen.append(servers.looks_same(self.now))
            add(servers, fields, facts)

        with mock.patch.object(
                host_servers.HostServers, '_add', add_and_look):
            self.count(host)

        self.assertEqual([False], seen)


class TestOneRequest(CountTestCase):
    """The servers that a request has placed count for its next ones."""

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
        self.assert_asked(0)

    def test_looking_for_alternates_asks_nobody(self):
        """nova filters once more after the last server was placed."""
        spec = factories.spec(number=2)
        hosts = [factories.host('a', 2), factories.host('b')]
        self.count(*hosts, spec=spec)
        self.place_next(spec, hosts[0])
        self.count(*hosts, spec=spec)
        hosts[0].consume_from_request(spec)

        progress, _request, found = self.look(spec, *hosts)

        self.assertTrue(progress.alternates)
        self.assertEqual([4, 0], [candidate.count for candidate in found])
        self.assert_asked(0)

    def test_multi_create_with_guesses_recorded(self):
        spec = factories.spec(number=4)
        host = factories.host('a', 2)

        seen = []
        for _number in range(4):
            progress, request, found = self.look(spec, host)
            seen.append(found[0].count)
            self.counter.place(progress, request, found)
            self.place_next(spec, host)

        self.assertEqual([2, 3, 4, 5], seen)

    def test_multi_create_after_a_query(self):
        self.cap(5)
        self.answer(*[server('a') for _ in range(4)])
        spec = factories.spec(number=3)
        hosts = [factories.host('a', building=5), factories.host('b')]

        seen = []
        for _number in range(3):
            seen.append(self.count(*hosts, spec=spec))
            self.place_next(spec, hosts[0])

        self.assertEqual([[4, 0], [5, 0], [6, 0]], seen)
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

    def test_what_is_not_sure_stays_so_while_servers_are_placed(self):
        self.assert_asks_for_the_second(factories.spec(number=2))

    def test_what_is_not_sure_stays_so_with_a_server_group(self):
        """nova shows a stub there for each that it has placed."""
        self.assert_asks_for_the_second(
            factories.spec(number=2, group=factories.server_group()))

    def assert_asks_for_the_second(self, spec):
        # Given a host that has claimed a server, nobody knows of what image.
        self.cap(2)
        self.answer(server('a', building=True))
        host = factories.host('a', building=1)
        self.count(host, spec=spec)
        self.assert_asked(0)

        self.place_next(spec, host)

        self.assertEqual([2], self.count(host, spec=spec))
        self.assert_asked()

    def test_another_request_starts_anew(self):
        host = factories.host('a', 1)
        spec = factories.spec(number=2)
        self.count(host, spec=spec)
        spec.instance_uuid = factories.new_uuid()
        host.num_instances += 1
        self.assertEqual([2], self.count(host, spec=spec))

        fresh = factories.host('a', 1)

        self.assertEqual([1], self.count(fresh))

    def test_request_is_forgotten_with_its_spec(self):
        spec = factories.spec()
        self.count(factories.host(), spec=spec)

        del spec
        gc.collect()

        self.assertEqual(0, len(self.counter._requests))

    def test_spec_that_cannot_be_remembered(self):
        request = factories.request()
        hosts = [factories.host(servers=2)]

        progress = self.counter.progress({}, request, hosts)
        [found] = self.counter.gather(
            progress, request, hosts, settings.HostSettings(request, True))

        self.assertEqual(2, found.count)


class TestGuesses(CountTestCase):
    """Where servers of other requests go, before nova has chosen."""

    def test_count(self):
        self.guess('a')
        self.guess('a')
        hosts = [factories.host('a', 1), factories.host('b', 1)]

        self.assertEqual([3, 1], self.count(*hosts))

    def test_of_another_image_do_not_count(self):
        self.guess('a', factories.spec(OTHER_IMAGE))

        self.assertEqual([0], self.count(factories.host('a')))

    def test_of_another_spelling_of_the_image_count(self):
        self.guess('a', factories.spec(IMAGE.upper()))

        self.assertEqual([1], self.count(factories.host('a')))

    def test_of_another_project_do_not_count_in_the_scope_of_a_project(self):
        self.set(same_image_scope='project')
        self.guess('a', factories.spec(project=OTHER_PROJECT))
        self.guess('a')

        self.assertEqual([1], self.count(factories.host('a')))

    def test_count_once_when_the_host_shows_them(self):
        uuid = self.guess('a')
        shown = factories.instance(host='a', instance_uuid=uuid)

        counts = self.count(factories.host('a', instances=[shown]))

        self.assertEqual([1], counts)
        self.assertEqual(0, len(self.counter.ledger))

    def test_count_when_the_host_shows_a_stub(self):
        # As nova's scheduler leaves behind for server groups.
        self.cap(2)
        uuid = self.guess('a')
        host = factories.host('a', instances=[factories.stub(uuid)])

        self.assertEqual([1], self.count(host))
        self.assert_asked(0)

    def test_do_not_count_when_a_stub_went(self):
        """The server was there, and was deleted."""
        uuid = self.guess('a')
        self.count(factories.host('a', instances=[factories.stub(uuid)]))

        self.assertEqual([0], self.count(factories.host('a')))

    def test_claim_that_is_not_shown_is_the_guess(self):
        self.cap(3)
        self.guess('a')
        host = factories.host('a', 1, building=1)

        self.assertEqual([2], self.count(host))
        self.assert_asked(0)

    def test_own_guess_does_not_count(self):
        spec = factories.spec()
        self.guess('a', spec)

        self.assertEqual([0], self.count(factories.host('a'), spec=spec))

    def test_first_guess_of_a_request_counts(self):
        spec = factories.spec()
        hosts = [factories.host('a'), factories.host('b')]
        progress, request, found = self.look(spec, *hosts)

        self.assertEqual([True, False], [
            self.counter.place(progress, request, leading)
            for leading in (found, found[::-1])])
        self.assertEqual([1, 0], self.count(*hosts))

    def test_there_is_none_for_alternates(self):
        spec = factories.spec(number=2)
        hosts = [factories.host('a'), factories.host('b')]
        self.look(spec, *hosts)
        hosts[0].consume_from_request(spec)
        progress, request, found = self.look(spec, *hosts)

        self.assertFalse(self.counter.place(progress, request, found))

    def test_not_remembered_if_not_wanted(self):
        self.set(recent_placement_seconds=0)
        self.guess('a')

        self.assertEqual([0], self.count(factories.host('a')))

    def test_are_forgotten_after_a_while(self):
        self.set(recent_placement_seconds=10)
        self.guess('a')

        self.now += 9.9
        before = self.count(factories.host('a'))
        self.now += 0.2
        after = self.count(factories.host('a'))

        self.assertEqual(([1], [0]), (before, after))

    def test_are_forgotten_when_the_request_is_refused(self):
        spec = factories.spec(number=2)
        host = factories.host('a')
        for _number in range(2):
            progress, request, found = self.look(spec, host)
            self.counter.place(progress, request, found)
            self.place_next(spec, host)
        progress = self.look(spec, host)[0]

        self.counter.refused(progress)

        self.assertEqual([0], self.count(factories.host('a')))

    def test_host_fetches_the_image_for_a_server_placed_there(self):
        self.guess('a')
        self.guess('b', factories.spec(OTHER_IMAGE))

        found = self.candidates(*map(factories.host, 'abc'))

        self.assertEqual([True, False, False], [
            candidate.arriving for candidate in found])

    def test_host_fetches_the_image_for_a_server_of_the_request(self):
        self.set(recent_placement_seconds=0)
        spec = factories.spec(number=2)
        hosts = [factories.host('a'), factories.host('b')]
        self.candidates(*hosts, spec=spec)
        self.place_next(spec, hosts[1])

        found = self.candidates(*hosts, spec=spec)

        self.assertEqual([False, True], [
            candidate.arriving for candidate in found])


class TestStubs(CountTestCase):
    """Servers of which nova's scheduler knows the uuid only."""

    def setUp(self):
        super().setUp()
        self.cap(1)
        self.stub = factories.stub()
        self.host = factories.host('a', instances=[self.stub])

    def test_server_that_was_seen_on_another_host(self):
        """A live migration leaves stubs on both."""
        moved = factories.instance(host='old')
        self.count(factories.host('old', instances=[moved]),
                   factories.host('new'))
        hosts = [factories.host('old'),
                 factories.host('new', instances=[factories.stub(moved.uuid)])]

        self.assertEqual([0, 1], self.count(*hosts))
        self.assert_asked(0)

    def test_server_that_was_of_another_image_on_another_host(self):
        moved = factories.instance(OTHER_IMAGE, host='old')
        self.count(factories.host('old', instances=[moved]))

        self.assertEqual([0], self.count(factories.host(
            'new', instances=[factories.stub(moved.uuid)])))
        self.assert_asked(0)

    def test_stub_makes_a_host_unsure(self):
        self.answer(server('a'))

        self.assertEqual([1], self.count(self.host))
        self.assert_asked()

    def test_cells_are_asked_what_stubs_are(self):
        self.count(self.host)

        self.query.servers.assert_called_once_with(
            IMAGE, {self.stub.uuid}, {CELL})

    def test_next_request_knows_what_stubs_are(self):
        for image, expected in ((IMAGE, [1, 0]), (OTHER_IMAGE, [0, 0])):
            stub = factories.stub()
            hosts = [factories.host('a', instances=[stub]),
                     factories.host('b')]
            self.query.reset_mock()
            self.answer(server('a', server_uuid=stub.uuid, image=image))
            self.assertEqual(expected, self.count(*hosts))

            self.assertEqual(expected, self.count(*hosts))
            self.assert_asked()

    def test_next_request_knows_that_a_stub_is_gone(self):
        self.assertEqual([0], self.count(self.host))

        self.assertEqual([0], self.count(self.host))
        self.assert_asked()

    def test_next_request_knows_the_other_servers_of_the_image_too(self):
        other = factories.stub()
        self.answer(server('b', server_uuid=other.uuid))
        self.count(self.host)

        hosts = [factories.host('b', instances=[other]), self.host]
        self.assertEqual([1, 0], self.count(*hosts))
        self.assert_asked()

    def test_stub_in_a_cell_that_does_not_answer_stays_unknown(self):
        stub = factories.stub()
        there = factories.host('b', instances=[stub], cell=OTHER_CELL)
        self.count(self.host, there)

        self.query.servers.return_value = {
            OTHER_CELL: [server('b', server_uuid=stub.uuid)]}

        self.assertEqual([1], self.count(there))

    def test_stub_that_was_rebuilt_to_another_image(self):
        """After one query the host is free, and what it is is asked for."""
        self.learn_and_rebuild()

        self.assertEqual([0], self.count(self.host))
        self.assert_asked(2)

        self.assertEqual([0], self.count(self.host))
        self.assertEqual({self.stub.uuid}, self.asked_uuids())

    def test_next_request_knows_that_a_stub_was_rebuilt(self):
        self.learn_and_rebuild()
        self.count(self.host)
        self.count(self.host)
        self.query.reset_mock()

        self.assertEqual([0], self.count(self.host))
        self.assert_asked(0)

    def learn_and_rebuild(self):
        self.answer(server('a', server_uuid=self.stub.uuid))
        self.assertEqual([1], self.count(self.host))
        rebuilt = server('a', server_uuid=self.stub.uuid, image=OTHER_IMAGE)

        def answer(_image, uuids, _cells):
            return {CELL: [rebuilt] if rebuilt.uuid in uuids else []}

        self.query.servers.side_effect = answer

    def test_stub_in_a_cell_that_does_not_answer_is_not_disproved(self):
        self.answer(server('a', server_uuid=self.stub.uuid))
        self.count(self.host)
        self.query.servers.return_value = {}

        self.assertEqual([1], self.count(self.host))

    def test_no_more_than_can_be_asked_for(self):
        stubs = [factories.stub() for _ in range(cells.MAX_UUIDS + 5)]

        self.count(factories.host('a', instances=stubs),
                   spec=factories.move())

        self.assertEqual(cells.MAX_UUIDS, len(self.asked_uuids()))


class TestQuery(CountTestCase):

    def setUp(self):
        super().setUp()
        self.cap(3)

    def test_claim_that_is_not_shown_makes_a_host_unsure(self):
        self.answer(server('a'), server('a', building=True), server('b'))
        hosts = [factories.host('a', 2, building=1), factories.host('b', 3)]

        self.assertEqual([2, 1], self.count(*hosts))
        self.query.servers.assert_called_once_with(IMAGE, set(), {CELL})

    def test_host_that_runs_nothing_of_its_own_is_sure(self):
        hosts = factories.host('a'), factories.host('b')

        self.assertEqual([0, 0], self.count(*hosts))
        self.assert_asked(0)

    def test_one_query_a_request(self):
        self.answer(server('a'))
        spec = factories.spec(number=5)
        host = factories.host('a', building=3)

        for _number in range(5):
            self.count(host, spec=spec)
            self.count(host, spec=spec)
            self.place_next(spec, host)

        self.assert_asked()

    def test_each_request_asks(self):
        host = factories.host('a', building=3)

        self.count(host)
        self.count(host)

        self.assert_asked(2)

    def test_nothing_is_refused_on_hearsay(self):
        # Given a host that seems full, and has lost a server since.
        self.answer(server('a'), server('a'))

        self.assertEqual([2], self.count(factories.host('a', 3)))
        self.assert_asked()

    def test_nothing_is_refused_on_what_hosts_report(self):
        self.answer(server('a'))

        self.assertEqual([1], self.count(factories.host(
            'a', text=factories.using(3, 3))))
        self.assert_asked()

    def test_all_hosts_are_asked_about_if_none_seems_to_pass(self):
        self.answer(server('a'), server('b'), server('c'))
        hosts = [factories.host('a', 3), factories.host('b', 4),
                 factories.host('c', building=5)]

        self.assertEqual([1, 1, 1], self.count(*hosts))
        self.assert_asked()

    def test_multi_create_is_not_refused_on_hearsay(self):
        """Nor when an unsure host was asked about for an earlier server."""
        # Given b, unsure and full, and a with one server that is gone.
        self.cap(2)
        self.answer(*[server('b') for _ in range(2)])
        spec = factories.spec(number=2)
        hosts = [factories.host('a', 1), factories.host('b', building=2)]
        self.assertEqual([0, 2], self.count(*hosts, spec=spec))

        # When the first is placed on a, which now would seem full.
        self.place_next(spec, hosts[0])

        # Then only what this request placed there counts.
        self.assertEqual([1, 2], self.count(*hosts, spec=spec))

    def test_server_on_its_way_counts_on_both_hosts(self):
        self.cap(1)
        self.answer(server('a', 'b'))
        hosts = [factories.host('a', 1), factories.host('b', building=1)]

        self.assertEqual([1, 1], self.count(*hosts))

    def test_server_that_is_moved_does_not_count(self):
        spec = factories.move()
        self.answer(server('a', server_uuid=spec.instance_uuid), server('a'))

        self.assertEqual(
            [1], self.count(factories.host('a', building=3), spec=spec))

    def test_server_of_another_image_does_not_count(self):
        self.answer(server('a', image=OTHER_IMAGE), server('a'))

        self.assertEqual([1], self.count(factories.host('a', building=3)))

    def test_other_projects_do_not_count_in_the_scope_of_a_project(self):
        self.set(same_image_scope='project')
        self.answer(server('a'), server('a', project=OTHER_PROJECT))

        self.assertEqual([1], self.count(factories.host('a', building=3)))

    def test_cell_that_does_not_answer(self):
        self.query.servers.return_value = {}

        self.assertEqual([2], self.count(factories.host('a', 2, building=1)))
        self.assert_asked()

    def test_each_host_is_looked_up_in_its_own_cell(self):
        self.query.servers.return_value = {
            CELL: [server('a')], OTHER_CELL: [server('b'), server('b')]}
        hosts = [factories.host('a', building=3),
                 factories.host('b', building=3, cell=OTHER_CELL)]

        self.assertEqual([1, 2], self.count(*hosts))
        self.assertEqual({CELL, OTHER_CELL},
                         self.query.servers.call_args.args[2])


class TestEverywhere(CountTestCase):
    """What a refusal tells of hosts that are no candidates."""

    def setUp(self):
        super().setUp()
        self.cap(1)
        self.exist(*((name, name) for name in 'abc'))

    def exist(self, *spots):
        self.query.spots.return_value = {Spot(*spot) for spot in spots}

    def everywhere(self, *hosts):
        progress, _request, found = self.look(factories.spec(), *hosts)
        return self.counter.cell_lookup.counts_everywhere(progress, found)

    def test_hosts_that_are_no_candidates(self):
        self.answer(*[server('a') for _ in range(3)], server('c'),
                    server('c'), server('gone'))

        counts = self.everywhere(factories.host('a', 3))

        self.assertEqual([0, 2, 3], sorted(counts))
        self.assertEqual({CELL}, set(self.query.spots.call_args.args[0]))

    def test_candidate_that_no_cell_names(self):
        self.exist(('b', 'b'))
        self.answer(server('a'))

        counts = self.everywhere(factories.host('a', 1))

        self.assertEqual([0, 1], sorted(counts))

    def test_nodes(self):
        self.exist(*(('ironic', f'n{place}') for place in range(3)))
        self.answer(Server('u', IMAGE, PROJECT,
                           frozenset({Spot('ironic', 'n2')}), False),
                    Server('v', IMAGE, PROJECT,
                           frozenset({Spot('ironic', 'n0')}), False))

        counts = self.everywhere(
            factories.host('ironic', node='n0', building=1))

        self.assertEqual([0, 1, 1], sorted(counts))

    def test_hosts_of_all_cells(self):
        self.query.servers.return_value = {
            CELL: [server('a'), server('b')],
            OTHER_CELL: [server('c'), server('c'), server('d')]}
        self.exist(*((name, name) for name in 'abcd'))

        counts = self.everywhere(
            factories.host('a', 1), factories.host('d', 1, cell=OTHER_CELL))

        self.assertEqual([1, 1, 1, 2], sorted(counts))

    def test_cells_do_not_name_their_hosts(self):
        self.exist()
        self.answer(server('a'))

        self.assertIsNone(self.everywhere(factories.host('a', 1)))

    def test_cells_were_not_asked(self):
        self.exist()

        self.assertIsNone(self.everywhere(factories.host('a')))
        self.assert_asked(0)


class TestCorrection(CountTestCase):
    """What a cell says beats a guess."""

    def setUp(self):
        super().setUp()
        self.cap(1)

    def test_boot_that_went_to_another_host_is_seen_at_once(self):
        """As after a build that failed, or of another scheduler's choice."""
        for building in (True, False):
            uuid = self.guess('a')
            self.answer(server('b', server_uuid=uuid, building=building))

            self.assertEqual([0, 1], self.count(
                factories.host('a'), factories.host('b', building=1)))
            self.assertEqual(0, len(self.counter.ledger))

    def test_move_that_went_to_another_host_is_seen_when_it_is_written(self):
        uuid = self.guess('a', factories.move())
        self.answer(server('b', server_uuid=uuid))
        hosts = [factories.host('a'), factories.host('b', 1)]

        self.assertEqual([1, 1], self.count(*hosts))

        self.now += ledger.WRITTEN_AFTER + 0.1
        self.assertEqual([0, 1], self.count(*hosts))

    def test_build_that_failed(self):
        uuid = self.guess('a')
        self.answer(server(server_uuid=uuid))

        self.assertEqual([0], self.count(factories.host('a')))

    def test_server_before_its_claim_stays(self):
        uuid = self.guess('a')
        self.answer(server(server_uuid=uuid, building=True))

        self.assertEqual([1], self.count(factories.host('a')))

    def test_deleted_server(self):
        self.guess('a')
        self.now += ledger.WRITTEN_AFTER + 0.1

        self.assertEqual([0], self.count(factories.host('a')))

    def test_server_that_is_not_written_yet_stays(self):
        self.guess('a')

        self.assertEqual([1], self.count(factories.host('a')))

    def test_server_in_a_cell_that_does_not_answer_stays(self):
        self.guess('a')
        self.now += ledger.WRITTEN_AFTER + 0.1
        self.query.servers.return_value = {}

        self.assertEqual([1], self.count(factories.host('a')))

    def test_right_guess_counts_once(self):
        uuid = self.guess('a')
        self.answer(server('a', server_uuid=uuid, building=True))

        self.assertEqual([1], self.count(factories.host('a', building=1)))


class TestEvacuation(CountTestCase):

    def setUp(self):
        super().setUp()
        self.cap(1)

    def evacuated(self, spec):
        return self.look(spec, factories.host('a', 1))[0].evacuated

    def test_server_that_is_evacuated(self):
        for evacuated in (True, False):
            spec = factories.move()
            self.answer(server('b', server_uuid=spec.instance_uuid,
                               evacuated=evacuated))

            self.assertEqual(evacuated, self.evacuated(spec))
            self.assertIn(spec.instance_uuid, self.asked_uuids())

    def test_cell_that_does_not_answer_may_have_an_evacuated_server(self):
        self.query.servers.return_value = {}

        self.assertTrue(self.evacuated(factories.move()))

    def test_boot_is_no_evacuation(self):
        spec = factories.spec()
        self.query.servers.return_value = {}

        self.assertFalse(self.evacuated(spec))
        self.assertNotIn(spec.instance_uuid, self.asked_uuids())


class TestNodes(CountTestCase):
    """nova-compute with ironic has one host and many nodes."""

    def setUp(self):
        super().setUp()
        self.cap(1)

    def nodes(self, *instances, number=2, **counts):
        """Return HostStates that share their instances, as nova's do."""
        states = [factories.host('ironic', node=f'n{place}')
                  for place in range(number)]
        shared = {instance.uuid: instance for instance in instances}
        for state in states:
            state.instances = shared
            state.num_instances = counts.get(state.nodename, 0)
        return states

    def on(self, node, image=IMAGE):
        instance = factories.instance(image, host='ironic')
        instance.node = node
        return instance

    def test_servers_count_on_their_node(self):
        nodes = self.nodes(self.on('n0'), self.on('n1', OTHER_IMAGE), n0=1,
                           n1=1, number=3)

        self.assertEqual([1, 0, 0], self.count(*nodes))
        self.assert_asked(0)

    def test_servers_that_are_not_shown_make_their_node_unsure(self):
        nodes = self.nodes(self.on('n0', OTHER_IMAGE), n0=1, n1=1)

        found = self.candidates(*nodes)

        self.assert_asked()
        self.assertEqual([0, 0], [candidate.count for candidate in found])

    def test_stub_counts_on_the_node_that_a_cell_says(self):
        stub = factories.stub()
        nodes = self.nodes(stub, number=4, n2=1)
        self.answer(Server(stub.uuid, IMAGE, PROJECT,
                           frozenset({Spot('ironic', 'n2')}), False))
        self.count(*nodes)
        self.assert_asked()

        self.assertEqual([0, 0, 1, 0], self.count(*nodes))
        self.assert_asked()

    def test_stub_on_its_way_counts_on_any_node(self):
        stub = factories.stub()
        nodes = self.nodes(stub, number=2, n1=1)
        self.answer(Server(stub.uuid, IMAGE, PROJECT, frozenset(
            {Spot('ironic', 'n1'), Spot('other', 'n9')}), False))
        self.count(*nodes)
        self.query.servers.return_value = {}

        self.assertEqual([1, 1], self.count(*nodes))

    def test_placements_count_on_their_node(self):
        self.guess('ironic', node='n1')

        self.assertEqual([0, 1], self.count(*self.nodes()))

    def test_servers_of_a_request_count_on_their_node(self):
        spec = factories.spec(number=2)
        nodes = self.nodes()
        self.count(*nodes, spec=spec)
        self.place_next(spec, nodes[1])

        self.assertEqual([0, 1], self.count(*nodes, spec=spec))

    def test_servers_count_on_the_node_that_a_cell_says(self):
        self.answer(Server('u', IMAGE, PROJECT,
                           frozenset({Spot('ironic', 'n1')}), False))

        self.assertEqual([0, 1], self.count(*self.nodes(n0=1, n1=1)))

    def test_servers_on_their_way_count_where_their_node_is_not_known(self):
        self.answer(Server('u', IMAGE, PROJECT,
                           frozenset({Spot('ironic', '')}), False))

        self.assertEqual([1, 1], self.count(*self.nodes(n0=1, n1=1)))


class TestAffinity(CountTestCase):
    """A group whose servers must share a host goes where all have room."""

    def needed(self, spec, *hosts):
        return [candidate.needed
                for candidate in self.candidates(*hosts, spec=spec)]

    def test_all_servers_of_the_request(self):
        spec = factories.spec(
            number=3, group=factories.server_group('affinity'))
        hosts = [factories.host('a', 7), factories.host('b', 8)]

        found = self.candidates(*hosts, spec=spec)

        self.assertEqual([(3, True), (3, False)], [
            (candidate.needed, candidate.has_room) for candidate in found])

    def test_the_group_has_a_host(self):
        spec = factories.spec(
            number=3, group=factories.server_group('affinity', ['a']))

        self.assertEqual([1], self.needed(spec, factories.host('a')))

    def test_the_first_server_was_placed(self):
        spec = factories.spec(
            number=3, group=factories.server_group('affinity'))
        host = factories.host('a')
        self.needed(spec, host)
        self.place_next(spec, host)

        self.assertEqual([1], self.needed(spec, host))

    def test_what_is_left_while_the_group_has_no_host(self):
        spec = factories.spec(
            number=3, group=factories.server_group('affinity'))
        host = factories.host('a')
        self.needed(spec, host)
        host.consume_from_request(spec)
        spec.instance_uuid = factories.new_uuid()

        self.assertEqual([2], self.needed(spec, host))

    def test_move_is_of_one_server(self):
        spec = factories.move(
            number=3, group=factories.server_group('affinity'))

        self.assertEqual([1], self.needed(spec, factories.host('a')))

    def test_other_groups(self):
        for policy in ('soft-affinity', 'anti-affinity',
                       'soft-anti-affinity'):
            spec = factories.spec(
                number=3, group=factories.server_group(policy))

            self.assertEqual([1], self.needed(spec, factories.host('a')))

    def test_host_that_may_not_have_room_for_all_is_asked_about(self):
        spec = factories.spec(
            number=3, group=factories.server_group('affinity'))
        hosts = [factories.host('a', 6, building=2)]

        self.count(*hosts, spec=spec)

        self.assert_asked()


class TestShares(CountTestCase):

    def limits(self, *hosts, **kwargs):
        return [candidate.limit
                for candidate in self.candidates(*hosts, **kwargs)]

    def share(self, share, number=0):
        self.cap(number)
        self.set(max_same_image_share_per_host=share)

    def test_the_largest_of_three(self):
        """Of a number, a share of all, and the average of the hosts."""
        for share, number, expected in (
                (0.1, 0, 3), (0.1, 7, 7), (0.9, 0, 5), (0.9, 4, 5)):
            self.share(share, number)
            hosts = [factories.host('a', 3), factories.host('b', 1)]

            self.assertEqual([expected] * 2, self.limits(*hosts))

    def test_no_server_yet(self):
        self.share(0.1)

        self.assertEqual([1, 1], self.limits(
            factories.host('a'), factories.host('b')))

    def test_hosts_that_are_no_candidates_count(self):
        self.share(0.5)
        hosts = factories.hosts(4, servers=10)
        self.limits(*hosts)

        # (4 * 10 + 1) / 2
        self.assertEqual([21], self.limits(hosts[0]))

    def test_hosts_that_were_forgotten_do_not(self):
        self.share(0.5)
        hosts = factories.hosts(4, servers=10)
        self.limits(*hosts)
        self.now += memory.FORGOTTEN_AFTER + 1

        self.assertEqual([11], self.limits(hosts[0]))

    def test_server_on_two_hosts_that_are_no_candidates_counts_once(self):
        self.share(1.0)
        uuid = factories.new_uuid()
        self.limits(*(factories.host(name, instances=[
            factories.instance(host=name, instance_uuid=uuid)])
            for name in 'bc'))

        self.assertEqual([2], self.limits(factories.host('a')))

    def test_servers_of_the_request_count(self):
        self.share(0.5)
        spec = factories.spec(number=9)
        hosts = factories.hosts(8)

        seen = []
        for place in range(8):
            seen.append(self.limits(*hosts[place:], spec=spec)[0])
            self.place_next(spec, hosts[place])

        self.assertEqual([1, 1, 2, 2, 3, 3, 4, 4], seen)

    def test_hosts_of_other_numbers(self):
        self.share(0.1)
        hosts = [factories.host('a', 3, aggregates=[
            factories.aggregate(**{factories.CAP: 8})]),
            factories.host('b', 1)]

        self.assertEqual([8, 3], self.limits(*hosts))

    def test_user_may_want_less(self):
        self.share(0.9)
        spec = factories.spec(hints={request_mod.HINT_CAP: ['2']})

        self.assertEqual([2, 2], self.limits(
            factories.host('a', 3), factories.host('b', 1), spec=spec))


class TestShared(base.TestCase):

    def test_filter_and_weigher_share_one_counter(self):
        self.assertIs(count.shared(), count.shared())

    def test_given_one_is_shared(self):
        counter = count.SameImageCounter()

        count.share(counter)
        self.assertIs(counter, count.shared())

        count.share(None)
        self.assertIsNot(counter, count.shared())

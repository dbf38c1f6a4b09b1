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

from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.same_image import cells
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image import nova_choice
from cache_aware_sched.scheduler.same_image.servers import Spot
from cache_aware_sched.scheduler import settings
from tests.unit import base
from tests.unit import factories


def hosts(names='abc'):
    return [factories.host(name, updated=factories.SOME_TIME)
            for name in names]


class WatchTestCase(base.TestCase):
    """What is not let go at once stays for ever."""

    def setUp(self):
        super().setUp()
        gc.disable()
        self.addCleanup(gc.enable)


class TestWatch(WatchTestCase):

    def setUp(self):
        super().setUp()
        self.hosts = hosts()
        self.spec = factories.spec()
        self.begin()

    def begin(self):
        nothing = ledger.Resources(0, 0)
        self.choice = nova_choice.NovaChoice([
            (host, ledger.Placement(
                self.spec.instance_uuid, Spot(host.host, host.nodename),
                factories.IMAGE, None, False, nothing, nothing, 0, 0.0, 60.0))
            for host in self.hosts])

    def choose(self, index):
        self.hosts[index].consume_from_request(self.spec)

    def chosen(self):
        placement = self.choice.placement()
        return placement and placement.spot.host

    def test_nova_has_not_chosen(self):
        self.assertIsNone(self.chosen())
        self.assertFalse(self.choice.is_refused())
        self.assertFalse(self.choice.is_over())

    def test_host_that_nova_chose(self):
        self.choose(2)

        self.assertEqual('c', self.chosen())

    def test_host_that_nova_chose_and_let_go(self):
        self.choose(2)
        self.hosts.clear()

        self.assertEqual('c', self.chosen())

    def test_servers_that_go_elsewhere_later(self):
        self.choose(2)
        self.chosen()

        self.choose(0)

        self.assertEqual('c', self.chosen())

    def test_host_that_nova_chose_and_gave_up(self):
        self.choose(2)
        self.hosts[2].updated = None

        self.assertIsNone(self.chosen())
        self.assertTrue(self.choice.is_refused())

    def test_host_that_nova_gives_up_after_it_is_known(self):
        self.choose(2)
        self.chosen()

        self.hosts[2].updated = None

        self.assertTrue(self.choice.is_refused())

    def test_other_host_without_a_time(self):
        self.hosts[1].updated = None

        self.assertFalse(self.choice.is_refused())

    def test_is_over_when_the_last_host_goes(self):
        """Another filter may drop the first one before."""
        seen = []
        while self.hosts:
            seen.append(self.choice.is_over())
            self.hosts.pop(0)

        self.assertEqual([False] * 3, seen)
        self.assertTrue(self.choice.is_over())

    def test_hosts_that_were_never_updated(self):
        self.hosts = [factories.host('a'), factories.host('b')]
        for host in self.hosts:
            host.num_instances = None
        self.begin()

        self.assertIsNone(self.chosen())
        self.assertFalse(self.choice.is_refused())

        self.hosts[1].num_instances = 1
        self.hosts[1].updated = factories.SOME_TIME

        self.assertEqual('b', self.chosen())


class RequestTestCase(WatchTestCase):
    """Plays requests as nova does, by a counter with a cap."""

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        query = mock.create_autospec(cells.CellQuery, instance=True)
        query.servers.return_value = {}
        self.counter = count.SameImageCounter(lambda: self.now, query)
        self.set(max_same_image_instances_per_host=10)
        self.hosts = hosts()

    # Given, when.

    def look(self, spec, *host_states):
        """Ask as a filter does, and keep it for a weigher."""
        request = request_mod.Request.from_spec(spec)
        progress = self.counter.progress(spec, request, host_states)
        found = self.counter.gather(
            progress, request, host_states,
            settings.HostSettings(request, True))
        self.counter.keep((progress, found))
        return progress, request, found

    def guess(self, spec, first=0):
        """Expect that nova chooses a host, or else one of the others."""
        _progress, request, _found = self.look(spec, *self.hosts)
        progress, found = self.counter.take(
            spec, request.instance, self.hosts)
        self.counter.place(progress, request, [
            found[first], *(other for other in found
                            if other is not found[first])])

    def choose(self, spec, index):
        """Consume a host as nova does, and go on to the next server."""
        uuid = spec.instance_uuid
        factories.manager.SchedulerManager._consume_selected_host(
            self.hosts[index], spec, instance_uuid=uuid)
        spec.instance_uuid = factories.new_uuid()
        return uuid

    def play(self, guessed, *chosen, refused=False):
        """Play a request to its end, but do not let its HostStates go.

        :param chosen: a host for each server, None where its claim is refused
        :param refused: nova gives up on all of them
        :returns: what holds the request
        """
        spec = factories.spec(number=max(2, len(chosen)) if refused
                              else len(chosen))
        for index in chosen:
            self.guess(spec, guessed)
            if index is not None:
                self.choose(spec, index)
        if refused:
            for index in chosen:
                if index is not None:
                    self.hosts[index].updated = None
        return spec

    def let_go(self):
        """Let nova be done with the HostStates."""
        self.hosts.clear()

    # Then.

    def counted(self):
        """Return what another request counts, on HostStates of its own."""
        _progress, _request, found = self.look(
            factories.spec(), *map(factories.host, 'abc'))
        return [candidate.count for candidate in found]


class TestChoice(RequestTestCase):
    """nova's choice is learnt when a request goes on or ends."""

    def test_guess_that_was_right(self):
        self.play(0, 0)
        self.let_go()

        self.assertEqual([1, 0, 0], self.counted())

    def test_guess_that_was_wrong_is_put_right_when_the_request_ends(self):
        self.play(0, 1)
        self.let_go()

        self.assertEqual([0, 1, 0], self.counted())

    def test_guess_that_was_wrong_is_put_right_when_nova_has_chosen(self):
        """Though somebody still holds the HostStates."""
        self.play(0, 1)

        self.assertEqual([0, 1, 0], self.counted())

    def test_guess_that_was_wrong_is_put_right_when_the_request_goes_on(self):
        spec = self.play(0, 1)
        self.look(spec, *self.hosts)

        self.assertEqual(
            ['b'], [host for host, _node in self.counter.ledger.by_spot()])

    def test_each_server_of_a_request(self):
        self.play(0, 1, 2, 2, 0)
        self.let_go()

        self.assertEqual([1, 1, 2], self.counted())

    def test_each_server_while_others_look(self):
        spec = factories.spec(number=4)
        seen = []
        for index in (1, 2, 2, 0):
            self.guess(spec)
            self.choose(spec, index)
            seen.append(self.counted())
        self.let_go()

        self.assertEqual(
            [[0, 1, 0], [0, 1, 1], [0, 1, 2], [1, 1, 2]], seen)
        self.assertEqual([1, 1, 2], self.counted())

    def test_server_that_nobody_guessed_does_not_move_the_one_before(self):
        """Another filter has left it one host, so no weigher was asked."""
        spec = self.play(0, 1)
        self.look(spec, *self.hosts)
        self.choose(spec, 0)
        self.let_go()

        self.assertEqual(1, self.counted()[1])

    def test_choice_is_learnt_where_nothing_was_guessed(self):
        """A guess would be wrong more often than not."""
        self.set_nova('filter_scheduler', host_subset_size=2)
        spec = factories.spec()
        self.guess(spec)
        self.assertEqual([0, 0, 0], self.counted())

        self.choose(spec, 1)
        self.let_go()

        self.assertEqual([0, 1, 0], self.counted())

    def test_first_host_that_another_filter_drops(self):
        """The chosen one is held, and nova may still give up."""
        spec = self.play(0, 1)
        del spec, self.hosts[0]
        self.assertEqual([0, 1, 0], self.counted())

        self.hosts[0].updated = None

        self.assertEqual([0, 0, 0], self.counted())

    def test_server_is_remembered_from_when_it_was_placed(self):
        """However late it is learnt where."""
        self.set(recent_placement_seconds=10)
        self.play(0, 1)
        self.let_go()

        self.now += 9
        self.assertEqual([0, 1, 0], self.counted())

        self.now += 2
        self.assertEqual([0, 0, 0], self.counted())

    def test_server_that_is_learnt_too_late_is_not_remembered(self):
        self.set(recent_placement_seconds=10)
        self.play(0, 1)
        self.let_go()

        self.now += 11

        self.assertEqual([0, 0, 0], self.counted())

    def test_server_that_came_and_went_does_not_come_back(self):
        spec = factories.spec()
        self.guess(spec)
        shown = factories.instance(
            host='a', instance_uuid=self.choose(spec, 0))
        self.look(factories.spec(), factories.host('a', instances=[shown]))
        self.assertEqual([0, 0, 0], self.counted())

        self.let_go()

        self.assertEqual([0, 0, 0], self.counted())


class TestRefusal(RequestTestCase):
    """What nova does not place leaves nothing."""

    def assert_nothing_is_left(self):
        self.assertEqual([0, 0, 0], self.counted())
        self.assertEqual(0, len(self.counter.ledger))
        self.assertEqual({}, dict(self.counter._open))

    def test_server_whose_claim_is_refused(self):
        self.play(0, None)
        self.assertEqual([1, 0, 0], self.counted())

        self.let_go()

        self.assert_nothing_is_left()

    def test_guess_stays_where_hosts_do_not_say_when_they_were_updated(self):
        for host in self.hosts:
            host.updated = None

        self.play(0, None)
        self.let_go()

        self.assertEqual([1, 0, 0], self.counted())

    def test_multi_create_whose_last_claim_is_refused(self):
        for guessed in range(3):
            self.hosts = hosts()
            self.play(guessed, 0, 1, None, refused=True)
            self.let_go()

            self.assert_nothing_is_left()

    def test_multi_create_that_a_traceback_holds(self):
        for guessed in range(3):
            self.hosts = hosts()
            self.play(guessed, 0, 1, None, refused=True)

            self.assert_nothing_is_left()

    def test_multi_create_that_other_requests_looked_at_meanwhile(self):
        spec = factories.spec(number=3)
        for index in (0, 1):
            self.guess(spec)
            self.choose(spec, index)
            self.counted()

        for index in (0, 1):
            self.hosts[index].updated = None

        self.assert_nothing_is_left()

    def test_multi_create_with_no_host_for_the_second(self):
        """Another filter left none, before this one was asked."""
        for guessed in range(3):
            self.hosts = hosts()
            self.play(guessed, 1, refused=True)

            self.assert_nothing_is_left()

    def test_multi_create_with_no_host_for_the_last_after_this_filter(self):
        """Another filter left none, and a traceback holds the rest."""
        for guessed in range(3):
            self.hosts = hosts()
            spec = self.play(guessed, 0, 1)
            self.look(spec, *self.hosts)
            for index in (0, 1):
                self.hosts[index].updated = None

            self.assert_nothing_is_left()

    def test_multi_create_on_one_host(self):
        del self.hosts[1:]
        self.play(0, 0, refused=True)
        self.let_go()

        self.assert_nothing_is_left()


class TestLettingGo(RequestTestCase):
    """Nothing keeps the HostStates of a request that has ended."""

    def alive(self):
        return [sign().host for sign in self.signs if sign() is not None]

    def assert_gone(self, guessed, *chosen, **kwargs):
        self.hosts = hosts()
        self.signs = list(map(weakref.ref, self.hosts))
        # It is in a cycle of references, so it stays.
        spec = self.play(guessed, *chosen, **kwargs)
        self.let_go()

        self.assertEqual([], self.alive())
        return spec

    def test_single_create(self):
        self.assert_gone(0, 0)
        self.assert_gone(0, 1)

    def test_single_create_that_is_refused(self):
        self.assert_gone(0, None)

    def test_multi_create(self):
        self.assert_gone(0, 0, 1, 2)

    def test_multi_create_that_is_refused(self):
        self.assert_gone(0, 0, 1, None, refused=True)

    def test_after_another_request_has_looked(self):
        self.signs = list(map(weakref.ref, self.hosts))
        spec = self.play(0, 1)
        self.counted()
        self.let_go()

        self.assertEqual([], self.alive())
        self.assertIsNotNone(spec)

    def test_what_a_request_has_done_is_forgotten_once_it_is_learnt(self):
        specs = [self.assert_gone(0, 1) for _request in range(5)]

        self.counted()

        self.assertEqual({}, dict(self.counter._open))
        self.assertEqual(5, len(specs))

    def test_request_that_never_reached_the_weigher(self):
        """The next request of the thread lets its hosts go."""
        self.signs = list(map(weakref.ref, self.hosts))
        spec = factories.spec()
        self.look(spec, *self.hosts)
        self.let_go()
        self.assertEqual(['a', 'b', 'c'], self.alive())

        self.look(factories.spec(), *hosts('xyz'))

        self.assertEqual([], self.alive())
        self.assertIsNotNone(spec)

    def test_hosts_that_nova_does_not_date_are_not_watched(self):
        """Those of a simulation stay for ever, and would be looked at."""
        for host in self.hosts:
            host.updated = None

        self.play(0, None)

        self.assertEqual([], list(self.counter._open))

    def test_no_more_requests_than_can_be_open_are_watched(self):
        limit = count.MAX_OPEN
        self.addCleanup(setattr, count, 'MAX_OPEN', limit)
        count.MAX_OPEN = 3
        specs = [self.play(0, None) for _request in range(5)]

        self.assertEqual(
            [spec.instance_uuid for spec in specs[-3:]],
            list(self.counter._open))

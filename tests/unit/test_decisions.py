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

import logging

from cache_aware_sched import fetch_time
from cache_aware_sched import once
from cache_aware_sched.report import Holding
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import decisions
from cache_aware_sched.scheduler import load
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler import scoring
from tests.unit import base
from tests.unit import factories
from tests.unit.factories import candidate

GIB = factories.GIB


class DecisionTestCase(base.TestCase):

    def decide(self, *candidates, before=None, size=20 * GIB, avoid=False,
               observed=False, request=None):
        request = request or factories.request()
        scores = scoring.score(candidates, scoring.Demand(
            size, 1, avoid, load.Idle(20, 20)))
        return decisions.Decision(
            request, candidates, scores, before or [0.0] * len(candidates),
            observed)

    def line(self, *candidates, **kwargs):
        """Return the one line that an operator sees of a decision."""
        self.decide(*candidates, **kwargs).log()
        return self.logged(logging.INFO)[-1]


class TestWinner(DecisionTestCase):

    def winner(self, *candidates, **kwargs):
        return self.decide(*candidates, **kwargs).winner.host

    def test_holds_the_image(self):
        self.assertEqual('b', self.winner(
            candidate('a', Holding.COLD), candidate('b')))

    def test_what_other_weighers_said_counts(self):
        hosts = candidate('a', Holding.COLD), candidate('b')

        self.assertEqual('a', self.winner(*hosts, before=[5.0, 0.0]))
        self.assertEqual('b', self.winner(*hosts, before=[0.5, 0.0]))

    def test_multiplier_counts(self):
        hosts = (candidate('a', Holding.COLD, multiplier=10),
                 candidate('b', multiplier=10))

        self.assertEqual('b', self.winner(*hosts, before=[5.0, 0.0]))

    def test_first_of_several(self):
        self.assertEqual('a', self.winner(
            candidate('a', Holding.COLD), candidate('b', Holding.COLD)))

    def test_observed_only(self):
        self.assertEqual('a', self.winner(
            candidate('a', Holding.COLD), candidate('b'), observed=True))


class TestLine(DecisionTestCase):

    def test_names_server_image_host_and_number(self):
        request = factories.request()

        line = self.line(candidate('a', Holding.COLD), candidate('b'),
                         request=request)

        for part in (request.instance, factories.IMAGE, 'host b leads',
                     '2 candidates', 'with 0.950 for its image cache'):
            self.assertIn(part, line)

    def test_nobody_holds_it(self):
        line = self.line(candidate('a', Holding.COLD),
                         candidate('b', Holding.UNKNOWN))

        self.assertIn('no candidate holds it', line)

    def test_too_small(self):
        line = self.line(candidate('a'), candidate('b', Holding.COLD),
                         size=20 * 10 ** 6)

        self.assertIn('1 of 2 holds it, but its fetch takes only 0.1 s', line)

    def test_request_ignores_it(self):
        hosts = candidate('a'), candidate('b', Holding.COLD)
        request = factories.request(
            hints={request_mod.HINT_IMAGE_CACHE: [decisions.IGNORE]})
        decisions.Decision(
            request, hosts, scoring.Scores(hosts), [0.0, 0.0],
            observed=False).log()

        [line] = self.logged(logging.INFO)
        self.assertIn('1 of 2 holds it, but the request or the multiplier '
                      'ignores it', line)

    def test_multiplier_ignores_it(self):
        line = self.line(candidate('a', multiplier=0),
                         candidate('b', Holding.COLD))

        self.assertIn('multiplier ignores it', line)

    def test_best_holder_with_its_parts(self):
        """Also if another host wins: the operator wonders why."""
        line = self.line(
            candidate('full', limit=10, count=8),
            candidate('near', limit=4, count=3, vcpus=0.0),
            candidate('cold', Holding.COLD), before=[0.0, 0.0, 5.0])

        self.assertIn('host cold leads', line)
        self.assertIn('2 of 3 hold it: near weighs 0.475 (benefit 1.00, '
                      'headroom 0.50, gate 1.00)', line)

    def test_host_that_is_too_busy(self):
        line = self.line(candidate('busy', vcpus=0.9),
                         candidate('cold', Holding.COLD))

        self.assertIn('1 of 2 holds it: busy weighs 0.000', line)
        self.assertIn('gate 0.00', line)

    def test_host_on_which_it_arrives_holds_it(self):
        line = self.line(
            candidate('a', Holding.COLD, arriving=True),
            candidate('b', Holding.COLD))

        self.assertIn('1 of 2 holds it: a weighs', line)

    def test_reasons_for_debugging(self):
        self.log_debug()

        self.line(candidate('warm', count=3, limit=4),
                  candidate('cold', Holding.COLD))

        [line] = self.logged(logging.DEBUG)
        for part in ('host warm', 'holds 0.95', 'headroom 0.50', 'gate 1.00',
                     'benefit 1.00', 'weighs 0.475'):
            self.assertIn(part, line)


class TestObserved(DecisionTestCase):

    def observed(self, *candidates, **kwargs):
        return self.line(*candidates, observed=True, **kwargs)

    def test_says_where_the_server_would_have_gone(self):
        line = self.observed(candidate('a', Holding.COLD), candidate('b'))

        for part in ('host a leads', 'with 0.000 for its image cache',
                     'Observed only: it would be host b'):
            self.assertIn(part, line)

    def test_says_what_it_would_have_been_spared(self):
        rate = fetch_time.DEFAULT_FETCH_RATE

        line = self.observed(candidate('a', Holding.COLD), candidate('b'),
                             size=int(100 * rate))

        self.assertIn('saves a fetch of 100.0 s', line)

    def test_nothing_is_saved_where_the_image_is_on_both(self):
        line = self.observed(candidate('a'), candidate(
            'b', Holding.WARM_RESIZED))

        self.assertIn('host b, which saves no fetch', line)

    def test_same_host(self):
        line = self.observed(candidate('a'), candidate('b', Holding.COLD))

        self.assertIn('with the image cache counted, the same', line)
        self.assertNotIn('saves', line)

    def test_says_nothing_of_it_if_it_is_not_observed_only(self):
        line = self.line(candidate('a', Holding.COLD), candidate('b'))

        self.assertNotIn('bserved', line)


class TestWish(base.TestCase):

    def wish(self, *values, project=factories.PROJECT):
        hints = {request_mod.HINT_IMAGE_CACHE: list(values)}
        return decisions.wish(factories.request(hints=hints, project=project))

    def test_none(self):
        self.assertEqual('prefer', decisions.wish(factories.request()))
        self.assertEqual('prefer', self.wish())

    def test_each(self):
        for value in ('prefer', 'ignore', 'avoid', 'require'):
            self.assertEqual(value, self.wish(value))

        self.assertEqual([], self.warnings())

    def test_odd_values_have_no_effect_and_are_warned_of_once(self):
        """A user may send any number of them."""
        for number in range(8000):
            self.assertEqual('prefer', self.wish(f'junk {number}'))

        [line] = self.warnings()
        self.assertIn(request_mod.HINT_IMAGE_CACHE, line)
        self.assertIn(factories.PROJECT, line)
        self.assertNotIn('junk', line)

    def test_each_project_is_warned_of(self):
        for project in (factories.PROJECT, factories.OTHER_PROJECT):
            self.wish('junk', project=project)

        self.assertEqual(2, len(self.warnings()))

    def test_long_value_is_not_read(self):
        self.assertEqual('prefer', self.wish('avoid', 'x' * 1000))

        self.assertEqual(1, len(self.warnings()))

    def test_memory_does_not_grow(self):
        for number in range(2000):
            self.wish(f'{number}' + 'x' * 100_000)

        self.assertLess(len(repr(once._said)), 1000)


class TestWarnings(base.TestCase):

    def setUp(self):
        super().setUp()
        self.set_nova('scheduler', max_placement_results=1000)
        self.now = 0.0
        self.counter = count.SameImageCounter(lambda: self.now)
        self.told = decisions.Warnings(self.counter)

    def check(self, *candidates):
        self.told.check(candidates)

    def hosts(self, number, holding=Holding.COLD):
        return [candidate(f'h{place}', holding) for place in range(number)]

    def see(self, *names):
        """Let some hosts be candidates of a request now."""
        for name in names:
            self.counter.memory.of_host(factories.host(name), self.now)

    def test_once_when_no_host_ever_reported(self):
        for _request in range(3):
            self.check(*self.hosts(2, Holding.UNKNOWN))

        [line] = self.warnings()
        self.assertIn('none of 2 candidate hosts, h0 for one', line)
        self.assertIn('cache_aware.LibvirtDriver', line)

    def test_not_when_a_host_has_reported_before(self):
        self.check(*self.hosts(2))

        self.check(*self.hosts(2, Holding.UNKNOWN))

        self.assertEqual([], self.warnings())

    def test_not_when_one_host_reports(self):
        self.check(*self.hosts(1), *self.hosts(2, Holding.UNKNOWN))

        self.assertEqual([], self.warnings())

    def test_once_when_the_candidates_are_cut(self):
        self.set_nova('scheduler', max_placement_results=5)

        for _request in range(3):
            self.check(*self.hosts(5))

        [line] = self.warnings()
        self.assertIn('max_placement_results', line)
        self.assertIn('5 hosts', line)

    def test_once_when_requests_had_more_candidates_than_one_can_have(self):
        self.set_nova('scheduler', max_placement_results=6)
        self.see(*(f'h{number}' for number in range(7)))

        for _request in range(3):
            self.check(*self.hosts(2))

        [line] = self.warnings()
        self.assertIn('max_placement_results', line)

    def test_not_when_the_candidates_are_not_cut(self):
        self.set_nova('scheduler', max_placement_results=6)
        self.see(*(f'h{number}' for number in range(6)))

        self.check(*self.hosts(5))

        self.assertEqual([], self.warnings())

    def test_not_for_hosts_that_are_gone(self):
        self.set_nova('scheduler', max_placement_results=6)
        self.see(*(f'old{number}' for number in range(5)))
        self.now += 300
        self.see(*(f'new{number}' for number in range(5)))

        self.check(*self.hosts(5))

        self.assertEqual([], self.warnings())

    def test_once_when_nova_picks_at_random(self):
        self.set_nova('filter_scheduler', host_subset_size=5)

        for _request in range(3):
            self.check(*self.hosts(20))

        [line] = self.warnings()
        for part in ('5 best hosts', 'host_subset_size = 5', '1 server in 5',
                     'host_subset_size = 1'):
            self.assertIn(part, line)

    def test_when_nova_picks_at_random_among_fewer(self):
        self.set_nova('filter_scheduler', host_subset_size=50)

        self.check(*self.hosts(3))

        [line] = self.warnings()
        self.assertIn('1 server in 3', line)

    def test_not_when_nova_has_no_choice(self):
        self.set_nova('filter_scheduler', host_subset_size=50)

        self.check(*self.hosts(1))

        self.assertEqual([], self.warnings())

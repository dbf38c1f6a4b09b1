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

import collections
import math

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched import guards
from cache_aware_sched.report import Holding
from cache_aware_sched.scheduler import load
from cache_aware_sched.scheduler import spreading
from tests.unit import base
from tests.unit.factories import candidate

IDLE = load.Idle(20, 20)
POINTS = st.floats(0, 1, exclude_max=True)

#: Some of them full, busy, or out of reach.
CANDIDATES = st.lists(st.builds(
    candidate, st.text('abc', min_size=1), count=st.integers(0, 4),
    limit=st.integers(0, 5), multiplier=st.floats(-1, 5),
    vcpus=st.floats(0, 1), memory=st.floats(0, 1)),
    min_size=1, max_size=9, unique_by=lambda one: one.host)
TOTALS = st.lists(
    st.floats(0, 0.05) | st.floats(-10, 10), min_size=9, max_size=9)


def hosts(number, **kwargs):
    return [candidate(f'h{place}', limit=10, **kwargs)
            for place in range(number)]


def reach_of(candidates, before):
    """Return what hosts reach to which the weights gave nothing yet."""
    return [total + one.setting.multiplier
            if one.setting.multiplier > 0 else -math.inf
            for one, total in zip(candidates, before, strict=True)]


def spread(candidates, totals, at, alternates, reach=None):
    """Return the sums that are drawn.

    :param reach: what it is if the weights gave nothing, if not given
    """
    return spreading.spread(
        candidates, totals, reach or reach_of(candidates, totals), at,
        alternates, IDLE, spreading.MAX_NEAR_TIE)


def ranked(candidates, totals, at, alternates, reach=None):
    """Return the names of the hosts in nova's order, whose sort is stable.

    What is above its reach would be cut off.
    """
    sums, reach = list(totals), reach or reach_of(candidates, totals)
    for place, wanted in spread(
            candidates, totals, at, alternates, reach).items():
        sums[place] = min(wanted, reach[place])
    order = sorted(range(len(sums)), key=lambda place: -sums[place])
    return [candidates[place].host for place in order]


def points(number, start=1000):
    return [spreading.point(start + place) for place in range(number)]


class TestPoint(base.TestCase):

    @hypothesis.given(st.integers(0, 2 ** 40))
    def test_is_between_0_and_1(self, sequence):
        self.assertTrue(0 <= spreading.point(sequence) < 1)

    @hypothesis.given(st.integers(0, 2 ** 40))
    def test_same_for_the_same_request(self, sequence):
        self.assertEqual(
            spreading.point(sequence), spreading.point(sequence))

    @hypothesis.given(st.integers(0, 10 ** 6))
    def test_requests_in_a_row_lie_evenly(self, start):
        tenths = collections.Counter(
            int(at * 10) for at in points(10, start))

        self.assertLessEqual(max(tenths.values()), 2)


class TestNearTie(base.TestCase):

    def test_half_of_what_the_server_changes(self):
        one = candidate(capacity=1000)

        self.assertAlmostEqual(
            (2 / 1000 + 4 / 1000) / 2, spreading.near_tie(one, 2, 4))

    def test_server_that_is_large(self):
        self.assertEqual(spreading.MAX_NEAR_TIE, spreading.near_tie(
            candidate(capacity=1000), 500, 500))

    def test_host_whose_capacity_is_not_known(self):
        self.assertEqual(0, spreading.near_tie(candidate(capacity=0), 2, 4))


class TestFirst(base.TestCase):

    def first(self, totals, at):
        return ranked(hosts(len(totals)), totals, at, 2)[0]

    def test_winner_that_leads_stays(self):
        lead = spreading.MAX_NEAR_TIE * 1.01
        for at in points(50):
            self.assertEqual('h1', self.first([1, 1 + lead, 1, 0.5], at))

    def test_ties_fall_differently(self):
        for totals in ([1.0] * 10,
                       [1 + place * 1e-4 for place in range(10)]):
            found = collections.Counter(
                self.first(totals, at) for at in points(10))

            # Of one half: the alternates of others come from the other.
            self.assertEqual(half_of(hosts(10), 0), set(found))
            self.assertLessEqual(max(found.values()), 5)

    def test_only_ties_are_drawn(self):
        found = {self.first([1, 0.5, 0.999, 0.9], at) for at in points(50)}

        self.assertEqual(
            half_of(hosts(3), 0) & {'h0', 'h2'} or {'h0', 'h2'}, found)

    def test_the_only_host(self):
        self.assertEqual('h0', self.first([1.0], 0.7))

    @hypothesis.given(CANDIDATES, TOTALS, POINTS, st.integers(0, 4))
    def test_is_at_most_a_near_tie_behind(
            self, candidates, totals, at, alternates):
        totals = totals[:len(candidates)]

        first = ranked(candidates, totals, at, alternates)[0]

        [place] = [place for place, one in enumerate(candidates)
                   if one.host == first]
        self.assertGreaterEqual(
            totals[place], max(totals) - spreading.MAX_NEAR_TIE)

    def test_sum_that_is_no_number(self):
        """As another weigher may make."""
        self.assertEqual({}, spread(hosts(2), [math.nan] * 2, 0.5, 2))

    def test_cold_host_is_not_put_above_what_cannot_be_raised(self):
        """Its holders weigh all that a host can."""
        candidates = [
            *(candidate(f'cold{place}', Holding.COLD, limit=10, multiplier=5)
              for place in range(9)),
            *(candidate(f'warm{place}', Holding.WARM_RESIZED, limit=10,
                        multiplier=5) for place in range(3))]
        totals = [0.0] * 9 + [5.0] * 3

        for at in points(50):
            first = ranked(candidates, totals, at, 2, [5.0] * 12)[0]

            self.assertIn('warm', first)

    def test_tie_without_a_multiplier_is_not_drawn(self):
        """It cannot be put above the others."""
        candidates = [candidate('none', limit=10, multiplier=0), *hosts(3)]

        found = {ranked(candidates, [1.0] * 4, at, 2)[0]
                 for at in points(50)}

        self.assertEqual(half_of(hosts(3), 0) or {'h0', 'h1', 'h2'}, found)

    def test_only_tie_that_can_be_raised_is_put_above_the_others(self):
        candidates = [candidate('none', limit=10, multiplier=0), *hosts(1)]

        for at in points(20):
            self.assertEqual('h0', ranked(candidates, [1.0, 0.999], at, 2)[0])


def half_of(candidates, number):
    """Return the names of the hosts of one half."""
    return {one.host for one in candidates if spreading.half(one) == number}


class TestHalves(base.TestCase):
    """What is sent on does not meet what is sent there in the first place."""

    def test_first_hosts_and_first_alternates_are_others(self):
        candidates = hosts(10)

        found = [ranked(candidates, [1.0] * 10, at, 2)[:2]
                 for at in points(50)]

        firsts, alternates = map(set, zip(*found, strict=True))
        self.assertEqual(half_of(candidates, 0), firsts)
        self.assertEqual(half_of(candidates, 1), alternates)


class TestAlternates(base.TestCase):

    def alternates(self, candidates, totals=None, at=0.5, number=2):
        totals = totals or [5.0] + [0.0] * (len(candidates) - 1)
        reach = [max(totals) + one.setting.multiplier for one in candidates]
        return ranked(
            candidates, totals, at, number, reach)[1:number + 1]

    def test_differ_from_request_to_request(self):
        candidates = hosts(20)

        found = collections.Counter(
            host for at in points(10)
            for host in self.alternates(candidates, at=at))

        self.assertGreaterEqual(len(found), 10)
        self.assertLessEqual(max(found.values()), 3)

    def test_differ_where_all_hosts_are_equal(self):
        """As in a new cloud."""
        candidates = hosts(20)

        found = collections.Counter(
            host for at in points(10)
            for host in self.alternates(candidates, [1.0] * 20, at))

        self.assertGreaterEqual(len(found), 10)

    def test_are_not_those_that_the_weights_would_name(self):
        """Those would be the same ones for all requests."""
        totals = [9.0, *(place / 10 for place in range(20))]
        candidates = hosts(21)

        found = {tuple(self.alternates(candidates, totals, at))
                 for at in points(10)}

        self.assertGreaterEqual(len(found), 8)

    def test_are_the_same_in_every_process(self):
        """Whatever the order in which it got its hosts."""
        candidates = hosts(9)

        for at in points(20):
            self.assertEqual(
                self.alternates(candidates, [5.0] * 9, at, 4),
                self.alternates(candidates[::-1], [5.0] * 9, at, 4))

    def test_of_one_request_differ(self):
        found = self.alternates(hosts(6), at=0.99, number=5)

        self.assertEqual({'h1', 'h2', 'h3', 'h4', 'h5'}, set(found))

    def test_full_host_is_none(self):
        candidates = [*hosts(4), candidate('full', limit=2, count=2)]

        for at in points(20):
            self.assertNotIn('full', self.alternates(candidates, at=at))

    def test_host_near_its_cap_is_none_if_others_suffice(self):
        candidates = [*hosts(4), candidate('near', limit=10, count=8)]

        for at in points(20):
            self.assertNotIn('near', self.alternates(candidates, at=at))

    def test_busy_host_is_none_if_others_suffice(self):
        for busy in ({'vcpus': 0.9}, {'memory': 0.9}):
            candidates = [*hosts(4, vcpus=0.3, memory=0.3),
                          candidate('busy', limit=10, **busy)]

            for at in points(20):
                self.assertNotIn('busy', self.alternates(candidates, at=at))

    def test_idle_host_is_not_busy(self):
        """In a cloud that is all but empty."""
        candidates = [*hosts(2), candidate('idle', limit=10, vcpus=0.02)]

        self.assertIn('idle', self.alternates(candidates))

    def test_busy_host_is_one_if_others_do_not_suffice(self):
        candidates = [*hosts(2, vcpus=0.1),
                      candidate('busy', limit=10, vcpus=0.9),
                      candidate('full', limit=1, count=1)]

        self.assertEqual(
            ['h1', 'busy'], self.alternates(candidates))

    def test_host_whose_weight_does_not_count_is_none(self):
        """Nothing that is said of it would change its sum."""
        candidates = [*hosts(3), candidate('a', multiplier=0),
                      candidate('b', multiplier=-1)]

        for place in spread(candidates, [5.0, 0.0, 0.0, 0.0, 0.0], 0.5, 4):
            self.assertGreater(candidates[place].setting.multiplier, 0)

    def test_host_that_stays_behind_the_others_is_none(self):
        """Whatever is said of it, nova takes those."""
        candidates = [*hosts(4), candidate('behind', limit=10)]
        totals = [9.0, 5.0, 5.0, 5.0, 0.0]

        for at in points(20):
            sums = spread(candidates, totals, at, 4, [9.0] * 4 + [5.0])

            self.assertEqual({1, 2, 3}, set(sums))

    def test_host_with_fewer_servers_of_the_image_comes_first(self):
        candidates = [*hosts(9, count=1), candidate('a', limit=10),
                      candidate('b', limit=10)]

        for at in points(20):
            self.assertEqual(
                {'a', 'b'}, set(self.alternates(candidates, at=at)))

    def test_no_sum_is_above_its_reach(self):
        sums = spread(
            hosts(5), [9.0] + [0.0] * 4, 0.5, 4, [9.0, 1.0, 2.0, 3.0, 20.0])

        self.assertEqual(
            {1: 1.0, 2: 2.0, 3: 3.0},
            {place: sums[place] for place in (1, 2, 3)})
        self.assertTrue(9 - spreading.MAX_NEAR_TIE < sums[4] < 9)

    def test_none_are_wanted(self):
        self.assertEqual({}, spread(hosts(3), [5.0, 0.0, 0.0], 0.5, 0))

    @hypothesis.given(CANDIDATES, TOTALS, POINTS, st.integers(0, 4))
    def test_are_drawn_once_and_have_room(
            self, candidates, totals, at, alternates):
        totals = totals[:len(candidates)]

        reach = reach_of(candidates, totals)
        sums = spread(candidates, totals, at, alternates, reach)

        best = [place for place, wanted in sums.items()
                if wanted == max(sums.values())]
        self.assertLessEqual(len(sums), alternates + 1)
        for place, wanted in sums.items():
            self.assertLessEqual(wanted, reach[place])
            if place not in best:
                self.assertTrue(candidates[place].has_room)

    @hypothesis.given(CANDIDATES, POINTS, st.integers(0, 4))
    def test_as_many_as_are_wanted_and_there(
            self, candidates, at, alternates):
        totals = [5.0] + [0.0] * (len(candidates) - 1)
        there = sum(one.has_room and one.setting.multiplier > 0
                    for one in candidates[1:])

        sums = spread(candidates, totals, at, alternates, [9.0] + [
            9.0 if one.setting.multiplier > 0 else -math.inf
            for one in candidates[1:]])

        self.assertEqual(min(alternates, there), len(sums))

    def test_sums_differ_by_less_than_weights_matter(self):
        """What is drawn must not outweigh what is not to be outweighed."""
        sums = spread(
            hosts(20, multiplier=5), [5.0] + [0.0] * 19, 0.3, 9)

        self.assertEqual(9, len(sums))
        for wanted in sums.values():
            self.assertTrue(5 - spreading.MAX_NEAR_TIE < wanted < 5)

    def test_calm_means_the_interest_has_not_faded(self):
        """At half of the cap it begins to."""
        for count, faded in ((5, False), (6, True)):
            self.assertEqual(faded, guards.headroom(count, 10) < 1)
            candidates = [*(candidate(f'h{place}', limit=100, count=7)
                            for place in range(3)),
                          candidate('x', limit=10, count=count)]

            found = {host for at in points(20)
                     for host in self.alternates(candidates, at=at)}

            self.assertEqual(faded, 'x' not in found)

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

import dataclasses

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched import fetch_time
from cache_aware_sched.report import Holding
from cache_aware_sched.scheduler import load
from cache_aware_sched.scheduler import scoring
from tests.unit import base
from tests.unit.factories import candidate

MB = 10 ** 6
GB = 10 ** 9
UNKNOWN_RATE = 0


def benefit(size, rate):
    return fetch_time.benefit(fetch_time.fetch_seconds(size, rate))


class TestBenefit(base.TestCase):

    def test_small_image_brings_nothing(self):
        self.assertEqual(0.0, benefit(20 * MB, UNKNOWN_RATE))

    def test_large_image_brings_everything(self):
        self.assertGreater(benefit(20 * GB, UNKNOWN_RATE), 0.99)

    def test_image_of_2_gib_brings_more_than_half(self):
        found = benefit(2 * 2 ** 30, UNKNOWN_RATE)

        self.assertGreater(found, 0.5)
        self.assertLess(found, 0.8)

    def test_unknown_size_brings_nothing(self):
        self.assertEqual(0.0, benefit(0, UNKNOWN_RATE))
        self.assertEqual(0.0, benefit(-1, 1e6))

    def test_slow_fetch_makes_a_small_image_count(self):
        self.assertGreater(benefit(20 * MB, 1 * MB), 0.8)

    def test_fast_fetch_makes_a_large_image_not_count(self):
        self.assertEqual(0.0, benefit(2 * GB, 2 * GB))

    @hypothesis.given(st.integers(0, 2 ** 60), st.floats(-1e3, 1e12))
    def test_is_a_share(self, size, rate):
        found = benefit(size, rate)

        self.assertGreaterEqual(found, 0.0)
        self.assertLessEqual(found, 1.0)

    @hypothesis.given(st.integers(0, 2 ** 50), st.integers(0, 2 ** 50),
                      st.floats(1e3, 1e12))
    def test_larger_image_never_brings_less(self, one, other, rate):
        smaller, larger = sorted((one, other))

        self.assertLessEqual(benefit(smaller, rate), benefit(larger, rate))

    @hypothesis.given(st.integers(0, 2 ** 50), st.floats(1e3, 1e12),
                      st.floats(1e3, 1e12))
    def test_faster_fetch_never_brings_more(self, size, one, other):
        slower, faster = sorted((one, other))

        self.assertGreaterEqual(benefit(size, slower), benefit(size, faster))


class TestHolds(base.TestCase):

    def test_every_holding_has_a_share(self):
        self.assertEqual(set(Holding), set(scoring.HOLDS))

    def test_more_is_worth_more(self):
        order = (Holding.COLD, Holding.ARRIVING, Holding.WARM,
                 Holding.WARM_RESIZED)
        shares = [scoring.HOLDS[holding] for holding in order]

        self.assertEqual(sorted(set(shares)), shares)
        self.assertEqual((0.0, 1.0), (shares[0], shares[-1]))


class TestScore(base.TestCase):
    """Without a gate or a cap if nothing else is said."""

    SIZE = 20 * GB

    def demand(self, **changes):
        return dataclasses.replace(scoring.Demand(
            self.SIZE, 1, avoid=False, idle=load.Idle(20, 20)), **changes)

    def weights(self, *candidates, **demand):
        return [round(weight, 6) for weight in scoring.score(
            candidates, self.demand(**demand)).weights]

    def holders(self, *holdings, **kwargs):
        return [candidate(f'h{place}', holding, **kwargs)
                for place, holding in enumerate(holdings)]

    def test_weight_is_what_the_host_saves(self):
        all_ = benefit(self.SIZE, UNKNOWN_RATE)
        known = [Holding.WARM_RESIZED, Holding.WARM, Holding.ARRIVING,
                 Holding.COLD]

        self.assertEqual(
            [round(all_ * scoring.HOLDS[holding], 6) for holding in known],
            self.weights(*self.holders(*known)))

    def test_unknown_weighs_what_the_others_average(self):
        weights = self.weights(*self.holders(
            Holding.WARM, Holding.UNKNOWN, Holding.COLD, Holding.UNKNOWN))

        self.assertEqual([weights[0], weights[0] / 2, 0, weights[0] / 2],
                         weights)

    def test_nobody_holds_it(self):
        self.assertEqual([0.0, 0.0], self.weights(
            *self.holders(Holding.COLD, Holding.UNKNOWN)))

    def test_nobody_reports(self):
        self.assertEqual([0.0, 0.0], self.weights(
            *self.holders(Holding.UNKNOWN, Holding.UNKNOWN)))

    def test_no_candidates(self):
        self.assertEqual([], self.weights())

    def test_host_on_which_the_image_arrives(self):
        """A server of it was just placed there: it is fetched by one host."""
        cold, fetching = (candidate('a', Holding.COLD), candidate(
            'b', Holding.COLD, arriving=True))

        weights = self.weights(cold, fetching)

        self.assertEqual(
            [0.0, *self.weights(*self.holders(Holding.ARRIVING))], weights)

    def test_image_does_not_arrive_where_nothing_is_kept(self):
        rbd = candidate('rbd', Holding.COLD, arriving=True, caches=False)

        self.assertEqual([0.0], self.weights(rbd))

    def test_arriving_takes_nothing_from_what_is_there(self):
        self.assertEqual(
            self.weights(*self.holders(Holding.WARM, Holding.UNKNOWN)),
            self.weights(*self.holders(
                Holding.WARM, Holding.UNKNOWN, arriving=True)))

    def test_avoid(self):
        weights = self.weights(*self.holders(
            Holding.WARM_RESIZED, Holding.WARM, Holding.COLD), avoid=True)

        self.assertEqual(0.0, weights[0])
        self.assertLess(weights[1], weights[2])

    def test_negative_multiplier_pushes_full_and_busy_hosts_away_too(self):
        pushed = [candidate('a', multiplier=-1, count=5, limit=2, vcpus=0.9,
                            memory=0.9),
                  candidate('b', multiplier=-1)]

        weights = self.weights(*pushed)

        self.assertEqual(weights[0], weights[1])
        self.assertGreater(weights[0], 0.9)

    def test_avoid_with_a_negative_multiplier_is_not_turned_around(self):
        hosts = self.holders(Holding.WARM, Holding.COLD, multiplier=-1)

        weights = self.weights(*hosts, avoid=True)

        self.assertGreater(weights[0], weights[1])

    def test_multiplier_of_0_weighs_nothing(self):
        weights = self.weights(
            candidate('a', multiplier=0), candidate('b', multiplier=1))

        self.assertEqual(0.0, weights[0])
        self.assertGreater(weights[1], 0.9)

    def test_headroom(self):
        whole, none = self.weights(candidate(), candidate('full', limit=4,
                                                          count=4))
        [half] = self.weights(candidate(count=3, limit=4))

        self.assertEqual((round(whole / 2, 6), 0.0), (half, none))

    def test_headroom_for_all_that_an_affinity_group_still_places(self):
        one, three = (candidate(count=1, limit=4, needed=needed)
                      for needed in (1, 3))

        self.assertEqual([1.0, 0.5], [
            scoring.score([host], self.demand())[0].headroom
            for host in (one, three)])

    def test_size_that_hosts_tell(self):
        self.assertEqual(
            self.weights(candidate()),
            self.weights(candidate(size=self.SIZE), image_size=0))

    def test_size_that_nobody_tells(self):
        self.assertEqual([0.0], self.weights(candidate(), image_size=0))

    def test_rate_is_that_of_the_middle_host(self):
        """Of one that fetches absurdly fast, the cache is somewhere else."""
        rates = (64, 64, 0, 64, 2 ** 20)
        found = scoring.score(
            [candidate(f'h{place}', rate=rate)
             for place, rate in enumerate(rates)], self.demand())

        self.assertAlmostEqual(self.SIZE / 64e6, found.seconds)

    def test_only_fast_host_of_two_does_not_zero_the_benefit(self):
        found = scoring.score(
            [candidate('a', rate=64), candidate('b', rate=2 ** 20)],
            self.demand())

        self.assertAlmostEqual(self.SIZE / 64e6, found.seconds)

    def test_seconds_are_known_where_nobody_reports(self):
        found = scoring.score(
            self.holders(Holding.UNKNOWN), self.demand())

        self.assertAlmostEqual(
            fetch_time.fetch_seconds(self.SIZE, 0), found.seconds)

    def test_reasons_are_given(self):
        found = scoring.score([candidate(
            'warm', count=3, limit=4), candidate('cold', Holding.COLD)],
            self.demand())

        self.assertEqual([0], found.scored)
        for part in ('warm', 'headroom 0.50', 'count 3', 'cap 4'):
            self.assertIn(part, str(found[0]))

    @hypothesis.given(st.lists(st.builds(
        candidate, holding=st.sampled_from(Holding),
        count=st.integers(0, 20), limit=st.integers(0, 20),
        multiplier=st.floats(-100, 100), vcpus=st.floats(0, 5),
        memory=st.floats(0, 5), needed=st.integers(1, 50),
        rate=st.integers(0, 2 ** 20), arriving=st.booleans(),
        packs_vcpus=st.booleans()), max_size=6),
        st.integers(0, 2 ** 50), st.booleans())
    def test_weights_are_shares(self, hosts, size, avoid):
        for weight in scoring.score(hosts, self.demand(
                image_size=size, avoid=avoid)).weights:
            self.assertTrue(0.0 <= weight <= 1.0)


class TestGates(base.TestCase):
    """Hosts of 1,000 vCPUs and MiB; 20 of each are nothing."""

    def gates(self, vcpus, memory, multiplier=1.0, seconds=100.0, **kwargs):
        """Return how far the gates are open, with a width of 0.1."""
        hosts = [candidate(f'h{place}', vcpus=vcpus[place],
                           memory=memory[place], multiplier=multiplier,
                           **kwargs) for place in range(len(vcpus))]
        found = scoring.score(hosts, scoring.Demand(
            int(seconds * fetch_time.DEFAULT_FETCH_RATE), 1, avoid=False,
            idle=load.Idle(20, 20)))
        return [round(found[place].gate, 6)
                for place in range(len(hosts))]

    def test_busiest_resource_decides(self):
        self.assertEqual([1.0, 0.0, 0.0], self.gates(
            vcpus=[0.0, 0.0, 1.0], memory=[0.1, 0.7, 0.1]))
        self.assertEqual([1.0, 1.0, 0.0], self.gates(
            vcpus=[0.0, 0.0, 1.0], memory=[0.1, 0.1, 0.1]))

    def test_closes(self):
        average = 0.5
        self.assertEqual([0.5, 1.0], self.gates(
            vcpus=[average * 1.05, average * 0.95], memory=[0.1] * 2))

    def test_memory_may_be_used_less_evenly(self):
        """Servers want very different amounts of it."""
        shares = [0.3, 0.6, 0.6]

        self.assertEqual([1.0, 0.0, 0.0], self.gates(
            vcpus=shares, memory=[0.5] * 3))
        self.assertEqual([1.0, 0.75, 0.75], self.gates(
            vcpus=[0.5] * 3, memory=shares))

    def test_width_grows_with_the_multiplier_up_to_a_limit(self):
        shares = [0.4, 0.6]

        self.assertEqual([1.0, 0.0], self.gates(shares, [0.1] * 2))
        self.assertEqual([1.0, 0.5], self.gates(
            shares, [0.1] * 2, multiplier=4.0))
        self.assertEqual([1.0, 0.6], self.gates(
            shares, [0.1] * 2, multiplier=1000.0))

    def test_hosts_that_are_no_holders_count_for_the_average(self):
        busy = candidate('busy', vcpus=0.5)
        idle = [candidate(f'cold{number}', Holding.COLD, vcpus=0.1)
                for number in range(3)]

        [weight, *_] = scoring.score([busy, *idle], scoring.Demand(
            20 * GB, 1, avoid=False, idle=load.Idle(20, 20))).weights

        self.assertEqual(0.0, weight)

    def test_idle_hosts(self):
        """In an almost empty cloud one server is many times the average."""
        self.assertEqual([1.0, 0.0, 1.0], self.gates(
            vcpus=[0.02, 0.022, 0.0], memory=[0.0] * 3))
        self.assertEqual([1.0, 0.0, 1.0], self.gates(
            vcpus=[0.0] * 3, memory=[0.02, 0.04, 0.0]))

    def test_hosts_of_which_nothing_is_known(self):
        self.assertEqual([1.0, 1.0], self.gates(
            vcpus=[0.0] * 2, memory=[0.0] * 2, capacity=0))

    def test_open_for_vcpus_where_they_are_packed(self):
        """nova's own weigher wants the host to be busy."""
        self.assertEqual([1.0, 1.0], self.gates(
            vcpus=[0.0, 1.0], memory=[0.1] * 2, packs_vcpus=True))

    def test_open_for_memory_where_it_is_packed(self):
        self.assertEqual([1.0, 1.0], self.gates(
            vcpus=[0.1] * 2, memory=[0.0, 1.0], packs_memory=True))

    def test_the_other_resource_still_decides_where_one_is_packed(self):
        self.assertEqual([1.0, 0.0], self.gates(
            vcpus=[0.0, 1.0], memory=[0.0, 1.0], packs_memory=True))
        self.assertEqual([1.0, 0.0], self.gates(
            vcpus=[0.0, 1.0], memory=[0.0, 1.0], packs_vcpus=True))

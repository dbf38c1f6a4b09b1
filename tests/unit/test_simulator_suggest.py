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
import math
import random

import hypothesis
from hypothesis import strategies

from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator import suggest
from tests import simulator_results
from tests.unit import base

TB = 10 ** 12


@dataclasses.dataclass
class Cloud:
    """What runs make of multipliers: more is less to fetch, and less even."""

    slope: float = 0.1
    even: float = 0.14
    refused: int = 0
    refused_by_stock: int = 0
    same_image: int = 10
    floor: float = 5.0
    rescheduled: int = 0
    #: Whether it is because of placements that were forgotten.
    forgets: bool = False

    def __post_init__(self):
        self.batches = []

    def multiplier(self, policy):
        lines = policy.fragment.splitlines()
        return next(float(line.split('=')[1]) for line in reversed(lines)
                    if line.startswith('image_cache_weight_multiplier'))

    def result(self, policy):
        if policy.kind == policy_mod.STOCK:
            return simulator_results.of_policy(
                policy, fetched_bytes=40 * TB, vcpu_imbalance=self.even,
                refused=self.refused_by_stock, max_same_image=30)
        multiplier = self.multiplier(policy)
        remembers = (self.forgets and 'recent_placement_seconds = 60'
                     in policy.fragment)
        return simulator_results.of_policy(
            policy, vcpu_imbalance=self.imbalance(multiplier),
            fetched_bytes=int(self.fetched(multiplier) * TB),
            refused=0 if remembers else self.refused,
            rescheduled=0 if remembers else self.rescheduled,
            max_same_image=self.same_image)

    def imbalance(self, multiplier):
        return self.even + self.slope * multiplier

    def fetched(self, multiplier):
        return self.floor + (40 - self.floor) * math.exp(-multiplier)

    def run(self, policies):
        self.batches.append(len(policies))
        return [self.result(policy) for policy in policies]

    def search(self, max_imbalance=0.3, max_same_image=10, **how):
        return suggest.search(
            self.run, suggest.SearchLimits(max_imbalance, max_same_image),
            **how)


class Rough(Cloud):
    """A cloud whose imbalance is anything at each multiplier."""

    def __init__(self, seed):
        super().__init__()
        self._seed = seed

    def imbalance(self, multiplier):
        return 0.6 * random.Random(f'{self._seed} {multiplier}').random()


class SearchTests(base.TestCase):

    def test_largest_multiplier_within_the_imbalance(self):
        cloud = Cloud()

        found = cloud.search(max_imbalance=0.31)

        # 1.8, the next, has 0.32
        self.assertEqual(1.6, found.best.multiplier)
        self.assertEqual((), found.best.missed)

    def test_the_cap_is_what_may_be_on_a_host(self):
        found = Cloud().search(max_same_image=10)

        self.assertIn('max_same_image_instances_per_host = 10\n',
                      found.best.policy.fragment)

    def test_other_options_stay(self):
        found = Cloud().search(
            base=policy_mod.ours(
                'mine', '[cache_aware_sched]\nsame_image_scope = project'))

        self.assertEqual(
            ['[cache_aware_sched]', 'same_image_scope = project',
             '[cache_aware_sched]'],
            found.best.policy.fragment.splitlines()[:3])

    def test_stock_is_what_was_given(self):
        stock = policy_mod.stock('[DEFAULT]\n')
        seen = []

        def run(policies):
            seen.extend(policies)
            return Cloud().run(policies)

        suggest.search(run, suggest.SearchLimits(0.3, 10), stock)

        self.assertEqual([stock], [policy for policy in seen
                                   if policy.kind == policy_mod.STOCK])

    def test_no_more_than_brings_something(self):
        """Above 5 the images are fetched once, whatever the multiplier."""
        cloud = Cloud(slope=0.0)

        found = cloud.search()

        self.assertLess(cloud.fetched(found.best.multiplier),
                        cloud.floor + suggest.NEGLIGIBLE * 40)
        self.assertLess(found.best.multiplier, max(suggest.MULTIPLIERS))

    def test_few_runs(self):
        for workers, most in ((1, 8), (2, 10), (8, 20)):
            cloud = Cloud()

            cloud.search(workers=workers)

            self.assertLessEqual(sum(cloud.batches), most)
            self.assertLessEqual(max(cloud.batches), max(workers, 2))

    @hypothesis.given(strategies.integers(0, 2 ** 30),
                      strategies.integers(2, 70))
    def test_the_same_whatever_the_workers_are(self, seed, workers):
        """Even where the figures go up and down with the multiplier."""
        def search(number):
            cloud = Rough(seed)
            cloud.refused, cloud.forgets = seed % 2, True
            found = suggest.search(
                cloud.run, suggest.SearchLimits(0.3, 10), workers=number)
            return found, len(cloud.batches)

        alone, rounds = search(1)
        together, fewer = search(workers)

        self.assertEqual(alone, together)
        self.assertLessEqual(fewer, rounds)

    def test_no_run_for_what_brings_nothing(self):
        """Both ends of what is left fetch the same."""
        cloud = Cloud(floor=40.0)

        cloud.search()

        self.assertEqual([2], cloud.batches[:1])
        self.assertLess(len(cloud.batches), 5)

    def test_nothing_keeps_to_the_imbalance(self):
        found = Cloud().search(max_imbalance=0.1)

        self.assertIsNone(found.best)
        self.assertEqual(0.0, found.closest.multiplier)
        self.assertEqual(('its vCPU imbalance is 0.140',),
                         found.closest.missed)

    def test_nothing_is_suggested_where_no_server_is_placed(self):
        found = Cloud(refused=1000, refused_by_stock=1000).search()

        self.assertIsNone(found.best)
        self.assertEqual(('it placed no server, so nothing is known of it',),
                         found.closest.missed)

    def test_nothing_refuses_as_few_as_stock(self):
        found = Cloud(refused=5).search()

        self.assertIsNone(found.best)
        self.assertEqual(('it refused 5 servers more than stock nova',),
                         found.closest.missed)

    def test_placements_are_remembered_for_longer(self):
        """Where servers are refused because they are forgotten too early."""
        found = Cloud(refused=5, forgets=True).search()

        self.assertIn('recent_placement_seconds = 60',
                      found.best.policy.own.splitlines())
        self.assertEqual(Cloud().search().best.multiplier,
                         found.best.multiplier)

    def test_servers_that_are_sent_on(self):
        """Also where all find a host in the end."""
        found = Cloud(rescheduled=5, forgets=True).search()

        self.assertIn('recent_placement_seconds = 60',
                      found.best.policy.own.splitlines())

    def test_what_does_not_help_is_not_suggested(self):
        for cloud in (Cloud(), Cloud(rescheduled=5), Cloud(refused=5)):
            found = cloud.search()

            self.assertNotIn('recent_placement_seconds',
                             found.closest.policy.fragment)

    def test_placements_that_are_remembered_anyway(self):
        found = Cloud(refused=5, forgets=True).search(base=policy_mod.ours(
            fragment='[cache_aware_sched]\nrecent_placement_seconds = 90\n'))

        self.assertIsNone(found.best)

    def test_servers_above_the_cap(self):
        """A cap for each project lets more of all projects share a host."""
        found = Cloud(same_image=17).search()

        self.assertIsNone(found.best)
        self.assertEqual(('17 servers of one image were on one host',),
                         found.closest.missed)

    def test_trials_are_by_multiplier(self):
        multipliers = [trial.multiplier
                       for trial in Cloud().search(workers=3).trials]

        self.assertEqual(sorted(set(multipliers)), multipliers)

    def test_limits_that_nothing_can_keep_to(self):
        for limits in ((0.0, 1), (-1.0, 1), (math.nan, 1), (0.3, 0)):
            self.assertRaises(ValueError, suggest.SearchLimits, *limits)

    @hypothesis.given(
        strategies.floats(0, 10), strategies.floats(0.01, 1),
        strategies.floats(0.01, 3), strategies.floats(0, 40),
        strategies.integers(1, 9))
    def test_nothing_better_was_there_to_find(
            self, slope, even, limit, floor, workers):
        cloud = Cloud(slope=slope, even=even, floor=floor)

        found = cloud.search(max_imbalance=limit, workers=workers)

        good = [multiplier for multiplier in suggest.MULTIPLIERS
                if cloud.imbalance(multiplier) <= limit]
        self.assertEqual(bool(good), found.best is not None)
        if found.best:
            self.assertIn(found.best.multiplier, good)
            self.assertLessEqual(
                cloud.fetched(found.best.multiplier),
                min(map(cloud.fetched, good))
                + 2 * suggest.NEGLIGIBLE * 40 + 1e-9)


class TestBestHost(base.TestCase):
    """nova may pick among several hosts, which undoes the weigher."""

    def test_is_asked_for_where_nova_would_pick(self):
        fragment = '[filter_scheduler]\nhost_subset_size = 10\n'

        suggested = suggest.ours(
            policy_mod.ours(fragment=fragment), 5.0, 10).fragment

        self.assertEqual(10, suggest.subset_size(fragment))
        self.assertEqual(1, suggest.subset_size(suggested))

    def test_is_not_mentioned_otherwise(self):
        self.assertNotIn(
            'host_subset_size',
            suggest.ours(policy_mod.ours(), 5.0, 10).fragment)

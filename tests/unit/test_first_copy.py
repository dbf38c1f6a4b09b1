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

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.report import Holding
from cache_aware_sched.scheduler import first_copy
from cache_aware_sched.scheduler import load
from cache_aware_sched.scheduler import scoring
from tests.unit import base
from tests.unit import factories
from tests.unit.factories import candidate

GIB = factories.GIB


def cold(name, vcpus, **kwargs):
    return candidate(name, Holding.COLD, vcpus=vcpus, **kwargs)


class TestCalm(base.TestCase):

    @hypothesis.given(st.floats(0, 100), st.floats(0, 100))
    def test_is_between_0_and_1(self, one, other):
        busiest = max(one, other)

        self.assertEqual(0.0, first_copy.calm(busiest, busiest))
        self.assertTrue(0 <= first_copy.calm(one, busiest) <= 1)

    def test_falls_evenly(self):
        for load_, calm in ((0.0, 1.0), (0.2, 0.75), (0.4, 0.5), (0.8, 0.0)):
            self.assertAlmostEqual(calm, first_copy.calm(load_, 0.8))


class TestEase(base.TestCase):

    def eased(self, *candidates, before=None, avoid=False, size=20 * GIB):
        """Return the weights before and after."""
        demand = scoring.Demand(size, 1, avoid, load.Idle(0, 0))
        scores = scoring.score(candidates, demand)
        plain = list(scores.weights)
        first_copy.ease(candidates, demand, scores,
                        before or [0.0] * len(candidates))
        return plain, scores.weights

    def assert_unchanged(self, *candidates, **kwargs):
        plain, eased = self.eased(*candidates, **kwargs)

        self.assertEqual(plain, eased)

    def test_least_busy_host_weighs_most(self):
        _plain, weights = self.eased(
            cold('a', 0.8), cold('b', 0.6), cold('c', 0.7))

        self.assertAlmostEqual(0.0, weights[0])
        self.assertAlmostEqual(0.5, weights[1])
        self.assertAlmostEqual(0.25, weights[2])

    def test_sum_does_not_depend_on_the_multiplier(self):
        for multiplier in (2.0, 5.0, 50.0):
            _plain, weights = self.eased(
                cold('a', 0.8, multiplier=multiplier),
                cold('b', 0.4, multiplier=multiplier))

            self.assertAlmostEqual(
                first_copy.FIRST_COPY_SUM / 2, multiplier * weights[1])

    def test_weight_is_at_most_1(self):
        _plain, weights = self.eased(
            cold('a', 0.8, multiplier=0.1), cold('b', 0.1, multiplier=0.1))

        self.assertEqual(1.0, weights[1])

    def test_nothing_changes_where_a_warm_host_leads(self):
        self.assert_unchanged(
            cold('a', 0.8), cold('b', 0.1), candidate('warm'))

    def test_warm_host_that_does_not_lead_is_left_alone(self):
        plain, weights = self.eased(
            cold('a', 0.8), cold('b', 0.1), candidate('warm'),
            before=[5.0, 5.0, 0.0])

        self.assertGreater(weights[1], 0.0)
        self.assertEqual(plain[2], weights[2])

    def test_nothing_changes_where_an_unknown_host_leads(self):
        self.assert_unchanged(
            cold('a', 0.8), cold('b', 0.1),
            candidate('unknown', Holding.UNKNOWN), before=[0.0, 0.0, 1.0])

    def test_nothing_changes_for_who_avoids_the_image(self):
        self.assert_unchanged(cold('a', 0.8), cold('b', 0.1), avoid=True)

    def test_nothing_changes_where_vcpus_are_packed(self):
        self.assert_unchanged(*(
            cold(str(vcpus), vcpus, packs_vcpus=True)
            for vcpus in (0.8, 0.1)))

    def test_nothing_changes_where_the_image_is_not_cached(self):
        self.assert_unchanged(*(
            cold(str(vcpus), vcpus, caches=False) for vcpus in (0.8, 0.1)))

    def test_nothing_changes_without_a_positive_multiplier(self):
        for multiplier in (0.0, -1.0):
            self.assert_unchanged(*(
                cold(str(vcpus), vcpus, multiplier=multiplier)
                for vcpus in (0.8, 0.1)))

    def test_nothing_changes_for_a_fetch_that_nobody_notices(self):
        self.assert_unchanged(cold('a', 0.8), cold('b', 0.1), size=1000)

    def test_host_that_fetches_it_already_is_no_first_one(self):
        self.assert_unchanged(
            cold('a', 0.8), cold('b', 0.1),
            cold('arriving', 0.0, arriving=True))

    def test_hosts_that_are_equally_busy(self):
        for vcpus in (0.0, 0.5):
            self.assert_unchanged(cold('a', vcpus), cold('b', vcpus))

    def test_only_hosts_that_may_be_taken_are_raised(self):
        """And in the order in which all would be."""
        number = 3 * first_copy.RAISED
        hosts = [cold(f'h{place}', 1 - place / number / 3)
                 for place in range(number)]

        _plain, weights = self.eased(*hosts)

        raised = number - first_copy.RAISED
        self.assertEqual({0.0}, set(weights[:raised]))
        self.assertEqual(sorted(set(weights[raised:])), weights[raised:])

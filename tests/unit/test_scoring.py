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
from cache_aware_sched.scheduler import scoring
from tests.unit import base

MB = 10 ** 6
GB = 10 ** 9
UNKNOWN_RATE = 0

LOADS = st.floats(0, 100)


def benefit(size, rate):
    return scoring.benefit(scoring.fetch_seconds(size, rate))


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


class TestHeadroom(base.TestCase):

    def test_no_cap(self):
        for count in (0, 1, 10 ** 6):
            self.assertEqual(1.0, scoring.headroom(count, 0))

    def test_cap_of_one(self):
        self.assertEqual(1.0, scoring.headroom(0, 1))
        self.assertEqual(0.0, scoring.headroom(1, 1))

    def test_cap_of_two(self):
        self.assertEqual(1.0, scoring.headroom(0, 2))
        self.assertGreater(scoring.headroom(1, 2), 0.0)
        self.assertEqual(0.0, scoring.headroom(2, 2))

    def test_fades(self):
        faded = [scoring.headroom(count, 10) for count in range(11)]

        self.assertEqual([1.0] * 6, faded[:6])
        for place in range(6, 11):
            self.assertLess(faded[place], faded[place - 1])

    def test_none_at_and_above_the_cap(self):
        for cap in (1, 2, 3, 10, 10 ** 5):
            self.assertEqual(0.0, scoring.headroom(cap, cap))
            self.assertEqual(0.0, scoring.headroom(cap + 1, cap))

    @hypothesis.given(st.integers(1, 10 ** 5), st.integers(0, 10 ** 6))
    def test_is_a_share_and_positive_below_the_cap_only(self, cap, count):
        headroom = scoring.headroom(count, cap)

        self.assertLessEqual(headroom, 1.0)
        self.assertGreaterEqual(headroom, 0.0)
        self.assertEqual(count < cap, headroom > 0)


class TestGate(base.TestCase):
    """With an average load of 0.5 if nothing else is said."""

    SECONDS = scoring.BENEFIT_SECONDS
    WIDTH = 0.5 * scoring.GATE_WIDTH

    def gate(self, load, average=0.5, seconds=SECONDS):
        return scoring.gate(
            load, average, scoring.gate_width(average, seconds))

    def test_open_up_to_the_average(self):
        for load in (0.0, 0.4, 0.5):
            self.assertEqual(1.0, self.gate(load))

    def test_closes_above_the_average(self):
        self.assertAlmostEqual(0.5, self.gate(0.5 + self.WIDTH / 2))

    def test_shut_far_above_the_average(self):
        for load in (0.5 + 1.001 * self.WIDTH, 0.9, 1.0, 50.0):
            self.assertEqual(0.0, self.gate(load))

    def test_almost_empty_cloud(self):
        """Three hosts: one server more than the others have is no load."""
        one = 0.2 * scoring.MIN_GATE_WIDTH

        self.assertGreater(self.gate(2 * one, average=4 / 3 * one), 0.5)

    def test_long_fetch_is_worth_more_load(self):
        load = 0.5 + 1.5 * self.WIDTH

        self.assertEqual(0.0, self.gate(load))
        self.assertAlmostEqual(0.25, self.gate(load, seconds=4 * self.SECONDS))

    def test_busiest_resource_decides(self):
        vcpus, memory = [0.0, 0.0, 1.0], [0.1, 0.7, 0.1]

        self.assertEqual([1.0, 0.0, 0.0], scoring.gates(
            (vcpus, memory), [0, 1, 2], self.SECONDS))
        self.assertEqual([1.0, 1.0, 0.0], scoring.gates(
            (vcpus,), [0, 1, 2], self.SECONDS))

    def test_some_of_the_hosts(self):
        self.assertEqual([0.0, 1.0], scoring.gates(
            ([0.0, 0.0, 1.0],), [2, 0], self.SECONDS))

    @hypothesis.given(LOADS, LOADS, st.floats(0, 1e6))
    def test_is_a_share(self, load, average, seconds):
        self.assertTrue(0.0 <= self.gate(load, average, seconds) <= 1.0)

    @hypothesis.given(LOADS, LOADS, LOADS)
    def test_busier_host_is_never_liked_more(self, one, other, average):
        idler, busier = sorted((one, other))

        self.assertGreaterEqual(self.gate(idler, average),
                                self.gate(busier, average))


class TestMean(base.TestCase):

    def test_mean(self):
        self.assertEqual(2.0, scoring.mean(iter((1, 2, 3))))

    def test_of_nothing(self):
        self.assertEqual(0.0, scoring.mean(()))

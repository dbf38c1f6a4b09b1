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
from cache_aware_sched.scheduler import load
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


class TestGateWidth(base.TestCase):

    def test_twice_as_busy_for_a_vcpu_that_would_wait_so_long(self):
        """As the constant promises, were that not above what may be."""
        for vcpus in (1, 4):
            self.assertAlmostEqual(0.1, scoring.gate_width(
                1.0, scoring.GATE_SECONDS * vcpus / 10, vcpus))

    def test_grows_with_what_is_saved(self):
        self.assertAlmostEqual(3 * scoring.gate_width(1.0, 5.0, 2),
                               scoring.gate_width(1.0, 15.0, 2))

    def test_larger_server_may_unbalance_less(self):
        self.assertAlmostEqual(scoring.gate_width(3.0, 10.0, 1) / 8,
                               scoring.gate_width(3.0, 10.0, 8))

    def test_grows_with_the_multiplier(self):
        self.assertAlmostEqual(3 * scoring.gate_width(1.0, 10.0, 2),
                               scoring.gate_width(3.0, 10.0, 2))

    def test_of_a_server_without_vcpus(self):
        self.assertEqual(scoring.gate_width(3.0, 10.0, 1),
                         scoring.gate_width(3.0, 10.0, 0))

    @hypothesis.given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0))
    def test_has_a_limit_at_any_multiplier(self, multiplier, seconds, vcpus):
        width = scoring.gate_width(multiplier, seconds, vcpus)

        self.assertTrue(0.0 <= width <= scoring.MAX_GATE_WIDTH)


class TestGate(base.TestCase):
    """With an average load of 0.5 if nothing else is said."""

    WIDTH = 0.1

    def gate(self, share, average=0.5, width=WIDTH, idle=0.0):
        return scoring.gate(share, average, width, idle)

    def test_open_up_to_the_average(self):
        for share in (0.0, 0.4, 0.5):
            self.assertEqual(1.0, self.gate(share))

    def test_closes_above_the_average(self):
        self.assertAlmostEqual(0.5, self.gate(0.525))

    def test_shut_far_above_the_average(self):
        for share in (0.5501, 0.9, 1.0, 50.0):
            self.assertEqual(0.0, self.gate(share))

    def test_open_for_an_idle_host(self):
        """In an almost empty cloud one server is many times the average."""
        self.assertEqual(1.0, self.gate(0.04, average=0.001, idle=0.04))

    def test_closes_above_what_is_idle(self):
        self.assertAlmostEqual(
            0.75, self.gate(0.041, average=0.04, idle=0.04))
        self.assertEqual(0.0, self.gate(0.05, average=0.001, idle=0.04))

    def test_without_width_shut_above_the_average(self):
        self.assertEqual(1.0, self.gate(0.5, width=0.0))
        self.assertEqual(0.0, self.gate(0.50001, width=0.0))

    @hypothesis.given(LOADS, LOADS, st.floats(0, 1), st.floats(0, 1))
    def test_is_a_share(self, share, average, width, idle):
        self.assertTrue(0.0 <= self.gate(share, average, width, idle) <= 1.0)

    @hypothesis.given(LOADS, LOADS, LOADS)
    def test_busier_host_is_never_liked_more(self, one, other, average):
        idler, busier = sorted((one, other))

        self.assertGreaterEqual(self.gate(idler, average),
                                self.gate(busier, average))


class TestGates(base.TestCase):
    """Hosts of 1,000 vCPUs and MiB; 20 of each are nothing."""

    def gates(self, places, vcpus, memory, widths=None):
        loads = load.Loads(
            load.Load(vcpus, [1000] * len(vcpus), 20),
            load.Load(memory, [1000] * len(memory), 20))
        return [round(gate, 6) for gate in scoring.gates(
            loads, places, widths or [0.1] * len(places))]

    def test_busiest_resource_decides(self):
        self.assertEqual([1.0, 0.0, 0.0], self.gates(
            [0, 1, 2], vcpus=[0.0, 0.0, 1.0], memory=[0.1, 0.7, 0.1]))
        self.assertEqual([1.0, 1.0, 0.0], self.gates(
            [0, 1, 2], vcpus=[0.0, 0.0, 1.0], memory=[0.1, 0.1, 0.1]))

    def test_memory_may_be_used_less_evenly(self):
        """Servers want very different amounts of it."""
        shares = [0.3, 0.6, 0.6]

        self.assertEqual([1.0, 0.0], self.gates(
            [0, 1], vcpus=shares, memory=[0.5] * 3))
        self.assertEqual([0.75], self.gates(
            [1], vcpus=[0.5] * 3, memory=shares))

    def test_some_of_the_hosts(self):
        self.assertEqual([0.0, 1.0], self.gates(
            [2, 0], vcpus=[0.0, 0.0, 1.0], memory=[0.1] * 3))

    def test_each_host_has_its_width(self):
        self.assertEqual([0.0, 0.5], self.gates(
            [1, 2], vcpus=[0.4, 0.55, 0.55], memory=[0.1] * 3,
            widths=[0.1, 0.2]))

    def test_idle_hosts(self):
        """In an almost empty cloud one server is many times the average."""
        self.assertEqual([1.0, 0.0, 1.0], self.gates(
            [0, 1, 2], vcpus=[0.02, 0.022, 0.0], memory=[0.0] * 3))
        self.assertEqual([1.0, 0.0, 1.0], self.gates(
            [0, 1, 2], vcpus=[0.0] * 3, memory=[0.02, 0.04, 0.0]))

    def test_hosts_of_which_nothing_is_known(self):
        loads = load.Loads(*(load.Load([0.0] * 2, [0.0] * 2, 4) for _ in '12'))

        self.assertEqual([1.0, 1.0], scoring.gates(loads, [0, 1], [0.1] * 2))


class TestMean(base.TestCase):

    def test_mean(self):
        self.assertEqual(2.0, scoring.mean(iter((1, 2, 3))))

    def test_of_nothing(self):
        self.assertEqual(0.0, scoring.mean(()))

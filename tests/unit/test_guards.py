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

from cache_aware_sched import guards
from tests.unit import base

LOADS = st.floats(0, 100)


class TestHeadroom(base.TestCase):

    def test_no_cap(self):
        for count in (0, 1, 10 ** 6):
            self.assertEqual(1.0, guards.headroom(count, 0))

    def test_cap_of_one(self):
        self.assertEqual(1.0, guards.headroom(0, 1))
        self.assertEqual(0.0, guards.headroom(1, 1))

    def test_cap_of_two(self):
        self.assertEqual(1.0, guards.headroom(0, 2))
        self.assertGreater(guards.headroom(1, 2), 0.0)
        self.assertEqual(0.0, guards.headroom(2, 2))

    def test_fades(self):
        faded = [guards.headroom(count, 10) for count in range(11)]

        self.assertEqual([1.0] * 6, faded[:6])
        for place in range(6, 11):
            self.assertLess(faded[place], faded[place - 1])

    def test_none_at_and_above_the_cap(self):
        for cap in (1, 2, 3, 10, 10 ** 5):
            self.assertEqual(0.0, guards.headroom(cap, cap))
            self.assertEqual(0.0, guards.headroom(cap + 1, cap))

    @hypothesis.given(st.integers(1, 10 ** 5), st.integers(0, 10 ** 6))
    def test_is_a_share_and_positive_below_the_cap_only(self, cap, count):
        headroom = guards.headroom(count, cap)

        self.assertLessEqual(headroom, 1.0)
        self.assertGreaterEqual(headroom, 0.0)
        self.assertEqual(count < cap, headroom > 0)


class TestGateWidth(base.TestCase):

    def test_twice_as_busy_for_a_vcpu_that_would_wait_so_long(self):
        """As the constant promises, were that not above what may be."""
        for vcpus in (1, 4):
            self.assertAlmostEqual(0.1, guards.gate_width(
                1.0, guards.GATE_SECONDS * vcpus / 10, vcpus))

    def test_grows_with_what_is_saved(self):
        self.assertAlmostEqual(3 * guards.gate_width(1.0, 5.0, 2),
                               guards.gate_width(1.0, 15.0, 2))

    def test_larger_server_may_unbalance_less(self):
        self.assertAlmostEqual(guards.gate_width(3.0, 10.0, 1) / 8,
                               guards.gate_width(3.0, 10.0, 8))

    def test_grows_with_the_multiplier(self):
        self.assertAlmostEqual(3 * guards.gate_width(1.0, 10.0, 2),
                               guards.gate_width(3.0, 10.0, 2))

    def test_of_a_server_without_vcpus(self):
        self.assertEqual(guards.gate_width(3.0, 10.0, 1),
                         guards.gate_width(3.0, 10.0, 0))

    @hypothesis.given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0))
    def test_has_a_limit_at_any_multiplier(self, multiplier, seconds, vcpus):
        width = guards.gate_width(multiplier, seconds, vcpus)

        self.assertTrue(0.0 <= width <= guards.MAX_GATE_WIDTH)


class TestGate(base.TestCase):
    """With an average load of 0.5 if nothing else is said."""

    WIDTH = 0.1

    def gate(self, share, average=0.5, width=WIDTH, idle=0.0):
        return guards.gate(share, average, width, idle)

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


class TestMean(base.TestCase):

    def test_mean(self):
        self.assertEqual(2.0, guards.mean([1, 2, 3]))

    def test_of_nothing(self):
        self.assertEqual(0.0, guards.mean(()))

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

import math

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cache_aware_sched.simulator.cloud import bandwidth
from cache_aware_sched.simulator.cloud import loop as loop_mod
from tests.unit import base

FLOWS = st.dictionaries(
    st.sampled_from([f'h{number}' for number in range(8)]),
    st.integers(1, 6), max_size=8)
RATES = st.floats(1, 1e9)


class TestFairRates(base.TestCase):

    def test_hosts_share_their_own_rate(self):
        self.assertEqual(
            {'a': 100.0, 'b': 50.0},
            bandwidth.fair_rates({'a': 1, 'b': 2}, 100.0, 0.0))

    def test_glance_that_is_fast_enough_is_no_limit(self):
        self.assertEqual(
            {'a': 100.0, 'b': 50.0},
            bandwidth.fair_rates({'a': 1, 'b': 2}, 100.0, 200.0))

    def test_glance_gives_each_fetch_the_same(self):
        self.assertEqual(
            {'a': 20.0, 'b': 20.0},
            bandwidth.fair_rates({'a': 1, 'b': 2}, 100.0, 60.0))

    def test_what_a_host_cannot_take_is_for_the_others(self):
        """Nine fetches of one host take all of its 100; 80 are left."""
        self.assertEqual(
            {'a': 80.0, 'b': 100 / 9},
            bandwidth.fair_rates({'a': 1, 'b': 9}, 100.0, 180.0))

    @settings(max_examples=25)
    @given(FLOWS, RATES, RATES)
    def test_nobody_gets_more_than_there_is(self, flows, of_host, of_all):
        rates = bandwidth.fair_rates(flows, of_host, of_all)

        self.assertEqual(flows.keys(), rates.keys())
        self.assertLessEqual(
            sum(flows[host] * rate for host, rate in rates.items()),
            of_all * (1 + 1e-9))
        for host, rate in rates.items():
            self.assertLessEqual(
                rate * flows[host], of_host * (1 + 1e-9))

    @settings(max_examples=25)
    @given(FLOWS, RATES, RATES)
    def test_nothing_is_left_that_somebody_could_use(
            self, flows, of_host, of_all):
        rates = bandwidth.fair_rates(flows, of_host, of_all)

        used = sum(flows[host] * rate for host, rate in rates.items())
        self.assertTrue(math.isclose(
            used, min(of_all, of_host * len(flows)), rel_tol=1e-9))


class TestBandwidth(base.TestCase):

    def setUp(self):
        super().setUp()
        self.loop = loop_mod.Loop()
        self.ends = {}

    def fetch(self, network, name, host, size, at=0.0):
        self.loop.at(at, network.fetch, host, size, lambda: self.note(name))

    def note(self, name):
        self.ends[name] = self.loop.now

    def test_two_fetches_of_a_host_share_its_rate(self):
        """Of 1000 and 500 at 100/s: 500 each at 10 s, then 500 at 100/s."""
        network = bandwidth.Bandwidth(self.loop, 100.0, 0.0)
        self.fetch(network, 'long', 'a', 1000)
        self.fetch(network, 'short', 'a', 500)

        self.loop.run()

        self.assertEqual({'short': 10.0, 'long': 15.0}, self.ends)

    def test_hosts_do_not_disturb_each_other(self):
        network = bandwidth.Bandwidth(self.loop, 100.0, 0.0)
        self.fetch(network, 'a', 'a', 1000)
        self.fetch(network, 'b', 'b', 1000, at=5.0)

        self.loop.run()

        self.assertEqual({'a': 10.0, 'b': 15.0}, self.ends)

    def test_hosts_share_glance(self):
        """Alone for 5 s (500), then both at 50/s: 10 s more for a."""
        network = bandwidth.Bandwidth(self.loop, 100.0, 100.0)
        self.fetch(network, 'a', 'a', 1000)
        self.fetch(network, 'b', 'b', 1000, at=5.0)

        self.loop.run()

        self.assertEqual({'a': 15.0, 'b': 20.0}, self.ends)

    def test_nothing_is_left_under_way(self):
        network = bandwidth.Bandwidth(self.loop, 100.0, 150.0)
        for number in range(5):
            self.fetch(network, number, f'h{number % 2}', 1 + 77 * number,
                       at=number / 3)

        self.loop.run()

        self.assertEqual(0, len(network))
        self.assertEqual(set(range(5)), set(self.ends))

    def test_nothing_to_fetch_takes_no_time(self):
        network = bandwidth.Bandwidth(self.loop, 100.0, 0.0)
        self.fetch(network, 'empty', 'a', 0, at=3.0)

        self.loop.run()

        self.assertEqual({'empty': 3.0}, self.ends)

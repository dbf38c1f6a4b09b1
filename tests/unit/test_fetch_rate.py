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

import itertools

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.virt import fetch_rate
from tests.unit import base


class TestFetchRate(base.TestCase):

    def fetched(self, *rates, size=10 ** 9):
        rate = fetch_rate.FetchRate()
        for mb_per_second in rates:
            rate.add(size, size / (mb_per_second * 1e6))
        return rate.mb_per_second

    def test_nothing_is_known_at_first(self):
        self.assertEqual(0, fetch_rate.FetchRate().mb_per_second)

    def test_is_a_power_of_two(self):
        self.assertEqual(128, self.fetched(128))
        self.assertEqual(128, self.fetched(110))
        self.assertEqual(1, self.fetched(0.01))

    def test_one_slow_fetch_does_not_change_it(self):
        self.assertEqual(128, self.fetched(128, 128, 32))

    def test_follows_what_stays_changed(self):
        self.assertEqual(32, self.fetched(256, *[32] * 12))
        self.assertEqual(256, self.fetched(32, *[256] * 12))

    def test_alternating_measures_do_not_flutter(self):
        for low, high in ((100, 200), (90, 181), (64, 128), (60, 200)):
            rate = fetch_rate.FetchRate()
            seen = []
            for number in range(60):
                mb_per_second = high if number % 2 else low
                rate.add(10 ** 9, 10 ** 3 / mb_per_second)
                seen.append(rate.mb_per_second)

            changes = sum(one != other for one, other
                          in itertools.pairwise(seen[10:]))
            self.assertEqual(0, changes, (low, high, seen))

    def test_small_fetches_are_ignored(self):
        self.assertEqual(0, self.fetched(5, size=10 ** 6))

    def test_instant_fetches_are_ignored(self):
        rate = fetch_rate.FetchRate()

        for seconds in (0.0, -1.0, 0.05):
            rate.add(10 ** 10, seconds)

        self.assertEqual(0, rate.mb_per_second)

    @hypothesis.given(st.lists(st.tuples(
        st.integers(0, 2 ** 50), st.floats(0, 1e6)), max_size=30))
    def test_any_measures(self, measures):
        rate = fetch_rate.FetchRate()

        for size, seconds in measures:
            rate.add(size, seconds)

        mb_per_second = rate.mb_per_second
        self.assertTrue(
            mb_per_second == 0 or mb_per_second.bit_count() == 1)

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

"""How often images are asked for, and how many copies that is worth."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from cache_aware_sched.precache import demand
from tests.unit import base

NOON = datetime.datetime(2026, 11, 26, 12)
HOUR = datetime.timedelta(hours=1)


class BootsPerDayTests(base.TestCase):

    def test_steady_demand(self):
        """Two an hour, for many half-lives."""
        times = [NOON - HOUR * number / 2 for number in range(24 * 60 * 2)]

        self.assertAlmostEqual(48, demand.boots_per_day(
            times, NOON, 24 * HOUR, 720 * HOUR), delta=0.5)

    def test_short_period(self):
        """As many a day, of which only six hours are known."""
        times = [NOON - HOUR * number / 2 for number in range(12)]

        self.assertAlmostEqual(48, demand.boots_per_day(
            times, NOON, 24 * HOUR, 6 * HOUR), delta=0.5)

    def test_what_was_long_ago_counts_less(self):
        def boots(age):
            return demand.boots_per_day(
                [NOON - age], NOON, 24 * HOUR, 720 * HOUR)

        self.assertAlmostEqual(boots(HOUR * 0) / 2, boots(24 * HOUR))
        self.assertAlmostEqual(boots(HOUR * 0) / 4, boots(48 * HOUR))

    def test_clock_that_is_ahead(self):
        self.assertEqual(
            demand.boots_per_day([NOON], NOON, HOUR, HOUR),
            demand.boots_per_day([NOON + HOUR], NOON, HOUR, HOUR))

    def test_nothing_is_asked_for(self):
        self.assertEqual(0, demand.boots_per_day([], NOON, HOUR, HOUR))


class CopiesTests(base.TestCase):

    def test_standing_demand(self):
        """In proportion to it, and nothing for what is hardly asked for."""
        for boots, least, wanted in (
                (0.0, 3, 0), (0.49, 3, 0), (0.5, 3, 3), (0.5, 1, 1),
                (3.0, 3, 3), (3.01, 3, 4), (20.0, 3, 20), (1000.0, 3, 100)):
            self.assertEqual(wanted, demand.copies_wanted(
                boots, 100, least), (boots, least))

    def test_more_than_there_are_hosts(self):
        self.assertEqual(2, demand.copies_wanted(5.0, 2))

    def test_announced_servers(self):
        for announced, per_copy, wanted in (
                (0, 20, 0), (1, 20, 3), (60, 20, 3), (61, 20, 4),
                (600, 10, 60), (6000, 20, 100)):
            self.assertEqual(wanted, demand.copies_wanted(
                0.0, 100, 3, announced, per_copy), (announced, per_copy))

    @given(st.floats(0, 1e6), st.integers(0, 1000), st.integers(1, 20),
           st.integers(0, 10_000), st.integers(1, 20))
    def test_bounds(self, boots, hosts, least, announced, per_copy):
        wanted = demand.copies_wanted(
            boots, hosts, least, announced, per_copy)

        self.assertLessEqual(0, wanted)
        self.assertLessEqual(wanted, hosts)
        self.assertLessEqual(wanted, demand.copies_wanted(
            boots + 1, hosts, least, announced, per_copy))
        self.assertLessEqual(wanted, demand.copies_wanted(
            boots, hosts, least, announced + 1, per_copy))

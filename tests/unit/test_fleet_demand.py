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

import datetime

from hypothesis import given
from hypothesis import strategies as st

from cache_aware_sched.fleet import demand
from tests.unit import base

NOON = datetime.datetime(2026, 11, 26, 12)
_TIMES = st.lists(st.integers(0, 100_000).map(
    lambda seconds: NOON + datetime.timedelta(seconds=seconds)), max_size=50)


class BurstTests(base.TestCase):

    def test_burst_in_a_quiet_week(self):
        times = [NOON + datetime.timedelta(hours=hour) for hour in range(9)]
        times += [NOON + datetime.timedelta(seconds=9 * second)
                  for second in range(1, 61)]

        self.assertEqual(61, demand.largest_burst(times))

    @given(_TIMES)
    def test_as_counted_from_each_server(self, times):
        """The slow way to say it."""
        self.assertEqual(
            max((sum(first <= time <= first + demand.BURST for time in times)
                 for first in times), default=0),
            demand.largest_burst(times))


class CopiesTests(base.TestCase):

    def test_examples(self):
        for burst, boots, hosts, wanted in (
                (1, 1, 100, 1),  # a second copy would be for nobody
                (2, 50, 100, 3),
                (60, 60, 100, 3), (61, 61, 100, 4),
                (120, 500, 100, 6),
                (5000, 5000, 1000, 50),
                (120, 500, 2, 2),
                (0, 0, 100, 0)):
            self.assertEqual(wanted, demand.copies_wanted(
                burst, boots, hosts), (burst, boots, hosts))

    @given(*[st.integers(0, 10_000)] * 3)
    def test_bounds(self, burst, boots, hosts):
        wanted = demand.copies_wanted(burst, boots, hosts)

        self.assertLessEqual(0, wanted)
        self.assertLessEqual(wanted, min(50, boots, hosts))
        self.assertLessEqual(
            wanted, demand.copies_wanted(burst + 20, boots, hosts))

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

"""When and how fast images are fetched ahead of time."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from cache_aware_sched.precache import pace
from cache_aware_sched.precache.plan import PlannedCopy
from tests.unit import base

_TIMES = st.times().map(lambda time: time.replace(microsecond=0, second=0))


class WindowTests(base.TestCase):

    def test_over_midnight(self):
        window = pace.Window.of('22:00-06:00')

        for time, is_open in (
                ('21:59', False), ('22:00', True), ('00:00', True),
                ('05:59', True), ('06:00', False), ('12:00', False)):
            self.assertEqual(is_open, window.is_open(
                datetime.time.fromisoformat(time)), time)

    def test_texts_that_are_none(self):
        for text in ('', '22:00', '22-', '06:00-06:00', '25:00-06:00', 'x-y'):
            error = self.assertRaises(ValueError, pace.Window.of, text)
            self.assertIn('22:00-06:00', str(error))

    def test_times_of_other_zones(self):
        for text in ('22:00Z-06:00', '22:00-06:00+02:00', '22:00Z-06:00Z'):
            self.assertRaises(ValueError, pace.Window.of, text)

    @given(_TIMES, _TIMES, _TIMES)
    def test_open_half_of_two(self, start, end, now):
        """The rest of the day is what the window from end to start is."""
        if start != end:
            self.assertNotEqual(pace.Window(start, end).is_open(now),
                                pace.Window(end, start).is_open(now))


def of(concurrency, gbps, rate):
    return pace.Pace.of(pace.PaceOptions(concurrency, gbps), rate)


class PaceTests(base.TestCase):

    def test_no_limit(self):
        self.assertEqual(0, of(5, 0, 1e8).seconds(10 ** 12))

    def test_as_many_as_keep_to_it(self):
        self.assertEqual(6, of(50, 5, 100e6).slots)
        self.assertEqual(4, of(4, 5, 100e6).slots)

    def test_host_that_is_faster_than_the_limit(self):
        found = of(50, 1, 1e9)

        self.assertEqual(1, found.slots)
        self.assertAlmostEqual(80, found.seconds(10 ** 10))

    @given(st.integers(1, 100), st.floats(0.01, 1000), st.floats(1e5, 1e10))
    def test_all_slots_together_keep_to_it(self, concurrency, gbps, rate):
        found = of(concurrency, gbps, rate)

        self.assertLessEqual(1, found.slots)
        self.assertLessEqual(found.slots, concurrency)
        self.assertAlmostEqual(
            gbps, found.slots * 8 / found.seconds(10 ** 9), places=6)


class DurationTests(base.TestCase):

    def duration(self, *sizes, concurrency=10, gbps=0.0):
        copies = [PlannedCopy('image', '', host, size)
                  for host, size in sizes]
        return of(concurrency, gbps, 1e8).duration(copies, 1e8)

    def test_all_slots_are_busy(self):
        copies = [(f'h{number}', 10 ** 9) for number in range(20)]

        self.assertEqual(20, self.duration(*copies))
        self.assertEqual(200, self.duration(*copies, concurrency=1))
        self.assertEqual(400, self.duration(*copies, gbps=0.4))

    def test_host_that_fetches_most(self):
        self.assertEqual(30, self.duration(
            ('a', 10 ** 9), ('a', 2 * 10 ** 9), ('b', 10 ** 9)))

    def test_nothing(self):
        self.assertEqual(0, self.duration())

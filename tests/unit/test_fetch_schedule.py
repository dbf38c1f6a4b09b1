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

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.virt import fetch_schedule
from tests.unit import base

#: What may happen: the images that are missing, or seconds that pass.
EVENTS = st.lists(st.one_of(
    st.sets(st.sampled_from('abcd')), st.floats(0, 10_000)), max_size=30)


def highest(_low, high):
    return high


class TestFetchSchedule(base.TestCase):

    def setUp(self):
        super().setUp()
        self.schedule = fetch_schedule.FetchSchedule(600, highest)

    def test_nothing_is_missing(self):
        self.assertIsNone(self.schedule.next([], 0))
        self.assertEqual(math.inf, self.schedule.wait(0))

    def test_first_fetch_waits(self):
        self.assertIsNone(self.schedule.next(['a'], 10))
        self.assertEqual(600, self.schedule.wait(10))
        self.assertIsNone(self.schedule.next(['a'], 609))

        self.assertEqual('a', self.schedule.next(['a'], 610))

    def test_no_spread(self):
        schedule = fetch_schedule.FetchSchedule(0)

        self.assertEqual('a', schedule.next(['b', 'a'], 10))

    def test_longest_due_goes_first(self):
        self.schedule.next(['b'], 0)
        self.schedule.next(['a', 'b'], 5)

        self.assertEqual('b', self.schedule.next(['a', 'b'], 700))

    def test_failures_wait_longer_and_longer(self):
        waits = [self.schedule.failed('a', 0) for _failure in range(100)]

        self.assertEqual([60, 120, 240, 480, 960, 1920, 3600, 3600],
                         waits[:8])
        self.assertEqual(3600, waits[-1])

    def test_failures_are_forgotten_with_the_image(self):
        for _failure in range(3):
            self.schedule.next(['a'], 0)
            self.schedule.failed('a', 0)

        self.schedule.next([], 0)

        self.assertEqual(60, self.schedule.failed('a', 0))

    def test_one_that_fails_does_not_hold_up_another(self):
        self.schedule.next(['a', 'b'], 0)
        self.schedule.failed('a', 600)

        self.assertEqual('b', self.schedule.next(['a', 'b'], 600))

    def test_fetch_that_brought_nothing(self):
        self.schedule.next(['a'], 0)
        self.schedule.fetched('a', 600)

        self.assertIsNone(self.schedule.next(['a'], 601))
        self.assertEqual('a', self.schedule.next(
            ['a'], 600 + fetch_schedule.AGAIN))

    @hypothesis.given(EVENTS, st.floats(0, 86_400), st.booleans())
    def test_any_image_is_fetched_in_time_and_no_other(
            self, events, spread, fails):
        schedule = fetch_schedule.FetchSchedule(spread)
        now, missing = 0.0, set()
        for event in events:
            if isinstance(event, set):
                missing = event
            else:
                now += event
            image = schedule.next(missing, now)
            self.assertTrue(image is None or image in missing)
            if image:
                if fails:
                    delay = schedule.failed(image, now)
                    self.assertLessEqual(delay, fetch_schedule.LAST_RETRY)
                else:
                    schedule.fetched(image, now)
                self.assertNotEqual(image, schedule.next(missing, now))
        longest = max(spread, fetch_schedule.LAST_RETRY)
        self.assertEqual(bool(missing), bool(
            schedule.next(missing, now + longest + 1)))

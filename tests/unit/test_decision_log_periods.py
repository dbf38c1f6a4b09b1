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

from cache_aware_sched.decision_log import periods
from cache_aware_sched.decision_log import record as record_mod
from tests.unit import base
from tests.unit.exported import decision
from tests.unit import factories
from tests.unit.test_decision_log import NOON

GB3 = 3 * factories.GIB


def at(hours, server, **fields):
    return decision(server, time=NOON + datetime.timedelta(hours=hours),
                    **fields)


class PeriodTests(base.TestCase):

    def test_hours(self):
        first, second, third = periods.by_hour([
            at(0.1, 'a'), at(0.9, 'b', warm=False, cached='b'),
            at(2.5, 'c', observed=True)])

        self.assertEqual(
            periods.PeriodTotals(NOON, 2, 1, 0, 12.5, GB3, 0), first)
        self.assertEqual((0, None), (second.boots, second.share))
        self.assertEqual((1, 1), (third.boots, third.observed))
        self.assertEqual(0.5, first.share)

    def test_what_is_no_boot(self):
        [hour] = periods.by_hour([
            at(0, 'a'), at(0, 'a'), at(0, 'b', move=True),
            at(0, 'c', outcome=record_mod.REFUSED, winner='', hosts=())])

        self.assertEqual((1, 1), (hour.boots, hour.refused))

    def test_fetch_that_was_added(self):
        [hour] = periods.by_hour([at(0, 'a', cached='b', stock='a')])

        self.assertEqual((-12.5, -GB3), (hour.seconds, hour.size))

    def test_days_and_total(self):
        hours = periods.by_hour([at(0, 'a'), at(11, 'b'), at(13, 'c')])

        self.assertEqual([2, 1], [day.boots for day in periods.by_day(hours)])
        self.assertEqual(3, periods.total(hours).boots)
        self.assertIsNone(periods.total([]))

    def test_busiest_hours(self):
        hours = periods.by_hour([
            at(0, 'a'), at(20, 'b'), at(24, 'c'), at(26, 'd'), at(40, 'e')])

        found = periods.busiest(hours)

        self.assertEqual(2, found.boots)
        self.assertEqual(NOON + datetime.timedelta(hours=19),
                         found.start)

    def test_nothing(self):
        self.assertEqual([], periods.by_hour([]))
        self.assertIsNone(periods.busiest([]))

    @given(st.lists(st.integers(0, 300), max_size=30))
    def test_no_boot_is_lost(self, hours):
        found = periods.by_hour(
            at(hour, str(number)) for number, hour in enumerate(hours))

        self.assertEqual(len(hours), sum(hour.boots for hour in found))
        self.assertEqual(len(hours), sum(
            day.boots for day in periods.by_day(found)))
        self.assertEqual(
            (max(hours) - min(hours) + 1) if hours else 0, len(found))

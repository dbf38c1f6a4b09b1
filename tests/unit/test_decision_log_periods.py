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
from cache_aware_sched.decision_log import summary
from tests.unit import base
from tests.unit.exported import decision
from tests.unit import factories
from tests.unit.test_decision_log import NOON

GB3 = 3 * factories.GIB


def at(hours, server, **fields):
    return decision(server, time=NOON + datetime.timedelta(hours=hours),
                    **fields)


def by_hour(decisions, until=NOON + datetime.timedelta(days=30)):
    return periods.by_hour(decisions, until)


class PeriodTests(base.TestCase):

    def test_hours(self):
        first, second, third = by_hour([
            at(0.1, 'a'), at(0.9, 'b', warm=False, cached='b'),
            at(2.5, 'c', observed=True)])

        self.assertEqual(periods.Period(NOON, summary.DecisionSum(
            2, warm=1, seconds=12.5, size=GB3)), first)
        self.assertEqual(periods.Period(
            NOON + datetime.timedelta(hours=1)), second)
        self.assertEqual((1, 1), (third.decided.boots, third.decided.observed))

    def test_server_counts_in_the_hour_of_its_boot(self):
        first, second = by_hour([at(0, 'a'), at(1, 'a')])

        self.assertEqual((1, 0), (first.decided.boots, first.decided.moves))
        self.assertEqual((0, 1), (second.decided.boots, second.decided.moves))

    def test_clock_of_the_year_9999_counts_in_the_last_hour(self):
        far = datetime.datetime.max.replace(tzinfo=datetime.UTC)

        hours = by_hour([at(0, 'a'), decision('b', time=far)],
                        NOON + datetime.timedelta(hours=2.5))

        self.assertEqual([1, 0, 1], [hour.decided.boots for hour in hours])

    def test_days_and_total(self):
        hours = by_hour([at(0, 'a'), at(11, 'b'), at(13, 'c')])

        self.assertEqual([2, 1], [
            day.decided.boots for day in periods.by_day(hours)])
        self.assertEqual(3, periods.total(hours).boots)
        self.assertEqual(summary.DecisionSum(), periods.total([]))

    def test_busiest_hours(self):
        hours = by_hour([
            at(0, 'a'), at(20, 'b'), at(24, 'c'), at(26, 'd'), at(40, 'e')])

        found = periods.busiest(hours)

        self.assertEqual(2, found.decided.boots)
        self.assertEqual(NOON + datetime.timedelta(hours=19),
                         found.start)

    def test_nothing(self):
        self.assertEqual([], by_hour([]))
        self.assertIsNone(periods.busiest([]))

    @given(st.lists(st.tuples(
        st.integers(0, 300), st.sampled_from('abcdef'), st.booleans(),
        st.sampled_from(record_mod.OUTCOMES)), max_size=30))
    def test_hours_and_days_come_to_what_all_decisions_do(self, drawn):
        decisions = [at(hour, server, move=move, outcome=outcome)
                     for hour, server, move, outcome in drawn]

        found = by_hour(decisions)

        hours = [hour for hour, *_others in drawn]
        self.assertEqual(
            (max(hours) - min(hours) + 1) if hours else 0, len(found))
        for sums in (found, periods.by_day(found)):
            self.assertEqual(summary.summary(decisions, 'image')[0],
                             periods.total(sums))

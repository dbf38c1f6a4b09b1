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

"""What the decisions of each hour came to."""

from collections.abc import Iterable
import dataclasses
import datetime
import itertools

from cache_aware_sched.decision_log.record import DecisionRecord
from cache_aware_sched.decision_log import summary
from cache_aware_sched.decision_log.summary import DecisionSum

HOUR = datetime.timedelta(hours=1)

#: An evening. Judgement.
EVENING_HOURS = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Period:
    """The decisions of a time.

    :param start: UTC
    """

    start: datetime.datetime
    decided: DecisionSum = dataclasses.field(default_factory=DecisionSum)


def by_hour(decisions: Iterable[DecisionRecord],
            until: datetime.datetime) -> list[Period]:
    """Return the hours from the first decision to the last one.

    Hours without a decision are there too.

    :param until: when the log was read, with a time zone. A decision that is
        dated later is of a clock that goes wrong, and counts in that hour.
    """
    hours: dict[datetime.datetime, Period] = {}
    for decision, is_boot in summary.told_apart(decisions):
        start = min(decision.time, until).replace(
            minute=0, second=0, microsecond=0)
        hours.setdefault(start, Period(start)).decided.add(decision, is_boot)
    if not hours:
        return []
    first = min(hours)
    return [hours.get(start) or Period(start) for start in (
        first + number * HOUR
        for number in range((max(hours) - first) // HOUR + 1))]


def total(periods: Iterable[Period]) -> DecisionSum:
    """Return all together."""
    found = DecisionSum()
    for period in periods:
        found.include(period.decided)
    return found


def by_day(hours: Iterable[Period]) -> list[Period]:
    """Return the days, UTC.

    :param hours: in their order
    """
    days = [list(some) for _day, some in itertools.groupby(
        hours, lambda hour: hour.start.date())]
    return [Period(day[0].start, total(day)) for day in days]


def busiest(hours: list[Period]) -> Period | None:
    """Return the :data:`EVENING_HOURS` hours in a row with most boots."""
    return max((Period(hours[first].start, total(
        hours[first:first + EVENING_HOURS])) for first in range(
            max(min(len(hours), 1), len(hours) - EVENING_HOURS + 1))),
        key=lambda evening: evening.decided.boots, default=None)

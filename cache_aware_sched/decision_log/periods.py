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

import collections
from collections.abc import Iterable
import dataclasses
import datetime

from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.decision_log.record import DecisionRecord

HOUR = datetime.timedelta(hours=1)

#: An evening. Judgement.
EVENING_HOURS = 6


@dataclasses.dataclass(frozen=True, slots=True)
class PeriodTotals:
    """The decisions of a time.

    :param start: UTC
    :param boots: servers that were placed for the first time
    :param warm: those whose host held the image
    :param refused: requests for which the cap left no host
    :param seconds: of fetches that were spared, compared with nova's own
        weighers, less those that were added
    :param size: bytes of the images, in the same way
    :param observed: of the boots, those of which the weigher only said what it
        would have done
    """

    start: datetime.datetime
    boots: int = 0
    warm: int = 0
    refused: int = 0
    seconds: float = 0.0
    size: int = 0
    observed: int = 0

    @property
    def share(self) -> float | None:
        """Warm boots of all, None without any."""
        return self.warm / self.boots if self.boots else None

    def plus(self, other: 'PeriodTotals') -> 'PeriodTotals':
        """Return both together; the start is this one's."""
        return PeriodTotals(self.start, *(
            getattr(self, field.name) + getattr(other, field.name)
            for field in dataclasses.fields(self)[1:]))


def by_hour(decisions: Iterable[DecisionRecord]) -> list[PeriodTotals]:
    """Return the hours from the first decision to the last one.

    Hours without a decision are there too. Each server counts once.
    """
    hours: dict[datetime.datetime, PeriodTotals] = {}
    seen: set[str] = set()
    for decision in decisions:
        start = decision.time.replace(minute=0, second=0, microsecond=0)
        if decision.outcome == record_mod.REFUSED:
            found = PeriodTotals(start, refused=1)
        elif decision.move or decision.server in seen:
            continue
        else:
            seen.add(decision.server)
            found = PeriodTotals(
                start, 1, decision.warm, 0,
                decision.fetches_saved * decision.seconds,
                decision.fetches_saved * decision.size, decision.observed)
        hours[start] = hours.get(start, PeriodTotals(start)).plus(found)
    if not hours:
        return []
    start, all_hours = min(hours), []
    while start <= max(hours):
        all_hours.append(hours.get(start, PeriodTotals(start)))
        start += HOUR
    return all_hours


def total(periods: Iterable[PeriodTotals]) -> PeriodTotals | None:
    """Return all together, None without any."""
    periods = list(periods)
    if not periods:
        return None
    found = periods[0]
    for period in periods[1:]:
        found = found.plus(period)
    return found


def by_day(hours: Iterable[PeriodTotals]) -> list[PeriodTotals]:
    """Return the days, UTC."""
    days: dict[datetime.date, list[PeriodTotals]] = collections.defaultdict(
        list)
    for hour in hours:
        days[hour.start.date()].append(hour)
    return [found for some in days.values() if (found := total(some))]


def busiest(hours: list[PeriodTotals]) -> PeriodTotals | None:
    """Return the :data:`EVENING_HOURS` hours in a row with most boots."""
    evenings = [total(hours[first:first + EVENING_HOURS])
                for first in range(max(1, len(hours) - EVENING_HOURS + 1))]
    return max((evening for evening in evenings if evening),
               key=lambda evening: evening.boots, default=None)

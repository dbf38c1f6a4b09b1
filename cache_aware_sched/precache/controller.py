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

"""Plans, and has carried out what was planned."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import datetime
from typing import Any

from oslo_log import log as logging

from cache_aware_sched.decision_log.line_file import LineFile
from cache_aware_sched import once
from cache_aware_sched.precache import coordination
from cache_aware_sched.precache import fetching
from cache_aware_sched.precache import pace
from cache_aware_sched.precache import plan as plan_mod
from cache_aware_sched.precache import renewing
from cache_aware_sched.precache.results import CopyResult

LOG = logging.getLogger(__name__)

#: Given with --expect: id of an image, number of servers, name of a zone.
Expected = tuple[str, int, str | None]

#: A log of results is not rotated: a line has 300 bytes.
_NEVER = 2 ** 62


class Controller:
    """Plans for a cloud again and again, and has the plans carried out.

    :param databases: makes the API database, and those of the cells
    :param now: returns the time, UTC, without a zone
    """

    def __init__(self, databases: Callable[[], tuple[Any, Sequence[Any]]],
                 options: plan_mod.PlanOptions, expected: Sequence[Expected],
                 now: Callable[[], datetime.datetime]) -> None:
        # It needs nova, which takes seconds to import.
        from cache_aware_sched.precache import reading
        self._reading = reading
        self._reader = reading.PlanReader(databases, options.period)
        self._options, self._expected, self._now = options, expected, now
        self._renewed = renewing.RenewedCopies(
            datetime.timedelta(hours=options.renew_hours))
        #: What people should know of the last plan.
        self.notes: list[str] = []

    @property
    def choice(self) -> Any:
        """Which images may be fetched ahead of time."""
        return self._reading.choice()

    def plan(self) -> plan_mod.PrecachePlan:
        """Return what is to be fetched now.

        :raises cache_aware_sched.nova_databases.Unreadable: if the API
            database does not answer
        :raises ValueError: if servers are announced for a zone that is none
        """
        known, silent = self._reader.read(
            self._now(), [image for image, _count, _zone in self._expected])
        announced = self._reading.announced(self._expected, known.fleet)
        from cache_aware_sched.precache import inputs
        from cache_aware_sched.precache import planning
        self.notes = [*silent, *inputs.passed_over(known)]
        if known.described or not silent:
            self.notes.extend(
                inputs.in_vain(known, self.choice, announced))
        plan = planning.make(known, self._options, self.choice, announced,
                             self._reading.cap())
        return dataclasses.replace(
            plan, renewals=self._renewed.due(plan.renewals, self._now()))

    def run(self, plan: plan_mod.PrecachePlan, how: pace.FetchOptions,
            fast: pace.PaceOptions, locks: coordination.Locks, ask: Callable[[
                plan_mod.PlannedCopy], Any],
            tell: Callable[[CopyResult], None] = lambda _result: None,
            still_active: Callable[[], bool] = lambda: True,
            waits: Callable[[str], None] = lambda _why: None,
            ) -> fetching.FetchRun:
        """Return what carries a plan out when it is run.

        :param ask: see :class:`.fetching.FetchRun`
        :param tell: called with each result
        :param still_active: whether this controller is the one that acts
        :param waits: called with why nothing may begin, when that changes; ''
            if it may again
        """
        told_of = ''
        log = LineFile(how.results, _NEVER, 0) if how.results else None

        def told(result: CopyResult) -> None:
            if log:
                try:
                    log.append(result.line())
                except OSError as error:
                    # What was fetched was fetched, whatever the log is like.
                    once.warning(
                        LOG, ('results', how.results), 'Results are not '
                        'written to --results %(path)s: %(error)s',
                        {'path': how.results,
                         'error': error.strerror or error})
            self._renewed.note(result, self._now())
            tell(result)

        def closed() -> str:
            nonlocal told_of
            if not still_active():
                run.stop('another controller may be active now')
            why = how.closed()
            if why != told_of:
                waits(why)
                told_of = why
            return why

        run = fetching.FetchRun(
            ask, lambda: self._reader.hosts(self._now()), locks,
            pace.Pace.of(fast, plan.rate), closed, told, how.max_failures)
        return run

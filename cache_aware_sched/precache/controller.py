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
import json
import os
from typing import Any

from oslo_log import log as logging

from cache_aware_sched.decision_log.line_file import LineFile
from cache_aware_sched import once
from cache_aware_sched.option import BadOption
from cache_aware_sched.option import Checked
from cache_aware_sched.option import Name
from cache_aware_sched.option import option
from cache_aware_sched.precache import coordination
from cache_aware_sched.precache import fetching
from cache_aware_sched.precache import inputs
from cache_aware_sched.precache import pace
from cache_aware_sched.precache import plan as plan_mod

LOG = logging.getLogger(__name__)

#: Given with --expect: id of an image, number of servers, name of a zone.
Expected = tuple[str, int, str | None]

#: A log of results is not rotated: a line has 300 bytes.
_NEVER = 2 ** 62


@dataclasses.dataclass(frozen=True, slots=True)
class FetchOptions(Checked):
    """How what was planned is carried out."""

    window: str = option(
        '', 'Part of the day in which fetches may begin, in the local time of '
        'this machine, as 22:00-06:00. Default: always.', metavar='TIME-TIME')
    pause_file: str = option(
        '', 'No fetch begins while this file is there.', metavar='FILE')
    timeout: int = option(
        3600, 'Seconds for one image, from when its host was asked.',
        low=1, high=7 * 86400)
    max_failures: int = option(
        10, 'Begin no more fetches after more than so many have failed.',
        low=0, high=1_000_000)
    results: str = option(
        '', 'Append what became of each fetch to this file, a JSON object a '
        'line.', metavar='FILE')

    def __post_init__(self) -> None:
        """Check the bounds, and the window.

        :raises BadOption: naming the field
        """
        Checked.__post_init__(self)
        try:
            if self.window:
                pace.Window.of(self.window)
        except ValueError as error:
            raise BadOption('{}: {}', Name('window'), error) from None

    def closed(self) -> str:
        """Return why no fetch may begin now, '' if one may."""
        if self.pause_file and os.path.exists(self.pause_file):
            return f'{self.pause_file} is there'
        now = datetime.datetime.now().astimezone().time()
        if self.window and not pace.Window.of(self.window).is_open(now):
            return f'it is {now:%H:%M}, outside of {self.window}'
        return ''


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
        #: What Glance did not tell for the last plan.
        self.silent: list[str] = []

    @property
    def choice(self) -> inputs.PrecacheChoice:
        """Which images may be fetched ahead of time."""
        return self._reading.choice()

    def plan(self) -> plan_mod.PrecachePlan:
        """Return what is to be fetched now.

        :raises cache_aware_sched.nova_databases.Unreadable: if the API
            database does not answer
        :raises ValueError: if servers are announced for a zone that is none
        """
        known, self.silent = self._reader.read(
            self._now(), [image for image, _count, _zone in self._expected])
        return plan_mod.make(
            known, self._options, self.choice,
            self._reading.announced(self._expected, known.fleet),
            self._reading.cap())

    def run(self, plan: plan_mod.PrecachePlan, how: FetchOptions,
            fast: pace.PaceOptions, locks: coordination.Locks, ask: Callable[[
                plan_mod.PlannedCopy], Any],
            tell: Callable[[fetching.CopyResult], None] = lambda _result: None,
            still_active: Callable[[], bool] = lambda: True,
            ) -> fetching.FetchRun:
        """Return what carries a plan out when it is run.

        :param ask: see :class:`.fetching.FetchRun`
        :param tell: called with each result
        :param still_active: whether this controller is the one that acts
        """
        log = LineFile(how.results, _NEVER, 0) if how.results else None

        def told(result: fetching.CopyResult) -> None:
            if log:
                try:
                    log.append(_line(result))
                except OSError as error:
                    # What was fetched was fetched, whatever the log is like.
                    once.warning(
                        LOG, ('results', how.results), 'Results are not '
                        'written to --results %(path)s: %(error)s',
                        {'path': how.results,
                         'error': error.strerror or error})
            tell(result)

        def closed() -> str:
            if not still_active():
                run.stop('another controller is active now')
            return how.closed()

        run = fetching.FetchRun(
            ask, lambda: self._reader.hosts(self._now()), locks,
            pace.Pace.of(fast, plan.rate), closed, told, how.max_failures)
        return run


def _line(result: fetching.CopyResult) -> bytes:
    return (json.dumps({
        'time': datetime.datetime.now(datetime.UTC).isoformat(
            timespec='seconds'),
        'host': result.copy.host, 'image': result.copy.image_id,
        'zone': result.copy.zone, 'bytes': result.copy.size,
        'outcome': result.outcome.value, 'reason': result.reason,
        'seconds': round(result.seconds, 1)}) + '\n').encode()

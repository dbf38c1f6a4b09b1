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

"""Has hosts fetch images, one image a call, and sees that they have.

Whatever a host answers, its report is what counts. A host that fails is named,
and does not keep the others from theirs.
"""

import collections
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import concurrent.futures
import time
from typing import Any

from cache_aware_sched.precache import asked
from cache_aware_sched.precache.asked import AskedCopy
from cache_aware_sched.precache.coordination import Locks
from cache_aware_sched.precache.pace import Pace
from cache_aware_sched.precache.plan import PlannedCopy
from cache_aware_sched.precache.results import CopyResult
from cache_aware_sched.precache.results import FetchOutcome
from cache_aware_sched.precache.terms import CacheHost
from cache_aware_sched import report

#: Seconds between two looks at the reports, and at what may start now.
#: Judgement: a report comes within a second of a change, one statement a cell
#: reads all of them, and a fetch takes seconds to minutes.
REPORT_SECONDS = 10.0
TURN_SECONDS = 0.5

#: Seconds for a host to report what it says it has. It reports a change at
#: once or, if that fails, with the update that nova makes each minute
#: ([DEFAULT] update_resources_interval).
CONFIRM_SECONDS = 180.0

#: Copies that are renewed at a time. Judgement: a host is done in a moment,
#: and fetches nothing. So they need no slot, of which a limit may leave only
#: one, and fetches do not wait for them.
RENEWALS = 10

_GIB = 2 ** 30


class FetchRun:
    """Fetches the copies of a plan.

    :param ask: has a host fetch an image; the answer is what nova-compute
        says, or an exception
    :param reports: returns what the hosts report now, by their names
    :param may_start: returns why nothing may be started now, '' if it may
    :param tell: called with each result
    :param max_failures: hosts that may fail before nothing more is started,
        and images of one host before nothing more is there
    :param clock: seconds
    :param sleep: waits some seconds
    """

    def __init__(self, ask: Callable[[PlannedCopy],
                                     'concurrent.futures.Future[str]'],
                 reports: Callable[[], Mapping[str, CacheHost]],
                 locks: Locks, pace: Pace, may_start: Callable[[], str],
                 tell: Callable[[CopyResult], None], max_failures: int,
                 clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self._ask, self._read = ask, reports
        self._locks, self._pace = locks, pace
        self._may_start, self._tell = may_start, tell
        self._max_failures = max_failures
        self._clock, self._sleep = clock, sleep
        self._running: list[AskedCopy] = []
        self._slots: list[tuple[float, Any]] = []
        self._results: list[CopyResult] = []
        self._unanswered: set[str] = set()
        self._failed: collections.Counter[str] = collections.Counter()
        self._hosts: Mapping[str, CacheHost] = {}
        self._is_news = False
        self._read_at = -REPORT_SECONDS
        self.stopped = ''

    def run(self, copies: Sequence[PlannedCopy]) -> list[CopyResult]:
        """Have all copies fetched; returns when that is over.

        If it is interrupted, what was begun is told as well.

        :returns: a result for each, in the order in which they came
        """
        waiting = list(copies)
        try:
            while waiting or self._running:
                self._look()
                self._settle()
                self._free_slots()
                if len(self._failed) > self._max_failures:
                    self.stop(f'more than {self._max_failures} hosts have '
                              'failed')
                if self.stopped:
                    for copy in waiting:
                        self._end(copy, FetchOutcome.NOT_TRIED, self.stopped)
                    waiting = []
                # It may find that this run has to stop.
                elif not self._may_start() and not self.stopped:
                    waiting = self._start(waiting)
                if waiting or self._running:
                    self._sleep(TURN_SECONDS)
        finally:
            for one in self._running:
                self._end(one.copy, FetchOutcome.BEGUN,
                          'the command was ended, and the host goes on',
                          self._clock() - one.started)
            self._give_back()
        return self._results

    def stop(self, why: str) -> None:
        """Start nothing more."""
        self.stopped = self.stopped or why

    def _look(self) -> None:
        if self._clock() - self._read_at >= REPORT_SECONDS:
            self._hosts = self._read()
            self._is_news = True
            self._read_at = self._clock()

    def _start(self, waiting: list[PlannedCopy]) -> list[PlannedCopy]:
        """Have hosts asked for what may start; return what still waits."""
        slot = (None if all(copy.renews for copy in waiting)
                else self._free_slot())
        renewals = any(copy.renews for copy in waiting) and (
            RENEWALS - sum(one.copy.renews for one in self._running))
        is_news, self._is_news = self._is_news, False
        left: list[PlannedCopy] = []
        busy = {one.copy.host for one in self._running}
        for number, copy in enumerate(waiting):
            if not (is_news or renewals or slot is not None):
                left += waiting[number:]
                break
            if found := self._passed_over(copy):
                self._end(copy, *found)
                continue
            host_lock = None
            if copy.host not in busy and (
                    renewals if copy.renews else slot is not None):
                host_lock = self._locks.acquire(f'host {copy.host}')
                # Of a host that another command uses, all images wait.
                busy.add(copy.host)
            if host_lock is None:
                left.append(copy)
                continue
            now = self._clock()
            self._running.append(AskedCopy(
                copy, self._ask(copy), now, host_lock,
                None if copy.renews else slot,
                now + self._pace.seconds(copy.size)))
            if copy.renews:
                renewals -= 1
            else:
                slot = self._free_slot()
        if slot is not None:
            slot.release()
        return left

    def _passed_over(self, copy: PlannedCopy,
                     ) -> tuple[FetchOutcome, str] | None:
        """Return why a host is not asked for a copy, None if it may be."""
        if copy.host in self._unanswered:
            return (FetchOutcome.FAILED,
                    'the host did not answer for another image')
        if copy.renews:
            if copy.host in self._hosts and not self._has(copy):
                return (FetchOutcome.NOT_TRIED,
                        'the image is not there any more')
        elif self._has(copy):
            return FetchOutcome.EXISTING, ''
        # It may have waited for hours, as for a window.
        if (known := self._hosts.get(copy.host)) and known.unfit:
            return (FetchOutcome.NOT_TRIED,
                    f'the host gets no images now: {known.unfit}')
        if self._failed[copy.host] > self._max_failures:
            return (FetchOutcome.NOT_TRIED,
                    f'more than {self._max_failures} have failed there')
        if self._is_full(copy):
            return FetchOutcome.NOT_TRIED, 'the host has no room any more'
        return None

    def _free_slot(self) -> Any | None:
        """Return the lock of a slot, None if there is none."""
        fetches = sum(not one.copy.renews for one in self._running)
        if fetches + len(self._slots) >= self._pace.slots:
            return None
        return self._locks.first_free('slot', self._pace.slots)

    def _settle(self) -> None:
        """End what the reports show, and what has failed."""
        now = self._clock()
        for one in list(self._running):
            if not one.answer.done():
                continue
            if one.answered_at is None:
                one.answered_at = now
                if not one.copy.renews:  # the report shows no change
                    self._read_at = min(
                        self._read_at, now - REPORT_SECONDS + 1)
            outcome, reason = self._judge(one, now - one.answered_at)
            if outcome is not None:
                self._running.remove(one)
                one.host_lock.release()
                if one.slot is not None:
                    self._slots.append((
                        now if outcome is FetchOutcome.EXISTING
                        else one.frees_slot_at, one.slot))
                self._end(one.copy, outcome, reason,
                          one.answered_at - one.started)

    def _judge(self, one: AskedCopy, since: float,
               ) -> tuple[FetchOutcome | None, str]:
        """Return what became of a copy, None if it is too early to say.

        :param since: seconds since the host has answered
        """
        error, said = one.answer.exception(), one.said
        known = self._hosts.get(one.copy.host)
        # What is renewed was reported before: of that only its host can tell.
        told = said in asked.THERE or not one.copy.renews
        if (told and self._has(one.copy)) or (
                said in asked.THERE and known and not known.knows_all):
            there = (FetchOutcome.RENEWED if one.copy.renews
                     else FetchOutcome.EXISTING)
            return there if said == 'existing' else FetchOutcome.CACHED, ''
        if said in asked.THERE and since < CONFIRM_SECONDS:
            return None, ''
        # A report may be on its way that shows it after all.
        if error and since < REPORT_SECONDS:
            return None, ''
        if error:
            self._unanswered.add(one.copy.host)
            arrives = known is not None and report.image_key(
                one.copy.image_id) in known.arriving
            return FetchOutcome.FAILED, one.why + (
                '; the image still arrives there' if arrives else '')
        return FetchOutcome.FAILED, one.why

    def _has(self, copy: PlannedCopy) -> bool:
        """Return whether a host reports an image."""
        known = self._hosts.get(copy.host)
        return known is not None and report.image_key(
            copy.image_id) in known.held

    def _is_full(self, copy: PlannedCopy) -> bool:
        """Return whether a host would evict what was not meant to be.

        It may have room for so many images only, whatever their bytes, or
        servers have taken the room since the plan was made.
        """
        known = self._hosts.get(copy.host)
        # It reports whole GiB: up to one more may be free.
        return (known is not None and known.knows_all
                and (known.room <= 0 or known.room + _GIB <= copy.takes)
                and not (copy.evicts or copy.renews))

    def _end(self, copy: PlannedCopy, outcome: FetchOutcome, reason: str = '',
             seconds: float = 0.0) -> None:
        result = CopyResult(copy, outcome, reason, seconds)
        self._results.append(result)
        if outcome is FetchOutcome.FAILED:
            self._failed[copy.host] += 1
        self._tell(result)

    def _free_slots(self) -> None:
        """Give back the slots that have kept to their rate."""
        now = self._clock()
        kept = []
        for frees_at, slot in self._slots:
            if frees_at > now:
                kept.append((frees_at, slot))
            else:
                slot.release()
        self._slots = kept

    def _give_back(self) -> None:
        for one in self._running:
            one.host_lock.release()
            if one.slot is not None:
                one.slot.release()
        for _frees_at, slot in self._slots:
            slot.release()

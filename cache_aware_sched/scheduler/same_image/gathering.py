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

"""Gathers what memory, reports and the ledger say about the hosts."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import candidates as candidates_mod
from cache_aware_sched.scheduler import reports
from cache_aware_sched.scheduler.same_image import counting
from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image import memory
from cache_aware_sched.scheduler.same_image import progress as progress_mod
from cache_aware_sched.scheduler import settings as settings_mod


class Sources:
    """What servers are counted from without a query.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.memory = memory.InstanceMemory()
        self.ledger = ledger.Ledger(clock)
        self.reports = reports.Reports()
        self.counted: counting.CountCaches = counting.CountCaches()

    def sweep(self) -> None:
        """Forget what is gone, if it is time for it."""
        now = self.clock()
        self.memory.sweep(now)
        self.reports.sweep(now)
        self.counted.sweep(now)

    def answers(self, request: request_mod.Request,
                host_states: Sequence[Any]) -> list[reports.Answer]:
        """Return what the reports of hosts say of the image of a request."""
        return self.reports.answers(host_states, reports.wanted(
            str(request.image), request.disk_gb))


class Gathering:
    """Gathers the candidates of one request."""

    def __init__(self, sources: Sources, progress: progress_mod.Progress,
                 request: request_mod.Request) -> None:
        self._sources = sources
        self._progress = progress
        self._request = request
        self._image = str(request.image)

    def candidates(
        self, host_states: Sequence[Any], settings: settings_mod.HostSettings,
    ) -> list[candidates_mod.Candidate]:
        """Return a candidate for each host, counted where there is a cap."""
        sources, needed = self._sources, self._needed()
        answers = sources.answers(self._request, host_states)
        found = [
            candidates_mod.Candidate(state, answer, setting, needed)
            for state, answer, setting in zip(
                host_states, answers, settings.of_all(host_states),
                strict=True)]
        if settings.has_cap:
            counting.Counting(
                sources.memory, sources.ledger, sources.counted,
                sources.clock(), self._progress, self._request).note(found)
            if settings.has_relative_cap:
                self._set_limits(found)
        self._note_arriving(found)
        return found

    def _needed(self) -> int:
        """Return how many servers a host must have room for.

        All of an affinity group go where its first member goes.
        """
        request = self._request
        if (request.group_policy != request_mod.AFFINITY
                or request.group_has_host):
            return 1
        return max(1, request.count - len(self._progress.placed))

    def _note_arriving(
            self, found: Sequence[candidates_mod.Candidate]) -> None:
        """Note hosts that fetch the image for a server just placed there."""
        spots: set[tuple[str, str]] = set(self._progress.placed.values())
        spots.update(
            spot for spot, pending in self._sources.ledger.by_spot().items()
            if any(placement.image == self._image
                   for placement in pending.values()))
        if spots:
            for candidate in found:
                state = candidate.state
                candidate.arriving = (state.host, state.nodename) in spots

    def _set_limits(
            self, found: Sequence[candidates_mod.Candidate]) -> None:
        """Set what the caps of hosts come to."""
        total, average = 0, 0.0
        if any(candidate.setting.cap.share for candidate in found):
            here = sum(candidate.count for candidate in found)
            average = (here + 1) / len(found)
            total = here + self._elsewhere(found)
        for candidate in found:
            candidate.limit = candidate.setting.cap.limit(total, average)

    def _elsewhere(
            self, found: Sequence[candidates_mod.Candidate]) -> int:
        """Count the servers of the image on hosts that are no candidates."""
        hosts = {candidate.host for candidate in found}
        uuids = {uuid for uuid, project
                 in self._sources.memory.servers(self._image, hosts)
                 if counting.counts(self._request, project)}
        uuids.update(uuid for uuid, spot in self._progress.placed.items()
                     if spot.host not in hosts)
        return len(uuids - {self._request.instance})

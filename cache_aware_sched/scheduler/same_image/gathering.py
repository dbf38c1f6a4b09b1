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

from collections.abc import Sequence
from typing import Any

from cache_aware_sched.config import CONF
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import candidates as candidates_mod
from cache_aware_sched.scheduler import reports
from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image import memory
from cache_aware_sched.scheduler.same_image import progress as progress_mod
from cache_aware_sched.scheduler.same_image.servers import Spot
from cache_aware_sched.scheduler import settings as settings_mod

_NO_PENDING: ledger.Pending = {}
_NOTHING = 0, 0


def counts(request: request_mod.Request, project: str | None) -> bool:
    """Return whether a project's servers are counted for a request."""
    return (CONF.cache_aware_sched.same_image_scope == 'all'
            or project == request.project)


class Gathering:
    """Counts the servers of one request's image on many hosts.

    :ivar stubs: uuids of which nothing is known, on hosts that were counted
    """

    def __init__(
        self, known: memory.InstanceMemory, recent: ledger.Ledger,
        reported: reports.Reports, now: float,
        progress: progress_mod.Progress, request: request_mod.Request,
    ) -> None:
        self._memory = known
        self._ledger = recent
        self._reports = reported
        self._now = now
        self._progress = progress
        self._request = request
        self._image = str(request.image)
        self._all_projects = (
            CONF.cache_aware_sched.same_image_scope == 'all')
        self._pending = recent.by_spot()
        self._at_start = progress.at_start
        self._answers = progress.answers
        self._ours = progress.ours()
        self._first_reads = 0.0
        self.stubs: list[str] = []

    def candidates(
        self, host_states: Sequence[Any], settings: settings_mod.Settings,
    ) -> list[candidates_mod.Candidate]:
        """Return a candidate for each host."""
        self._first_reads = max(1.0, memory.FIRST_READS * len(host_states))
        answer = self._reports.answer
        wanted = reports.wanted(self._image, self._request.disk_gb)
        needed = self._needed()
        found = [candidates_mod.Candidate(
            state, answer(state, wanted), settings.of(state), needed)
            for state in host_states]
        if settings.has_cap:
            count = self._quick_count if self._is_plain() else self._count
            for candidate in found:
                candidate.count, candidate.most = count(
                    candidate.state, candidate.answer)
            self._set_limits(found)
        self._note_arriving(found)
        return found

    def _is_plain(self) -> bool:
        """Return whether only memory and reports are to be looked at."""
        return (self._all_projects and not self._pending
                and not self._answers and not self._progress.placed)

    def _quick_count(self, state: Any,
                     answer: reports.Answer) -> tuple[int, int]:
        """Do what :meth:`_count` does, for a host about which all is known.

        By far the most hosts, of by far the most requests.
        """
        known = self._memory.of_host(state, self._now)
        if known.node != state.nodename or known.number < state.num_instances:
            return self._count(state, answer)
        servers = known.images.get(self._image)
        reported = answer.users
        if not servers:
            if not reported:
                return _NOTHING
            if self._request.instance not in state.instances:
                return reported, reported
            return self._count(state, answer)
        if self._request.instance in state.instances:
            return self._count(state, answer)
        count = len(servers)
        if reported is not None and reported > count:
            count = reported
        return count, count

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
            spot for spot, pending in self._pending.items()
            if any(placement.image == self._image
                   for placement in pending.values()))
        if spots:
            for candidate in found:
                state = candidate.state
                candidate.arriving = (state.host, state.nodename) in spots

    def _count(self, state: Any, answer: reports.Answer) -> tuple[int, int]:
        """Return how many servers a host runs at least, and at most."""
        start = self._at_start.get(id(state), state.num_instances)
        placed = state.num_instances - start
        pending = (self._pending_on(state) if self._pending else _NO_PENDING)
        by_spot = (self._answers.get(state.cell_uuid)
                   if self._answers else None)
        if by_spot is not None:
            spot = Spot(state.host, state.nodename)
            servers = {*by_spot.get(spot, ()), *by_spot.get(spot.anywhere, ()),
                       *pending} - self._ours
            count = placed + len(servers)
            return count, count
        count, most = self._without_asking(state, answer, start, pending)
        return placed + count, placed + most

    def _without_asking(
        self, state: Any, answer: reports.Answer, start: int,
        pending: ledger.Pending,
    ) -> tuple[int, int]:
        reported = answer.users
        if reported and self._request.instance in state.instances:
            reported -= 1
        known = self._memory.of_host(state, self._now)
        if known.source is None:
            if self._first_reads <= 0:
                count = self._at_a_glance(state, answer, start, reported)
                if count is not None:
                    count = self._with_pending(count, pending)
                    return count, count
            self._first_reads -= 1
            self._memory.read(known, state, self._now)
        servers = known.servers(state.nodename, self._image)
        count = self._number(servers, pending)
        if reported is not None and self._all_projects:
            count = max(count, self._with_pending(reported, pending))
        shown = known.shows(state.nodename) - self._own_stubs(state)
        unseen = start - shown - len(pending)
        if unseen <= 0 and not known.unresolved:
            return count, count
        stubs = known.unresolved.difference(pending, self._ours)
        self.stubs.extend(stubs)
        most = count + max(0, unseen) + len(stubs)
        if reported is not None and answer.servers >= 0:
            # So many came or went since it reported.
            most = min(most, max(count, reported + max(
                abs(start - answer.servers), shown - answer.servers)))
        return count, most

    def _at_a_glance(self, state: Any, answer: reports.Answer, start: int,
                     reported: int | None) -> int | None:
        """Return how many servers a host runs that was never read.

        :returns: None if it must be
        """
        if not self._all_projects or len(state.instances) != start or (
                self._request.instance in state.instances):
            return None
        seen = memory.glance(state.instances, self._image)
        if seen is not None:
            return max(seen, reported or 0)
        return reported if answer.servers == start else None

    def _own_stubs(self, state: Any) -> int:
        """Count the servers of this request that the host shows.

        nova adds one where it has placed a member of a server group.
        """
        return sum(uuid in state.instances for uuid in self._progress.placed)

    def _number(self, servers: memory.Servers,
                pending: ledger.Pending) -> int:
        """Count servers that are known by their uuid."""
        # By far the most hosts, of by far the most requests.
        if not pending and not servers:
            return 0
        if not pending and self._all_projects and len(self._ours) == 1:
            return len(servers) - (self._request.instance in servers)
        uuids = {uuid for uuid, project in servers.items()
                 if self._counted(project)}
        return len((uuids | pending.keys()) - self._ours)

    def _with_pending(self, reported: int, pending: ledger.Pending) -> int:
        """Count what a host reports and what was placed there since.

        Whether the report has what was placed is not known, so all is counted
        from what was known when each of them was placed.
        """
        last = len(pending)
        return max(reported, *(
            placement.count + last - number
            for number, placement in enumerate(pending.values()))) if (
                pending) else reported

    def _counted(self, project: str | None) -> bool:
        return self._all_projects or project == self._request.project

    def _pending_on(self, state: Any) -> ledger.Pending:
        """Return the servers of the image that are placed but not shown.

        What is shown is learnt: the host may show a stub.
        """
        pending = self._pending.get((state.host, state.nodename))
        if not pending:
            return _NO_PENDING
        found = {}
        for uuid, placement in pending.items():
            if uuid in state.instances:
                self._ledger.forget(uuid)
                self._memory.learn([(uuid, memory.Fact(
                    placement.image, placement.project, placement.spot))])
            elif (placement.image == self._image
                    and uuid not in self._ours
                    and self._counted(placement.project)):
                found[uuid] = placement
        return found

    def _set_limits(
            self, found: Sequence[candidates_mod.Candidate]) -> None:
        """Set what the caps of hosts come to."""
        total, average = 0, 0.0
        if any(candidate.setting.cap.share for candidate in found):
            here = sum(candidate.count for candidate in found)
            average = (here + 1) / len(found)
            total = here + self._elsewhere(found)
        for candidate in found:
            cap = candidate.setting.cap
            if cap.share or cap.hint:
                candidate.limit = cap.limit(total, average)

    def _elsewhere(
            self, found: Sequence[candidates_mod.Candidate]) -> int:
        """Count the servers of the image on hosts that are no candidates."""
        hosts = {candidate.host for candidate in found}
        uuids = {uuid for uuid, project
                 in self._memory.servers(self._image, hosts)
                 if self._counted(project)}
        uuids.update(uuid for uuid, spot in self._progress.placed.items()
                     if spot.host not in hosts)
        return len(uuids - {self._request.instance})

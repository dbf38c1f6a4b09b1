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

"""Counts the servers of an image on hosts, without a query."""

from collections.abc import Sequence
from typing import Any

from cache_aware_sched.config import CONF
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import candidates as candidates_mod
from cache_aware_sched.scheduler import node_caches
from cache_aware_sched.scheduler import reports
from cache_aware_sched.scheduler.same_image import host_servers
from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image import memory as memory_mod
from cache_aware_sched.scheduler.same_image import progress as progress_mod
from cache_aware_sched.scheduler.same_image.servers import Spot

_NO_PENDING: ledger.Pending = {}


def counts(request: request_mod.Request, project: str | None) -> bool:
    """Return whether a project's servers are counted for a request."""
    return (CONF.cache_aware_sched.same_image_scope == 'all'
            or project == request.project)


class Counted:
    """What was counted on a node, and what it was counted from.

    :ivar servers: of the host
    :ivar version: of these
    :ivar number: of servers on the node, as nova shows it
    :ivar answer: of the node's report
    :ivar count: as in a candidate; most likewise
    """

    __slots__ = ('answer', 'count', 'most', 'number', 'servers', 'version')

    def __init__(self, servers: host_servers.HostServers, version: int,
                 candidate: candidates_mod.Candidate) -> None:
        self.servers = servers
        self.version = version
        self.number = candidate.state.num_instances
        self.answer = candidate.answer
        self.count, self.most = candidate.count, candidate.most


#: By image, and by project where others' servers do not count.
CountCaches = node_caches.NodeCaches[tuple[str, str | None], Counted]


class Counting:
    """Counts the servers of one request's image.

    :param memory: of the instances of hosts
    :param recent: what was placed moments ago
    :param kept: what was counted for other requests
    :param now: monotonic seconds
    """

    def __init__(self, memory: memory_mod.InstanceMemory,
                 recent: ledger.Ledger, kept: CountCaches, now: float,
                 progress: progress_mod.Progress,
                 request: request_mod.Request) -> None:
        self._memory = memory
        self._ledger = recent
        self._now = now
        self._progress = progress
        self._request = request
        self._image = str(request.image)
        self._all_projects = (
            CONF.cache_aware_sched.same_image_scope == 'all')
        self._kept = kept.of((
            self._image, None if self._all_projects else request.project))
        self._pending = recent.by_spot()
        self._answers = progress.answers
        self._ours = progress.ours()
        self._first_reads = 0

    def note(self, found: Sequence[candidates_mod.Candidate]) -> None:
        """Count the servers on each host, where something has changed."""
        self._first_reads = max(memory_mod.FIRST_READS, round(
            memory_mod.FIRST_READS_SHARE * len(found)))
        # All nodes of a host show the servers of each other.
        special = {host for host, _node in (
            *self._pending, *self._progress.placed.values())}
        kept, own, now = self._kept, self._request.instance, self._now
        for candidate in found:
            state = candidate.state
            if self._answers or state.host in special:
                candidate.count, candidate.most = self._count(
                    candidate, self._memory.of_host(state, now))
                continue
            counted = kept.get(state.nodename) or kept.older(state.nodename)
            if counted is None:
                counted = self._count_anew(
                    candidate, self._memory.of_host(state, now))
            else:
                servers = counted.servers
                # Of a host that was forgotten meanwhile the version is new.
                if (state.instances is not servers.source
                        or servers.version != counted.version):
                    servers = self._memory.of_host(state, now)
                elif not servers.looks_same(now):
                    self._memory.read(servers, state, now)
                servers.seen = now
                if (servers.version != counted.version
                        or servers is not counted.servers
                        or state.num_instances != counted.number
                        or candidate.answer is not counted.answer
                        or (counted.most and own in state.instances)):
                    counted = self._count_anew(candidate, servers)
            candidate.count, candidate.most = counted.count, counted.most

    def _count_anew(self, candidate: candidates_mod.Candidate,
                    servers: host_servers.HostServers) -> Counted:
        """Count the servers of a host, and keep what others can use."""
        # Before: another thread may read the host while this one counts.
        version, instances = servers.version, candidate.state.instances
        candidate.count, candidate.most = self._count(candidate, servers)
        counted = Counted(servers, version, candidate)
        if servers.source is not None and not any(
                uuid in instances for uuid in self._ours):
            self._kept[candidate.state.nodename] = counted
        return counted

    def _count(self, candidate: candidates_mod.Candidate,
               known: host_servers.HostServers) -> tuple[int, int]:
        """Return how many servers a host runs at least, and at most."""
        state = candidate.state
        start = self._progress.at_start.get(id(state), state.num_instances)
        placed = state.num_instances - start
        pending = self._pending_on(state) if self._pending else _NO_PENDING
        by_spot = (self._answers.get(state.cell_uuid)
                   if self._answers else None)
        if by_spot is not None:
            spot = Spot(state.host, state.nodename)
            servers = {*by_spot.get(spot, ()), *by_spot.get(spot.anywhere, ()),
                       *pending} - self._ours
            count = placed + len(servers)
            return count, count
        count, most = self._without_asking(candidate, known, start, pending)
        return placed + count, placed + most

    def _without_asking(
        self, candidate: candidates_mod.Candidate,
        known: host_servers.HostServers, start: int, pending: ledger.Pending,
    ) -> tuple[int, int]:
        state, answer = candidate.state, candidate.answer
        reported = answer.users
        if reported and self._request.instance in state.instances:
            reported -= 1
        if known.source is None:
            if self._first_reads <= 0:
                count = self._unread(state, answer, start, reported)
                if count is not None:
                    count = self._with_pending(count, pending)
                    return count, count
            self._first_reads -= 1
            self._memory.read(known, state, self._now)
        count = self._number(
            known.servers(state.nodename, self._image), pending)
        if reported is not None and self._all_projects and (
                reported or pending):
            count = max(count, self._with_pending(reported, pending))
        shown = known.shows(state.nodename) - self._own_stubs(state)
        unseen = start - shown - len(pending)
        if unseen <= 0 and not known.unresolved:
            return count, count
        stubs = known.unresolved.difference(pending, self._ours)
        most = count + max(0, unseen) + len(stubs)
        if reported is not None and answer.servers >= 0:
            # So many came or went since it reported.
            most = min(most, max(count, reported + max(
                abs(start - answer.servers), shown - answer.servers)))
        return count, most

    def _unread(self, state: Any, answer: reports.Answer, start: int,
                reported: int | None) -> int | None:
        """Return how many servers a host runs that was never read.

        :returns: None if it must be
        """
        if not self._all_projects or len(state.instances) != start or (
                self._request.instance in state.instances):
            return None
        if answer.servers == start:
            return reported
        seen = host_servers.count_unread(state.instances, self._image)
        return None if seen is None else max(seen, reported or 0)

    def _own_stubs(self, state: Any) -> int:
        """Count the servers of this request that the host shows.

        nova adds one where it has placed a member of a server group.
        """
        placed = self._progress.placed
        return sum(uuid in state.instances for uuid in placed) if placed else 0

    def _number(self, servers: host_servers.Servers,
                pending: ledger.Pending) -> int:
        """Count servers that are known by their uuid."""
        # By far the most hosts, of by far the most requests.
        if not pending and not servers:
            return 0
        if not pending and self._all_projects and len(self._ours) == 1:
            return len(servers) - (self._request.instance in servers)
        uuids = {uuid for uuid, project in list(servers.items())
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
                self._memory.learn([(uuid, host_servers.Fact(
                    placement.image, placement.project, placement.spot))])
            elif (placement.image == self._image
                    and uuid not in self._ours
                    and self._counted(placement.project)):
                found[uuid] = placement
        return found

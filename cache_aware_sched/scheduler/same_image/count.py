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

"""How many servers of an image a host runs: one count for all who ask.

Counted are the servers of the request's image (and project, if the operator
wants it so) that are on the host, that have been claimed there and are still
being built, that move there or may come back, that this scheduler placed there
a moment ago, and that this request has placed; not the server that is being
placed.

Memory suffices as long as nova's scheduler knows every instance of a host.
Where it does not, because instances are stubs or because the host has claimed
more than it shows, one query a cell answers for the whole request. It also
does when no host seems to be below its cap: nothing is refused on hearsay.
"""

from collections.abc import Collection
from collections.abc import Sequence
import dataclasses
from typing import Any
import weakref

from cache_aware_sched.config import CONF
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.same_image import index
from cache_aware_sched.scheduler.same_image import placements
from cache_aware_sched.scheduler.same_image import query

_NO_PLACEMENTS: dict[str, placements.Placement] = {}


@dataclasses.dataclass(slots=True)
class _Progress:
    """What is known of one request, while it goes through its servers.

    :param placed: uuids of the servers that it has dealt with before this one
    :param current: uuid of the server that it deals with
    :param guessed: uuids whose placement was recorded
    :param at_start: num_instances of each host when it was first seen
    :param servers: what the cells answered: by cell, by host, uuids
    :param asked: the hosts they were asked about, None for all
    :param fresh: the last counts, by the id() of the host state; nova keeps
        those until the weighers have seen them
    """

    placed: set[str] = dataclasses.field(default_factory=set)
    current: str | None = None
    guessed: set[str] = dataclasses.field(default_factory=set)
    at_start: weakref.WeakKeyDictionary[Any, int] = dataclasses.field(
        default_factory=weakref.WeakKeyDictionary)
    servers: dict[str, dict[str, set[str]]] = dataclasses.field(
        default_factory=dict)
    asked: Collection[str] | None = ()
    fresh: dict[int, int] = dataclasses.field(default_factory=dict)

    def start(self, uuid: str | None) -> None:
        """Note which server the request deals with now."""
        if uuid != self.current:
            if self.current is not None:
                self.placed.add(self.current)
            self.current = uuid
            self.fresh = {}


class SameImageCounter:
    """Counts; one for a scheduler process, shared by filter and weigher."""

    def __init__(self) -> None:
        self.index = index.InstanceIndex()
        self.placements = placements.RecentPlacements()
        self._query = query.CellQuery()
        self._progress: weakref.WeakKeyDictionary[Any, _Progress] = (
            weakref.WeakKeyDictionary())

    def count(
        self, spec: Any, request: request_mod.Request,
        host_states: Sequence[Any], caps: Sequence[int], *,
        again: bool = False,
    ) -> list[int]:
        """Return the number of same-image servers of each host.

        :param spec: the RequestSpec, to recognise the request by
        :param request: the same, read
        :param host_states: HostState objects
        :param caps: of the hosts, 0 for none; hosts without one are not
            counted if none has one
        :param again: take the numbers of the call before if they are for the
            same server, as for a weigher after the filter
        """
        if request.image is None or not any(caps):
            return [0] * len(host_states)
        progress = self._of(spec)
        progress.start(request.instance)
        if again:
            fresh, progress.fresh = progress.fresh, {}
            if fresh and all(id(host) in fresh for host in host_states):
                return [fresh[id(host)] for host in host_states]
        tally = _Tally(self, request, progress)
        counts = tally.counts(host_states)
        ask = _whom_to_ask(host_states, caps, counts, tally.unsure)
        if ask != () and progress.asked == ():
            if request.count > 1:
                # Hosts that pass now can be full for a later server of it.
                ask = None
            self._ask(request, progress, host_states, ask)
            counts = tally.counts(host_states)
        if not again:
            progress.fresh = dict(zip(
                map(id, host_states), counts, strict=True))
        return counts

    def place(self, spec: Any, request: request_mod.Request,
              host: str) -> None:
        """Remember that a request's server is about to be placed on a host.

        Only the first word on a server counts: after the last server of a
        multi-create nova weighs once more, for alternates.
        """
        progress = self._of(spec)
        if (request.image is None or request.instance is None
                or request.instance in progress.guessed):
            return
        progress.guessed.add(request.instance)
        self.placements.record(
            request.instance, host, request.image, request.project,
            CONF.cache_aware_sched.recent_placement_seconds)

    def refused(self, spec: Any) -> None:
        """Forget what a request has placed: nova drops all of it."""
        for uuid in self._of(spec).guessed:
            self.placements.forget(uuid)

    def _of(self, spec: Any) -> _Progress:
        try:
            return self._progress.setdefault(spec, _Progress())
        except TypeError:  # cannot be a key; nothing of ours or nova's
            return _Progress()

    def _ask(self, request: request_mod.Request, progress: _Progress,
             host_states: Sequence[Any], ask: Collection[str] | None) -> None:
        cells = {host.cell_uuid for host in host_states
                 if ask is None or host.host in ask}
        answers = self._query.servers(
            str(request.image), ask, {cell for cell in cells if cell})
        progress.asked = ask
        self._correct(request, host_states, ask, answers)
        for cell, servers in answers.items():
            by_host = progress.servers.setdefault(cell, {})
            for server in servers:
                if counts_for(request, server.project):
                    for host in server.hosts:
                        by_host.setdefault(host, set()).add(server.uuid)

    def _correct(
        self, request: request_mod.Request, host_states: Sequence[Any],
        ask: Collection[str] | None, answers: dict[str, list[query.Server]],
    ) -> None:
        """Drop guesses that the cells prove wrong.

        That a server does not exist only those can say who were asked about
        all.
        """
        self.placements.correct(
            str(request.image),
            {server.uuid: server
             for servers in answers.values() for server in servers},
            {host.host for host in host_states
             if ask is None and host.cell_uuid in answers})


def counts_for(request: request_mod.Request, project: str | None) -> bool:
    """Whether a project's servers are counted for a request."""
    return (CONF.cache_aware_sched.same_image_scope == 'all'
            or project == request.project)


def _whom_to_ask(
    host_states: Sequence[Any], caps: Sequence[int], counts: Sequence[int],
    unsure: Collection[str],
) -> Collection[str] | None:
    """Return the hosts to ask the cells about, () for none, None for all.

    If there is a host that surely passes, only the unsure ones matter. If
    there is none the answer may be that no host is left, and that must be
    right for all of them.
    """
    for host, cap, count in zip(host_states, caps, counts, strict=True):
        if (not cap or count < cap) and host.host not in unsure:
            return tuple(unsure)
    return None


class _Tally:
    """Adds up one request's numbers for many hosts."""

    def __init__(self, counter: SameImageCounter,
                 request: request_mod.Request, progress: _Progress) -> None:
        self._counter = counter
        self._index = counter.index
        self._request = request
        self._progress = progress
        self._all_projects = (
            CONF.cache_aware_sched.same_image_scope == 'all')
        self.unsure: set[str] = set()

    def counts(self, host_states: Sequence[Any]) -> list[int]:
        """Return the count of each host, and note those that are unsure."""
        image, uuid = str(self._request.image), self._request.instance
        known = self._index.of_hosts(host_states)
        recent = self._counter.placements.by_host()
        plain = (self._all_projects and not recent
                 and not self._progress.servers)
        starts = self._at_start(host_states)
        result = []
        for host, instances, start in zip(
                host_states, known, starts, strict=True):
            placed = host.num_instances - start
            if (plain and instances.plain
                    and start <= len(instances.objects)):
                # By far the most hosts, of by far the most requests.
                servers = instances.by_image.get(image)
                result.append(
                    placed + (len(servers) - (uuid in servers)
                              if servers else 0))
                continue
            result.append(placed + len(self._servers(
                host, start, instances,
                recent.get(host.host, _NO_PLACEMENTS))))
        return result

    def _at_start(self, host_states: Sequence[Any]) -> list[int]:
        """Return the instances that hosts had before this request."""
        if self._request.count == 1:
            return [host.num_instances for host in host_states]
        at_start = self._progress.at_start
        return [at_start.setdefault(host, host.num_instances)
                for host in host_states]

    def _servers(
        self, host: Any, start: int, instances: index.HostInstances,
        recent: dict[str, placements.Placement],
    ) -> set[str]:
        """Return the servers that count here, but for those just placed."""
        progress, image = self._progress, str(self._request.image)
        ours = progress.placed | {self._request.instance}
        pending = self._pending(host, instances, recent)
        self._note_unsure(host, start, instances, pending, ours)
        answer = progress.servers.get(host.cell_uuid)
        if answer is not None and (
                progress.asked is None or host.host in progress.asked):
            servers = set(answer.get(host.host, ()))
        else:
            servers = {
                uuid for uuid, project
                in instances.by_image.get(image, {}).items()
                if self._counted(project)
            } - instances.stale
        servers |= {
            uuid for uuid, placement in pending.items()
            if placement.image == image and self._counted(placement.project)}
        return servers - ours

    def _counted(self, project: str | None) -> bool:
        return self._all_projects or project == self._request.project

    def _pending(
        self, host: Any, instances: index.HostInstances,
        recent: dict[str, placements.Placement],
    ) -> dict[str, placements.Placement]:
        """Return the recent placements that the host does not show yet.

        A stub shows nothing but that the server was there.
        """
        pending = {}
        for uuid, placement in recent.items():
            there = uuid in host.instances
            if ((there and uuid not in instances.unresolved)
                    or (placement.seen and not there)):
                self._counter.placements.forget(uuid)
                continue
            placement.seen = there
            pending[uuid] = placement
        return pending

    def _note_unsure(
        self, host: Any, start: int, instances: index.HostInstances,
        pending: Collection[str], ours: Collection[str | None],
    ) -> None:
        stubs = instances.unresolved.difference(pending, ours)
        shown = len(instances.objects) - len(
            instances.unresolved.intersection(ours))
        builds = start - shown - sum(
            uuid not in host.instances and uuid not in ours
            for uuid in pending)
        if stubs or builds > 0:
            self.unsure.add(host.host)


#: nova makes the filters and the weighers of a scheduler one after the other;
#: whoever comes first makes the counter.
_shared: SameImageCounter | None = None


def shared() -> SameImageCounter:
    """Return the counter of this scheduler process."""
    global _shared
    if _shared is None:
        _shared = SameImageCounter()
    return _shared

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

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Sequence
import time
from typing import Any
from typing import Protocol
import weakref

from cache_aware_sched.config import CONF
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.same_image import index
from cache_aware_sched.scheduler.same_image import placements
from cache_aware_sched.scheduler.same_image import query
from cache_aware_sched.scheduler.same_image import tally


class Cells(Protocol):
    """What says which servers of an image there are."""

    def servers(
        self, image: str, hosts: Collection[str] | None,
        cell_uuids: Collection[str],
    ) -> dict[str, list[query.Server]]:
        """Return the servers of an image by cell; see :mod:`.query`."""


class SameImageCounter:
    """Counts; one for a scheduler process, shared by filter and weigher.

    :param clock: monotonic seconds
    :param cells: asked where memory does not suffice; nova's databases if not
        given
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic,
                 cells: Cells | None = None) -> None:
        self.clock = clock
        self.index = index.InstanceIndex(clock)
        self.placements = placements.RecentPlacements(clock)
        self._query = query.CellQuery() if cells is None else cells
        self._progress: weakref.WeakKeyDictionary[Any, tally.Progress] = (
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
        adding = tally.Tally(
            self.index, self.placements, request, progress)
        counts = adding.counts(host_states)
        ask = _whom_to_ask(host_states, caps, counts, adding.unsure)
        if ask != () and progress.asked == ():
            if request.count > 1:
                # Hosts that pass now can be full for a later server of it.
                ask = None
            self._ask(request, progress, host_states, ask)
            counts = adding.counts(host_states)
        if not again:
            progress.fresh = dict(zip(
                map(id, host_states), counts, strict=True))
        return counts

    def place(self, spec: Any, request: request_mod.Request,
              host: str) -> bool:
        """Remember that a request's server is about to be placed on a host.

        Only the first word on a server counts: after the last server of a
        multi-create nova weighs once more, for alternates.

        :returns: whether this was the first word
        """
        progress = self._of(spec)
        if (request.image is None or request.instance is None
                or request.instance in progress.guessed):
            return False
        progress.guessed.add(request.instance)
        self.placements.record(
            request.instance, host, request.image, request.project,
            CONF.cache_aware_sched.recent_placement_seconds)
        return True

    def refused(self, spec: Any) -> None:
        """Forget what a request has placed: nova drops all of it."""
        for uuid in self._of(spec).guessed:
            self.placements.forget(uuid)

    def _of(self, spec: Any) -> tally.Progress:
        try:
            return self._progress.setdefault(spec, tally.Progress())
        except TypeError:  # cannot be a key; nothing of ours or nova's
            return tally.Progress()

    def _ask(self, request: request_mod.Request, progress: tally.Progress,
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


#: nova makes the filters and the weighers of a scheduler one after the other;
#: whoever comes first makes the counter.
_shared: SameImageCounter | None = None


def share(counter: SameImageCounter | None) -> None:
    """Let the filters and weighers that are made from now on share a counter.

    :param counter: None for one that whoever comes first makes
    """
    global _shared
    _shared = counter


def shared() -> SameImageCounter:
    """Return the counter of this scheduler process."""
    global _shared
    if _shared is None:
        _shared = SameImageCounter()
    return _shared

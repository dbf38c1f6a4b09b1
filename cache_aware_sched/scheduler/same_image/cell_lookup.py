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

"""Asks the cells which servers of an image there are, where nobody else knows.

What they answer beats every guess, and is remembered.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
import itertools
from typing import Any
from typing import Protocol

from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import candidates as candidates_mod
from cache_aware_sched.scheduler.same_image import cells
from cache_aware_sched.scheduler.same_image import counting
from cache_aware_sched.scheduler.same_image import gathering
from cache_aware_sched.scheduler.same_image import host_servers
from cache_aware_sched.scheduler.same_image import progress as progress_mod
from cache_aware_sched.scheduler.same_image.servers import Server
from cache_aware_sched.scheduler.same_image.servers import Spot


class ServerQuery(Protocol):
    """What says which servers of an image there are."""

    def servers(self, image: str, uuids: Collection[str],
                cell_uuids: Iterable[str]) -> dict[str, list[Server]]:
        """Return the servers of an image by cell; see :mod:`.cells`."""

    def spots(self, cell_uuids: Iterable[str]) -> set[Spot]:
        """Return all hosts and nodes of cells; none if that is not known."""


class CellLookup:
    """Asks the cells, and lets memory and ledger learn what is answered.

    :param query: the databases of the cells
    """

    def __init__(self, sources: gathering.Sources, query: ServerQuery) -> None:
        self._sources = sources
        self._query = query

    def ask(self, request: request_mod.Request,
            progress: progress_mod.Progress,
            host_states: Sequence[Any]) -> None:
        """Ask the cells, once for a request.

        They are also asked what some stubs are, so that the next request knows
        those.
        """
        uuids = set(itertools.islice(
            (uuid for uuid in self._sources.memory.unresolved(host_states)
             if uuid not in progress.ours()), cells.MAX_UUIDS - 1))
        own = request.instance if request.move else None
        asked = {host.cell_uuid for host in host_states if host.cell_uuid}
        answers = self._query.servers(
            str(request.image), {*uuids, own} if own else uuids, asked)
        progress.answers = _by_spot(request, answers)
        servers = {server.uuid: server for found in answers.values()
                   for server in found}
        if own:
            # What is in a cell that does not answer may be.
            progress.evacuated = (
                servers[own].evacuated if own in servers
                else asked != answers.keys())
        # A stub that no cell knows was deleted.
        gone = (uuids - servers.keys() if asked == answers.keys() else set())
        self._sources.memory.learn([
            *((server.uuid, host_servers.Fact(
                server.image, server.project,
                next(iter(server.spots)) if len(server.spots) == 1 else None))
              for server in servers.values()),
            *((uuid, host_servers.Fact('', None)) for uuid in gone)])
        self._disprove(request, host_states, answers)
        self._sources.ledger.correct(
            str(request.image), servers,
            {Spot(host.host, host.nodename) for host in host_states
             if host.cell_uuid in answers})

    def _disprove(self, request: request_mod.Request,
                  host_states: Sequence[Any],
                  answers: dict[str, list[Server]]) -> None:
        """Forget what was learnt of stubs that are of another image by now."""
        for host in host_states:
            if host.cell_uuid in answers:
                self._sources.memory.disprove(host.host, str(request.image), {
                    server.uuid for server in answers[host.cell_uuid]
                    if server.image == request.image})

    def counts_everywhere(
        self, progress: progress_mod.Progress,
        candidates: Sequence[candidates_mod.Candidate],
    ) -> list[int] | None:
        """Return how many servers of the image each node runs that there is.

        Asks the cells once more, so only for what is said once.

        :returns: None if they do not tell
        """
        answers = progress.answers or {}
        spots = self._query.spots(answers.keys())
        if not spots:
            return None
        counts = {(candidate.state.host, candidate.state.nodename):
                  candidate.count for candidate in candidates}
        for spot in spots:
            counts.setdefault(spot, sum(
                len(by_spot.get(spot, ())) for by_spot in answers.values()))
        return list(counts.values())


def _by_spot(request: request_mod.Request, answers: dict[str, list[Server]],
             ) -> dict[str, dict[Spot, set[str]]]:
    """Return the servers that count for a request, by cell and spot."""
    found: dict[str, dict[Spot, set[str]]] = {}
    for cell, servers in answers.items():
        by_spot = found.setdefault(cell, {})
        for server in servers:
            if (server.image == request.image
                    and counting.counts(request, server.project)):
                for spot in server.spots:
                    by_spot.setdefault(spot, set()).add(server.uuid)
    return found

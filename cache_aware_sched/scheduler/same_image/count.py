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

Three sources need no query: the instances that nova's scheduler has in memory
(:mod:`.memory`), what the host reports of its servers, and what was placed
moments ago (:mod:`.ledger`). The largest counts, as each can be late. Where
none of them can tell, and before a request is refused, the cells are asked,
each once for a request: nothing is refused on hearsay, and what a cell says
beats every guess.
"""

import collections
from collections.abc import Callable
from collections.abc import Sequence
import threading
import time
from typing import Any
import weakref

from cache_aware_sched.config import CONF
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import candidates as candidates_mod
from cache_aware_sched.scheduler import reports
from cache_aware_sched.scheduler.same_image import cell_lookup
from cache_aware_sched.scheduler.same_image import cells
from cache_aware_sched.scheduler.same_image import gathering as gathering_mod
from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image import nova_choice
from cache_aware_sched.scheduler.same_image import progress as progress_mod
from cache_aware_sched.scheduler.same_image.servers import Spot
from cache_aware_sched.scheduler import settings as settings_mod

#: Requests that a process deals with at the same time, at most.
MAX_OPEN = 1000

#: The candidates of a request.
Gathered = tuple[progress_mod.Progress, Sequence[candidates_mod.Candidate]]


class _Thread(threading.local):
    """What one thread of the scheduler hands from the filter to the weigher.

    :ivar gathered: of the last request
    """

    gathered: Gathered | None = None


class SameImageCounter:
    """Counts; one for a scheduler process, shared by filter and weigher.

    :param clock: monotonic seconds
    :param query: asked where memory does not suffice; nova's databases if not
        given
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic,
                 query: cell_lookup.ServerQuery | None = None) -> None:
        self.clock = clock
        self._sources = gathering_mod.Sources(clock)
        self.memory = self._sources.memory
        self.ledger = self._sources.ledger
        self.cell_lookup = cell_lookup.CellLookup(
            self._sources, cells.CellQuery() if query is None else query)
        self._requests: weakref.WeakKeyDictionary[
            Any, progress_mod.Progress] = weakref.WeakKeyDictionary()
        # Requests of which it is not known yet that nova is done with them, by
        # server, the oldest first.
        self._open: collections.OrderedDict[
            str, progress_mod.Progress] = collections.OrderedDict()
        self._thread = _Thread()
        #: Whether a weigher takes what the filter gathers, and whether it
        #: draws among hosts that are equally good.
        self.weighs = self.draws = False

    def progress(self, spec: Any, request: request_mod.Request,
                 host_states: Sequence[Any]) -> progress_mod.Progress:
        """Return what a request has done, and note what it does now."""
        self._take_in_ended()
        try:
            progress = self._requests.get(spec)
        except TypeError:  # cannot be a key; nothing of ours or nova's
            progress = progress_mod.Progress(host_states, request.count)
        else:
            if progress is None:
                progress = self._requests[spec] = progress_mod.Progress(
                    host_states, request.count)
        if progress.start(request) and progress.nova_choice:
            self._correct(progress.nova_choice.placement())
        return progress

    def keep(self, gathered: Gathered | None) -> None:
        """Keep what the filter has gathered for the weigher.

        Of one request for each thread: nova filters and then weighs.
        """
        self._thread.gathered = gathered

    def take(
        self, spec: Any, uuid: str | None, host_states: Sequence[Any],
    ) -> tuple[progress_mod.Progress,
               list[candidates_mod.Candidate]] | None:
        """Return what the filter has just gathered of hosts for a server.

        :returns: None without a filter, or if it was asked already
        """
        kept, self._thread.gathered = self._thread.gathered, None
        if kept is None:
            return None
        progress, gathered = kept
        if (self._requests.get(spec) is not progress
                or progress.request is None
                or progress.request.instance != uuid):
            return None
        if [candidate.state for candidate in gathered] == host_states:
            return progress, list(gathered)
        known = {id(candidate.state): candidate for candidate in gathered}
        if not all(id(host) in known for host in host_states):
            return None
        return progress, [known[id(host)] for host in host_states]

    def gather(
        self, progress: progress_mod.Progress, request: request_mod.Request,
        host_states: Sequence[Any], settings: settings_mod.HostSettings,
    ) -> list[candidates_mod.Candidate]:
        """Return what is known of the hosts, counted where there is a cap."""
        found = gathering_mod.Gathering(
            self._sources, progress, request).candidates(host_states, settings)
        if progress.answers is None and _cannot_tell(found):
            self.cell_lookup.ask(request, progress, host_states)
            found = gathering_mod.Gathering(
                self._sources, progress, request).candidates(
                    host_states, settings)
        return found

    def reported(self, request: request_mod.Request,
                 host_states: Sequence[Any]) -> list[reports.Answer]:
        """Return what hosts report of the image of a request; never raises.

        What was read is kept for the weigher.
        """
        self._sources.sweep()
        return self._sources.answers(request, host_states)

    def place(self, progress: progress_mod.Progress,
              request: request_mod.Request,
              leading: Sequence[candidates_mod.Candidate]) -> bool:
        """Remember that a server is about to be placed on a host.

        A guess until nova has chosen. Only the first one counts: nova weighs
        once more for alternates.

        :param leading: the hosts that it may choose, the most likely first
        :returns: whether it is the first
        """
        uuid = request.instance
        if progress.alternates or uuid is None or uuid in progress.guessed:
            return False
        progress.guessed.add(uuid)
        placements = [
            (candidate.state, self._placement(request, uuid, candidate))
            for candidate in leading]
        # Else a guess would be wrong more often than not.
        if CONF.filter_scheduler.host_subset_size <= 1:
            self.ledger.record(placements[0][1])
        if progress.is_dated:
            progress.nova_choice = nova_choice.NovaChoice(placements)
            self._open[uuid] = progress
            while len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        return True

    def _placement(self, request: request_mod.Request, uuid: str,
                   candidate: candidates_mod.Candidate) -> ledger.Placement:
        now, state = self.clock(), candidate.state
        return ledger.Placement(
            uuid, Spot(state.host, state.nodename), str(request.image),
            request.project, request.move,
            ledger.Resources(request.vcpus, request.memory_mb),
            ledger.Resources(
                state.vcpus_used or 0,
                (state.total_usable_ram_mb or 0) - (state.free_ram_mb or 0)),
            candidate.count, now,
            now + CONF.cache_aware_sched.recent_placement_seconds)

    def refused(self, progress: progress_mod.Progress) -> None:
        """Forget what a request has placed: nova drops all of it."""
        for uuid in progress.ours():
            self.ledger.forget(str(uuid))

    def _correct(self, placement: ledger.Placement | None) -> None:
        """Put right where a server was placed."""
        if placement is not None and not self.ledger.was_on(
                placement.uuid, placement.spot):
            self.ledger.record(placement)

    def _take_in_ended(self) -> None:
        """Learn where nova has put servers that were placed moments ago."""
        for uuid, progress in list(self._open.items()):
            placement, failed = progress.end() or (None, ())
            self._correct(placement)
            for server in failed:
                self.ledger.forget(server)
            if progress.nova_choice is None:
                self._open.pop(uuid, None)
        self._sources.sweep()


def _cannot_tell(
        candidates: Sequence[candidates_mod.Candidate]) -> bool:
    """Return whether only the cells know if there is room."""
    room = candidates_mod.with_room(candidates)
    return not room or any(
        candidate.most > candidate.count and not candidate.surely_has_room
        for candidate in room)


#: nova makes the filters and the weighers of a scheduler one after the other,
#: gives them nothing, and tells them nothing of each other. So what they share
#: belongs to the process; whoever comes first makes it. Nothing else of the
#: scheduler half is kept here, but for what only saves time.
_shared: SameImageCounter | None = None


def share(counter: SameImageCounter | None) -> None:
    """Let the filters and weighers that are made from now on share a counter.

    :param counter: None for a new one, as after a start of the process
    """
    global _shared
    _shared = counter


def shared() -> SameImageCounter:
    """Return the counter of this scheduler process."""
    global _shared
    if _shared is None:
        _shared = SameImageCounter()
    return _shared

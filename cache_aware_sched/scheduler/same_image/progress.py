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

"""What one request has done so far, from its first look at the hosts.

nova filters and weighs once for each server of a request, and once more for
the alternates of a multi-create. The HostStates are made for the request, so
what nova changes in them tells which host it chose.
"""

from collections.abc import Sequence
import operator
from typing import Any
import weakref

from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image import nova_choice
from cache_aware_sched.scheduler.same_image.servers import Spot


_SERVERS = operator.attrgetter('num_instances')


class Progress:
    """One request.

    HostStates are known by their ids and must not be kept: that nova lets them
    go is how the end of a request is seen.

    :param servers: in the request
    :ivar request: what it asks for now
    :ivar placed: where nova has placed its servers, by uuid
    :ivar alternates: whether the server that it deals with is placed already
    :ivar guessed: servers whose placement was recorded before nova chose
    :ivar at_start: the servers that each host had, by id() of its HostState
    :ivar answers: what the cells said, by cell, by host: uuids; None before
        they were asked
    :ivar evacuated: whether the server that is placed is being evacuated, or
        may be, by what they said
    :ivar full: hosts that were at the cap when the filter looked last
    :ivar nova_choice: of the decision for the current server
    :ivar is_dated: whether nova says when hosts were updated; in a simulation
        it does not, and nothing can be learnt of what it consumes
    """

    def __init__(self, host_states: Sequence[Any], servers: int = 1) -> None:
        self.request: request_mod.Request | None = None
        self.placed: dict[str, Spot] = {}
        self.alternates = False
        self.guessed: set[str] = set()
        # nova looks at the hosts of a request once for each of its servers,
        # and once more if there are several (FilterScheduler, nova 34.0.0).
        again = host_states if servers > 1 else ()
        self._hosts = list(map(weakref.ref, again))
        self.at_start = {id(host): host.num_instances for host in again}
        self.answers: dict[str, dict[Spot, set[str]]] | None = None
        self.evacuated = False
        self.full = 0
        self.nova_choice: nova_choice.NovaChoice | None = None
        self._now = dict(self.at_start)
        self._chosen: list[dict[str, Any]] = []
        self.is_dated = any(host.updated is not None for host in host_states)

    def start(self, request: request_mod.Request) -> Spot | None:
        """Note which server the request deals with now.

        It is for alternates if nova has placed the server already, and looks
        for hosts in case that its build fails.

        :returns: where the server before was placed, once
        """
        spot = self._learn() if self.request else None
        self.alternates = request.instance in self.placed
        self.request = request
        return spot

    def ours(self) -> set[str | None]:
        """Return the servers of the request, for as much as is known."""
        return {*self.placed,
                self.request.instance if self.request else None}

    def end(self) -> tuple[ledger.Placement | None, set[str]] | None:
        """Learn what became of the current server.

        :returns: where it was placed, and the servers of the request that were
            not placed; None if nothing is known yet, or no more
        """
        choice = self.nova_choice
        if choice is None:
            return None
        if self.is_dated and (choice.is_refused() or any(
                fields['updated'] is None for fields in self._chosen)):
            self.nova_choice = None
            return None, {*self.placed, *self.guessed}
        is_over = choice.is_over()
        placement = choice.placement()
        if is_over:
            self.nova_choice = None
        elif placement is None:
            return None
        failed = placement is None and self.is_dated and (
            choice.uuid not in self.placed)
        return placement, {choice.uuid} if failed else set()

    def _learn(self) -> Spot | None:
        """Learn where nova has placed the server before, if it has.

        Another filter may have dropped that host since, as that for
        anti-affinity does.
        """
        uuid = str(self.request.instance if self.request else None)
        if uuid in self.placed:
            return None
        for sign in self._hosts:
            host = sign()
            if host is not None and nova_choice.is_consumed(
                    vars(host), self._now[id(host)]):
                self._now[id(host)] = host.num_instances
                self._chosen.append(vars(host))
                spot = self.placed[uuid] = Spot(host.host, host.nodename)
                return spot
        return None

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

"""How busy hosts are, in absolute terms."""

import collections
from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import threading
import time
from typing import Any
from typing import NamedTuple

from cache_aware_sched import request as request_mod


#: Servers like the one that is placed, itself included, with which a host is
#: not busy at all. Else, in a cloud that is almost empty, one server would
#: make its host several times as busy as the average.
IDLE_SERVERS = 2

#: As many vCPUs and MiB at most: two servers of 2 vCPUs and 4 GiB. Judgement:
#: in replays without nova's code more unbalanced a cloud that fills up.
IDLE_VCPUS, IDLE_MEMORY_MB = 4, 8192

#: MiB that an empty host has in use: nova counts what is reserved for the host
#: itself. The default of ``[DEFAULT] reserved_host_memory_mb``.
RESERVED_MEMORY_MB = 512

#: The share of any host that is nothing: of one with 100 CPUs, overcommitted
#: by 4, six vCPUs. Judgement, as above.
IDLE_SHARE = 0.015


class Load(NamedTuple):
    """How busy hosts are with a resource, in the order of the hosts.

    :param shares: that are in use; 0 of nothing
    :param capacities: what there is of it, overcommit included
    :param idle: what may be in use of it on a host that is not busy at all,
        or :data:`IDLE_SHARE` where that is more
    """

    shares: list[float]
    capacities: list[float]
    idle: int

    def idle_share(self, place: int) -> float:
        """Return the share up to which a host is not busy at all."""
        capacity = self.capacities[place]
        return max(self.idle / capacity, IDLE_SHARE) if capacity > 0 else 0.0


class Loads(NamedTuple):
    """How busy hosts are."""

    vcpus: Load
    memory: Load


@dataclasses.dataclass(frozen=True, slots=True)
class Used:
    """What is used of a host.

    :param memory_mb: MiB
    """

    vcpus: int
    memory_mb: int

    def __add__(self, other: 'Used') -> 'Used':
        return Used(self.vcpus + other.vcpus,
                    self.memory_mb + other.memory_mb)

    def at_least(self, other: 'Used') -> 'Used':
        """Return the larger of each."""
        return Used(max(self.vcpus, other.vcpus),
                    max(self.memory_mb, other.memory_mb))


@dataclasses.dataclass(frozen=True, slots=True)
class _Placement:
    """A server that was just placed on a host.

    :param before: what the host's row showed at that moment
    :param wanted: by the server
    """

    before: Used
    wanted: Used
    expires: float


class RecentLoads:
    """How busy hosts are, with what was placed on them a moment ago.

    Until a host has claimed a server its row does not show it, and requests
    that come at the same time would all find the same host idle.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._placements: dict[str, collections.deque[_Placement]] = {}
        self._lock = threading.Lock()

    def place(self, request: request_mod.Request, host_state: Any,
              seconds: float) -> None:
        """Remember for so long that a server was placed on a host."""
        if seconds <= 0:
            return
        with self._lock:
            self._drop_expired(host_state.host)
            self._placements.setdefault(
                host_state.host, collections.deque()).append(_Placement(
                    _used(host_state), _wanted(request),
                    self._clock() + seconds))

    def loads(self, request: request_mod.Request,
              host_states: Sequence[Any]) -> Loads:
        """Return each host's load with the server of the request on it."""
        with self._lock:
            for name in list(self._placements):
                self._drop_expired(name)
            # Of few hosts only; all of this is done for each of thousands.
            expected = {
                host.host: self._expected(host) for host in host_states
                if host.host in self._placements} if self._placements else {}
        vcpus = Load([], [], min(
            IDLE_SERVERS * request.vcpus, IDLE_VCPUS))
        memory = Load([], [], RESERVED_MEMORY_MB + min(
            IDLE_SERVERS * request.memory_mb, IDLE_MEMORY_MB))
        for host in host_states:
            ram = host.total_usable_ram_mb or 0
            used = expected.get(host.host) if expected else None
            _append(vcpus, request.vcpus + (
                used.vcpus if used else host.vcpus_used or 0),
                (host.vcpus_total or 0) * (host.cpu_allocation_ratio or 1))
            _append(memory, request.memory_mb + (
                used.memory_mb if used else ram - (host.free_ram_mb or 0)),
                ram * (host.ram_allocation_ratio or 1))
        return Loads(vcpus, memory)

    def _expected(self, host_state: Any) -> Used:
        """Return what a host will show at least.

        What its row showed at the oldest of the placements, and all of them:
        as soon as the row has them too, they are not counted twice.
        """
        placements = self._placements[host_state.host]
        expected = placements[0].before
        for placement in placements:
            expected += placement.wanted
        return _used(host_state).at_least(expected)

    def _drop_expired(self, host: str) -> None:
        placements = self._placements.get(host)
        now = self._clock()
        while placements and placements[0].expires <= now:
            placements.popleft()
        if placements is not None and not placements:
            del self._placements[host]


def _wanted(request: request_mod.Request) -> Used:
    return Used(request.vcpus, request.memory_mb)


def _used(host: Any) -> Used:
    return Used(host.vcpus_used or 0,
                (host.total_usable_ram_mb or 0) - (host.free_ram_mb or 0))


def _append(load: Load, used: int, capacity: float) -> None:
    load.shares.append(used / capacity if capacity > 0 else 0.0)
    load.capacities.append(capacity)

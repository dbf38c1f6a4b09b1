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

from collections.abc import Sequence
from typing import NamedTuple

from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.candidates import Candidate
from cache_aware_sched.scheduler.same_image import ledger

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


class Idle(NamedTuple):
    """What may be in use on a host that is not busy at all.

    :param memory_mb: MiB
    """

    vcpus: int
    memory_mb: int

    @classmethod
    def for_request(cls, request: request_mod.Request) -> 'Idle':
        """Return what it is for servers of this size."""
        return cls(
            min(IDLE_SERVERS * request.vcpus, IDLE_VCPUS),
            RESERVED_MEMORY_MB + min(
                IDLE_SERVERS * request.memory_mb, IDLE_MEMORY_MB))


def idle_share(idle: int, capacity: float) -> float:
    """Return the share up to which a host is not busy at all."""
    return max(idle / capacity, IDLE_SHARE) if capacity > 0 else 0.0


def set_loads(candidates: Sequence[Candidate], request: request_mod.Request,
              pending: ledger.Spots) -> None:
    """Note how busy each host is with the server of the request on it.

    :param pending: what was placed moments ago
    """
    vcpus, memory_mb = request.vcpus, request.memory_mb
    for candidate in candidates:
        state = candidate.state
        total = state.total_usable_ram_mb or 0
        used_vcpus = state.vcpus_used or 0
        used_mb = total - (state.free_ram_mb or 0)
        if pending:
            placed = pending.get((state.host, state.nodename))
            if placed:
                used_vcpus, used_mb = _expected(used_vcpus, used_mb, placed)
        capacity = candidate.vcpus_capacity = (state.vcpus_total or 0) * (
            state.cpu_allocation_ratio or 1)
        candidate.vcpus = (used_vcpus + vcpus) / capacity if (
            capacity > 0) else 0.0
        capacity = candidate.memory_capacity = total * (
            state.ram_allocation_ratio or 1)
        candidate.memory = (used_mb + memory_mb) / capacity if (
            capacity > 0) else 0.0


def _expected(vcpus: int, memory_mb: int,
              placed: ledger.Pending) -> tuple[int, int]:
    """Return what a host will show at least.

    What its row showed at the oldest of the placements, and all of them: as
    soon as the row has them too, they are not counted twice.
    """
    expected = next(iter(placed.values())).used
    for placement in placed.values():
        expected += placement.wanted
    return (max(vcpus, expected.vcpus), max(memory_mb, expected.memory_mb))

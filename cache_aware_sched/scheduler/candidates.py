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

"""What is known of one candidate of a request."""

from collections.abc import Iterable
from typing import Any
from typing import NamedTuple

from cache_aware_sched import cap as cap_mod
from cache_aware_sched.scheduler import reports


class Setting(NamedTuple):
    """What operators have set for a host.

    :param cap: of the servers of an image, and who set it
    :param multiplier: of the weight
    :param packs_vcpus: whether nova's own weigher prefers hosts whose vCPUs
        are busy, as in a cloud that fills one host after the other
    :param packs_memory: the same of the memory
    """

    cap: cap_mod.Cap = cap_mod.Cap()
    multiplier: float = 0.0
    packs_vcpus: bool = False
    packs_memory: bool = False


class Candidate:
    """A host that could take the server: all that decides about it.

    Filter and weigher fill it in, one after the other, and nothing else is
    looked at when a decision is made.

    :ivar state: its HostState
    :ivar answer: what its report says
    :ivar setting: what is set for it
    :ivar limit: the number that its cap comes to; 0 for none
    :ivar count: servers of the image on it, without the one that is placed
    :ivar most: servers of the image that may be on it, for all that is known
    :ivar needed: servers that it must have room for: the one that is placed,
        or all that are left of an affinity group
    :ivar arriving: whether a server of the image was just placed there, which
        makes the host fetch it
    :ivar vcpus: share of its vCPUs that is in use with the server on it
    :ivar memory: the same of its memory
    :ivar vcpus_capacity: what there is of it, overcommit included
    :ivar memory_capacity: the same in MiB
    """

    __slots__ = ('answer', 'arriving', 'count', 'limit', 'memory',
                 'memory_capacity', 'most', 'needed', 'setting', 'state',
                 'vcpus', 'vcpus_capacity')

    vcpus: float
    memory: float
    vcpus_capacity: float
    memory_capacity: float

    def __init__(self, state: Any, answer: reports.Answer, setting: Setting,
                 needed: int = 1) -> None:
        self.state = state
        self.answer = answer
        self.setting = setting
        self.limit = setting.cap.number
        self.count = self.most = 0
        self.needed = needed
        self.arriving = False

    @property
    def host(self) -> str:
        """Return the name of the host."""
        return str(self.state.host)

    @property
    def has_room(self) -> bool:
        """Return whether it is below its cap, by what is known."""
        return not self.limit or self.count + self.needed <= self.limit

    @property
    def surely_has_room(self) -> bool:
        """Return whether it is, whatever is not known."""
        return not self.limit or self.most + self.needed <= self.limit

    def full(self) -> str:
        """Return how many servers it runs, for a log."""
        return f'{self.host} {self.count} of {self.limit}'


def with_room(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates that have room, by what is known."""
    # Not by the property: this is done for each of thousands.
    return [candidate for candidate in candidates if not candidate.limit
            or candidate.count + candidate.needed <= candidate.limit]

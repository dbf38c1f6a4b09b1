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

"""Where this scheduler placed servers moments ago: the ledger.

Until a host has claimed a server no table shows it, and requests that come at
the same time would all find the same host empty and idle.
"""

import collections
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import threading
import time

from cache_aware_sched.scheduler.same_image.servers import Server
from cache_aware_sched.scheduler.same_image.servers import Spot

#: However long the memory is: more than any scheduler places in ten minutes.
MAX_PLACEMENTS = 50_000

#: Servers of which it is remembered where they were placed last: more than
#: there are requests at the same time.
MAX_RECENT = 1000

#: Seconds after which what follows from a placement is surely written to the
#: cell: the server itself, or where it moves. The conductor and the host do so
#: as soon as the scheduler has answered.
WRITTEN_AFTER = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """What a server wants of a host, or what is used of one.

    :param memory_mb: MiB
    """

    vcpus: int
    memory_mb: int

    def __add__(self, other: 'Resources') -> 'Resources':
        return Resources(self.vcpus + other.vcpus,
                         self.memory_mb + other.memory_mb)


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """A server that no table shows on its host yet.

    :param uuid: of the instance
    :param spot: host and node
    :param image: id of the image
    :param project: id of the project, None if the request had none
    :param move: whether the server was somewhere else before
    :param wanted: of the host
    :param used: what the host's row showed at that moment
    :param count: servers of the image that the host had at that moment, with
        those placed there before
    :param time: when it was placed, on the ledger's clock
    :param expires: when it is forgotten
    """

    uuid: str
    spot: Spot
    image: str
    project: str | None
    move: bool
    wanted: Resources
    used: Resources
    count: int
    time: float
    expires: float


#: What is pending on a host, by uuid, the oldest first.
Pending = dict[str, Placement]

#: The same of all hosts, by host and node.
Spots = dict[tuple[str, str], Pending]


class Ledger:
    """Remembers placements until they show or their time is over.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._placements: collections.OrderedDict[str, Placement] = (
            collections.OrderedDict())
        self._last: collections.OrderedDict[str, Spot] = (
            collections.OrderedDict())
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of placements that are remembered."""
        return len(self._placements)

    def record(self, placement: Placement) -> None:
        """Remember a placement; the last word on a server wins."""
        with self._lock:
            self._placements.pop(placement.uuid, None)
            self._drop_expired()
            if placement.expires <= self._clock():
                return
            if len(self._placements) >= MAX_PLACEMENTS:
                self._placements.popitem(last=False)
            self._placements[placement.uuid] = placement
            self._last[placement.uuid] = placement.spot
            while len(self._last) > MAX_RECENT:
                self._last.popitem(last=False)

    def was_on(self, uuid: str, spot: Spot) -> bool:
        """Return whether a server was remembered to be placed on a host.

        Also if it is forgotten by now, as the host shows it.
        """
        return self._last.get(uuid) == spot

    def forget(self, uuid: str) -> None:
        """Forget a server: a table shows it, or it was not placed."""
        with self._lock:
            self._placements.pop(uuid, None)

    def correct(self, image: str, servers: Mapping[str, Server],
                absent: Collection[Spot]) -> None:
        """Drop what the cells disprove.

        :param image: id of the image that they were asked for
        :param servers: the servers of it, by uuid
        :param absent: spots that have no other server of the image than those;
            one that was placed there and is none of them was deleted, or is
            not written yet
        """
        now = self._clock()
        with self._lock:
            for uuid, placement in list(self._placements.items()):
                if placement.image == image and _is_wrong(
                        placement, servers.get(uuid), absent,
                        now - placement.time > WRITTEN_AFTER):
                    del self._placements[uuid]

    def by_spot(self) -> Spots:
        """Return what is remembered, by host and node."""
        spots: Spots = {}
        if self._placements:
            with self._lock:
                self._drop_expired()
                for placement in self._placements.values():
                    spots.setdefault(
                        placement.spot, {})[placement.uuid] = placement
        return spots

    def _drop_expired(self) -> None:
        # They are in the order in which they were recorded, which is almost
        # that in which they expire: the option is rarely changed.
        now = self._clock()
        while self._placements:
            oldest = next(iter(self._placements.values()))
            if oldest.expires > now:
                break
            self._placements.popitem(last=False)


def _is_wrong(placement: Placement, server: Server | None,
              absent: Collection[Spot], written: bool) -> bool:
    """Return whether what a cell has answered disproves a placement."""
    if server is None:
        return written and placement.spot in absent
    if server.is_on(placement.spot):
        return False
    if server.spots:
        # On another host. Of a move it may not be written yet where it goes.
        return written or not placement.move
    return not server.building  # its build failed

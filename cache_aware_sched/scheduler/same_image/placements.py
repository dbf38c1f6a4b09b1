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

"""Where this scheduler placed servers moments ago."""

import collections
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import threading
import time

from cache_aware_sched.scheduler.same_image.query import Server

#: However long the memory is: more than any scheduler places in ten minutes.
MAX_PLACEMENTS = 50_000

#: Seconds after which what follows from a placement is surely written to the
#: cell: the server itself, or where it moves. The conductor and the host do so
#: as soon as the scheduler has answered.
WRITTEN_AFTER = 3.0


@dataclasses.dataclass(slots=True)
class Placement:
    """A server that the scheduler does not know on its host yet.

    :param uuid: of the instance
    :param host: name of the compute host
    :param image: id of the image
    :param project: id of the project, None if the request had none
    :param time: when it was placed, on the ledger's clock
    :param expires: when it is forgotten
    :param seen: whether the host was seen to have an instance of this uuid,
        if without anything known about it; when that goes, so does this
    """

    uuid: str
    host: str
    image: str
    project: str | None
    time: float
    expires: float
    seen: bool = False


def _is_wrong(placement: Placement, server: Server | None,
              absent: Collection[str], written: bool) -> bool:
    if server is None:
        return written and placement.host in absent
    if placement.host in server.hosts:
        return False
    if server.hosts:
        # Claimed by another host; or a move that is not written yet.
        return server.building or written
    return not server.building  # its build failed


class RecentPlacements:
    """The ledger: what was placed, until it shows or its time is over.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._placements: collections.OrderedDict[str, Placement] = (
            collections.OrderedDict())
        self._lock = threading.Lock()

    def record(self, uuid: str, host: str, image: str, project: str | None,
               seconds: float) -> None:
        """Remember a placement for so long; the last word on a server wins."""
        if seconds <= 0:
            return
        now = self._clock()
        with self._lock:
            self._placements.pop(uuid, None)
            self._drop_expired(now)
            if len(self._placements) >= MAX_PLACEMENTS:
                self._placements.popitem(last=False)
            self._placements[uuid] = Placement(
                uuid, host, image, project, now, now + seconds)

    def forget(self, uuid: str) -> None:
        """Forget a server: a table shows it, or that it is not there."""
        with self._lock:
            self._placements.pop(uuid, None)

    def correct(self, image: str, servers: Mapping[str, Server],
                absent: Collection[str]) -> None:
        """Drop what the cells disprove.

        :param image: id of the image that they were asked for
        :param servers: the servers of it, by uuid
        :param absent: hosts that have no other server of the image than those;
            one that was placed there and is none of them was deleted, or is
            not written yet
        """
        now = self._clock()
        with self._lock:
            for uuid, placement in list(self._placements.items()):
                written = now - placement.time > WRITTEN_AFTER
                if placement.image == image and _is_wrong(
                        placement, servers.get(uuid), absent, written):
                    del self._placements[uuid]

    def by_host(self) -> dict[str, dict[str, Placement]]:
        """Return what is remembered, by host and then by instance."""
        hosts: dict[str, dict[str, Placement]] = {}
        with self._lock:
            self._drop_expired(self._clock())
            for placement in self._placements.values():
                hosts.setdefault(
                    placement.host, {})[placement.uuid] = placement
        return hosts

    def _drop_expired(self, now: float) -> None:
        # They are in the order in which they were recorded, which is almost
        # that in which they expire: the option is rarely changed.
        while self._placements:
            oldest = next(iter(self._placements.values()))
            if oldest.expires > now:
                break
            self._placements.popitem(last=False)

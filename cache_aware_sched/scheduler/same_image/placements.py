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

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import threading
import time

#: However long the memory is: more than any scheduler places in ten minutes.
MAX_PLACEMENTS = 50_000

#: Seconds after which the conductor has surely written a server that was
#: placed to its cell; it does so as soon as the scheduler has answered.
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


class RecentPlacements:
    """The ledger: what was placed, until it shows or its time is over.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._placements: dict[str, Placement] = {}
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
                self._placements.pop(next(iter(self._placements)))
            self._placements[uuid] = Placement(
                uuid, host, image, project, now, now + seconds)

    def forget(self, uuid: str) -> None:
        """Forget a server: a table shows it, or that it is not there."""
        with self._lock:
            self._placements.pop(uuid, None)

    def correct(self, image: str, servers: Mapping[str, Collection[str]],
                absent: Collection[str]) -> None:
        """Drop what the databases disprove.

        :param image: id of the image that they were asked for
        :param servers: the hosts of each server of it, none before its claim
        :param absent: hosts that have no other server of the image than those;
            one that was placed there and is none of them was deleted, or is
            not written yet
        """
        now = self._clock()
        with self._lock:
            for uuid, placement in list(self._placements.items()):
                if placement.image != image:
                    continue
                hosts = servers.get(uuid)
                if hosts is None:
                    wrong = (placement.host in absent
                             and now - placement.time > WRITTEN_AFTER)
                else:
                    wrong = bool(hosts) and placement.host not in hosts
                if wrong:
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
        for uuid, placement in list(self._placements.items()):
            if placement.expires > now:
                break
            del self._placements[uuid]

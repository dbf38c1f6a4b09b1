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

"""The cell database of the simulated cloud, as far as anybody asks it."""

from collections.abc import Collection
from collections.abc import Iterable
import dataclasses

from cache_aware_sched.scheduler.same_image.servers import Server
from cache_aware_sched.scheduler.same_image.servers import Spot

#: The one cell that there is.
CELL = '00000000-0000-4000-8000-000000000001'


class SimulatedCells:
    """The servers that are, by image; answers as cells.CellQuery does."""

    def __init__(self) -> None:
        self._images: dict[str, dict[str, Server]] = {}

    def __len__(self) -> int:
        """Return the number of servers."""
        return sum(map(len, self._images.values()))

    def created(self, image: str, uuid: str, project: str) -> None:
        """Take in a server that no host has claimed."""
        self._images.setdefault(image, {})[uuid] = Server(
            uuid, image, project, frozenset(), True)

    def placed(self, image: str, uuid: str, host: str | None) -> None:
        """Note that a host claims a server; None that it gives it back."""
        servers = self._images[image]
        servers[uuid] = dataclasses.replace(
            servers[uuid],
            spots=frozenset([Spot(host, host)] if host else ()))

    def started(self, image: str, uuid: str) -> None:
        """Note that a server runs."""
        servers = self._images[image]
        servers[uuid] = dataclasses.replace(servers[uuid], building=False)

    def deleted(self, image: str, uuid: str) -> None:
        """Forget a server."""
        del self._images[image][uuid]

    def spots(self, cell_uuids: Iterable[str]) -> set[Spot]:
        """Tell nothing: what is told of all hosts is for operators."""
        return set()

    def share_of(self, image: str) -> tuple[int, float]:
        """Return what a share of the servers of an image is reckoned with.

        :returns: the servers but for one, and how many each of their hosts
            has on average
        """
        servers = self._images.get(image, {}).values()
        spots = {spot for server in servers for spot in server.spots}
        return max(0, len(servers) - 1), len(servers) / max(1, len(spots))

    def servers(
        self, image: str, uuids: Collection[str], cell_uuids: Iterable[str],
    ) -> dict[str, list[Server]]:
        """Return the servers of an image by cell.

        See :mod:`cache_aware_sched.scheduler.same_image.cells`.

        No simulated server is a stub, so nobody asks for uuids.
        """
        return {CELL: list(self._images.get(image, {}).values())}

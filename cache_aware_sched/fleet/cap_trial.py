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

"""What another cap would have done to the servers that there are and were.

The servers of the last days are placed once more, in the order in which they
were created, each on the host that it has. Where that host has reached the
cap, the server goes to the host with the fewest servers of the image; where
all have, it is refused. That leaves out what else may be in the way, as
memory, other filters and zones (nova notes the zone of the host for every
server, whether it was asked for or not): a real cloud refuses as many or more.
"""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime
import heapq
import math
from typing import Any

import sqlalchemy as sa

from cache_aware_sched.fleet.caps import FleetCaps
from cache_aware_sched.fleet.caps import ImageCap
from cache_aware_sched.fleet.images import Node
from cache_aware_sched import image_ids
from cache_aware_sched import nova_databases

_INSTANCES = sa.table('instances', *(sa.column(name) for name in (
    'uuid', 'image_ref', 'host', 'node', 'project_id', 'instance_type_id',
    'deleted', 'hidden')), *(
        sa.column(name, sa.DateTime()) for name in (
            'created_at', 'deleted_at')))


#: Caps by the number of a flavor; None where the cap on trial is none of it:
#: its servers stay where they were.
ByFlavor = Mapping[int, FleetCaps | None]


@dataclasses.dataclass(frozen=True, slots=True)
class PastServer:
    """A server that is there, or was there lately.

    :param image: the canonical id
    :param node: that it is on, or was on last
    :param flavor: its number
    :param created: UTC, without a zone
    :param deleted: None if it is there
    """

    image: str
    project: str
    node: Node
    flavor: int
    created: datetime.datetime
    deleted: datetime.datetime | None


@dataclasses.dataclass(slots=True)
class CapTrial:
    """What a cap would have done.

    :param asked: servers that were created in the period
    :param elsewhere: of these, those that would have gone to another host
    :param refused: those that no host would have taken, by their image
    """

    asked: int = 0
    elsewhere: int = 0
    refused: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter)


def past(cells: Iterable[nova_databases.Database], since: datetime.datetime,
         ) -> tuple[list[PastServer], dict[str, str]]:
    """Return the servers that were there since then; one statement a cell.

    :param since: UTC, without a zone
    :returns: in the order of their creation; and why a cell could not be read
    """
    found: list[tuple[datetime.datetime, str, PastServer]] = []
    unread: dict[str, str] = {}
    columns = _INSTANCES.c
    statement = sa.select(_INSTANCES).where(
        columns.image_ref.is_not(None), columns.image_ref != '',
        columns.host.is_not(None), columns.created_at.is_not(None),
        sa.or_(columns.hidden.is_(None), columns.hidden.is_(False)),
        sa.or_(columns.deleted == 0, columns.deleted_at >= since))
    for cell in cells:
        try:
            found += ((row.created_at, row.uuid, _server(row))
                      for row in cell.select(statement))
        except nova_databases.Unreadable as error:
            unread[cell.cell] = str(error)
    found.sort(key=lambda one: one[:2])
    return [server for _created, _uuid, server in found], unread


def _server(row: sa.Row[Any]) -> PastServer:
    return PastServer(
        image_ids.canonical(row.image_ref), row.project_id or '',
        (row.host, row.node or row.host), row.instance_type_id or 0,
        row.created_at, row.deleted_at if row.deleted else None)


class _Placing:
    """Places the servers of one image, of all projects or of one.

    :param total: of the servers that there are
    """

    def __init__(self, by_flavor: ByFlavor, others: FleetCaps,
                 total: int) -> None:
        self._caps = by_flavor
        self._others = others
        self._limits = {id(caps): caps.limits(total)
                        for caps in (others, *by_flavor.values()) if caps}
        self._counts: collections.Counter[Node] = collections.Counter()
        # Made when it is needed; an entry whose count has changed is void.
        self._queue: list[tuple[int, Node]] | None = None

    def place(self, server: PastServer, counts: bool) -> Node | None:
        """Return where a server goes, None if no host takes it.

        :param counts: whether the cap is kept
        """
        node: Node | None = server.node
        caps = self._caps.get(server.flavor, self._others)
        if counts and caps and self._is_full(server.node, caps):
            node = self._fewest(caps)
        if node is not None:
            self._count(node, 1)
        return node

    def leave(self, node: Node) -> None:
        """Take a server from a node."""
        self._count(node, -1)

    def _count(self, node: Node, more: int) -> None:
        self._counts[node] += more
        if self._queue is not None and node in self._others.nodes:
            heapq.heappush(self._queue, (self._counts[node], node))

    def _is_full(self, node: Node, caps: FleetCaps) -> bool:
        limit = self._limits[id(caps)][caps.of(node)]
        return 0 < limit <= self._counts[node]

    def _fewest(self, caps: FleetCaps) -> Node | None:
        """Return the node with the fewest servers that has room."""
        if self._queue is None:
            self._queue = [(self._counts[node], node)
                           for node in self._others.nodes]
            heapq.heapify(self._queue)
        queue = self._queue
        limits = self._limits[id(caps)].values()
        most = max(limits) if all(limits) else math.inf
        full = []
        chosen = None
        while queue and chosen is None:
            count, node = queue[0]
            if count != self._counts[node]:
                heapq.heappop(queue)  # it has changed since
            elif count >= most:
                break  # the others have as many
            elif self._is_full(node, caps):
                full.append(heapq.heappop(queue))
            else:
                chosen = node
        for entry in full:
            heapq.heappush(queue, entry)
        return chosen


def replay(servers: Iterable[PastServer], since: datetime.datetime,
           caps: FleetCaps, by_flavor: ByFlavor,
           by_project: bool) -> CapTrial:
    """Place servers once more, those created since then below a cap.

    :param servers: in the order of their creation
    :param since: UTC, without a zone; what was there before keeps its host
    :param by_flavor: the caps of the flavors that have some of their own
    :param by_project: whether ``same_image_scope`` is ``project``
    """
    groups: dict[tuple[str, str], list[PastServer]] = (
        collections.defaultdict(list))
    for server in servers:
        groups[server.image, server.project if by_project else ''].append(
            server)
    trial = CapTrial()
    for (image, _project), group in groups.items():
        placing = _Placing(by_flavor, caps, sum(
            server.deleted is None for server in group))
        ends: list[tuple[datetime.datetime, Node]] = []
        for server in group:
            while ends and ends[0][0] <= server.created:
                placing.leave(heapq.heappop(ends)[1])
            counts = server.created >= since
            node = placing.place(server, counts)
            trial.asked += counts
            trial.elsewhere += node is not None and node != server.node
            if node is None:
                trial.refused[image] += 1
            elif server.deleted is not None:
                heapq.heappush(ends, (server.deleted, node))
    return trial


def stranded(images: Iterable[ImageCap], caps: FleetCaps,
             ) -> dict[Node, dict[str, int]]:
    """Return whose servers would not fit below the cap on the other hosts.

    nova evacuates them all the same, as an evacuation is never refused; a
    move that is planned would be.

    :returns: by node, how many servers of which image
    """
    found: dict[Node, dict[str, int]] = collections.defaultdict(dict)
    for one in images:
        limits = caps.limits(one.running)
        taken = caps.taken(one.counts, one.limits)
        total = sum(taken.values())
        for node, count in one.counts.items():
            if node in caps.clusters:  # which is not lost as a whole
                continue
            room = caps.room(limits, one.counts, without=node)
            left = 0 if room is None else (
                count - room + total - taken.get(node, 0))
            if left > 0:
                found[node][one.image.name] = (
                    found[node].get(one.image.name, 0) + left)
    return dict(found)

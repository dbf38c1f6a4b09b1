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

"""The servers of an image, as the cell databases have them.

A compute writes a server's host when it claims it, long before the scheduler
is told of the server, so this also sees what is still being built, on its way
to another host, or waiting for a resize to be confirmed.
"""

from collections.abc import Collection
from collections.abc import Iterable
import dataclasses
from typing import Any

from nova.compute import vm_states
from nova import context as nova_context
from nova.db.main import api as main_db
from nova.db.main import models
from nova import objects
from oslo_log import log as logging
import sqlalchemy as sa

from cache_aware_sched import image_ids
from cache_aware_sched import once
from cache_aware_sched import presence
from cache_aware_sched.scheduler.same_image.servers import Server
from cache_aware_sched.scheduler.same_image.servers import Spot

LOG = logging.getLogger(__name__)

#: Servers that one query asks for by their uuid; more would make a statement
#: that is longer than databases like (SQLite takes 32,766 values).
MAX_UUIDS = 1000


def _statement(image: str, uuids: Collection[str]) -> Any:
    server, move = models.Instance, models.Migration
    wanted = sa.func.lower(server.image_ref) == image
    if uuids:
        wanted = sa.or_(wanted, server.uuid.in_(uuids))
    return sa.select(
        server.uuid, server.image_ref, server.project_id, server.host,
        server.node, server.vm_state, server.task_state,
        move.source_compute, move.source_node, move.dest_compute,
        move.dest_node,
    ).outerjoin(
        move, sa.and_(
            move.instance_uuid == server.uuid, move.deleted == 0,
            move.status.not_in(presence.MIGRATION_ENDED)),
    ).where(
        server.deleted == 0, wanted,
        # What a move to another cell leaves or has not started yet.
        sa.or_(server.hidden.is_(None), server.hidden == sa.false()))


def _servers_of_cell(
    context: nova_context.RequestContext, image: str, uuids: Collection[str],
) -> list[Server]:
    with main_db.get_context_manager(context).reader.using(
            context) as session:
        rows = session.execute(_statement(image, uuids)).all()
    found: dict[str, Server] = {}
    for row in rows:
        server = _server(row)
        if server.uuid in found:
            server = dataclasses.replace(
                server, spots=server.spots | found[server.uuid].spots)
        found[server.uuid] = server
    return list(found.values())


def _server(row: Any) -> Server:
    ends = [(row.host, row.node)]
    if presence.is_moving(row.vm_state, row.task_state):
        ends += [(row.source_compute, row.source_node),
                 (row.dest_compute, row.dest_node)]
    return Server(
        row.uuid, image_ids.canonical(row.image_ref or ''), row.project_id,
        frozenset(Spot(host, node or '') for host, node in ends if host),
        row.vm_state == vm_states.BUILDING,
        presence.is_evacuated(row.vm_state, row.task_state))


def _spots_of_cell(context: nova_context.RequestContext) -> set[Spot]:
    node = models.ComputeNode
    with main_db.get_context_manager(context).reader.using(
            context) as session:
        rows = session.execute(sa.select(
            node.host, node.hypervisor_hostname).where(
                node.deleted == 0)).all()
    return {Spot(host, name) for host, name in rows}


class CellQuery:
    """Asks the cells of some hosts for the servers of an image.

    Remembers the cells' addresses, as nova's scheduler does.
    """

    def __init__(self) -> None:
        self._cells: dict[str, Any] = {}

    def servers(self, image: str, uuids: Collection[str],
                cell_uuids: Iterable[str]) -> dict[str, list[Server]]:
        """Return the servers of an image, and some others, by cell.

        :param image: id of the image
        :param uuids: of servers to return too, whatever their image; at most
            :data:`MAX_UUIDS`
        :param cell_uuids: the cells to ask, once each
        :returns: without the cells that did not answer, of which a warning
            was logged
        """
        context = nova_context.get_admin_context()
        mappings = [mapping for mapping in (
            self._mapping(context, uuid) for uuid in sorted(cell_uuids))
            if mapping is not None]
        results = nova_context.scatter_gather_cells(
            context, mappings, nova_context.CELL_TIMEOUT, _servers_of_cell,
            image, sorted(uuids))
        answered = {}
        for cell_uuid, result in results.items():
            if nova_context.is_cell_failure_sentinel(result):
                self._cells.pop(cell_uuid, None)
                once.warning(
                    LOG, ('cell', cell_uuid),
                    'Cell %(cell)s did not say which servers of image '
                    '%(image)s its hosts run; counting those that the '
                    'scheduler knows of. See the errors logged before this '
                    'line. This is logged once until the cell answers.',
                    {'cell': cell_uuid, 'image': image})
                continue
            once.forget(LOG, ('cell', cell_uuid))
            answered[cell_uuid] = result
        return answered

    def spots(self, cell_uuids: Iterable[str]) -> set[Spot]:
        """Return all hosts of cells, with their nodes.

        :returns: none if a cell does not answer
        """
        context = nova_context.get_admin_context()
        mappings = [
            self._mapping(context, uuid) for uuid in sorted(cell_uuids)]
        if None in mappings:
            return set()
        results = nova_context.scatter_gather_cells(
            context, mappings, nova_context.CELL_TIMEOUT, _spots_of_cell)
        if any(map(nova_context.is_cell_failure_sentinel, results.values())):
            return set()
        return set[Spot]().union(*results.values())

    def _mapping(self, context: nova_context.RequestContext,
                 cell_uuid: str) -> 'objects.CellMapping | None':
        if cell_uuid not in self._cells:
            try:
                self._cells[cell_uuid] = objects.CellMapping.get_by_uuid(
                    context, cell_uuid)
            except Exception as error:  # whatever the database does
                once.warning(
                    LOG, ('mapping', cell_uuid),
                    'No cell mapping of cell %(cell)s could be read: '
                    '%(error)s. Servers that are being built there are not '
                    'counted.', {'cell': cell_uuid, 'error': error})
                return None
            once.forget(LOG, ('mapping', cell_uuid))
        return self._cells[cell_uuid]

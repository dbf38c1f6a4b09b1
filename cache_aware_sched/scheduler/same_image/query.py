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

from nova import context as nova_context
from nova.db.main import api as main_db
from nova.db.main import models
from nova import objects
from oslo_log import log as logging
import sqlalchemy as sa

from cache_aware_sched import once

LOG = logging.getLogger(__name__)
_ONCE = once.Once(LOG)

#: A server that moves in one of these states will not come (back); the list of
#: nova.db.main.api.migration_get_in_progress_by_host_and_node (nova 34.0.0),
#: with 'done', which it has too.
_MOVE_ENDED = ('confirmed', 'reverted', 'error', 'failed', 'completed',
               'cancelled', 'done')

#: Above so many hosts reading all servers of the image is faster than naming
#: the hosts, and SQLite takes at most 32,766 values.
MAX_NAMED_HOSTS = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server of the image.

    :param uuid: of the instance
    :param project: id of its project
    :param hosts: where it is, comes from or goes to; empty before the claim
    :param building: whether it was never started yet
    """

    uuid: str
    project: str | None
    hosts: frozenset[str]
    building: bool


def _statement(image: str, hosts: Collection[str] | None) -> Any:
    server, move = models.Instance, models.Migration
    moving = sa.and_(move.deleted == 0, move.status.not_in(_MOVE_ENDED))
    statement = sa.select(
        server.uuid, server.project_id, server.host, server.vm_state,
        move.source_compute, move.dest_compute,
    ).outerjoin(
        move, sa.and_(move.instance_uuid == server.uuid, moving),
    ).where(server.deleted == 0, server.image_ref == image)
    if hosts is None:
        return statement
    there = sa.or_(move.source_compute.in_(hosts),
                   move.dest_compute.in_(hosts))
    return statement.where(sa.or_(
        server.host.in_(hosts),
        server.uuid.in_(sa.select(move.instance_uuid).where(moving, there))))


def _servers_of_cell(
    context: nova_context.RequestContext, image: str,
    hosts: Collection[str] | None,
) -> list[Server]:
    with main_db.get_context_manager(context).reader.using(
            context) as session:
        rows = session.execute(_statement(image, hosts)).all()
    found: dict[str, Server] = {}
    for uuid, project, host, vm_state, source, destination in rows:
        known = found[uuid].hosts if uuid in found else frozenset()
        found[uuid] = Server(
            uuid, project,
            known | {name for name in (host, source, destination) if name},
            vm_state == 'building')
    return list(found.values())


class CellQuery:
    """Asks the cells of some hosts for the servers of an image.

    Remembers the cells' addresses, as nova's scheduler does.
    """

    def __init__(self) -> None:
        self._cells: dict[str, Any] = {}

    def servers(
        self, image: str, hosts: Collection[str] | None,
        cell_uuids: Iterable[str],
    ) -> dict[str, list[Server]]:
        """Return the servers of an image by cell.

        :param image: id of the image
        :param hosts: names of the hosts that matter; None for all, also
            servers that have none
        :param cell_uuids: the cells to ask, once each
        :returns: without the cells that did not answer, of which a warning
            was logged
        """
        if hosts is not None and len(hosts) > MAX_NAMED_HOSTS:
            hosts = None
        context = nova_context.get_admin_context()
        mappings = [mapping for mapping in (
            self._mapping(context, uuid) for uuid in sorted(cell_uuids))
            if mapping is not None]
        results = nova_context.scatter_gather_cells(
            context, mappings, nova_context.CELL_TIMEOUT, _servers_of_cell,
            image, hosts)
        answered = {}
        for cell_uuid, result in results.items():
            if nova_context.is_cell_failure_sentinel(result):
                self._cells.pop(cell_uuid, None)
                _ONCE.warning(
                    ('cell', cell_uuid),
                    'Cell %(cell)s did not say which servers of image '
                    '%(image)s its hosts run; counting those that the '
                    'scheduler knows of. See the errors logged before this '
                    'line. This is logged once until the cell answers.',
                    {'cell': cell_uuid, 'image': image})
                continue
            _ONCE.forget(('cell', cell_uuid))
            answered[cell_uuid] = result
        return answered

    def _mapping(self, context: nova_context.RequestContext,
                 cell_uuid: str) -> 'objects.CellMapping | None':
        if cell_uuid not in self._cells:
            try:
                self._cells[cell_uuid] = objects.CellMapping.get_by_uuid(
                    context, cell_uuid)
            except Exception as error:  # whatever the database does
                _ONCE.warning(
                    ('mapping', cell_uuid),
                    'No cell mapping of cell %(cell)s could be read: '
                    '%(error)s. Servers that are being built there are not '
                    'counted.', {'cell': cell_uuid, 'error': error})
                return None
            _ONCE.forget(('mapping', cell_uuid))
        return self._cells[cell_uuid]

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

"""The servers of the last days, as nova's databases have them.

They are kept and renewed: after the first time a statement asks for the rows
that have changed since. It goes by the index of ``instances`` on
``updated_at``; a server has one as soon as nova has chosen its host.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa

from cache_aware_sched import image_ids
from cache_aware_sched import nova_databases

_INSTANCES = sa.table('instances', *(sa.column(name) for name in (
    'uuid', 'image_ref', 'host', 'availability_zone', 'hidden')), *(
        sa.column(name, sa.DateTime()) for name in (
            'created_at', 'updated_at', 'launched_at')))

#: A row is asked for again that changed so shortly before the last time: the
#: clocks of nova's services differ, and transactions take their time.
OVERLAP = datetime.timedelta(minutes=2)


@dataclasses.dataclass(frozen=True, slots=True)
class RecentServer:
    """A server that was made from an image.

    :param image: id, spelt as Glance does
    :param host: '' as long as there is none
    :param created: when it was asked for, UTC, without a zone
    :param launched: when it was ACTIVE, None before
    :param zone: that of its host when it was sent there; '' without a host
    """

    uuid: str
    image: str
    host: str
    created: datetime.datetime
    launched: datetime.datetime | None
    zone: str

    @property
    def seconds(self) -> float | None:
        """How long it took from the request to ACTIVE."""
        return None if self.launched is None else max(
            0.0, (self.launched - self.created).total_seconds())


class RecentServers:
    """The servers that were created in a period up to now, deleted ones too.

    :param period: its length
    """

    def __init__(self, period: datetime.timedelta) -> None:
        self._period = period
        self._servers: dict[str, RecentServer] = {}
        self._read: dict[str, datetime.datetime] = {}

    def __iter__(self) -> Iterator[RecentServer]:
        """Return all of them."""
        return iter(self._servers.values())

    def update(self, cells: Iterable[nova_databases.Database],
               now: datetime.datetime,
               ) -> tuple[list[RecentServer], dict[str, str]]:
        """Read what has changed, one statement a cell.

        :param now: UTC, without a zone
        :returns: the servers that have changed, and why a cell could not be
            read, by its name
        """
        start = now - self._period
        changed: list[RecentServer] = []
        unread: dict[str, str] = {}
        for cell in cells:
            since = max(start, self._read.get(cell.cell, start) - OVERLAP)
            try:
                rows = cell.select(_statement(start, since))
            except nova_databases.Unreadable as error:
                unread[cell.cell] = str(error)
                continue
            self._read[cell.cell] = now
            changed += map(_server, rows)
        self._servers.update((server.uuid, server) for server in changed)
        self._servers = {uuid: server for uuid, server
                         in self._servers.items() if server.created >= start}
        return changed, unread

    def created(self) -> Mapping[str, list[datetime.datetime]]:
        """Return when the servers of each image were created."""
        found: dict[str, list[datetime.datetime]] = collections.defaultdict(
            list)
        for server in self:
            found[server.image].append(server.created)
        return found


def _statement(start: datetime.datetime,
               since: datetime.datetime) -> sa.Select[Any]:
    columns = _INSTANCES.c
    return sa.select(
        columns.uuid, columns.image_ref, columns.host, columns.created_at,
        columns.launched_at, columns.availability_zone).where(
            columns.updated_at >= since, columns.created_at >= start,
            sa.or_(columns.hidden.is_(None), columns.hidden.is_(False)),
            columns.image_ref.is_not(None), columns.image_ref != '')


def _server(row: sa.Row[Any]) -> RecentServer:
    return RecentServer(
        row.uuid, image_ids.canonical(row.image_ref), row.host or '',
        row.created_at, row.launched_at, row.availability_zone or '')

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
"""Reads what every compute node reports of its image cache.

One statement a cell, and three of the API database for aggregates and zones.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
from typing import Any

from oslo_serialization import jsonutils
import sqlalchemy as sa

from cache_aware_sched import nova_databases
from cache_aware_sched import report

#: What nova calls the zone of a host that no aggregate gives one ([DEFAULT]
#: default_availability_zone, nova 34.0.0).
_ZONE = 'availability_zone'

#: Why there is no report where nova-compute has none of our drivers.
NO_REPORT = 'its driver reports none: see compute_driver'

_NODES = sa.table('compute_nodes', *(sa.column(name) for name in (
    'host', 'hypervisor_hostname', 'hypervisor_type', 'stats', 'deleted')), *(
        sa.column(name, sa.DateTime()) for name in (
            'created_at', 'updated_at')))
_SERVICES = sa.table('services', *(sa.column(name) for name in (
    'host', 'binary', 'disabled', 'forced_down', 'deleted')), sa.column(
        'last_seen_up', sa.DateTime()))
_AGGREGATES = sa.table('aggregates', sa.column('id'), sa.column('name'))
_MEMBERS = sa.table(
    'aggregate_hosts', sa.column('aggregate_id'), sa.column('host'))
_METADATA = sa.table('aggregate_metadata', *(sa.column(name) for name in (
    'aggregate_id', 'key', 'value')))


@dataclasses.dataclass(frozen=True, slots=True)
class ReportingHost:
    """A compute node, and what it reports.

    :param name: of the host
    :param node: of the compute node
    :param cell: its name, or its uuid without one
    :param state: ``up``, ``down``, ``disabled``, or ``no service``
    :param zone: its availability zone, '' for the default one
    :param aggregates: their names
    :param updated: when nova-compute wrote its row last, UTC
    :param reported: None without a report that can be read
    :param why: there is no report, in words; '' if there is
    """

    name: str
    node: str
    cell: str
    state: str
    zone: str
    aggregates: tuple[str, ...]
    updated: datetime.datetime | None
    reported: report.Report | None
    why: str

    @property
    def files(self) -> list[report.BaseFile]:
        """What the report lists."""
        return list(self.reported or ())

    def age(self, now: datetime.datetime) -> float | None:
        """Return how old the row is, in seconds.

        :param now: UTC, without a zone
        """
        return (None if self.updated is None
                else max(0.0, (now - self.updated).total_seconds()))


@dataclasses.dataclass(frozen=True, slots=True)
class Fleet:
    """All hosts that could be read.

    :param hosts: by cell, name and node
    :param unread: why a cell could not be read, by its name
    """

    hosts: Sequence[ReportingHost]
    unread: Mapping[str, str]


@dataclasses.dataclass(slots=True)
class _Places:
    """The aggregates and the zone of each host."""

    aggregates: dict[str, list[str]] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(list))
    zones: dict[str, str] = dataclasses.field(default_factory=dict)


def read(api: nova_databases.Database, cells: Iterable[
        nova_databases.Database], service_down_time: float,
         now: datetime.datetime) -> Fleet:
    """Return all compute nodes.

    :param service_down_time: seconds without a word after which nova takes a
        service for down
    :param now: UTC, without a zone
    :raises cache_aware_sched.nova_databases.Unreadable: if the API database
        does not answer
    """
    places = _places(api)
    hosts: list[ReportingHost] = []
    unread: dict[str, str] = {}
    for cell in cells:
        try:
            hosts += (_host(row, cell.cell, places, service_down_time, now)
                      for row in cell.select(_statement()))
        except nova_databases.Unreadable as error:
            unread[cell.cell] = str(error)
    return Fleet(sorted(hosts, key=lambda host: (
        host.cell, host.name, host.node)), unread)


def _statement() -> sa.Select[Any]:
    return sa.select(_NODES, *(column.label(f'service_{column.name}')
                               for column in _SERVICES.c)).select_from(
        _NODES.outerjoin(_SERVICES, sa.and_(
            _SERVICES.c.host == _NODES.c.host, _SERVICES.c.deleted == 0,
            _SERVICES.c.binary == 'nova-compute'))).where(
                _NODES.c.deleted == 0)


def _places(api: nova_databases.Database) -> _Places:
    names = {row.id: row.name for row in api.select(sa.select(_AGGREGATES))}
    zones = {row.aggregate_id: row.value for row in api.select(
        sa.select(_METADATA).where(_METADATA.c.key == _ZONE))}
    found = _Places()
    for row in api.select(sa.select(_MEMBERS)):
        found.aggregates[row.host].append(names.get(row.aggregate_id, ''))
        if row.aggregate_id in zones:
            found.zones[row.host] = zones[row.aggregate_id]
    return found


def _host(row: sa.Row[Any], cell: str, places: _Places,
          service_down_time: float, now: datetime.datetime) -> ReportingHost:
    text, why = _text(row.stats)
    reported = None
    if text is not None:
        try:
            reported = report.Report(text)
        except report.UnreadableReport as error:
            why = str(error)
    return ReportingHost(
        row.host, row.hypervisor_hostname, cell,
        _state(row, service_down_time, now), places.zones.get(row.host, ''),
        tuple(sorted(places.aggregates.get(row.host, ()))),
        row.updated_at or row.created_at, reported, why)


def _text(stats: str | None) -> tuple[object, str]:
    """Return the report in the statistics of a host, or why there is none."""
    try:
        found = jsonutils.loads(stats or '{}')
    except ValueError:
        return None, 'its statistics are no JSON'
    if not isinstance(found, dict) or report.STATS_KEY not in found:
        return None, NO_REPORT
    return found[report.STATS_KEY], ''


def _state(row: sa.Row[Any], service_down_time: float,
           now: datetime.datetime) -> str:
    if row.service_host is None:
        return 'no service'
    if row.service_disabled:
        return 'disabled'
    seen = row.service_last_seen_up
    silent = seen is None or (now - seen).total_seconds() > service_down_time
    return 'down' if row.service_forced_down or silent else 'up'


def totals(hosts: Iterable[ReportingHost]) -> Iterator[str]:
    """Say how many hosts report, and why the others do not."""
    hosts = list(hosts)
    silent = [host for host in hosts if host.reported is None]
    yield f'{len(hosts) - len(silent):,} of {len(hosts):,} hosts report.'
    reasons: dict[str, list[str]] = collections.defaultdict(list)
    for host in silent:
        reasons[host.why].append(host.name)
    for why, names in sorted(reasons.items(), key=lambda one: -len(one[1])):
        listed = ', '.join(names[:5])
        more = f' and {len(names) - 5:,} more' if len(names) > 5 else ''
        yield f'Not reporting: {listed}{more} ({why}).'

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

from cache_aware_sched import cap
from cache_aware_sched import nova_databases
from cache_aware_sched import report
from cache_aware_sched import wording

UP, DOWN, DISABLED, NO_SERVICE = 'up', 'down', 'disabled', 'no service'

#: What nova calls the zone of a host that no aggregate gives one ([DEFAULT]
#: default_availability_zone, nova 34.0.0).
_ZONE = 'availability_zone'

_NODES = sa.table('compute_nodes', *(sa.column(name) for name in (
    'host', 'hypervisor_hostname', 'hypervisor_type', 'stats', 'deleted',
    'vcpus', 'vcpus_used', 'cpu_allocation_ratio', 'memory_mb',
    'memory_mb_used', 'ram_allocation_ratio')), *(
        sa.column(name, sa.DateTime()) for name in (
            'created_at', 'updated_at')))
SERVICES = sa.table('services', *(sa.column(name) for name in (
    'host', 'binary', 'disabled', 'forced_down', 'deleted')), *(
        sa.column(name, sa.DateTime()) for name in (
            'last_seen_up', 'created_at')))
_AGGREGATES = sa.table('aggregates', sa.column('id'), sa.column('name'))
_MEMBERS = sa.table(
    'aggregate_hosts', sa.column('aggregate_id'), sa.column('host'))
_METADATA = sa.table('aggregate_metadata', *(sa.column(name) for name in (
    'aggregate_id', 'key', 'value')))


@dataclasses.dataclass(frozen=True, slots=True)
class FleetAggregate:
    """An aggregate.

    :param hosts: their names
    """

    name: str
    hosts: tuple[str, ...]
    metadata: Mapping[str, str]


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
    :param hypervisor: its type, as ``QEMU``
    :param stats_bytes: that its statistics take of the database column
    :param uptime: what the command of this name has said on it; '' if its
        driver does not say
    :param load: share of its CPUs or of its memory that servers have,
        whichever is larger, from 0 to 1
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
    hypervisor: str = ''
    stats_bytes: int = 0
    uptime: str = ''
    load: float = 0.0

    @property
    def facts(self) -> report.HostFacts:
        """What it says beyond its files."""
        return (report.UNKNOWN_FACTS if self.reported is None
                else self.reported.facts)

    @property
    def is_cluster(self) -> bool:
        """Whether it is many machines: nova caps and fetches nothing there."""
        return self.hypervisor == cap.CLUSTER

    @property
    def caches_ahead(self) -> bool:
        """Whether nova can fetch images to it before a server asks."""
        return not self.is_cluster and self.hypervisor != cap.BARE_METAL

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
    aggregates: Sequence[FleetAggregate] = ()

    def answering(self, cells: Iterable[nova_databases.Database],
                  ) -> list[nova_databases.Database]:
        """Return the cells that could be read: the others take their time."""
        return [cell for cell in cells if cell.cell not in self.unread]


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
    aggregates = _aggregates(api)
    places = _Places(aggregates)
    hosts: list[ReportingHost] = []
    unread: dict[str, str] = {}
    for cell in cells:
        try:
            hosts += (_host(row, cell.cell, places, service_down_time, now)
                      for row in cell.select(_statement()))
        except nova_databases.Unreadable as error:
            unread[cell.cell] = str(error)
    return Fleet(sorted(hosts, key=lambda host: (
        host.cell, host.name, host.node)), unread, aggregates)


def _statement() -> sa.Select[Any]:
    return sa.select(_NODES, *(column.label(f'service_{column.name}')
                               for column in SERVICES.c)).select_from(
        _NODES.outerjoin(SERVICES, sa.and_(
            SERVICES.c.host == _NODES.c.host, SERVICES.c.deleted == 0,
            SERVICES.c.binary == 'nova-compute'))).where(
                _NODES.c.deleted == 0)


def _aggregates(api: nova_databases.Database) -> list[FleetAggregate]:
    hosts: dict[int, list[str]] = collections.defaultdict(list)
    metadata: dict[int, dict[str, str]] = collections.defaultdict(dict)
    for row in api.select(sa.select(_MEMBERS)):
        hosts[row.aggregate_id].append(row.host)
    for row in api.select(sa.select(_METADATA)):
        metadata[row.aggregate_id][row.key] = row.value
    return [FleetAggregate(row.name, tuple(sorted(hosts[row.id])),
                           metadata[row.id])
            for row in api.select(sa.select(_AGGREGATES).order_by(
                _AGGREGATES.c.name))]


class _Places:
    """The aggregates and the zone of each host, by its name."""

    def __init__(self, aggregates: Iterable[FleetAggregate]) -> None:
        self.aggregates: dict[str, list[str]] = collections.defaultdict(list)
        self.zones: dict[str, str] = {}
        for aggregate in aggregates:
            for host in aggregate.hosts:
                self.aggregates[host].append(aggregate.name)
                if _ZONE in aggregate.metadata:
                    self.zones[host] = aggregate.metadata[_ZONE]


def _host(row: sa.Row[Any], cell: str, places: _Places,
          service_down_time: float, now: datetime.datetime) -> ReportingHost:
    stats, why = _stats(row.stats)
    reported = None
    if not why:
        try:
            reported = report.Report(stats[report.STATS_KEY])
        except report.UnreadableReport as error:
            why = str(error)
    return ReportingHost(
        row.host, row.hypervisor_hostname, cell,
        _state(row, service_down_time, now), places.zones.get(row.host, ''),
        tuple(sorted(places.aggregates.get(row.host, ()))),
        row.updated_at or row.created_at, reported, why,
        row.hypervisor_type or '', len((row.stats or '').encode()),
        str(stats.get('uptime') or ''), max(
            _share(row.vcpus_used, row.vcpus, row.cpu_allocation_ratio),
            _share(row.memory_mb_used, row.memory_mb,
                   row.ram_allocation_ratio)))


def _share(used: int | None, total: int | None, ratio: float | None) -> float:
    """Return the share of a resource that is used, from 0 to 1.

    :param ratio: how often it counts; nova writes none, or 0, while its
        defaults hold (nova.objects.compute_node, nova 34.0.0)
    """
    room = (total or 0) * (ratio or 1.0)
    return min(1.0, (used or 0) / room) if room > 0 else 0.0


def _stats(text: str | None) -> tuple[dict[str, Any], str]:
    """Return the statistics of a host, and why there is no report in them."""
    try:
        found = jsonutils.loads(text or '{}')
    except ValueError:
        return {}, 'its statistics are no JSON'
    if not isinstance(found, dict):
        found = {}
    return found, ('' if report.STATS_KEY in found
                   else report.NO_REPORT)


def _state(row: sa.Row[Any], service_down_time: float,
           now: datetime.datetime) -> str:
    if row.service_host is None:
        return NO_SERVICE
    if row.service_disabled:
        return DISABLED
    # As nova does (nova.servicegroup.drivers.db, nova 34.0.0).
    seen = row.service_last_seen_up or row.service_created_at
    silent = seen is None or (now - seen).total_seconds() > service_down_time
    return DOWN if row.service_forced_down or silent else UP


def totals(hosts: Iterable[ReportingHost]) -> Iterator[str]:
    """Say how many hosts report, and why the others do not."""
    hosts = list(hosts)
    silent = [host for host in hosts if host.reported is None]
    yield (f'{len(hosts) - len(silent):,} of '
           f'{wording.counted(len(hosts), "host")} '
           f'{"reports" if len(hosts) == 1 else "report"}.')
    reasons: dict[str, list[str]] = collections.defaultdict(list)
    for host in silent:
        reasons[host.why].append(host.name)
    for why, names in sorted(reasons.items(), key=lambda one: -len(one[1])):
        listed = ', '.join(names[:5])
        more = f' and {len(names) - 5:,} more' if len(names) > 5 else ''
        yield f'Not reporting: {listed}{more} ({why}).'

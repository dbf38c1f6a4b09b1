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

"""The gauges: what a cloud is like at a moment."""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime
from typing import NamedTuple

from prometheus_client import metrics_core

from cache_aware_sched.exporter.counters import OTHER
from cache_aware_sched.exporter.counters import PREFIX
from cache_aware_sched.exporter.reading import Reading
from cache_aware_sched.fleet.hosts import ReportingHost
from cache_aware_sched.fleet.images import KnownImage
from cache_aware_sched.precache import demand
from cache_aware_sched import report

#: What a report says as a whole, the first that holds. ``stale``: nova does
#: not see the host, so nobody renews it.
STATES = ('none', 'unreadable', 'stale', 'uncached', 'truncated', 'complete')

_MB = 10 ** 6


def state(host: ReportingHost) -> str:
    """Return one of :data:`STATES`."""
    if host.reported is None:
        return 'none' if host.why == report.NO_REPORT else 'unreadable'
    header = host.reported.header
    if host.state in ('down', 'no service'):
        return 'stale'
    if not header.caches:
        return 'uncached'
    return 'truncated' if header.truncated else 'complete'


def _gauge(name: str, text: str, *labels: str,
           ) -> metrics_core.GaugeMetricFamily:
    return metrics_core.GaugeMetricFamily(
        f'{PREFIX}_{name}', text, labels=labels)


def of_reading(reading: Reading, top: int,
               ) -> Iterator[metrics_core.GaugeMetricFamily]:
    """Return all of them.

    :param top: images with series of their own
    """
    cell_up = _gauge('cell_up', 'Whether the database of a cell answered.',
                     'cell')
    for cell in reading.cells:
        cell_up.add_metric([cell], cell not in reading.unread)
    yield cell_up
    yield from _hosts(reading)
    yield from _images(reading, top)


def _hosts(reading: Reading) -> Iterator[metrics_core.GaugeMetricFamily]:
    of_node = 'hostname', 'cell'
    states = _gauge('hosts', 'Compute nodes by what their reports are.',
                    'cell', 'state')
    up = _gauge('host_up', 'Whether nova sees nova-compute of a host, and it '
                'is not disabled.', *of_node)
    age = _gauge('host_report_age_seconds', 'How long ago nova-compute wrote '
                 'the row of its host.', *of_node)
    numbers = {cell: dict.fromkeys(STATES, 0) for cell in reading.cells
               if cell not in reading.fleet.unread}
    values = [
        _gauge('host_images', 'Images in the cache, and those that arrive.',
               *of_node),
        _gauge('host_image_bytes', 'What the complete images take up, as far '
               'as the report lists them.', *of_node),
        _gauge('host_images_in_use', 'Images that servers of the host use.',
               *of_node),
        _gauge('host_images_arriving', 'Images that the host fetches.',
               *of_node),
        _gauge('host_report_truncated', 'Whether the report has no room for '
               'all images.', *of_node),
        _gauge('host_critical_images', 'Images that the host must hold; 0 if '
               'it does not say.', *of_node),
        _gauge('host_critical_images_missing', 'Images that the host must '
               'hold, and does not.', *of_node),
        _gauge('host_fetch_bytes_per_second', 'How fast the host fetched '
               'lately, a power of two in MB; 0 if nothing is known.',
               *of_node)]
    for host in reading.fleet.hosts:
        numbers[host.cell][state(host)] += 1
    for host in _one_a_node(reading.fleet.hosts):
        labels = [host.node, host.cell]
        up.add_metric(labels, host.state == 'up')
        seconds = host.age(reading.at)
        if host.reported is not None and seconds is not None:
            age.add_metric(labels, seconds)
        for family, value in zip(values, _cache(host), strict=False):
            family.add_metric(labels, value)
    for cell, by_state in numbers.items():
        for name, number in by_state.items():
            states.add_metric([cell, name], number)
    yield from (states, up, age, *values)


def _one_a_node(hosts: Iterable[ReportingHost]) -> Iterable[ReportingHost]:
    """Return the latest of those that have the same labels.

    A compute node stays with its old host if its nova-compute got another
    [DEFAULT] host. Prometheus takes nothing where a series is there twice.
    """
    return {(host.node, host.cell): host for host in sorted(
        hosts, key=lambda host: (
            host.updated or datetime.datetime.min, host.name))}.values()


def _cache(host: ReportingHost) -> Iterable[float]:
    """Return what a host says of its cache, nothing without a report."""
    if host.reported is None:
        return ()
    header, files = host.reported.header, host.files
    kinds = report.FileKind
    return (
        header.images if header.caches else 0,
        sum(file.size for file in files if file.kind is kinds.COMPLETE),
        len({file.sha1 for file in files if file.users}),
        sum(file.kind is kinds.ARRIVING for file in files),
        header.truncated, host.facts.critical or 0,
        host.facts.critical_missing or 0, header.rate * _MB)


@dataclasses.dataclass(slots=True)
class _ImageRow:
    """What is told of an image, or of several.

    :param hosts: at the cap
    :param headroom: None without a cap
    """

    copies: int = 0
    arriving: int = 0
    wanted: int = 0
    servers: int = 0
    most: int = 0
    size: int = 0
    boots: int = 0
    at_cap: int = 0
    headroom: int | None = None

    def add(self, other: '_ImageRow') -> None:
        """Sum up, but for what is a maximum or a minimum."""
        for name in ('copies', 'arriving', 'wanted', 'servers', 'size',
                     'boots'):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.most = max(self.most, other.most)
        self.at_cap = max(self.at_cap, other.at_cap)
        self.headroom = min(
            (value for value in (self.headroom, other.headroom)
             if value is not None), default=None)


class _ImageColumn(NamedTuple):
    name: str
    text: str
    field: str


_COLUMNS = tuple(_ImageColumn(*row) for row in (
    ('image_copies', 'Hosts that hold all of an image.', 'copies'),
    ('image_copies_arriving', 'Hosts that fetch an image.', 'arriving'),
    ('image_copies_wanted', 'Hosts that should hold an image: one for each '
     'boot a day, and 3 or more. None is wanted of an image that is booted '
     'less than every other day.', 'wanted'),
    ('image_servers', 'Servers of an image.', 'servers'),
    ('image_servers_most_on_host', 'The most servers of an image on one host: '
     'what its failure takes.', 'most'),
    ('image_bytes', 'The size of an image in the caches; 0 if no host holds '
     'it.', 'size'),
    ('image_recent_boots', 'Servers of an image that were created in the last '
     'days.', 'boots'),
    ('image_hosts_at_cap', 'Hosts that are up and may run no more servers '
     'of an image.', 'at_cap'),
    ('image_cap_headroom', 'How many more servers of an image the fullest '
     'host that is up may run.', 'headroom')))


def _images(reading: Reading, top: int,
            ) -> Iterator[metrics_core.GaugeMetricFamily]:
    families = [_gauge(column.name, column.text, 'image')
                for column in _COLUMNS]
    known = sorted(_known(reading), key=lambda image: (
        -len(reading.created.get(image.id, ())), -image.running,
        -len(image.holding), image.name))
    caching = sum(host.reported is not None and host.reported.header.caches
                  for host in reading.fleet.hosts)
    rows = [(image.name, _row(image, reading, caching)) for image in known]
    other = _ImageRow()
    for _name, row in rows[top:]:
        other.add(row)
    for name, row in (*rows[:top], (OTHER, other)):
        for column, family in zip(_COLUMNS, families, strict=True):
            value = getattr(row, column.field)
            if value is not None:
                family.add_metric([name], value)
    yield from families
    number = _gauge('images', 'Images that some host holds or some server '
                    'has.')
    number.add_metric([], len(known))
    yield number
    most = _gauge('same_image_servers_most_on_host', 'The most servers of '
                  'one image on one host, of all images.')
    most.add_metric([], max((image.most for image in known), default=0))
    yield most
    cap = _gauge('same_image_cap', "The cap of nova's configuration, 0 for "
                 'none. Aggregates and flavors may set others.')
    cap.add_metric([], reading.caps.default.number)
    yield cap


def _known(reading: Reading) -> Iterator[KnownImage]:
    """Return all images, those too that had servers lately and have none."""
    yield from reading.images.all
    there = {image.digest: image for image in reading.images.all}
    for image_id in reading.created:
        digest = report.image_key(image_id)
        known = there.get(digest)
        if known is None:
            yield KnownImage(digest, image_id)
        elif not known.id:
            known.id = image_id


def _row(image: KnownImage, reading: Reading, caching: int) -> _ImageRow:
    """Return what is told of an image.

    :param caching: hosts that can hold an image
    """
    created = reading.created.get(image.id, ())
    # No other node can run more, whatever it has.
    headroom = reading.caps.rooms(
        image, image.servers.keys() & reading.caps.nodes.keys())
    return _ImageRow(
        len(image.holding), len(image.arriving), demand.copies_wanted(
            demand.boots_per_day(created, reading.at, demand.HALF_LIFE,
                                 reading.period), caching),
        image.running, image.most, image.size, len(created),
        sum(room <= 0 for room in headroom), min(headroom, default=None))

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

"""Makes the page of what was read of a cloud."""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime
from typing import NamedTuple

from cache_aware_sched.decision_log import periods
from cache_aware_sched.decision_log.periods import Period
from cache_aware_sched.decision_log.summary import DecisionSum
from cache_aware_sched.fleet.caps import FleetCaps
from cache_aware_sched.fleet import hosts as hosts_mod
from cache_aware_sched.fleet.hosts import ReportingHost
from cache_aware_sched.fleet.images import FleetImages
from cache_aware_sched.fleet.images import KnownImage
from cache_aware_sched.fleet_page import figures
from cache_aware_sched.fleet_page import heat_map
from cache_aware_sched.page import rendering
from cache_aware_sched import wording

#: Rows of a table, at most: what somebody reads.
MAX_FAILURES, MAX_IMAGES, MAX_DAYS = 30, 30, 14

_GIB, _GB = 2 ** 30, 10 ** 9


@dataclasses.dataclass(frozen=True, slots=True)
class ShownCloud:
    """What the page is about.

    :param at: when it was read, UTC
    :param decisions: the hours of the decision log, None without one
    """

    at: datetime.datetime
    images: FleetImages
    caps: FleetCaps
    decisions: Sequence[Period] | None = None

    @property
    def hosts(self) -> list[ReportingHost]:
        """All compute nodes."""
        return list(self.images.hosts.values())

    @property
    def reporting(self) -> list[ReportingHost]:
        """Those whose report can be read."""
        return [host for host in self.hosts if host.reported is not None]


class _Failure(NamedTuple):
    """What the failure of a host would take of an image."""

    host: str
    zone: str
    image: str
    servers: int
    share: str
    room: str


class _ImageLine(NamedTuple):
    image: str
    size: str
    holding: int
    arriving: int
    servers: int
    nodes: int
    most: int


class _Saving(NamedTuple):
    when: str
    boots: str
    warm: str
    waiting: str
    fetched: str
    refused: str


def render(cloud: ShownCloud) -> str:
    """Return the page; its size is bounded, whatever the cloud's is."""
    hours = list(cloud.decisions or ())
    images = cloud.images.all
    data = {
        'map': heat_map.make(cloud.reporting, images).as_json(),
        'concentration': figures.concentration(
            images, len(cloud.hosts), cloud.caps.default.number),
        'fill': figures.fill(cloud.reporting),
        **({'hitRate': figures.hit_rate(hours), 'saved': figures.saved(hours)}
           if hours else {})}
    return rendering.render(
        __package__, 'Image caches of the compute hosts', data,
        summary=_summary(cloud), notes=list(_notes(cloud)),
        savings=list(_savings(hours)), observed=(
            periods.total(hours).observed > 0),
        has_log=cloud.decisions is not None,
        failures=list(_failures(cloud)), images=[
            _ImageLine(image.name, _gib(image.size), len(image.holding),
                       len(image.arriving), image.running,
                       len(image.servers), image.most)
            for image in images[:MAX_IMAGES]],
        more_images=max(0, len(images) - MAX_IMAGES))


def _summary(cloud: ShownCloud) -> str:
    servers = sum(image.running for image in cloud.images.all)
    return (f'{len(cloud.reporting):,} of '
            f'{wording.counted(len(cloud.hosts), "host")} report; '
            f'{wording.counted(len(cloud.images.all), "image")}, '
            f'{wording.counted(servers, "server")}. '
            f'Read at {cloud.at:%Y-%m-%d %H:%M} UTC.')


def _notes(cloud: ShownCloud) -> Iterator[str]:
    """Say what is missing in the page."""
    for why in cloud.images.unread.values():
        yield f'{why}; its hosts are missing.'
    yield from list(hosts_mod.totals(cloud.hosts))[1:]
    truncated = sum(host.reported is not None and host.reported.header.
                    truncated for host in cloud.hosts)
    if truncated:
        yield (f'{wording.counted(truncated, "report")} had no room for all '
               'images of a host: what is not listed is not shown.')


def _failures(cloud: ShownCloud) -> Iterator[_Failure]:
    """Return the host failures that take most servers of one image."""
    found: list[tuple[int, float, KnownImage, tuple[str, str]]] = [
        (number, number / image.running, image, node)
        for image in cloud.images.all
        for node, number in image.servers.items() if number > 1]
    found.sort(key=lambda one: (-one[0], -one[1], one[3], one[2].name))
    for number, share, image, node in found[:MAX_FAILURES]:
        host = cloud.images.hosts.get(node)
        rooms = cloud.caps.rooms(image, [node])
        yield _Failure(
            node[1], host.zone if host else '', image.name, number,
            f'{share:.0%}', ', '.join(f'{room:,}' for room in rooms))


def _savings(hours: list[Period]) -> Iterator[_Saving]:
    """Return all, the busiest hours, and the last days."""
    evening = periods.busiest(hours)
    if evening is None:
        return
    yield _saving('In all', periods.total(hours))
    end = evening.start + periods.HOUR * periods.EVENING_HOURS
    yield _saving(f'Busiest hours: {evening.start:%Y-%m-%d %H:%M} to '
                  f'{end:%H:%M} UTC', evening.decided)
    for day in reversed(periods.by_day(hours)[-MAX_DAYS:]):
        yield _saving(f'{day.start:%Y-%m-%d}', day.decided)


def _saving(when: str, totals: DecisionSum) -> _Saving:
    return _Saving(
        when, f'{totals.boots:,}',
        '' if totals.share is None else f'{totals.share:.0%}',
        duration(totals.seconds), f'{totals.size / _GB:,.1f}',
        f'{totals.refused:,}')


def duration(seconds: float) -> str:
    """Return a time as people say it, with two units at most."""
    sign, seconds = '-' if seconds <= -0.5 else '', round(abs(seconds))
    if seconds < 60:
        return f'{sign}{seconds} s'
    minutes = round(seconds / 60)
    if minutes < 60:
        return f'{sign}{minutes} min'
    return f'{sign}{minutes // 60:,} h {minutes % 60} min'


def _gib(size: int) -> str:
    return f'{size / _GIB:,.1f}' if size else ''

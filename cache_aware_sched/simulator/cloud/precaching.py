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

"""The controller that has hosts fetch images ahead of time.

It knows what ``cache-aware-sched precache watch`` knows: what the rows of the
hosts say, and which servers were created so far. Demand and plan are those of
:mod:`cache_aware_sched.precache`.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import functools
from typing import Any

from cache_aware_sched.precache import demand
from cache_aware_sched.precache import planner
from cache_aware_sched.precache import terms
from cache_aware_sched import report
from cache_aware_sched.simulator.cloud.host import Host
from cache_aware_sched.simulator.cloud.loop import Loop
from cache_aware_sched.simulator.settings import GIB
from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator import workload

MIB = 2 ** 20

#: What the clock of the simulation counts from; any time does.
_START = datetime.datetime(2000, 1, 1)


class Precaching:
    """Plans periodically, and has hosts fetch what was planned.

    :param images: all that servers may be made from; the controller only
        looks at those that some server was created with
    :param until: seconds; nothing is planned later
    :param fetched: called with the bytes of each fetch that starts, and when
    """

    def __init__(self, settings: Settings, loop: Loop, hosts: Sequence[Host],
                 images: Mapping[str, workload.Image], until: float,
                 fetched: Callable[[int, float], None]) -> None:
        self._settings, self._loop = settings, loop
        self._hosts = {host.name: host for host in hosts}
        self._images = images
        self._ids = {report.image_key(image): image for image in images}
        self._until, self._fetched = until, fetched
        self._half_life = datetime.timedelta(
            hours=settings.precache_half_life_hours)
        self._period = self._half_life * demand.HALF_LIVES
        self._created: dict[str, list[datetime.datetime]] = (
            collections.defaultdict(list))
        #: The last report of each host, and what it says.
        self._seen: dict[str, tuple[str, terms.CacheHost]] = {}
        self._planned: list[terms.PlannedFetch] = []
        #: The image that each host fetches for us.
        self._running: dict[str, str] = {}

    def start(self, at: float) -> None:
        """Begin to plan.

        :param at: seconds
        """
        self._loop.at(at + self._settings.precache_interval, self._plan)

    def created(self, boot: workload.Boot) -> None:
        """Learn that a server is created, as nova's records tell it."""
        if self._settings.precache_private or not self._images[
                boot.image].private:
            self._created[boot.image].append(self._now())

    def _now(self) -> datetime.datetime:
        return _START + datetime.timedelta(seconds=self._loop.now)

    def _plan(self) -> None:
        """Make a plan; what was planned before and has not begun is off."""
        self._planned = list(planner.plan(
            map(self._look, self._hosts.values()), self._wishes()).fetches)
        self._fetch()
        interval = self._settings.precache_interval
        if self._loop.now + interval <= self._until:
            self._loop.after(interval, self._plan)

    def _fetch(self) -> None:
        """Have hosts fetch, one image each at a time."""
        left = []
        for fetch in self._planned:
            if (len(self._running) >= self._settings.precache_concurrency
                    or fetch.host in self._running):
                left.append(fetch)
                continue
            image = self._images[self._ids[fetch.image]]
            if self._hosts[fetch.host].fetch_ahead(image, functools.partial(
                    self._arrived, fetch.host)):
                self._running[fetch.host] = fetch.image
                self._fetched(image.size, self._loop.now)
        self._planned = left

    def _arrived(self, host: str) -> None:
        del self._running[host]
        self._fetch()

    def _wishes(self) -> Iterator[terms.Wish]:
        now = self._now()
        for image, created in self._created.items():
            boots = demand.boots_per_day(
                created, now, self._half_life, self._period)
            yield terms.Wish(
                report.image_key(image), '', demand.copies_wanted(
                    boots, len(self._hosts),
                    self._settings.precache_min_copies),
                boots, self._images[image].size)

    def _look(self, host: Host) -> terms.CacheHost:
        """Return what the row of a host says."""
        row = host.row
        if row.unread:
            row.read()
        text = row.state.stats.get(report.STATS_KEY, '')
        known, seen = self._seen.get(host.name, ('', None))
        if seen is None or known != text:
            seen = _cached(host.name, report.Report(text))
            self._seen[host.name] = text, seen
        ours = {self._running[host.name]} if host.name in self._running else ()
        room, evicts = self._room(row.state, sum(seen.held.values()))
        return dataclasses.replace(
            seen, room=room, evicts=evicts, load=self._load(row.state),
            arriving=seen.arriving.union(ours) - seen.held.keys())

    def _load(self, state: Any) -> float:
        """Return the share of its CPUs or its memory that servers have."""
        settings = self._settings
        vcpus = settings.host_vcpus * settings.cpu_allocation_ratio
        ram_mb = settings.host_ram_mb * settings.ram_allocation_ratio
        used_mb = settings.host_ram_mb - state.free_ram_mb
        return float(min(1.0, max(state.vcpus_used / vcpus, used_mb / ram_mb)))

    def _room(self, state: Any, cached: int) -> tuple[int, bool]:
        """Return the bytes that fit in, and whether the host evicts for more.

        As :mod:`...precache.inputs` takes it: half of what is free, if there
        is no limit.
        """
        settings = self._settings
        room = max(0, state.free_disk_mb) * MIB // 2
        limit = settings.image_cache_max_size_gb
        if limit:
            room = min(room, max(0, limit * GIB - cached))
        return room, bool(limit or settings.image_cache_max_images
                          or settings.image_cache_high_watermark_percent
                          or settings.image_cache_min_free_gb)


def _cached(name: str, reported: report.Report) -> terms.CacheHost:
    """Return what a report says of the images of a host."""
    held: dict[str, int] = {}
    in_use, arriving = set(), set()
    for file in reported:
        if file.kind is report.FileKind.COMPLETE:
            held[file.sha1] = file.size
        elif file.kind is report.FileKind.ARRIVING:
            arriving.add(file.sha1)
        if file.users:
            in_use.add(file.sha1)
    return terms.CacheHost(
        name, held=held, in_use=frozenset(in_use),
        arriving=frozenset(arriving),
        knows_all=not reported.header.truncated)

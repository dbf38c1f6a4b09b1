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

"""A simulated compute host: its servers, its image cache and its row."""

import collections
from collections.abc import Callable
import dataclasses
import functools
from typing import Any
from typing import Protocol

from cache_aware_sched import cap_sources
from cache_aware_sched import config
from cache_aware_sched import report
from cache_aware_sched import request as request_mod
from cache_aware_sched.simulator.cloud.bandwidth import Bandwidth
from cache_aware_sched.simulator.cloud.cache import Cache
from cache_aware_sched.simulator.cloud.loop import Loop
from cache_aware_sched.simulator.cloud.row import Row
from cache_aware_sched.simulator.cloud.server import SimulatedServer
from cache_aware_sched.simulator.real_nova.cells import SimulatedCells
from cache_aware_sched.simulator.real_nova import novas
from cache_aware_sched.simulator.settings import GIB
from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator import workload
from cache_aware_sched.virt import fetch_rate

CONF = config.CONF


class Conductor(Protocol):
    """What a host tells."""

    def admitted(self, server: SimulatedServer, host: 'Host') -> None:
        """Learn that a server is built."""

    def sent_away(self, server: SimulatedServer, host: 'Host') -> None:
        """Learn that a server must go to another host."""

    def fetches(self, server: SimulatedServer) -> None:
        """Learn that the image of a server must be fetched for it."""

    def joins(self, server: SimulatedServer) -> None:
        """Learn that a server waits for an image that is being fetched."""

    def active(self, server: SimulatedServer, host: 'Host') -> None:
        """Learn that a server runs."""

    def evicted(self, number: int) -> None:
        """Learn that so many images have left a cache."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cloud:
    """What hosts have in common.

    :param reporting: whether they report their image cache
    :param capped: whether they check the cap of same-image servers
    :param until: seconds; no pass of a cache manager matters later
    """

    settings: Settings
    loop: Loop
    bandwidth: Bandwidth
    cells: SimulatedCells
    conductor: Conductor
    reporting: bool
    capped: bool
    until: float


class Host:
    """A host with nova-compute.

    :param number: among the hosts
    :param state: the HostState that the scheduler gets
    :param chance: a number from 0 to 1, for when its periodic tasks run
    """

    def __init__(self, number: int, state: Any, cloud: Cloud,
                 chance: Callable[[], float]) -> None:
        settings = cloud.settings
        self.number = number
        self.name: str = state.host
        self.cache = Cache(settings, lambda: self._disk_gb * GIB)
        options = CONF.cache_aware_sched
        self.row = Row(state, settings, cloud.reporting,
                       options.report_max_bytes)
        self._at_once = cloud.reporting and options.report_changes_at_once
        self._cloud = cloud
        self._loop = cloud.loop
        self._building: dict[str, SimulatedServer] = {}
        self._queue: collections.deque[SimulatedServer] = collections.deque()
        self._waiting: dict[str, list[SimulatedServer]] = {}
        #: Of the fetches ahead of time, what to call when they end.
        self._ahead: dict[str, Callable[[], None]] = {}
        self._rate = fetch_rate.FetchRate()
        self._files: dict[str, report.BaseFile] = {}
        #: The projects of the admitted servers, by image and uuid.
        self._servers: dict[str, dict[str, str]] = {}
        self._disk_gb = 0
        self._update_at = chance() * settings.update_interval
        self._update_due = self._refresh_due = False
        if not self.cache.idle:
            self._loop.at(chance() * settings.cache_manager_interval,
                          self._look_through)

    # The life of a server.

    def build(self, server: SimulatedServer) -> None:
        """Build a server, or keep it waiting for the builds before it."""
        self._queue.append(server)
        self._build_next()

    def _build_next(self) -> None:
        limit = self._cloud.settings.max_concurrent_builds
        if self._queue and not (limit and len(self._building) >= limit):
            self._claim(self._queue.popleft())

    def _claim(self, server: SimulatedServer) -> None:
        image, uuid = server.boot.image, server.uuid
        self._building[uuid] = server
        self._disk_gb += server.boot.disk_gb
        self.row.claim(uuid, server.boot)
        self._cloud.cells.placed(image, uuid, self.name)
        if self._is_full_for(server):
            self._release(server)
            self._cloud.cells.placed(image, uuid, None)
            self._cloud.conductor.sent_away(server, self)
            self._loop.after(0.0, self._build_next)
            return
        self._servers.setdefault(image, {})[uuid] = server.boot.project
        self._cloud.conductor.admitted(server, self)
        self._spawn(server)

    def _is_full_for(self, server: SimulatedServer) -> bool:
        """Return whether the cap is reached; see :mod:`...virt.late_check`."""
        admitted = self._servers.get(server.boot.image)
        if not self._cloud.capped or not admitted:
            return False
        if CONF.cache_aware_sched.same_image_scope == 'all':
            count = len(admitted)
        else:
            count = list(admitted.values()).count(server.boot.project)
        cap = cap_sources.Caps(
            request_mod.Request.from_spec(server.spec)).of(())
        limit = cap.limit(*self._cloud.cells.share_of(server.boot.image))
        return bool(limit) and count >= limit

    def _spawn(self, server: SimulatedServer) -> None:
        """Make a server's disk; one fetch serves all who wait for it."""
        image = server.image
        if image.id in self.cache:
            self._finish(server)
        elif image.id in self._waiting:
            self._waiting[image.id].append(server)
            self._cloud.conductor.joins(server)
        else:
            self._cloud.conductor.fetches(server)
            self._fetch(image, server)

    def fetch_ahead(self, image: workload.Image,
                    done: Callable[[], None]) -> bool:
        """Fetch an image that no server waits for.

        :param done: called when it is there
        :returns: whether it is fetched; it may be there, or on its way
        """
        if image.id in self.cache or image.id in self._waiting:
            return False
        self._ahead[image.id] = done
        self._fetch(image)
        return True

    def _fetch(self, image: workload.Image, *servers: SimulatedServer) -> None:
        self._waiting[image.id] = list(servers)
        gone = self.cache.expect(
            image.id, image.size, self._loop.now, self._servers)
        self._changed(image.id, *gone)
        self._cloud.conductor.evicted(len(gone))
        self._cloud.bandwidth.fetch(
            self.name, image.size, functools.partial(
                self._arrived, image, self._loop.now))

    def _arrived(self, image: workload.Image, since: float) -> None:
        now = self._loop.now
        self.cache.arrived(image.id, image.size, now)
        self._rate.add(image.size, now - since)
        self._changed(image.id)
        for server in self._waiting.pop(image.id):
            self._finish(server)
        self._ahead.pop(image.id, lambda: None)()

    def _finish(self, server: SimulatedServer) -> None:
        settings = self._cloud.settings
        self.cache.use(server.image.id, self._loop.now)
        self._loop.after(settings.boot_seconds - settings.claim_delay,
                         self._started, server)

    def _started(self, server: SimulatedServer) -> None:
        del self._building[server.uuid]
        self.cache.booted(server.image.id, self._loop.now)
        self.row.state.instances[server.uuid] = novas.instance(
            server.boot, server.uuid, self.name)
        self._cloud.cells.started(server.image.id, server.uuid)
        self._differs(server.image.id)
        self._cloud.conductor.active(server, self)
        self._loop.after(0.0, self._build_next)

    def delete(self, server: SimulatedServer) -> None:
        """Delete a server that runs."""
        image, uuid = server.boot.image, server.uuid
        servers = self._servers[image]
        del servers[uuid]
        if not servers:
            del self._servers[image]
        del self.row.state.instances[uuid]
        self._release(server)
        self._cloud.cells.deleted(image, uuid)
        self._differs(image)

    def _release(self, server: SimulatedServer) -> None:
        self._building.pop(server.uuid, None)
        self._disk_gb -= server.boot.disk_gb
        self.row.release(server.uuid, server.boot)

    @property
    def idle(self) -> bool:
        """Whether there is nothing on the host but its cache."""
        return not (self._servers or self._building or self._queue
                    or self._waiting or self._disk_gb)

    # Its row.

    def _differs(self, *images: str) -> None:
        """Have something written with the next periodic update."""
        for image in images:
            self._note_file(image)
        if not self._update_due:
            self._update_due = True
            interval = self._cloud.settings.update_interval
            passed = (self._loop.now - self._update_at) // interval + 1
            self._loop.at(self._update_at + max(0.0, passed) * interval,
                          self._update_periodically)

    def _changed(self, *images: str) -> None:
        """Have something written that changed in the cache."""
        self._differs(*images)
        if self._at_once and not self._refresh_due:
            self._refresh_due = True
            self._loop.after(self._cloud.settings.report_delay, self._refresh)

    def _note_file(self, image: str) -> None:
        if not self._cloud.reporting:
            return
        users = len(self._servers.get(image, ()))
        sha1 = report.image_sha1(image)
        if image in self.cache:
            self._files[image] = report.BaseFile(
                sha1, self.cache.size(image), users=users)
        elif image in self._waiting:
            self._files[image] = report.BaseFile(
                sha1, 0, report.Kind.ARRIVING, users)
        else:
            self._files.pop(image, None)

    def _update_periodically(self) -> None:
        self._update_due = False
        self._update()

    def _refresh(self) -> None:
        self._refresh_due = False
        self._update()

    def _update(self) -> None:
        self.row.update(
            self._building, list(self._files.values()),
            self._rate.mb_per_second, self.cache.bytes)

    # Its image cache manager.

    def _look_through(self) -> None:
        gone = self.cache.look_through(self._loop.now, self._servers)
        if gone:
            self._changed(*gone)
            self._cloud.conductor.evicted(len(gone))
        interval = self._cloud.settings.cache_manager_interval
        if self._loop.now + interval <= self._cloud.until:
            self._loop.after(interval, self._look_through)

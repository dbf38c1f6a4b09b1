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

"""Adds up what is known of the servers of an image on many hosts."""

from collections.abc import Collection
from collections.abc import Sequence
import dataclasses
from typing import Any
import weakref

from cache_aware_sched.config import CONF
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.same_image import index
from cache_aware_sched.scheduler.same_image import placements

_NO_PLACEMENTS: dict[str, placements.Placement] = {}


@dataclasses.dataclass(slots=True)
class Progress:
    """What is known of one request, while it goes through its servers.

    :param placed: uuids of the servers that it has dealt with before this one
    :param current: uuid of the server that it deals with
    :param guessed: uuids whose placement was recorded
    :param at_start: num_instances of each host when it was first seen
    :param servers: what the cells answered: by cell, by host, uuids
    :param asked: the hosts they were asked about, None for all
    :param fresh: the last counts, by the id() of the host state; nova keeps
        those until the weighers have seen them
    """

    placed: set[str] = dataclasses.field(default_factory=set)
    current: str | None = None
    guessed: set[str] = dataclasses.field(default_factory=set)
    at_start: weakref.WeakKeyDictionary[Any, int] = dataclasses.field(
        default_factory=weakref.WeakKeyDictionary)
    servers: dict[str, dict[str, set[str]]] = dataclasses.field(
        default_factory=dict)
    asked: Collection[str] | None = ()
    fresh: dict[int, int] = dataclasses.field(default_factory=dict)

    def start(self, uuid: str | None) -> None:
        """Note which server the request deals with now."""
        if uuid != self.current:
            if self.current is not None:
                self.placed.add(self.current)
            self.current = uuid
            self.fresh = {}


class Tally:
    """Adds up one request's numbers for many hosts."""

    def __init__(
        self, known: index.InstanceIndex,
        recent: placements.RecentPlacements, request: request_mod.Request,
        progress: Progress,
    ) -> None:
        self._index = known
        self._placements = recent
        self._request = request
        self._progress = progress
        self._all_projects = (
            CONF.cache_aware_sched.same_image_scope == 'all')
        self.unsure: set[str] = set()

    def counts(self, host_states: Sequence[Any]) -> list[int]:
        """Return the count of each host, and note those that are unsure."""
        image, uuid = str(self._request.image), self._request.instance
        known = self._index.of_hosts(host_states)
        recent = self._placements.by_host()
        plain = self._all_projects and not self._progress.servers
        starts = self._at_start(host_states)
        result = []
        for host, instances, start in zip(
                host_states, known, starts, strict=True):
            placed = host.num_instances - start
            if (plain and instances.plain and host.host not in recent
                    and start <= len(instances.objects)):
                # By far the most hosts, of by far the most requests.
                servers = instances.by_image.get(image)
                result.append(
                    placed + (len(servers) - (uuid in servers)
                              if servers else 0))
                continue
            result.append(placed + len(self._servers(
                host, start, instances,
                recent.get(host.host, _NO_PLACEMENTS))))
        return result

    def _at_start(self, host_states: Sequence[Any]) -> list[int]:
        """Return the instances that hosts had before this request."""
        if self._request.count == 1:
            return [host.num_instances for host in host_states]
        at_start = self._progress.at_start
        return [at_start.setdefault(host, host.num_instances)
                for host in host_states]

    def _servers(
        self, host: Any, start: int, instances: index.HostInstances,
        recent: dict[str, placements.Placement],
    ) -> set[str]:
        """Return the servers that count here, but for those just placed."""
        progress, image = self._progress, str(self._request.image)
        ours = progress.placed | {self._request.instance}
        pending = self._pending(host, instances, recent)
        self._note_unsure(host, start, instances, pending, ours)
        answer = progress.servers.get(host.cell_uuid)
        if answer is not None and (
                progress.asked is None or host.host in progress.asked):
            servers = set(answer.get(host.host, ()))
        else:
            servers = {
                uuid for uuid, project
                in instances.by_image.get(image, {}).items()
                if self._counted(project)
            } - instances.stale
        servers |= {
            uuid for uuid, placement in pending.items()
            if placement.image == image and self._counted(placement.project)}
        return servers - ours

    def _counted(self, project: str | None) -> bool:
        return self._all_projects or project == self._request.project

    def _pending(
        self, host: Any, instances: index.HostInstances,
        recent: dict[str, placements.Placement],
    ) -> dict[str, placements.Placement]:
        """Return the recent placements that the host does not show yet.

        A stub shows nothing but that the server was there.
        """
        pending = {}
        for uuid, placement in recent.items():
            there = uuid in host.instances
            if ((there and uuid not in instances.unresolved)
                    or (placement.seen and not there)):
                self._placements.forget(uuid)
                continue
            placement.seen = there
            pending[uuid] = placement
        return pending

    def _note_unsure(
        self, host: Any, start: int, instances: index.HostInstances,
        pending: Collection[str], ours: Collection[str | None],
    ) -> None:
        stubs = instances.unresolved.difference(pending, ours)
        shown = len(instances.objects) - len(
            instances.unresolved.intersection(ours))
        builds = start - shown - sum(
            uuid not in host.instances and uuid not in ours
            for uuid in pending)
        if stubs or builds > 0:
            self.unsure.add(host.host)

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

"""Which instances of which image a host runs, by what nova's scheduler knows.

``HostState.instances`` mixes whole Instance objects with stubs that know their
uuid only. Asking a stub for its image is a query each, or an error, so stubs
are told apart and left alone.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import threading
import time
from typing import Any

#: oslo.versionedobjects keeps a field under this prefix; asking the object
#: costs seven times as much and this is done for every instance of a host that
#: changed (read in oslo.versionedobjects 3.12.0).
_FIELD = '_obj_'
_UUID, _IMAGE, _PROJECT = (
    _FIELD + name for name in ('uuid', 'image_ref', 'project_id'))
_UNSET = object()

#: Hosts remembered; beyond it all is forgotten, which costs one slow request.
MAX_HOSTS = 100_000


#: Seconds for which a host is taken for unchanged on the look of it. What this
#: cannot see is an instance that was replaced in its place among others, as by
#: a rebuild.
GLANCE = 1.0


@dataclasses.dataclass(slots=True)
class HostInstances:
    """What one host runs.

    :param objects: the instances that this was made of
    :param by_image: the project ids by instance uuid by image id
    :param unresolved: uuids of stubs
    :param stale: uuids that the host shows although the server has left
    :param plain: whether there is neither of these
    """

    objects: list[Any]
    by_image: dict[str, dict[str, str | None]]
    unresolved: frozenset[str]
    stale: frozenset[str] = frozenset()
    plain: bool = True
    _source: dict[str, Any] | None = None
    _checked: float = 0.0

    def seems_same(self, source: dict[str, Any], now: float) -> bool:
        """Return whether a host's instances look as they did.

        nova appends what is new to a dictionary that it keeps, so the length
        and the last one tell of everything that came or went; and that at the
        same cost for two instances and for two hundred.
        """
        if (not self.plain or source is not self._source
                or len(source) != len(self.objects)
                or now - self._checked >= GLANCE):
            return False
        try:
            last = next(reversed(source.values()), None)
        except RuntimeError:  # nova changes it at this very moment
            return False
        return last is (self.objects[-1] if self.objects else None)

    def checked(self, source: dict[str, Any], now: float) -> None:
        """Note that the instances of a host are these."""
        self._source = source
        self._checked = now

    def mark(self, stale: frozenset[str]) -> None:
        """Set which of the instances are stale."""
        self.stale = stale
        self.plain = not stale and not self.unresolved


_NOTHING = HostInstances([], {}, frozenset())


def _read(objects: list[Any]) -> HostInstances:
    by_image: dict[str, dict[str, str | None]] = {}
    unresolved = []
    for instance in objects:
        fields = vars(instance)
        image = fields.get(_IMAGE, _UNSET)
        if image is _UNSET:
            unresolved.append(fields.get(_UUID))
        elif image:
            servers = by_image.get(image)
            if servers is None:
                servers = by_image[image] = {}
            servers[fields.get(_UUID)] = fields.get(_PROJECT)
    return HostInstances(objects, by_image, frozenset(unresolved),
                         plain=not unresolved)


class InstanceIndex:
    """Remembers what each host runs while its instances stay the same.

    nova's scheduler replaces an Instance object when it learns something new,
    so a host has not changed while its objects are the same ones. They are
    compared when the look of them has changed, and every second. A server
    can be shown by two hosts: after a live migration or an evacuation the old
    host keeps it until its next sync (up to two minutes), and while a resize
    waits to be confirmed both hosts have it for good reason.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hosts: dict[str, HostInstances] = {}
        #: A host of each server, and all hosts of those that have several.
        self._home: dict[str, str] = {}
        self._shared: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of hosts that were ever seen."""
        return len(self._hosts)

    def of_hosts(self, host_states: Sequence[Any]) -> list[HostInstances]:
        """Return what the hosts of HostStates run."""
        now = self._clock()
        found = []
        for host_state in host_states:
            source = host_state.instances
            known = self._hosts.get(host_state.host)
            if known is None or not known.seems_same(source, now):
                known = self._compare(host_state.host, source, known)
                known.checked(source, now)
            found.append(known)
        return found

    def _compare(self, host: str, source: dict[str, Any],
                 known: HostInstances | None) -> HostInstances:
        objects = list(source.values())
        if known is not None and known.objects == objects:
            return known
        fresh = _read(objects)
        with self._lock:
            self._replace(host, fresh)
        return fresh

    def _replace(self, host: str, fresh: HostInstances) -> None:
        if len(self._hosts) >= MAX_HOSTS:
            self._hosts.clear()
            self._home.clear()
            self._shared.clear()
        before = _uuids(self._hosts.get(host, _NOTHING))
        self._hosts[host] = fresh
        now = _uuids(fresh)
        concerned = self._shared.keys() & (before | now)
        for uuid in before - now:
            self._leave(uuid, host)
        for uuid in now - before:
            home = self._home.setdefault(uuid, host)
            if home != host:
                self._shared.setdefault(uuid, {home}).add(host)
        concerned |= self._shared.keys() & now
        for home in {host}.union(*map(self._homes, concerned)):
            self._mark(home)

    def _homes(self, uuid: str) -> set[str]:
        """Return the hosts that show a server."""
        if uuid in self._shared:
            return self._shared[uuid]
        return {self._home[uuid]} if uuid in self._home else set()

    def _leave(self, uuid: str, host: str) -> None:
        homes = self._homes(uuid) - {host}
        self._shared.pop(uuid, None)
        self._home.pop(uuid, None)
        if homes:
            self._home[uuid] = min(homes)
        if len(homes) > 1:
            self._shared[uuid] = homes

    def _mark(self, host: str) -> None:
        instances = self._hosts[host]
        shared = (self._shared.keys() & _uuids(instances)
                  if self._shared else ())
        instances.mark(frozenset(
            uuid for uuid in shared if self._is_stale(uuid, host)))

    def _is_stale(self, uuid: str, host: str) -> bool:
        """Whether another host has newer word of a server that left this one.

        A server whose resize waits to be confirmed is on both hosts.
        """
        views = {home: self._view(home, uuid) for home in self._shared[uuid]}
        mine = views.pop(host)
        return any(
            theirs['updated_at'] > mine['updated_at']
            and theirs['host'] not in (None, host)
            and theirs['vm_state'] != 'resized'
            for theirs in views.values()
            if mine['updated_at'] and theirs['updated_at'])

    def _view(self, host: str, uuid: str) -> dict[str, Any]:
        fields: dict[str, Any] = next(
            (vars(instance) for instance in self._hosts[host].objects
             if vars(instance).get(_FIELD + 'uuid') == uuid), {})
        return {name: fields.get(_FIELD + name)
                for name in ('host', 'updated_at', 'vm_state')}


def _uuids(instances: HostInstances) -> set[str]:
    return {uuid for servers in instances.by_image.values()
            for uuid in servers}

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

"""Which servers of which image a host runs, by what nova's scheduler knows.

``HostState.instances`` mixes whole Instance objects with stubs that know their
uuid only: after a live migration both hosts are all stubs and stay so. Asking
a stub for its image is a query each, or an error, so stubs are left alone, and
resolved by what was learnt of their uuid elsewhere.
"""

from collections.abc import Iterable
import threading
from typing import Any
from typing import NamedTuple

from cache_aware_sched import image_ids

#: oslo.versionedobjects keeps a field under this prefix; asking the object
#: costs seven times as much, and this is done for every instance of a host
#: that changed (read in oslo.versionedobjects 3.12.0).
_FIELD = '_obj_'
_UUID, _IMAGE, _PROJECT, _NODE = (
    _FIELD + name for name in ('uuid', 'image_ref', 'project_id', 'node'))
_UNSET = object()

#: Seconds for which a host is taken for unchanged on the look of it. What this
#: cannot see is an instance that was replaced in its place among others, as by
#: a rebuild.
GLANCE = 1.0

#: Seconds after which a host that is no candidate any more is forgotten, and
#: between two looks for such hosts. Judgement: reading it again costs 40 us.
FORGOTTEN_AFTER, SWEEP_EVERY = 600.0, 60.0

#: The share of its hosts that one request reads for the first time, where a
#: glance tells as much: so that the first request after a start is not the one
#: that reads them all.
FIRST_READS = 1 / 8

#: The servers of one image: projects by uuid.
Servers = dict[str, str | None]


class Fact(NamedTuple):
    """What is known of a server, from wherever it was learnt.

    :param image: '' for none
    :param spot: host and node where it was then, if that is known
    """

    image: str
    project: str | None
    spot: tuple[str, str] | None = None


class HostServers:
    """The servers that the nova-compute of a host runs.

    :ivar by_node: the servers by image by node; those whose node is not known
        are under None, and may be on any
    :ivar shown: how many servers are shown, by node
    :ivar unresolved: uuids of stubs of which nothing is known
    :ivar stubs: uuids of those of which something was learnt
    :ivar node: on which all of them are, None if there is no such node, or if
        not all is known of all of them
    :ivar images: the servers on it by image
    :ivar number: how many servers are shown
    :ivar seen: when the host was last a candidate
    :ivar source: the instances as nova keeps them; None before they were read
    :ivar unread: the same as long as they were not read
    :ivar last: the last of them
    :ivar look_again: when they are compared even if they look the same
    """

    __slots__ = ('_objects', 'by_node', 'host', 'images', 'last',
                 'look_again', 'node', 'number', 'seen', 'shown', 'source',
                 'stubs', 'unread', 'unresolved')

    def __init__(self, host: str) -> None:
        self.host = host
        self.stubs: set[str] = set()
        self.by_node: dict[str | None, dict[str, Servers]] = {}
        self.shown: dict[str | None, int] = {}
        self.unresolved: set[str] = set()
        self.node: str | None = None
        self.images: dict[str, Servers] = {}
        self.number = 0
        self.seen = 0.0
        self.source: dict[str, Any] | None = None
        self.last: Any = None
        self.unread: dict[str, Any] | None = None
        self.look_again = 0.0
        self._objects: list[Any] = []

    def servers(self, node: str, image: str) -> Servers:
        """Return the servers of an image on a node."""
        images = self.by_node.get(node)
        found = (images.get(image) if images else None) or _NONE
        elsewhere = self.by_node.get(None)
        return {**found, **elsewhere.get(image, _NONE)} if (
            elsewhere) else found

    def shows(self, node: str) -> int:
        """Return how many servers are shown on a node, of whatever image."""
        return self.shown.get(node, 0) + self.shown.get(None, 0)

    def uuids(self) -> set[str]:
        """Return the uuids of the servers."""
        return {vars(instance).get(_UUID) for instance in self._objects}

    def read(self, source: dict[str, Any], now: float,
             facts: dict[str, Fact]) -> None:
        """Take in what came, and all anew if anything else has changed."""
        objects, known = list(source.values()), len(self._objects)
        if objects[:known] != self._objects:
            known = 0
            self._forget()
        for instance in objects[known:]:
            self._add(vars(instance), facts)
        self.unread = None
        self._objects, self.source = objects, source
        self.last = objects[-1] if objects else None
        for uuid in [uuid for uuid in self.unresolved if uuid in facts]:
            self.unresolved.discard(uuid)
            self._resolve(uuid, facts[uuid])
        # What a stub is may be learnt at any moment.
        self.look_again = now if self.unresolved else now + GLANCE
        self.number = len(objects)
        self.node = next(iter(self.shown)) if (
            len(self.shown) == 1 and not self.unresolved) else None
        self.images = self.by_node.get(self.node, {})

    def _add(self, fields: dict[str, Any], facts: dict[str, Fact]) -> None:
        uuid = fields.get(_UUID)
        if uuid is None:
            return
        image = fields.get(_IMAGE, _UNSET)
        node = fields.get(_NODE)
        self.shown[node] = self.shown.get(node, 0) + 1
        if image is _UNSET:
            self.unresolved.add(uuid)
            return
        fact = facts.get(uuid)
        # Few servers get another image, and the spelling costs.
        if fact is None or fact.image != image or fact.spot is None or (
                fact.spot[0] != self.host):
            fact = facts[uuid] = Fact(
                image_ids.canonical(image or ''), fields.get(_PROJECT),
                (self.host, node or ''))
        self._count(uuid, fact, node)

    def _resolve(self, uuid: str, fact: Fact) -> None:
        """Count a stub; on its node if it is still on this host."""
        here = fact.spot is not None and fact.spot[0] == self.host
        node = fact.spot[1] if fact.spot and here else None
        if node:
            self.shown[None] -= 1
            if not self.shown[None]:
                del self.shown[None]
            self.shown[node] = self.shown.get(node, 0) + 1
        self.stubs.add(uuid)
        self._count(uuid, fact, node or None)

    def disprove(self, image: str, right: set[str]) -> set[str]:
        """Forget which stubs are of an image, but for those that are.

        :returns: the stubs
        """
        wrong = {uuid for images in self.by_node.values()
                 for uuid in images.get(image, ())
                 if uuid in self.stubs and uuid not in right}
        if wrong:
            self._forget()
            self.unread = self.source
        return wrong

    def _forget(self) -> None:
        """Have all read anew."""
        self.by_node, self.shown = {}, {}
        self.unresolved, self.stubs = set(), set()
        self._objects, self.number = [], -1

    def _count(self, uuid: str, fact: Fact, node: str | None) -> None:
        if not fact.image:
            return
        images = self.by_node.get(node)
        if images is None:
            images = self.by_node[node] = {}
        servers = images.get(fact.image)
        if servers is None:
            servers = images[fact.image] = {}
        servers[uuid] = fact.project


_NONE: Servers = {}


def glance(source: dict[str, Any], image: str) -> int | None:
    """Return how many instances are of an image, without reading them.

    Takes an eighth of the time.

    :returns: None if some are not known, or change at this very moment
    """
    try:
        refs = [vars(instance).get(_IMAGE, _UNSET)
                for instance in source.values()]
    except RuntimeError:
        return None
    spellings = set(refs)
    if _UNSET in spellings:
        return None
    return sum(refs.count(ref) for ref in spellings
               if ref and image_ids.canonical(ref) == image)


class InstanceMemory:
    """Remembers what each host runs while its instances stay the same.

    nova's scheduler replaces an Instance object when it learns something new,
    so a host has not changed while its objects are the same ones. They are
    compared when the look of them has changed, and every second.
    """

    def __init__(self) -> None:
        self._hosts: dict[str, HostServers] = {}
        self._facts: dict[str, Fact] = {}
        self._lock = threading.Lock()
        self._swept = 0.0

    def of_host(self, host_state: Any, now: float) -> HostServers:
        """Return what is remembered of a host, up to date if it was read.

        nova appends what is new to a dictionary that it keeps, so the length
        and the last one tell of everything that came or went; and that at the
        same cost for two instances and for two hundred.
        """
        known = self._hosts.get(host_state.host)
        if known is None:
            known = self._hosts[host_state.host] = HostServers(
                host_state.host)
        known.seen = now
        source = host_state.instances
        if known.source is None:
            known.unread = source
            return known
        if (source is known.source and now < known.look_again
                and len(source) == known.number):
            try:
                if next(reversed(source.values()), None) is known.last:
                    return known
            except RuntimeError:  # nova changes it at this very moment
                pass
        self.read(known, host_state, now)
        return known

    def read(self, known: HostServers, host_state: Any, now: float) -> None:
        """Look at the instances of a host."""
        with self._lock:
            known.read(host_state.instances, now, self._facts)

    def learn(self, facts: Iterable[tuple[str, Fact]]) -> None:
        """Note what is known of servers that may be stubs on some host."""
        with self._lock:
            self._facts.update(facts)

    def disprove(self, host: str, image: str, right: set[str]) -> None:
        """Forget which stubs of a host are of an image, but for some."""
        known = self._hosts.get(host)
        if known is not None and known.stubs:
            with self._lock:
                for uuid in known.disprove(image, right):
                    self._facts.pop(uuid, None)

    def recent_hosts(self, now: float) -> int:
        """Return how many hosts were candidates of late."""
        return sum(now - known.seen <= SWEEP_EVERY
                   for known in list(self._hosts.values()))

    def hosts(self) -> list[str]:
        """Return the hosts that are remembered."""
        return list(self._hosts)

    def __len__(self) -> int:
        """Return the number of hosts that are remembered."""
        return len(self._hosts)

    def servers(self, image: str, without: set[str]) -> Iterable[
            tuple[str, str | None]]:
        """Return the servers of an image on all hosts but some.

        :returns: uuids and projects
        """
        for name, known in list(self._hosts.items()):
            if name not in without:
                if known.unread is not None:
                    with self._lock:
                        known.read(known.unread, known.seen, self._facts)
                for images in list(known.by_node.values()):
                    yield from list(images.get(image, _NONE).items())

    def sweep(self, now: float) -> bool:
        """Forget hosts that are gone, and the servers that no host shows.

        :returns: whether it was time for it
        """
        if now - self._swept < SWEEP_EVERY:
            return False
        self._swept = now
        with self._lock:
            gone = [name for name, known in self._hosts.items()
                    if now - known.seen > FORGOTTEN_AFTER]
            for name in gone:
                del self._hosts[name]
            shown = sum(known.number + 1 for known in self._hosts.values())
            if gone or len(self._facts) > 2 * shown:
                self._forget_facts()
        return True

    def _forget_facts(self) -> None:
        shown: set[str] = set().union(
            *(known.uuids() for known in self._hosts.values()))
        self._facts = {uuid: fact for uuid, fact in self._facts.items()
                       if uuid in shown}

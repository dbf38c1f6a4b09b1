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

"""The servers of one host, by what nova's scheduler shows of them."""

import itertools
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
#: a rebuild; the report tells of that one.
COMPARED_EVERY = 5.0

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

    def to_text(self) -> str:
        """Return it as :data:`Facts` keep it."""
        host, node = self.spot or ('', '')
        return _to_text(self.image, self.project, host, node)

    @classmethod
    def from_text(cls, text: str) -> 'Fact':
        """Return what :meth:`to_text` was given."""
        image, project, host, node = text.split(_BETWEEN, 3)
        return cls(image, project or None, (host, node) if host else None)


#: What is known of servers, by uuid. As texts: Python's garbage collector
#: walks through all the tuples that a dictionary holds, here one for each
#: server of the cloud, and does not even look at dictionaries of texts.
Facts = dict[str, str]

_BETWEEN = '\0'


def _to_text(image: str, project: str | None, host: str, node: str) -> str:
    return f'{image}{_BETWEEN}{project or ""}{_BETWEEN}{host}{_BETWEEN}{node}'


class HostServers:
    """The servers that the nova-compute of a host runs.

    :ivar by_node: the servers by image by node; those whose node is not known
        are under None, and may be on any
    :ivar shown: how many servers are shown, by node
    :ivar unresolved: uuids of stubs of which nothing is known
    :ivar stubs: uuids of those of which something was learnt
    :ivar version: counts up when something of this changes
    :ivar seen: when the host was last a candidate
    :ivar source: the instances as nova keeps them; None before they were read
    :ivar unread: the same as long as they were not read
    """

    __slots__ = ('_last', '_look_again', '_objects', 'by_node', 'host', 'seen',
                 'shown', 'source', 'stubs', 'unread', 'unresolved', 'version')

    def __init__(self, host: str) -> None:
        self.host = host
        self.stubs: set[str] = set()
        self.by_node: dict[str | None, dict[str, Servers]] = {}
        self.shown: dict[str | None, int] = {}
        self.unresolved: set[str] = set()
        self.version = 0
        self.seen = 0.0
        self.source: dict[str, Any] | None = None
        self.unread: dict[str, Any] | None = None
        self._objects: list[Any] = []
        self._last: Any = None
        self._look_again = 0.0

    def __len__(self) -> int:
        """Return how many servers are shown."""
        return len(self._objects)

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
        """Return the uuids of all servers that are shown, stubs too."""
        return {vars(instance).get(_UUID) for instance in self._objects}

    def looks_same(self, now: float) -> bool:
        """Return whether the instances look as they did when they were read.

        nova appends what is new to a dictionary that it keeps, so the length
        and the last one tell of everything that came or went; and that at the
        same cost for two instances and for two hundred.
        """
        source = self.source
        if (source is None or now >= self._look_again
                or len(source) != len(self._objects)):
            return False
        try:
            return next(reversed(source.values()), None) is self._last
        except RuntimeError:  # nova changes it at this very moment
            return False

    def read(self, source: dict[str, Any], now: float,
             facts: Facts) -> None:
        """Take in what came, and all anew if anything else has changed."""
        came = self._came(source, now)
        if came is None:
            came = self._compare(source, now)
        for instance in came:
            self._add(vars(instance), facts)
        if self.unresolved:
            self._resolve_all(facts)
        if came:
            # At last: until then other threads find that it does not look the
            # same, and wait for the lock.
            self._last = came[-1]
            self._objects = [*self._objects, *came]
            self.version += 1
        self.unread = None
        # What a stub is may be learnt at any moment.
        if self.unresolved:
            self._look_again = now

    def _came(self, source: dict[str, Any], now: float) -> list[Any] | None:
        """Return the instances that came, if the others look the same.

        :returns: None if all must be compared
        """
        number = len(source) - len(self._objects)
        if (source is not self.source or now >= self._look_again
                or number <= 0 or not self._objects):
            return None
        try:
            *came, last = itertools.islice(
                reversed(source.values()), number + 1)
        except (RuntimeError, ValueError):
            return None  # nova changes it at this very moment
        if last is not self._last:
            return None
        came.reverse()
        return came

    def _compare(self, source: dict[str, Any], now: float) -> list[Any]:
        """Return the instances that came; all, if others are gone."""
        objects, known = list(source.values()), len(self._objects)
        self.source, self._look_again = source, now + COMPARED_EVERY
        if objects == self._objects:
            # The old list is kept: Python's garbage collector is done with it.
            return []
        if objects[:known] != self._objects:
            known = 0
            self._forget()
        if known == len(objects):  # nothing is left
            self._last = None
        return objects[known:]

    def _add(self, fields: dict[str, Any], facts: Facts) -> None:
        uuid = fields.get(_UUID)
        if uuid is None:
            return
        image = fields.get(_IMAGE, _UNSET)
        node = fields.get(_NODE)
        self.shown[node] = self.shown.get(node, 0) + 1
        if image is _UNSET:
            self.unresolved.add(uuid)
            return
        image = image_ids.canonical(image or '')
        project = fields.get(_PROJECT)
        facts[uuid] = _to_text(image, project, self.host, node or '')
        self._count(uuid, image, project, node)

    def _resolve_all(self, facts: Facts) -> None:
        """Count the stubs of which something was learnt."""
        for uuid in [uuid for uuid in self.unresolved if uuid in facts]:
            self.unresolved.discard(uuid)
            self._resolve(uuid, Fact.from_text(facts[uuid]))
            self.version += 1

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
        self._count(uuid, fact.image, fact.project, node or None)

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
        self.version += 1
        self.by_node, self.shown = {}, {}
        self.unresolved, self.stubs = set(), set()
        self._objects = []

    def _count(self, uuid: str, image: str, project: str | None,
               node: str | None) -> None:
        if not image:
            return
        images = self.by_node.get(node)
        if images is None:
            images = self.by_node[node] = {}
        servers = images.get(image)
        if servers is None:
            servers = images[image] = {}
        servers[uuid] = project


_NONE: Servers = {}


def count_unread(source: dict[str, Any], image: str) -> int | None:
    """Return how many instances are of an image, without reading them all.

    Takes an eighth of the time.

    :returns: None if some are not known, or change at this very moment
    """
    try:
        refs = [vars(instance)[_IMAGE] for instance in source.values()]
    except (KeyError, RuntimeError):
        return None
    return sum(refs.count(ref) for ref in set(refs)
               if ref and image_ids.canonical(ref) == image)

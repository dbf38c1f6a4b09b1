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

"""What is remembered of nodes, for the images that were asked for lately."""

from typing import Generic
from typing import TypeVar

#: Images of which something is remembered; beyond it the one that was not
#: asked for the longest is forgotten. Judgement: each takes some 200 bytes a
#: node.
MAX_CACHES = 32

#: Seconds after which nodes are forgotten that were not asked for in as much
#: time before. Judgement: they must only not become more and more.
SWEEP_EVERY = 600.0

K = TypeVar('K')
T = TypeVar('T')


class NodeCache(dict[str, T]):
    """What is remembered of nodes, by their names.

    What was not asked for since the sweep before the last one is forgotten: a
    node may be gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._older: dict[str, T] = {}

    def older(self, node: str) -> T | None:
        """Return what was remembered before the last sweep, if anything."""
        found = self._older.pop(node, None)
        if found is not None:
            self[node] = found
        return found

    def sweep(self) -> None:
        """Forget the nodes that were not asked for since the last time."""
        self._older = dict(self)
        self.clear()


class NodeCaches(Generic[K, T]):
    """A cache of nodes for each of the last keys, as of images.

    Threads may take each other's caches away, which costs only time.
    """

    def __init__(self) -> None:
        self._caches: dict[K, NodeCache[T]] = {}
        self._swept = 0.0

    def of(self, key: K) -> NodeCache[T]:
        """Return the cache of a key, made if there is none."""
        cache = self._caches.pop(key, None)
        if cache is None:
            cache = NodeCache()
            while len(self._caches) >= MAX_CACHES:
                oldest, *_others = list(self._caches)
                self._caches.pop(oldest, None)
        self._caches[key] = cache
        return cache

    def sweep(self, now: float) -> None:
        """Forget nodes that were not asked for, if it is time for it.

        :param now: monotonic seconds
        """
        if now - self._swept >= SWEEP_EVERY:
            self._swept = now
            for cache in list(self._caches.values()):
                cache.sweep()

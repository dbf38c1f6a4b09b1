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

"""The image cache of ``cache_aware.FakeDriver`` as a manager sees it."""

from collections.abc import Callable
from collections.abc import Collection
import dataclasses
from typing import Protocol

from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache.limits import Disk
from cache_aware_sched.imagecache import store
from cache_aware_sched import report


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """An image in the cache.

    :param size: bytes
    :param used_ns: when it was last used, nanoseconds since the epoch
    """

    image_id: str
    size: int
    used_ns: int


class FakeImageCache(Protocol):
    """What a cache has to offer."""

    def held(self) -> list[Held]:
        """Return the complete images."""

    def touch(self, image_id: str) -> None:
        """Note that an image is used now."""

    def remove_if(self, held: Held) -> bool:
        """Take an image out that was not used since it was looked at."""


class FakeStore(store.Store):
    """Images in memory; there is no file system and no disk upon them.

    :param cache: of the host
    :param host: whose servers use it
    """

    def __init__(self, cache: Callable[[], FakeImageCache],
                 host: Callable[[], str]) -> None:
        self._cache = cache
        self._host = host

    def path(self) -> str:
        """Return that it is there."""
        return 'in memory'

    def entries(self) -> list[Entry]:
        """Return the complete images."""
        return [Entry(name, Kind.IMAGE, name, held.size, held.size,
                      held.used_ns)
                for name, held in self._by_name().items()]

    def backing(self, names: Collection[str], known: Collection[str],
                anew: bool) -> set[str]:
        """Return what is known."""
        return set(known)

    def disk(self) -> Disk | None:
        """Return that there is none."""
        return None

    def touch(self, name: str) -> None:
        """Note that an image is used now."""
        held = self._by_name().get(name)
        if held is not None:
            self._cache().touch(held.image_id)

    def claim(self, sha1: str) -> None:
        """Note that an image is about to be used."""
        self.touch(sha1)

    def remove(self, entry: Entry, still_free: Callable[[], bool]
               ) -> store.Removal:
        """Remove an image that was not used since."""
        held = self._by_name().get(entry.name)
        if held is None:
            return store.Removal.GONE
        if held.used_ns != entry.used_ns or not still_free():
            return store.Removal.IN_USE
        return (store.Removal.REMOVED if self._cache().remove_if(held)
                else store.Removal.IN_USE)

    def register(self) -> None:
        """Tell nobody: no other host uses it."""

    def hosts(self) -> list[str]:
        """Return the host."""
        return [self._host()]

    def disk_usage(self) -> int:
        """Return that no disk is used."""
        return 0

    def history_path(self) -> None:
        """Return that it ends with the process, as the images do."""

    def _by_name(self) -> dict[str, Held]:
        return {report.image_sha1(held.image_id): held
                for held in self._cache().held()}

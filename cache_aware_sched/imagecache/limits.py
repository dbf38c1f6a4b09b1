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

"""The limits of the image cache, and what is evicted to keep them."""

import collections
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Container
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import enum

from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind

GIB = 2 ** 30


class Limit(enum.Enum):
    """A limit, by the name of its option."""

    SIZE = 'image_cache_max_size_gb'
    IMAGES = 'image_cache_max_images'
    WATERMARK = 'image_cache_high_watermark_percent'
    FREE = 'image_cache_min_free_gb'

    @property
    def is_of_disk(self) -> bool:
        """Whether it bounds the file system and not the cache."""
        return self in (Limit.WATERMARK, Limit.FREE)


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What the options allow; 0 is no limit.

    :param max_bytes: of all entries
    :param max_images: that the entries are of
    :param high: percent of the file system beyond which it is emptied
    :param low: percent of the file system down to which it is emptied
    :param min_free: bytes of the file system
    """

    max_bytes: int = 0
    max_images: int = 0
    high: int = 0
    low: int = 0
    min_free: int = 0

    def __bool__(self) -> bool:
        """Return whether there is any limit."""
        return bool(self.max_bytes or self.max_images or self.high
                    or self.min_free)

    def exclude(self, size: int) -> bool:
        """Return whether so many bytes are more than all entries may have."""
        return bool(self.max_bytes and size > self.max_bytes)


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """A file system, in bytes as df has them."""

    used: int
    available: int


@dataclasses.dataclass(frozen=True, slots=True)
class Fetch:
    """An image that is being fetched.

    :param size: bytes of one copy
    :param room: bytes that are kept free for it within ``max_bytes``, if these
        are enough: one that is converted is there twice for a moment
    :param peak: bytes that it takes of the disk at that moment
    :param written: bytes of it that are on the disk already
    :param is_new: whether no file of the image is there yet
    """

    size: int = 0
    room: int = 0
    peak: int = 0
    written: int = 0
    is_new: bool = True


class Budget:
    """Keeps account of a cache while entries are evicted.

    What is larger than ``max_bytes`` alone counts for all limits but that one:
    it cannot be kept with it, so nothing else has to go for it.

    :param entries: all that are there, but not what is being fetched
    :param disk: of the file system; None if it cannot be told
    :param fetches: all that is being fetched or about to be
    """

    def __init__(self, limits: Limits, entries: Iterable[Entry],
                 disk: Disk | None, fetches: Collection[Fetch] = ()) -> None:
        self._limits = limits
        self._bytes = sum(map(self._expected, fetches))
        self._files: collections.Counter[str | None] = (
            collections.Counter())
        for entry in entries:
            self._bytes += self._counted(entry.size)
            if _is_of_an_image(entry):
                self._files[entry.sha1] += 1
        self._more_images = sum(fetch.is_new for fetch in fetches)
        self._disk = disk
        self._coming = sum(max(0, fetch.peak - fetch.written)
                           for fetch in fetches)
        self._used = disk.used + self._coming if disk else 0
        self._available = disk.available - self._coming if disk else 0
        self._emptying = False

    def _counted(self, size: int) -> int:
        return 0 if self._limits.exclude(size) else size

    def _expected(self, fetch: Fetch) -> int:
        """Return the bytes for which room is made.

        For both copies of what is converted, if they can be kept within the
        limit for that moment.
        """
        return (self._counted(max(fetch.room, fetch.written))
                or self._counted(max(fetch.size, fetch.written)))

    def exceeded(self) -> list[Limit]:
        """Return the limits that are exceeded."""
        return self._exceeded(self._limits.high)

    def asking(self) -> list[Limit]:
        """Return the limits that ask for room.

        Once the high watermark was exceeded, it goes on to ask until the low
        one is not.
        """
        high = self._limits.high
        self._emptying = self._emptying or self._fuller_than(high)
        return self._exceeded(
            min(self._limits.low or high, high) if self._emptying else 0)

    def _exceeded(self, percent: int) -> list[Limit]:
        return [limit for limit, exceeded in (
            (Limit.SIZE, self._limits.max_bytes
             and self._bytes > self._limits.max_bytes),
            (Limit.IMAGES, self._limits.max_images
             and len(self._files) + self._more_images
             > self._limits.max_images),
            (Limit.WATERMARK, self._fuller_than(percent)),
            (Limit.FREE, self._disk and self._limits.min_free
             and self._available < self._limits.min_free),
        ) if exceeded]

    @property
    def lacks(self) -> int:
        """The bytes that the file system has too few, whatever the limits."""
        return max(0, -self._available)

    def room(self) -> int | None:
        """Return the bytes for which nothing need be evicted.

        Of what the file system has free at most half: the disks of servers
        grow into the rest. Judgement.

        :returns: None if nothing bounds it
        """
        allowed, rooms = self._limits, []
        if allowed.max_bytes:
            rooms.append(allowed.max_bytes - self._bytes)
        if allowed.max_images and (len(self._files) + self._more_images
                                   >= allowed.max_images):
            rooms.append(0)
        if self._disk:
            rooms.append(self._available // 2)
            rooms.append(self._available - allowed.min_free)
            if allowed.high:
                both = self._used + self._available
                rooms.append(both * allowed.high // 100 - self._used)
        return max(0, min(rooms)) if rooms else None

    def without(self, entry: Entry) -> None:
        """Take account of an entry that was evicted."""
        self._bytes -= self._counted(entry.size)
        self._used -= entry.freed
        self._available += entry.freed
        if _is_of_an_image(entry):
            self._files[entry.sha1] -= 1
            if not self._files[entry.sha1]:
                del self._files[entry.sha1]

    def see(self, disk: Disk | None) -> None:
        """Take account of what the file system says now.

        Some free space late, so it is only believed if it has more than was
        to be expected.
        """
        if disk and disk.available - self._coming > self._available:
            self._used = disk.used + self._coming
            self._available = disk.available - self._coming

    def excludes(self, entry: Entry) -> bool:
        """Return whether an entry alone is more than all may have."""
        return self._limits.exclude(entry.size)

    def files_of(self, sha1: str | None) -> int:
        """Return how many files of an image there are."""
        return self._files[sha1]

    def _fuller_than(self, percent: int) -> bool:
        """Return whether more than this is used, as df counts it.

        What only root may use is neither used nor available.
        """
        return bool(self._disk and percent and 100 * self._used
                    > percent * (self._used + self._available))


def evict(budget: Budget, order: Iterable[Entry],
          evict_one: Callable[[Entry, Limit], bool],
          disk: Callable[[], Disk | None] = lambda: None,
          last: Container[str] = ()) -> list[Limit]:
    """Evict entries, the first of them first, until the limits are kept.

    What exceeds the limit of size alone is evicted before all others.

    :param order: of what may be evicted, each entry once
    :param evict_one: returns whether the entry is there no more
    :param disk: returns what the file system says
    :param last: names of those that are evicted in their own turn only
    :returns: the limits that are exceeded nevertheless
    """
    waiting = sorted(order, key=lambda entry: not budget.excludes(entry))
    by_image: dict[str, list[Entry]] = collections.defaultdict(list)
    for entry in waiting:
        if _is_of_an_image(entry):
            by_image[entry.sha1 or ''].append(entry)
    tried: set[str] = set()
    for entry in waiting:
        # The low watermark is where emptying ends, and no limit.
        asking = ([Limit.SIZE] if budget.excludes(entry)
                  else budget.exceeded() if entry.name in last
                  else budget.asking())
        if not asking:
            break
        for victim in _victims(budget, entry, asking, by_image, last):
            if victim.name in tried:
                continue
            tried.add(victim.name)
            if _is_of_an_image(victim):
                by_image[victim.sha1 or ''].remove(victim)
            if not evict_one(victim, asking[0]):
                break
            budget.without(victim)
            budget.see(disk())
    return budget.exceeded()


def _is_of_an_image(entry: Entry) -> bool:
    return entry.kind in (Kind.IMAGE, Kind.RESIZED)


def _victims(budget: Budget, entry: Entry, asking: list[Limit],
             by_image: dict[str, list[Entry]],
             last: Container[str]) -> Iterator[Entry]:
    """Return what is evicted with an entry for it to be of any use.

    One file less is one image less only if no other file of it is left. A file
    that others share all blocks of takes nothing of the disk.
    """
    if all(limit.is_of_disk for limit in asking):
        if entry.freed or not entry.shared:
            yield entry
        return
    if asking != [Limit.IMAGES]:
        yield entry
        return
    files = by_image.get(entry.sha1 or '', [])
    if entry.name not in last and any(file.name in last for file in files):
        return
    if entry in files and budget.files_of(entry.sha1) == len(files):
        yield from list(files)

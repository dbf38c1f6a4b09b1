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

"""The limits of the image cache, and what must go to keep them."""

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


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """A file system, in bytes as df has them."""

    used: int
    available: int


@dataclasses.dataclass(frozen=True, slots=True)
class Need:
    """What images that are being fetched take.

    :param peak: bytes while they are fetched, converted ones twice
    :param final: bytes when they are there
    :param written: bytes of them that are on the disk already
    :param images: how many more images there are then
    """

    peak: int = 0
    final: int = 0
    written: int = 0
    images: int = 0


class Budget:
    """Keeps account of a cache while entries go.

    :param entries: all that are there, but not what is being fetched
    :param beyond: names of those whose bytes no limit can be kept with
    :param disk: of the file system; None if it cannot be told
    :param need: of all that is being fetched or about to be
    """

    def __init__(self, limits: Limits, entries: Iterable[Entry],
                 disk: Disk | None, need: Need,
                 beyond: Collection[str] = ()) -> None:
        self._limits = limits
        self._bytes = need.peak
        self._files: collections.Counter[str | None] = (
            collections.Counter())
        for entry in entries:
            self._bytes += 0 if entry.name in beyond else entry.size
            if _is_of_an_image(entry):
                self._files[entry.sha1] += 1
        self._more_images = need.images
        self._disk = disk
        self._coming = max(0, need.peak - need.written)
        self._used = disk.used + self._coming if disk else 0
        self._available = disk.available - self._coming if disk else 0
        self._emptying = False

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

    def without(self, entry: Entry) -> None:
        """Take account of an entry that is gone."""
        self._bytes -= entry.size
        self._used -= entry.allocated
        self._available += entry.allocated
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

    def beyond(self, entry: Entry) -> None:
        """Count the bytes of an entry no longer, which cannot go."""
        self._bytes -= entry.size

    def files_of(self, sha1: str | None) -> int:
        """Return how many files of an image there are."""
        return self._files[sha1]

    def _fuller_than(self, percent: int) -> bool:
        """Return whether more than this is used, as df counts it.

        What only root may use is neither used nor available.
        """
        return bool(self._disk and percent and 100 * self._used
                    > percent * (self._used + self._available))


def make_fit(budget: Budget, order: Iterable[Entry],
             remove: Callable[[Entry, Limit], bool],
             disk: Callable[[], Disk | None] = lambda: None,
             last: Container[str] = ()) -> list[Limit]:
    """Remove entries, the first of them first, until the limits are kept.

    :param order: of what may go, each entry once
    :param remove: returns whether the entry is gone
    :param disk: returns what the file system says
    :param last: names of those that go in their own turn only
    :returns: the limits that are exceeded nevertheless
    """
    waiting = list(order)
    by_image: dict[str, list[Entry]] = collections.defaultdict(list)
    for entry in waiting:
        if _is_of_an_image(entry):
            by_image[entry.sha1 or ''].append(entry)
    tried: set[str] = set()
    for entry in waiting:
        asking = budget.asking()
        if not asking:
            break
        for victim in _victims(budget, entry, asking, by_image, last):
            if victim.name in tried:
                continue
            tried.add(victim.name)
            if _is_of_an_image(victim):
                by_image[victim.sha1 or ''].remove(victim)
            if not remove(victim, asking[0]):
                break
            budget.without(victim)
            budget.see(disk())
    return budget.exceeded()


def _is_of_an_image(entry: Entry) -> bool:
    return entry.kind in (Kind.IMAGE, Kind.RESIZED)


def _victims(budget: Budget, entry: Entry, asking: list[Limit],
             by_image: dict[str, list[Entry]],
             last: Container[str]) -> Iterator[Entry]:
    """Return what has to go with an entry for it to be of any use.

    One file less is one image less only if no other file of it is left.
    """
    if asking != [Limit.IMAGES]:
        yield entry
        return
    files = by_image.get(entry.sha1 or '', [])
    if entry.name not in last and any(file.name in last for file in files):
        return
    if entry in files and budget.files_of(entry.sha1) == len(files):
        yield from list(files)

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

"""The image cache of a simulated host, kept by the package's own rules.

The policy is that of the manager's entry point and the account is that of
:mod:`...imagecache.limits`; what is between them in
:mod:`...imagecache.evictor` and :mod:`..imagecache.fetches`, which need nova's
database, is here without what cannot happen: files that were left behind, that
vanish or cannot be evicted, and disks that nobody can read.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
import dataclasses
import math

from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache import policies
from cache_aware_sched import report
from cache_aware_sched.simulator.settings import Settings


@dataclasses.dataclass(slots=True)
class _CachedImage:
    """A complete image.

    :param size: bytes
    :param used: seconds since the start of the simulation
    """

    size: int
    used: float


@dataclasses.dataclass(slots=True)
class _Boots:
    """Boots of an image as they counted at a time, in seconds."""

    number: float
    at: float


class Cache:
    """What a host holds.

    :param disk_used: returns the bytes of the disk that are not the cache's
    """

    def __init__(self, settings: Settings,
                 disk_used: Callable[[], int]) -> None:
        self._settings = settings
        self._policy = policies.named(settings.cache_manager)()
        if settings.remove_unused_base_images:
            self._policy.ages = policies.Ages(
                settings.minimum_age, settings.minimum_age)
        self._limits = limits.Limits(
            max_bytes=settings.image_cache_max_size_gb * limits.GIB,
            max_images=settings.image_cache_max_images,
            high=settings.image_cache_high_watermark_percent,
            low=settings.image_cache_low_watermark_percent,
            min_free=settings.image_cache_min_free_gb * limits.GIB)
        self._protected = frozenset(settings.protected_images)
        self._half_life = (
            settings.image_cache_popularity_half_life_hours * 3600)
        self._disk_used = disk_used
        self._held: dict[str, _CachedImage] = {}
        self._boots: dict[str, _Boots] = {}
        self._arriving: dict[str, limits.Fetch] = {}
        self.bytes = 0

    def __contains__(self, image: object) -> bool:
        """Return whether an image is there, by its id."""
        return image in self._held

    @property
    def idle(self) -> bool:
        """Whether passes of the manager never change anything."""
        return not self._limits and (
            type(self._policy).expired is policies.EvictionPolicy.expired)

    @property
    def arriving(self) -> Collection[str]:
        """The images that are being fetched."""
        return self._arriving.keys()

    def size(self, image: str) -> int:
        """Return the bytes of an image that is there."""
        return self._held[image].size

    def use(self, image: str, now: float) -> None:
        """Note that a server is made from an image."""
        self._held[image].used = now

    def booted(self, image: str, now: float) -> None:
        """Count a boot for the popularity of the image, which fades."""
        self._boots[image] = _Boots(self._popularity(image, now) + 1.0, now)

    def expect(self, image: str, size: int, now: float,
               in_use: Collection[str]) -> list[str]:
        """Make room for an image that is fetched from now on.

        :param in_use: the images of the host's servers
        :returns: the images that were evicted
        """
        self._arriving[image] = limits.Fetch(size, size, size)
        return self._evict(now, in_use) if self._limits else []

    def arrived(self, image: str, size: int, now: float) -> None:
        """Take an image in."""
        del self._arriving[image]
        self._held[image] = _CachedImage(size, now)
        self.bytes += size

    def look_through(self, now: float, in_use: Collection[str]) -> list[str]:
        """Make a pass, as the manager does periodically.

        :param in_use: the images of the host's servers
        :returns: the images that were evicted
        """
        gone = self._expire(now, in_use)
        if self._limits:
            gone += self._evict(now, in_use)
        for image in in_use:
            if image in self._held:
                self._held[image].used = now
        return gone

    def _expire(self, now: float, in_use: Collection[str]) -> list[str]:
        return [self._remove(entry) for entry in self._policy.expired(
            self._free(now, in_use), now)]

    def _evict(self, now: float, in_use: Collection[str]) -> list[str]:
        """Evict what the limits do not allow."""
        budget = limits.Budget(
            self._limits, self._entries(self._held, now), self._disk(),
            self._arriving.values())
        gone: list[str] = []

        def evict_one(entry: Entry, _limit: limits.Limit) -> bool:
            gone.append(self._remove(entry))
            return True

        limits.evict(budget, self._policy.order(
            self._free(now, in_use), now), evict_one)
        return gone

    def _free(self, now: float, in_use: Collection[str]) -> list[Entry]:
        """Return what may go."""
        return self._entries(
            (image for image in self._held if image not in in_use
             and image not in self._protected
             and image not in self._arriving), now)

    def _entries(self, images: Iterable[str], now: float) -> list[Entry]:
        entries = []
        for image in images:
            held = self._held[image]
            name = report.image_sha1(image)
            entries.append(Entry(
                name, Kind.IMAGE, name, held.size,
                round(held.used * 1e9), image_id=image,
                boots=self._popularity(image, now)))
        return entries

    def _remove(self, entry: Entry) -> str:
        image = str(entry.image_id)
        self.bytes -= self._held.pop(image).size
        return image

    def _popularity(self, image: str, now: float) -> float:
        """Return how often servers were booted from an image lately.

        As :class:`..imagecache.history.ImageHistory` counts.
        """
        boots = self._boots.get(image)
        if boots is None:
            return 0.0
        return boots.number * math.pow(
            0.5, (now - boots.at) / self._half_life)

    def _disk(self) -> limits.Disk:
        total = self._settings.host_disk_gb * limits.GIB
        used = self._disk_used() + self.bytes
        return limits.Disk(used, total - used)

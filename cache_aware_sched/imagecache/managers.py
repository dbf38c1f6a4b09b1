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

"""The managers that come with the package."""

from collections.abc import Iterable
from collections.abc import Sequence

from cache_aware_sched import config
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache import manager
from cache_aware_sched.imagecache import policies

CONF = config.CONF


class AgeImageCacheManager(manager.BaseImageCacheManager):
    """``age``: removes what nova's own manager removes."""

    reason = 'age'

    def expired(self, entries: Sequence[Entry], now: float
                ) -> Iterable[Entry]:
        """Return what was not used for as long as nova is told."""
        if not self.remove_unused_base_images:
            return ()
        ages = CONF.image_cache
        return policies.unused_for(
            entries, now, ages.remove_unused_original_minimum_age_seconds,
            ages.remove_unused_resized_minimum_age_seconds)

    def order(self, entries: Sequence[Entry], now: float) -> Iterable[Entry]:
        """Return the entries, the one not used for longest first."""
        return policies.least_recently_used(entries)


class LRUImageCacheManager(manager.BaseImageCacheManager):
    """``lru``: keeps what it can, and what was used last."""

    needs_limit = True

    def order(self, entries: Sequence[Entry], now: float) -> Iterable[Entry]:
        """Return the entries, the one not used for longest first."""
        return policies.least_recently_used(entries)


class PopularityImageCacheManager(manager.BaseImageCacheManager):
    """``popularity``: keeps what it can, and what is booted most."""

    needs_limit = True

    def order(self, entries: Sequence[Entry], now: float) -> Iterable[Entry]:
        """Return the entries, the one with fewest recent boots first."""
        return policies.least_popular(entries)


class ProtectedImageCacheManager(manager.BaseImageCacheManager):
    """``protected``: keeps everything."""

    def order(self, entries: Sequence[Entry], now: float) -> Iterable[Entry]:
        """Return nothing."""
        return ()


class NoneImageCacheManager(manager.BaseImageCacheManager):
    """``none``: keeps nothing that no instance uses."""

    reason = 'unused'

    def expired(self, entries: Sequence[Entry], now: float
                ) -> Iterable[Entry]:
        """Return all."""
        return entries

    def order(self, entries: Sequence[Entry], now: float) -> Iterable[Entry]:
        """Return all, the one not used for longest first."""
        return policies.least_recently_used(entries)

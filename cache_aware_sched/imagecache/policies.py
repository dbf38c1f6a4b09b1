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

"""The policies: which entries are the least worth keeping.

They see entries that may be evicted, and no others. The simulator plays them
as they are, so they know nothing of nova.
"""

import abc
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import functools
from importlib import metadata
import math

from cache_aware_sched.conf import imagecache as conf
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind

#: nova takes a file for a resized copy if more than one character follows the
#: underscore (nova.virt.libvirt.imagecache, _scan_base_images, nova 34.0.0).
#: It never removes a copy of less than 10 GiB.
_SHORTEST_RESIZED = len('a' * 40 + '_') + 2


@dataclasses.dataclass(frozen=True, slots=True)
class Ages:
    """For how long nova is told to keep what is not used, in seconds.

    :param original: of images and others
    :param resized: of resized copies
    """

    original: float = math.inf
    resized: float = math.inf


class EvictionPolicy(abc.ABC):
    """What an image cache manager decides.

    :cvar reason: why entries are evicted that :meth:`expired` returned, for
        logs and notifications
    :cvar needs_limit: whether it is of no use as long as no limit is set;
        nova-compute then warns of that when it starts
    :ivar ages: of nova's options, which few policies go by
    """

    reason = 'expired'
    needs_limit = False
    ages = Ages()

    @abc.abstractmethod
    def order(self, entries: Sequence[Entry], now: float) -> Iterable[Entry]:
        """Return the entries in the order in which they are evicted.

        Called when a limit asks for room; only as many are as have to be. An
        entry that is left out stays.

        :param entries: all that may be evicted
        :param now: seconds since the epoch
        """

    def expired(self, entries: Sequence[Entry], now: float
                ) -> Iterable[Entry]:
        """Return the entries to evict although nobody asks for room.

        Called in every pass; none by default.

        :param entries: all that may be evicted
        :param now: seconds since the epoch
        """
        return ()


class LeastRecentlyUsed(EvictionPolicy):
    """Keeps what it can, and what was used last."""

    needs_limit = True

    def order(self, entries: Sequence[Entry], now: float) -> list[Entry]:
        """Return the entries, the one not used for longest first."""
        return sorted(entries, key=lambda entry: (entry.used_ns, entry.name))


class UnusedForLong(LeastRecentlyUsed):
    """Evicts what nova's own manager removes."""

    reason = 'age'
    needs_limit = False

    def expired(self, entries: Sequence[Entry], now: float) -> list[Entry]:
        """Return what was not used for as long as nova is told."""
        def old(entry: Entry) -> bool:
            age = now - entry.last_used
            if entry.kind is Kind.RESIZED:
                return (len(entry.name) >= _SHORTEST_RESIZED
                        and age >= self.ages.resized)
            return (entry.kind is not Kind.TEMPORARY
                    and age >= self.ages.original)

        return [entry for entry in entries if old(entry)]


class LeastPopular(EvictionPolicy):
    """Keeps what it can, and what is booted most."""

    needs_limit = True

    def order(self, entries: Sequence[Entry], now: float) -> list[Entry]:
        """Return the entries, the one with fewest recent boots first.

        Boots are compared as whole numbers, or the decay of a minute would
        always decide. Of equally many that is first which takes most bytes a
        boot.
        """
        def key(entry: Entry) -> tuple[int, float, int, str]:
            boots = math.floor(entry.boots + 0.5)
            # Half a boot is the least that is not forgotten: it counts as one.
            bytes_a_boot = entry.size / max(entry.boots, 0.5)
            return boots, -bytes_a_boot, entry.used_ns, entry.name

        return sorted(entries, key=key)


class Everything(EvictionPolicy):
    """Keeps everything."""

    def order(self, entries: Sequence[Entry], now: float) -> list[Entry]:
        """Return nothing."""
        return []


class Unused(LeastRecentlyUsed):
    """Keeps nothing that may be evicted."""

    reason = 'unused'
    needs_limit = False

    def expired(self, entries: Sequence[Entry], now: float) -> list[Entry]:
        """Return all."""
        return list(entries)


def of_manager(manager: type[EvictionPolicy]) -> type[EvictionPolicy]:
    """Return the policy that an image cache manager inherits, without nova.

    :raises TypeError: if it decides by itself
    """
    if not isinstance(manager, type):
        raise TypeError(f'{manager!r} is not a class')
    for policy in manager.__mro__[1:]:
        if (policy is not EvictionPolicy and issubclass(policy, EvictionPolicy)
                and not hasattr(policy, '_age_and_verify_cached_images')
                and policy.order is manager.order
                and policy.expired is manager.expired):
            return policy
    raise TypeError(
        f'{manager.__module__}.{manager.__name__} does not inherit its policy '
        f'from a class of its own: see {__name__}.{EvictionPolicy.__name__}')


@functools.cache
def named(manager: str) -> type[EvictionPolicy]:
    """Return the policy of an installed manager; this loads the manager.

    :param manager: the name of its entry point
    :raises ValueError: saying why there is none
    """
    try:
        [entry_point] = metadata.entry_points(
            group=conf.MANAGERS, name=manager)
        return of_manager(entry_point.load())
    except Exception as error:
        raise ValueError(
            f'image_cache_manager {manager!r} has no policy that can be '
            f'simulated: {error}') from error

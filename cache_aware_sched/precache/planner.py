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

"""What to fetch ahead of time, and where to: pure functions. No nova.

A *wish* is so many copies of an image in a zone. What lacks most is planned
first, and each copy goes to the host where it does most good. The same hosts
and wishes give the same plan, in whatever order they come.
"""

import bisect
import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import heapq
import math

from cache_aware_sched.precache.terms import CacheHost
from cache_aware_sched.precache.terms import Plan
from cache_aware_sched.precache.terms import PlannedFetch
from cache_aware_sched.precache.terms import PlannedImage
from cache_aware_sched.precache.terms import Wish
from cache_aware_sched import wording


def plan(hosts: Iterable[CacheHost], wishes: Iterable[Wish]) -> Plan:
    """Return what is to be fetched.

    :param wishes: at most one for each image and zone
    """
    return _Planner(hosts, wishes).plan()


class _Zone:
    """The hosts of a zone that can get servers, and what was planned there.

    :ivar number: of hosts
    :ivar holding: hosts by the image that they hold or get
    :ivar unknown: hosts that may hold more than they tell
    :ivar unknown_holding: those of them by the image that they hold or get
    :ivar order: hosts that may get an image, the least burdened first. How
        busy a host is and how many boots its images draw there count alike
    """

    def __init__(self, hosts: Sequence[CacheHost],
                 wishes: Mapping[str, Wish]) -> None:
        planned = [_PlannedHost(host, wishes) for host in hosts]
        self.number = len(hosts)
        self.holding = collections.Counter(
            image for host in planned for image in host.images)
        unknown = [host for host in planned if not host.host.knows_all]
        self.unknown = len(unknown)
        self.unknown_holding = collections.Counter(
            image for host in unknown for image in host.images)
        self._most = max((host.boots for host in planned), default=0.0)
        self._domains: dict[tuple[str, str], int] = collections.Counter(
            (host.host.domain, image) for host in planned
            if host.host.domain for image in host.images)
        self.order = [host for host in planned if host.host.knows_all]
        self._in_domains = {host.host.domain for host in self.order}
        self.order.sort(key=self._burden)

    def copies(self, domain: str, image: str) -> int:
        """Return the copies in a domain; a host alone has none."""
        return self._domains.get((domain, image), 0)

    def fewest(self, image: str) -> int:
        """Return the copies in the domain that has fewest."""
        return min((self.copies(domain, image)
                    for domain in self._in_domains), default=0)

    def take(self, host: '_PlannedHost', wish: Wish) -> None:
        """Note that a host is to fetch an image."""
        self.order.remove(host)
        host.take(wish)
        bisect.insort(self.order, host, key=self._burden)
        if host.boots > self._most:
            self._most = host.boots
            self.order.sort(key=self._burden)
        if host.host.domain:
            key = (host.host.domain, wish.image)
            self._domains[key] = self._domains.get(key, 0) + 1

    def _burden(self, host: '_PlannedHost') -> tuple[float, str]:
        drawn = host.boots / self._most if self._most else 0.0
        return host.host.load + drawn, host.host.name


class _PlannedHost:
    """A host with what is planned for it.

    :ivar images: that it holds or gets
    :ivar boots: a day, that these draw there
    :ivar victims: what it may evict for an image without room, as long as
        that can be told
    """

    def __init__(self, host: CacheHost, wishes: Mapping[str, Wish]) -> None:
        self.host = host
        self.room = host.room
        self.images = {*host.held, *host.arriving}
        self.victims = host.evictable() if host.evicts else []
        self._victims_size = sum(host.held[image] for image in self.victims)
        self._hottest = max((wishes[image].boots_per_day
                             for image in self.victims if image in wishes),
                            default=-math.inf)
        # Exactly: a set is in another order in each process.
        self.boots = math.fsum(
            wishes[image].boots_per_day / max(1, wishes[image].copies)
            for image in self.images if image in wishes)

    def take(self, wish: Wish) -> None:
        if wish.size > self.room:  # what is evicted for it cannot be told
            self.victims = []
        self.room -= wish.size
        self.images.add(wish.image)
        self.boots += wish.boots_per_day / max(1, wish.copies)

    def evicts_for(self, wish: Wish) -> bool:
        """Return whether what it evicts makes room, and is less hot."""
        return bool(self.victims) and self._hottest < wish.boots_per_day and (
            wish.size <= max(0, self.room) + self._victims_size)


class _Planner:
    """Makes one plan."""

    def __init__(self, hosts: Iterable[CacheHost],
                 wishes: Iterable[Wish]) -> None:
        self._wishes = {(wish.zone, wish.image): wish for wish in wishes}
        by_zone: dict[str, list[CacheHost]] = collections.defaultdict(list)
        for host in hosts:
            by_zone[host.zone].append(host)
        of_zone: dict[str, dict[str, Wish]] = collections.defaultdict(dict)
        for (zone, image), wish in self._wishes.items():
            of_zone[zone][image] = wish
        self._zones = {
            zone: _Zone(sorted((host for host in by_zone[zone]
                                if not host.unfit),
                               key=lambda host: host.name), of_zone[zone])
            for zone in {*by_zone, *of_zone}}
        self._there: dict[tuple[str, str], int] = {}
        self._unknown: dict[tuple[str, str], int] = {}
        self._wanted: dict[tuple[str, str], int] = {}
        #: What was planned may evict so many copies of it.
        self._leaving: collections.Counter[tuple[str, str]] = (
            collections.Counter())
        for key, wish in self._wishes.items():
            self._count(key, wish)

    def _count(self, key: tuple[str, str], wish: Wish) -> None:
        """Count who holds an image.

        Hosts that do not tell are taken to hold it as often as the others do:
        these should have their part of the copies.
        """
        zone = self._zones[wish.zone]
        unknown = zone.unknown - zone.unknown_holding[wish.image]
        self._there[key] = zone.holding[wish.image]
        self._unknown[key] = unknown
        known = zone.number - unknown
        self._wanted[key] = min(known, math.ceil(
            wish.copies * known / zone.number)) if zone.number else 0

    def plan(self) -> Plan:
        """Return the plan."""
        fetches: list[PlannedFetch] = []
        short: dict[tuple[str, str], str] = {}
        lacking = {key: self._wanted[key] - self._there[key]
                   for key in self._wishes}
        queue = [self._place(key, lacking[key]) for key in self._wishes
                 if lacking[key] > 0]
        heapq.heapify(queue)
        while queue:
            *_order, zone, image = heapq.heappop(queue)
            key = (zone, image)
            wish = self._wishes[key]
            found = self._host(wish)
            if isinstance(found, str):
                short[key] = found
                continue
            fetches.append(PlannedFetch(
                image, zone, found.host.name, wish.size,
                wish.size > found.room))
            self._zones[zone].take(found, wish)
            lacking[key] -= 1
            if lacking[key] > 0:
                heapq.heappush(queue, self._place(key, lacking[key]))
        return Plan(fetches, list(self._images(fetches, short)))

    def _place(self, key: tuple[str, str], lacking: int,
               ) -> tuple[int, float, str, str]:
        """Return the place of a wish: what lacks most is first."""
        return (-lacking, -self._wishes[key].boots_per_day, *key)

    def _host(self, wish: Wish) -> '_PlannedHost | str':
        """Return the host for a copy, or why there is none.

        A domain with fewer copies is chosen before all; what is to be evicted
        comes last among the hosts of a domain.
        """
        if wish.size <= 0:
            return 'its size is not known'
        zone = self._zones[wish.zone]
        best = self._best(zone, wish)
        if best is None:
            without = sum(wish.image not in host.images for host in zone.order)
            return (f'of {wording.counted(without, "host")} without it '
                    'none has room that nothing hotter needs')
        if wish.size > best.room:
            self._leaving.update((wish.zone, victim)
                                 for victim in best.victims)
        return best

    def _best(self, zone: _Zone, wish: Wish) -> '_PlannedHost | None':
        """Return the host for a copy, None if there is none.

        A plan asks for this once for each fetch: it has to be fast.
        """
        image, size = wish.image, wish.size
        fewest = zone.fewest(image)
        best, least = None, math.inf
        for evicts in (False, True):
            for host in zone.order:
                if image in host.images or (size > host.room) is not evicts:
                    continue
                copies = zone.copies(host.host.domain, image)
                # Of hosts with as many copies the first one is the best.
                if copies < least and (
                        not evicts or self._may_evict(host, wish)):
                    best, least = host, copies
                    if copies == fewest:
                        return best
        return best

    def _may_evict(self, host: _PlannedHost, wish: Wish) -> bool:
        """Return whether a host may evict what it likes for a copy.

        Its choice is its own. So all of it must be something that is asked
        for less, and of which there are more copies than wanted.
        """
        if not host.evicts_for(wish):
            return False
        zone = wish.zone
        return not any(
            (key := (zone, image)) in self._wishes
            and self._there[key] - self._leaving[key] <= self._wanted[key]
            for image in host.victims)

    def _images(self, fetches: Iterable[PlannedFetch],
                short: Mapping[tuple[str, str], str],
                ) -> Iterator[PlannedImage]:
        hosts: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
        for fetch in fetches:
            hosts[fetch.zone, fetch.image].append(fetch.host)
        for key in sorted(self._wishes, key=lambda key: self._place(
                key, self._wanted[key] - self._there[key])):
            wish = self._wishes[key]
            if wish.copies:
                yield PlannedImage(
                    wish, self._there[key], self._unknown[key],
                    self._wanted[key], tuple(hosts[key]),
                    short.get(key) or self._nobody(key))

    def _nobody(self, key: tuple[str, str]) -> str:
        """Return why no host can be chosen at all, '' if one can."""
        number = self._zones[key[0]].number
        if not number:
            return 'no host of the zone gets servers and keeps images'
        return ('no host of the zone reports all it holds'
                if self._unknown[key] == number else '')

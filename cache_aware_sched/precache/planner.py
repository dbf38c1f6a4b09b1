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

import collections
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import heapq
import math


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """An image that hosts of a zone are to hold.

    :param copies: hosts; with 0 nothing is planned, and the image is only not
        evicted for one that is asked for less
    :param boots_per_day: servers of it that are expected in the zone
    :param size: bytes that one copy takes of a cache; 0 if that is not known,
        and then nothing is planned
    """

    image: str
    zone: str
    copies: int
    boots_per_day: float
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class CacheHost:
    """A host, as far as it matters to a plan.

    :param zone: its availability zone
    :param domain: what fails as a whole with it, '' for the host alone
    :param room: bytes that may be fetched to it without an eviction
    :param evicts: whether it evicts images to make room for more than that
    :param load: how busy it is, from 0 to 1
    :param held: bytes of the images that are complete there, by image
    :param in_use: those that servers on the host use
    :param arriving: images that are on their way
    :param knows_all: whether it holds nothing else; if not, it may hold any
        other image as well
    :param unfit: why it gets no servers or keeps no images, '' if it does
    """

    name: str
    zone: str = ''
    domain: str = ''
    room: int = 0
    evicts: bool = False
    load: float = 0.0
    held: Mapping[str, int] = dataclasses.field(default_factory=dict)
    in_use: frozenset[str] = frozenset()
    arriving: frozenset[str] = frozenset()
    knows_all: bool = True
    unfit: str = ''

    def has(self, image: str) -> bool:
        """Return whether an image is there, or on its way."""
        return image in self.held or image in self.arriving

    def evictable(self) -> list[str]:
        """Return what it may evict, as far as can be told."""
        return [image for image in self.held if image not in self.in_use]


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedFetch:
    """A copy that is to be made.

    :param size: bytes
    """

    image: str
    zone: str
    host: str
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedImage:
    """What is planned for a wish.

    :param there: hosts of the zone that take servers and hold the image, or
        get it already
    :param unknown: hosts of the zone of which that cannot be told
    :param wanted: hosts of those of which it can be told that should hold it
    :param hosts: that are to fetch it, in the order of the plan
    :param short: why fewer are planned than are lacking, '' if they are not
    """

    wish: Wish
    there: int
    unknown: int
    wanted: int
    hosts: tuple[str, ...] = ()
    short: str = ''

    @property
    def bytes(self) -> int:
        """What is fetched for it."""
        return self.wish.size * len(self.hosts)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is to be fetched.

    :param fetches: in the order in which they are to be made
    :param images: one for each wish, the one that lacked most first
    """

    fetches: Sequence[PlannedFetch]
    images: Sequence[PlannedImage]


def plan(hosts: Iterable[CacheHost], wishes: Iterable[Wish]) -> Plan:
    """Return what is to be fetched.

    :param wishes: at most one for each image and zone
    """
    return _Planner(hosts, wishes).plan()


class _Zone:
    """The hosts of a zone that can get servers, and what was planned there."""

    def __init__(self, hosts: Collection[CacheHost],
                 wishes: Mapping[str, Wish]) -> None:
        self.hosts = [_PlannedHost(host, wishes) for host in hosts]
        self._most = max((host.boots for host in self.hosts), default=0.0)
        self._domains: collections.Counter[tuple[str, str]] = (
            collections.Counter())
        for host in self.hosts:
            if host.host.domain:
                for image in {*host.host.held, *host.host.arriving}:
                    self._domains[host.host.domain, image] += 1

    def burden(self, host: '_PlannedHost', wish: Wish) -> tuple[
            int, bool, float, str]:
        """Return what speaks against a host, the smaller the better.

        A domain with fewer copies is chosen before all; what is to be evicted
        comes last among the hosts of a domain. How busy a host is and how
        many boots its images draw there count alike.
        """
        drawn = host.boots / self._most if self._most else 0.0
        return (self._domains[host.host.domain, wish.image],
                wish.size > host.room, host.host.load + drawn, host.host.name)

    def take(self, host: '_PlannedHost', wish: Wish) -> None:
        """Note that a host is to fetch an image."""
        host.take(wish)
        self._most = max(self._most, host.boots)
        if host.host.domain:
            self._domains[host.host.domain, wish.image] += 1


class _PlannedHost:
    """A host with what is planned for it.

    :ivar boots: a day, that the images draw there which it holds or gets
    """

    def __init__(self, host: CacheHost, wishes: Mapping[str, Wish]) -> None:
        self.host = host
        self.room = host.room
        self.planned: set[str] = set()
        self._evictable = host.evictable() if host.evicts else []
        self.boots = sum(
            wishes[image].boots_per_day / max(1, wishes[image].copies)
            for image in {*host.held, *host.arriving} if image in wishes)

    def take(self, wish: Wish) -> None:
        if wish.size > self.room:  # what is evicted for it cannot be told
            self._evictable = []
        self.room -= wish.size
        self.planned.add(wish.image)
        self.boots += wish.boots_per_day / max(1, wish.copies)

    def victims(self, size: int) -> list[str] | None:
        """Return the images of which some may be evicted for another.

        :returns: empty if none is, None if it does not fit at all
        """
        if size <= self.room:
            return []
        room = max(0, self.room) + sum(
            self.host.held[image] for image in self._evictable)
        return self._evictable if self._evictable and size <= room else None


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
        hosts = self._zones[wish.zone].hosts
        there = sum(host.host.has(wish.image) for host in hosts)
        unknown = sum(not host.host.knows_all
                      and not host.host.has(wish.image) for host in hosts)
        known = len(hosts) - unknown
        self._there[key], self._unknown[key] = there, unknown
        self._wanted[key] = min(known, math.ceil(
            wish.copies * known / len(hosts))) if hosts else 0

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
            self._zones[zone].take(found, wish)
            fetches.append(PlannedFetch(
                image, zone, found.host.name, wish.size))
            lacking[key] -= 1
            if lacking[key] > 0:
                heapq.heappush(queue, self._place(key, lacking[key]))
        return Plan(fetches, list(self._images(fetches, short)))

    def _place(self, key: tuple[str, str], lacking: int,
               ) -> tuple[int, float, str, str]:
        """Return the place of a wish: what lacks most is first."""
        return (-lacking, -self._wishes[key].boots_per_day, *key)

    def _host(self, wish: Wish) -> '_PlannedHost | str':
        """Return the host for a copy, or why there is none."""
        if wish.size <= 0:
            return 'its size is not known'
        zone = self._zones[wish.zone]
        without = [host for host in zone.hosts
                   if not host.host.has(wish.image)
                   and wish.image not in host.planned
                   and host.host.knows_all]
        fitting = [host for host in without if self._fits(host, wish)]
        if not fitting:
            return (f'none of the {len(without)} hosts without it has room '
                    'that nothing hotter needs')
        best = min(fitting, key=lambda host: zone.burden(host, wish))
        self._leaving.update((wish.zone, victim)
                             for victim in best.victims(wish.size) or ())
        return best

    def _fits(self, host: _PlannedHost, wish: Wish) -> bool:
        """Return whether a host can take a copy.

        What the host evicts for it is the host's own choice. So all of it must
        be something that is asked for less, and of which there are more copies
        than wanted.
        """
        victims = host.victims(wish.size)
        if victims is None:
            return False
        for image in victims:
            key = (wish.zone, image)
            if key in self._wishes and (
                    self._wishes[key].boots_per_day >= wish.boots_per_day
                    or self._there[key] - self._leaving[key]
                    <= self._wanted[key]):
                return False
        return True

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
                    short.get(key, '') if self._zones[wish.zone].hosts
                    else 'no host of the zone gets servers')

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

"""What a plan is made of: hosts, servers and images, and what is wrong.

Everything comes from nova's own records and the reports of the hosts, but for
owners and sizes, which Glance tells.
"""

import collections
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime

from cache_aware_sched.conf.precache import ANY_OWNER
from cache_aware_sched.fleet.glance import GlanceImage
from cache_aware_sched.fleet import hosts as fleet_hosts
from cache_aware_sched.fleet.recent import RecentServer
from cache_aware_sched import image_ids
from cache_aware_sched.precache import terms
from cache_aware_sched import report
from cache_aware_sched import wording

GIB = 2 ** 30

#: Share of the hosts that may be down before a plan is taken for an effect of
#: something that is broken. Judgement: a rack, a row or a zone may fail; what
#: is left of a cloud should then not fetch for what it has lost.
MOST_DOWN = 1 / 3


@dataclasses.dataclass(frozen=True, slots=True)
class PrecacheChoice:
    """Which images the operator lets be fetched ahead of time.

    :param owners: ids of projects, or :data:`.conf.precache.ANY_OWNER`
    :param always: ids of images
    :param never: ids of images
    """

    owners: frozenset[str] = frozenset()
    always: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    @classmethod
    def of(cls, owners: Collection[str], always: Collection[str],
           never: Collection[str]) -> 'PrecacheChoice':
        """Return what the options of nova.conf say."""
        return cls(frozenset(owners),
                   frozenset(map(image_ids.canonical, always)),
                   frozenset(map(image_ids.canonical, never)))

    def __bool__(self) -> bool:
        """Return whether there may be any such image."""
        return bool(self.owners or self.always)

    def allows(self, image_id: str, owner: str | None) -> bool:
        """Return whether an image may be fetched.

        :param owner: None if it is not known
        """
        return image_id not in self.never and (
            image_id in self.always or ANY_OWNER in self.owners
            or owner in self.owners)


@dataclasses.dataclass(frozen=True, slots=True)
class Announced:
    """Servers that somebody knows to come.

    :param count: of servers
    :param zone: an availability zone; None for all of them
    """

    image_id: str
    count: int
    zone: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class PlanInputs:
    """What is known of a cloud.

    :param fleet: all hosts
    :param servers: that were created lately, deleted ones too
    :param described: what Glance says of the images, by their ids; None for
        one that it does not show
    :param now: UTC, without a zone
    :param period: before it, of which the servers are known
    """

    fleet: fleet_hosts.Fleet
    servers: Sequence[RecentServer]
    described: Mapping[str, GlanceImage | None]
    now: datetime.datetime
    period: datetime.timedelta


def doubts(known: PlanInputs) -> Iterator[str]:
    """Say why nothing should be done with what is known."""
    hosts = [host for host in known.fleet.hosts if host.caches_ahead]
    for why in known.fleet.unread.values():
        yield f'{why}: what its hosts hold is not known'
    if not hosts:
        yield ('there are no hosts'
               + ' but clusters and bare metal' * bool(known.fleet.hosts))
        return
    if not known.servers:
        yield 'no servers were created lately'
    if all(host.reported is None for host in hosts):
        yield 'no host reports its image cache'
    down = sum(host.state == fleet_hosts.DOWN for host in hosts)
    if down > MOST_DOWN * len(hosts):
        yield (f'{down:,} of {wording.counted(len(hosts), "host")} are down, '
               'more than a third')


def hosts(known: PlanInputs, domain_key: str = '',
          ) -> list[terms.CacheHost]:
    """Return the hosts for a plan.

    :param domain_key: of the metadata of aggregates whose value says what
        fails as a whole
    """
    domains = {host: aggregate.metadata[domain_key]
               for aggregate in reversed(known.fleet.aggregates)
               if domain_key and domain_key in aggregate.metadata
               for host in aggregate.hosts}
    return [cache_host(one, domains.get(one.name, ''))
            for one in known.fleet.hosts]


def cache_host(host: fleet_hosts.ReportingHost,
               domain: str = '') -> terms.CacheHost:
    """Return a host for a plan.

    :param domain: what fails as a whole with it
    """
    unfit = '' if host.state == fleet_hosts.UP else host.state
    if not host.caches_ahead:
        unfit = unfit or 'is a cluster, or bare metal'
    reported = host.reported
    if reported is None:
        return terms.CacheHost(
            host.name, host.zone, domain, knows_all=False, unfit=unfit,
            load=host.load)
    held: dict[str, int] = {}
    in_use, arriving = set(), set()
    for file in reported:
        if file.kind is report.FileKind.COMPLETE:
            held[file.sha1] = max(file.size, held.get(file.sha1, 0))
        elif file.kind is report.FileKind.ARRIVING:
            arriving.add(file.sha1)
        if file.users:
            in_use.add(file.sha1)
    if not reported.header.caches:
        unfit = unfit or 'keeps no images'
    return terms.CacheHost(
        host.name, host.zone, domain, *_room(host.facts), host.load, held,
        frozenset(in_use), frozenset(arriving - held.keys()),
        not reported.header.truncated, unfit)


def _room(facts: report.HostFacts) -> tuple[int, bool]:
    """Return the bytes that fit in, and whether the host evicts for more.

    Of a host that tells only what its file system has, half of that: the
    disks of its servers grow into the rest, as hosts that tell reckon too.
    """
    if facts.room_gib is not None:
        return facts.room_gib * GIB, bool(facts.evicts)
    return (facts.free_gib or 0) * GIB // 2, False


def in_vain(known: PlanInputs, choice: PrecacheChoice,
            announced: Iterable[Announced]) -> Iterator[str]:
    """Say of which announced servers nothing is planned, and why."""
    announced = list(announced)
    for image in sorted({one.image_id for one in announced}):
        if why := refusal(known, choice, image):
            yield f'Image {image} is announced in vain: {why}.'
    zones = zones_up(known)
    for image, zone in sorted({(one.image_id, one.zone) for one in announced
                               if one.zone is not None}):
        if not zones[zone] and not known.fleet.unread:
            yield (f'Image {image} is announced in vain in '
                   f'{f"zone {zone}" if zone else "the default zone"}: no '
                   'host there is up and enabled.')


def zones_up(known: PlanInputs) -> collections.Counter[str]:
    """Return the hosts of each zone that can get servers and images."""
    return collections.Counter(
        host.zone for host in known.fleet.hosts
        if host.state == fleet_hosts.UP and host.caches_ahead)


def passed_over(known: PlanInputs) -> Iterator[str]:
    """Say to which hosts nothing is planned though they are well."""
    clusters = sorted(host.node for host in known.fleet.hosts
                      if host.is_cluster)
    if clusters:
        yield ('Passed over, as nova fetches nothing ahead of time to a '
               f'cluster of VMware: {wording.some(clusters)}.')


def refusal(known: PlanInputs, choice: PrecacheChoice, image: str) -> str:
    """Return why an image is not fetched ahead of time, '' if it may be."""
    said = known.described.get(image)
    if image in choice.never:
        return 'precache_exclude has it'
    if image in known.described and not said:
        return 'Glance does not show it'
    if not choice.allows(image, said.owner if said else None):
        return (f'its project {said.owner!r} is not in precache_owners, nor '
                'the image in precache_images' if said else
                'what project it is of is not known')
    if said and not said.active:
        return 'it is not active in Glance'
    return ''

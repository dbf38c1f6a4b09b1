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

"""How images are asked for in each zone, and the copies that this wants."""

import collections
from collections.abc import Iterable
import datetime
import math

from cache_aware_sched.fleet.glance import GlanceImage
from cache_aware_sched.fleet.recent import RecentServer
from cache_aware_sched.precache import demand
from cache_aware_sched.precache import inputs
from cache_aware_sched.precache import terms
from cache_aware_sched import report


class ImageDemand:
    """How images are asked for, in each zone.

    :param half_life: after which a boot counts half
    :param announced: servers that are known to come
    """

    def __init__(self, known: inputs.PlanInputs, half_life: datetime.timedelta,
                 announced: Iterable[inputs.Announced] = ()) -> None:
        zones = _Zones(known)
        created: dict[tuple[str, str], list[datetime.datetime]] = (
            collections.defaultdict(list))
        for server in known.servers:
            zone = zones.of(server)
            if zone is not None:
                created[server.image, zone].append(server.created)
        self.boots_per_day = {
            key: demand.boots_per_day(
                times, known.now, half_life, known.period)
            for key, times in created.items()}
        self._shares = inputs.zones_up(known)
        self.announced: dict[tuple[str, str], int] = {}
        for one in announced:
            self._announce(one)

    def _announce(self, one: inputs.Announced) -> None:
        """Share servers out to the zones as these have hosts."""
        shares = (self._shares if one.zone is None
                  else collections.Counter([one.zone]))
        for zone, number in shares.items():
            key = (one.image_id, zone)
            self.announced[key] = self.announced.get(key, 0) + math.ceil(
                one.count * number / shares.total())

    @property
    def image_ids(self) -> set[str]:
        """All images that are asked for."""
        return {image for image, _zone in (
            *self.boots_per_day, *self.announced)}


class _Zones:
    """Where servers are, or were."""

    def __init__(self, known: inputs.PlanInputs) -> None:
        self._by_host = {host.name: host.zone for host in known.fleet.hosts}
        self._names = set(self._by_host.values())
        self._others = {host.name for host in known.fleet.hosts
                        if not host.caches_ahead}

    def of(self, server: RecentServer) -> str | None:
        """Return the zone for which a server is demand, None for none.

        What runs on a cluster or on bare metal would not run elsewhere. Of a
        server whose host is gone nova still has the zone. Of one that is
        shelved and offloaded it has neither (nova.compute.manager,
        _nil_out_instance_obj_host_and_node, nova 34.0.0): the default zone.
        """
        if server.host in self._others:
            return None
        return self._by_host.get(server.host, (
            server.zone if server.zone in self._names else ''))


def wishes(known: inputs.PlanInputs, asked: ImageDemand,
           choice: inputs.PrecacheChoice, least: int, servers_per_copy: int,
           ) -> list[terms.Wish]:
    """Return how many copies of each image there should be in each zone.

    :param least: copies of an image that is asked for at all
    :param servers_per_copy: that are announced
    """
    sizes = _sizes(known)
    zones = inputs.zones_up(known)
    found = []
    for image, zone in sorted({*asked.boots_per_day, *asked.announced}):
        boots = asked.boots_per_day.get((image, zone), 0.0)
        announced = asked.announced.get((image, zone), 0)
        said = known.described.get(image)
        key = report.image_key(image)
        found.append(terms.Wish(
            key, zone, demand.copies_wanted(
                boots, zones[zone], least, announced, servers_per_copy)
            if not inputs.refusal(known, choice, image) else 0,
            boots + announced, sizes.get(key) or _in_glance(said)))
    return found


def _sizes(known: inputs.PlanInputs) -> dict[str, int]:
    """Return the bytes of the images that hosts hold, by their keys."""
    found: dict[str, int] = {}
    for host in known.fleet.hosts:
        for file in host.reported or ():
            if file.kind is report.FileKind.COMPLETE:
                found[file.sha1] = max(found.get(file.sha1, 0), file.size)
    return found


def _in_glance(image: GlanceImage | None) -> int:
    """Return twice what Glance sends: so much room a host makes for it."""
    return 2 * image.size if image else 0

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
from cache_aware_sched.fleet import hosts as fleet_hosts
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
        self._zones = {host.name: host.zone for host in known.fleet.hosts}
        created: dict[tuple[str, str], list[datetime.datetime]] = (
            collections.defaultdict(list))
        for server in known.servers:
            created[server.image, self._zones.get(server.host, '')].append(
                server.created)
        self.boots_per_day = {
            key: demand.boots_per_day(
                times, known.now, half_life, known.period)
            for key, times in created.items()}
        self.announced: dict[tuple[str, str], int] = {}
        for one in announced:
            self._announce(one)

    def _announce(self, one: inputs.Announced) -> None:
        """Share servers out to the zones as these have hosts."""
        shares = collections.Counter(self._zones.values())
        if one.zone is not None:
            shares = collections.Counter([one.zone])
        for zone, number in shares.items():
            key = (one.image_id, zone)
            self.announced[key] = self.announced.get(key, 0) + math.ceil(
                one.count * number / shares.total())

    @property
    def image_ids(self) -> set[str]:
        """All images that are asked for."""
        return {image for image, _zone in (
            *self.boots_per_day, *self.announced)}


def wishes(known: inputs.PlanInputs, asked: ImageDemand,
           choice: inputs.PrecacheChoice, least: int, servers_per_copy: int,
           ) -> list[terms.Wish]:
    """Return how many copies of each image there should be in each zone.

    :param least: copies of an image that is asked for at all
    :param servers_per_copy: that are announced
    """
    sizes = _sizes(known)
    zones = collections.Counter(
        host.zone for host in known.fleet.hosts
        if host.state == fleet_hosts.UP and not host.is_cluster)
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

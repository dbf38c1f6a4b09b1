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

"""All that the commands about the cap have read."""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime

from cache_aware_sched import cap_sources
from cache_aware_sched.config import CONF
from cache_aware_sched.fleet import cap_trial
from cache_aware_sched.fleet import caps as caps_mod
from cache_aware_sched.fleet.hosts import Fleet
from cache_aware_sched.fleet.images import FleetImages
from cache_aware_sched import nova_databases


@dataclasses.dataclass(frozen=True, slots=True)
class CappedFleet:
    """The hosts, the images and the caps of a cloud.

    :param flavors: that have a cap of their own
    :param instead: of the number that the option has; None for that
    :param servers: that were there in the period, if it was asked for
    :param since: when the period began, UTC
    :param unread: why something could not be read
    """

    fleet: Fleet
    images: FleetImages
    flavors: list[caps_mod.CappedFlavor]
    instead: int | None
    servers: list[cap_trial.PastServer]
    since: datetime.datetime
    unread: dict[str, str]

    @property
    def is_set(self) -> bool:
        """Whether the nova.conf that was read asks for a cap."""
        return cap_sources.is_set_here()

    @property
    def scope(self) -> str:
        """``same_image_scope``."""
        return str(CONF.cache_aware_sched.same_image_scope)

    @property
    def by_project(self) -> bool:
        """Whether the servers of each project count on their own."""
        return self.scope == caps_mod.PROJECT

    def caps(self, flavor: caps_mod.CappedFlavor | None,
             ) -> caps_mod.FleetCaps:
        """Return the caps for servers of a flavor."""
        return caps_mod.FleetCaps(self.fleet, flavor, self.instead)

    def image_caps(self, caps: caps_mod.FleetCaps,
                   ) -> Iterator[caps_mod.ImageCap]:
        """Return how near each image with servers is to the cap."""
        return caps_mod.image_caps(self.images, caps, self.scope)

    def replay(self) -> cap_trial.CapTrial:
        """Return what the cap would have done in the period."""
        return cap_trial.replay(
            self.servers, self.since, self.caps(None),
            {flavor.number: None if flavor.has_number else self.caps(flavor)
             for flavor in self.flavors}, self.by_project)


def read(api: nova_databases.Database,
         cells: Iterable[nova_databases.Database], images: FleetImages,
         fleet: Fleet, with_flavors: bool = False,
         instead: int | None = None,
         since: datetime.datetime | None = None) -> CappedFleet:
    """Read what the commands about the cap need besides.

    :param with_flavors: whether their caps are wanted
    :param instead: of the number that the option has; None for that
    :param since: from when on servers are wanted, UTC; None for none
    """
    unread = dict(images.unread)
    flavors: list[caps_mod.CappedFlavor] = []
    if with_flavors:
        try:
            flavors = caps_mod.flavors(api)
        except nova_databases.Unreadable as error:
            unread['flavors'] = f'The caps of flavors are not known: {error}'
    servers: list[cap_trial.PastServer] = []
    if since is not None:
        servers, missing = cap_trial.past(fleet.answering(cells), since)
        unread.update(missing)
    return CappedFleet(fleet, images, flavors, instead, servers,
                       since or datetime.datetime.min, unread)

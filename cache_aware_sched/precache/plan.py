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

"""The options of a plan, and the plan as people read it. No nova."""

import dataclasses
import datetime

from cache_aware_sched.option import Checked
from cache_aware_sched.option import option
from cache_aware_sched.precache import demand


@dataclasses.dataclass(frozen=True, slots=True)
class PlanOptions(Checked):
    """How a plan is made."""

    half_life_hours: float = option(
        demand.HALF_LIFE / datetime.timedelta(hours=1),
        'Hours after which a server that was created counts half.',
        low=0.01, high=87_600)
    min_copies: int = option(
        demand.LEAST_COPIES,
        'Hosts of a zone that are to hold an image that is booted there every '
        'other day or more often, or announced.', low=1, high=100_000)
    domain_key: str = option(
        '', 'Key of the metadata of aggregates whose value says what fails '
        'together, as the name of a rack. Copies then go to as many different '
        'ones as they can. Default: each host fails alone.', metavar='KEY')

    renew_hours: float = option(
        8.0, 'Hours after which a copy that is there and that no server uses '
        'is renewed, so that it does not age out; a third of what the hosts '
        'have for remove_unused_original_minimum_age_seconds. 0: never.',
        low=0, high=87_600)

    @property
    def half_life(self) -> datetime.timedelta:
        """After which a boot counts half."""
        return datetime.timedelta(hours=self.half_life_hours)

    @property
    def period(self) -> datetime.timedelta:
        """Before now, of which servers are looked at."""
        return self.half_life * demand.HALF_LIVES


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedCopy:
    """An image that a host is to fetch.

    :param size: bytes that Glance sends
    :param evicts: whether the host is to evict images for it
    :param renews: whether it is there, and only to count as used
    :param takes: bytes of the room of the host that it was planned for
    """

    image_id: str
    zone: str
    host: str
    size: int
    evicts: bool = False
    renews: bool = False
    takes: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class PlanLine:
    """What is planned for an image in a zone.

    :param name: of the image, '' if it is not known
    :param boots_per_day: that are expected
    :param there: hosts with a copy, or that get one already
    :param wanted: hosts that should have one
    :param unknown: hosts that do not tell
    :param hosts: that are to fetch it
    :param size: bytes that Glance sends for a copy
    :param saved: seconds a day that servers start sooner
    :param short: why too little is planned, '' if it is not
    """

    image_id: str
    name: str
    zone: str
    boots_per_day: float
    there: int
    wanted: int
    unknown: int
    hosts: tuple[str, ...]
    size: int
    saved: float
    short: str

    @property
    def bytes(self) -> int:
        """What is fetched."""
        return self.size * len(self.hosts)


@dataclasses.dataclass(frozen=True, slots=True)
class PrecachePlan:
    """What is to be fetched ahead of time.

    :param copies: in the order in which they are to be fetched
    :param lines: what lacks most first; images that lack nothing too
    :param rate: how fast the hosts usually fetch, bytes a second
    :param doubts: why nothing should be done, if there is anything
    :param renewals: copies that are there, and are to count as used
    """

    copies: tuple[PlannedCopy, ...]
    lines: tuple[PlanLine, ...]
    rate: float
    doubts: tuple[str, ...]
    renewals: tuple[PlannedCopy, ...] = ()

    @property
    def all_copies(self) -> tuple[PlannedCopy, ...]:
        """All that hosts are asked for; what takes no time is first."""
        return *self.renewals, *self.copies

    @property
    def bytes(self) -> int:
        """What is fetched."""
        return sum(copy.size for copy in self.copies)

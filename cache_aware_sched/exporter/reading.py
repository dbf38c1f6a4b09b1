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

"""Reads what the gauges tell, from all cells of a cloud."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime

from cache_aware_sched.fleet.caps import FleetCaps
from cache_aware_sched.fleet import hosts as hosts_mod
from cache_aware_sched.fleet.hosts import Fleet
from cache_aware_sched.fleet import images as images_mod
from cache_aware_sched.fleet.images import FleetImages
from cache_aware_sched.fleet.recent import RecentServer
from cache_aware_sched.fleet.recent import RecentServers
from cache_aware_sched import nova_databases


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """A cloud at a moment.

    :param at: UTC, without a zone
    :param cells: the names of all
    :param period: before it, of which the servers are known
    :param created: when the servers of each image were created, in the period
    :param changed: the servers of it that are not as they were
    :param unread: why a cell could not be read, by its name
    """

    at: datetime.datetime
    cells: Sequence[str]
    fleet: Fleet
    images: FleetImages
    caps: FleetCaps
    period: datetime.timedelta
    created: Mapping[str, Sequence[datetime.datetime]]
    changed: Sequence[RecentServer]
    unread: Mapping[str, str]


class CloudReader:
    """Reads a cloud again and again.

    Three statements a cell: its compute nodes, how many servers of each image
    they run, and the servers that have changed since the last time. Four of
    the API database, for the cells, which come and go, and the aggregates.

    :param databases: makes the API database, and those of the cells
    :param service_down_time: gives the seconds without a word after which nova
        takes a service for down
    :param period: of the boots that are known
    """

    def __init__(self, databases: Callable[[], tuple[
            nova_databases.Database, Sequence[nova_databases.Database]]],
                 service_down_time: Callable[[], float],
                 period: datetime.timedelta) -> None:
        self._databases = databases
        self._service_down_time = service_down_time
        self._period = period
        self._recent = RecentServers(period)

    def read(self, now: datetime.datetime) -> Reading:
        """Return what there is now.

        :param now: UTC, without a zone
        :raises cache_aware_sched.nova_databases.Unreadable: if the API
            database does not answer; of a cell the result tells
        """
        api, cells = self._databases()
        fleet = hosts_mod.read(api, cells, self._service_down_time(), now)
        answering = fleet.answering(cells)
        images = images_mod.read(fleet, answering)
        changed, unread = self._recent.update(
            [cell for cell in answering if cell.cell not in images.unread],
            now)
        return Reading(
            now, [cell.cell for cell in cells], fleet, images,
            FleetCaps(fleet), self._period, self._recent.created(), changed,
            {**images.unread, **unread})

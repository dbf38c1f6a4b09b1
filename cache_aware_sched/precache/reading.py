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

"""Reads what a plan is made of."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import datetime

from nova import conf as nova_conf
from oslo_log import log as logging

from cache_aware_sched import cap_sources
from cache_aware_sched.fleet import glance
from cache_aware_sched.fleet import hosts as fleet_hosts
from cache_aware_sched.fleet.recent import RecentServers
from cache_aware_sched import image_ids
from cache_aware_sched import nova_databases
from cache_aware_sched import once
from cache_aware_sched.precache.inputs import Announced
from cache_aware_sched.precache.inputs import cache_host
from cache_aware_sched.precache.inputs import PlanInputs
from cache_aware_sched.precache.inputs import PrecacheChoice
from cache_aware_sched.precache import terms

CONF = nova_conf.CONF
LOG = logging.getLogger(__name__)


class PlanReader:
    """Reads a cloud again and again: two statements a cell each time.

    :param databases: makes the API database, and those of the cells
    :param period: before now, of which servers are looked at
    """

    def __init__(self, databases: Callable[[], tuple[
            nova_databases.Database, Sequence[nova_databases.Database]]],
                 period: datetime.timedelta) -> None:
        self._databases = databases
        self._period = period
        self._recent = RecentServers(period)
        self._hosts: dict[str, terms.CacheHost] = {}

    def read(self, now: datetime.datetime, more: Iterable[str] = (),
             ) -> tuple[PlanInputs, list[str]]:
        """Return what is known of the cloud, and what Glance does not tell.

        :param now: UTC, without a zone
        :param more: ids of images that Glance is asked for besides those of
            the servers
        :raises cache_aware_sched.nova_databases.Unreadable: if the API
            database does not answer
        """
        api, cells = self._databases()
        fleet = fleet_hosts.read(
            api, cells, float(CONF.service_down_time), now)
        _changed, unread = self._recent.update(
            fleet.answering(cells), now)
        fleet = dataclasses.replace(
            fleet, unread={**fleet.unread, **unread})
        servers = list(self._recent)
        described, silent = _described({
            *(server.image for server in servers),
            *map(image_ids.canonical, more)})
        return PlanInputs(
            fleet, servers, described, now, self._period), silent

    def hosts(self, now: datetime.datetime) -> dict[str, terms.CacheHost]:
        """Return what the hosts report, by their names.

        What cannot be read now is as it was read last: a database that is
        away for a moment fails no fetch.
        """
        try:
            fleet = fleet_hosts.read(
                *self._databases(), float(CONF.service_down_time), now)
        except nova_databases.Unreadable as error:
            once.warning(LOG, ('hosts', str(error)), '%(error)s. What the '
                         'hosts reported last counts.', {'error': error})
        else:
            self._hosts.update(
                (host.name, cache_host(host)) for host in fleet.hosts)
        return self._hosts


def _described(wanted: Collection[str]) -> tuple[
        dict[str, glance.GlanceImage | None], list[str]]:
    try:
        found = glance.records(wanted, single=glance.SINGLE)
    except glance.GlanceSilent as error:
        return {}, [f'{error}. {_ONLY_HELD}']
    if missing := len(set(wanted) - found.keys() - {''}):
        return found, [
            f'Glance has so many images that {missing:,} of those that are '
            f'asked for were not looked at. {_ONLY_HELD}']
    return found, []


#: What can be done about images of which Glance tells nothing.
_ONLY_HELD = (
    'Only images in precache_images that some host holds can be planned '
    'then: who owns the others, and how large they are, is not known.')


def choice() -> PrecacheChoice:
    """Return which images nova.conf lets be fetched ahead of time."""
    options = CONF.cache_aware_sched
    return PrecacheChoice.of(options.precache_owners, options.precache_images,
                             options.precache_exclude)


def cap() -> int:
    """Return how many servers of an image a host may run; 0: any number."""
    return int(CONF.cache_aware_sched.max_same_image_instances_per_host
               if cap_sources.is_set_here() else 0)


def announced(given: Iterable[tuple[str, int, str | None]],
              fleet: fleet_hosts.Fleet) -> list[Announced]:
    """Return the servers that are announced, with zones as they are here.

    :param given: ids of images, numbers of servers, and names of zones
    :raises ValueError: if there is no such zone
    """
    default = CONF.default_availability_zone
    zones = {host.zone for host in fleet.hosts}
    found = []
    for image, count, zone in given:
        here = '' if zone == default else zone
        # The zone may be in a cell that cannot be read.
        if here is not None and here not in zones and not fleet.unread:
            raise ValueError(
                f'no host is in the availability zone {zone!r}; there is '
                + ', '.join(sorted(one or default for one in zones)))
        found.append(Announced(image_ids.canonical(image), count, here))
    return found

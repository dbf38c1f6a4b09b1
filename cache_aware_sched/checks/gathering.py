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

"""Gathers what the checks look at: from nova.conf and nova's databases."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime
import importlib.metadata

import sqlalchemy as sa

from cache_aware_sched.checks import configuration
from cache_aware_sched.checks import reaching
from cache_aware_sched.checks.state import CloudState
from cache_aware_sched.checks.state import Overfull
from cache_aware_sched.checks.state import SetUp
from cache_aware_sched.checks.state import TriedCopy
from cache_aware_sched.fleet import capped
from cache_aware_sched.fleet import hosts as fleet_hosts
from cache_aware_sched.fleet import images as fleet_images
from cache_aware_sched import nova_databases
from cache_aware_sched import nova_release

_DISTRIBUTION = 'cache-aware-sched'
_SCHEDULER = 'nova-scheduler'


def from_files(scheduler: str | None, compute: str | None,
               api: str | None = None,
               asking: reaching.Asking | None = None,
               try_copy: Callable[[], TriedCopy] | None = None) -> SetUp:
    """Return what files in the format of nova.conf say; no database is asked.

    :param asking: given to try to log in on another host, if ``compute`` says
        that images are copied from there
    :param try_copy: given to try a copy, if ``compute`` says that disks are
        copies of their images
    :raises cache_aware_sched.nova_databases.Unreadable: if one cannot be read
    """
    schedulers = computes = apis = reached = copied = None
    if scheduler is not None:
        nova_databases.configure([scheduler])
        schedulers = configuration.scheduler()
    if compute is not None:
        nova_databases.configure([compute])
        computes = configuration.compute()
        if asking and computes.fetches_from_hosts:
            reached = reaching.reach(asking)
        if try_copy and computes.has_raw_disks:
            copied = try_copy()
    if api is not None:
        nova_databases.configure([api])
        apis = configuration.api()
    return dataclasses.replace(
        _here(), scheduler=schedulers, compute=computes, api=apis,
        reached=reached, copied=copied)


def from_cloud(config_files: Sequence[str],
               cell_databases: Sequence[tuple[str, str]],
               now: datetime.datetime) -> SetUp:
    """Return what nova.conf and nova's databases say.

    :param now: UTC, without a zone
    :raises cache_aware_sched.nova_databases.Unreadable: if nova.conf or the
        API database cannot be read
    """
    nova_databases.configure(config_files)
    scheduler, conf = configuration.scheduler(), configuration.api()
    api = nova_databases.api_database()
    cells = nova_databases.cells(api, cell_databases)
    fleet = fleet_hosts.read(
        api, cells, nova_databases.CONF.service_down_time, now)
    images = fleet_images.read(fleet, cells)
    services = list(_services(api, fleet.answering(cells)))
    down = datetime.timedelta(seconds=nova_databases.CONF.service_down_time)
    seen = {service: service.last_seen_up or service.created_at
            for service in services}
    return dataclasses.replace(_here(), scheduler=scheduler, api=(
        conf if conf.paste else None), cloud=CloudState(
        hosts=fleet.hosts, now=now, unread=images.unread,
        aggregates=fleet.aggregates,
        overfull=None if set(images.unread) - set(fleet.unread)
        else _overfull(capped.read(api, cells, images, fleet)),
        schedulers=sorted({
            service.host for service, when in seen.items()
            if service.binary == _SCHEDULER and not service.forced_down
            and when is not None and now - when <= down}),
        newest=max(filter(None, seen.values()), default=None)))


def _here() -> SetUp:
    """Return what is installed here."""
    try:
        package = importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        package = ''
    return SetUp(nova=nova_release.installed(), tried=nova_release.TRIED,
                 package=package)


def _services(api: nova_databases.Database,
              cells: Sequence[nova_databases.Database],
              ) -> Iterator[sa.Row[tuple[object, ...]]]:
    """Return the services of nova; those of the API are in cell0."""
    databases = list(cells)
    try:
        cell0 = nova_databases.cell0(api)
    except nova_databases.Unreadable:
        cell0 = None
    if cell0 is not None:
        databases.insert(0, cell0)
    for database in databases:
        try:
            yield from database.select(sa.select(fleet_hosts.SERVICES).where(
                fleet_hosts.SERVICES.c.deleted == 0))
        except nova_databases.Unreadable:
            continue  # of a cell another check tells; nobody needs cell0


def _overfull(known: capped.CappedFleet) -> list[Overfull]:
    """Return where more servers run than the cap, the worst first."""
    if not known.is_set:
        return []
    found = [Overfull(one.image.name, node[1], one.counts[node],
                      one.limits[node])
             for one in known.image_caps(known.caps(None))
             for node in one.above]
    return sorted(found, key=lambda one: (
        one.cap - one.servers, one.node, one.image))

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

"""Reads nova's databases for the commands that show what hosts report."""

import argparse
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import datetime
from typing import Any
import warnings

from cliff import command

from cache_aware_sched.cli import arguments
from cache_aware_sched.fleet.access import Access


GIB = 2 ** 30


def gib(size: int) -> float:
    """Return bytes as GiB, with three digits."""
    return float(f'{size / GIB:.3g}')


class FleetCommand(command.Command):
    """A command that reads nova's databases."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        arguments.add(parser, Access)
        return parser


def hosts(app: Any, parsed_args: argparse.Namespace,
          ) -> tuple[Any, datetime.datetime]:
    """Return what all hosts say, and the time.

    :returns: a :class:`cache_aware_sched.fleet.hosts.Fleet`, and UTC
    :raises cache_aware_sched.nova_databases.Unreadable: if the API database
        does not answer; of a cell a warning tells
    """
    with _databases(parsed_args) as (api, cells, service_down_time):
        from cache_aware_sched.fleet import hosts as fleet_hosts
        now = _now()
        fleet = fleet_hosts.read(api, cells, service_down_time, now)
    _warn(app, fleet.unread)
    return fleet, now


def images(app: Any, parsed_args: argparse.Namespace) -> Any:
    """Return what is known of all images.

    :returns: a :class:`cache_aware_sched.fleet.images.FleetImages`
    """
    with _databases(parsed_args) as (api, cells, service_down_time):
        from cache_aware_sched.fleet import hosts as fleet_hosts
        from cache_aware_sched.fleet import images as fleet_images
        found = fleet_images.read(fleet_hosts.read(
            api, cells, service_down_time, _now()), cells)
    _warn(app, found.unread)
    return found


def cloud(app: Any, parsed_args: argparse.Namespace,
          ) -> tuple[tuple[Any, Any], datetime.datetime]:
    """Return what is known of all images, the caps, and the time.

    :returns: a :class:`cache_aware_sched.fleet.images.FleetImages`, a
        :class:`cache_aware_sched.fleet.caps.HostCaps`, and UTC
    """
    with _databases(parsed_args) as (api, cells, service_down_time):
        from cache_aware_sched.fleet import caps
        from cache_aware_sched.fleet import hosts as fleet_hosts
        from cache_aware_sched.fleet import images as fleet_images
        now = _now()
        found = fleet_images.read(fleet_hosts.read(
            api, cells, service_down_time, now), cells)
        all_caps = caps.read(api)
    _warn(app, found.unread)
    return (found, all_caps), now


def decision_logs(given: Sequence[str]) -> Sequence[str]:
    """Return the paths of the decision logs.

    :param given: as arguments; without any, that of nova's configuration,
        which must have been read
    """
    from cache_aware_sched.config import CONF
    configured = getattr(CONF.cache_aware_sched, 'decision_log_file', None)
    return given or ((configured,) if configured else ())


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Keep libraries that nova imports from warning.

    Nobody who runs a command can do anything about it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


@contextlib.contextmanager
def _databases(parsed_args: argparse.Namespace,
               ) -> Iterator[tuple[Any, Any, float]]:
    """Give the API database, those of the cells, and service_down_time."""
    access = arguments.make(Access, parsed_args)
    with quiet_imports():
        # Only here: importing nova takes seconds.
        from cache_aware_sched import nova_databases
        nova_databases.configure(access.config_files)
        api = nova_databases.api_database()
        yield (api, nova_databases.cells(api, access.cell_databases),
               nova_databases.CONF.service_down_time)


def _warn(app: Any, unread: Mapping[str, str]) -> None:
    for line in unread.values():
        app.LOG.warning('%s; its hosts are missing below', line)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)

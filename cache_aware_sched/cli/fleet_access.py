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
import contextlib
import datetime
import functools
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
    with databases(parsed_args) as (api, cells, service_down_time):
        from cache_aware_sched.fleet import hosts as fleet_hosts
        now = now_utc()
        fleet = fleet_hosts.read(api, cells, service_down_time, now)
    warn(app, fleet.unread)
    return fleet, now


def images(app: Any, parsed_args: argparse.Namespace) -> Any:
    """Return what is known of all images.

    :returns: a :class:`cache_aware_sched.fleet.images.FleetImages`
    """
    with databases(parsed_args) as (api, cells, service_down_time):
        from cache_aware_sched.fleet import hosts as fleet_hosts
        from cache_aware_sched.fleet import images as fleet_images
        found = fleet_images.read(fleet_hosts.read(
            api, cells, service_down_time, now_utc()), cells)
    warn(app, found.unread)
    return found


@contextlib.contextmanager
def databases(parsed_args: argparse.Namespace,
              ) -> Iterator[tuple[Any, Any, float]]:
    """Give the API database, those of the cells, and service_down_time.

    :raises cache_aware_sched.nova_databases.Unreadable: if the API database
        does not answer, or nova's configuration cannot be read
    """
    access = arguments.make(Access, parsed_args)
    with _nova_read(access) as nova_databases:
        api = nova_databases.api_database()
        yield (api, nova_databases.cells(api, access.cell_databases),
               nova_databases.CONF.service_down_time)


def configuration(parsed_args: argparse.Namespace) -> Any:
    """Return nova's configuration, with the options of this package."""
    with _nova_read(arguments.make(Access, parsed_args)):
        from cache_aware_sched import config
        return config.CONF


@contextlib.contextmanager
def _nova_read(access: Access) -> Iterator[Any]:
    """Give the module that reads nova's databases, after its configuration."""
    with warnings.catch_warnings():
        # Of libraries that nova imports; nobody can do anything about it.
        warnings.simplefilter('ignore')
        # Only here: importing nova takes seconds.
        from cache_aware_sched import nova_databases
        _configure(access.config_files)
        yield nova_databases


@functools.cache
def _configure(config_files: tuple[str, ...]) -> None:
    """Read nova's configuration; nova can do so once in a process."""
    from cache_aware_sched import nova_databases
    nova_databases.configure(config_files)


def warn(app: Any, unread: Mapping[str, str]) -> None:
    """Say which cells could not be read.

    :param unread: why, by their names
    """
    for line in unread.values():
        app.LOG.warning('%s; its hosts are missing below', line)


def now_utc() -> datetime.datetime:
    """Return the time, UTC, without a zone."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)

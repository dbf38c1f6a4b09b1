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
from collections.abc import Collection
from collections.abc import Iterable
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
from cache_aware_sched.option import BadOption


GIB = 2 ** 30

#: The exit status of argparse for arguments that cannot be.
WRONG_USAGE = 2

#: Names in a line, with the rest counted.
_LISTED = 5


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

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return its exit status."""
        try:
            return super().run(parsed_args)
        except BadOption as error:
            # By the names that one types.
            self.app.LOG.error(error.named(
                lambda name: '--' + name.replace('_', '-')))
            return WRONG_USAGE


class NamingCommand(FleetCommand):
    """One that asks Glance for the names of images, see :func:`names`."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--no-names', action='store_true',
            help='Do not ask Glance for the names of images.')
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
    return capped(app, parsed_args, with_ids=True).images


def capped(app: Any, parsed_args: argparse.Namespace,
           with_flavors: bool = False, instead: int | None = None,
           days: float | None = None, with_ids: bool = False) -> Any:
    """Return what is known of all images, and of their caps.

    :param with_flavors: whether the caps of flavors are wanted
    :param instead: a number for the cap, instead of that of the option
    :param days: for which the servers that were there are wanted
    :param with_ids: whether the ids of images without servers are wanted
    :returns: a :class:`cache_aware_sched.fleet.capped.CappedFleet`
    """
    with databases(parsed_args) as (api, cells, service_down_time):
        from cache_aware_sched.fleet import capped as fleet_capped
        from cache_aware_sched.fleet import hosts as fleet_hosts
        from cache_aware_sched.fleet import images as fleet_images
        now = now_utc()
        fleet = fleet_hosts.read(api, cells, service_down_time, now)
        found = fleet_capped.read(
            api, cells, fleet_images.read(fleet, cells), fleet, with_flavors,
            instead, None if days is None
            else now - datetime.timedelta(days=days))
        if with_ids:
            fleet_images.identify(found.images, cells)
    warn(app, found.unread)
    return found


def cloud(app: Any, parsed_args: argparse.Namespace,
          ) -> tuple[tuple[Any, Any], datetime.datetime]:
    """Return what is known of all images, the caps, and the time.

    :returns: a :class:`cache_aware_sched.fleet.images.FleetImages`, a
        :class:`cache_aware_sched.fleet.caps.FleetCaps`, and UTC
    """
    with databases(parsed_args) as (api, cells, service_down_time):
        from cache_aware_sched.fleet import caps
        from cache_aware_sched.fleet import hosts as fleet_hosts
        from cache_aware_sched.fleet import images as fleet_images
        now = now_utc()
        fleet = fleet_hosts.read(api, cells, service_down_time, now)
        found = fleet_images.read(fleet, cells)
        fleet_images.identify(found, cells)
    warn(app, found.unread)
    return (found, caps.FleetCaps(fleet)), now


def decision_logs(given: Sequence[str]) -> Sequence[str]:
    """Return the paths of the decision logs.

    :param given: as arguments; without any, that of nova's configuration,
        which must have been read
    """
    from cache_aware_sched.config import CONF
    configured = CONF.cache_aware_sched.decision_log_file
    return given or ((configured,) if configured else ())


def names(app: Any, parsed_args: argparse.Namespace,
          image_ids: Collection[str]) -> Mapping[str, str]:
    """Return the names of images, as far as Glance tells them."""
    if parsed_args.no_names:
        return {}
    with nova():
        from cache_aware_sched.fleet import glance
        try:
            return glance.names(image_ids)
        except glance.GlanceSilent as error:
            say(app, [f'{error}. --no-names does not ask.'])
            return {}


def describe(app: Any, image_id: str) -> Mapping[str, Any] | None:
    """Return what Glance says of an image, None if it says nothing."""
    with nova():
        from cache_aware_sched.fleet import glance
        try:
            return glance.describe(image_id)
        except glance.GlanceSilent as error:
            say(app, [f'{error}. What nova knows of its servers counts.'])
            return None


def say(app: Any, lines: Iterable[str]) -> None:
    """Write lines to stderr, unless the user wants none."""
    if app.options.verbose_level:
        for line in lines:
            app.stderr.write(f'{line}\n')


def listed(names: Sequence[str]) -> str:
    """Return some names, and how many more there are."""
    more = len(names) - _LISTED
    return ', '.join(names[:_LISTED]) + (
        f' and {more:,} more' if more > 0 else '')


@contextlib.contextmanager
def nova() -> Iterator[None]:
    """Surround what imports nova, which takes seconds: only when needed."""
    with warnings.catch_warnings():
        # Of libraries that nova imports; nobody can do anything about it.
        warnings.simplefilter('ignore')
        yield


def access(parsed_args: argparse.Namespace) -> Access:
    """Return where the arguments say the databases are."""
    return arguments.make(Access, parsed_args)


@contextlib.contextmanager
def databases(parsed_args: argparse.Namespace,
              ) -> Iterator[tuple[Any, Any, float]]:
    """Give the API database, those of the cells, and service_down_time.

    :raises cache_aware_sched.nova_databases.Unreadable: if the API database
        does not answer, or nova's configuration cannot be read
    """
    where = access(parsed_args)
    with nova():
        from cache_aware_sched import nova_databases
        nova_databases.configure(where.config_files)
        api = nova_databases.api_database()
        yield (api, nova_databases.cells(api, where.cell_databases),
               nova_databases.CONF.service_down_time)


def configuration(parsed_args: argparse.Namespace) -> Any:
    """Return nova's configuration, with the options of this package.

    :raises cache_aware_sched.nova_databases.Unreadable: if it cannot be read
    """
    with nova():
        from cache_aware_sched import config
        from cache_aware_sched import nova_databases
        nova_databases.configure(access(parsed_args).config_files)
        return config.CONF


def warn(app: Any, unread: Mapping[str, str]) -> None:
    """Say which cells could not be read.

    :param unread: why, by their names
    """
    for line in unread.values():
        app.LOG.warning('%s; what it has is missing below', line)


def now_utc() -> datetime.datetime:
    """Return the time, UTC, without a zone."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)

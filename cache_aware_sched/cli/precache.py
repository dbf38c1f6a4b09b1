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

"""``cache-aware-sched precache``."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import datetime
from typing import Any
import uuid

from cliff import columns
from cliff import lister
from oslo_utils import uuidutils

from cache_aware_sched.cli import arguments
from cache_aware_sched.cli import fleet_access
from cache_aware_sched.cli import precaching
from cache_aware_sched import fetch_time
from cache_aware_sched.precache.pace import FetchOptions
from cache_aware_sched.precache.pace import Pace
from cache_aware_sched.precache.pace import PaceOptions
from cache_aware_sched.precache.plan import PlanOptions
from cache_aware_sched.precache.watching import WatchOptions
from cache_aware_sched import wording

#: What is wrong if the options let no image be fetched.
NOTHING_ALLOWED = (
    'no image may be fetched ahead of time: set [cache_aware_sched] '
    'precache_owners or precache_images in the nova.conf that this command '
    'reads')

RESULT_COLUMNS = ('Host', 'Image', 'Zone', 'Outcome', 'Reason')

COLUMNS = ('Image', 'Name', 'Zone', 'Servers a day', 'There', 'Wanted',
           'Planned', 'GiB', 'Saved s a day', 'Hosts', 'Short')

#: For programs, and where it is asked for: GiB exactly.
BYTES = 'Bytes'


class HostNames(columns.FormattableColumn[Sequence[str]]):
    """Hosts: some of them for people, all of them for programs."""

    def human_readable(self) -> str:
        """Return some names, and how many more there are."""
        return fleet_access.listed(self._value)

    def machine_readable(self) -> list[str]:
        """Return all names."""
        return list(self._value)


def announced(text: str) -> tuple[str, int, str | None]:
    """Return the servers that somebody announces.

    :param text: ``IMAGE=COUNT`` or ``IMAGE=COUNT@ZONE``
    :raises argparse.ArgumentTypeError: if it is neither
    """
    image, _equals, rest = text.partition('=')
    count, at, zone = rest.partition('@')
    if not (uuidutils.is_uuid_like(image) and count.isdecimal()
            and 0 < int(count) <= 1_000_000 and (zone or not at)):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not IMAGE=COUNT or IMAGE=COUNT@ZONE')
    return str(uuid.UUID(image)), int(count), zone if at else None


class PrecacheCommand(fleet_access.FleetCommand):
    """A command that makes a plan."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--expect', metavar='IMAGE=COUNT[@ZONE]', action='append',
            default=[], type=announced,
            help='That many servers of an image, by its id, are going to be '
            'asked for at about the same time, in a zone or in all of them. '
            'Can be repeated.')
        arguments.add(parser, PlanOptions)
        arguments.add(parser, PaceOptions)
        return parser


class PrecachePlanShow(PrecacheCommand, lister.Lister):
    """Show which hosts should fetch which images ahead of time.

    Changes nothing. There are the hosts that hold an image or get it already,
    wanted those that should, by the servers a day that are expected. GiB are
    what is fetched. Saved is what servers wait less for their images each
    day. Formats for programs also have the bytes. Which images may be fetched
    say precache_owners, precache_images and precache_exclude in nova.conf.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--all', action='store_true', dest='all_images',
            help='Show also the images of which enough copies are there.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table."""
        plan = planned(self.app, controller(parsed_args), arguments.make(
            PaceOptions, parsed_args))
        exact = (parsed_args.formatter != 'table'
                 or BYTES in parsed_args.columns)
        return (*COLUMNS, BYTES) if exact else COLUMNS, [
            [line.image_id, line.name, line.zone,
             float(f'{line.boots_per_day:.3g}'), line.there, line.wanted,
             len(line.hosts), fleet_access.gib(line.bytes), round(line.saved),
             HostNames(line.hosts), line.short,
             *([line.bytes] if exact else ())]
            for line in plan.lines
            if line.hosts or line.short or parsed_args.all_images]


class PrecacheApply(PrecacheCommand, lister.Lister):
    """Have hosts fetch now what "precache plan" shows.

    Each host is asked by nova's own call, one image at a time, and a copy is
    there when the report of the host says so. What is there already is not
    fetched again, so a command that was interrupted is just given again. It
    does nothing if its inputs look wrong. Lists the hosts that have failed.
    The exit status is 0 if all copies are there, 1 if not, and 2 if nothing
    was done.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        arguments.add(parser, FetchOptions)
        parser.add_argument(
            '--force', action='store_true',
            help='Fetch even if the inputs look wrong.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table."""
        how = arguments.make(FetchOptions, parsed_args)
        acting = controller(parsed_args)
        fast = arguments.make(PaceOptions, parsed_args)
        plan = planned(self.app, acting, fast)
        if plan.doubts and not parsed_args.force:
            fleet_access.say(self.app, [
                'Nothing is fetched. --force fetches all the same.'])
            self.status = 2
            return RESULT_COLUMNS, []
        with precaching.fetcher(self.app, how) as (locks, ask):
            results = precaching.carry_out(
                self.app, acting, plan, (how, fast), locks, ask)
        self.status = int(any(one.reason for one in results))
        return RESULT_COLUMNS, [precaching.row(one) for one in results
                                if one.reason]

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return its exit status."""
        self.status = 0
        return super().run(parsed_args) or self.status


class PrecacheWatch(PrecacheCommand):
    """Have hosts fetch what "precache plan" shows, again and again.

    Of several that run one acts; when it ends another does. It does nothing,
    and says so, while its inputs look wrong.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        arguments.add(parser, FetchOptions)
        arguments.add(parser, WatchOptions)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Run until it is ended; return the exit status."""
        how = arguments.make(FetchOptions, parsed_args)
        fast = arguments.make(PaceOptions, parsed_args)
        often = arguments.make(WatchOptions, parsed_args)
        acting = controller(parsed_args)
        with precaching.fetcher(self.app, how) as (locks, ask):
            return precaching.watch(
                self.app, lambda: planned(self.app, acting, fast),
                lambda plan, active: precaching.carry_out(
                    self.app, acting, plan, (how, fast), locks, ask, active),
                locks, often)


def controller(parsed_args: argparse.Namespace) -> Any:
    """Return what plans for the cloud.

    :returns: a :class:`cache_aware_sched.precache.controller.Controller`
    :raises cache_aware_sched.nova_databases.Unreadable: if nova's
        configuration cannot be read
    :raises RuntimeError: if nothing may be fetched at all
    """
    access = fleet_access.access(parsed_args)
    with fleet_access.nova():
        from cache_aware_sched import nova_databases
        from cache_aware_sched.precache import controller as controller_mod
        nova_databases.configure(access.config_files)
        found = controller_mod.Controller(
            nova_databases.KeptDatabases(access.cell_databases),
            arguments.make(PlanOptions, parsed_args), parsed_args.expect,
            fleet_access.now_utc)
    if not found.choice:
        raise RuntimeError(NOTHING_ALLOWED)
    return found


def planned(app: Any, acting: Any, fast: PaceOptions) -> Any:
    """Return the plan for the cloud as it is, and sum it up.

    :returns: a :class:`cache_aware_sched.precache.plan.PrecachePlan`
    :raises cache_aware_sched.nova_databases.Unreadable: if the API database
        does not answer; of a cell the plan tells
    """
    with fleet_access.nova():
        plan = acting.plan()
    fleet_access.say(app, [*acting.notes, *summary(plan, fast)])
    return plan


def _duration(seconds: float) -> str:
    if seconds > 366 * 86400:  # more than a timedelta takes, in the end
        return 'more than a year'
    return str(datetime.timedelta(seconds=round(seconds)))


def summary(plan: Any, fast: PaceOptions) -> Iterator[str]:
    """Say what a plan comes to, and how long it takes."""
    for doubt in plan.doubts:
        yield f'In doubt: {doubt}.'
    if plan.renewals:
        one = len(plan.renewals) == 1
        yield (f'To renew: {len(plan.renewals):,} cop{"y" if one else "ies"} '
               'that no server uses, so that none ages out.')
    lacking = {line.image_id for line in plan.lines
               if line.wanted > line.there or line.short}
    if not plan.copies:
        yield 'Nothing is to be fetched. ' + (
            f'{wording.counted(len(lacking), "image")} '
            f'lack{"s" if len(lacking) == 1 else ""} copies that no host can '
            'take.' if lacking else
            'Of all images that may be, there are enough copies.'
            if any(line.wanted for line in plan.lines) else
            'No image that may be is asked for often enough: one server every '
            'other day, in a zone. --expect announces more.')
        return
    images = {copy.image_id for copy in plan.copies}
    hosts = {copy.host for copy in plan.copies}
    seconds = Pace.of(fast, plan.rate).duration(plan.copies, plan.rate)
    yield (f'To fetch {len(plan.copies):,} times: '
           f'{wording.counted(len(images), "image")} to '
           f'{wording.counted(len(hosts), "host")}, '
           f'{fleet_access.gib(plan.bytes):,} GiB, in about '
           f'{_duration(seconds)} at '
           f'{fetch_time.fetch_rate(plan.rate) / 1e6:.0f} MB/s a host'
           f'{"" if plan.rate else " (assumed)"}.')

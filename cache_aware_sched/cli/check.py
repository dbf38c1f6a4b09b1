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

"""``cache-aware-sched check``."""

import argparse
from collections.abc import Iterator
import contextlib
import datetime
import pathlib
from typing import Any

from cliff import command

from cache_aware_sched.checks import catalog
from cache_aware_sched.checks import check as check_mod
from cache_aware_sched.checks import mutes as mutes_mod
from cache_aware_sched.checks import showing
from cache_aware_sched.cli import compute_access
from cache_aware_sched.cli import fleet_access
from cache_aware_sched.cli import plain
from cache_aware_sched.cli import raw_disks

OK, PARTIAL, FAILED, ERROR = 0, 1, 2, 255

#: The check that tells of what could not be read.
_CELLS = 'CAS305'


class Check(fleet_access.FleetCommand, command.Command):
    """Check the whole set-up: nova.conf, the hosts, and what must agree.

    Under what is not well: why that matters, what mends it, and where the
    documentation says more. The exit status is 0 if nothing fails, 1 if
    nothing fails but part of the cloud could not be read, 2 if something
    fails, and 255 if nothing could be looked at. A warning does not fail.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--scheduler', metavar='FILE',
            help='Check this nova.conf of nova-scheduler, before a restart, '
            'and ask no database.')
        parser.add_argument(
            '--compute', metavar='FILE',
            help='Check this nova.conf of nova-compute, before a restart, '
            'and ask no database. With --scheduler, also that both agree.')
        parser.add_argument(
            '--api', metavar='FILE',
            help='Check this nova.conf of nova-api, before a restart, and ask '
            'no database.')
        parser.add_argument(
            '--reach-hosts', action='store_true',
            help='With --compute, on a compute host, as the user of '
            'nova-compute: with fetch_from_hosts = outage, log in on another '
            'host over ssh. The conductor is asked for one.')
        parser.add_argument(
            '--try-copy', action='store_true',
            help='With --compute, on a compute host, as the user of '
            'nova-compute: with images_type = raw, copy 1 MiB from the image '
            'cache to where the disks are, and see whether the copy shares '
            'its blocks.')
        parser.add_argument(
            '-o', '--output', choices=('text', 'short', 'json'),
            default='text', help='short: only what is not well, a line each. '
            'Default: text.')
        parser.add_argument(
            '--mute', metavar='CODE', type=_code,
            help='Do not count this check until the time of --for is over, '
            'or it becomes worse.')
        parser.add_argument(
            '--for', metavar='TIME', dest='mute_for', type=_duration,
            help='How long --mute lasts: 30m, 12h, 7d, 2w. Default: 7d.',
            default=datetime.timedelta(days=7))
        parser.add_argument('--unmute', metavar='CODE', type=_code,
                            help='End a mute.')
        parser.add_argument(
            '--mute-file', metavar='FILE', type=pathlib.Path,
            help='Where the mutes are kept. Default: cache-aware-sched/'
            'mutes.json below $XDG_STATE_HOME or ~/.local/state.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Show what is found; return the exit status."""
        now = datetime.datetime.now(datetime.UTC)
        try:
            mutes = mutes_mod.Mutes(
                parsed_args.mute_file or mutes_mod.default_path())
            findings = check_mod.run(
                catalog.ALL, _gather(parsed_args, now))
            _change(mutes, parsed_args, findings, now)
        except Exception as error:
            # Whatever it is: 1, of which cliff makes it, would mean partial.
            if self.app.options.debug:
                raise
            self.app.LOG.error('%s', error)
            return ERROR
        findings = mutes.apply(findings, now)
        if parsed_args.output == 'json':
            self.app.stdout.write(f'{showing.as_json(findings)}\n')
        else:
            for line in showing.text(
                    findings, short=parsed_args.output == 'short'):
                self.app.stdout.write(f'{plain.line(line)}\n')
        return status(findings)


def status(findings: list[check_mod.CheckFinding]) -> int:
    """Return the exit status."""
    counting = [one for one in findings if one.counts]
    if any(one.outcome.level is check_mod.Level.FAIL for one in counting):
        return FAILED
    return PARTIAL if any(
        one.check.code == _CELLS for one in counting) else OK


def _code(text: str) -> str:
    codes = {one.code for one in catalog.ALL}
    if text.upper() not in codes:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no code; there are {min(codes)} to {max(codes)}')
    return text.upper()


def _duration(text: str) -> datetime.timedelta:
    try:
        return mutes_mod.duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _gather(parsed_args: argparse.Namespace, now: datetime.datetime) -> Any:
    with fleet_access.nova():
        from cache_aware_sched.checks import gathering
        files = (parsed_args.scheduler, parsed_args.compute, parsed_args.api)
        if any(files):
            return gathering.from_files(
                *files, _asking if parsed_args.reach_hosts else None,
                raw_disks.try_copy if parsed_args.try_copy else None)
        access = fleet_access.access(parsed_args)
        return gathering.from_cloud(
            access.config_files, access.cell_databases,
            now.replace(tzinfo=None))


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """Have nova's objects ask the conductor.

    :raises RuntimeError: if it does not answer
    """
    try:
        with compute_access.asking_conductor():
            yield
    except compute_access.NoAnswer as error:
        raise RuntimeError(str(error)) from None


def _change(mutes: mutes_mod.Mutes, parsed_args: argparse.Namespace,
            findings: list[check_mod.CheckFinding],
            now: datetime.datetime) -> None:
    if parsed_args.unmute:
        mutes.remove(parsed_args.unmute)
    if parsed_args.mute:
        [finding] = [one for one in findings
                     if one.check.code == parsed_args.mute]
        mutes.add(finding, now + parsed_args.mute_for)

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


"""``cache-aware-sched explain``."""

import argparse
import json
from typing import Any

from oslo_utils import uuidutils

from cache_aware_sched.cli import decision_log
from cache_aware_sched.cli import fleet_access
from cache_aware_sched.cli import plain


class Explain(fleet_access.FleetCommand):
    """Explain where a server would go, or why it went where it is.

    Without --past, nova's own filters and weighers are run with the hosts as
    they are now and with what placement offers. Nothing is claimed and nothing
    is changed. The configuration must be that of nova-scheduler. What the
    schedulers placed in the last seconds, and no table shows yet, is not
    known here.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--image', default='', metavar='ID',
                            help='Id of the image of the server.')
        parser.add_argument('--flavor', default='', metavar='FLAVOR',
                            help='Name or id of its flavor.')
        parser.add_argument('--project', default='', metavar='ID',
                            help='Id of its project.')
        parser.add_argument(
            '--zone', default='', metavar='ZONE',
            help='Its availability zone, or ZONE:HOST for an administrator '
            'who names the host. Default: that of nova.')
        parser.add_argument(
            '--count', type=_count, default=1, metavar='N',
            help='Number of servers in the request. Default: 1.')
        parser.add_argument(
            '--hint', action='append', default=[], type=_hint,
            metavar='KEY=VALUE', help='A scheduler hint. Can be repeated.')
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            '--server', default='', metavar='ID',
            help='A server, as if it were placed now.')
        which.add_argument(
            '--past', default='', metavar='ID',
            help='A server: why it went where it is, by the decision log.')
        parser.add_argument(
            '--why-not', default='', metavar='HOST',
            help='Say what would have made this host win.')
        parser.add_argument(
            '--no-glance', action='store_true',
            help='Do not ask Glance about the image: what nova knows of its '
            'servers counts.')
        decision_log.add_argument(parser)
        parser.add_argument(
            '-f', '--format', choices=('text', 'json'), default='text',
            help='Default: text.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Explain; return the exit status.

        :raises RuntimeError: saying what keeps it from that
        """
        found, lines = (self._past(parsed_args) if parsed_args.past
                        else (self._now(parsed_args), []))
        from cache_aware_sched.explain import text
        wanted = parsed_args.why_not
        write = self.app.stdout.write
        if parsed_args.format == 'json':
            write(json.dumps([text.as_object(one, wanted) for one in found],
                             indent=2) + '\n')
            return 0
        for number, one in enumerate(found):
            if number:
                write('\n')
            if len(found) > 1:
                write(_title(number, one, bool(parsed_args.past)))
            write(''.join(f'{plain.line(line)}\n'
                          for line in text.lines(one, wanted)))
        write(''.join(f'{plain.line(line)}\n' for line in lines))
        return 0

    def _now(self, parsed_args: argparse.Namespace) -> Any:
        with fleet_access.databases(parsed_args) as (
                api, all_cells, down_time):
            from oslo_db import exception as db_exc
            from sqlalchemy import exc as sa_exc

            from cache_aware_sched.explain import asked
            from cache_aware_sched.explain import now
            from cache_aware_sched.explain import offers
            from cache_aware_sched.fleet import hosts
            from cache_aware_sched.fleet import images
            fleet = hosts.read(
                api, all_cells, down_time, fleet_access.now_utc())
            fleet_access.warn(self.app, fleet.unread)
            cells = fleet.answering(all_cells)
            hints: dict[str, list[str]] = {}
            for key, value in parsed_args.hint:
                hints.setdefault(key, []).append(value)
            described = self._described(parsed_args)
            request = asked.Asked(
                parsed_args.image, parsed_args.flavor, parsed_args.project,
                parsed_args.count, hints, parsed_args.zone,
                parsed_args.server)
            try:
                return now.explain(
                    request, api, cells, described,
                    images.size(fleet, parsed_args.image))
            except (asked.BadRequest, offers.CannotAsk) as error:
                raise RuntimeError(str(error)) from None
            except (db_exc.DBError, sa_exc.SQLAlchemyError) as error:
                # oslo.db lets through what the server refuses.
                # The first line: the rest is the statement.
                raise RuntimeError(
                    "nova's databases cannot be read: "
                    f'{str(error).partition(chr(10))[0]}. "explain" needs '
                    'SELECT on all tables of the API database and of the '
                    'cells.') from None

    def _described(self, parsed_args: argparse.Namespace) -> Any:
        if parsed_args.image and not uuidutils.is_uuid_like(
                parsed_args.image):
            raise RuntimeError(f'{parsed_args.image!r} is no id of an image; '
                               '"image list" and Glance have the ids')
        if not parsed_args.image or parsed_args.no_glance:
            return None
        return fleet_access.describe(self.app, parsed_args.image)

    def _past(self, parsed_args: argparse.Namespace) -> tuple[Any, list[str]]:
        with decision_log.opened(self.app, parsed_args) as log:
            from cache_aware_sched.explain import past
            found = past.explain(log, parsed_args.past)
        if not found:
            raise RuntimeError(
                f'no decision about server {parsed_args.past!r} is in '
                f'{", ".join(log.files()) or "the decision log"}. Servers '
                'that boot from a volume are not logged, nor those from '
                'before decision_log_file was set; each controller has a log '
                'of its own: name the others with --decision-log.')
        from cache_aware_sched import nova_databases
        try:
            with fleet_access.databases(parsed_args) as (_api, cells, _time):
                is_on = past.where(parsed_args.past, cells)
        except nova_databases.Unreadable as error:
            self.app.LOG.warning('%s; where the server is now is not known',
                                 error)
            return found, []
        if is_on is None:
            return found, ['No cell has the server: it found no host, or '
                           'it was deleted and archived.']
        return found, [past.outcome(found[-1], is_on)]


def _title(number: int, explanation: Any, past: bool) -> str:
    decision = explanation.decision
    if past:
        time = decision.time.strftime('%Y-%m-%d %H:%M:%S')
        return f'Decision {number + 1}, {time} UTC:\n'
    return f'Server {number + 1}:\n'


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= _MOST:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a number from 1 to {_MOST}')
    return number


#: Servers of a request: more than nova takes in one by default (its quota of
#: servers is 10), and few enough for a terminal.
_MOST = 1000


def _hint(text: str) -> tuple[str, str]:
    key, separator, value = text.partition('=')
    if not key or not separator:
        raise argparse.ArgumentTypeError(f'{text!r} is not KEY=VALUE')
    return key, value


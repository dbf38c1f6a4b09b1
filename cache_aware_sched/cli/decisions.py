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


"""``cache-aware-sched decisions``."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
import datetime
from typing import Any

from cliff import lister

from cache_aware_sched.cli import arguments
from cache_aware_sched.cli import decision_log
from cache_aware_sched.decision_log import summary
from cache_aware_sched.fleet.access import Access

_UNITS = {'m': 'minutes', 'h': 'hours', 'd': 'days', 'w': 'weeks'}


def _span(text: str) -> datetime.timedelta:
    number, unit = text[:-1], text[-1:]
    # timedelta takes no more than 999,999,999 days.
    if not number.isdecimal() or len(number) > 6 or unit not in _UNITS:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a time like 30m, 24h or 7d')
    return datetime.timedelta(**{_UNITS[unit]: int(number)})


class DecisionsSummary(lister.Lister):
    """Add up what the decision log has: what the image cache brings.

    Warm are servers whose host held the image, stock warm those whose host
    would have held it without the image cache counted, each where it was
    placed first. Saved is what is fetched less because of that, also by moves;
    where the image cache is only observed, what
    would be.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--since', type=_span, metavar='TIME',
            default=datetime.timedelta(hours=24),
            help='How far back, as 30m, 24h or 7d. Default: 24h.')
        parser.add_argument(
            '--by', choices=tuple(summary.KEYS), default='image',
            help='What the lines stand for. Default: image.')
        decision_log.add_argument(parser)
        arguments.add(parser, Access)
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table."""
        start = datetime.datetime.now(datetime.UTC) - parsed_args.since
        with decision_log.opened(self.app, parsed_args) as log:
            total, named = summary.summary(
                log.records(start), parsed_args.by)
        if self.app.options.verbose_level:
            self.app.stderr.write(f'{summary.sentence(total)}\n')
        rows = sorted(named.items(), key=lambda item: (
            -item[1].boots, -item[1].refused, item[0]))
        return (parsed_args.by.capitalize(), 'Servers', 'Moves', 'Warm',
                'Stock warm', 'Saved s', 'Saved GB', 'Observed', 'Refused'), [
            _row(name, one) for name, one in rows]


def _row(name: str, one: summary.DecisionSum) -> list[Any]:
    return [name, one.boots, one.moves, one.warm, one.stock_warm,
            round(one.seconds, 1), round(one.size / 1e9, 2), one.observed,
            one.refused]

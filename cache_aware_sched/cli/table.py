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

"""How results become the lines of a table, for people and for programs."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
from typing import TextIO

from cliff.formatters import base

from cache_aware_sched.cli.arguments import Usage
from cache_aware_sched.simulator.results import columns
from cache_aware_sched.simulator.results.result import Result

#: Whether a search for options suggests a line.
SUGGESTED = 'suggested'

#: What every format can show, by the names that programs get.
NAMES = tuple(columns.BY_NAME)


class TableFormatter(base.ListFormatter):
    """Writes figures for people; the other formats have them in full.

    :param formatter: of tables
    """

    def __init__(self, formatter: base.ListFormatter) -> None:
        self._formatter = formatter

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """Add nothing: the other formatter does."""

    def emit_list(self, column_names: Sequence[str],
                  data: Iterable[Sequence[Any]], stdout: TextIO,
                  parsed_args: argparse.Namespace) -> None:
        """Write the table."""
        titles = [columns.BY_NAME[name].short if name in columns.BY_NAME
                  else name for name in column_names]
        rows = [titles, *(
            [_text(name, value)
             for name, value in zip(column_names, row, strict=True)]
            for row in data)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        # The first column is often a name.
        names = column_names[0] == columns.COLUMNS[0].name
        titles, *aligned = (
            [text if names and not number else text.rjust(widths[number])
             for number, text in enumerate(row)] for row in rows)
        self._formatter.emit_list(titles, aligned, stdout, parsed_args)


def _text(name: str, value: Any) -> str:
    if name == SUGGESTED:
        return 'yes' if value else ''
    return columns.BY_NAME[name].text(value)


def check(names: Iterable[str], known: Sequence[str]) -> None:
    """Refuse columns that there will not be.

    :raises Usage: naming those that there are
    """
    for name in names:
        if name.lower().strip().replace(' ', '_') not in known:
            raise Usage(f'there is no column {name!r}, but '
                        f'{", ".join(known)}')


def row(result: Result, suggested: bool | None = None) -> list[Any]:
    """Return a line with all columns.

    :param suggested: by a search; None if there was none
    """
    values = result.columns()
    more = [] if suggested is None else [suggested]
    return [*(values[name] for name in NAMES), *more]

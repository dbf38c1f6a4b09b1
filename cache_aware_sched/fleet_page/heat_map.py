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

"""Who holds what, as a map of hosts and images that a page can show."""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from cache_aware_sched.fleet.hosts import ReportingHost
from cache_aware_sched.fleet.images import KnownImage

#: Rows and columns of a map: as many as a screen has room for, so that the
#: file and the picture stay small with any number of hosts and images.
MAX_ROWS = MAX_COLUMNS = 200

#: Columns of one image each, where there are more images than columns: the
#: many that hardly any host holds share the others.
SINGLE_COLUMNS = 120


@dataclasses.dataclass(frozen=True, slots=True)
class HoldingsMap:
    """Which share of hosts and images each cell holds.

    :param rows: what each is called
    :param columns: what each is called
    :param percent: of each row and column, None where there is nothing
    """

    rows: Sequence[str]
    columns: Sequence[str]
    percent: Sequence[Sequence[int | None]]

    def as_json(self) -> dict[str, Any]:
        """Return it for the script."""
        return dataclasses.asdict(self)


def make(hosts: Sequence[ReportingHost],
         images: Sequence[KnownImage]) -> HoldingsMap:
    """Return the map, the fullest host and the most held image first.

    :param hosts: those with a report
    """
    held = sorted((image for image in images if image.holding),
                  key=lambda image: (-len(image.holding), image.name))
    number = {(host.name, host.node): 0 for host in hosts}
    for image in held:
        for host in image.holding:
            number[host.name, host.node] += 1
    ordered = sorted(hosts, key=lambda host: (
        -number[host.name, host.node], host.name, host.node))
    rows = _groups(len(ordered), MAX_ROWS, 0)
    columns = _groups(len(held), MAX_COLUMNS, SINGLE_COLUMNS)
    row_of = {(ordered[at].name, ordered[at].node): row
              for row, group in enumerate(rows) for at in group}
    counts = [[0] * len(columns) for _row in rows]
    for column, group in enumerate(columns):
        for at in group:
            for host in held[at].holding:
                counts[row_of[host.name, host.node]][column] += 1
    return HoldingsMap(
        [_called([ordered[at].node for at in group], 'host')
         for group in rows],
        [_called([held[at].name for at in group], 'image')
         for group in columns],
        [[_percent(count, len(row) * len(column))
          for count, column in zip(line, columns, strict=True)]
         for line, row in zip(counts, rows, strict=True)])


def _groups(number: int, most: int, single: int) -> list[range]:
    """Return ranges that have all numbers below one.

    :param most: ranges, more or less
    :param single: the first ones have one number each, if there are too many
    """
    if number <= most:
        single = number
    size = max(1, math.ceil((number - single) / max(1, most - single)))
    return [*(range(at, at + 1) for at in range(single)),
            *(range(at, min(at + size, number))
              for at in range(single, number, size))]


def _percent(count: int, of: int) -> int | None:
    """Return a share that is seen, however small it is."""
    return max(1, round(100 * count / of)) if count else None


def _called(names: Sequence[str], noun: str) -> str:
    if len(names) == 1:
        return names[0]
    return f'{len(names)} {noun}s, {names[0]} to {names[-1]}'

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

"""Writes a report: one HTML page that needs nothing else, and the results.

The page is ``page.html`` with ``page.css`` and ``page.js`` in it.
"""

from collections.abc import Sequence
import dataclasses
import json
import os
from typing import Any

from cache_aware_sched.page import rendering
from cache_aware_sched.simulator.report import figures
from cache_aware_sched.simulator.results import columns
from cache_aware_sched.simulator.results.result import Finding

PAGE_FILE = 'index.html'
RESULTS_FILE = 'results.json'


@dataclasses.dataclass(frozen=True, slots=True)
class Assumption:
    """An option of the run.

    :param name: as the user gives it
    :param value: that it had
    :param meaning: with its unit
    """

    name: str
    value: str
    meaning: str


@dataclasses.dataclass(frozen=True, slots=True)
class About:
    """What was simulated, and how.

    :param summary: a sentence
    :param command: that makes the same again
    :param version: of this package
    :param notes: what one should know of the workload, a sentence each
    :param assumptions: by the titles of their groups
    :param attribution: of the trace
    :param suggestion: lines for nova.conf, and what they bring
    :param suggested: the name of the policy that they are of
    """

    summary: str
    command: str
    version: str
    notes: Sequence[str] = ()
    assumptions: Sequence[tuple[str, Sequence[Assumption]]] = ()
    attribution: str = ''
    suggestion: str = ''
    suggested: str = ''


def write(directory: str, about: About, findings: Sequence[Finding]) -> str:
    """Write a report into a directory that exists.

    :param findings: at least one; everything in their policies is shown
    :returns: the path of the page
    :raises OSError: if it cannot be written
    """
    with open(os.path.join(directory, RESULTS_FILE), 'w',
              encoding='utf-8') as file:
        json.dump(as_json(about, findings), file, indent=1)
        file.write('\n')
    path = os.path.join(directory, PAGE_FILE)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(render(about, findings))
    return path


def as_json(about: About, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return everything that a report shows."""
    return {
        **dataclasses.asdict(about),
        'results': [
            {**finding.result.to_dict(), 'family': finding.policy.family,
             'fragment': finding.policy.fragment}
            for finding in findings]}


def render(about: About, findings: Sequence[Finding]) -> str:
    """Return the page."""
    names = [finding.policy.name for finding in findings]
    return rendering.render(
        __package__, 'What the image cache would save', {
            'frontier': figures.frontier(findings, about.suggested),
            'hitRates': figures.hit_rates(findings), 'maps': {
                finding.policy.name: figures.heat_map(finding.result)
                for finding in findings}},
        about=about, **_table(about, findings), names=names,
        sides=list(zip(('left', 'right'), names, strict=False)),
        busiest=f'{findings[0].result.heat_map.at / 3600:,.1f} hours after '
                'the start')


def _table(about: About, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the columns and the rows of the results."""
    stock = figures.stock_of(findings)
    shown = [columns.BY_NAME[name] for name in columns.SHOWN]
    values = [finding.result.columns() for finding in findings]
    if stock and stock.fetched_bytes:
        shown.insert(4, columns.OF_STOCK)
        for row in values:
            row['of_stock'] = (
                100 * float(row['fetched_bytes']) / stock.fetched_bytes)
    colours = figures.colours(findings)
    return {'columns': shown, 'rows': [{
        'texts': [column.text(row[column.name]) for column in shown],
        'colour': colours[finding.policy.family],
        'suggested': finding.policy.name == about.suggested,
    } for finding, row in zip(findings, values, strict=True)]}

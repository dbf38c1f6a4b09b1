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

"""Writes a report: one HTML page that needs nothing else, and the results."""

from collections.abc import Sequence
import dataclasses
import html
import json
import os
import re
from typing import Any

from plotly import offline

from cache_aware_sched.simulator import masking
from cache_aware_sched.simulator.report import figures
from cache_aware_sched.simulator.report.figures import Entry
from cache_aware_sched.simulator.report import page_template
from cache_aware_sched.simulator.results import columns

PAGE_FILE = 'index.html'
RESULTS_FILE = 'results.json'

_PLACE = re.compile(r'\{\{(\w+)\}\}')


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
    """

    summary: str
    command: str
    version: str
    notes: Sequence[str] = ()
    assumptions: Sequence[tuple[str, Sequence[Assumption]]] = ()
    attribution: str = ''
    suggestion: str = ''


def write(directory: str, about: About, entries: Sequence[Entry]) -> str:
    """Write a report into a directory that exists.

    :returns: the path of the page
    :raises OSError: if it cannot be written
    """
    with open(os.path.join(directory, RESULTS_FILE), 'w',
              encoding='utf-8') as file:
        json.dump(as_json(about, entries), file, indent=1)
        file.write('\n')
    path = os.path.join(directory, PAGE_FILE)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(render(about, entries))
    return path


def as_json(about: About, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return everything that a report shows."""
    return {
        **dataclasses.asdict(about),
        'results': [
            {**entry.result.to_dict(), 'family': entry.family,
             'fragment': masking.masked_fragment(entry.policy.fragment)}
            for entry in entries]}


def render(about: About, entries: Sequence[Entry]) -> str:
    """Return the page.

    :param entries: at least one
    """
    maps = {entry.policy.name: figures.heat_map(entry.result)
            for entry in entries}
    return _filled(
        page_template.PAGE, title='What the image cache would save',
        style=page_template.STYLE, about=html.escape(about.summary),
        suggestion=_suggestion(about.suggestion), table=_table(entries),
        busiest=_busiest(entries), maps=_maps(entries),
        notes=''.join(f'<p>{html.escape(note)}</p>' for note in about.notes),
        assumptions=_assumptions(about.assumptions),
        command=html.escape(about.command), footer=_footer(about),
        data=_script_data({
            'frontier': figures.frontier(entries),
            'hitRates': figures.hit_rates(entries), 'maps': maps}),
        plotly=offline.get_plotlyjs(), script=page_template.SCRIPT)


def _filled(template: str, **texts: str) -> str:
    """Return a template with its places filled, and no place in these."""
    return _PLACE.sub(lambda place: texts[place[1]], template)


def _script_data(value: Any) -> str:
    """Return JSON in which nothing ends the script element that has it."""
    return json.dumps(value, separators=(',', ':')).replace('<', '\\u003c')


def _suggestion(text: str) -> str:
    return (f'<section><h2>Suggestion</h2><pre>{html.escape(text)}</pre>'
            f'</section>') if text else ''


def _table(entries: Sequence[Entry]) -> str:
    stock = figures.stock_of(entries)
    shown = list(columns.COLUMNS)
    if stock and stock.fetched_bytes:
        shown.insert(4, columns.Column(
            'of_stock', '', 'of stock,\n%',
            'The same, of what stock nova fetched.', '{:.1f}'.format))
    head = ''.join(
        f'<th scope="col"><abbr title="{html.escape(column.meaning)}">'
        f'{html.escape(column.title)}</abbr></th>' for column in shown)
    colours = figures.colours(entries)
    rows = []
    for entry in entries:
        values = entry.result.columns()
        if stock and stock.fetched_bytes:
            values['of_stock'] = (
                100 * entry.result.fetched_bytes / stock.fetched_bytes)
        cells = [html.escape(column.text(values[column.name]))
                 for column in shown]
        cells[0] = (f'<span class="swatch" style="background:'
                    f'{colours[entry.family]}"></span>{cells[0]}')
        rows.append('<tr>' + ''.join(
            f'<td>{cell}</td>' for cell in cells) + '</tr>')
    return (f'<table class="results"><thead><tr>{head}</tr></thead><tbody>'
            f'{"".join(rows)}</tbody></table>')


def _busiest(entries: Sequence[Entry]) -> str:
    return f'{entries[0].result.heat_map.at / 3600:,.1f} hours after the start'


def _maps(entries: Sequence[Entry]) -> str:
    """Return two places for heat maps, with all policies to choose from."""
    names = [entry.policy.name for entry in entries]
    chosen = (names[0], names[1]) if len(names) > 1 else (names[0],)
    return ''.join(
        f'<div data-side="{side}"><select aria-label="policy">'
        + ''.join(
            f'<option{" selected" if name == selected else ""}>'
            f'{html.escape(name)}</option>' for name in names)
        + f'</select><div class="figure" id="map-{side}"></div></div>'
        for side, selected in zip(('left', 'right'), chosen, strict=False))


def _assumptions(
        groups: Sequence[tuple[str, Sequence[Assumption]]]) -> str:
    return ''.join(
        f'<details><summary>{html.escape(title)}</summary>'
        f'<div class="scroll"><table class="assumptions">'
        + ''.join(
            f'<tr><td><code>{html.escape(row.name)}</code></td>'
            f'<td>{html.escape(row.value)}</td>'
            f'<td>{html.escape(row.meaning)}</td></tr>' for row in rows)
        + '</table></div></details>' for title, rows in groups)


def _footer(about: About) -> str:
    lines = [f'cache-aware-sched {about.version}']
    if about.attribution:
        lines.insert(0, about.attribution)
    return ''.join(f'<p>{html.escape(line)}</p>' for line in lines)

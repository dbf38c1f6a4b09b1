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

"""The figures of a report, made with plotly."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import html
from typing import Any

from plotly import graph_objects

from cache_aware_sched.page import layout
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.policy import Policy
from cache_aware_sched.simulator.results.columns import significant
from cache_aware_sched.simulator.results.result import Finding
from cache_aware_sched.simulator.results.result import Result

STOCK_COLOUR = layout.GREY

#: With them the lines differ also without their colours.
_SYMBOLS = ('circle', 'square', 'triangle-up', 'cross', 'star', 'hexagon')
_DASHES = ('solid', 'dash', 'dot', 'dashdot', 'longdash')

#: Where the largest value is so many times the smallest, an axis is
#: logarithmic.
_WIDE = 5

#: Where the lines of the least possible have their texts, so that those of
#: neighbours are apart. On the left, with no imbalance, there are no points.
_CORNERS = ('bottom left', 'top left', 'bottom right', 'top right')

#: Of the first of many lines of one colour; less looks like stock nova's.
_PALEST = 0.4

#: More lines than these in one figure, and only one of a family is shown.
_MANY = 8

_HOUR = 3600.0


def families(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Return the findings of each family, those with less multiplier first."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.policy.family, []).append(finding)
    for members in found.values():
        members.sort(key=lambda finding: finding.result.multiplier)
    return found


def colours(findings: Sequence[Finding]) -> dict[str, str]:
    """Return the colour of each family."""
    others = [family for family in families(findings)
              if family != policy_mod.STOCK]
    return {policy_mod.STOCK: STOCK_COLOUR, **{
        family: layout.PALETTE[number % len(layout.PALETTE)]
        for number, family in enumerate(others)}}


def stock_of(findings: Sequence[Finding]) -> Result | None:
    """Return what stock nova made of it."""
    return next((finding.result for finding in findings
                 if finding.policy.kind == policy_mod.STOCK), None)


def options(policy: Policy) -> list[str]:
    """Return the options that a policy sets, a line each."""
    lines = [line.strip() for line in policy.fragment.splitlines()]
    return [line for line in lines if line and line[0] not in '#;[']


def frontier(findings: Sequence[Finding],
             suggested: str = '') -> dict[str, Any]:
    """Return the figure of what is fetched against the imbalance.

    Relative to stock nova, or in TB if that is not among the policies.

    :param suggested: the name of the policy that is marked
    """
    stock = stock_of(findings)
    relative = stock is not None and stock.fetched_bytes > 0
    # What the one unit of the axis is, in bytes.
    unit = stock.fetched_bytes / 100 if stock and relative else 10 ** 12
    figure = graph_objects.Figure()
    by_family = families(findings)
    symbols = dict(zip(by_family, _SYMBOLS * len(by_family), strict=False))
    for family, members in by_family.items():
        figure.add_scatter(**_line(
            family, members, unit, colours(findings)[family],
            'diamond' if family == policy_mod.STOCK else symbols[family],
            suggested))
    for number, (floor, text) in enumerate(_floors(findings)):
        figure.add_hline(
            floor / unit,
            line={'dash': 'dot', 'width': 1, 'color': STOCK_COLOUR},
            annotation={'text': text, 'font': {'size': 11}},
            annotation_position=_CORNERS[number % len(_CORNERS)])
    figure.update_xaxes(**_imbalances(
        [finding.result.vcpu_imbalance for finding in findings]))
    figure.update_yaxes(
        title='Fetched, % of stock nova' if relative else 'Fetched, TB',
        rangemode='tozero')
    return layout.finished(figure, hovermode='closest')


def _floors(findings: Sequence[Finding]) -> list[tuple[int, str]]:
    """Return the least that had to be fetched, and what for, in bytes.

    The smallest first. It differs from cap to cap.
    """
    caps: dict[int, set[int]] = {}
    for finding in findings:
        caps.setdefault(finding.result.floor_bytes, set()).add(
            finding.result.cap)
    return [(floor, f'least possible {_with_caps(caps[floor])}')
            for floor in sorted(caps)]


def _with_caps(caps: Collection[int]) -> str:
    if caps == {0}:
        return 'without a cap: every image once'
    listed = ' or '.join(f'{cap:,}' for cap in sorted(caps) if cap)
    if 0 in caps:
        return f'without a cap or with one of {listed}: every image once'
    return (f'with a cap of {listed}:<br>every image once for so many '
            'servers at a time')


def _imbalances(values: Sequence[float]) -> dict[str, Any]:
    """Return an axis on which small values keep apart if others are large."""
    title = 'vCPU imbalance, std / mean'
    if min(values) <= 0 or max(values) < _WIDE * min(values):
        return {'title': title, 'rangemode': 'tozero'}
    ticks = [float(f'{digit}e{decade}') for decade in range(-4, 3)
             for digit in (1, 2, 5)]
    return {'title': f'{title} (logarithmic)', 'type': 'log',
            'tickvals': ticks, 'ticktext': [f'{tick:g}' for tick in ticks]}


def _line(family: str, members: Sequence[Finding], unit: float, colour: str,
          symbol: str, suggested: str) -> dict[str, Any]:
    results = [finding.result for finding in members]
    ends = {members[0].policy.name, members[-1].policy.name}
    return {
        'name': html.escape(family),
        'x': [result.vcpu_imbalance for result in results],
        'y': [result.fetched_bytes / unit for result in results],
        'mode': 'lines+markers+text',
        'text': [f'suggested: x {result.multiplier:g}'
                 if result.policy == suggested
                 else f'x {result.multiplier:g}'
                 if len(members) > 1 and result.policy in ends else ''
                 for result in results],
        'textposition': 'top right',
        'textfont': {'size': 11},
        'line': {'color': colour, 'width': 2},
        'marker': {'symbol': symbol, 'color': colour,
                   'size': [14 if family == policy_mod.STOCK
                            or result.policy == suggested else 9
                            for result in results]},
        'hovertext': [_told(finding) for finding in members],
        'hoverinfo': 'text',
        'cliponaxis': False,
    }


def _told(finding: Finding) -> str:
    """Return what one sees of a policy when pointing at it."""
    result = finding.result
    lines = [
        *(html.escape(line) for line in options(finding.policy)),
        f'fetched {significant(result.fetched_tb)} TB',
        f'{100 * result.cold_share:.1f} % cold boots',
        f'vCPU imbalance {result.vcpu_imbalance:.3f}',
        f'at most {result.max_same_image:,} servers of an image on a host',
        f'{result.refused:,} refused',
    ]
    return '<br>'.join([f'<b>{html.escape(finding.policy.name)}</b>', *lines])


def hit_rates(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the figure of the hit rate over time."""
    figure = graph_objects.Figure()
    for family, members in families(findings).items():
        shown = members[len(members) // 2]
        for number, finding in enumerate(members):
            points = finding.result.hit_rate_over_time
            figure.add_scatter(
                name=html.escape(finding.policy.name), mode='lines',
                x=[at / _HOUR for at, _rate in points],
                y=[100 * rate for _at, rate in points],
                line={'color': _shade(
                          colours(findings)[family],
                          _PALEST + (1 - _PALEST) * (number + 1)
                          / len(members)),
                      'width': 2, 'dash': _DASHES[number % len(_DASHES)]},
                visible=(True if len(findings) <= _MANY or finding is shown
                         else 'legendonly'),
                hovertemplate='%{y:.0f} %')
    figure.update_xaxes(title='Hours since the start', rangemode='tozero')
    figure.update_yaxes(title='Hit rate, % of boots',
                        range=[0, 100])
    return layout.finished(figure, hovermode='x unified')


def _shade(colour: str, share: float) -> str:
    """Return a colour from near grey to itself.

    So that lines of one family are alike and can still be told apart.

    :param share: of the way; more than 0 to 1
    """
    mixed = (round(int(STOCK_COLOUR[start:start + 2], 16) * (1 - share)
                   + int(colour[start:start + 2], 16) * share)
             for start in (1, 3, 5))
    return '#' + ''.join(f'{part:02X}' for part in mixed)


def heat_map(result: Result) -> Mapping[str, Any]:
    """Return the servers of each image on each host, the fullest host first.

    Hosts are alike, so their order by name would say nothing.
    """
    found = result.heat_map
    order = sorted(range(len(found.hosts)),
                   key=lambda number: -sum(found.servers[number]))
    return {
        'hosts': [html.escape(found.hosts[number]) for number in order],
        'images': [html.escape(image) for image in found.images],
        # Nothing is drawn where there is none.
        'servers': [[count or None for count in found.servers[number]]
                    for number in order],
        'hours': found.at / _HOUR,
    }

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

"""The figures of the page, made with plotly."""

from collections.abc import Sequence
import itertools
from typing import Any

from plotly import graph_objects

from cache_aware_sched.decision_log.periods import Period
from cache_aware_sched.fleet.hosts import ReportingHost
from cache_aware_sched.fleet.images import KnownImage
from cache_aware_sched.page import layout
from cache_aware_sched import report

_GIB = 2 ** 30
_BLUE, _ORANGE, _GREEN, *_REST = layout.PALETTE
_HOUR = 3600.0


def concentration(images: Sequence[KnownImage], hosts: int,
                  cap: int) -> dict[str, Any]:
    """Return the most servers of one image on each host, the worst first.

    :param hosts: the number of all
    :param cap: of the option, 0 for none
    """
    most: dict[tuple[str, str], int] = {}
    for image in images:
        for node, number in image.servers.items():
            most[node] = max(most.get(node, 0), number)
    values = sorted(most.values(), reverse=True)
    values += [0] * (hosts - len(values))
    figure = graph_objects.Figure()
    figure.add_scatter(
        x=list(range(1, len(values) + 1)), y=values, mode=_mode(values),
        line={'color': _BLUE, 'width': 2, 'shape': 'hv'}, fill='tozeroy',
        name='servers of one image', hovertemplate='%{y:,} servers')
    if cap:
        figure.add_hline(cap, line={
            'dash': 'dot', 'width': 1, 'color': layout.GREY}, annotation={
                'text': f'cap {cap:,}', 'font': {'size': 11}})
    figure.update_xaxes(title='Hosts, the worst first', rangemode='tozero')
    figure.update_yaxes(title='Servers of one image', rangemode='tozero')
    return layout.finished(figure, hovermode='x unified', showlegend=False)


def _mode(hosts: Sequence[Any]) -> str:
    """Return how hosts are drawn: a line of one host cannot be seen."""
    return 'lines' if len(hosts) > 1 else 'lines+markers'


def fill(hosts: Sequence[ReportingHost]) -> dict[str, Any]:
    """Return what the caches of the hosts take up, the fullest first."""
    sizes = []
    for host in hosts:
        complete = [file for file in host.files
                    if file.kind is report.FileKind.COMPLETE]
        sizes.append((sum(file.size for file in complete) / _GIB, sum(
            file.size for file in complete if file.users) / _GIB))
    sizes.sort(reverse=True)
    figure = graph_objects.Figure()
    for at, name, how in (
            (0, 'all images', {'mode': _mode(sizes), 'line': {
                'color': _BLUE, 'width': 2, 'shape': 'hv'}}),
            (1, 'images in use', {'mode': 'markers', 'marker': {
                'color': _ORANGE, 'size': 4}})):
        figure.add_scatter(
            x=list(range(1, len(sizes) + 1)),
            y=[float(f'{size[at]:.3g}') for size in sizes], name=name,
            hovertemplate='%{y:,.1f} GiB', **how)
    figure.update_xaxes(title='Hosts, the fullest first', rangemode='tozero')
    figure.update_yaxes(title='GiB', rangemode='tozero')
    return layout.finished(figure, hovermode='x unified')


def hit_rate(hours: Sequence[Period]) -> dict[str, Any]:
    """Return the share of warm boots over time, above the number of boots.

    An hour without a boot has no share, so the line has a gap.
    """
    times = _times(hours)
    figure = graph_objects.Figure()
    figure.add_bar(
        x=times, y=[hour.decided.boots for hour in hours],
        name='boots an hour',
        marker={'color': layout.GREY, 'opacity': 0.35, 'line': {'width': 0}},
        yaxis='y2', hovertemplate='%{y:,} boots')
    figure.add_scatter(
        x=times, y=[None if share is None else round(100 * share)
                    for share in (hour.decided.share for hour in hours)],
        mode='lines+markers', name='warm boots',
        line={'color': _BLUE, 'width': 2},
        marker={'size': 4}, hovertemplate='%{y} % warm')
    figure.update_xaxes(title='UTC')
    figure.update_layout(
        yaxis={'title': 'Warm, % of boots', 'range': [0, 101],
               'dtick': 20,
               'overlaying': 'y2'},
        yaxis2={'title': 'Boots an hour', 'side': 'right', 'showgrid': False,
                'rangemode': 'tozero'})
    made = layout.finished(figure, hovermode='x unified')
    made['layout']['margin']['r'] = 60
    return made


def saved(hours: Sequence[Period]) -> dict[str, Any]:
    """Return what was spared so far, over time."""
    times = _times(hours)
    figure = graph_objects.Figure()
    figure.add_scatter(
        x=times, y=[round(seconds / _HOUR, 2) for seconds in
                    itertools.accumulate(
                        hour.decided.seconds for hour in hours)],
        mode='lines', name='hours of waiting', fill='tozeroy',
        line={'color': _GREEN, 'width': 2}, hovertemplate='%{y:,.1f} hours')
    figure.update_xaxes(title='UTC')
    figure.update_yaxes(title='Hours of waiting', rangemode='tozero')
    return layout.finished(figure, hovermode='x unified', showlegend=False)


def _times(hours: Sequence[Period]) -> list[str]:
    return [f'{hour.start:%Y-%m-%d %H:%M}' for hour in hours]

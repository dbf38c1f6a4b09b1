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


"""Writes an explanation for people and for programs. No nova.

The same for a server that found a host, for one that did not, and for one that
is only thought of.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from cache_aware_sched.decision_log.record import CHOSEN
from cache_aware_sched.decision_log.record import DecidedHost
from cache_aware_sched.explain import explanation as explanation_mod
from cache_aware_sched.explain.explanation import Explanation
from cache_aware_sched.explain.why_not import why_not

#: Hosts of a table: the best five, as Nomad has them, and those asked for.
ROWS = 5

#: Refused hosts that are named, of each reason.
NAMES = 5

_OURS = 'ImageCacheWeigher'

#: Of a weigher's name, in the title of its column.
_SUFFIX = 'Weigher'


def lines(explanation: Explanation, wanted: str = '') -> Iterator[str]:
    """Return the lines of an explanation.

    :param wanted: a host of which to say why it does not win
    """
    yield explanation_mod.totals(explanation)
    yield from _refused(explanation)
    yield explanation_mod.verdict(explanation)
    above = explanation_mod.above_the_cap(explanation)
    if above:
        yield above
    if explanation.alternates:
        yield ('Drawn to take it if its build there fails: '
               f'{", ".join(explanation.alternates)}.')
    instead = explanation_mod.instead(explanation)
    if instead:
        yield instead
    for note in explanation.notes:
        yield f'Note: {note}'
    shown = explanation.best(ROWS)
    if wanted:
        yield ''
        yield from why_not(explanation, wanted)
        found = explanation.decision.host(wanted)
        if found and found not in shown:
            shown.append(found)
    if shown:
        yield ''
        yield from _aligned([columns(explanation), *(
            [_text(value) for value in row(explanation, host)]
            for host in shown)])


def _refused(explanation: Explanation) -> Iterator[str]:
    """Return a line for each reason, the most frequent first."""
    for one in sorted(explanation.refused, key=lambda one: (
            -len(one.hosts), one.by)):
        named = ', '.join(one.hosts[:NAMES])
        more = len(one.hosts) - NAMES
        yield (f'  {len(one.hosts):>6,}  {one.by}: {one.reason or "no"}: '
               f'{named}' + (f' and {more:,} more' if more > 0 else ''))


def columns(explanation: Explanation) -> list[str]:
    """Return the titles of the table: without weights where none was asked."""
    titles = ['Host', 'Image', 'Servers', 'Cap']
    if explanation.decision.outcome == CHOSEN:
        titles += [name.removesuffix(_SUFFIX)
                   for name in _weighers(explanation)]
        titles += [] if explanation.shares else ['Other weighers']
        titles += ['Benefit', 'Holds', 'Headroom', 'Gate',
                   'Image cache (observed)' if explanation.decision.observed
                   else 'Image cache', 'Sum']
    return titles


def row(explanation: Explanation, host: DecidedHost) -> list[Any]:
    """Return the values of a host, in the order of :func:`columns`."""
    values = [host.host, host.holding.replace('_', ' '), host.count,
              host.cap or None]
    if explanation.decision.outcome == CHOSEN:
        shares = explanation.shares.get(host.host, {})
        values += [shares[name].share if name in shares else None
                   for name in _weighers(explanation)]
        values += [] if explanation.shares else [host.before]
        values += [host.benefit, host.holds, host.headroom, host.gate,
                   host.multiplier * host.weight, explanation.total(host)]
    return values


def _weighers(explanation: Explanation) -> list[str]:
    """Return the other weighers that make a difference."""
    names = {name: None for shares in explanation.shares.values()
             for name in shares}
    return [name for name in names if name != _OURS and len({
        shares[name].share for shares in explanation.shares.values()
        if name in shares}) > 1]


def _text(value: Any) -> str:
    if value is None:
        return '-'
    if isinstance(value, float):
        return f'{value:.3g}'
    return str(value)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return the lines of a table, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        yield '  '.join(
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(
                zip(cells, widths, strict=True))).rstrip()


def as_object(explanation: Explanation, wanted: str = '') -> dict[str, Any]:
    """Return all of an explanation, for JSON.

    :param wanted: a host of which to say why it does not win
    """
    decision = explanation.decision
    return {
        'server': decision.server, 'image': decision.image,
        'project': decision.project, 'flavor': decision.flavor,
        'time': decision.time.isoformat(), 'outcome': decision.outcome,
        'winner': decision.winner, 'stock': (
            explanation.stock or decision.stock),
        'observed': decision.observed, 'fetch_seconds': decision.seconds,
        'image_bytes': decision.size,
        'all_hosts': explanation.all_hosts,
        'candidates': decision.candidates,
        'totals': explanation_mod.totals(explanation),
        'verdict': explanation_mod.verdict(explanation),
        'above_the_cap': explanation_mod.above_the_cap(explanation),
        'instead': explanation_mod.instead(explanation),
        'notes': list(explanation.notes),
        'refused': [{'by': one.by, 'reason': one.reason,
                     'hosts': list(one.hosts)} for one in explanation.refused],
        'why_not': list(why_not(explanation, wanted)) if wanted else [],
        'hosts': [_host(explanation, host)
                  for host in explanation.best(len(decision.hosts))],
    }


def _host(explanation: Explanation, host: DecidedHost) -> dict[str, Any]:
    return {
        'host': host.host, 'node': host.node, 'image': host.holding,
        'servers': host.count, 'cap': host.cap, 'benefit': host.benefit,
        'holds': host.holds, 'headroom': host.headroom, 'gate': host.gate,
        'weight': host.weight, 'multiplier': host.multiplier,
        'drawn': host.drawn,
        'other_weighers': host.before, 'sum': explanation.total(host),
        'aggregates': list(host.aggregates),
        'weighers': {name: {
            'raw': share.raw, 'normalised': share.normalised,
            'multiplier': share.multiplier, 'share': share.share}
            for name, share in explanation.shares.get(
                host.host, {}).items()},
    }

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

"""What the demo prints."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import sys
from typing import TextIO

import rich.box
from rich.console import Console
from rich import progress
from rich.table import Table
from rich.text import Text

from tests.demo import setups
from tests.demo import summary as summary_mod
from tests.demo import workload as workload_mod

MIN_WIDTH, MAX_WIDTH = 80, 100
GOOD, BAD = 'green', 'yellow'

Boots = Mapping[str, summary_mod.Boot]


def console(stream: TextIO, color: bool = True) -> Console:
    """Return a console of a readable width."""
    made = Console(file=stream, no_color=None if color else True,
                   highlight=False)
    made.width = max(MIN_WIDTH, min(made.width, MAX_WIDTH))
    return made


def introduction(out: Console, work: workload_mod.Workload, seed: int,
                 nova: str) -> None:
    """Say what is about to happen."""
    deletes = sum(len(step.deletes) for step in work.steps)
    held = len(next(iter(work.cached.values())))
    out.print(Text(
        f'The same {work.number} servers, booted with stock nova and with '
        f'cache-aware-sched', style='bold'))
    out.print(
        f'A real nova {nova} twice, from the API to the computes, each in one '
        f'process; only the hypervisors and the downloads are make-believe. '
        f'{len(work.hosts)} hosts of {setups.HOST_VCPUS} vCPUs and '
        f'{setups.HOST_MEMORY_GIB} GiB, each holding {held} of '
        f'{len(work.images)} images at first. {len(work.steps)} steps, some '
        f'of several servers at once; {deletes} servers are deleted on the '
        f'way (seed {seed}).\n')


class Watch:
    """Shows how far the clouds are: bars, or nothing if not on a terminal."""

    def __init__(self, number: int, bars: progress.Progress) -> None:
        self._bars = bars
        self._tasks = {
            setup.title: bars.add_task(setup.title, total=number, doing='')
            for setup in (setups.STOCK, setups.PACKAGE)}

    def __call__(self, setup: setups.Setup, doing: str,
                 servers: int) -> None:
        self._bars.update(self._tasks[setup.title], advance=servers,
                          doing=doing)


@contextlib.contextmanager
def watching(number: int, color: bool = True) -> Iterator[Watch]:
    """Show bars for so many servers; nothing is left of them."""
    err = console(sys.stderr, color)
    if not err.is_terminal:
        err.print('Booting; this takes about half a minute.')
    with progress.Progress(
            progress.TextColumn('{task.description:<11}'),
            progress.BarColumn(), progress.MofNCompleteColumn(),
            progress.TextColumn('servers, {task.fields[doing]}'),
            progress.TimeElapsedColumn(),
            console=err, transient=True, disable=not err.is_terminal,
            redirect_stdout=False, redirect_stderr=False) as bars:
        yield Watch(number, bars)


def _heading(out: Console, title: str, legend: str) -> None:
    out.print(Text(title, style='bold'))
    out.print(legend)


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=rich.box.SIMPLE_HEAD, padding=0, show_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True,
                         justify='right' if column in right else 'left')
    return table


def _gb(size: float) -> str:
    gigabytes = size / workload_mod.GB
    return f'{gigabytes:.0f}' if gigabytes >= 1 else f'{gigabytes:.2f}'


def placements(out: Console, work: workload_mod.Workload, stock: Boots,
               ours: Boots) -> None:
    """Print where each server went, and why."""
    _heading(out, 'Where each server went', (
        'hit: the host held the image, or was fetching it. fetch: it had to '
        'be fetched. Servers of one step are asked for at once.\n'
        'The weight of the host that was chosen: benefit (how long the fetch '
        'would take), times headroom (fades to 0 at the cap of same-image '
        'servers), times gate (fades to 0 as the host becomes busier than the '
        'others). same: servers of the image there before, and the cap.\n'))
    table = _table('#', 'server', 'image', 'GB', setups.STOCK.title,
                   setups.PACKAGE.title, 'benefit * headroom * gate', 'same',
                   right=('#', 'GB'))
    for number, step in enumerate(work.steps, 1):
        servers = [(server, request) for request in step.requests
                   for server in request.servers]
        for place, (server, request) in enumerate(servers):
            table.add_row(
                '' if place else str(number), server, request.image.name,
                _gb(request.image.size), _where(stock[server]),
                _where(ours[server]), *_why(ours[server]))
    out.print(table)
    out.print()


def _where(boot: summary_mod.Boot) -> Text:
    if boot.host is None:
        return Text('no host', style='red')
    return Text(f'{boot.host} {"fetch" if boot.fetched else "hit"}',
                style=BAD if boot.fetched else GOOD)


def _why(boot: summary_mod.Boot) -> tuple[str, str]:
    parts = boot.parts
    if parts is None:
        return boot.why, ''
    return (f'{parts.benefit:.2f} * {parts.headroom:.2f} * {parts.gate:.2f} = '
            f'{parts.weight:.2f}', f'{parts.count}/{parts.cap}')


def holdings(out: Console, work: workload_mod.Workload, stock: Boots,
             ours: Boots) -> None:
    """Print which host holds what, and runs how many servers of it."""
    _heading(out, 'What each host holds at the end', (
        '=: held from the start. +: fetched since. The number: its servers '
        'that run there.\n'))
    for setup, boots in ((setups.STOCK, stock), (setups.PACKAGE, ours)):
        out.print(_holdings(setup.title, work, boots))
        out.print()


def _holdings(title: str, work: workload_mod.Workload, boots: Boots) -> Table:
    running = summary_mod.running(work, boots)
    held = summary_mod.holding(work, boots)
    used = summary_mod.vcpus(work, boots)
    sizes = {image.name: image.size for image in work.images}
    table = _table(f'{title:<15}', '  GB', *(
        f'  {host}' for host in work.hosts), right=('  GB',))
    for image in work.images:
        table.add_row(image.name, _gb(image.size), *(
            _cell(image in work.cached[host], image.name in held[host],
                  running[host, image.name]) for host in work.hosts))
    table.add_section()
    table.add_row('GB in the cache', '', *(
        '  ' + _gb(sum(sizes[name] for name in held[host]))
        for host in work.hosts))
    table.add_row('vCPUs in use', '', *(
        f'  {used[host]}' for host in work.hosts))
    return table


def _cell(before: bool, now: bool, servers: int) -> Text:
    if not now:
        return Text('  .', style='dim')
    return Text(f'  {"=" if before else "+"} {servers or ""}',
                style=GOOD if before else BAD)


def comparison(out: Console, stock: summary_mod.Summary,
               ours: summary_mod.Summary) -> None:
    """Print the figures of both runs side by side."""
    table = _table('Compared', f'  {setups.STOCK.title}',
                   f'  {setups.PACKAGE.title}')
    both = (stock, ours)
    for name, *values in (
            ('boots from the cache', *(
                f'{one.from_cache} of {one.placed} '
                f'({one.from_cache / max(one.placed, 1):.0%})'
                for one in both)),
            ('images fetched', *(f'{_gb(one.fetched)} GB' for one in both)),
            (f'which takes at {summary_mod.FETCH_RATE / 1e6:.0f} MB/s', *(
                f'{one.fetching / 60:.1f} min' for one in both)),
            ('most same-image servers on a host', *(
                f'{one.peak.servers} ({one.peak.image})' for one in both)),
            ('vCPU imbalance (std/mean)', *(
                f'{one.imbalance:.2f}' for one in both)),
            ('servers without a host', *(str(one.failed) for one in both))):
        table.add_row(name, *(f'  {value}' for value in values))
    out.print(table)
    out.print()


def verdict(out: Console, result: summary_mod.Verdict) -> None:
    """Print the verdict, in words."""
    for good, text in result.reasons:
        out.print(Text('yes  ' if good else 'no   ',
                       style='bold green' if good else 'bold red').append(
                           text, style='none'))
    out.print('[bold]The package did better.[/bold]' if result.good
              else '[bold red]The package did not do better.[/bold red]')
    if result.price:
        out.print(result.price)

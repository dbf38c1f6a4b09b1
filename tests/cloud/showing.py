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

"""What is printed."""

from collections.abc import Sequence
import contextlib
import pathlib
import sys
import time

import rich.box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cache_aware_sched import wording
from tests.cloud import cloud as cloud_mod
from tests.cloud import playing
from tests.cloud import procfs
from tests.cloud import rehearsing
from tests.cloud import scenario as scenario_mod
from tests.cloud import settings as settings_mod
from tests.cloud import strays

#: What to try next: a command each, and what follows it.
_NEXT = (
    ('status', ''),
    ('shell', ' -- openstack compute service list'),
    ('shell', ' -- openstack server create --image try --flavor tiny '
              '--nic none --wait one'),
    ('shell', ' -- openstack console log show one'),
    ('shell', ''),
    ('conf', ''),
    ('restart', ' compute1'),
    ('sql', " cell1 'select host, vm_state, display_name from instances'"),
    ('run', ' smoke'),
    ('down', ''),
)

COLORS = {playing.PASSED: 'green', playing.FAILED: 'red',
          playing.SKIPPED: 'yellow'}


class Reporter:
    """Says what is done, and when since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        """Print a line."""
        seconds = time.monotonic() - self._start
        # Whoever read it may be gone, and there is a cloud to take down.
        with contextlib.suppress(OSError):
            sys.stdout.write(f'{seconds:6.1f} s  {text}\n')
            sys.stdout.flush()


def console() -> Console:
    """Return a console that is wide enough for a table."""
    made = Console(highlight=False)
    made.width = max(made.width, 80)
    return made


def results(found: Sequence[playing.Result]) -> None:
    """Print a table of scenarios and figures."""
    table = Table('scenario', 'result', 'seconds', 'figures',
                  box=rich.box.SIMPLE_HEAD)
    table.columns[2].justify = 'right'
    for one in found:
        figures = [f'{name}: {value}' for name, value in one.facts.items()]
        if one.why:
            figures.append(one.why.strip().split('\n')[-1])
        table.add_row(one.name, Text(one.outcome, COLORS[one.outcome]),
                      f'{one.seconds:.1f}', Text('\n'.join(figures)))
    console().print(table)
    console().print(', '.join(
        f'{sum(one.outcome == outcome for one in found)} {outcome}'
        for outcome in COLORS))


def status(cloud: cloud_mod.Cloud) -> bool:
    """Print what runs; return whether all of it does."""
    table = Table('process', 'id', 'MiB', 'state',
                  box=rich.box.SIMPLE_HEAD)
    processes = cloud.processes
    names = processes.names()
    members = processes.members(names)
    confs = {one.service.name: one.conf for one in rehearsing.services(cloud)}
    by_hand = {one.conf: one.pid for one in
               strays.find(processes, cloud.tree.venv)}
    good = True
    for name in [*names, *(name for name, conf in confs.items()
                           if conf in by_hand and name not in names)]:
        record = processes.recorded(name)
        alive = processes.alive(name)
        pid = by_hand.get(confs[name]) if name in confs else None
        good &= alive or pid is not None
        pids = members.get(name, []) if alive or pid is None else [pid]
        state = (_state(processes.record(name), confs.get(name)) if alive
                 else Text('ended', 'red') if pid is None
                 else Text('runs, started by hand', 'yellow'))
        table.add_row(
            name, str(record.pid if alive and record else pid or ''),
            str(sum(map(procfs.memory, pids)) >> 20), state)
    console().print(table)
    settings = cloud.settings
    console().print(
        f'{wording.counted(settings.computes, "compute")} with libvirt '
        f'({settings.virt_type.upper()}), {settings.fakes} fake, '
        f'{wording.counted(settings.schedulers, "scheduler")}; '
        f'keystone is {settings.url("keystone", "/v3")}; '
        f'logs are in {settings.tree.logs}')
    return good


def _state(record: pathlib.Path, conf: pathlib.Path | None) -> Text:
    """Return what to say of a process that runs."""
    if conf and conf.stat().st_mtime > record.stat().st_mtime:
        return Text(f'runs; {conf.name} was changed since', 'yellow')
    return Text('runs', 'green')


def configuration_files(found: Sequence[rehearsing.Restartable]) -> None:
    """Print where the configuration file of each service is."""
    for one in found:
        sys.stdout.write(f'{one.service.name:14} {one.conf}\n')


def what_next(settings: settings_mod.Settings) -> None:
    """Print what a person can do with the cloud."""
    # Not through tox, which takes its time, and keeps all other calls waiting
    # while a shell is open.
    python = pathlib.Path(sys.executable)
    with contextlib.suppress(ValueError):
        python = python.relative_to(pathlib.Path.cwd())
    me = f'{python} -m tests.cloud'
    state = settings.tree.state
    where = '' if state == settings_mod.STATE else f' --state {state}'
    out = ['', 'The cloud runs until you take it down. What to try next:', '']
    out += [f'  {me} {command}{where}{rest}' for command, rest in _NEXT]
    out += ['', f'The logs are in {settings.tree.logs}',
            f'What each host has is in {settings.run}/hosts', '']
    sys.stdout.write('\n'.join(out) + '\n')


def scenarios(found: Sequence[scenario_mod.Scenario]) -> None:
    """Print what scenarios there are."""
    table = Table('scenario', 'what it checks', box=rich.box.SIMPLE_HEAD)
    for one in found:
        table.add_row(one.name, Text(one.summary))
    console().print(table)

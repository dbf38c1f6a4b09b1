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

"""Each setup in a process of its own, both at the same time.

A nova in one process leaves too much behind in it for a second one to be
compared with it, and the console is not nova's to write on.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import multiprocessing
from multiprocessing import connection
import os
import signal
import traceback
from typing import Any
import warnings

from tests.demo import setups as setups_mod
from tests.demo import summary
from tests.demo import workload as workload_mod

#: Seconds; a cloud looks at its orders between two things that it does.
PATIENCE = 30

Boots = dict[str, summary.Boot]
#: Is told of a setup, what it does and how many servers it booted since.
Watch = Callable[[setups_mod.Setup, str, int], None]


class Failed(Exception):
    """A cloud did not work; says what it said."""


class _Stopped(BaseException):
    """The cloud is not wanted any more."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Running:
    setup: setups_mod.Setup
    process: Any
    messages: connection.Connection


def run(work: workload_mod.Workload, setups: Sequence[setups_mod.Setup],
        watch: Watch) -> list[Boots]:
    """Play a workload with each setup; return what became of the servers.

    :raises Failed: saying why a cloud did not work
    """
    # The children must not be told of Ctrl-C: we tell them.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    running = [_start(work, setup) for setup in setups]
    signal.signal(signal.SIGINT, before)
    try:
        return _watch(running, watch)
    except KeyboardInterrupt:
        for setup in setups:
            watch(setup, 'stopping', 0)
        raise
    finally:
        _stop(running)


def _start(work: workload_mod.Workload, setup: setups_mod.Setup) -> _Running:
    context = multiprocessing.get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, work, setup))
    process.start()
    sender.close()
    return _Running(setup, process, receiver)


def _watch(running: Sequence[_Running], watch: Watch) -> list[Boots]:
    results: dict[str, Boots] = {}
    while len(results) < len(running):
        waiting = [one for one in running if one.setup.title not in results]
        ready = connection.wait([one.messages for one in waiting])
        for one in waiting:
            if one.messages not in ready:
                continue
            kind, rest = _receive(one)
            if kind == 'boots':
                results[one.setup.title] = rest[0]
            else:
                watch(one.setup, *rest)
    return [results[one.setup.title] for one in running]


def _receive(one: _Running) -> tuple[str, Any]:
    """Return what a child says and what about.

    :raises Failed: if it says that
    """
    try:
        kind, *rest = one.messages.recv()
    except EOFError:
        raise Failed(f'The process of {one.setup.title} ended without a '
                     f'word.') from None
    if kind == 'failed':
        raise Failed(f'{one.setup.title}: {rest[0]}')
    return kind, rest


def _stop(running: Sequence[_Running]) -> None:
    for one in running:
        one.process.terminate()
    try:
        for one in running:
            one.process.join(PATIENCE)
    finally:  # also if the user has no patience
        for one in running:
            one.process.kill()


def _child(messages: connection.Connection, work: workload_mod.Workload,
           setup: setups_mod.Setup) -> None:
    """Run one cloud; what it is asked to stop by also cleans up."""
    _silence()
    try:
        messages.send(('progress', 'loading nova', 0))
        # Not before: it patches the modules that it finds. There is nothing
        # to clean up yet, so SIGTERM may do what it does.
        from tests.demo import cloud

        stopped = []
        signal.signal(signal.SIGTERM, lambda *_args: stopped.append(True))

        def advance(doing: str, servers: int) -> None:
            if stopped:
                raise _Stopped
            messages.send(('progress', doing, servers))

        messages.send(('boots', cloud.run(work, setup, advance)))
    except _Stopped:
        pass
    except BaseException:
        messages.send(('failed', traceback.format_exc()))


def _silence() -> None:
    """Send what nova and its libraries print nowhere."""
    warnings.simplefilter('ignore')
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)

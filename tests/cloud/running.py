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

"""Starting services until they serve, and commands until they end."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import dataclasses
import http.client
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

from tests.cloud import interrupts
from tests.cloud import processes as processes_mod
from tests.cloud import service as service_mod

Say = Callable[[str], None]


def wait_for(what: str, ready: Callable[[], bool], within: float,
             poll: float = 0.2) -> float:
    """Wait until something is so; return the seconds that it took.

    :raises service.Failed: if it takes too long
    """
    start = time.monotonic()
    while not ready():
        if time.monotonic() - start > within:
            raise service_mod.Failed(f'{what}: not within {within:.0f} s')
        interrupts.pause(poll)
    return time.monotonic() - start


def launch(processes: processes_mod.Processes,
           *services: service_mod.Service) -> None:
    """Start services at the same time, and wait until they serve.

    :raises service.Failed: with what the log says
    """
    for one in [one for one in services if processes.start(one)]:
        def ready(one: service_mod.Service = one) -> bool:
            if not processes.alive(one.name):
                raise service_mod.Failed('it ended')
            return one.ready()

        try:
            wait_for('it does not serve', ready, one.within)
        except service_mod.Failed as error:
            raise service_mod.Failed(
                f'{one.name}: {error}. Its log ends with:\n'
                f'{processes.tail(one.name)}\n'
                f'The logs are in {processes.logs}') from None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a command is run.

    :param within: seconds; it is killed when they are over
    :param status: what it may end with besides 0
    :param number: what it is ended with
    """

    within: float = 300.0
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    status: Sequence[int] = ()
    number: signal.Signals = signal.SIGTERM
    user: str | None = None


def call(processes: processes_mod.Processes, name: str,
         command: Sequence[str], how: How | None = None) -> None:
    """Run a command to its end; what it prints goes to a log file.

    :raises service.Failed: with the end of that log
    """
    how = how or How()
    # Its record is gone with it: the shell keeps the status.
    wrapped = ('/bin/sh', '-c', '"$@"; echo "exit status $?"', 'sh', *command)
    try:
        processes.start(service_mod.Service(
            name=name, command=wrapped, environment=how.environment,
            user=how.user))
        wait_for(name, lambda: not processes.alive(name), how.within,
                 processes_mod.POLL)
    finally:
        with interrupts.deaf():
            processes.stop(name, number=how.number)
    if not any(processes.said(name, f'exit status {status}\n')
               for status in (0, *how.status)):
        raise service_mod.Failed(
            f'{" ".join(command)[:500]}\nfailed. Its log '
            f'{processes.log(name)} ends with:\n{processes.tail(name)}')


def together(*functions: Callable[[], None]) -> None:
    """Call functions, each in a thread, and wait for all of them.

    If one fails the others are abandoned: whatever waits in this module, or
    starts a process, ends then.

    :raises Exception: what one of them raised
    """
    failed = threading.Event()
    events = (*interrupts.obeyed(), failed)

    def one(function: Callable[[], None]) -> None:
        interrupts.obey(*events)
        try:
            function()
        except BaseException:
            failed.set()
            raise

    with futures.ThreadPoolExecutor(len(functions)) as pool:
        started = [pool.submit(one, function) for function in functions]
        while futures.wait(started, timeout=0.2).not_done:
            interrupts.check()
    raised = [error for error in map(futures.Future.exception, started)
              if error is not None]
    for error in raised:
        if not isinstance(error, interrupts.Abandoned):
            raise error
    interrupts.check()


def answers(port: int, path: str = '/') -> bool:
    """Return whether an HTTP service on this machine answers a GET well."""
    # Not through a proxy that the user may have.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f'http://127.0.0.1:{port}{path}',
                         timeout=5) as response:
            return bool(response.status in (200, 300))
    except urllib.error.HTTPError as error:
        return error.code == 300
    except (OSError, http.client.HTTPException):
        return False


def free(port: int) -> bool:
    """Return whether nobody listens on a port of this machine."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True

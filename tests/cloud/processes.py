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

"""Processes that outlive this program, and only end by its hand.

Each is started in a session of its own, with a log file, and writes its own
line of ``/proc/PID/stat`` into a file before it becomes what it is to be. So
there is no moment at which it runs and is not known, and a process that has
its number by chance is never taken for it.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import os
import pathlib
import signal
import subprocess
import time

from tests.cloud import interrupts
from tests.cloud import procfs
from tests.cloud import service as service_mod

#: Seconds between two looks at whether something is done.
POLL = 0.1

#: Seconds that a process has to end by itself.
PATIENCE = 20.0

#: Lines of a log that are shown when something fails.
TAIL = 25

_LAUNCH = ('read -r line </proc/$$/stat && echo "$line" >"$0" && '
           'exec "$@"')


class Processes:
    """The processes of one cloud.

    :param run: a directory for what is gone when the cloud is
    :param logs: a directory for their log files
    :param environment: of each
    """

    def __init__(self, run: pathlib.Path, logs: pathlib.Path,
                 environment: Mapping[str, str] | None = None) -> None:
        self.run = run
        self.logs = logs
        self.environment = dict(environment or {})
        self._records = run / 'pids'
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        #: How long the log of each was when it was started last.
        self._starts: dict[str, int] = {}

    def log(self, name: str) -> pathlib.Path:
        """Return the log file of a process."""
        return self.logs / f'{name}.log'

    def said(self, name: str, text: str) -> bool:
        """Return whether a process logged a text since it was started."""
        return self.times_said(name, text) > 0

    def times_said(self, name: str, text: str) -> int:
        """Return how often a process logged a text since it was started."""
        try:
            with self.log(name).open('rb') as log:
                log.seek(self._starts.get(name, 0))
                return log.read().count(text.encode())
        except OSError:
            return 0

    def tail(self, name: str) -> str:
        """Return the last lines of a log."""
        try:
            lines = self.log(name).read_text(errors='replace').splitlines()
        except OSError:
            return ''
        return '\n'.join(line[:400] for line in lines[-TAIL:])

    def names(self) -> list[str]:
        """Return whatever was started and not stopped, oldest first."""
        try:
            files = [(path.stat().st_mtime_ns, path.stem)
                     for path in self._records.glob('*.pid')]
        except FileNotFoundError:
            return []
        return [name for _time, name in sorted(files)]

    def record(self, name: str) -> pathlib.Path:
        """Return the file in which a process left its line."""
        return self._records / f'{name}.pid'

    def recorded(self, name: str) -> procfs.Stat | None:
        """Return a process as it was at its start."""
        try:
            return procfs.parse(self.record(name).read_text())
        except (OSError, ValueError):
            return None

    def start(self, service: service_mod.Service) -> bool:
        """Start a process; return whether it did not run already.

        :raises service.Failed: if it cannot be started at all
        """
        interrupts.check()
        name = service.name
        if self.alive(name):
            return False
        self._records.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        record = self.record(name)
        if self.members([name])[name]:
            self.kill(name)  # what an earlier start has left
        record.unlink(missing_ok=True)
        log = self.log(name)
        self._starts[name] = log.stat().st_size if log.exists() else 0
        with interrupts.shield(), log.open('ab') as output:
            # As root: the file is not the user's that it becomes.
            command = ['/bin/sh', '-c', _LAUNCH, str(record)]
            if service.user:
                command += ['setpriv', f'--reuid={service.user}',
                            f'--regid={service.user}', '--init-groups']
            child = subprocess.Popen(
                [*command, *service.command], cwd=self.run,
                stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
                env={**self.environment, **service.environment})
            self._children[name] = child
            end = time.monotonic() + PATIENCE
            while self.recorded(name) is None:
                ended = child.poll() is not None or time.monotonic() > end
                # It may have come and gone since the look above.
                if ended and self.recorded(name) is None:
                    raise service_mod.Failed(
                        f'{name} cannot be started:\n{self.tail(name)}')
                time.sleep(0.005)
        return True

    def alive(self, name: str) -> bool:
        """Return whether the process itself runs."""
        self._reap(name)
        before = self.recorded(name)
        now = before and procfs.stat(before.pid)
        return bool(before and now and now.running
                    and now.start == before.start)

    def members(self, names: Iterable[str]) -> dict[str, list[int]]:
        """Return the ids of processes and of all in their sessions."""
        found: dict[str, list[int]] = {}
        sessions = {}
        for name in names:
            self._reap(name)
            found[name] = []
            record = self.recorded(name)
            if record is not None:
                sessions[record.pid] = name, record
        for one in procfs.processes():
            if one.session in sessions:
                name, record = sessions[one.session]
                if self._is_ours(one, record):
                    found[name].append(one.pid)
        return found

    def _is_ours(self, one: procfs.Stat, leader: procfs.Stat) -> bool:
        now = procfs.stat(leader.pid)
        if now is not None:
            return now.start == leader.start
        # No new session can have its number while one is left in it, but
        # another one can have come and gone in between.
        return procfs.output(one.pid).startswith(f'{self.logs}{os.sep}')

    def stop(self, *names: str, patience: float = PATIENCE,
             number: signal.Signals = signal.SIGTERM) -> list[str]:
        """End processes, all at the same time; return who had to be killed.

        :param patience: seconds after which they are killed
        """
        self._signal(names, number)
        left = self._wait_for_end(names, patience)
        if left:
            self.kill(*left)
        self._forget(names)
        return left

    def kill(self, *names: str) -> None:
        """End processes as if by a power failure."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for pids in self.members(names).values():
                for pid in pids:
                    _send(os.kill, pid, signal.SIGKILL)
            if not self._wait_for_end(names, 0.5):
                break
        self._forget(names)

    def freeze(self, *names: str) -> None:
        """Have processes hang, until they are killed or thawed."""
        self._signal(names, signal.SIGSTOP)

    def thaw(self, *names: str) -> None:
        """Have processes that were frozen go on."""
        self._signal(names, signal.SIGCONT)

    def _signal(self, names: Iterable[str], number: signal.Signals) -> None:
        for name, pids in self.members(names).items():
            record = self.recorded(name)
            if record is not None and record.pid in pids:
                _send(os.killpg, record.pid, number)
            else:
                for pid in pids:
                    _send(os.kill, pid, number)

    def _wait_for_end(self, names: Iterable[str],
                      seconds: float) -> list[str]:
        end = time.monotonic() + seconds
        while True:
            left = [name for name, pids in self.members(names).items()
                    if pids]
            if not left or time.monotonic() > end:
                return left
            time.sleep(POLL)

    def _forget(self, names: Sequence[str]) -> None:
        for name, pids in self.members(names).items():
            if not pids:
                self.record(name).unlink(missing_ok=True)

    def _reap(self, name: str) -> None:
        child = self._children.get(name)
        if child is not None:
            child.poll()


def _send(how: Callable[[int, int], None], pid: int, number: int) -> None:
    """Send a signal to what may have ended."""
    with contextlib.suppress(ProcessLookupError):
        how(pid, number)

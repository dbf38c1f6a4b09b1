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

"""Ends a copy that does not go on.

nova's transfer between hosts has no bounds in time. It tells of its process,
so that is watched from beside it.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import subprocess
import threading
import time

import psutil

#: Seconds between two looks.
LOOK_SECONDS = 1.0

#: Seconds without a byte after which a copy has stalled. Judgement: a host
#: that sends nothing for so long is not a fast source.
STALL_SECONDS = 60.0

#: The longest that a copy may take: seconds, and bytes a second on top.
#: Judgement: slower than any network that is meant for this.
FIXED_SECONDS, LEAST_RATE = 300, 2 ** 20

#: Seconds to end of itself, when it removes its files.
_GRACE_SECONDS = 5.0


def longest(length: int) -> int:
    """Return the seconds that a copy of a file may take.

    :param length: bytes
    """
    return FIXED_SECONDS + length // LEAST_RATE


class CopyWatch:
    """Watches the process of a copy.

    :param seconds: that it may take
    :param goes_on: returns whether the host that sends still answers
    :ivar why: why the copy was ended; None if it was not
    """

    def __init__(self, seconds: float, goes_on: Callable[[], bool]) -> None:
        self.why: str | None = None
        self._seconds = seconds
        self._goes_on = goes_on
        self._process: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()

    def began(self, process: subprocess.Popen[bytes]) -> None:
        """Take the process; nova calls it when it has begun."""
        self._process = process

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block copies."""
        thread = threading.Thread(
            target=self._run, name='cache-aware-copy', daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _run(self) -> None:
        began = moved = time.monotonic()
        read = -1
        while not self._over.wait(LOOK_SECONDS):
            process = self._process
            if process is None:
                continue
            now = time.monotonic()
            before, read = read, _bytes_read(process.pid)
            if read != before:
                moved = now
            if not self._goes_on():
                self.why = 'the host that sends it does not answer any more'
            elif now - moved >= STALL_SECONDS:
                self.why = f'not a byte came for {STALL_SECONDS:g} s'
            elif now - began >= self._seconds:
                self.why = f'it took longer than {self._seconds:g} s'
            if self.why is not None:
                _end(process.pid)
                return


def _bytes_read(pid: int) -> int:
    """Return what a process and those below it have read so far.

    The file that is written does not tell: of a hole nothing is written.
    """
    total = 0
    for process in _family(pid):
        with contextlib.suppress(psutil.Error, AttributeError):
            total += process.io_counters().read_chars
    return total


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _end(pid: int) -> None:
    """End a process and those below it.

    All of them: nova waits until nobody can write to its pipe any more.
    """
    family = _family(pid)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    end = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < end and any(map(_runs, family)):
        time.sleep(0.1)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _runs(process: psutil.Process) -> bool:
    """Return whether a process did not end.

    Not by waiting for it: how it ended is for nova to see.
    """
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False

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

"""Follows the decision log: what was written since the last time."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
from typing import IO

from cache_aware_sched.decision_log import line_file
from cache_aware_sched.decision_log import reader
from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.decision_log.record import DecisionRecord
from cache_aware_sched.decision_log.record import LostDecisions


#: Files of which it is remembered how far they were read, the latest ones;
#: more than are ever kept of one log.
MAX_FILES = 1_000


class _Offsets:
    """How many bytes were read of each file, by its first line."""

    def __init__(self) -> None:
        self.read: dict[bytes, int] = {}

    def start(self, first: bytes) -> int:
        """Return where to go on; the file becomes the latest one."""
        offset = self.read[first] = self.read.pop(first, 0)
        if len(self.read) > MAX_FILES:
            del self.read[next(iter(self.read))]
        return offset


class FollowedLog:
    """Reads each line once, also when files are rotated or emptied meanwhile.

    A file is known again by its first line, which has a time and a server. Its
    name changes with each rotation, and its inode is used again when it is
    deleted.

    :param paths: as ``decision_log_file`` names them
    :param from_start: whether to read what is there already
    :ivar bad: lines that could not be read, so far
    :ivar lost: decisions that the schedulers could not write, so far
    :ivar errors: why a log could not be read the last time, by its path
    """

    def __init__(self, paths: Iterable[str],
                 from_start: bool = False) -> None:
        self._offsets = {path: _Offsets()
                         for path in reader.distinct(paths)}
        self.bad = self.lost = 0
        self.errors: dict[str, str] = {}
        if not from_start:
            for _line in self._lines():
                pass

    def new(self) -> Iterator[DecisionRecord]:
        """Return the decisions that were written since the last time.

        A line without its end is left for the next time.
        """
        for line in self._lines():
            yield from self._record(line)

    def _lines(self) -> Iterator[bytes]:
        self.errors = {}
        for path, offsets in self._offsets.items():
            try:
                yield from _new_lines(path, offsets)
            except OSError as error:
                self.errors[path] = error.strerror or str(error)

    def _record(self, line: bytes) -> Iterator[DecisionRecord]:
        try:
            found = record_mod.parse(line.decode(errors='replace'))
        except record_mod.BadRecord:
            self.bad += 1
            return
        if isinstance(found, LostDecisions):
            self.lost += max(0, found.lost)
        else:
            yield found


def _new_lines(path: str, log: _Offsets) -> Iterator[bytes]:
    """Return the lines after the offsets, and count these up."""
    with contextlib.ExitStack() as stack:
        # All are opened first: a rotation makes no difference then. If one
        # comes in between, a file is seen twice, or only the next time.
        for file in _opened(path, stack):
            first = next(line_file.read(file), b'')
            if line_file.is_whole(first):
                yield from _rest(file, first, log)


def _opened(path: str, stack: contextlib.ExitStack) -> list[IO[bytes]]:
    """Open a log with what was rotated of it, the oldest first."""
    opened: list[IO[bytes]] = []
    for name in reader.DecisionLog([path]).files():
        with contextlib.suppress(FileNotFoundError):
            opened.append(stack.enter_context(
                open(name, 'rb')))  # noqa: SIM115
    return opened


def _rest(file: IO[bytes], first: bytes, log: _Offsets) -> Iterator[bytes]:
    file.seek(log.start(first))
    for line in line_file.read(file):
        if not line_file.is_whole(line):
            return
        log.read[first] += len(line)
        yield line

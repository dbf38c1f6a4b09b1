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

"""Reads the decision log, with the files that were rotated."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
import glob
import os
import re

from cache_aware_sched.decision_log import line_file
from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.decision_log.record import DecisionRecord
from cache_aware_sched.decision_log.record import LostDecisions

#: What rotation puts behind the name of a file.
_NUMBER = r'([1-9]\d{0,5})'


def distinct(paths: Iterable[str]) -> list[str]:
    """Return each log once: nothing is to be counted twice.

    A file that was rotated belongs to its log, if that is named too.
    """
    logs: dict[str, str] = {}
    for path in paths:
        logs.setdefault(os.path.realpath(path), path)
    return [path for real, path in logs.items() if not (
        match := re.fullmatch(rf'(.+)\.{_NUMBER}', real))
        or match[1] not in logs]


class DecisionLog:
    """The files of some schedulers.

    :param paths: as ``decision_log_file`` names them
    :ivar paths: the same
    :ivar bad: lines that could not be read, so far
    :ivar lost: decisions that the schedulers could not write, so far
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = distinct(paths)
        self.bad = self.lost = 0

    def files(self) -> list[str]:
        """Return what there is of them, the oldest of each first."""
        return [file.name for path in self.paths for file in _found(path)]

    def records(self, since: datetime.datetime | None = None,
                containing: str = '') -> Iterator[DecisionRecord]:
        """Return the decisions; those of one scheduler in their order.

        :param since: only those from then on; with a time zone
        :param containing: a text that the line must have, as the uuid of a
            server: other lines are not parsed
        :raises OSError: if a file cannot be read
        """
        for file in (one for path in self.paths for one in _found(path)):
            if since is not None and file.written < since.timestamp():
                continue
            for line in file.lines():
                if containing in line:
                    yield from self._record(line, since)

    def _record(self, line: str, since: datetime.datetime | None,
                ) -> Iterator[DecisionRecord]:
        try:
            found = record_mod.parse(line)
        except record_mod.BadRecord:
            self.bad += 1
            return
        if since is not None and found.time < since:
            return
        if isinstance(found, LostDecisions):
            self.lost += found.lost
        else:
            yield found


@dataclasses.dataclass(frozen=True, slots=True)
class _LogFile:
    """A file of the log, which rotation can rename while the log is read.

    :param path: as ``decision_log_file`` names the log
    :param number: behind its name when it was found; 0 for none
    :param identity: device and inode
    :param written: when it was written last, in seconds since 1970
    """

    path: str
    number: int
    identity: tuple[int, int]
    written: float

    @property
    def name(self) -> str:
        """Its name when it was found."""
        return _name(self.path, self.number)

    def lines(self) -> Iterator[str]:
        """Return its lines; none if it was overwritten meanwhile.

        :raises OSError: if it cannot be read
        """
        # Rotation only counts numbers up.
        for number in range(self.number, 1 + max(
                self.number, line_file.MAX_FILES)):
            # In between two names, or gone.
            with (contextlib.suppress(FileNotFoundError),
                  open(_name(self.path, number), 'rb') as file):
                if _identity(os.fstat(file.fileno())) == self.identity:
                    for line in line_file.read(file):
                        yield line.decode(errors='replace')
                    return


def _found(path: str) -> list[_LogFile]:
    """Return a file with those that were rotated, the oldest first."""
    real = os.path.realpath(path)  # as rotation does
    path = real if os.path.exists(real) else path  # or a pipe of a shell
    numbers = sorted(
        int(match[1]) for name in glob.glob(f'{glob.escape(path)}.*')
        if (match := re.fullmatch(rf'\.{_NUMBER}', name[len(path):])))
    # The newest first: then rotation makes a file be found twice, not missed.
    found: dict[tuple[int, int], _LogFile] = {}
    for number in (0, *numbers, numbers[-1] + 1 if numbers else 1):
        with contextlib.suppress(FileNotFoundError):
            stat = os.stat(_name(path, number))
            found.setdefault(_identity(stat), _LogFile(
                path, number, _identity(stat), stat.st_mtime))
    return [*reversed(found.values())]


def _name(path: str, number: int) -> str:
    return f'{path}.{number}' if number else path


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino

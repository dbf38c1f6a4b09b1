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
import datetime
import glob
import os
import re

from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.decision_log.record import DecisionRecord
from cache_aware_sched.decision_log.record import LostDecisions


class DecisionLog:
    """The files of some schedulers.

    :param paths: as ``decision_log_file`` names them
    :ivar paths: the same
    :ivar bad: lines that could not be read, so far
    :ivar lost: decisions that the schedulers could not write, so far
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = list(paths)
        self.bad = self.lost = 0

    def files(self) -> list[str]:
        """Return what there is of them, the oldest of each first."""
        return [file for path in self.paths for file in _rotated(path)]

    def records(self, since: datetime.datetime | None = None,
                containing: str = '') -> Iterator[DecisionRecord]:
        """Return the decisions; those of one scheduler in their order.

        :param since: only those from then on; with a time zone
        :param containing: a text that the line must have, as the uuid of a
            server: other lines are not parsed
        :raises OSError: if a file cannot be read
        """
        for file in self.files():
            if since is not None and _ended_before(file, since):
                continue
            with open(file, encoding='utf-8', errors='replace') as lines:
                for line in lines:
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


def _rotated(path: str) -> list[str]:
    """Return a file with those that were rotated, the oldest first."""
    numbers = sorted((
        int(match[1]) for name in glob.glob(f'{glob.escape(path)}.*')
        if (match := re.fullmatch(r'\.([1-9]\d{0,5})', name[len(path):]))),
        reverse=True)
    return [*(f'{path}.{number}' for number in numbers),
            *([path] if os.path.exists(path) else [])]


def _ended_before(file: str, since: datetime.datetime) -> bool:
    """Return whether a file was written last before a time."""
    try:
        return os.stat(file).st_mtime < since.timestamp()
    except FileNotFoundError:  # rotated meanwhile
        return True

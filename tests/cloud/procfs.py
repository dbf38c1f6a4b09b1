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

"""What /proc says about processes."""

from collections.abc import Iterator
import dataclasses
import pathlib

PROC = pathlib.Path('/proc')

#: Of the fields of stat, counted from the one after the name.
_STATE, _PARENT, _GROUP, _SESSION, _START = 0, 1, 2, 3, 19


@dataclasses.dataclass(frozen=True, slots=True)
class Stat:
    """One process.

    :param parent: the number of the process that started it
    :param start: when it started, in clock ticks since the machine did: with
        it a process is told from a later one of the same number
    """

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start: int

    @property
    def running(self) -> bool:
        """Whether it is more than an entry that waits for its parent."""
        return self.state not in 'ZX'


def parse(line: str) -> Stat:
    """Return what a line of /proc/PID/stat says.

    :raises ValueError: if it is none
    """
    # The name is in parentheses, and anything can be in it.
    before, bracket, after = line.rpartition(')')
    fields = after.split()
    numbers = before.split(None, 1)
    if not bracket or not numbers or len(fields) <= _START:
        raise ValueError(f'no line of /proc/PID/stat: {line!r}')
    return Stat(int(numbers[0]), fields[_STATE],
                int(fields[_PARENT]), int(fields[_GROUP]),
                int(fields[_SESSION]), int(fields[_START]))


def stat(pid: int) -> Stat | None:
    """Return a process, None if there is none."""
    try:
        return parse((PROC / str(pid) / 'stat').read_text(
            errors='replace'))
    except (OSError, ValueError):
        return None


def processes() -> Iterator[Stat]:
    """Return all that run, but for what ends meanwhile."""
    for path in PROC.iterdir():
        if path.name.isdecimal():
            found = stat(int(path.name))
            if found is not None and found.running:
                yield found


def name(pid: int) -> str:
    """Return the short name of the program that a process runs, or ''."""
    try:
        return (PROC / str(pid) / 'comm').read_text(
            errors='replace').strip()
    except OSError:
        return ''


def command(pid: int) -> str:
    """Return the words of the command of a process with spaces, or ''."""
    try:
        return (PROC / str(pid) / 'cmdline').read_text(
            errors='replace').replace('\0', ' ').strip()
    except OSError:
        return ''


def mounts(pid: int) -> str:
    """Return the mounts that a process sees, '' if it is gone."""
    try:
        return (PROC / str(pid) / 'mountinfo').read_text(errors='replace')
    except OSError:
        return ''


def output(pid: int) -> str:
    """Return the path of what a process writes its output to, or ''."""
    try:
        return str((PROC / str(pid) / 'fd' / '1').readlink())
    except OSError:
        return ''


def memory(pid: int) -> int:
    """Return the bytes that a process takes up, its share of what is shared.

    0 if it is gone.
    """
    try:
        text = (PROC / str(pid) / 'smaps_rollup').read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1]) * 1024
    return 0


def boot_id() -> str:
    """Return what tells this start of the machine from all others."""
    return (PROC / 'sys/kernel/random/boot_id').read_text().strip()

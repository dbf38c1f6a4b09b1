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

"""Holds a place at the host that sends an image, over ssh.

One ssh session for each copy. On the host that sends it locks one of as many
files as copies may be made from there at a time, tells how large the image is,
and waits. It ends, and with it the lock, when this side closes it or is gone.
So the limit holds whoever copies, and nobody has to clean up.

nova's own function for ssh (nova.utils.ssh_execute) ends with its command; a
session that stays open is none of its uses. Its options are the same.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import enum
import shlex
import subprocess
import tempfile
import threading
from typing import Self

#: Seconds to connect, and to get an answer. Judgement: a boot waits, and there
#: are other hosts.
CONNECT_SECONDS = 10
ANSWER_SECONDS = 20.0

#: Seconds for a process to end that has closed its output.
_END_SECONDS = 5.0

#: Seconds between two signs of life of the other host, and how many of them
#: may be missed.
_ALIVE_SECONDS, _ALIVE_MISSED = 5, 3

#: In the directory of nova's lock files, with a number.
LOCK_FILE = 'cache-aware-sched-copy-'

_BUSY = 'busy'

# $1 the directory of locks, $2 the image, $3 how many at a time. What is said:
# the figures of the file before the copy and after it, or that it is busy.
_SCRIPT = f"""
[ ! -e "$2" ] || [ -f "$2" ] || exit 3
told=$(stat -L -c "%b %B %s" "$2") || exit 3
number=1
while [ "$number" -le "$3" ]; do
    exec 9>>"$1/{LOCK_FILE}$number" || exit 4
    if flock -n 9; then
        echo "$told"
        cat >/dev/null
        exec stat -L -c "%b %B %s" "$2"
    fi
    number=$((number + 1))
done
echo {_BUSY}
"""

# $1 the directory of locks. Who has fetched an image has it.
_CHECK = """
set -e
command -v flock stat >/dev/null
[ ! -e "$1" ] || [ -w "$1" ] || { echo "cannot write to $1" >&2; exit 1; }
"""


class Trouble(enum.Enum):
    """Why a copy was not made, in words for a log line and for a user."""

    NO_ANSWER = 'no answer over ssh'
    REFUSED = 'refused over ssh'
    ABSENT = 'without the image'
    BROKEN = 'broke off'
    STALLED = 'stalled'
    SIZE = 'of another size'
    UNFIT = 'not usable'


class CopyFailed(Exception):
    """An image could not be copied from a host.

    :param trouble: what kind of a failure it is
    :param detail: for the log
    """

    def __init__(self, trouble: Trouble, detail: object = '') -> None:
        text = ' '.join(str(detail).split())[:300]
        super().__init__(f'{trouble.value}: {text}' if text
                         else trouble.value)
        self.trouble = trouble


class Busy(Exception):
    """As many copies as may be are made from a host already."""


@dataclasses.dataclass(frozen=True, slots=True)
class FileFigures:
    """What the host that sends tells of the file.

    :param on_disk: bytes that it takes there
    :param length: bytes in it, holes included
    """

    on_disk: int
    length: int

    @classmethod
    def read(cls, line: str) -> Self:
        """Read them.

        :raises ValueError: if it is anything else
        """
        blocks, block_size, length = map(int, line.split())
        return cls(blocks * block_size, length)


class Sending:
    """A place at a host, while a copy is made from there."""

    def __init__(self, process: subprocess.Popen[str],
                 figures: FileFigures) -> None:
        self._process = process
        self.figures = figures

    @property
    def goes_on(self) -> bool:
        """Whether the other host still answers."""
        return self._process.poll() is None

    def end(self) -> FileFigures:
        """Give the place back; return what the host tells of the file now.

        :raises CopyFailed: if it does not tell
        """
        assert self._process.stdin and self._process.stdout
        with _ended_after(self._process, ANSWER_SECONDS):
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            text = self._process.stdout.read()
        try:
            return FileFigures.read(text)
        except ValueError:
            raise CopyFailed(Trouble.BROKEN, 'the host does not tell how '
                             'large the image is now') from None


@contextlib.contextmanager
def sending(address: str, path: str, locks: str, at_a_time: int,
            seconds: int) -> Iterator[Sending]:
    """Hold a place at a host while the block copies a file from there.

    :param address: of the host
    :param path: of the file, on that host
    :param locks: a directory on that host
    :param at_a_time: how many places there are
    :param seconds: after which the place is lost in any case
    :raises Busy: if there is no place
    :raises CopyFailed: if the host does not answer, or has no such file
    """
    command = _ssh(address, 'timeout', str(seconds), 'sh', '-c', _SCRIPT, 'sh',
                   locks, path, str(at_a_time))
    with tempfile.TemporaryFile('w+', errors='replace') as errors:
        # The address is nova's, and was looked at (sources.is_address).
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors, text=True, errors='replace')
        try:
            with _ended_after(process, ANSWER_SECONDS) as ended:
                assert process.stdout is not None
                line = process.stdout.readline().strip()
            if line == _BUSY:
                raise Busy
            try:
                figures = FileFigures.read(line)
            except ValueError:
                if not line:  # it has ended, or is about to
                    with _ended_after(process, _END_SECONDS):
                        process.wait()
                _end(process)
                errors.seek(0)
                raise _failure(process.returncode, ended.is_set(),
                               line or errors.read(2_000)) from None
            yield Sending(process, figures)
        finally:
            _end(process)


def check(address: str, locks: str) -> None:
    """See that a copy from a host could begin.

    :raises CopyFailed: if not
    """
    process = subprocess.Popen(
        _ssh(address, 'timeout', str(CONNECT_SECONDS), 'sh', '-c', _CHECK,
             'sh', locks), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors='replace')
    with _ended_after(process, ANSWER_SECONDS) as ended:
        out, errors = process.communicate()
    if ended.is_set() or process.returncode:
        raise _failure(process.returncode, ended.is_set(), errors or out)
    if out:
        raise _failure(0, False, f'its shell says: {out}')


def _ssh(address: str, *command: str) -> list[str]:
    return ['ssh', '-o', 'BatchMode=yes',
            '-o', f'ConnectTimeout={CONNECT_SECONDS}',
            '-o', f'ServerAliveInterval={_ALIVE_SECONDS}',
            '-o', f'ServerAliveCountMax={_ALIVE_MISSED}',
            address, shlex.join(command)]


def _failure(status: int, too_late: bool, text: str) -> CopyFailed:
    if too_late:
        return CopyFailed(Trouble.NO_ANSWER,
                          f'nothing within {ANSWER_SECONDS:g} s')
    if status == 3:
        return CopyFailed(Trouble.ABSENT, text)
    return CopyFailed(Trouble.REFUSED, text)


@contextlib.contextmanager
def _ended_after(process: subprocess.Popen[str], seconds: float,
                 ) -> Iterator[threading.Event]:
    """End a process if the block takes longer.

    :returns: whether that was so
    """
    ended = threading.Event()

    def end() -> None:
        ended.set()
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield ended
    finally:
        timer.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    """End a process, if it has not, and close what leads to it."""
    if process.poll() is None:
        process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None and not stream.closed:
            with contextlib.suppress(OSError):
                stream.close()
    process.wait()

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


"""A file that several processes append whole lines to, and that is rotated.

Each call opens the file, locks it and writes all lines with one system call.
A worker that is killed lets go of the lock; a line that it left torn gets an
end before the next one, and what did not fit on a full disk is cut off again.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import errno
import fcntl
import functools
import itertools
import os
import time
from typing import IO

#: Files of a log, at most (``decision_log_max_files``).
MAX_FILES = 1000

#: Bytes of a line: more than any record has. What is longer is taken for
#: several lines, so that a file of another kind does not fill the memory.
MAX_LINE = 10 ** 6

#: Readable by the group, as nova's own logs are.
MODE = 0o640

#: Seconds for which the file is waited for while others write and rotate it,
#: and between two looks. A write takes less than a millisecond.
LOCK_SECONDS, LOOK_SECONDS = 5.0, 0.01


def read(file: IO[bytes]) -> Iterator[bytes]:
    """Return the lines from where a file stands; see :func:`is_whole`."""
    return iter(functools.partial(file.readline, MAX_LINE), b'')


def is_whole(line: bytes) -> bool:
    """Return whether more of a line is not waited for.

    The last line of a file may still be without its end.
    """
    return line.endswith(b'\n') or len(line) >= MAX_LINE


@dataclasses.dataclass(frozen=True, slots=True)
class LineFile:
    """A file of lines.

    :param path: of it; ``path.1`` is the one before. Of a link the file that
        it stands for is rotated, beside that file.
    :param max_bytes: after which it is rotated; a line is never split
    :param backups: files that are kept besides
    """

    path: str
    max_bytes: int
    backups: int

    def append(self, lines: bytes) -> None:
        """Write whole lines, all of them or none.

        :raises OSError: if they could not be written
        """
        end = time.monotonic() + LOCK_SECONDS
        while time.monotonic() < end:
            with self._locked(end) as file:
                if not _is_at(file, self.path):
                    continue
                size = os.fstat(file).st_size
                if size > 0 and size + len(lines) > self.max_bytes:
                    self._rotate()
                    continue
                _write(file, size, lines)
                return
        raise OSError(errno.EBUSY, 'it is rotated all the time', self.path)

    @contextlib.contextmanager
    def _locked(self, end: float) -> Iterator[int]:
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT
                       | os.O_CLOEXEC | os.O_NONBLOCK, MODE)
        try:
            _lock(file, self.path, end)
            yield file
        finally:
            os.close(file)

    def _rotate(self) -> None:
        """Move all files on by one; the last one is overwritten."""
        path = os.path.realpath(self.path)
        if not self.backups:
            os.unlink(path)
        for number in range(self.backups, 0, -1):
            before = f'{path}.{number - 1}' if number > 1 else path
            with contextlib.suppress(FileNotFoundError):
                os.replace(before, f'{path}.{number}')
        # Those of a time when more were kept.
        with contextlib.suppress(FileNotFoundError):
            for number in itertools.count(self.backups + 1):
                os.unlink(f'{path}.{number}')


def _lock(file: int, path: str, end: float) -> None:
    """Lock a file, and let other threads run meanwhile.

    :param end: until when, in monotonic seconds
    :raises OSError: if other processes do not let go of it
    """
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise OSError(errno.EBUSY, 'another process keeps it locked',
                              path) from None
        time.sleep(LOOK_SECONDS)


def _is_at(file: int, path: str) -> bool:
    """Return whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _write(file: int, size: int, lines: bytes) -> None:
    """Write lines to the end of a locked file.

    :param size: of the file
    """
    if size and os.pread(file, 1, size - 1) != b'\n':
        lines = b'\n' + lines  # a worker was killed while it wrote
    try:
        # Not os.write: eventlet waits in it until a pipe is read.
        written = os.writev(file, [lines])
        if written < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        with contextlib.suppress(OSError):  # a device, which has no size
            os.ftruncate(file, size)
        raise

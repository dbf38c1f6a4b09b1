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

"""Writes files that others read at any time, and opens those of others."""

import contextlib
import os
import re
import stat
import tempfile

#: Readable by others, as node-exporter, which is another user.
FOR_OTHERS = 0o644
#: Nobody else need know.
PRIVATE = 0o600


class CannotWrite(Exception):
    """A file cannot be written; the message names it."""


def regular(path: str, flags: int) -> int:
    """Open a file, as an opener; not to be kept waiting by a pipe.

    :raises OSError: if it cannot be opened, or is no file
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError('it is not a file')
    return descriptor


def output(path: str, content: str) -> None:
    """Write what a user asked for: a file whole or not at all.

    What is none is written to, as ``/dev/stdout`` or a pipe: it must not be
    replaced by a file.

    :raises CannotWrite: naming the file
    """
    if not _is_special(path):
        replace(path, content)
        return
    try:
        # Not 'w': that would empty the file which stdout is, as with >>.
        with open(path, 'a', encoding='utf-8') as file:
            file.write(content)
    except OSError as error:
        raise _cannot_write(path, error) from None


def _is_special(path: str) -> bool:
    """Return whether a path names a device, a pipe or an open file."""
    if re.match(r'/(dev/(?!shm/)|proc/)', os.path.abspath(path)):
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def replace(path: str, content: str, mode: int = FOR_OTHERS) -> None:
    """Write a file that is seen whole, or not at all.

    :param mode: its permissions
    :raises CannotWrite: naming the file
    """
    try:
        handle, temporary = tempfile.mkstemp(
            dir=os.path.dirname(path) or '.', prefix='.cache-aware-sched-')
        try:
            with os.fdopen(handle, 'w', encoding='utf-8') as file:
                file.write(content)
                os.fchmod(file.fileno(), mode)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: str, error: OSError) -> CannotWrite:
    return CannotWrite(
        f'{path} cannot be written: {error.strerror or error}')

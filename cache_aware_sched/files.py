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

"""Writes files that others read at any time."""

import contextlib
import os
import tempfile

#: Readable by others, as node-exporter, which is another user.
_MODE = 0o644


class CannotWrite(Exception):
    """A file cannot be written; the message names it."""


def replace(path: str, content: str) -> None:
    """Write a file that is seen whole, or not at all.

    :raises CannotWrite: naming the file
    """
    try:
        handle, temporary = tempfile.mkstemp(
            dir=os.path.dirname(path) or '.', prefix='.cache-aware-sched-')
        try:
            with os.fdopen(handle, 'w', encoding='utf-8') as file:
                file.write(content)
                os.fchmod(file.fileno(), _MODE)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise CannotWrite(
            f'{path} cannot be written: {error.strerror or error}') from None

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

"""What the head of a disk says of its backing file."""

import contextlib
import errno
import json
import os
import re
import stat
import struct
from typing import Any

#: The head of a qcow or qcow2 file: magic, version, where the name of the
#: backing file is, and how long it is, at most 1,023 bytes (QEMU,
#: docs/interop/qcow2.rst; version 1 has the same fields).
_HEAD = struct.Struct('>4sIQI')
_MAGIC = b'QFI\xfb'
_MAX_NAME = 1023

#: Bytes that are read of a file at first. qemu-img (7.2.22) writes the
#: name from byte 528 on, so a path of up to 496 bytes is among them.
_BLOCK = 1024

#: How QEMU writes the backing file if it takes more than a path.
_JSON = 'json:'


def file_name(backing: str) -> str:
    """Return the file name in what a disk says of its backing file."""
    if backing.startswith(_JSON):
        # What is no JSON keeps the file that it ends with.
        with contextlib.suppress(ValueError, RecursionError):
            backing = _filename(json.loads(backing[len(_JSON):]))
    return re.split('[/:]', backing)[-1]


def _filename(options: Any) -> str:
    """Return the path in the options of a block device, '' without one."""
    while isinstance(options, dict):
        name = options.get('filename', options.get('file.filename'))
        if isinstance(name, str):
            return name
        options = options.get('file')
    return ''


def backing_file(path: str) -> str:
    """Return the backing file of a qcow2 file, as it is written there.

    :returns: '' if there is none, or this is another kind of file
    :raises OSError: if it cannot be read
    """
    # Not to be kept waiting by a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        head = os.pread(descriptor, _BLOCK, 0)
        if len(head) < _HEAD.size or not head.startswith(_MAGIC):
            return ''
        _magic, _version, offset, size = _HEAD.unpack_from(head)
        status = os.fstat(descriptor)
        if not 0 < offset < status.st_size or not stat.S_ISREG(
                status.st_mode):
            return ''
        end = offset + min(size, _MAX_NAME)
        name = (head[offset:end] if end <= len(head)
                else os.pread(descriptor, end - offset, offset))
        return name.decode('utf-8', errors='replace')
    except OSError as error:
        if error.errno in (errno.ESPIPE, errno.EISDIR):
            return ''
        raise
    finally:
        os.close(descriptor)

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

"""Which blocks of a file others have too, by reflinks. No nova.

What such a file takes of the disk is told by no figure of ``stat(2)``: each of
them counts all of its blocks. The kernel tells of each extent whether it is
shared (``ioctl_fiemap`` of the kernel's documentation).
"""

import dataclasses
import fcntl
import os
import struct
import time

#: ``ioctl(2)`` FS_IOC_FIEMAP: _IOWR('f', 11, struct fiemap) of linux/fs.h.
_FIEMAP = 0xC020660B

#: struct fiemap: start, length, flags, mapped, count, reserved; and struct
#: fiemap_extent: logical, physical, length, 16 bytes, flags, 12 bytes.
_HEAD, _EXTENT = struct.Struct('=QQIIII'), struct.Struct('=QQQ16xI12x')

#: FIEMAP_FLAG_SYNC, FIEMAP_EXTENT_LAST and FIEMAP_EXTENT_SHARED.
_SYNC, _LAST, _SHARED = 0x1, 0x1, 0x2000

#: Extents that are asked for at a time: 28 KiB.
_BATCH = 512

#: Seconds for which the extents of one file are read. Judgement: a file of a
#: million pieces takes about as long, and what is left is no reason to wait.
_SECONDS = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Blocks:
    """What a file has on the disk, in bytes.

    :param mapped: all of it
    :param shared: what other files have too
    """

    mapped: int = 0
    shared: int = 0


def of(path: str, sync: bool = False) -> Blocks | None:
    """Return the blocks of a file; None where nobody tells.

    Of a file in too many pieces, those that were read in the time.

    :param sync: whether to write to the disk first what is not yet there, and
        is not told of otherwise
    """
    try:
        # What is no file must not keep anybody waiting.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
                       | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _of(file, _SYNC if sync else 0)
    except OSError:  # of a file system that does not know the question
        return None
    finally:
        os.close(file)


def _of(file: int, flags: int) -> Blocks:
    mapped = shared = start = 0
    end = time.monotonic() + _SECONDS
    while True:
        answer = bytearray(_HEAD.size + _BATCH * _EXTENT.size)
        _HEAD.pack_into(answer, 0, start, 2 ** 64 - 1 - start, flags, 0,
                        _BATCH, 0)
        fcntl.ioctl(file, _FIEMAP, answer)
        number = _HEAD.unpack_from(answer)[3]
        is_last = not number
        for index in range(number):
            logical, _physical, length, said = _EXTENT.unpack_from(
                answer, _HEAD.size + index * _EXTENT.size)
            mapped += length
            shared += length if said & _SHARED else 0
            start = logical + length
            is_last = bool(said & _LAST)
        if is_last or time.monotonic() > end:
            return Blocks(mapped, shared)

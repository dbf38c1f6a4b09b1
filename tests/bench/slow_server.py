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
"""Serves a directory as a slow file system, until it is unmounted.

python -m tests.bench.slow_server DIRECTORY MOUNT_POINT
"""

import os
import sys
import time
from typing import Any

import mfusepy

from tests.bench import slow


def _late(function: Any) -> Any:
    def call(self: Any, *args: Any) -> Any:
        time.sleep(slow.DELAY)
        return function(self, *args)
    return call


class Late(mfusepy.Operations):
    """Each operation is that of a directory, and late."""

    use_ns = True

    def __init__(self, below: str) -> None:
        self._below = below

    @_late
    def getattr(self, path: str, fh: int | None = None
                ) -> dict[str, int]:
        status = os.lstat(self._below + path)
        return {**{name: getattr(status, name) for name in (
            'st_ino', 'st_mode', 'st_nlink', 'st_uid', 'st_gid',
            'st_size', 'st_blocks')},
            'st_atime': status.st_atime_ns,
            'st_mtime': status.st_mtime_ns,
            'st_ctime': status.st_ctime_ns}

    @_late
    def readdir(self, path: str, fh: int) -> list[str]:
        return ['.', '..', *os.listdir(self._below + path)]

    @_late
    def open(self, path: str, flags: int) -> int:
        return os.open(self._below + path, flags)

    @_late
    def create(self, path: str, mode: int, fi: Any = None) -> int:
        return os.open(self._below + path, os.O_RDWR | os.O_CREAT, mode)

    @_late
    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    @_late
    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    @_late
    def truncate(self, path: str, length: int, fh: int | None = None
                 ) -> None:
        os.truncate(self._below + path, length)

    @_late
    def unlink(self, path: str) -> None:
        os.unlink(self._below + path)

    @_late
    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._below + path, mode)

    @_late
    def rmdir(self, path: str) -> None:
        os.rmdir(self._below + path)

    @_late
    def rename(self, old: str, new: str) -> None:
        os.rename(self._below + old, self._below + new)

    @_late
    def utimens(self, path: str, times: tuple[int, int]) -> None:
        os.utime(self._below + path, ns=times)

    @_late
    def statfs(self, path: str) -> dict[str, int]:
        status = os.statvfs(self._below + path)
        return {name: getattr(status, name) for name in (
            'f_bsize', 'f_frsize', 'f_blocks', 'f_bfree', 'f_bavail',
            'f_files', 'f_ffree', 'f_favail', 'f_namemax')}

    def release(self, path: str, fh: int) -> None:
        os.close(fh)


if __name__ == '__main__':
    mfusepy.FUSE(Late(sys.argv[1]), sys.argv[2], foreground=True,
                 default_permissions=True)

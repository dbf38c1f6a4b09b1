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

"""What the file server knows of a file, which the kernel here may not.

The kernel answers from its memory for some seconds, where what another host
has done is not in.
"""

import contextlib
import errno
import os
import stat

#: Bytes of a page of memory, at least.
_PAGE = 2 ** 16


def look_up_anew(path: str) -> None:
    """Have the kernel ask the file server whether a file is there.

    It answers from its memory for some seconds that a file is there which
    another host has evicted; nova would then not fetch the image, and fail. It
    asks anew for what must not exist to succeed. This does not: no symbolic
    link has a name that ends with a slash.
    """
    with contextlib.suppress(OSError):
        os.symlink('.', f'{path}/')


def found(path: str) -> tuple[int, int] | None:
    """Return inode and time of modification of a file; None of another thing.

    Of a file on another machine the kernel answers from its memory for some
    seconds, where another host's touch is not in. It asks anew when a file is
    opened (NFS), or was read (FUSE).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
                             | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            # Not from the memory of this machine either.
            os.posix_fadvise(
                descriptor, 0, _PAGE, os.POSIX_FADV_DONTNEED)
            os.pread(descriptor, 1, 0)
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_ino, status.st_mtime_ns

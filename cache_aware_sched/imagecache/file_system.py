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

"""What kind of a file system the image cache is on."""

import dataclasses
import errno
import fcntl
import os
import tempfile

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

#: File systems of this machine that may have reflinks. What is on another
#: machine is not tried: it could keep nova-compute waiting.
_MAY_HAVE = frozenset(('bcachefs', 'btrfs', 'ocfs2', 'xfs', 'zfs'))

#: Those of this machine that have none (Linux 6.12).
_NEVER_HAVE = frozenset(('ext2', 'ext3', 'ext4', 'f2fs', 'ramfs', 'tmpfs'))

#: ``ioctl(2)`` FICLONE: _IOW(0x94, 9, int) of linux/fs.h, where the direction
#: is in the upper two bits, as on x86 and ARM.
_FICLONE = 0x40049409

#: What a kernel answers where files cannot share blocks (ioctl_ficlone(2)).
_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV,
           errno.ENOSYS)

#: Bytes: a block of most file systems.
_BLOCK = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class FileSystem:
    """What is known of a file system; None is unknown.

    :param reflinks: whether files can share blocks
    :param own_device: whether the disks of instances are on another device
    """

    reflinks: bool | None = None
    own_device: bool | None = None


class Reflinks:
    """Finds out once for each device whether files can share blocks."""

    def __init__(self) -> None:
        self._known: dict[int, bool | None] = {}

    def look(self, cache: str, instances: str) -> FileSystem:
        """Return what is known of the file system of a cache.

        Never raises.

        :param cache: its directory, which the first fetch makes below the
            other one
        :param instances: the directory of the instances
        """
        own_device = differ(cache, instances)
        return FileSystem(
            self._of(instances if own_device is None else cache), own_device)

    def _of(self, directory: str) -> bool | None:
        try:
            device = os.stat(directory).st_dev
            if device not in self._known:
                self._known[device] = _try(directory)
            return self._known[device]
        except Exception as error:
            LOG.debug('Nobody can tell whether %(path)s has reflinks: '
                      '%(error)s', {'path': directory, 'error': error})
            return None


def differ(one: str, other: str) -> bool | None:
    """Return whether two directories are on different devices.

    :returns: None if one is not there
    """
    try:
        return os.stat(one).st_dev != os.stat(other).st_dev
    except OSError:
        return None


def _try(directory: str) -> bool | None:
    """Clone one block, of a file without a name, where that is safe."""
    kind = kind_of(directory)
    if kind in _NEVER_HAVE:
        return False
    if kind not in _MAY_HAVE:
        return None
    try:
        with (tempfile.TemporaryFile(dir=directory) as source,
              tempfile.TemporaryFile(dir=directory) as target):
            source.write(b'\0' * _BLOCK)
            source.flush()
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except OSError as error:
        # A full disk, or one that is only read, says nothing.
        return False if error.errno in _CANNOT else None
    return True


def kind_of(directory: str) -> str:
    """Return the type of a file system, '' if it cannot be told.

    :raises OSError: if the mounts cannot be read
    """
    path = os.path.realpath(directory)
    best, kind = '', ''
    with open('/proc/self/mountinfo', encoding='utf-8',
              errors='surrogateescape') as mounts:
        for line in mounts:
            # proc(5): the type follows the dash; a later mount covers others.
            before, _dash, after = line.partition(' - ')
            where = _unescaped(before.split()[4])
            if len(where) >= len(best) and _is_below(path, where):
                best, kind = where, after.split()[0]
    return kind


def _is_below(path: str, directory: str) -> bool:
    return directory == '/' or path == directory or (
        path.startswith(f'{directory}/'))


def _unescaped(path: str) -> str:
    """Return a path of mountinfo, where blanks are octal numbers."""
    for escaped, char in (('\\040', ' '), ('\\011', '\t'), ('\\012', '\n'),
                          ('\\134', '\\')):
        path = path.replace(escaped, char)
    return path

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

"""Which entries are backing files of disks, down the whole chain."""

from collections.abc import Collection
from collections.abc import Iterator
import errno
import os
import re
import stat
import struct

#: The head of a qcow or qcow2 file: magic, version, where the name of the
#: backing file is, and how long it is, at most 1,023 bytes (QEMU,
#: docs/interop/qcow2.rst; version 1 has the same fields).
_HEAD = struct.Struct('>4sIQI')
_MAGIC = b'QFI\xfb'
_MAX_NAME = 1023

#: What separates words in a path and in QEMU's "json:{...}" names.
_WORD = re.compile(r'[^/\\"\'{}\[\]:,=\s]+')

#: Of the disks that nova makes: disk, disk.eph0, disk.local, disk.rescue.
_DISK = 'disk'

#: The directory of an instance: its uuid, its name in old releases, and either
#: of them followed by _resize or _del. Others may be root's, as lost+found.
_INSTANCE = re.compile('[0-9a-f]{8}-|instance-')

#: Where nova's lock files are.
_LOCKS = 'locks'


class UnreadableDisk(Exception):
    """Nobody can tell what a disk is backed by.

    :param path: of the disk
    """

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(f'{path}: {error.strerror or error}')


def used(instances_path: str, cache_path: str, names: Collection[str],
         known: Collection[str] = ()) -> set[str]:
    """Return the names of the entries that disks are made on top of.

    Looks into every directory beside the cache, also of instances that the
    database does not know, and of both ends of a resize.

    :param instances_path: the directory with one directory for each instance
    :param cache_path: the directory of the image cache
    :param names: of all entries
    :param known: names of entries that are in use anyway; what they are
        backed by is, too
    :raises UnreadableDisk: if a disk is there and cannot be read
    """
    found = set(known)
    for path in _files(instances_path, cache_path):
        found |= _backing(path, names)
    todo = list(found)
    while todo:
        further = _backing(os.path.join(cache_path, todo.pop()), names) - found
        found |= further
        todo += further
    return found


def _backing(path: str, names: Collection[str]) -> set[str]:
    """Return the entries that a file names as its backing file.

    By file name, as nova does: the directory may have had another path when
    the disk was made. A guest that writes the head of a qcow2 file into its
    raw disk can keep an entry from being removed, and no more.
    """
    try:
        text = backing_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        # Logs of root's, sockets of QEMU's: what is no disk does not matter.
        if os.path.basename(path).startswith(_DISK):
            raise UnreadableDisk(path, error) from error
        return set()
    return {word for word in _WORD.findall(text) if word in names}


def backing_file(path: str) -> str:
    """Return the backing file of a qcow2 file, as it is written there.

    :returns: '' if there is none, or this is another kind of file
    :raises OSError: if it cannot be read
    """
    # Not to be kept waiting by a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return ''
        head = os.pread(descriptor, _HEAD.size, 0)
        if len(head) < _HEAD.size:
            return ''
        magic, _version, offset, size = _HEAD.unpack(head)
        if magic != _MAGIC or not 0 < offset < status.st_size:
            return ''
        name = os.pread(descriptor, min(size, _MAX_NAME), offset)
        return name.decode('utf-8', errors='replace')
    finally:
        os.close(descriptor)


def _files(instances_path: str, cache_path: str) -> Iterator[str]:
    """Return the files of the instances, two directories deep.

    Symbolic links are followed: operators move instances to other disks.
    """
    others = (os.path.basename(cache_path), _LOCKS)
    for entry in _list(instances_path, needed=True):
        if entry.name not in others:
            needed = _INSTANCE.match(entry.name) is not None
            for below in _list(entry.path, needed):
                yield below.path
                yield from (file.path
                            for file in _list(below.path, needed=False))


def _list(path: str, needed: bool) -> list['os.DirEntry[str]']:
    """Return what is in a directory; nothing if it is none.

    :param needed: whether there may be disks in it
    """
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if needed and error.errno != errno.ELOOP:
            raise UnreadableDisk(path, error) from error
        return []

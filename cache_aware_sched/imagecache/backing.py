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

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
import errno
import math
import os
import re
import time
from typing import Any
from typing import NamedTuple
from typing import TypeVar

from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache import qcow2

T = TypeVar('T')

#: Of the disks that nova makes: disk, disk.eph0, disk.local, disk.rescue.
_DISK = 'disk'

#: The directory of an instance: its uuid, its name in old releases, and either
#: of them followed by _resize or _del. Others may be root's, as lost+found.
_INSTANCE = re.compile('[0-9a-f]{8}-|instance-')

#: Where nova's lock files are.
_LOCKS = 'locks'

#: Directories below that of an instance that are looked into, one in the
#: other. nova makes none; operators move disks. Judgement.
_DEPTH = 6


class UnreadableDisk(Exception):
    """Nobody can tell what a disk is backed by.

    :param path: of the disk
    """

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(f'{path}: {error.strerror or error}')


class TooManyDisks(Exception):
    """It takes too long to look into all disks at once."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f'not all of its disks could be looked into within '
                         f'{seconds:g} s')


class _Patience:
    """Keeps account of how long files are looked into.

    :param seconds: that it may take
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = self._left = seconds

    def look(self, function: Callable[..., T], *args: Any) -> T:
        """Return what a function that looks into a file returns.

        :raises TooManyDisks: if those before took too long
        """
        if self._left < 0:
            raise TooManyDisks(self._seconds)
        start = time.monotonic()
        try:
            return function(*args)
        finally:
            self._left -= time.monotonic() - start


class _InstanceDirectory(NamedTuple):
    """The disks in a directory of an instance.

    :param inode: of the directory
    :param changed_ns: when files of it came or went, nanoseconds since the
        epoch; 0 if that would not tell
    :param names: of what the disks are made on top of
    :param settled: whether it had not changed for a while when it was looked
        into; what is made on top of what may change in a new one
    """

    inode: int
    changed_ns: int
    names: tuple[str, ...]
    settled: bool = False


class _Head(NamedTuple):
    """The head of an entry.

    :param version: inode and length of the entry
    :param backing: the name of what it is made on top of, '' if of nothing
    """

    version: tuple[int, int]
    backing: str


class Disks:
    """The disks below the directory of the instances.

    Looks into every directory beside the cache, also of instances that the
    database does not know, and of both ends of a resize.
    """

    def __init__(self) -> None:
        self._known: dict[str, _InstanceDirectory] = {}
        self._heads: dict[str, _Head] = {}

    def used(self, instances_path: str, cache_path: str,
             entries: Collection[Entry], known: Collection[str],
             settled: float, patience: float = math.inf,
             anew: bool = False) -> set[str]:
        """Return the names of the entries that disks are made on top of.

        :param instances_path: the directory with one directory for each
            instance
        :param cache_path: the directory of the image cache
        :param entries: all of them
        :param known: names of entries that are in use anyway; what they are
            backed by is, too
        :param settled: what was seen in a directory is believed if it had not
            changed since this time, and did not since; seconds since the epoch
        :param patience: seconds for which files may be looked into
        :param anew: whether to look into all of them, whatever is known
        :raises UnreadableDisk: if a disk is there and cannot be read
        :raises TooManyDisks: if it takes longer; what was seen is known the
            next time
        """
        found = set(known)
        names = {entry.name for entry in entries}
        seen: dict[str, _InstanceDirectory] = {}
        wait = _Patience(patience)
        others = (os.path.basename(cache_path), _LOCKS)
        try:
            for entry in _list(instances_path, needed=True):
                if entry.name in others or not _is_dir(entry):
                    continue
                before = self._known.get(entry.name)
                version = _version(entry)
                if (anew or before is None or not before.settled
                        or (before.inode, before.changed_ns) != version):
                    disks = wait.look(_look, entry, *version, settled * 1e9)
                    # One object for as long as it is so, not one a pass.
                    if disks != before:
                        before = disks
                seen[entry.name] = before
                found.update(before.names)
        except TooManyDisks:
            self._known.update(seen)
            raise
        self._known = seen
        found &= names
        return self._whole_chains(cache_path, entries, found, wait)

    def _whole_chains(self, cache_path: str, entries: Collection[Entry],
                      found: set[str], wait: _Patience) -> set[str]:
        """Return entries with what they are made on top of themselves.

        An entry is written once and never changed, so its head is read once.
        """
        by_name = {entry.name: entry for entry in entries}
        self._heads = heads = {
            name: head for name, head in self._heads.items()
            if name in by_name}
        todo = list(found)
        while todo:
            entry = by_name.get(todo.pop())
            if entry is None:
                continue
            head = heads.get(entry.name)
            if head is None or head.version != (entry.inode, entry.length):
                head = heads[entry.name] = _Head(
                    (entry.inode, entry.length), wait.look(
                        _backing, os.path.join(cache_path, entry.name)))
            if head.backing in by_name and head.backing not in found:
                found.add(head.backing)
                todo.append(head.backing)
        return found


def _version(entry: 'os.DirEntry[str]') -> tuple[int, int]:
    """Return what tells whether files of a directory came or went."""
    try:
        status = os.stat(entry.path)
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _look(entry: 'os.DirEntry[str]', inode: int, changed_ns: int,
          settled_ns: float) -> _InstanceDirectory:
    """Return what the disks in a directory are made on top of."""
    names: list[str] = []
    for file in _list(entry.path, _INSTANCE.match(entry.name) is not None):
        if _is_dir(file):
            # What changes in it does not change the one that holds it.
            changed_ns = 0
            names.extend(map(_backing, _files(file.path, _DEPTH - 1)))
        else:
            names.append(_backing(file.path))
    return _InstanceDirectory(inode, changed_ns, tuple(names),
                              bool(inode) and changed_ns <= settled_ns)


def _backing(path: str) -> str:
    """Return the name of the backing file of a file, '' if it has none.

    By file name, as nova does: the directory may have had another path when
    the disk was made. A guest that writes the head of a qcow2 file into its
    raw disk can keep one entry from being removed, and no more.
    """
    try:
        return qcow2.file_name(qcow2.backing_file(path))
    except (FileNotFoundError, NotADirectoryError):
        return ''
    except OSError as error:
        # Logs of root's, sockets of QEMU's: what is no disk does not matter.
        if os.path.basename(path).startswith(_DISK):
            raise UnreadableDisk(path, error) from error
        return ''


def _files(path: str, depth: int) -> Iterator[str]:
    """Return the files below a directory.

    :param depth: of the directories in it that are looked into
    """
    for entry in _list(path, needed=False):
        if not _is_dir(entry):
            yield entry.path
        elif depth:
            yield from _files(entry.path, depth - 1)


def _is_dir(entry: 'os.DirEntry[str]') -> bool:
    """Return whether it is a directory.

    Symbolic links are followed: operators move instances to other disks.
    """
    try:
        return entry.is_dir()
    except OSError as error:
        # Of what cannot be looked at it is told when it is listed.
        return error.errno != errno.ELOOP


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

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

"""What is in a libvirt host's image cache directory."""

from collections.abc import Iterator
import os
import time
from typing import NamedTuple

from cache_aware_sched.imagecache import entry as entry_mod
from cache_aware_sched.report import BaseFile
from cache_aware_sched.report import Kind

#: Seconds without a write after which nobody is fetching this any more: a
#: fetch that was killed leaves its file behind for ever.
FETCH_TIMEOUT = 60


class _Seen(NamedTuple):
    """A file as it was seen.

    :param since: when it was first seen with this size, monotonic seconds
    :param grew: whether it had another size before that
    """

    inode: int
    size: int
    since: float
    grew: bool


class CacheDirectory:
    """Lists the base files.

    :param path: of the directory; it need not exist
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._seen: dict[str, _Seen] = {}

    def files(self) -> list[BaseFile]:
        """Return the complete and the arriving images and resized copies.

        Anything else is passed over: other files, directories, symlinks.

        :raises OSError: if the directory is there but cannot be read
        """
        seen: dict[str, _Seen] = {}
        found: dict[tuple[str, int], BaseFile] = {}
        for name, entry in self._entries():
            sha1 = name.sha1
            if sha1 is None:
                continue
            file = self._file(sha1, name, entry, seen)
            if file is None:
                continue
            key = (sha1, file.size if file.kind is Kind.RESIZED else -1)
            # An image that is there and is fetched again is there.
            if key not in found or file.kind is not Kind.ARRIVING:
                found[key] = file
        self._seen = seen
        return list(found.values())

    def _entries(self) -> Iterator[tuple[entry_mod.Name,
                                         'os.DirEntry[str]']]:
        try:
            entries = os.scandir(self.path)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                name = entry_mod.parse(entry.name)
                if name and entry.is_file(follow_symlinks=False):
                    yield name, entry

    def _file(self, sha1: str, name: entry_mod.Name,
              entry: 'os.DirEntry[str]',
              seen: dict[str, _Seen]) -> BaseFile | None:
        if name.kind is entry_mod.Kind.RESIZED:
            return (BaseFile(sha1, name.grown, Kind.RESIZED)
                    if name.grown else None)
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # it went while we looked
            return None
        now = time.monotonic()
        before = self._seen.get(entry.name)
        if before is None or (before.inode, before.size) != (
                status.st_ino, status.st_size):
            before = _Seen(
                status.st_ino, status.st_size, now,
                before is not None and before.inode == status.st_ino)
        seen[entry.name] = before
        unchanged = now - before.since
        if name.kind is entry_mod.Kind.TEMPORARY:
            # By its own time, unless that is yet to come.
            age = time.time() - status.st_mtime
            if (age if age >= 0 else unchanged) > FETCH_TIMEOUT:
                return None
            return BaseFile(sha1, status.st_size, Kind.ARRIVING)
        # nova gives a file its name when it is complete, but copies from
        # another host, as operators do, under the name that it is to have.
        if before.grew and unchanged <= FETCH_TIMEOUT:
            return BaseFile(sha1, status.st_size, Kind.ARRIVING)
        return BaseFile(sha1, status.st_size)

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

"""What a host reports of the base files in its image cache."""

from collections.abc import Iterator
import time
from typing import NamedTuple

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import entry as entry_mod
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache import evictable
from cache_aware_sched.report import BaseFile
from cache_aware_sched.report import FileKind

#: Seconds without a change after which a file that grew is complete. nova
#: gives a file its name when it is complete, but copies from another host, as
#: operators do, under the name that it is to have. Judgement: no copy that
#: goes on pauses for as long.
COMPLETE_SECONDS = 60


class _Seen(NamedTuple):
    """A file as it was seen.

    :param since: when it was first seen with this length, monotonic seconds
    :param grew: whether it had another length before that
    """

    inode: int
    length: int
    since: float
    grew: bool


class CachedFiles:
    """Lists the images and resized copies, complete and arriving.

    :param cache: the directory; it need not be there
    """

    def __init__(self, cache: directory.Directory) -> None:
        self._cache = cache
        self._seen: dict[str, _Seen] = {}

    def files(self) -> list[BaseFile]:
        """Return the files.

        :raises OSError: if the directory is there but cannot be read
        """
        now = time.time()
        entries = self._cache.entries(now)
        arriving = evictable.arriving(entries, now)
        seen: dict[str, _Seen] = {}
        found: dict[tuple[str, int], BaseFile] = {}
        for file in self._files(entries, arriving, seen):
            key = (file.sha1,
                   file.size if file.kind is FileKind.RESIZED else -1)
            # An image that is there and is fetched again is there. One that
            # is converted has two files: the larger is known.
            before = found.get(key)
            if before is None or (before.kind, -before.size) > (
                    file.kind, -file.size):
                found[key] = file
        self._seen = seen
        return list(found.values())

    def _files(self, entries: list[Entry], arriving: set[str],
               seen: dict[str, _Seen]) -> Iterator[BaseFile]:
        for entry in entries:
            sha1 = entry.sha1
            if sha1 is None:
                continue
            if entry.kind is entry_mod.Kind.RESIZED:
                name = entry_mod.parse(entry.name)
                if name and name.grown:
                    yield BaseFile(sha1, name.grown, FileKind.RESIZED)
                continue
            before = self._look(entry, seen)
            unchanged = time.monotonic() - before.since
            if entry.kind is entry_mod.Kind.IMAGE:
                grows = before.grew and unchanged < COMPLETE_SECONDS
                yield BaseFile(
                    sha1, entry.length,
                    FileKind.ARRIVING if grows else FileKind.COMPLETE)
            # What is dated in the future would arrive for ever.
            elif entry.name in arriving and (
                    entry.modified_ns == entry.used_ns
                    or unchanged < evictable.ABANDONED_SECONDS):
                yield BaseFile(sha1, entry.length, FileKind.ARRIVING)

    def _look(self, entry: Entry, seen: dict[str, _Seen]) -> _Seen:
        """Return how a file was seen, and note that it is."""
        before = self._seen.get(entry.name)
        if before is None or (before.inode, before.length) != (
                entry.inode, entry.length):
            before = _Seen(
                entry.inode, entry.length, time.monotonic(),
                before is not None and before.inode == entry.inode)
        seen[entry.name] = before
        return before

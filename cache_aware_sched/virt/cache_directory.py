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

from collections.abc import Container
from collections.abc import Iterator
import dataclasses
import os
import re
import time

from cache_aware_sched.report import BaseFile
from cache_aware_sched.report import Kind

#: nova names a base file by the sha1 of the image id. While the image is
#: fetched the file is ``.part``, while it is made raw also ``.converted``, and
#: it gets its name when it is complete (nova.virt.images.fetch_to_raw). A copy
#: that was grown to a disk's size is ``_<size>``. Swap and ephemeral disks
#: (``swap_N``, ``ephemeral_N_xxxxxxx``) never match.
_NAME = re.compile(r'(?P<sha1>[0-9a-f]{40})'
                   r'(?:_(?P<size>[0-9]{1,18})|(?P<temporary>\.part|'
                   r'\.converted))?')

#: nova writes GiB (nova.virt.libvirt.imagebackend, nova 34.0.0), others wrote
#: bytes; no disk is as small as this many bytes, nor as large in GiB.
_SMALLEST_BYTES = 2 ** 20

#: Seconds without a write after which nobody is fetching this any more: a
#: fetch that was killed leaves its file behind for ever.
FETCH_TIMEOUT = 60


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    inode: int
    size: int


class CacheDirectory:
    """Lists the base files; asks for the size of each only once.

    A complete base file never changes, and listing a directory tells the
    inode and the type for nothing.

    :param path: of the directory; it need not exist
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._seen: dict[str, _Seen] = {}

    def files(self, without: Container[str] = ()) -> list[BaseFile]:
        """Return the complete and the arriving images and resized copies.

        Anything else is passed over: other files, directories, symlinks.

        :param without: names (sha1) of files that are kernels or ramdisks,
            which look like images
        :raises OSError: if the directory is there but cannot be read
        """
        seen: dict[str, _Seen] = {}
        found: dict[tuple[str, int], BaseFile] = {}
        for match, entry in self._entries():
            sha1 = match['sha1']
            if sha1 in without:
                continue
            file = self._file(match, entry, seen)
            if file is None:
                continue
            key = (sha1, file.size if file.kind is Kind.RESIZED else -1)
            # An image that is there and is fetched again is there.
            if key not in found or file.kind is not Kind.ARRIVING:
                found[key] = file
        self._seen = seen
        return list(found.values())

    def _entries(self) -> Iterator[tuple[re.Match[str],
                                         'os.DirEntry[str]']]:
        try:
            entries = os.scandir(self.path)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match and entry.is_file(follow_symlinks=False):
                    yield match, entry

    def _file(self, match: re.Match[str], entry: 'os.DirEntry[str]',
              seen: dict[str, _Seen]) -> BaseFile | None:
        if match['size']:
            size = int(match['size'])
            if size < _SMALLEST_BYTES:
                size <<= 30
            return BaseFile(match['sha1'], size, Kind.RESIZED)
        try:
            if match['temporary']:
                return _arriving(match['sha1'], entry)
            before = self._seen.get(entry.name)
            if before is None or before.inode != entry.inode():
                before = _Seen(entry.inode(),
                               entry.stat(follow_symlinks=False).st_size)
        except FileNotFoundError:  # it went while we looked
            return None
        seen[entry.name] = before
        return BaseFile(match['sha1'], before.size)


def _arriving(sha1: str, entry: 'os.DirEntry[str]') -> BaseFile | None:
    stat = entry.stat(follow_symlinks=False)
    if time.time() - stat.st_mtime > FETCH_TIMEOUT:
        return None
    return BaseFile(sha1, stat.st_size, Kind.ARRIVING)

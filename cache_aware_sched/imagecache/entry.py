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

"""An entry: one file of the image cache, and what its name says."""

import dataclasses
import enum
import re

#: nova names a base file by the sha1 of the image id. While the image is
#: fetched the file is ``.part``, while it is made raw also ``.converted``, and
#: it gets its name when it is complete (nova.virt.images.fetch_to_raw). A copy
#: that was grown to a disk's size is ``_<size>``, by very old releases
#: ``_sm``. rsync writes to a file with a dot before and six characters behind
#: (3.2), which stays if it is killed. Empty swap and ephemeral disks are kept
#: to be copied (nova.virt.libvirt.imagecache, nova 34.0.0).
_NAME = re.compile(r"""
    (?P<sha1>[0-9a-f]{40})
        (?:_(?P<size>[0-9]{1,18}|sm)|(?P<temporary>\.part|\.converted))?
    |\.(?P<written>[0-9a-f]{40})\.part\.[A-Za-z0-9]{6}
    |(?P<swap>swap_[0-9]+)
    |(?P<ephemeral>ephemeral_[0-9]+_[^_/]{7})""", re.VERBOSE | re.ASCII)

#: nova writes GiB (nova.virt.libvirt.imagebackend, nova 34.0.0), others wrote
#: bytes; no disk is as small as this many bytes, nor as large in GiB.
_SMALLEST_BYTES = 2 ** 20


class Kind(enum.Enum):
    """What a file of the image cache is."""

    IMAGE = 'image'
    #: A copy of an image, grown to the size of a disk.
    RESIZED = 'resized'
    #: Of a fetch, which goes on or was killed.
    TEMPORARY = 'temporary'
    SWAP = 'swap'
    EPHEMERAL = 'ephemeral'


@dataclasses.dataclass(frozen=True, slots=True)
class ParsedName:
    """What the name of an entry says.

    :param sha1: of the image id; None for swap and ephemeral disks
    :param grown: bytes that a resized copy was grown to, None if unknown
    """

    kind: Kind
    sha1: str | None = None
    grown: int | None = None


def parse(name: str) -> ParsedName | None:
    """Return what a file name says; None if it is no entry's."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    if match['swap']:
        return ParsedName(Kind.SWAP)
    if match['ephemeral']:
        return ParsedName(Kind.EPHEMERAL)
    if match['written']:
        return ParsedName(Kind.TEMPORARY, match['written'])
    if match['temporary']:
        return ParsedName(Kind.TEMPORARY, match['sha1'])
    if match['size']:
        return ParsedName(Kind.RESIZED, match['sha1'], _grown(match['size']))
    return ParsedName(Kind.IMAGE, match['sha1'])


def _grown(size: str) -> int | None:
    if size == 'sm':
        return None
    number = int(size)
    return number << 30 if number < _SMALLEST_BYTES else number


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One file of the image cache, as it was found.

    :param name: of the file, without directory
    :param kind: what it is
    :param sha1: of the image id; None for swap and ephemeral disks
    :param size: bytes on the disk, those that it shares included
    :param used_ns: when it was last used: nanoseconds since the epoch, never
        later than now. nova keeps it as the time of modification: a boot sets
        it, and each pass of the manager while an instance uses the image.
    :param inode: of the file
    :param modified_ns: the time of modification as it is, which tells whether
        the file was used since
    :param length: bytes in it, holes included
    :param image_id: None if no one has told since the file was fetched
    :param boots: servers booted from the image on this host, each counting
        half as much after every half-life
    :param shared: bytes of the size that stay when it is gone, as other files
        have them too; only told where that decides
    """

    name: str
    kind: Kind
    sha1: str | None
    size: int
    used_ns: int
    inode: int = 0
    modified_ns: int = 0
    length: int = 0
    image_id: str | None = None
    boots: float = 0.0
    shared: int = 0

    def known(self, image_id: str | None, boots: float) -> 'Entry':
        """Return the entry with what is known of its image."""
        return Entry(self.name, self.kind, self.sha1, self.size, self.used_ns,
                     self.inode, self.modified_ns, self.length, image_id,
                     boots)

    @property
    def last_used(self) -> float:
        """When it was last used, in seconds since the epoch."""
        return self.used_ns / 1e9

    @property
    def freed(self) -> int:
        """The bytes of the disk that are free when it is gone."""
        return self.size - self.shared

    @property
    def lock_names(self) -> list[str]:
        """The names of nova's locks of the file, in one order for all.

        It has none of the files of a fetch but that of the image.
        """
        sha1 = self.sha1 or self.name
        return (sorted({self.name, sha1}) if self.kind is not Kind.TEMPORARY
                else [sha1])

    @property
    def is_blank(self) -> bool:
        """Whether it is an empty disk, which is of no image."""
        return self.kind in (Kind.SWAP, Kind.EPHEMERAL)

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

"""What the folders of nova's image cache on a datastore say.

``[datastore] <base>/<image id>/`` has ``<image id>.vmdk`` with its extents, or
``<image id>.iso``, and for linked clones a copy ``<image id>.<GB>.vmdk`` of
each size (nova.virt.vmwareapi.vmops, nova 34.0.0). While no server uses the
image it also has a folder ``ts-<time>``, which says since when
(nova.virt.vmwareapi.imagecache). No nova here.
"""

import calendar
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import re
import time

from cache_aware_sched.imagecache import entry as entry_mod
from cache_aware_sched import report

#: Of nova's timestamps; also in nova.virt.vmwareapi.imagecache, which a test
#: compares.
TIMESTAMP_PREFIX = 'ts-'
TIMESTAMP_FORMAT = '%Y-%m-%d-%H-%M-%S'

#: An image id as nova-api takes it. What else is in the folder is not ours.
_IMAGE_ID = re.compile(
    '[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}', re.IGNORECASE | re.ASCII)


def is_image_id(name: str) -> bool:
    """Return whether a folder is named as one of an image."""
    return _IMAGE_ID.fullmatch(name) is not None


def timestamp(seconds: float) -> str:
    """Return the name of the folder that says since when it is unused.

    :param seconds: since the epoch
    """
    return TIMESTAMP_PREFIX + time.strftime(
        TIMESTAMP_FORMAT, time.gmtime(seconds))


@dataclasses.dataclass(frozen=True, slots=True)
class Folder:
    """The folder of one image on one datastore, as it was found.

    :param image_id: as its servers were booted with
    :param size: bytes of all files in it
    :param length: bytes of the image itself; 0 if vCenter does not tell
    :param unused_ns: since when nobody uses it, nanoseconds since the epoch;
        None if somebody does, or nobody has looked yet
    :param is_complete: whether the image is there
    :param copies: GB of the copies that were grown for linked clones
    """

    image_id: str
    size: int = 0
    length: int = 0
    unused_ns: int | None = None
    is_complete: bool = False
    copies: frozenset[int] = frozenset()

    @property
    def sha1(self) -> str:
        """What the image is known by."""
        return report.image_sha1(self.image_id)

    def entry(self, name: str, now_ns: int) -> entry_mod.Entry:
        """Return the entry of the image cache.

        :param name: of the entry
        :param now_ns: what nobody has seen unused is used now
        """
        unused_ns = self.unused_ns or 0
        return entry_mod.Entry(
            name, entry_mod.Kind.IMAGE, self.sha1, self.size,
            min(unused_ns or now_ns, now_ns), modified_ns=unused_ns,
            length=self.length, image_id=self.image_id)

    def files(self) -> Iterator[report.BaseFile]:
        """Return what is reported of it: nothing of an incomplete one."""
        if self.is_complete:
            yield report.BaseFile(self.sha1, self.length)
            for gigabytes in sorted(self.copies):
                yield report.BaseFile(
                    self.sha1, gigabytes << 30, report.FileKind.RESIZED)


def parse(image_id: str, files: Mapping[str, int]) -> Folder:
    """Return what the folder of an image says.

    :param files: bytes of what is in it, by name; 0 if they are not known
    """
    copy = re.compile(re.escape(image_id) + r'\.([0-9]{1,9})\.vmdk', re.ASCII)
    own = {name: size for name, size in files.items()
           if name in (f'{image_id}.vmdk', f'{image_id}.iso')
           # The extents of a disk, of which the .vmdk is the descriptor.
           or name == f'{image_id}-flat.vmdk'}
    stamps = [stamp for name in files if (stamp := _unused_ns(name))]
    return Folder(
        image_id, sum(files.values()), max(own.values(), default=0),
        max(stamps, default=None),
        not own.keys() <= {f'{image_id}-flat.vmdk'},
        frozenset(int(match[1]) for name in files
                  if (match := copy.fullmatch(name))))


def timestamps(files: Mapping[str, int]) -> list[str]:
    """Return those of the names that say since when it is unused."""
    return sorted(name for name in files if name.startswith(TIMESTAMP_PREFIX))


def _unused_ns(name: str) -> int | None:
    if not name.startswith(TIMESTAMP_PREFIX):
        return None
    try:
        then = time.strptime(
            name.removeprefix(TIMESTAMP_PREFIX), TIMESTAMP_FORMAT)
        return calendar.timegm(then) * 10 ** 9 or None
    except (ValueError, OverflowError):
        return None


def files_of(found: Iterable[Folder]) -> Iterator[report.BaseFile]:
    """Return what is reported of folders: each image and each copy once."""
    seen: dict[tuple[str, report.FileKind, int], report.BaseFile] = {}
    for folder in found:
        for file in folder.files():
            grown = (file.size if file.kind is report.FileKind.RESIZED else 0)
            before = seen.get((file.sha1, file.kind, grown))
            if before is None or before.size < file.size:
                seen[file.sha1, file.kind, grown] = file
    yield from seen.values()

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

"""What a volume group holds, as LVM reports it, and which of it are images.

A volume is an image if its name and its tags say so. The tags say what a file
has in its name and its times: which image it is, whether it is complete, how
many bytes of it are the image's, and when it was last used.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import json
import math
import re
from typing import Any

from cache_aware_sched import report

#: Before the sha1 of the image id in the name of its volume. No disk is named
#: so: those of nova begin with the uuid of their server (imagebackend.Lvm,
#: nova 34.0.0). LVM allows 127 characters (lvm(8)).
_PREFIX = 'i_'
_NAME = re.compile(f'{_PREFIX}([0-9a-f]{{40}})', re.ASCII)

#: Before the name of each of our tags.
_TAG = 'cache_aware_sched:'

#: What LVM allows in a tag (lvm(8)), less what separates them in a report.
_TAG_VALUE = re.compile('[A-Za-z0-9_+.=/!:&#-]{1,255}', re.ASCII)

#: LVM takes no size that is not a multiple of it (lvcreate(8)).
_SECTOR = 512

#: Digits of a number in a tag: more is nothing that was written here.
_NUMBER = re.compile('[0-9]{1,18}', re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A logical volume.

    :param size: bytes that it shows
    :param pool: the name of its thin pool, '' if it is not thin
    :param origin: the name of what it is a snapshot of, '' if of nothing
    :param data_percent: how full a pool is, or how much of a thin volume is
        there; None if LVM does not tell, as of one that is not active
    :param metadata_percent: the same of a pool's metadata
    :param zeroes: whether a pool hands out zeroed blocks only
    :param chunk: bytes that a pool hands out at once; 0 of anything else
    """

    name: str
    size: int
    pool: str = ''
    origin: str = ''
    data_percent: float | None = None
    metadata_percent: float | None = None
    tags: frozenset[str] = frozenset()
    zeroes: bool = False
    chunk: int = 0

    @property
    def used(self) -> int:
        """The bytes that it takes of its pool or its group."""
        if self.pool and self.data_percent is not None:
            return math.ceil(self.size * self.data_percent / 100)
        return self.size


@dataclasses.dataclass(frozen=True, slots=True)
class ImageVolume:
    """A volume that is an image, complete or not.

    :param sha1: of the image id
    :param image_id: None if its tag is gone
    :param length: bytes of the image; a volume is a bit longer
    :param used_ms: when it was last used, milliseconds since the epoch
    """

    volume: Volume
    sha1: str
    image_id: str | None
    is_complete: bool
    length: int
    used_ms: int


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeGroup:
    """A volume group at one moment.

    :param volumes: by their names
    """

    name: str
    size: int
    free: int
    volumes: Mapping[str, Volume]

    def images(self) -> Iterator[ImageVolume]:
        """Return the volumes that are images."""
        for volume in self.volumes.values():
            image = _image_of(volume)
            if image is not None:
                yield image

    def image(self, sha1: str) -> ImageVolume | None:
        """Return the volume of an image.

        :param sha1: of the image id
        """
        volume = self.volumes.get(volume_name(sha1))
        return _image_of(volume) if volume else None

    def origins(self) -> set[str]:
        """Return the names of the volumes that others are snapshots of."""
        return {volume.origin for volume in self.volumes.values()
                if volume.origin}


def volume_name(sha1: str) -> str:
    """Return the name of the volume of an image.

    :param sha1: of the image id
    """
    return f'{_PREFIX}{sha1}'


def is_image_name(name: str) -> bool:
    """Return whether a volume is named as an image, which no file is."""
    return _NAME.fullmatch(name) is not None


def tags(image_id: str | None, length: int, now_ms: int) -> list[str]:
    """Return the tags of an image that is being fetched.

    :param length: bytes of the image
    :param now_ms: milliseconds since the epoch
    """
    found = [INCOMPLETE, f'{_TAG}bytes={length}', used_tag(now_ms)]
    if image_id and _TAG_VALUE.fullmatch(image_id):
        found.append(f'{_TAG}image={image_id}')
    return found


#: The tag of an image that is, or is not yet, all in its volume.
COMPLETE, INCOMPLETE = f'{_TAG}state=complete', f'{_TAG}state=incomplete'


def used_tag(used_ms: int) -> str:
    """Return the tag that says when an image was last used.

    :param used_ms: milliseconds since the epoch
    """
    return f'{_TAG}used={used_ms}'


def _image_of(volume: Volume) -> ImageVolume | None:
    name = _NAME.fullmatch(volume.name)
    said = {key: value for tag in volume.tags if tag.startswith(_TAG)
            for key, _equals, value in [tag[len(_TAG):].partition('=')]}
    if name is None or 'state' not in said:
        return None
    sha1, image_id = name[1], said.get('image')
    if image_id is not None and report.image_sha1(image_id) != sha1:
        return None  # whoever made it, it is not what it is called
    length = min(_number(said.get('bytes')), volume.size)
    return ImageVolume(
        volume, sha1, image_id, length > 0 and COMPLETE in volume.tags
        and INCOMPLETE not in volume.tags, length,
        _number(said.get('used')))


def _number(text: str | None) -> int:
    return int(text) if text and _NUMBER.fullmatch(text) else 0


def whole_sectors(size: int) -> int:
    """Return a size that LVM takes, at least as large."""
    return -(-size // _SECTOR) * _SECTOR


def parse(text: str, name: str) -> VolumeGroup:
    """Return a volume group, as ``lvm fullreport`` tells in JSON.

    :param name: of the group
    :raises ValueError: if it tells anything else
    """
    try:
        [found] = json.loads(text)['report']
        [group] = found['vg']
        segments = {row['lv_name']: row for row in found.get('seg', ())}
        volumes = [_volume(row, segments) for row in found.get('lv', ())]
        if group['vg_name'] != name:
            raise ValueError(f'it tells of {group["vg_name"]!r}')
        return VolumeGroup(
            name, int(group['vg_size']), int(group['vg_free']),
            {volume.name: volume for volume in volumes})
    # What a damaged text makes of a decoder: also RecursionError.
    except Exception as error:
        raise ValueError(f'LVM does not tell of volume group {name} what is '
                         f'expected: {error!r}') from error


def _volume(row: dict[str, Any], segments: dict[str, Any]) -> Volume:
    name = row['lv_name']
    if not isinstance(name, str):
        raise TypeError(f'the name of a volume is {name!r}')
    # A pool has one.
    segment = segments.get(name, {})
    return Volume(
        name, int(row['lv_size']), row['pool_lv'], row['origin'],
        _percent(row['data_percent']), _percent(row['metadata_percent']),
        frozenset(filter(None, row['lv_tags'].split(','))),
        segment.get('zero') == 'zero', int(segment.get('chunk_size') or 0))


def _percent(text: str) -> float | None:
    """Return a percentage, None if it is not told."""
    if not text:
        return None
    number = float(text)
    return min(max(number, 0.0), 100.0) if math.isfinite(number) else None

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

"""What is remembered of images: their ids, and how often they were booted.

A file name is a digest: only who knows the id can tell of which image it is.
This is kept in a file, so that it outlives nova-compute. Nothing else depends
on it: what is in the cache is what is in the directory, and a host that has
lost this file has lost the popularity of its images, and no image.
"""

import contextlib
import dataclasses
import math
import os
import re
import threading
import time
from typing import Any

from oslo_log import log as logging
from oslo_serialization import jsonutils

from cache_aware_sched import files
from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched import wording

LOG = logging.getLogger(__name__)

#: Images remembered; beyond it those go whose boots count least.
MAX_IMAGES = 10_000

#: Bytes of a file that can be one of these; a larger one is not read.
_MAX_BYTES = MAX_IMAGES * 200

_SHA1 = re.compile('[0-9a-f]{40}')


@dataclasses.dataclass(slots=True)
class _ImageRecord:
    """What is known of an image.

    :param image_id: None if it was never told
    :param boots: as they counted at that time
    :param at: seconds since the epoch
    """

    image_id: str | None = None
    boots: float = 0.0
    at: float = 0.0


class ImageHistory:
    """The images of one host by the sha1 of their ids.

    :param path: of the file; None to keep it in memory
    :param half_life: seconds after which a boot counts half
    """

    def __init__(self, path: str | None, half_life: float) -> None:
        self._path = path
        self._half_life = half_life
        self._lock = threading.Lock()
        self._images = _load(path) if path else {}
        self._changed = False

    def image_id(self, sha1: str | None) -> str | None:
        """Return the id of an image if it was ever told."""
        image = self._images.get(sha1 or '')
        return image.image_id if image else None

    def boots(self, sha1: str | None, now: float) -> float:
        """Return how many servers were booted from an image lately."""
        image = self._images.get(sha1 or '')
        return self._boots(image, now) if image else 0.0

    def add_ids(self, *image_ids: str) -> None:
        """Remember the ids of images."""
        with self._lock:
            for image_id in image_ids:
                image = self._image(image_id)
                self._changed = self._changed or image.image_id != image_id
                image.image_id = image_id
            self._forget_surplus(time.time())

    def add_boot(self, image_id: str, now: float | None = None) -> None:
        """Count a boot.

        :param now: seconds since the epoch
        """
        now = time.time() if now is None else now
        with self._lock:
            image = self._image(image_id)
            image.image_id = image_id
            image.boots = self._boots(image, now) + 1.0
            image.at = now
            self._changed = True
            self._forget_surplus(now)

    def save(self) -> None:
        """Write the file, if anything is new.

        In each pass and at the end, not at each boot: it takes a tenth of a
        second with 10,000 images.
        """
        with self._lock:
            if not self._path or not self._changed:
                return
            try:
                _write(self._path, self._images)
                self._changed = False
                once.forget(LOG, ('write', self._path))
            except OSError as error:
                once.warning(
                    LOG, ('write', self._path),
                    'Cannot write %(path)s: %(error)s. How popular the images '
                    'of this host are will be forgotten when nova-compute '
                    'ends. Check [DEFAULT] instances_path.',
                    {'path': self._path, 'error': error.strerror or error})

    def _image(self, image_id: str) -> _ImageRecord:
        return self._images.setdefault(
            report.image_sha1(image_id), _ImageRecord())

    def _boots(self, image: _ImageRecord, now: float) -> float:
        # A clock that was set back makes no boot count more.
        age = max(0.0, now - image.at)
        return image.boots * math.pow(0.5, age / self._half_life)

    def _forget_surplus(self, now: float) -> None:
        if len(self._images) > MAX_IMAGES:
            # Of equals those stay that were told last.
            newest_first = list(reversed(self._images.items()))
            kept = sorted(newest_first,
                          key=lambda item: -self._boots(item[1], now))
            self._images = dict(kept[:MAX_IMAGES])


def _write(path: str, images: dict[str, _ImageRecord]) -> None:
    data = jsonutils.dump_as_bytes({
        'version': 1, 'images': {
            sha1: [image.image_id, round(image.boots, 4), round(image.at)]
            for sha1, image in images.items()}})
    # Whoever reads it finds the old file or the new one.
    temporary = f'{path}.new'
    # Nobody else need know which images are here.
    with open(temporary, 'wb', opener=_private) as file:
        file.write(data)
    os.replace(temporary, path)


def _private(path: str, flags: int) -> int:
    # Not a pipe or a link that is there already.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return os.open(path, flags | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _load(path: str) -> dict[str, _ImageRecord]:
    """Return what a file has; nothing if it is missing or unreadable."""
    try:
        with open(path, 'rb', opener=files.regular) as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f'larger than {_MAX_BYTES} bytes')
        images = jsonutils.loads(data)['images'].items()
    except FileNotFoundError:
        return {}
    # What a damaged file makes of a decoder: also RecursionError.
    except Exception as error:
        LOG.warning(
            'Cannot read %(path)s: %(error)s. How popular the images of this '
            'host are starts anew.', {'path': path, 'error': error})
        return {}
    read = {sha1: _image_of(fields) for sha1, fields in images}
    good = {sha1: image for sha1, image in read.items()
            if image is not None and _SHA1.fullmatch(sha1)}
    if len(good) < len(read):
        LOG.warning(
            'Of %(all)s in %(path)s %(bad)d are damaged and are forgotten.',
            {'bad': len(read) - len(good), 'path': path,
             'all': wording.counted(len(read), 'image')})
    return good


def _image_of(fields: Any) -> _ImageRecord | None:
    try:
        image_id, boots, at = fields
        image = _ImageRecord(image_id, float(boots), float(at))
    except (TypeError, ValueError, OverflowError):
        return None
    finite = (math.isfinite(image.boots) and math.isfinite(image.at)
              and image.boots >= 0)
    good_id = image_id is None or (
        isinstance(image_id, str) and len(image_id) <= 255)
    return image if finite and good_id else None

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

"""Images that an option of nova.conf names, and a file beside it."""

from collections.abc import Iterable
import os
import uuid

from oslo_log import log as logging
from oslo_utils import uuidutils

from cache_aware_sched import files
from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched import wording

LOG = logging.getLogger(__name__)

#: Bytes of the file that are read: some 10,000 ids.
MAX_BYTES = 2 ** 20

#: What tells whether a file has changed.
_Version = tuple[int, int, int]


class NamedImages:
    """The images of one pair of options.

    :param kind: what the images are, as the options begin: ``protected``
    :param image_ids: that nova.conf names
    :param path: of a file with more of them; None if there is none
    """

    def __init__(self, kind: str, image_ids: Iterable[str],
                 path: str | None) -> None:
        self._kind = kind
        self.option = f'{kind}_images'
        self.file_option = f'{kind}_images_file'
        self._configured = by_sha1(image_ids)
        self._path = path
        self._version: _Version | None = None
        self._listed: dict[str, str] = {}

    @property
    def is_unread(self) -> bool:
        """Return whether there is a file, and nobody knows what is in it."""
        return bool(self._path) and self._version is None

    def by_sha1(self) -> dict[str, str]:
        """Return the ids of the images by their sha1.

        Reads the file if it has changed. What cannot be read now was not
        dropped by anyone, so what was read last goes on to count; if nothing
        was read yet, see :attr:`is_unread`.
        """
        if self._path:
            try:
                self._read_if_changed(self._path)
            except OSError as error:
                once.warning(
                    LOG, ('file', self.file_option, self._path),
                    'Cannot read [cache_aware_sched] %(option)s %(path)s: '
                    '%(error)s. What it listed (%(images)s) stays %(kind)s. '
                    'Create the file, or correct the option.',
                    {'option': self.file_option, 'path': self._path,
                     'error': error.strerror or error, 'kind': self._kind,
                     'images': wording.counted(
                         len(self._listed), 'image')})
        return {**self._listed, **self._configured}

    def sources(self) -> dict[str, list[str]]:
        """Return where each image is named, by its id.

        Reads the file as :meth:`by_sha1` does.
        """
        self.by_sha1()
        found: dict[str, list[str]] = {}
        for ids, where in (
                (self._configured, self.option),
                (self._listed, f'{self.file_option} {self._path}')):
            for image_id in ids.values():
                found.setdefault(image_id, []).append(where)
        return found

    def _read_if_changed(self, path: str) -> None:
        with open(path, 'rb', opener=files.regular) as file:
            status = os.fstat(file.fileno())
            version = (status.st_ino, status.st_size, status.st_mtime_ns)
            if version != self._version:
                self._listed = by_sha1(
                    self._ids(file.read(MAX_BYTES + 1), path))
                self._version = version
        once.forget(LOG, ('file', self.file_option, path))

    def _ids(self, data: bytes, path: str) -> list[str]:
        """Return the ids in a file, and warn of the lines that are none."""
        if len(data) > MAX_BYTES:
            LOG.warning(
                '[cache_aware_sched] %(option)s %(path)s is larger than '
                '%(bytes)d bytes; what is beyond is not read.',
                {'option': self.file_option, 'path': path,
                 'bytes': MAX_BYTES})
            data = data[:MAX_BYTES].rpartition(b'\n')[0]
        found, bad = [], []
        # Not splitlines(): the numbers shall be those of an editor.
        lines = data.decode('utf-8-sig', errors='replace').split('\n')
        for number, line in enumerate(lines, start=1):
            word = line.partition('#')[0].strip()
            if uuidutils.is_uuid_like(word):
                found.append(word)
            elif word:
                bad.append(f'line {number} ({word[:60]!r})')
        if bad:
            LOG.warning(
                'In [cache_aware_sched] %(option)s %(path)s these are not '
                'ids of images and are skipped: %(bad)s.',
                {'option': self.file_option, 'path': path,
                 'bad': wording.some(bad)})
        LOG.info('%(kind)s by %(path)s: %(images)s.',
                 {'kind': self._kind.capitalize(), 'path': path,
                  'images': wording.counted(len(found), 'image')})
        return found


def by_sha1(image_ids: Iterable[str]) -> dict[str, str]:
    """Return ids by their sha1, in the form in which Glance hands them out."""
    normal = (str(uuid.UUID(image_id)) for image_id in image_ids)
    return {report.image_sha1(image_id): image_id for image_id in normal}

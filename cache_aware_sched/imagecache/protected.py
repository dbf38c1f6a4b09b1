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

"""Images that never leave the image cache, whoever asks for room."""

from collections.abc import Iterable
import os
import stat
import uuid

from oslo_log import log as logging
from oslo_utils import uuidutils

from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched import wording

LOG = logging.getLogger(__name__)

#: Bytes of the file that are read: some 10,000 ids.
MAX_BYTES = 2 ** 20

#: Bad lines that are named in one warning.
_NAMED = 10

#: What tells whether a file has changed.
_Version = tuple[int, int, int]


class ProtectedImages:
    """The protected images of one host.

    :param image_ids: that nova.conf protects
    :param path: of a file with more of them; None if there is none
    """

    def __init__(self, image_ids: Iterable[str], path: str | None) -> None:
        self._configured = _by_sha1(image_ids)
        self._path = path
        self._version: _Version | None = None
        self._listed: dict[str, str] = {}

    @property
    def is_unread(self) -> bool:
        """Return whether there is a file, and nobody knows what is in it."""
        return bool(self._path) and self._version is None

    def by_sha1(self) -> dict[str, str]:
        """Return the ids of the protected images by their sha1.

        Reads the file if it has changed. What cannot be read now was not
        unprotected by anyone: what was read last goes on to be protected, and
        if nothing was read yet, nothing may go; see :attr:`is_unread`.
        """
        if self._path:
            try:
                self._read_if_changed(self._path)
            except OSError as error:
                once.warning(
                    LOG, ('file', self._path),
                    'Cannot read [cache_aware_sched] protected_images_file '
                    '%(path)s: %(error)s. What it listed (%(images)s) stays '
                    'protected. Create the file, or correct the option.',
                    {'path': self._path, 'error': error.strerror or error,
                     'images': wording.counted(
                         len(self._listed), 'image')})
        return {**self._listed, **self._configured}

    def sources(self) -> dict[str, list[str]]:
        """Return where each protected image is named, by its id.

        Reads the file as :meth:`by_sha1` does.
        """
        self.by_sha1()
        found: dict[str, list[str]] = {}
        for ids, where in (
                (self._configured, 'protected_images'),
                (self._listed, f'protected_images_file {self._path}')):
            for image_id in ids.values():
                found.setdefault(image_id, []).append(where)
        return found

    def _read_if_changed(self, path: str) -> None:
        # Not to be kept waiting by a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError('it is not a file')
            version = (status.st_ino, status.st_size, status.st_mtime_ns)
            if version != self._version:
                with open(descriptor, 'rb', closefd=False) as file:
                    data = file.read(MAX_BYTES + 1)
                self._listed = _by_sha1(_ids(data, path))
                self._version = version
        finally:
            os.close(descriptor)
        once.forget(LOG, ('file', path))


def _ids(data: bytes, path: str) -> list[str]:
    """Return the ids in a file, and warn of the lines that are none."""
    if len(data) > MAX_BYTES:
        LOG.warning(
            '[cache_aware_sched] protected_images_file %(path)s is larger '
            'than %(bytes)d bytes; what is beyond is not read.',
            {'path': path, 'bytes': MAX_BYTES})
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
        more = len(bad) - _NAMED
        LOG.warning(
            'In [cache_aware_sched] protected_images_file %(path)s these are '
            'not ids of images and are skipped: %(bad)s%(more)s.',
            {'path': path, 'bad': ', '.join(bad[:_NAMED]),
             'more': f', and {more} more' if more > 0 else ''})
    LOG.info('Protected by %(path)s: %(images)s.',
             {'images': wording.counted(len(found), 'image'), 'path': path})
    return found


def _by_sha1(image_ids: Iterable[str]) -> dict[str, str]:
    # In the form in which Glance hands ids out.
    normal = (str(uuid.UUID(image_id)) for image_id in image_ids)
    return {report.image_sha1(image_id): image_id for image_id in normal}

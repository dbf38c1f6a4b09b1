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

"""Images that a host must hold: which they are, and who says so.

nova.conf names them, a file that it names, and the metadata of the aggregates
of the host. What aggregates name is kept in a file: without nova's database
nobody else can tell it, and a host that starts then must not evict any.
"""

from collections.abc import Mapping
import os

from oslo_log import log as logging
from oslo_serialization import jsonutils

from cache_aware_sched import aggregate_keys
from cache_aware_sched import files
from cache_aware_sched import image_ids
from cache_aware_sched.imagecache import image_list
from cache_aware_sched import once
from cache_aware_sched import wording

LOG = logging.getLogger(__name__)

#: Bytes of the file that are read: several thousand aggregates.
_MAX_BYTES = 2 ** 20


class CriticalImages:
    """The critical images of one host.

    :param image_ids: that nova.conf names
    :param path: of a file with more of them; None if there is none
    :param memory: of the file that keeps what aggregates say; None for none
    :ivar own: what nova.conf and its file name
    """

    def __init__(self, image_ids: tuple[str, ...] | list[str],
                 path: str | None, memory: str | None = None) -> None:
        self.own = image_list.NamedImages('critical', image_ids, path)
        self._memory = memory
        self._texts = _load(memory) if memory else {}
        self._is_saved = True
        self._by_aggregate: dict[str, dict[str, str]] = {}
        self._read(self._texts)

    def by_sha1(self) -> dict[str, str]:
        """Return the ids of the critical images by their sha1.

        Reads the file if it has changed; see :mod:`.image_list`.
        """
        found: dict[str, str] = {}
        for images in self._by_aggregate.values():
            found.update(images)
        found.update(self.own.by_sha1())
        return found

    def sources(self) -> dict[str, list[str]]:
        """Return where each image is named, by its id."""
        found = self.own.sources()
        for name, images in self._by_aggregate.items():
            for image_id in images.values():
                found.setdefault(image_id, []).append(
                    f'aggregate {name}: {aggregate_keys.CRITICAL}')
        return found

    def learn(self, texts: Mapping[str, str]) -> None:
        """Take note of what the aggregates of the host say now.

        :param texts: of the metadata, by the name of the aggregate
        """
        if texts != self._texts:
            self._read(texts)
            self._texts = dict(texts)
            self._is_saved = False
        if self._memory and not self._is_saved:
            self._is_saved = _save(self._memory, self._texts)

    def _read(self, texts: Mapping[str, str]) -> None:
        found = {}
        for name, text in sorted(texts.items()):
            good, bad = image_ids.split(text)
            found[name] = image_list.by_sha1(good)
            if bad:
                words = wording.some([repr(word[:60]) for word in bad])
                once.warning(
                    LOG, ('aggregate', name, text),
                    'In the metadata %(key)s of aggregate %(name)s these are '
                    'not ids of images and are skipped: %(bad)s.',
                    {'key': aggregate_keys.CRITICAL, 'name': name,
                     'bad': words})
        self._by_aggregate = found


def memory_path(history: str | None) -> str | None:
    """Return the file that keeps what aggregates say.

    :param history: the file of the host's history; None if it has none
    """
    if history is None:
        return None
    directory, name = os.path.split(history)
    return os.path.join(directory, f'critical-{name}')


def _load(path: str) -> dict[str, str]:
    """Return what a file has; nothing if it is missing or unreadable."""
    try:
        with open(path, 'rb', opener=files.regular) as file:
            texts = jsonutils.loads(file.read(_MAX_BYTES))['aggregates']
        return {str(name): str(text) for name, text in texts.items()}
    except FileNotFoundError:
        return {}
    # What a damaged file makes of a decoder: also RecursionError.
    except Exception as error:
        LOG.warning(
            'Cannot read %(path)s: %(error)s. Which images aggregates make '
            'critical is not known until nova-conductor tells it.',
            {'path': path, 'error': error})
        return {}


def _save(path: str, texts: Mapping[str, str]) -> bool:
    """Write what aggregates say; return whether that worked."""
    try:
        files.replace(path, jsonutils.dumps(
            {'version': 1, 'aggregates': texts}), files.PRIVATE)
        once.forget(LOG, ('write', path))
        return True
    except files.CannotWrite as error:
        once.warning(
            LOG, ('write', path),
            '%(error)s. Which images aggregates make critical will not be '
            'known after a restart until nova-conductor tells it.',
            {'error': error})
        return False

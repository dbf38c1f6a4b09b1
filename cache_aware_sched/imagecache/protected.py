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

from cache_aware_sched.imagecache import critical as critical_mod
from cache_aware_sched.imagecache import image_list


class ProtectedImages:
    """The protected images of one host.

    :param image_ids: that nova.conf protects
    :param path: of a file with more of them; None if there is none
    :param critical: images that are protected too; None for none
    """

    def __init__(self, image_ids: Iterable[str], path: str | None,
                 critical: critical_mod.CriticalImages | None = None) -> None:
        self._own = image_list.NamedImages('protected', image_ids, path)
        self.critical = critical or critical_mod.CriticalImages((), None)

    @property
    def unread(self) -> list[str]:
        """The options of files of which nobody knows what is in them.

        As long as there are any, nothing may be evicted.
        """
        return [images.file_option for images in (
            self._own, self.critical.own) if images.is_unread]

    def by_sha1(self) -> dict[str, str]:
        """Return the ids of the protected images by their sha1.

        Reads the files that have changed; see :mod:`.image_list`.
        """
        return {**self.critical.by_sha1(), **self._own.by_sha1()}

    def sources(self) -> dict[str, list[str]]:
        """Return what protects each image, by its id.

        Reads the files that have changed.
        """
        found = self._own.sources()
        for image_id, where in self.critical.sources().items():
            found.setdefault(image_id, []).extend(where)
        return found

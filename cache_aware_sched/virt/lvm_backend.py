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

"""nova's image backend for disks that are volumes, with images that are too.

Private; read in nova 31.3.1 to 34.0.0. ``Image.cache`` calls ``create_image``
with a function that fetches the base file, and the path of that.
"""

from collections.abc import Callable
import functools
import os
from typing import Any

from nova.virt.disk import api as disk_api
from nova.virt.libvirt import imagebackend

from cache_aware_sched.imagecache import entry
from cache_aware_sched.lvm import store as store_mod
from cache_aware_sched.virt import fetched_volumes


def backend(store: store_mod.VolumeStore,
            volumes: fetched_volumes.FetchedVolumes) -> type[Any]:
    """Return the class that takes the place of nova's."""
    return type('StoredLvm', (_StoredLvm,), {
        'store': store, 'volumes': volumes})


class _StoredLvm(imagebackend.Lvm):
    """A disk that is made of an image in the group.

    Swap and ephemeral disks are made as nova makes them, but in the pool if
    there is one. Encrypted disks from before are nova's.
    """

    store: store_mod.VolumeStore
    volumes: fetched_volumes.FetchedVolumes

    def create_image(self, prepare_template: Callable[..., Any], base: str,
                     size: int | None, *args: Any, **kwargs: Any) -> None:
        """Make the disk; nova calls it also if the disk is there."""
        parsed = entry.parse(os.path.basename(base))
        is_image = parsed is not None and parsed.kind is entry.Kind.IMAGE
        if self.ephemeral_key_uuid is not None or not (
                is_image or self.volumes.takes_all_disks):
            super().create_image(prepare_template, base, size, *args,
                                 **kwargs)
            return
        if self.exists():
            return
        kwargs.pop('safe', None)  # since 34: not for who makes the file
        prepare = functools.partial(prepare_template, *args, **kwargs)
        if is_image:
            self._create_of_image(prepare, base, size, kwargs)
        elif 'ephemeral_size' in kwargs and size:
            self.volumes.create_empty_disk(self.lv, size)
            with self.remove_volume_on_error(self.path):
                prepare(target=self.path)
        else:
            self._create_of_file(prepare, base, size)

    def _create_of_file(self, prepare: Callable[..., Any], base: str,
                        size: int | None) -> None:
        """Make a disk of a file that nova has made, such as one for swap."""
        if not os.path.exists(base):
            prepare(target=base)
        with self.store.lock(os.path.basename(base)):
            length = os.stat(base).st_size
            self.verify_base_size(base, size or None, base_size=length)
            self.volumes.create_empty_disk(self.lv, max(size or 0, length))
            with self.remove_volume_on_error(self.path):
                self.volumes.fill_empty_disk(base, self.lv)

    def _create_of_image(self, prepare: Callable[..., Any], base: str,
                         size: int | None, given: dict[str, Any]) -> None:
        name = os.path.basename(base)
        if self.volumes.image(name) is None and not os.path.exists(base):
            prepare(target=base)
        with self.store.lock(name):
            if self.volumes.image(name) is None:
                # Only its base file is there, from the time before.
                self.volumes.take_in(
                    given.get('context'), given.get('image_id'), name)
            self._create(name, size)

    def _create(self, name: str, size: int | None) -> None:
        image = self.volumes.image(name)
        if image is None:
            raise RuntimeError(f'image {name} was fetched and is not there')
        self.verify_base_size('', size or None, base_size=image.length)
        bytes_ = max(size or 0, image.length)
        self.volumes.create_disk(image, self.lv, bytes_)
        with self.remove_volume_on_error(self.path):
            self.volumes.fill_disk(image, self.lv, bytes_)
            if bytes_ > image.length:
                disk_api.resize2fs(self.path, run_as_root=True)

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

    Swap and ephemeral disks, and encrypted ones from before, are made as nova
    makes them.
    """

    store: store_mod.VolumeStore
    volumes: fetched_volumes.FetchedVolumes

    def create_image(self, prepare_template: Callable[..., Any], base: str,
                     size: int | None, *args: Any, **kwargs: Any) -> None:
        """Make the disk; nova calls it also if the disk is there."""
        name = os.path.basename(base)
        parsed = entry.parse(name)
        if (parsed is None or parsed.kind is not entry.Kind.IMAGE
                or self.ephemeral_key_uuid is not None):
            super().create_image(prepare_template, base, size, *args,
                                 **kwargs)
            return
        if self.exists():
            return
        if self.volumes.image(name) is None and not os.path.exists(base):
            kwargs.pop('safe', None)  # since 34: not for who fetches
            prepare_template(*args, target=base, **kwargs)
        with self.store.lock(name):
            if self.volumes.image(name) is None:
                # Only its base file is there, from the time before.
                self.volumes.take_in(
                    kwargs.get('context'), kwargs.get('image_id'), name)
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

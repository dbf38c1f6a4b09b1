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

"""``compute_driver = cache_aware.LibvirtDriver``."""

from collections.abc import Callable
from collections.abc import Collection
import os
from typing import Any

import nova.conf
from nova import context as nova_context
from nova.virt.libvirt import driver as libvirt_driver

from cache_aware_sched.imagecache import directory
from cache_aware_sched import report
from cache_aware_sched.virt import cache_directory
from cache_aware_sched.virt import managed

CONF = nova.conf.CONF


class LibvirtDriver(managed.ManagedCacheMixin, libvirt_driver.LibvirtDriver):
    """nova's libvirt driver that reports and manages its image cache."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        self._cache_directory = cache_directory.CacheDirectory(
            directory.cache_dir())

    def cached_files(self) -> Collection[report.BaseFile]:
        """Return the files of the cache directory."""
        return self._cache_directory.files()

    def caches_images(self) -> bool:
        """Return whether disks are made from files; rbd clones in Ceph."""
        return bool(CONF.libvirt.images_type != 'rbd')

    def cache_image(self, context: nova_context.RequestContext,
                    image_id: str) -> bool:
        """Fetch an image ahead of time; see :mod:`nova.virt.driver`.

        nova does so without the lock that a boot holds, and both write to the
        same file.

        :raises cache_aware_sched.imagecache.room.NoRoom: if a limit of the
            cache does not let it in
        """
        sha1 = report.image_sha1(image_id)
        path = os.path.join(self._cache_directory.path, sha1)
        manager = self.image_cache_manager
        with manager.using(image_id), directory.lock(sha1):
            if os.path.exists(path):
                return bool(super().cache_image(context, image_id))
            with (self.room_for(context, image_id, ahead=True),
                  self.image_fetched(sha1) as fetch):
                fetched = bool(super().cache_image(context, image_id))
                fetch.size = _bytes_on_disk(path)
        return fetched

    def _try_fetch_image_cache(
            self, image: Any, fetch_func: Callable[..., Any],
            context: nova_context.RequestContext, filename: str,
            image_id: str, instance: Any, *args: Any, **kwargs: Any) -> Any:
        """Watch over the image of a server from before it is looked for.

        nova calls ``fetch_func`` if the image is not in the cache, with the
        lock of its file held, and the file has its name when the function
        returns. Private; read in nova 34.0.0. If it goes, images are reported
        with the periodic update, the limits are kept in each pass, and there
        are no notifications of hits and misses.
        """
        def watched(target: str, *fetch: Any, **wanted: Any) -> Any:
            path, sha1 = os.path.split(os.path.normpath(target))
            if path != self._cache_directory.path:  # LVM: to the volume
                return fetch_func(*fetch, target=target, **wanted)
            boot.hit = False
            with (self.room_for(context, image_id),
                  self.image_fetched(sha1) as fetched):
                result = fetch_func(*fetch, target=target, **wanted)
                fetched.size = _bytes_on_disk(target)
            return result

        with self.image_used(context, image_id, instance) as boot:
            try:
                return super()._try_fetch_image_cache(
                    image, watched, context, filename, image_id, instance,
                    *args, **kwargs)
            finally:
                boot.size = _length(os.path.join(
                    self._cache_directory.path, filename))


def _length(path: str) -> int | None:
    """Return the bytes of a file, None if it cannot be told."""
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _bytes_on_disk(path: str) -> int:
    """Return what a file takes up, 0 if it cannot be told.

    What was fetched, as near as can be told: a raw file's length is the size
    of the disk, most of which was never sent.
    """
    try:
        return os.stat(path).st_blocks * 512
    except OSError:
        return 0

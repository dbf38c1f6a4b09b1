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

"""``compute_driver = cache_aware.LibvirtDriver``.

Watches nova look for an image, which tells a hit from a miss, and reports the
files of the cache directory. :mod:`.driver` has the mixin with the report and
the cap, :mod:`.managed` that with the image cache manager.
"""

from collections.abc import Callable
from collections.abc import Collection
import contextlib
import functools
import os
import shlex
from typing import Any

import nova.conf
from nova import context as nova_context
from nova import utils
from nova.virt.libvirt import driver as libvirt_driver

from cache_aware_sched.imagecache import entry
from cache_aware_sched.lvm import choosing
from cache_aware_sched.lvm import store
from cache_aware_sched.neighbours import fetching
from cache_aware_sched import report
from cache_aware_sched.virt import cached_files
from cache_aware_sched.virt import fetched_volumes
from cache_aware_sched.virt import host_report
from cache_aware_sched.virt import image_backends
from cache_aware_sched.virt import lvm_backend
from cache_aware_sched.virt import managed

CONF = nova.conf.CONF

#: Seconds for another host to tell how large a file is. Judgement: a boot
#: waits for it, and a host that does not answer cannot send the file either.
_ANSWER_SECONDS = 10


class LibvirtDriver(managed.ManagedCacheMixin, libvirt_driver.LibvirtDriver):
    """nova's libvirt driver that reports and manages its image cache."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        self._cache_directory = choosing.store_of(
            lambda: self.image_cache_manager.host)
        self._volumes: fetched_volumes.FetchedVolumes | None = None
        if isinstance(self._cache_directory, store.VolumeStore):
            self._volumes = fetched_volumes.FetchedVolumes(
                self._cache_directory,
                lambda: self.image_cache_manager.cache)
            self.image_backend.BACKEND['lvm'] = lvm_backend.backend(
                self._cache_directory, self._volumes)
        self.image_cache_manager.store = self._cache_directory
        self._cached_files = cached_files.CachedFiles(self._cache_directory)
        self._neighbours = fetching.Neighbours(
            lambda: self.image_cache_manager.host)
        self.image_backend: Any = image_backends.ImageBackends(
            self.image_backend, lambda: self.image_cache_manager.cache,
            self._fetch)

    def init_host(self, host: str) -> None:
        """Start the image cache, and say what nova.conf has in vain.

        :raises nova.exception.InvalidConfiguration: if images cannot be kept
            in the volume group
        """
        if self._volumes:
            self._volumes.check()
            choosing.warn_of_no_limit()
        super().init_host(host)
        self._neighbours.start()

    def cached_files(self) -> Collection[report.BaseFile]:
        """Return the base files as the report has them."""
        return self._cached_files.files()

    def caches_images(self) -> bool:
        """Return whether disks are made from files.

        With rbd only those are whose image cannot be cloned in Ceph.
        """
        return (CONF.libvirt.images_type != 'rbd'
                or bool(self._cached_files.files()))

    def uses_fetched_images(self) -> bool:
        """Return whether disks are made from files: in Ceph from images."""
        return bool(CONF.libvirt.images_type != 'rbd')

    def cache_image(self, context: nova_context.RequestContext,
                    image_id: str) -> bool:
        """Fetch an image ahead of time; see :mod:`nova.virt.driver`.

        nova does so without the lock that a boot holds, and both write to the
        same file.

        :raises cache_aware_sched.imagecache.fetches.NoRoom: if a limit of the
            cache does not let it in
        """
        sha1 = report.image_sha1(image_id)
        path = self._base_file(image_id)
        cache = self.image_cache_manager.cache
        try:
            with cache.using(image_id), self._cache_directory.lock(sha1):
                if self._volumes and self._volumes.image(sha1):
                    return False  # using() has touched it
                if not self._volumes and os.path.exists(path):
                    return bool(super().cache_image(context, image_id))
                with (cache.fetching(context, image_id, ahead=True),
                      self.image_fetched(sha1) as fetch):
                    if self._volumes:
                        self._volumes.refuse_if_full(image_id)
                    fetched = bool(super().cache_image(context, image_id))
                    fetch.size = _bytes_on_disk(path)
                    if self._volumes:
                        self._volumes.take_in(context, image_id, sha1,
                                              is_new=fetched, ahead=True)
        finally:
            self._cache_directory.remove_lock_files(sha1)
        cache.fetched(image_id)
        return fetched

    def _base_file(self, image_id: str) -> str:
        return os.path.join(self._cache_directory.cache_dir,
                            report.image_sha1(image_id))

    def _try_fetch_image_cache(
            self, image: Any, fetch_func: Callable[..., Any],
            context: nova_context.RequestContext, filename: str,
            image_id: str, instance: Any, size: int | None = None,
            *args: Any, **kwargs: Any) -> Any:
        """Watch over the image of a server from before it is looked for.

        nova calls ``fetch_func``, or a function that copies from another host,
        if the image is not in the cache, with the lock of its file held, and
        the file has its name when the function returns. Private; read in nova
        34.0.0. If it is no more, images are reported with the periodic update,
        the limits are kept in each pass, and there are no notifications of
        hits and misses.

        :param size: bytes of the disk to make; None for those of the image
        """
        path = os.path.join(self._cache_directory.cache_dir, filename)
        source: Any = kwargs.get('fallback_from_host', *args[:1])
        with self.image_used(image_id, instance) as boot:
            def watch(fetch: Callable[..., Any], *fetch_args: Any,
                      target: str, **fetch_kwargs: Any) -> None:
                if os.path.normpath(target) != path:
                    fetch(*fetch_args, target=target, **fetch_kwargs)
                    return
                if self._volumes and self._volumes.image(filename):
                    # Of a boot whose lock was waited for; its file is gone.
                    return
                size_of = None
                if source and 'image_id' not in fetch_kwargs:
                    size_of = functools.partial(_bytes_on_host, source, path)
                with (self.image_cache_manager.cache.fetching(
                        context, image_id, disk_bytes=size,
                        clones=CONF.libvirt.images_type == 'rbd',
                        size_of=size_of),
                      self._arriving(filename) as fetched):
                    if self._volumes:
                        self._volumes.refuse_if_full(image_id)
                    call = functools.partial(
                        fetch, *fetch_args, target=target, **fetch_kwargs)
                    # How fast another host sends says nothing of Glance.
                    if self._fetch(call, first=source, disk_bytes=size):
                        fetched.size = _bytes_on_disk(path)
                    if self._volumes:
                        self._volumes.take_in(context, image_id, filename,
                                              is_new=True)
                if self._length(filename) is not None:
                    boot.hit = False

            watched = image_backends.WatchedBackend(image, watch)
            result = super()._try_fetch_image_cache(
                watched, fetch_func, context, filename, image_id, instance,
                size, *args, **kwargs)
            boot.size = self._length(filename)
            if (boot.hit is None and boot.size is not None
                    and watched.was_asked):
                boot.hit = True
        return result

    def _length(self, name: str) -> int | None:
        """Return the bytes of an image, None if they cannot be told.

        :param name: of its base file
        """
        with contextlib.suppress(OSError):
            image = self._volumes and self._volumes.image(name)
            return image.length if image else os.stat(os.path.join(
                self._cache_directory.cache_dir, name)).st_size
        return None

    def _fetch(self, call: functools.partial[Any], converts: bool = True,
               first: str | None = None,
               disk_bytes: int | None = None) -> bool:
        """Fetch a base file as nova does, or from another host.

        :param call: nova's function with all its arguments
        :param converts: see :class:`.fetching.WantedImage`
        :param first: the host that the server comes from
        :param disk_bytes: of the root disk of its server
        :returns: whether it came as nova fetches it
        """
        given = call.keywords
        context, image_id = given.get('context'), given.get('image_id')
        if (not context or not image_id or self._base_file(image_id)
                != os.path.normpath(given['target'])):
            call()
            return True

        def room(size: int) -> contextlib.AbstractContextManager[None]:
            return self.image_cache_manager.cache.fetching(
                context, image_id, disk_bytes=disk_bytes, converts=converts,
                size_of=lambda: size)

        return self._neighbours.fetch(call, fetching.WantedImage(
            image_id, self._base_file(image_id), room, first=first,
            converts=converts,
            is_signed=given.get('trusted_certs') is not None))

    def _arriving(self, filename: str) -> contextlib.AbstractContextManager[
            host_report.MeasuredFetch]:
        """Report that an image arrives, if the file is named as of one."""
        name = entry.parse(filename)
        if name is None or name.sha1 is None:
            return contextlib.nullcontext(host_report.MeasuredFetch())
        return self.image_fetched(name.sha1)


def _bytes_on_disk(path: str) -> int:
    """Return what a file takes up, 0 if it cannot be told.

    What was fetched, as near as can be told: a raw file's length is the size
    of the disk, most of which was never sent.
    """
    try:
        return os.stat(path).st_blocks * 512
    except OSError:
        return 0


def _bytes_on_host(host: str, path: str) -> int:
    """Return what a copy of a file of another host takes up.

    Asked as nova is about to copy it, with the same account.

    :raises ValueError: if the host does not tell
    """
    try:
        blocks, block_size, length = map(int, utils.ssh_execute(
            host, 'stat', '-c', "'%b %B %s'", shlex.quote(path),
            timeout=_ANSWER_SECONDS,
            # It is over, or it did not answer.
            on_completion=lambda process: process.kill())[0].split())
    except Exception as error:
        raise ValueError(f'host {host} does not tell over ssh how large '
                         f'{path} is: {error}') from error
    # Of the two ways that nova has, scp fills the holes of a file.
    return (blocks * block_size
            if CONF.libvirt.remote_filesystem_transport == 'rsync'
            else max(blocks * block_size, length))

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

"""``compute_driver = cache_aware.FakeDriver``, for tests and trials.

No hypervisor and no images: servers boot in an instant, and what would be
fetched for them is a sparse file in a cache directory of the host's own, below
``[DEFAULT] instances_path``. All that is done with that directory is done as
on a libvirt host.
"""

from collections.abc import Callable
from collections.abc import Collection
import contextlib
import os
import time
from typing import Any
import uuid

import nova.conf
from nova import context as nova_context
from nova.image import glance
from nova import objects
from nova.virt import fake as nova_fake
from nova.virt import node
from oslo_log import log as logging

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import limits
from cache_aware_sched import report
from cache_aware_sched.virt import cached_files
from cache_aware_sched.virt import managed

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

_NAMESPACE = uuid.UUID('5b1b3c0a-6c39-4d0b-9c1e-0f1f1d3a7f52')

#: Free on the disk of a host, whatever is on it: a million GiB.
_DISK_BYTES = 10 ** 6 * limits.GIB

#: Bytes of an image whose size nobody knows.
_SOME_SIZE = 2 ** 30


class FakeDirectory(directory.Directory):
    """The cache directory of one host, whose files are as large as they say.

    The host shares it with no other.
    """

    @property
    def instances_path(self) -> str:
        """A directory of the host."""
        return os.path.join(str(CONF.instances_path), f'fake-{self._host()}')

    @property
    def cache_dir(self) -> str:
        """The directory of the base files."""
        return os.path.join(self.instances_path, '_base')

    @staticmethod
    def size_of(status: os.stat_result) -> int:
        """Return the length of a file, as nothing of it is on the disk."""
        return status.st_size

    def disk(self) -> limits.Disk:
        """Return the disk of a fake host, which never gets full."""
        return limits.Disk(0, _DISK_BYTES)

    def register(self) -> None:
        """Make the directory, and do as on a libvirt host."""
        with contextlib.suppress(OSError):  # it is told of what follows
            os.makedirs(self.instances_path, exist_ok=True)
        super().register()


class FakeImageCache:
    """Puts images into the cache of a host and takes them out.

    A driver does so when it fetches, and tests do to set a stage.
    """

    def __init__(self, where: FakeDirectory) -> None:
        self._where = where

    def put(self, image_id: str, size: int) -> None:
        """Put a complete image of so many bytes in."""
        self.begin(image_id, size)
        os.replace(f'{self._path(image_id)}.part', self._path(image_id))

    def begin(self, image_id: str, size: int) -> None:
        """Put an image in that is being fetched."""
        os.makedirs(self._where.cache_dir, exist_ok=True)
        with open(f'{self._path(image_id)}.part', 'wb') as file:
            file.truncate(size)

    def remove(self, image_id: str) -> None:
        """Take an image out, if it is there."""
        for path in (self._path(image_id), f'{self._path(image_id)}.part'):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def has(self, image_id: str) -> bool:
        """Return whether an image is there and complete."""
        return os.path.exists(self._path(image_id))

    def touch(self, image_id: str) -> None:
        """Note that an image is used now."""
        os.utime(self._path(image_id))

    def _path(self, image_id: str) -> str:
        return os.path.join(self._where.cache_dir, report.image_sha1(image_id))


def image_cache(host: str) -> FakeImageCache:
    """Return the image cache of a host."""
    return FakeImageCache(FakeDirectory(lambda: host))


class _FetchingDriver(nova_fake.FakeDriver):
    """Fetches the image where a real driver does: while it spawns."""

    def spawn(self, context: nova_context.RequestContext,
              instance: 'objects.Instance', image_meta: Any, *args: Any,
              **kwargs: Any) -> Any:
        if instance.image_ref and image_meta is not None:
            self._boot_image(
                context, instance,
                image_meta.size if 'size' in image_meta else _SOME_SIZE)
        return super().spawn(context, instance, image_meta, *args, **kwargs)

    def _boot_image(self, context: nova_context.RequestContext,
                    instance: 'objects.Instance', size: int) -> None:
        raise NotImplementedError


class FakeDriver(managed.ManagedCacheMixin, _FetchingDriver):
    """nova's fake driver with an image cache.

    Unlike nova's it can be restarted in a process of its own: the node keeps
    its uuid.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cache_directory = FakeDirectory(
            lambda: self.image_cache_manager.host)
        self._cached_files = cached_files.CachedFiles(self._cache_directory)
        self.image_cache_manager.store = self._cache_directory

    def manage_image_cache(self, context: nova_context.RequestContext,
                           all_instances: Any) -> None:
        """Make a pass of the image cache manager.

        nova takes hosts with the same ``instances_path`` for users of one
        cache; here each has its own.
        """
        self.image_cache_manager.update(
            context, objects.InstanceList.get_by_host(
                context, self.image_cache_manager.host, expected_attrs=[]))

    def _boot_image(self, context: nova_context.RequestContext,
                    instance: 'objects.Instance', size: int) -> None:
        """Have the image of a server in the cache."""
        image_id = instance.image_ref
        with self.image_used(image_id, instance) as boot:
            boot.hit = not self._fetch(
                image_id, size,
                lambda: self.image_cache_manager.cache.fetching(
                    context, image_id))
            boot.size = size

    def cached_files(self) -> Collection[report.BaseFile]:
        """Return the files of the cache directory."""
        return self._cached_files.files()

    def cache_image(self, context: nova_context.RequestContext,
                    image_id: str) -> bool:
        """Fetch an image ahead of time; see :mod:`nova.virt.driver`."""
        image = glance.API().get(context, image_id)
        manager = self.image_cache_manager
        with manager.cache.using(image_id):
            fetched = self._fetch(
                image_id, image.get('size') or _SOME_SIZE,
                lambda: manager.cache.fetching(context, image_id, ahead=True))
            if not fetched:
                FakeImageCache(self._cache_directory).touch(image_id)
        if fetched:
            manager.cache.fetched(image_id)
        return fetched

    def _fetch(self, image_id: str, size: int, room: Callable[
               [], contextlib.AbstractContextManager[None]]) -> bool:
        """Have an image in the cache, as nova's libvirt driver does.

        :param room: makes room for it
        :returns: whether it was not there; if somebody else is fetching it,
            False when that is done
        """
        cache, sha1 = (FakeImageCache(self._cache_directory),
                       report.image_sha1(image_id))
        try:
            with self._cache_directory.lock(sha1):
                if cache.has(image_id):
                    return False
                try:
                    # Its size is not told: the time is not that of a fetch.
                    with room(), self.image_fetched(sha1):
                        cache.begin(image_id, size)
                        time.sleep(
                            CONF.cache_aware_sched.fake_image_fetch_seconds)
                        cache.put(image_id, size)
                except BaseException:
                    cache.remove(image_id)
                    raise
        finally:
            self._cache_directory.remove_lock_files(sha1)
        return True

    def init_host(self, host: str) -> None:
        """Leave the file by which nova knows its node after a restart."""
        super().init_host(host)
        try:
            if node.read_local_node_uuid() is None:
                node.write_local_node_uuid(_node_uuid(host))
        except Exception as error:
            LOG.warning(
                'Host %(host)s cannot be restarted in a process of its own: '
                '%(error)s. Check [DEFAULT] state_path.',
                {'host': host, 'error': error})

    def get_available_resource(self, nodename: str) -> Any:
        """Return the resources of a node."""
        resources = super().get_available_resource(nodename)
        if resources:
            resources['uuid'] = _node_uuid(nodename)
        return resources

    def get_nodenames_by_uuid(self, refresh: bool = False) -> dict[str, str]:
        """Return the nodes by their uuids."""
        return {_node_uuid(name): name for name in self.get_available_nodes()}


def _node_uuid(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name))

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
fetched for them is remembered as cached. A host's cache outlives its driver in
the process, as a directory would, but not the process.
"""

from collections.abc import Callable
from collections.abc import Collection
import contextlib
import dataclasses
import threading
import time
from typing import Any
import uuid

from nova import context as nova_context
from nova.image import glance
from nova import objects
from nova.virt import fake as nova_fake
from nova.virt import node
from oslo_log import log as logging

from cache_aware_sched import report
from cache_aware_sched.virt import fake_store
from cache_aware_sched.virt import managed

LOG = logging.getLogger(__name__)

_NAMESPACE = uuid.UUID('5b1b3c0a-6c39-4d0b-9c1e-0f1f1d3a7f52')

#: Bytes of an image whose size nobody knows.
_SOME_SIZE = 2 ** 30


@dataclasses.dataclass(slots=True)
class _Image:
    size: int
    used_ns: int = dataclasses.field(default_factory=time.time_ns)
    there: threading.Event = dataclasses.field(
        default_factory=threading.Event)


class FakeImageCache:
    """The images of one host.

    Images can be put in and taken out to set a stage.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: dict[str, _Image] = {}

    def put(self, image_id: str, size: int) -> None:
        """Put a complete image of so many bytes in."""
        with self._lock:
            image = self._images.setdefault(image_id, _Image(size))
            image.size = size
            image.there.set()

    def remove(self, image_id: str) -> None:
        """Take an image out, if it is there; nobody waits for it longer."""
        with self._lock:
            image = self._images.pop(image_id, None)
        if image is not None:
            image.there.set()

    def clear(self) -> None:
        """Take all images out."""
        for image_id in list(self._images):
            self.remove(image_id)

    def files(self) -> list[report.BaseFile]:
        """Return the images as base files."""
        with self._lock:
            return [report.BaseFile(
                report.image_sha1(image_id), image.size,
                report.Kind.COMPLETE if image.there.is_set()
                else report.Kind.ARRIVING)
                for image_id, image in self._images.items()]

    def held(self) -> list[fake_store.Held]:
        """Return what a store makes entries of."""
        with self._lock:
            return [fake_store.Held(image_id, image.size, image.used_ns)
                    for image_id, image in self._images.items()
                    if image.there.is_set()]

    def touch(self, image_id: str) -> None:
        """Note that an image is used now."""
        image = self._images.get(image_id)
        if image is not None:
            image.used_ns = time.time_ns()

    def remove_if(self, held: fake_store.Held) -> bool:
        """Take an image out that was not used since it was looked at."""
        with self._lock:
            image = self._images.get(held.image_id)
            if image is None or image.used_ns != held.used_ns:
                return False
            del self._images[held.image_id]
            return True

    def has(self, image_id: str) -> bool:
        """Return whether an image is there and complete."""
        image = self._images.get(image_id)
        return image is not None and image.there.is_set()

    def begin(self, image_id: str, size: int) -> tuple[_Image, bool]:
        """Return an image, and whether the caller has to fetch it."""
        with self._lock:
            if image_id in self._images:
                return self._images[image_id], False
            image = self._images[image_id] = _Image(size)
            return image, True


#: By the name of the host.
_caches: dict[str, FakeImageCache] = {}


def image_cache(host: str) -> FakeImageCache:
    """Return the image cache of a host of this process."""
    return _caches.setdefault(host, FakeImageCache())


class _FetchingDriver(nova_fake.FakeDriver):
    """Fetches the image where a real driver does: while it spawns."""

    def spawn(self, context: nova_context.RequestContext,
              instance: 'objects.Instance', image_meta: Any, *args: Any,
              **kwargs: Any) -> Any:
        if instance.image_ref and image_meta is not None:
            self.boot_image(
                context, instance,
                image_meta.size if 'size' in image_meta else _SOME_SIZE)
        return super().spawn(context, instance, image_meta, *args, **kwargs)

    def boot_image(self, context: nova_context.RequestContext,
                   instance: 'objects.Instance', size: int) -> None:
        raise NotImplementedError


class FakeDriver(managed.ManagedCacheMixin, _FetchingDriver):
    """nova's fake driver with an image cache.

    Unlike nova's it can be restarted in a process of its own: the node keeps
    its uuid.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.image_cache_manager.store = fake_store.FakeStore(
            self._image_cache, lambda: str(self._cache_host))

    def manage_image_cache(self, context: nova_context.RequestContext,
                           all_instances: Any) -> None:
        """Make a pass of the image cache manager.

        nova takes hosts with the same ``instances_path`` for users of one
        cache; here each has its own, also in one process.
        """
        self.image_cache_manager.update(
            context, objects.InstanceList.get_by_host(
                context, self._cache_host, expected_attrs=[]))

    def boot_image(self, context: nova_context.RequestContext,
                   instance: 'objects.Instance', size: int) -> None:
        """Have the image of a server in the cache."""
        image_id = instance.image_ref
        with self.image_used(context, image_id, instance) as boot:
            boot.hit = False  # unless the fetch ends well
            boot.hit = not self.fetch(
                image_id, size,
                lambda: self.room_for(context, image_id))
            boot.size = size

    def cached_files(self) -> Collection[report.BaseFile]:
        """Return what is in the memory."""
        return self._image_cache().files()

    def cache_image(self, context: nova_context.RequestContext,
                    image_id: str) -> bool:
        """Fetch an image ahead of time; see :mod:`nova.virt.driver`."""
        image = glance.API().get(context, image_id)
        with self.image_cache_manager.using(image_id):
            return self.fetch(
                image_id, image.get('size') or _SOME_SIZE,
                lambda: self.room_for(context, image_id, ahead=True))

    def fetch(self, image_id: str, size: int, room: Callable[
            [], contextlib.AbstractContextManager[None]]) -> bool:
        """Have an image in the cache.

        :param room: makes room for it
        :returns: whether it was not there; if somebody else is fetching it,
            False when that is done
        """
        cache = self._image_cache()
        image, absent = cache.begin(image_id, size)
        while not absent:
            image.there.wait()
            if cache.has(image_id):
                return False
            # Whoever fetched it has failed.
            image, absent = cache.begin(image_id, size)
        try:
            # Its size is not told: the time is not one of a fetch.
            with room(), self.image_fetched(report.image_sha1(image_id)):
                time.sleep(self._cache_options.fake_image_fetch_seconds)
                image.there.set()
        except BaseException:
            cache.remove(image_id)
            raise
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

    def _image_cache(self) -> FakeImageCache:
        return image_cache(str(self._cache_host))


def _node_uuid(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name))

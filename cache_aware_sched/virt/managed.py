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

"""The mixin that gives a compute driver an image cache manager."""

from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any

from nova import context as nova_context
from nova import objects

from cache_aware_sched.imagecache import loading
from cache_aware_sched.virt import driver


@dataclasses.dataclass(slots=True)
class Boot:
    """A server that is made from an image.

    :param hit: whether the image was in the cache
    :param size: bytes of the image; None if it is not there
    """

    hit: bool = True
    size: int | None = None


class ManagedCacheMixin(driver.CacheAwareMixin):
    """Has its image cache managed as ``image_cache_manager`` says.

    Goes where :class:`cache_aware_sched.virt.driver.CacheAwareMixin` goes. The
    driver calls ``self.image_cache_manager.update()`` from its
    ``manage_image_cache()``, and uses :meth:`image_used` and :meth:`room_for`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Under the name by which nova's libvirt driver knows it.
        self.image_cache_manager = loading.load(
            self._cache_options.image_cache_manager)
        self.image_cache_manager.on_change = self.image_cache_changed
        self._cache_boots: set[str] = set()

    def init_host(self, host: str) -> None:
        """Learn the name of the host."""
        self.image_cache_manager.init_host(host)
        super().init_host(host)

    def cleanup_host(self, host: str) -> None:
        """End the work; nova calls it when nova-compute ends."""
        self.image_cache_manager.close()
        # Of nova's driver, which comes behind the mixins.
        super().cleanup_host(host)  # type: ignore[misc]

    def get_available_resource(self, nodename: str) -> Any:
        """Return the resources; nova asks for them every minute."""
        self.image_cache_manager.store.register()
        return super().get_available_resource(nodename)

    def spawn(self, context: nova_context.RequestContext,
              instance: 'objects.Instance', *args: Any, **kwargs: Any) -> Any:
        """Start a server whose images stay in the cache meanwhile."""
        self._cache_boots.add(instance.uuid)
        try:
            with self.image_cache_manager.using(*_images(instance)):
                return super().spawn(context, instance, *args, **kwargs)
        finally:
            self._cache_boots.discard(instance.uuid)

    @contextlib.contextmanager
    def image_used(self, context: nova_context.RequestContext, image_id: str,
                   instance: 'objects.Instance') -> Iterator[Boot]:
        """Keep an image in the cache while a disk is made from it.

        The first time within :meth:`spawn` it counts as a hit or a miss:
        some servers need more than one image, and a resize is no boot.
        """
        first = instance.uuid in self._cache_boots
        self._cache_boots.discard(instance.uuid)
        boot = Boot()
        with self.image_cache_manager.using(image_id):
            try:
                yield boot
            finally:
                if first and self.caches_images():
                    self.image_cache_manager.booted(
                        context, image_id, boot.hit, boot.size, instance.uuid)

    def room_for(self, context: nova_context.RequestContext, image_id: str,
                 ahead: bool = False
                 ) -> contextlib.AbstractContextManager[None]:
        """Make room for an image, and keep it while the block fetches it.

        :param ahead: whether no server waits for the image
        :raises cache_aware_sched.imagecache.room.NoRoom: only if no server
            waits for it
        """
        if not self.caches_images():
            return contextlib.nullcontext()
        return self.image_cache_manager.fetching(context, image_id, ahead)


def _images(instance: 'objects.Instance') -> list[str | None]:
    """Return the ids of all images that a server is made from.

    One that is unshelved is made from its snapshot, and its disk is then
    moved to the image that it once was made from.
    """
    images = [getattr(instance, name) for name in (
        'image_ref', 'kernel_id', 'ramdisk_id') if name in instance]
    if 'system_metadata' in instance:
        images.append(instance.system_metadata.get('image_base_image_ref'))
    return images

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

"""The mixin that gives a compute driver an image cache manager.

It starts the manager with nova-compute, and counts hits and misses.
"""

from collections.abc import Collection
from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any

from nova import context as nova_context
from nova import objects

from cache_aware_sched.config import CONF
from cache_aware_sched.imagecache import loading
from cache_aware_sched import report
from cache_aware_sched.virt import critical_fetches
from cache_aware_sched.virt import driver
from cache_aware_sched.virt import host_facts


@dataclasses.dataclass(slots=True)
class ImageUse:
    """How a server uses the image that its disk is made of.

    :param image_id: of the image that its disk is made of, as soon as the
        driver looks for it
    :param hit: whether that was in the cache; None if nothing of it is, as
        when Ceph clones it
    :param size: bytes of its file in the cache
    """

    image_id: str | None = None
    hit: bool | None = None
    size: int | None = None


class ManagedCacheMixin(driver.CacheAwareMixin):
    """Has its image cache managed as ``image_cache_manager`` says.

    Goes where :class:`cache_aware_sched.virt.driver.CacheAwareMixin` goes. The
    driver calls ``self.image_cache_manager.update()`` from its
    ``manage_image_cache()``, uses :meth:`image_used` around the making of a
    disk, and ``self.image_cache_manager.cache.fetching()`` around a fetch.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Under the name by which nova's libvirt driver knows it.
        self.image_cache_manager = loading.load(
            CONF.cache_aware_sched.image_cache_manager)
        self.image_cache_manager.on_change = self.image_cache_changed
        self._critical_fetches = critical_fetches.CriticalFetches(self)
        self._cache_facts = host_facts.CacheFacts(
            self.image_cache_manager, self._critical_fetches.status)
        # By the uuid of the server that is started.
        self._cache_boots: dict[str, ImageUse] = {}

    def init_host(self, host: str) -> None:
        """Start the image cache, before nova starts any server."""
        self.image_cache_manager.init_host(host)
        self._critical_fetches.thread.ready()
        super().init_host(host)

    def cache_facts(self, files: Collection[report.BaseFile],
                    ) -> report.HostFacts:
        """Return what the report says of the cache beyond its files."""
        return self._cache_facts.facts(files)

    def cleanup_host(self, host: str) -> None:
        """End the work; nova calls it when nova-compute ends."""
        self._critical_fetches.thread.end()
        self.image_cache_manager.cache.save()
        # Of nova's driver, which comes behind the mixins.
        super().cleanup_host(host)  # type: ignore[misc]

    def get_available_resource(self, nodename: str) -> Any:
        """Return the resources; nova asks for them every minute.

        It asks for the first time when nova-compute has started, and not
        earlier is anything fetched.
        """
        self.image_cache_manager.store.register()
        resources = super().get_available_resource(nodename)
        self._critical_fetches.thread.begin()
        return resources

    def uses_fetched_images(self) -> bool:
        """Return whether disks are made from what is fetched ahead of time.

        If not, critical images are not fetched.
        """
        return True

    @contextlib.contextmanager
    def _cache_starting(self, context: nova_context.RequestContext,
                        instance: 'objects.Instance') -> Iterator[None]:
        """Keep the images of a server in the cache while it is started.

        A server that was started is a hit or a miss. That it was not is none:
        nova may start it on another host.
        """
        cache = self.image_cache_manager.cache
        boot = self._cache_boots[instance.uuid] = ImageUse()
        started = False
        try:
            with cache.using(*_images(instance)):
                yield
            started = True
        finally:
            self._cache_boots.pop(instance.uuid, None)
            if boot.image_id and boot.hit is False:
                cache.fetched(boot.image_id, in_vain=not started)
        if boot.image_id and boot.hit is not None:
            cache.booted(context, boot.image_id, boot.hit, boot.size,
                         instance.uuid)

    @contextlib.contextmanager
    def image_used(self, image_id: str, instance: 'objects.Instance',
                   ) -> Iterator[ImageUse]:
        """Keep an image in the cache while a disk is made from it.

        What is said of the first one while the server is started counts: some
        servers need more than one image, and a resize is no boot.
        """
        boot = self._cache_boots.get(instance.uuid)
        counts = boot is not None and not boot.image_id
        if boot is None or not counts:
            boot = ImageUse()
        boot.image_id = image_id
        cache = self.image_cache_manager.cache
        made = False
        try:
            with cache.using(image_id):
                yield boot
            made = True
        finally:
            if boot.hit is False and not counts:
                cache.fetched(image_id, in_vain=not made)


def _keeping(name: str) -> Any:
    """Return a method of the driver while which images are kept.

    It makes disks for a server that the host may have no row of.
    """
    def method(self: ManagedCacheMixin, *args: Any, **kwargs: Any) -> Any:
        used = []
        for argument in (*args, *kwargs.values()):
            if isinstance(argument, objects.Instance):
                used += _images(argument)
            elif isinstance(argument, objects.ImageMeta) and 'id' in argument:
                used.append(argument.id)
        with self.image_cache_manager.cache.using(*used):
            return getattr(super(ManagedCacheMixin, self), name)(
                *args, **kwargs)

    method.__name__ = name
    return driver.in_front_of_novas(method)


#: What makes disks besides spawn (nova.virt.driver, nova 34.0.0). To rescue a
#: server takes an image that the database does not tell.
DISK_MAKERS = ('finish_migration', 'finish_revert_migration',
               'pre_live_migration', 'rescue')
for _name in DISK_MAKERS:
    setattr(ManagedCacheMixin, _name, _keeping(_name))


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

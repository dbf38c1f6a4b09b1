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

"""``compute_driver = cache_aware.VMwareVCDriver``.

nova's own driver, which nova calls experimental, and so is this. A node is a
cluster of many machines, so there is neither a cap of same-image servers nor a
late check: nova cannot tell on which machine a server runs, DRS moves it, and
what is lost with one machine is not what is lost with the cluster.
"""

from collections.abc import Collection
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
from typing import Any

from nova import context as nova_context
from nova import objects
from nova.virt.vmwareapi import driver as vmware_driver
from oslo_log import log as logging

from cache_aware_sched import report
from cache_aware_sched.virt import driver as mixin
from cache_aware_sched.virt import host_report
from cache_aware_sched.virt import managed
from cache_aware_sched.virt.vmware import background
from cache_aware_sched.virt.vmware import datastores
from cache_aware_sched.virt.vmware import folders
from cache_aware_sched.virt.vmware import vcenter

LOG = logging.getLogger(__name__)


class VMwareVCDriver(managed.ManagedCacheMixin,
                     vmware_driver.VMwareVCDriver):
    """nova's VMware driver that reports and manages its image cache."""

    def __init__(self, virtapi: Any, scheme: str = 'https') -> None:
        super().__init__(virtapi, scheme)
        self._datastores = datastores.Datastores(
            vcenter.VCenter(self._vmops),
            lambda: self.image_cache_manager.host)
        self.image_cache_manager.store = self._datastores
        self._background = background.BackgroundLook(
            self._look, super().image_cache_changed,
            lambda: self.image_cache_manager.host)
        _watch(self._vmops, self)

    def init_host(self, host: str) -> None:
        """Start the image cache, and begin to look what is in it."""
        super().init_host(host)
        self._background.thread.ready()
        self._background.thread.begin()

    def cleanup_host(self, host: str) -> None:
        """End the work; nova calls it when nova-compute ends."""
        self._background.end()
        super().cleanup_host(host)

    # The report.

    def _look(self) -> background.CacheContents:
        files = tuple(sorted(
            folders.files_of(self._datastores.listing.look().values()),
            key=lambda file: (file.sha1, file.kind.value, file.size)))
        # A cluster has no cap, and no room for what is fetched ahead of time:
        # plans pass it over.
        facts = dataclasses.replace(
            super().cache_facts(files), cap=None, asks_for_cap=None,
            room_gib=0, evicts=False)
        return background.CacheContents(files, facts)

    def _seen(self) -> background.CacheContents:
        seen = self._background.seen
        if seen is None:
            raise host_report.CacheNotKnown('vCenter was not asked yet')
        return seen

    def cached_files(self) -> Collection[report.BaseFile]:
        """Return the images on the datastores, as they were seen last."""
        return self._seen().files

    def cache_facts(self, files: Collection[report.BaseFile],
                    ) -> report.HostFacts:
        """Return what was told of the cache when it was looked at last."""
        return self._seen().facts

    def image_cache_changed(self) -> None:
        """Have vCenter asked, and the change reported then."""
        self._background.request()

    def is_one_machine(self) -> bool:
        """Return that it is a cluster."""
        return False

    def uses_fetched_images(self) -> bool:
        """Return that nothing is fetched ahead: nova's driver cannot."""
        return False

    def _changed(self, image_id: str) -> None:
        """Have a folder looked into: something may be new in it."""
        self._datastores.changed(image_id)
        self._background.request()

    # What nova calls.

    @mixin.in_front_of_novas
    def spawn(self, context: nova_context.RequestContext,
              instance: 'objects.Instance', *args: Any, **kwargs: Any) -> Any:
        """Start a server; that may make a copy for linked clones."""
        try:
            return super().spawn(context, instance, *args, **kwargs)
        finally:
            if instance.image_ref:
                self._changed(instance.image_ref)

    def manage_image_cache(self, context: nova_context.RequestContext,
                           all_instances: Any) -> None:
        """Make a pass of the image cache manager, instead of nova's own."""
        self.image_cache_manager.update(context, all_instances)

    @contextlib.contextmanager
    def _image_sought(self, context: nova_context.RequestContext, vi: Any,
                     ) -> Iterator['SoughtImage']:
        """Watch over the image of a server while nova looks for it.

        :param vi: what nova knows of the server that is made
        """
        image_id = vi.ii.image_id
        with (self.image_used(image_id, vi.instance) as use,
              contextlib.ExitStack() as fetch):
            sought = SoughtImage(self, context, vi.ii, fetch)
            try:
                yield sought
            finally:
                self._changed(image_id)
            use.hit, use.size = not sought.is_missing, vi.ii.file_size or None
            if sought.measured is not None:
                sought.measured.size = vi.ii.file_size or 0


class SoughtImage:
    """An image that nova looks for, and fetches if it is not there.

    :param driver: the driver
    :param image: what nova knows of it
    :param fetch: what ends with the fetch
    """

    def __init__(self, driver: VMwareVCDriver,
                 context: nova_context.RequestContext, image: Any,
                 fetch: contextlib.ExitStack) -> None:
        self._driver = driver
        self._context = context
        self._image_id = image.image_id
        # A sparse one is copied into another form, and there twice meanwhile.
        self._is_converted = bool(image.is_sparse)
        self._fetch = fetch
        self.is_missing = False
        self.measured: host_report.MeasuredFetch | None = None

    def miss(self) -> None:
        """Make room; called when nova begins to fetch."""
        self.is_missing = True
        self._fetch.enter_context(
            self._driver.image_cache_manager.cache.fetching(
                self._context, self._image_id, converts=self._is_converted))
        self.measured = self._fetch.enter_context(
            self._driver.image_fetched(report.image_sha1(self._image_id)))


def _watch(vmops: Any, driver: VMwareVCDriver) -> None:
    """Have nova tell when it looks for an image, and when it fetches it.

    ``_fetch_image_if_missing(context, vi)`` looks for one, and asks
    ``_get_image_callbacks(vi)`` how one is prepared, fetched and cached;
    private, read in nova 34.0.0, and the same in 31 to 33. If one of them is
    no more, images are reported within a minute, the limits are kept in each
    pass, and there are no notifications of hits and misses.
    """
    look_for = getattr(vmops, '_fetch_image_if_missing', None)
    callbacks = getattr(vmops, '_get_image_callbacks', None)
    if look_for is None or callbacks is None:
        LOG.warning('cache_aware.VMwareVCDriver counts no hits and misses: '
                    'nova has changed. Install a release of cache_aware_sched '
                    'that was made for it.')
        return
    sought: dict[int, SoughtImage] = {}

    @functools.wraps(look_for)
    def watched(context: nova_context.RequestContext, vi: Any) -> Any:
        with driver._image_sought(context, vi) as one:
            sought[id(vi)] = one
            try:
                return look_for(context, vi)
            finally:
                del sought[id(vi)]

    @functools.wraps(callbacks)
    def watched_callbacks(vi: Any) -> Any:
        prepare, *others = callbacks(vi)
        one = sought.get(id(vi))

        def prepare_room(*args: Any) -> Any:
            if one is not None:
                one.miss()
            return prepare(*args)

        return (prepare_room, *others)

    vmops._fetch_image_if_missing = watched
    vmops._get_image_callbacks = watched_callbacks

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

"""The mixin that makes a compute driver cache-aware.

An out-of-tree driver mixes it in before its own class and says what is in its
cache::

    class MyDriver(driver.CacheAwareMixin, mydriver.Driver):

        def cached_files(self):
            return [report.BaseFile(sha1, size) for ... in ...]
"""

import abc
import collections
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import inspect
import threading
import time
from typing import Any

from nova.compute import vm_states
from nova import context as nova_context
from nova import objects
from nova.virt import driver as nova_driver
from oslo_log import log as logging

from cache_aware_sched import config
from cache_aware_sched import image_ids
from cache_aware_sched import once
from cache_aware_sched import presence
from cache_aware_sched import report
from cache_aware_sched.virt import fetch_rate
from cache_aware_sched.virt import late_check
from cache_aware_sched.virt import refresh
from cache_aware_sched.virt import stats_row

LOG = logging.getLogger(__name__)


def in_front_of_novas(method: Callable[..., Any]) -> Any:
    """Let a method of a mixin take what nova's takes.

    It hands on whatever it is called with, as the arguments differ between
    releases of nova. Without this it would look as if it took anything, and
    nova holds a driver to the arguments of its own.
    """
    novas = getattr(nova_driver.ComputeDriver, method.__name__)
    method.__doc__ = method.__doc__ or novas.__doc__
    method.__dict__['__signature__'] = inspect.signature(novas)
    return method


class CacheAwareMixin(abc.ABC):
    """Reports the image cache, and checks the same-image cap at spawn.

    Goes before a :class:`nova.virt.driver.ComputeDriver` in the list of base
    classes. The rest of nova-compute is not touched: whatever goes wrong here
    is logged, and leaves the scheduler with an older report or none.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cache_options = config.checked()
        self._cache_host: str | None = None
        self._cache_refresher = refresh.Refresher(self)
        self._cache_fetch_rate = fetch_rate.FetchRate()
        self._cache_late_check = late_check.LateCheck()
        self._cache_arriving: collections.Counter[str] = collections.Counter()
        self._cache_arriving_lock = threading.Lock()

    @abc.abstractmethod
    def cached_files(self) -> Collection[report.BaseFile]:
        """Return what is in the cache; the users of a file need not be set.

        Called at least once a minute, from several threads; must take
        milliseconds. Kernels and ramdisks are images as well.
        """

    def caches_images(self) -> bool:
        """Return whether this host keeps images at all."""
        return True

    def image_cache_changed(self) -> None:
        """Have the change reported at once; returns immediately.

        To be called when an image begins to arrive, is complete, or is gone.
        """
        if self._cache_options.report_changes_at_once:
            self._cache_refresher.request(settles=True)

    def _cache_servers_changed(self) -> None:
        """Have it reported that a server came or went; returns immediately.

        nova writes so to its database a moment later than to the driver, so
        the report is made now and once more when that has settled.
        """
        if self._cache_options.report_changes_at_once:
            self._cache_refresher.request(settles=True, at_once=False)

    @contextlib.contextmanager
    def image_fetched(self, sha1: str) -> Iterator['MeasuredFetch']:
        """Report that an image arrives, and that it is there or has failed.

        Use it around the fetch, and set the size for its rate to be reported.

        :param sha1: of the image id
        """
        fetch = MeasuredFetch()
        start = time.monotonic()
        self._note_arriving(sha1, 1)
        self.image_cache_changed()
        try:
            yield fetch
            self._cache_fetch_rate.add(fetch.size, time.monotonic() - start)
        finally:
            self._note_arriving(sha1, -1)
            self.image_cache_changed()

    def _note_arriving(self, sha1: str, more: int) -> None:
        """Count the fetches of an image; servers are spawned in threads."""
        with self._cache_arriving_lock:
            self._cache_arriving[sha1] += more
            if not self._cache_arriving[sha1]:
                del self._cache_arriving[sha1]

    # What nova calls.

    def init_host(self, host: str) -> None:
        """Learn the name of the host."""
        self._cache_host = host
        super().init_host(host)  # type: ignore[misc]

    def get_available_resource(self, nodename: str) -> Any:
        """Return the resources of a node with the report in their stats."""
        resources = super().get_available_resource(  # type: ignore[misc]
            nodename)
        try:
            if resources:  # a node that is not there has none
                stats = dict(resources.get('stats') or {})
                text = self._report(stats, nodename)
                if text is not None:
                    stats[report.STATS_KEY] = text
                    resources['stats'] = stats
        except Exception:
            LOG.exception('Host %s does not report its image cache.',
                          self._cache_host)
        return resources

    @in_front_of_novas
    def spawn(self, context: nova_context.RequestContext,
              instance: 'objects.Instance', *args: Any, **kwargs: Any) -> Any:
        """Start a server if the cap of same-image servers lets it.

        :raises cache_aware_sched.virt.late_check.SameImageCapReached: which
            makes nova try the next host
        """
        self._cache_late_check.admit(context, instance)
        try:
            with self._cache_starting(context, instance):
                return super().spawn(  # type: ignore[misc]
                    context, instance, *args, **kwargs)
        except BaseException:
            self._cache_late_check.forget(instance.uuid)
            raise
        finally:
            self._cache_servers_changed()

    def _cache_starting(
        self, context: nova_context.RequestContext,
        instance: 'objects.Instance',
    ) -> contextlib.AbstractContextManager[None]:
        """Return what surrounds the start of a server that was admitted."""
        return contextlib.nullcontext()

    # The report.

    def _report(self, stats: dict[str, Any], nodename: str) -> str | None:
        there, moving = presence.on_node(
            nova_context.get_admin_context(), str(self._cache_host), nodename)
        room = stats_row.room(stats, (
            name for instance in there
            for name in (instance.project_id, instance.os_type)))
        max_bytes = min(room, self._cache_options.report_max_bytes)
        caches = self.caches_images()
        text = report.encode(
            _with_users(self._files() if caches else (), (*there, *moving)),
            caches=caches, rate=self._cache_fetch_rate.mb_per_second,
            # Those that nova counts in the row (nova.compute.stats, nova
            # 34.0.0).
            servers=sum(not vm_states.allow_resource_removal(
                instance.vm_state, instance.task_state)
                for instance in there),
            max_bytes=max_bytes)
        if len(text) > max_bytes:
            once.warning(
                LOG, ('no room',),
                'Host %(host)s does not report its image cache: its other '
                'statistics leave no room for it.',
                {'host': self._cache_host})
            return None
        return text

    def _files(self) -> list[report.BaseFile]:
        with self._cache_arriving_lock:
            arriving = list(self._cache_arriving)
        # In this order: what is complete meanwhile is in both, not in neither.
        files = list(self.cached_files())
        known = {file.sha1 for file in files}
        return files + [
            report.BaseFile(sha1, 0, report.FileKind.ARRIVING)
            for sha1 in arriving if sha1 not in known]


def _with_users(files: Iterable[report.BaseFile],
                instances: Iterable['objects.Instance'],
                ) -> list[report.BaseFile]:
    """Return the files with how many instances use them.

    An id may be spelt in several ways, each with a base file of its own; the
    report knows an image by one.
    """
    users: collections.Counter[str] = collections.Counter()
    images: dict[str, str] = {}
    for instance in instances:
        if instance.image_ref:
            image = report.image_sha1(
                image_ids.canonical(instance.image_ref))
            images[report.image_sha1(instance.image_ref)] = image
            users[image] += 1
    found: dict[tuple[str, report.FileKind, int], report.BaseFile] = {}
    for file in files:
        image = images.get(file.sha1, file.sha1)
        grown = file.size if file.kind is report.FileKind.RESIZED else 0
        found[image, file.kind, grown] = dataclasses.replace(
            file, sha1=image, users=users[image])
    absent = users.keys() - {file.sha1 for file in found.values()}
    return [*found.values(), *(
        report.BaseFile(image, 0, report.FileKind.ABSENT, users[image])
        for image in absent)]


def _reporting(name: str) -> Any:
    """Return a method of the driver after which the servers are reported."""
    def method(self: CacheAwareMixin, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(super(CacheAwareMixin, self), name)(
                *args, **kwargs)
        finally:
            self._cache_servers_changed()

    method.__name__ = name
    return in_front_of_novas(method)


#: What nova calls when a server leaves a host, comes to it, or may not come
#: back to it any more (nova.virt.driver, nova 34.0.0); spawn besides.
SERVER_CHANGES = (
    'destroy', 'migrate_disk_and_power_off', 'finish_migration',
    'confirm_migration', 'finish_revert_migration',
    'post_live_migration_at_source', 'post_live_migration_at_destination')
for _name in SERVER_CHANGES:
    setattr(CacheAwareMixin, _name, _reporting(_name))


class MeasuredFetch:
    """One fetch of an image.

    :ivar size: bytes that were fetched; 0 if they are not known
    """

    def __init__(self) -> None:
        self.size = 0

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

When nova-compute starts, ``__init__`` checks nova.conf, and nova then calls
``init_host``; with :mod:`.managed` this also starts the image cache.
"""

import abc
from collections.abc import Callable
from collections.abc import Collection
import contextlib
import inspect
from typing import Any

from nova import context as nova_context
from nova import objects
from nova.virt import driver as nova_driver

from cache_aware_sched import config
from cache_aware_sched import report
from cache_aware_sched.virt import glance_down
from cache_aware_sched.virt import host_facts
from cache_aware_sched.virt import host_report
from cache_aware_sched.virt import late_check


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
        config.checked()  # a mistake in nova.conf is told at the start
        self._cache_report = host_report.HostReport(self)
        self._cache_late_check = late_check.LateCheck()

    @abc.abstractmethod
    def cached_files(self) -> Collection[report.BaseFile]:
        """Return what is in the cache; the users of a file need not be set.

        Called at least once a minute, from several threads; must take
        milliseconds. Kernels and ramdisks are images as well.

        :raises cache_aware_sched.virt.host_report.CacheNotKnown: if it cannot
            be told yet: then there is no report, and no error in the log
        """

    def caches_images(self) -> bool:
        """Return whether this host keeps images at all."""
        return True

    def is_one_machine(self) -> bool:
        """Return whether the servers of a node are lost together.

        A cluster is many machines: the same-image cap does not hold for it.
        """
        return True

    def cache_facts(self, files: Collection[report.BaseFile],
                    ) -> report.HostFacts:
        """Return what the report says of the host beyond the files.

        Called with each report. What is returned must stay the same while
        nothing of note changes, or the report would change every minute.

        :param files: that :meth:`cached_files` has returned
        """
        return host_facts.of_host()

    def image_cache_changed(self) -> None:
        """Have the change reported at once; returns immediately.

        To be called when an image begins to arrive, is complete, or is gone.
        """
        self._cache_report.image_changed()

    def image_fetched(self, sha1: str) -> contextlib.AbstractContextManager[
            host_report.MeasuredFetch]:
        """Report that an image arrives, and that it is there or has failed.

        Use it around the fetch, and set the size for its rate to be reported.

        :param sha1: of the image id
        """
        return self._cache_report.arriving(sha1)

    # What nova calls.

    def init_host(self, host: str) -> None:
        """Take the name of the host for the report."""
        self._cache_report.host = host
        super().init_host(host)  # type: ignore[misc]

    def get_available_resource(self, nodename: str) -> Any:
        """Return the resources of a node with the report in their stats."""
        resources = super().get_available_resource(  # type: ignore[misc]
            nodename)
        self._cache_report.add_to(resources, nodename)
        return resources

    @in_front_of_novas
    def spawn(self, context: nova_context.RequestContext,
              instance: 'objects.Instance', *args: Any, **kwargs: Any) -> Any:
        """Start a server if the cap of same-image servers lets it.

        :raises cache_aware_sched.virt.late_check.SameImageCapReached: which
            makes nova try the next host
        :raises cache_aware_sched.virt.glance_down.ImageNotFetched: which does
            so too
        """
        if self.is_one_machine():
            self._cache_late_check.admit(context, instance)
        try:
            with (glance_down.sent_on(instance),
                  self._cache_starting(context, instance)):
                return super().spawn(  # type: ignore[misc]
                    context, instance, *args, **kwargs)
        except BaseException:
            self._cache_late_check.forget(instance.uuid)
            raise
        finally:
            self._cache_report.servers_changed()

    def _cache_starting(
        self, context: nova_context.RequestContext,
        instance: 'objects.Instance',
    ) -> contextlib.AbstractContextManager[None]:
        """Return what surrounds the start of a server that was admitted."""
        return contextlib.nullcontext()


def _reporting(name: str) -> Any:
    """Return a method of the driver after which the servers are reported."""
    def method(self: CacheAwareMixin, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(super(CacheAwareMixin, self), name)(
                *args, **kwargs)
        finally:
            self._cache_report.servers_changed()

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

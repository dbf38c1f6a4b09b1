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

"""What the report of a host says beyond its files."""

from collections.abc import Callable
from collections.abc import Collection
import dataclasses
import functools
import importlib.metadata
import math
from typing import Any

from oslo_log import log as logging

from cache_aware_sched import cap_sources
from cache_aware_sched.config import CONF
from cache_aware_sched import nova_release
from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched.virt import critical_fetches
from cache_aware_sched.virt import steady

LOG = logging.getLogger(__name__)

_DISTRIBUTION = 'cache-aware-sched'

#: Steps to a doubling of the free room: two, so about 40 % each. With
#: steady.STICKY the room changes by a quarter at least before it is reported.
_STEPS = 2
_GIB = 2 ** 30
#: Less is reported as 0 GiB.
_LEAST_GIB = 0.5


class CacheFacts:
    """What a host with an image cache manager says of its cache.

    :param manager: an image cache manager
    :param critical: returns how the host is off for its critical images, by
        the files of the cache
    """

    def __init__(self, manager: Any, critical: Callable[
            [Collection[report.BaseFile]],
            critical_fetches.CriticalStatus]) -> None:
        self._manager = manager
        self._critical = critical
        self._free = steady.Steady()
        self._room = steady.Steady()

    def facts(self, files: Collection[report.BaseFile]) -> report.HostFacts:
        """Return the facts.

        :param files: of the cache
        """
        store = self._manager.store
        cache = self._manager.cache
        where = store.file_system()
        critical = self._critical(files)
        return dataclasses.replace(
            of_host(),
            protected=cache.protected_among({file.sha1 for file in files}),
            free_gib=self._free_gib(store.disk()),
            critical=critical.wanted, critical_missing=critical.missing,
            critical_trouble=critical.trouble,
            # Who fetches by it must not count on more than there is.
            room_gib=_coarse(self._room, cache.room(), steady.STICKY),
            evicts=cache.evicts,
            manager=CONF.cache_aware_sched.image_cache_manager,
            reflinks=where.reflinks, own_device=where.own_device)

    def _free_gib(self, disk: Any) -> int | None:
        return _coarse(self._free, disk and disk.available)


def _coarse(measure: steady.Steady, size: int | None,
            less: float = 0.0) -> int | None:
    """Return some bytes in GiB, as they are reported.

    :param less: steps by which the measure is made smaller
    """
    if size is None:
        return None
    gib = max(size / _GIB, _LEAST_GIB)
    return int(2 ** (measure.follow(_STEPS * math.log2(gib) - less) / _STEPS))


def of_host() -> report.HostFacts:
    """Return what a host says that is known without a look at its cache."""
    return report.HostFacts(
        cap=_cap(), asks_for_cap=cap_sources.is_set_here(),
        package=package_version(), nova=nova_release.installed())


def of_driver(driver: Any, files: Collection[report.BaseFile],
              ) -> report.HostFacts:
    """Return what a driver says; never raises.

    :param files: of its cache
    """
    try:
        facts: report.HostFacts = driver.cache_facts(files)
        return facts
    except Exception as error:
        # A fact is not worth a report.
        once.warning(
            LOG, (type(error), str(error)),
            'The report leaves out what it says beyond the files of the image '
            'cache: %(error)r. This is logged once for the cause.',
            {'error': error})
        return report.UNKNOWN_FACTS


def _cap() -> report.ReportedCap:
    options = CONF.cache_aware_sched
    return report.ReportedCap(
        options.max_same_image_instances_per_host,
        options.max_same_image_share_per_host,
        options.same_image_cap_policy, options.same_image_scope,
        options.same_image_late_check)


@functools.cache
def package_version() -> str:
    """Return the version of this package, '' if it is not installed."""
    try:
        return importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return ''

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

"""The report of a host: what is in its image cache, and how fast that came."""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import threading
import time
from typing import Any

from nova.compute import vm_states
from nova import context as nova_context
from nova import objects
from oslo_log import log as logging
from oslo_serialization import jsonutils

from cache_aware_sched.config import CONF
from cache_aware_sched import image_ids
from cache_aware_sched import once
from cache_aware_sched import presence
from cache_aware_sched import report
from cache_aware_sched.virt import fetch_rate
from cache_aware_sched.virt import host_facts
from cache_aware_sched.virt import refresh

LOG = logging.getLogger(__name__)

#: Of ``compute_nodes.stats``, which holds all statistics of a host as JSON.
#: One byte more and, with MariaDB in its strict mode, the row of the host is
#: never written again and boots on the host fail.
COLUMN_BYTES = 65_535

#: nova.compute.stats.Stats (nova 34.0.0) writes num_instances, io_workload and
#: failed_builds, a counter a vm state and one a task state: 13 and 44 of them,
#: none longer than 64 characters with its value.
_NOVA_FIXED = (13 + 44 + 8) * 64

#: It also writes a counter a project and one an operating system type, such
#: as '"num_proj_5f705155e88a4d26a4a5f8a26f9d1b2a": "12", '.
_NOVA_COUNTER = len('"num_os_type_": "1000000", ')

#: Left for what is claimed before the next report: about 150 projects that
#: were not on the host before.
_RESERVE = 12 * 1024


class CacheNotKnown(Exception):
    """A driver cannot tell yet what is in its cache."""


class MeasuredFetch:
    """One fetch of an image.

    :ivar size: bytes that were fetched; 0 if they are not known
    """

    def __init__(self) -> None:
        self.size = 0


class HostReport:
    """Makes the report, and has it sent when something changes.

    :param driver: a ComputeDriver that is a :class:`.driver.CacheAwareMixin`
    :ivar host: its name; None before it is known
    """

    def __init__(self, driver: Any) -> None:
        self.host: str | None = None
        self._driver = driver
        self._refresher = refresh.Refresher(driver)
        self._rate = fetch_rate.FetchRate()
        self._arriving: collections.Counter[str] = collections.Counter()
        self._arriving_lock = threading.Lock()

    def image_changed(self) -> None:
        """Have it reported that an image came or went."""
        if CONF.cache_aware_sched.report_changes_at_once:
            self._refresher.request(settles=True)

    def servers_changed(self) -> None:
        """Have it reported that a server came or went.

        nova writes so to its database a moment later than to the driver, so
        the report is made now and once more when that has settled.
        """
        if CONF.cache_aware_sched.report_changes_at_once:
            self._refresher.request(settles=True, at_once=False)

    @contextlib.contextmanager
    def arriving(self, sha1: str) -> Iterator[MeasuredFetch]:
        """Report that an image arrives while the block fetches it."""
        fetch = MeasuredFetch()
        start = time.monotonic()
        self._note_arriving(sha1, 1)
        self.image_changed()
        try:
            yield fetch
            self._rate.add(fetch.size, time.monotonic() - start)
        finally:
            self._note_arriving(sha1, -1)
            self.image_changed()

    def _note_arriving(self, sha1: str, more: int) -> None:
        """Count the fetches of an image; servers are spawned in threads."""
        with self._arriving_lock:
            self._arriving[sha1] += more
            if not self._arriving[sha1]:
                del self._arriving[sha1]

    def add_to(self, resources: Any, nodename: str) -> None:
        """Put the report into the resources of a node; never raises."""
        failed = ('failed', nodename)
        try:
            if resources:  # a node that is not there has none
                stats = dict(resources.get('stats') or {})
                text = self._text(stats, nodename)
                if text is not None:
                    stats[report.STATS_KEY] = text
                    resources['stats'] = stats
                once.forget(LOG, failed)
        except CacheNotKnown as error:
            LOG.debug('Host %(host)s does not report its image cache yet: '
                      '%(error)s', {'host': self.host, 'error': error})
        except Exception as error:
            once.error(
                LOG, failed,
                'Host %(host)s does not report its image cache until this is '
                'mended, which is said once: %(error)r',
                {'host': self.host, 'error': error})
            LOG.debug('Not reported:', exc_info=True)

    def _text(self, stats: dict[str, Any], nodename: str) -> str | None:
        there, moving = presence.on_node(
            nova_context.get_admin_context(), str(self.host), nodename)
        max_bytes = min(CONF.cache_aware_sched.report_max_bytes, room(stats, (
            name for instance in there
            for name in (instance.project_id, instance.os_type))))
        caches = self._driver.caches_images()
        files = self._files() if caches else []
        text = report.encode(
            _with_users(files, (*there, *moving)),
            caches=caches, rate=self._rate.mb_per_second,
            facts=host_facts.of_driver(self._driver, files),
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
                'statistics leave no room for it.', {'host': self.host})
            return None
        return text

    def _files(self) -> list[report.BaseFile]:
        with self._arriving_lock:
            arriving = list(self._arriving)
        # In this order: what is complete meanwhile is in both, not in neither.
        files = list(self._driver.cached_files())
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


def room(stats: Mapping[str, object], names: Iterable[str | None]) -> int:
    """Return the bytes that the other statistics leave for the report.

    The quotes around it are included.

    :param stats: what the driver reports besides
    :param names: the project ids and operating system types of the instances
        on this host
    """
    counters = sum(_NOVA_COUNTER + _json_bytes(name) for name in set(names))
    driver = sum(_json_bytes(key) + _json_bytes(value) + len(': , ')
                 for key, value in stats.items())
    return max(0, COLUMN_BYTES - driver - counters - _NOVA_FIXED - _RESERVE)


def _json_bytes(value: object) -> int:
    return len(jsonutils.dump_as_bytes(value))

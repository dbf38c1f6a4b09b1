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

"""Fetches the critical images that a host is missing.

In a thread of its own, for which nothing waits: neither the start of
nova-compute nor its end, and no boot. It asks Glance for nothing while all
images are there.
"""

from collections.abc import Collection
import threading
import time
from typing import Any
from typing import NamedTuple

from nova import context as nova_context
from oslo_log import log as logging

from cache_aware_sched.config import CONF
from cache_aware_sched.imagecache import fetches
from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched import service_account
from cache_aware_sched.virt import fetch_schedule
from cache_aware_sched.virt import host_thread

LOG = logging.getLogger(__name__)

#: Seconds between two looks at the list and at the cache, which take
#: milliseconds: a change is seen well within the minute that is promised.
LOOK_SECONDS = 30.0

#: Seconds after which nova is asked again for the aggregates if it did not
#: answer at the start; later each pass of the image cache manager asks.
#: Judgement: trying costs the conductor an error in its log.
ASK_SECONDS = 600.0


class CriticalStatus(NamedTuple):
    """How a host is off for its critical images.

    :param wanted: how many there are
    :param missing: how many of these are not in the cache
    :param trouble: one of :data:`cache_aware_sched.report.TROUBLES`
    """

    wanted: int
    missing: int
    trouble: str


class CriticalFetches:
    """Keeps the critical images of a host in its cache.

    :param driver: a :class:`.managed.ManagedCacheMixin`
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._schedule = fetch_schedule.FetchSchedule(
            CONF.cache_aware_sched.critical_image_spread_seconds)
        #: In which it works.
        self.thread = host_thread.HostThread(
            'critical images', self._run, lambda: self._host,
            'does not fetch its critical images')
        self._ask_at = 0.0
        #: Ids of those that do not fit in.
        self._refused: set[str] = set()
        #: What was told of each that is missing.
        self._told: dict[str, set[tuple[str, str]]] = {}

    def status(self, files: Collection[report.BaseFile]) -> CriticalStatus:
        """Return how the host is off.

        :param files: of the cache
        """
        wanted = self._wanted()
        missing = _missing(wanted, files)
        trouble = ''
        if wanted and not self._driver.uses_fetched_images():
            trouble = report.NOT_KEPT
        elif self._refused.intersection(missing):
            trouble = report.NO_ROOM
        return CriticalStatus(len(wanted), len(missing), trouble)

    def _run(self, ended: threading.Event) -> None:
        wait = 0.0
        while not ended.wait(wait):
            try:
                wait = self.look()
            except Exception as error:
                # Without the thread no image would be fetched any more.
                once.warning(
                    LOG, (type(error).__name__,),
                    'Host %(host)s cannot look for its critical images: '
                    '%(error)r. It tries again every %(seconds)d s.',
                    {'host': self._host, 'error': error,
                     'seconds': LOOK_SECONDS})
                wait = LOOK_SECONDS

    def look(self) -> float:
        """Fetch one image if it is due.

        :returns: seconds until the next look
        :raises Exception: if it cannot be told what is there
        """
        self._ask_aggregates()
        wanted = self._wanted()
        if wanted and not self._driver.uses_fetched_images():
            once.info(
                LOG, ('not kept',),
                'Host %(host)s does not fetch its critical images '
                '(%(number)d): it makes disks from images in Ceph, or its '
                'compute driver cannot fetch ahead of time.',
                {'host': self._host, 'number': len(wanted)})
            return LOOK_SECONDS
        missing = (_missing(wanted, self._driver.cached_files())
                   if wanted else [])
        self._forget_all_but(missing)
        image_id = self._schedule.next(missing, time.monotonic())
        if image_id is None:
            return min(LOOK_SECONDS, self._schedule.wait(time.monotonic()))
        self._fetch(image_id)
        return 0.0

    @property
    def _host(self) -> str:
        return str(self._driver.image_cache_manager.host)

    def _wanted(self) -> dict[str, str]:
        images: dict[str, str] = (
            self._driver.image_cache_manager.cache.critical_images.by_sha1())
        return images

    def _ask_aggregates(self) -> None:
        """Ask for the aggregates until there is an answer."""
        if time.monotonic() >= self._ask_at:
            answered = self._driver.image_cache_manager.cache.ask_aggregates(
                nova_context.get_admin_context())
            self._ask_at = (float('inf') if answered
                            else time.monotonic() + ASK_SECONDS)

    def _forget_all_but(self, missing: Collection[str]) -> None:
        """Forget what was wrong with images that are there, or unwanted."""
        self._refused.intersection_update(missing)
        for image_id in self._told.keys() - set(missing):
            for cause in self._told.pop(image_id):
                once.forget(LOG, cause)

    def _fetch(self, image_id: str) -> None:
        what: dict[str, Any] = {'host': self._host, 'image': image_id}
        try:
            fetched = self._driver.cache_image(
                service_account.local_context(), image_id)
        except Exception as error:
            self._tell(error, what)
            retry = self._schedule.failed(image_id, time.monotonic())
            LOG.debug('Host %(host)s tries to fetch critical image %(image)s '
                      'again in %(seconds)d s.', {**what, 'seconds': retry})
            return
        self._schedule.fetched(image_id, time.monotonic())
        if fetched:
            LOG.info('Host %(host)s fetched critical image %(image)s.', what)

    def _tell(self, error: Exception, what: dict[str, Any]) -> None:
        """Tell why an image was not fetched, once for the cause."""
        image_id = what['image']
        cause = (image_id, type(error).__name__)
        self._told.setdefault(image_id, set()).add(cause)
        if isinstance(error, fetches.NoRoom):
            once.error(
                LOG, cause,
                'Host %(host)s cannot hold critical image %(image)s: %(why)s '
                'Raise the limit or add room, or have it critical no more: '
                '%(sources)s.', {
                    **what, 'why': error.kwargs.get('why', error),
                    'sources': ', '.join(self._sources(image_id))})
            if image_id not in self._refused:
                self._refused.add(image_id)
                self._driver.image_cache_changed()
            return
        self._refused.discard(image_id)
        if isinstance(error, service_account.NoAccount):
            # Not of one image, and nobody mends it without a restart.
            once.warning(
                LOG, ('account',), 'Host %(host)s cannot fetch its critical '
                'images: %(error)s. Give it one, and restart nova-compute.',
                {**what, 'error': error})
            return
        once.warning(
            LOG, cause,
            'Host %(host)s cannot fetch critical image %(image)s: %(error)s. '
            'It tries again, after an hour at last. This is logged once for '
            'the cause.', {**what, 'error': str(error).rstrip('.')})

    def _sources(self, image_id: str) -> list[str]:
        images = self._driver.image_cache_manager.cache.critical_images
        found: list[str] = images.sources().get(image_id, [])
        return found


def _missing(wanted: dict[str, str], files: Collection[report.BaseFile],
             ) -> list[str]:
    """Return the ids of images of which there is no complete file.

    :param wanted: by their sha1
    """
    there = {file.sha1 for file in files
             if file.kind is report.FileKind.COMPLETE}
    return sorted(image_id for sha1, image_id in wanted.items()
                  if sha1 not in there)

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

"""Makes room for an image before it is fetched."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import threading

from nova import context as nova_context
from nova import exception
from oslo_log import log as logging

from cache_aware_sched.imagecache import keeper as keeper_mod
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache import size
from cache_aware_sched.imagecache.used import Used
from cache_aware_sched import report

LOG = logging.getLogger(__name__)

#: Seconds that a fetch waits for a pass, or for others to make their room.
PATIENCE = 10.0


class NoRoom(exception.NovaException):
    """An image is not fetched ahead of time: the limits would not be kept."""

    msg_fmt = ('Image %(image)s is not fetched ahead of time on host '
               '%(host)s: %(why)s')


class Room:
    """The room that images take in a cache while they are fetched.

    :param keeper: of the cache
    :param lock: held by whoever removes anything from the cache
    :param used: returns what instances use; it asks the database
    :param tell: called with what was evicted
    """

    def __init__(self, keeper: keeper_mod.Keeper, lock: threading.Lock,
                 host: str, used: Callable[[], Used],
                 tell: Callable[[keeper_mod.Outcome], None]) -> None:
        self._keeper = keeper
        self._limits = keeper.limits
        self._lock = lock
        self._host = host
        self._used = used
        self._tell = tell

    @contextlib.contextmanager
    def fetching(self, context: nova_context.RequestContext, image_id: str,
                 ahead: bool) -> Iterator[None]:
        """Make room for an image, and keep it while the block fetches it.

        :param ahead: whether no server waits for the image
        :raises NoRoom: only if no server waits for it
        """
        sha1 = report.image_sha1(image_id)
        fetching = self._keeper.fetching
        try:
            # One that needs no room is not to be removed either.
            fetching[sha1] = limits.Need()
            if self._limits:
                fetching[sha1] = self._need(context, image_id, ahead)
            if fetching[sha1].images:
                self._make_room(image_id, ahead)
            yield
        finally:
            fetching.pop(sha1, None)

    def _need(self, context: nova_context.RequestContext, image_id: str,
              ahead: bool) -> limits.Need:
        """Return what it takes to fetch an image; nothing if it is too large.

        :raises NoRoom: if it is too large, and no server waits for it
        """
        try:
            need = size.need(context, image_id)
        except Exception as error:
            LOG.warning(
                'Host %(host)s makes no room for image %(image)s: Glance does '
                'not tell how large it is: %(error)s',
                {'host': self._host, 'image': image_id, 'error': error})
            return limits.Need()
        allowed = self._limits.max_bytes
        if not allowed or need.peak <= allowed:
            return need
        why = (f'it takes {need.peak} bytes while it is fetched and '
               f'{need.final} bytes then, the whole cache may take '
               f'{allowed}: [cache_aware_sched] image_cache_max_size_gb is '
               f'{allowed // limits.GIB}.')
        if ahead:
            raise NoRoom(image=image_id, host=self._host, why=why)
        if need.final <= allowed:  # the limit is exceeded for a moment only
            return dataclasses.replace(need, peak=need.final)
        LOG.info('Nothing is evicted on host %(host)s for image %(image)s, '
                 'which is fetched for a server: %(why)s',
                 {'host': self._host, 'image': image_id, 'why': why})
        return limits.Need()

    def _make_room(self, image_id: str, ahead: bool) -> None:
        """Evict what has to go for an image; a failure harms no boot.

        :raises NoRoom: if that is not enough, and no server waits for it
        """
        outcome = keeper_mod.Outcome()
        try:
            if self._lock.acquire(timeout=PATIENCE):
                try:
                    self._evict(image_id, ahead, outcome)
                finally:
                    self._lock.release()
            else:
                LOG.info('Host %(host)s makes no room for image %(image)s: '
                         'its image cache is being looked through.',
                         {'host': self._host, 'image': image_id})
            self._tell(outcome)
        except NoRoom:
            raise
        except Exception:
            LOG.exception(
                'Host %(host)s makes no room for image %(image)s.',
                {'host': self._host, 'image': image_id})
        if outcome.exceeded and ahead:
            self._refuse(image_id, outcome.exceeded)
        elif outcome.exceeded:
            LOG.info(
                'Not enough could be evicted on host %(host)s for image '
                '%(image)s, which is fetched for a server: %(limits)s.',
                {'host': self._host, 'image': image_id,
                 'limits': _names(outcome.exceeded)})

    def _evict(self, image_id: str, ahead: bool,
               outcome: keeper_mod.Outcome) -> None:
        entries = self._keeper.entries()
        if not self._keeper.exceeded(entries):
            return
        view = self._keeper.view(entries, self._used())
        if ahead:
            lacking = self._keeper.lacking(view)
            if lacking:  # then nothing need go for it
                self._refuse(image_id, lacking)
        self._keeper.make_fit(view, outcome)

    def _refuse(self, image_id: str, lacking: list[limits.Limit]) -> None:
        raise NoRoom(
            image=image_id, host=self._host,
            why=f'too much of the cache is in use or protected for '
                f'{_names(lacking)}.')


def _names(exceeded: list[limits.Limit]) -> str:
    """Return the options of some limits."""
    return '[cache_aware_sched] ' + ', '.join(
        limit.value for limit in exceeded)

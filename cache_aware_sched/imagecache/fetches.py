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

"""Makes room for an image before it is fetched, and once it is there.

Glance tells how much is sent, but not how large that is as a raw file: so room
is made for what can be told, and once more when the file can be looked at.

Whether a boot was a hit is not told here: the driver sees it
(``virt/libvirt.py``, ``_try_fetch_image_cache``), and ``virt/managed.py``
counts it.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import threading

import nova.conf
from nova import context as nova_context
from nova import exception
from nova.image import glance
from oslo_log import log as logging

from cache_aware_sched.imagecache import evictor as evictor_mod
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache.used import Used
from cache_aware_sched import report

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Seconds that a fetch waits for a pass, or for others to make their room.
PATIENCE = 10.0

#: What nova keeps as it is (nova.virt.images.do_image_deep_inspection, nova
#: 34.0.0): to QEMU all of them are raw.
_RAW = ('raw', 'iso', 'ami', 'aki', 'ari')

#: What nova clones in Ceph (nova.virt.libvirt.imagebackend.Rbd.clone, nova
#: 34.0.0).
_CLONED = ('raw', 'iso')


class NoRoom(exception.NovaException):
    """An image is not fetched ahead of time: the limits would not be kept."""

    msg_fmt = ('Image %(image)s is not fetched ahead of time on host '
               '%(host)s: %(why)s')


@dataclasses.dataclass(frozen=True, slots=True)
class Purpose:
    """What an image is fetched for.

    :param ahead: whether no server waits for it
    :param disk_bytes: of the root disk of its server; None if it has no bounds
    :param clones: whether nothing is fetched of an image that Ceph can clone
    :param converts: whether nova makes a raw image of it
    :param size_of: returns its bytes if Glance does not send it
    """

    ahead: bool = False
    disk_bytes: int | None = None
    clones: bool = False
    converts: bool = True
    size_of: Callable[[], int] | None = None


class Fetches:
    """The images that a host fetches, and the room that they need.

    :param evictor: of the cache
    :param lock: held by whoever evicts anything from the cache
    :param used: returns what instances use; it asks the database
    :param tell: called with what was evicted
    """

    def __init__(self, evictor: evictor_mod.Evictor, lock: threading.Lock,
                 host: str, used: Callable[[], Used],
                 tell: Callable[[evictor_mod.EvictionResult], None]) -> None:
        self._evictor = evictor
        self._limits = evictor.limits
        self._lock = lock
        self._host = host
        self._used = used
        self._tell = tell

    @contextlib.contextmanager
    def fetching(self, context: nova_context.RequestContext, image_id: str,
                 purpose: Purpose) -> Iterator[None]:
        """Make room for an image, and keep it while the block fetches it.

        :raises NoRoom: only if no server waits for it
        """
        sha1 = report.image_sha1(image_id)
        fetching = self._evictor.evictable.fetching
        try:
            # One that needs no room is not to be evicted either.
            fetching[sha1] = limits.Fetch(is_new=False)
            expected = self._expected(context, image_id, purpose)
            if expected is not None:
                fetching[sha1] = expected
                self._make_room(image_id, purpose.ahead)
            yield
        finally:
            fetching.pop(sha1, None)

    def fit(self, image_id: str, in_vain: bool = False) -> None:
        """Keep the limits with what has come; a failure harms nothing.

        :param image_id: the image that has come
        :param in_vain: whether no server was made of it: then it is the first
            to be evicted
        """
        if self._limits:
            self._make_room(image_id, ahead=False, in_vain=in_vain)

    def _expected(self, context: nova_context.RequestContext, image_id: str,
                  purpose: Purpose) -> limits.Fetch | None:
        """Return what it takes to fetch an image; None to make no room.

        A tenant's image may say anything of the disk in it, so only what is
        sent counts, and no more than what nova makes a disk of.

        :raises NoRoom: if it is too large, and no server waits for it
        """
        if not self._limits and not purpose.ahead:
            return None
        try:
            size, disk_format = (
                (purpose.size_of(), _RAW[0]) if purpose.size_of
                else _in_glance(context, image_id))
        except exception.ImageNotFound:
            # Then nova fetches nothing; it may copy the image instead.
            return None
        except Exception as error:
            # Who fetches ahead of time is about to see the same error.
            LOG.log(
                logging.DEBUG if purpose.ahead else logging.WARNING,
                'Host %(host)s makes no room for image %(image)s: it cannot '
                'tell how large it is: %(error)s',
                {'host': self._host, 'image': image_id, 'error': error})
            return None
        if (purpose.clones and not purpose.size_of
                and disk_format in _CLONED):
            return None
        converted = (purpose.converts and CONF.force_raw_images
                     and disk_format not in _RAW)

        def bounded(number: int) -> int:
            return min(number, purpose.disk_bytes or number)

        one, both = bounded(size), bounded(2 * size if converted else size)
        if self._limits.exclude(one):
            self._tell_of_too_large(image_id, one, purpose.ahead)
        # All that Glance sends is on the disk before nova looks at it.
        return limits.Fetch(one, both, size + one if converted else size)

    def _tell_of_too_large(self, image_id: str, size: int,
                           ahead: bool) -> None:
        allowed = self._limits.max_bytes
        why = (f'it takes {size} bytes, the whole cache may take '
               f'{allowed}: [cache_aware_sched] image_cache_max_size_gb is '
               f'{allowed // limits.GIB}.')
        if ahead:
            self._refuse(image_id, why)
            return
        LOG.info('Host %(host)s fetches image %(image)s for a server, and '
                 'evicts nothing for its size: %(why)s',
                 {'host': self._host, 'image': image_id, 'why': why})

    def _make_room(self, image_id: str, ahead: bool,
                   in_vain: bool = False) -> None:
        """Evict what the limits do not allow; a failure harms no boot.

        :raises NoRoom: if that is not enough, and no server waits for it
        """
        outcome = evictor_mod.EvictionResult()
        try:
            if self._lock.acquire(timeout=PATIENCE):
                try:
                    self._evict(image_id, ahead, in_vain, outcome)
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
        if ahead and (outcome.exceeded or outcome.lacks):
            self._refuse_for(image_id, outcome.exceeded, outcome.lacks)
        elif outcome.exceeded:
            LOG.info(
                'Not enough could be evicted on host %(host)s for image '
                '%(image)s, which is fetched for a server: %(limits)s.',
                {'host': self._host, 'image': image_id,
                 'limits': _names(outcome.exceeded)})

    def _evict(self, image_id: str, ahead: bool, in_vain: bool,
               outcome: evictor_mod.EvictionResult) -> None:
        listing = self._evictor.look()
        if not self._evictor.is_exceeded(listing):
            outcome.lacks = listing.budget(self._limits).lacks
            return
        view = self._evictor.evictable.view(
            listing, self._used(), waits=not ahead)
        if ahead:
            # What cannot be had is refused before anything is evicted for it.
            least = self._evictor.at_least(view)
            if least.exceeded() or least.lacks:
                self._refuse_for(image_id, least.exceeded(), least.lacks)
                return
        self._evictor.evict_to_limits(
            view, outcome, report.image_sha1(image_id) if in_vain else None)

    def _refuse_for(self, image_id: str, lacking: list[limits.Limit],
                    lacks: int) -> None:
        """Refuse what would exceed a limit, or fill the file system.

        :param lacks: bytes that the file system has too few
        """
        expected = self._evictor.evictable.fetching[
            report.image_sha1(image_id)]
        if lacking:
            why = (f'it takes {expected.size} bytes, and too much of the '
                   f'cache is in use or protected for {_values(lacking)}.')
        else:
            free = max(0, expected.peak - lacks)
            why = (f'it takes {expected.peak} bytes of the disk while it is '
                   f'fetched, and {free} bytes are free.')
        self._refuse(image_id, why)

    def _refuse(self, image_id: str, why: str) -> None:
        """Refuse to fetch an image ahead of time, but not in a dry run."""
        if not self._evictor.is_dry_run:
            raise NoRoom(image=image_id, host=self._host, why=why)
        LOG.info('Host %(host)s would not fetch image %(image)s ahead of '
                 'time: %(why)s',
                 {'host': self._host, 'image': image_id, 'why': why})


def _in_glance(context: nova_context.RequestContext, image_id: str
               ) -> tuple[int, str | None]:
    """Return the bytes that Glance sends of an image, and its format.

    :raises Exception: if Glance does not tell
    """
    service, image_id = glance.get_remote_image_service(context, image_id)
    image = service.show(context, image_id)
    return int(image.get('size') or 0), image.get('disk_format')


def _values(exceeded: list[limits.Limit]) -> str:
    """Return the options of some limits with their values."""
    ours = CONF.cache_aware_sched
    return '[cache_aware_sched] ' + ', '.join(
        f'{limit.value} = {ours[limit.value]}' for limit in exceeded)


def _names(exceeded: list[limits.Limit]) -> str:
    """Return the options of some limits."""
    return '[cache_aware_sched] ' + ', '.join(
        limit.value for limit in exceeded)

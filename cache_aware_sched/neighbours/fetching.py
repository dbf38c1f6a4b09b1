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

"""Fetches an image from another host if Glance is down."""

import collections
from collections.abc import Callable
import dataclasses
import os
import random
import time

import nova.conf
from nova import exception
from oslo_log import log as logging

from cache_aware_sched import glance_outage
from cache_aware_sched.neighbours import copying
from cache_aware_sched.neighbours import holders as holders_mod
from cache_aware_sched.neighbours import sending
from cache_aware_sched.neighbours import sources
from cache_aware_sched import once
from cache_aware_sched.virt import glance_down

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Hosts from which a copy may fail. Judgement: what fails three times is
#: hardly a matter of the host that sends.
MAX_FAILED = 3

#: Hosts that are asked before it waits, if those are busy.
HOSTS_A_ROUND = 6

#: Seconds to wait for a place at all, and of the first and the longest pause;
#: each is drawn between half of it and one and a half. Judgement: each copy
#: that is made is another host to copy from.
WAIT_SECONDS = 300.0
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0


class NotCopied(exception.GlanceConnectionFailed):
    """Glance is down, and no other host has sent the image either."""

    # What Glance's client says is long, and nova cuts it for users.
    msg_fmt = 'not copied from another host: %(why)s; %(cause)s'


@dataclasses.dataclass(frozen=True, slots=True)
class WantedImage:
    """An image that a host must have.

    :param image_id: for the log
    :param path: of its base file, whose lock is held
    :param first: the name of a host that is tried first
    :param converts: whether it is no kernel or ramdisk
    :param is_signed: whether its signature is to be checked
    :param room: makes room for so many bytes while the block copies them
    """

    image_id: str
    path: str
    room: copying.Room
    first: str | None = None
    converts: bool = True
    is_signed: bool = False


class Neighbours:
    """The other hosts of a cell, as far as they can send images.

    :param host: returns the name of this one
    :param holders: knows who has what
    """

    def __init__(self, host: Callable[[], str],
                 holders: holders_mod.Holders | None = None) -> None:
        self._host = host
        self._holders = holders or holders_mod.Holders()
        # As many processes as hosts start alike.
        self._chance = random.SystemRandom()

    def start(self) -> None:
        """Say what nova.conf has that does nothing."""
        if self._is_set and not self._are_files:
            once.info(
                LOG, ('images_type',),
                'Host %(host)s copies no images from other hosts: '
                '[cache_aware_sched] fetch_from_hosts = %(value)s has no '
                'effect with [libvirt] images_type = %(type)s.',
                {'host': self._host(), 'value': sources.OUTAGE,
                 'type': CONF.libvirt.images_type})

    @property
    def are_asked(self) -> bool:
        """Whether other hosts are asked if Glance is down."""
        return self._is_set and self._are_files

    @property
    def _is_set(self) -> bool:
        return bool(CONF.cache_aware_sched.fetch_from_hosts == sources.OUTAGE)

    @property
    def _are_files(self) -> bool:
        return CONF.libvirt.images_type in sources.FILES

    def fetch(self, fetch: Callable[[], object], wanted: WantedImage) -> bool:
        """Have an image fetched from Glance, or from another host.

        The user may have the image: nova-api has asked Glance, before the
        request came here or when the server was created.

        :param fetch: nova's function, with its arguments
        :returns: whether Glance has sent it
        :raises NotCopied: if no host has sent it; says how Glance failed too
        :raises Exception: what ``fetch`` raises, if other hosts are not asked
        """
        try:
            fetch()
        except Exception as error:
            if not self.are_asked or not glance_outage.is_outage(error):
                raise
            if wanted.is_signed:
                LOG.info(
                    'Host %(host)s does not copy image %(image)s from another '
                    'host: its signature is to be checked, which takes '
                    'Glance.',
                    {'host': self._host(), 'image': wanted.image_id})
                raise
            self._copy(wanted, error)
            return False
        return True

    def _copy(self, wanted: WantedImage, error: Exception) -> None:
        began = time.monotonic()
        cause = glance_down.cause_of(error).rstrip('.')
        try:
            source, length = _Attempt(
                wanted, self._host(), self._holders, self._chance).copy()
        except _GivenUp as given_up:
            raise NotCopied(cause=cause, why=given_up) from error
        LOG.info(
            'Host %(host)s has copied image %(image)s (%(bytes)d bytes) from '
            'host %(source)s in %(seconds).1f s: Glance is down: %(cause)s',
            {'host': self._host(), 'image': wanted.image_id, 'bytes': length,
             'source': source.host, 'seconds': time.monotonic() - began,
             'cause': cause})


class _GivenUp(Exception):
    """Why an image is not copied, in few words: a user sees 255 characters."""


class _Attempt:
    """Copies one image, from whichever host sends it."""

    def __init__(self, wanted: WantedImage, host: str,
                 holders: holders_mod.Holders, chance: random.Random) -> None:
        self._wanted = wanted
        self._host = host
        self._holders = holders
        self._chance = chance
        self._failed: dict[str, sending.Trouble] = {}
        self._until = time.monotonic() + WAIT_SECONDS

    def copy(self) -> tuple[sources.Source, int]:
        """Copy it; return from which host, and how many bytes.

        :raises _GivenUp: if no host has sent it
        """
        pause = FIRST_PAUSE
        while True:
            is_busy = False
            for source in self._sources():
                try:
                    return source, copying.copy(
                        source, self._wanted.path, self._wanted.converts,
                        self._wanted.room)
                except sending.Busy:
                    is_busy = True
                except sending.CopyFailed as error:
                    self._note(source, error)
                except copying.DestinationFull as error:
                    raise _GivenUp(f'no room here: {error}') from error
                except Exception as error:
                    # Of this host: as a nova that has other private names.
                    LOG.exception(
                        'Host %(host)s cannot copy image %(image)s.',
                        {'host': self._host, 'image': self._wanted.image_id})
                    raise _GivenUp(f'an error here: {error}') from error
                if len(self._failed) >= MAX_FAILED:
                    raise _GivenUp(self._tried())
            if not is_busy:
                raise _GivenUp(self._tried())
            if time.monotonic() >= self._until:
                raise _GivenUp('the hosts that report it send as many images '
                               'as they may')
            time.sleep(pause * self._chance.uniform(0.5, 1.5))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _sources(self) -> list[sources.Source]:
        """Return the hosts to try in this round.

        :raises _GivenUp: if it cannot be told who has the image
        """
        try:
            known = self._holders.of(os.path.basename(self._wanted.path))
            first = self._wanted.first
            if first and first not in (source.host for source in known):
                found = holders_mod.address_of(first)
                known = [*known, *([found] if found else ())]
        except Exception as error:
            once.warning(
                LOG, ('holders', type(error).__name__),
                'Host %(host)s cannot copy images from other hosts: it '
                'cannot tell which of them hold one: %(error)s',
                {'host': self._host, 'error': error})
            raise _GivenUp('it is not known which hosts hold it') from error
        return sources.order(known, self._host, self._wanted.first,
                             self._failed, self._chance)[:HOSTS_A_ROUND]

    def _note(self, source: sources.Source,
              error: sending.CopyFailed) -> None:
        self._failed[source.host] = error.trouble
        once.warning(
            LOG, (source.host, error.trouble),
            'Host %(host)s could not copy image %(image)s from host '
            '%(source)s: %(error)s. It tries others. This is logged once for '
            'the cause.',
            {'host': self._host, 'image': self._wanted.image_id,
             'source': source.host, 'error': error})
        LOG.debug('Host %(host)s, image %(image)s, from %(source)s: %(error)s',
                  {'host': self._host, 'image': self._wanted.image_id,
                   'source': source.host, 'error': error})

    def _tried(self) -> str:
        """Return how many hosts were tried, and what was wrong with them."""
        if not self._failed:
            return 'no other host that is up reports it'
        counts = collections.Counter(
            trouble.value for trouble in self._failed.values())
        return f'{len(self._failed)} tried, ' + ', '.join(
            f'{number} {words}' for words, number in counts.items())

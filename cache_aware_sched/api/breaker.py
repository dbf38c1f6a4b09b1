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

"""Keeps requests from waiting for a Glance that is down. No nova.

While it is open, nobody asks Glance but one request every few seconds, of
whichever process of the host.
"""

from collections.abc import Callable
import dataclasses
import enum
import threading

from oslo_log import log as logging

from cache_aware_sched.api import signing
from cache_aware_sched.api import values as values_mod

LOG = logging.getLogger(__name__)

#: Seconds after which Glance is asked again: with a request that hangs for
#: image_record_timeout, less than the ten in which all is to be normal.
#: Judgement.
RETRY = 3.0

#: Seconds since Glance did not answer for which a request need not wait to see
#: whether it does: then all is to be normal.
KNOWN = 10.0

#: Images in a row for which Glance answers HTTP 500 and the like before it is
#: taken for down. One of them may be at fault itself. Judgement.
BAD_ANSWERS = 3

#: Seconds after which a state does not count, whatever it says.
_MAX_AGE = 30 * 86_400.0


class Leave(enum.Enum):
    """Whether Glance may be asked."""

    #: Glance answers, as far as is known; or was not asked for a while.
    GIVEN = 'given'
    #: Glance did not answer a moment ago. This one is to see whether it is
    #: back, and need not wait for that.
    TO_PROBE = 'to probe'
    REFUSED = 'refused'


@dataclasses.dataclass(frozen=True, slots=True)
class Outage:
    """An outage of Glance.

    :param since: its begin, seconds since the epoch
    :param retry_at: when Glance is asked again
    :param cause: in words
    """

    since: float
    retry_at: float
    cause: str


class GlanceBreaker:
    """Knows whether Glance is down.

    :param values: shared by all that are to know
    :param host: on which they are. Others ask for themselves: a host that
        cannot reach Glance is to keep nobody else from it
    :param patience: seconds that a question takes at most
    :param clock: returns seconds since the epoch
    :param told: is called with what happened, ``begin`` or ``end``, and the
        seconds that the outage took; by one process only
    """

    def __init__(self, values: values_mod.SignedValues, host: str,
                 patience: float,
                 clock: Callable[[], float],
                 told: Callable[[str, float], None]) -> None:
        self._values = values
        self._host, self._key = host, f'breaker {host}'
        self._patience = patience
        self._clock = clock
        self._told = told
        self._lock = threading.Lock()
        self._bad: set[str] = set()

    def outage(self) -> Outage | None:
        """Return the outage, None if there is none."""
        found = self._values.get(self._key, _MAX_AGE, self._clock())
        return None if found is None else _outage(found)

    def may_ask(self) -> Leave:
        """Return whether Glance may be asked.

        During an outage one caller may every :data:`RETRY` seconds.
        """
        outage = self.outage()
        if outage is None:
            return Leave.GIVEN
        late = self._clock() - outage.retry_at
        if late < -RETRY:  # the clock was put back: nobody knows how late
            late = KNOWN
        if late < 0 or not self._values.claim(
                f'{self._key} {outage.since} {outage.retry_at}',
                self._patience + RETRY):
            return Leave.REFUSED
        return Leave.TO_PROBE if late < KNOWN - RETRY else Leave.GIVEN

    def failed(self, cause: str, image_id: str, answered: bool) -> None:
        """Note that Glance is down.

        :param answered: whether it answered so, about one image
        """
        if answered and not self._is_down(image_id):
            return
        now = self._clock()
        outage = self.outage()
        since = now if outage is None else outage.since
        self._set(Outage(since, now + RETRY, cause[:500]), now)
        if outage is None and self._values.claim(
                f'{self._key} begin', self._patience + RETRY):
            LOG.warning(
                'Glance is down for nova-api on host %(host)s: %(cause)s. '
                'Servers boot from the images that nova-api remembers, and '
                'from no others, until Glance answers again.',
                {'host': self._host, 'cause': cause[:500]})
            self._told('begin', 0.0)

    def answered(self) -> None:
        """Note that Glance answers, whatever it says."""
        with self._lock:
            self._bad.clear()
        outage = self.outage()
        if outage is None:
            return
        now = self._clock()
        self._values.delete(self._key)
        if self._values.claim(f'{self._key} end {outage.since}',
                              self._patience + RETRY):
            LOG.warning(
                'Glance is back for nova-api on host %(host)s: it was down '
                'for %(seconds).0f seconds.',
                {'host': self._host, 'seconds': now - outage.since})
            self._told('end', max(0.0, now - outage.since))

    def _is_down(self, image_id: str) -> bool:
        with self._lock:
            if len(self._bad) < BAD_ANSWERS:
                self._bad.add(image_id)
            return len(self._bad) >= BAD_ANSWERS

    def _set(self, outage: Outage, now: float) -> None:
        self._values.set(self._key, dataclasses.asdict(outage), now)


def _outage(signed: signing.Signed) -> Outage | None:
    try:
        return Outage(float(signed.value['since']),
                      float(signed.value['retry_at']),
                      str(signed.value['cause']))
    except (KeyError, TypeError, ValueError):
        return None

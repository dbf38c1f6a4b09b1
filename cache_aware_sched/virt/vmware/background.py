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

"""Asks vCenter in the background what is in the cache.

nova asks for the resources of a node every minute, and that must not wait for
vCenter. So this asks it, at most once a minute and after what this host has
done, and the report has what it was told last.
"""

from collections.abc import Callable
import dataclasses
import threading

from oslo_log import log as logging

from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched.virt import host_thread

LOG = logging.getLogger(__name__)

#: Seconds between two looks, if this host does nothing. Judgement: as often as
#: nova writes the row of the host.
LOOK_SECONDS = 60.0

#: Seconds before a look after a change, in which others come. Judgement:
#: beside the seconds that a boot takes.
SETTLE_SECONDS = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class CacheContents:
    """What is reported of a cache."""

    files: tuple[report.BaseFile, ...]
    facts: report.HostFacts


class BackgroundLook:
    """Looks what is in a cache, and keeps what it saw.

    :param look: asks vCenter; may raise anything
    :param changed: called when it differs from what was seen before
    :param host: returns the name of the host
    :ivar seen: what was seen last; None before that
    :ivar thread: in which it looks
    """

    def __init__(self, look: Callable[[], CacheContents],
                 changed: Callable[[], None],
                 host: Callable[[], str]) -> None:
        self._look = look
        self._changed = changed
        self._host = host
        self.seen: CacheContents | None = None
        self._wake = threading.Event()
        self.thread = host_thread.HostThread(
            'datastores', self._run, host, 'does not report its image cache')

    def end(self) -> None:
        """End the looks; returns at once."""
        self.thread.end()
        self._wake.set()

    def request(self) -> None:
        """Have it looked soon; returns at once."""
        self._wake.set()

    def _run(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self._wake.clear()
            self.look()
            if self._wake.wait(LOOK_SECONDS):
                ended.wait(SETTLE_SECONDS)

    def look(self) -> None:
        """Look once; never raises. An error leaves what was seen before."""
        try:
            seen = self._look()
        except Exception as error:
            once.warning(
                LOG, ('look',),
                'Host %(host)s cannot tell what is in its image cache, and '
                'reports what it knew before: %(error)s. It looks again every '
                '%(seconds)d s. This is logged once.',
                {'host': self._host(), 'error': error,
                 'seconds': LOOK_SECONDS})
            return
        once.forget(LOG, ('look',))
        if seen != self.seen:
            self.seen = seen
            self._changed()

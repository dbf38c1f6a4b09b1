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

"""A thread of a host, for which nothing of nova-compute waits."""

from collections.abc import Callable
import threading

from oslo_log import log as logging

from cache_aware_sched import once

LOG = logging.getLogger(__name__)


class HostThread:
    """Runs a function in a thread while nova-compute runs.

    nova may have the resources of a host reported even when it has ended:
    what was ended does not begin again until nova-compute starts anew.

    :param name: of the thread
    :param run: called with an event that is set at the end, after which it is
        to return as soon as it can
    :param host: returns the name of the host
    :param lost: what the host does not do if there is no thread
    """

    def __init__(self, name: str, run: Callable[[threading.Event], None],
                 host: Callable[[], str], lost: str) -> None:
        self._name = name
        self._run = run
        self._host = host
        self._lost = lost
        self._ended = threading.Event()
        self._begun = False

    def ready(self) -> None:
        """Have it begin at the next :meth:`begin`, also after an end.

        nova-compute starts, for the first time or after SIGHUP.
        """
        if self._ended.is_set():
            self._ended = threading.Event()
            self._begun = False

    def begin(self) -> None:
        """Begin, if that was not done yet; never raises."""
        if self._begun or self._ended.is_set():
            return
        self._begun = True
        try:
            # Under eventlet, which nova-compute patches in, a greenthread. Not
            # of nova's pools: one that never ends would hold up their end.
            threading.Thread(target=self._run, args=(self._ended,),
                             name=self._name, daemon=True).start()
        except Exception as error:
            once.warning(
                LOG, (self._name,), 'Host %(host)s %(lost)s: %(error)s',
                {'host': self._host(), 'lost': self._lost, 'error': error})

    def end(self) -> None:
        """Have it end; returns at once."""
        self._ended.set()

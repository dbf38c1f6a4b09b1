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

"""Whether any host holds an image, as far as their reports tell.

Asked in an outage only: a server of an image that is nowhere would be
accepted, and end with a "No valid host was found" that names no outage.
"""

import threading
import time

from nova import conf as nova_conf
from oslo_log import log as logging
from oslo_utils import timeutils

from cache_aware_sched.fleet import hosts as fleet_hosts
from cache_aware_sched import nova_databases
from cache_aware_sched import once
from cache_aware_sched import report

LOG = logging.getLogger(__name__)

CONF = nova_conf.CONF

#: Seconds for which the reports that were read count. A host reports a change
#: within seconds, and nothing is fetched in an outage. Judgement.
MAX_AGE = 10.0


#: Seconds that a request waits for the databases. Judgement: a server is to be
#: ACTIVE within five; who does not know goes on.
PATIENCE = 2.0


class ImageHolders:
    """Reads the reports of all hosts, now and then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._databases = nova_databases.KeptDatabases()
        self._fleet: fleet_hosts.Fleet | None = None
        self._read_at = self._begun_at = 0.0
        self._reading: threading.Thread | None = None

    def is_on_no_host(self, image_id: str, copied: bool) -> bool:
        """Return whether every host reports that it does not hold an image.

        False if that is not known of one: a host that is up and has no
        report, or one that does not say; or if nobody knows it soon.

        :param copied: whether hosts copy it from others, also from those that
            are disabled
        """
        fleet = self._reports()
        if fleet is None or fleet.unread:
            return False
        key = report.image_key(image_id)
        states = (fleet_hosts.UP, *((fleet_hosts.DISABLED,) if copied else ()))
        asked = [host for host in fleet.hosts if host.state in states]
        return bool(asked) and all(
            host.reported is not None
            and host.reported.holding(key) is report.Holding.COLD
            for host in asked)

    def _reports(self) -> fleet_hosts.Fleet | None:
        """Return what hosts report, None if it is not known soon.

        Whoever comes meanwhile waits for the same answer: a database that
        hangs is to keep no request long.
        """
        with self._lock:
            known = self._known()
            if known is not None:
                return known
            reading = self._reading
            if reading is None or not reading.is_alive():
                reading = self._begin()
            if reading is None:
                return None
            left = self._begun_at + PATIENCE - time.monotonic()
        reading.join(max(0.0, left))
        with self._lock:
            return self._known()

    def _known(self) -> fleet_hosts.Fleet | None:
        age = time.monotonic() - self._read_at
        return self._fleet if age <= MAX_AGE else None

    def _begin(self) -> threading.Thread | None:
        """Begin to read; return the thread, None if there can be none."""
        self._begun_at = time.monotonic()
        reading = threading.Thread(
            target=self._read, daemon=True, name='image-holders')
        try:
            reading.start()
        except RuntimeError as error:
            _warn(error)
            return None
        self._reading = reading
        return reading

    def _read(self) -> None:
        try:
            api, cells = self._databases()
            fleet = fleet_hosts.read(
                api, cells, CONF.service_down_time, timeutils.utcnow())
        except Exception as error:
            _warn(error)
            return
        with self._lock:
            self._fleet, self._read_at = fleet, time.monotonic()
        once.forget(LOG, ('read',))


def _warn(error: Exception) -> None:
    once.warning(
        LOG, ('read',),
        'Whether a host holds an image cannot be read: %(error)s.',
        {'error': error})

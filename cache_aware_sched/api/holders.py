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


class ImageHolders:
    """Reads the reports of all hosts, now and then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._databases = nova_databases.KeptDatabases()
        self._fleet: fleet_hosts.Fleet | None = None
        self._read_at = 0.0

    def is_on_no_host(self, image_id: str) -> bool:
        """Return whether every host reports that it does not hold an image.

        False if that is not known of one: a host that is up and has no
        report, or one that does not say.
        """
        try:
            fleet = self._reports()
        except Exception as error:
            once.warning(
                LOG, ('read',),
                'Whether a host holds an image cannot be read: %(error)s.',
                {'error': error})
            return False
        key = report.image_key(image_id)
        up = [host for host in fleet.hosts if host.state == fleet_hosts.UP]
        return bool(up) and not fleet.unread and all(
            host.reported is not None
            and host.reported.holding(key) is report.Holding.COLD
            for host in up)

    def _reports(self) -> fleet_hosts.Fleet:
        # Whoever comes meanwhile waits for the same answer.
        with self._lock:
            now = time.monotonic()
            if self._fleet is None or now - self._read_at > MAX_AGE:
                api, cells = self._databases()
                self._fleet = fleet_hosts.read(
                    api, cells, CONF.service_down_time, timeutils.utcnow())
                self._read_at = now
                once.forget(LOG, ('read',))
            return self._fleet

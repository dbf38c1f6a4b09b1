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

"""Tells the scheduler of a change of the image cache at once.

The report travels with the host's resources, which nova sends every minute,
and there is no public way to ask for it earlier. The private one is used where
it is there (read in nova 34.0.0); where it is not, the periodic update does
it.
"""

import threading
import time
from typing import Any

from nova import context as nova_context
from oslo_log import log as logging

from cache_aware_sched import nova_release
from cache_aware_sched import once

LOG = logging.getLogger(__name__)

#: Seconds after which nova has surely written what it had the driver do: it
#: saves the instance and the migration right after. Judgement.
SETTLE_SECONDS = 1.0


class Refresher:
    """Has the resources of the host reported, in the background.

    However many changes come while one report is being made, only one more is
    made after it.

    :param driver: the ComputeDriver
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._lock = threading.Lock()
        self._wanted = False
        self._settles_at: float | None = None
        self._settled_at = 0.0
        self._running = False

    def request(self, settles: bool = False, at_once: bool = True) -> None:
        """Have a report made soon; returns at once and never raises.

        :param settles: whether nova is about to write something: what has
            changed, or an older report that a periodic update has read
            already; then a second one is made when it has
        :param at_once: whether the first one is not to wait for that of a
            change before, of which there is at most one in
            :data:`SETTLE_SECONDS`
        """
        update = self._update_method()
        if update is None:
            return
        with self._lock:
            if at_once or self._settles_at is None:
                self._wanted = True
            if settles:
                self._settled_at = time.monotonic() + SETTLE_SECONDS
                if self._settles_at is None:
                    self._settles_at = self._settled_at
            if self._running:
                return
            self._running = True
        try:
            nova_release.spawn(self._run, update)
        except Exception as error:
            self._running = False
            self._warn(error)

    def _update_method(self) -> Any:
        compute = getattr(self._driver.virtapi, '_compute', None)
        update = getattr(
            compute, '_update_available_resource_for_node', None)
        if update is None:
            self._warn('nova-compute has no '
                       '_update_available_resource_for_node')
        return update

    def _run(self, update: Any) -> None:
        while True:
            wait = self._next()
            if wait is None:
                return
            if wait > 0:
                time.sleep(min(wait, 0.1))
                continue
            try:
                context = nova_context.get_admin_context()
                for node in self._driver.get_available_nodes():
                    update(context, node)
            except Exception as error:
                self._warn(error)

    def _next(self) -> float | None:
        """Return the seconds until a report is made, None if none is."""
        with self._lock:
            if self._wanted:
                self._wanted = False
                return 0.0
            if self._settles_at is None:
                self._running = False
                return None
            wait = self._settles_at - time.monotonic()
            if wait <= 0:
                # What came meanwhile settles later.
                late = self._settled_at > time.monotonic()
                self._settles_at = self._settled_at if late else None
            return wait

    def _warn(self, reason: object) -> None:
        once.warning(
            LOG, (type(reason), str(reason)),
            'A change of the image cache could not be reported at once: '
            '%(reason)s. It is reported with the next periodic update of the '
            'resources ([DEFAULT] update_resources_interval).',
            {'reason': reason})

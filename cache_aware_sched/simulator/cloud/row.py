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

"""The row of a host in the database, as the scheduler reads it.

Written when a server is claimed or goes, and by updates: periodically, and
when the image cache has changed. Only the latter look at the cache, and at
which builds have ended (nova.compute.resource_tracker, nova 34.0.0).
"""

from collections.abc import Collection
from typing import Any

from cache_aware_sched import report
from cache_aware_sched.simulator.settings import GIB
from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator import workload


class Row:
    """What is written, in the HostState that the scheduler gets.

    :param state: of a host with nothing on it
    :param reporting: whether the host reports its image cache
    :param max_bytes: of the report
    :ivar unread: whether the report is to be encoded before it is read
    """

    def __init__(self, state: Any, settings: Settings, reporting: bool,
                 max_bytes: int) -> None:
        self.state = state
        self.unread = False
        self._settings = settings
        self._reporting = reporting
        self._max_bytes = max_bytes
        self._used_gb = 0
        self._least_gb = settings.host_disk_gb
        self._building: set[str] = set()
        self._files: Collection[report.BaseFile] = ()
        self._rate = 0
        self.update((), (), 0, 0)

    def claim(self, uuid: str, boot: workload.Boot) -> None:
        """Write that a server is claimed."""
        self._building.add(uuid)
        self._add(boot, 1)

    def release(self, uuid: str, boot: workload.Boot) -> None:
        """Write that a server has gone."""
        self._building.discard(uuid)
        self._add(boot, -1)

    def _add(self, boot: workload.Boot, sign: int) -> None:
        state = self.state
        state.vcpus_used += sign * boot.vcpus
        state.free_ram_mb -= sign * boot.ram_mb
        state.num_instances += sign
        self._used_gb += sign * boot.disk_gb
        self._write()

    def update(self, building: Collection[str],
               files: Collection[report.BaseFile], rate: int,
               cache_bytes: int) -> None:
        """Write what is true.

        :param building: uuids of the servers that are being built
        :param files: in the cache
        :param rate: of the fetches, MB/s
        :param cache_bytes: that the cache takes of the disk
        """
        self._building = set(building)
        self._files, self._rate = files, rate
        # libvirt tells what is free on the disk, less what the disks of the
        # servers may still grow to.
        self._least_gb = (
            (self._settings.host_disk_gb - self._used_gb) * GIB
            - (cache_bytes if self._settings.image_disk else 0)) // GIB
        self.unread = self._reporting
        self._write()

    def _write(self) -> None:
        state = self.state
        free_gb = self._settings.host_disk_gb - self._used_gb
        state.disk_mb_used = self._used_gb * 1024
        state.free_disk_mb = min(free_gb, self._least_gb) * 1024
        state.num_io_ops = len(self._building)
        state.stats['num_instances'] = str(state.num_instances)
        state.stats['io_workload'] = str(state.num_io_ops)

    def read(self) -> None:
        """Encode the report; not earlier, as most are never read."""
        self.unread = False
        self.state.stats[report.STATS_KEY] = report.encode(
            self._files, rate=self._rate, max_bytes=self._max_bytes)

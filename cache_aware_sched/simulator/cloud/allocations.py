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

"""What placement knows: who has been given what, exact at all times."""

from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator import workload


class Allocations:
    """The inventories of all hosts, which are alike, and what is left.

    :ivar vcpus: allocated, by host; as ram_mb and disk_gb
    """

    def __init__(self, settings: Settings) -> None:
        self.vcpus = [0] * settings.hosts
        self.ram_mb = [0] * settings.hosts
        self.disk_gb = [0] * settings.hosts
        # As nova's compute reports them: no server gets more than a host has
        # physically, and what is reserved is not allocated.
        self._units = (settings.host_vcpus, settings.host_ram_mb,
                       settings.host_disk_gb)
        self._vcpus = int(settings.host_vcpus * settings.cpu_allocation_ratio)
        self._ram_mb = int(
            (settings.host_ram_mb - settings.reserved_host_memory_mb)
            * settings.ram_allocation_ratio)
        self._disk_gb = int(
            settings.host_disk_gb * settings.disk_allocation_ratio)

    def candidates(self, boot: workload.Boot) -> list[int]:
        """Return the hosts that a server fits on, by number."""
        wanted = boot.vcpus, boot.ram_mb, boot.disk_gb
        if any(number > unit for number, unit
               in zip(wanted, self._units, strict=True)):
            return []
        vcpus = self._vcpus - boot.vcpus
        ram_mb = self._ram_mb - boot.ram_mb
        disk_gb = self._disk_gb - boot.disk_gb
        return [number for number, (used_vcpus, used_ram_mb, used_disk_gb)
                in enumerate(zip(self.vcpus, self.ram_mb, self.disk_gb,
                                 strict=True))
                if used_vcpus <= vcpus and used_ram_mb <= ram_mb
                and used_disk_gb <= disk_gb]

    def fits(self, host: int, boot: workload.Boot) -> bool:
        """Return whether a server fits on a host that was a candidate."""
        return (self.vcpus[host] + boot.vcpus <= self._vcpus
                and self.ram_mb[host] + boot.ram_mb <= self._ram_mb
                and self.disk_gb[host] + boot.disk_gb <= self._disk_gb)

    def take(self, host: int, boot: workload.Boot) -> None:
        """Allocate what a server needs."""
        self._add(host, boot, 1)

    def give(self, host: int, boot: workload.Boot) -> None:
        """Take back what a server needed."""
        self._add(host, boot, -1)

    def _add(self, host: int, boot: workload.Boot, sign: int) -> None:
        self.vcpus[host] += sign * boot.vcpus
        self.ram_mb[host] += sign * boot.ram_mb
        self.disk_gb[host] += sign * boot.disk_gb

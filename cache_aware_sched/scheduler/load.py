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

"""How busy hosts are, in absolute terms."""

from collections.abc import Sequence
from typing import Any

from cache_aware_sched import request as request_mod


def loads(request: request_mod.Request,
          host_states: Sequence[Any]) -> list[float]:
    """Return each host's load with the server of the request on it.

    The larger of the shares of vCPUs and of memory, overcommit included: what
    runs out first is what makes a host full. A share of nothing is 0.
    """
    vcpus, memory = request.vcpus, request.memory_mb
    result = []
    for host in host_states:
        ram = host.total_usable_ram_mb or 0
        cpu_share = ((host.vcpus_total or 0)
                     * (host.cpu_allocation_ratio or 1))
        ram_share = ram * (host.ram_allocation_ratio or 1)
        result.append(max(
            ((host.vcpus_used or 0) + vcpus) / cpu_share
            if cpu_share > 0 else 0.0,
            (ram - (host.free_ram_mb or 0) + memory) / ram_share
            if ram_share > 0 else 0.0))
    return result

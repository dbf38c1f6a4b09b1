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

"""A server of the simulated cloud."""

import dataclasses
from typing import Any

from cache_aware_sched.simulator import workload


@dataclasses.dataclass(slots=True, eq=False)
class SimulatedServer:
    """A server that was asked for.

    :param number: of its boot in the workload
    :param spec: the RequestSpec
    :param hosts: numbers of those it may still go to, the next one first
    """

    number: int
    uuid: str
    boot: workload.Boot
    image: workload.Image
    spec: Any
    hosts: list[int]

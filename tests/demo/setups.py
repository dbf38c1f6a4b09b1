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

"""The two configurations of nova that are compared."""

import dataclasses

#: Outweighs nova's own weighers; how busy a host may become is the business
#: of the weigher's gate.
MULTIPLIER = 10.0
CAP = 6

HOST_VCPUS = 32
HOST_MEMORY_GIB = 128


@dataclasses.dataclass(frozen=True, slots=True)
class Setup:
    """How nova is configured.

    :param cache_aware: with this package's weigher and filter, or with nova's
        own alone
    """

    title: str
    cache_aware: bool


STOCK = Setup('stock nova', False)
PACKAGE = Setup('cache-aware', True)

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


"""Requests for servers before each has an image, and a choice of them."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import uuid

from cache_aware_sched.simulator.input.chance import chance
from cache_aware_sched.simulator.workload import Boot

#: Of all ids that are made here: uuid5 of the project's name as a URL.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, 'cache-aware-sched simulator')


@dataclasses.dataclass(frozen=True, slots=True)
class Arrivals:
    """Requests for servers.

    :param servers: in the order of their time
    :param sizes: bytes by id, of the images whose size is known
    :param names: ids of images by what their users call them
    :param notes: what one should know about them, a sentence each
    """

    servers: Sequence[Boot]
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()
    # Ids of a cloud, which are to be in no message.
    names: Mapping[str, str] = dataclasses.field(
        default_factory=dict, repr=False)


def made_id(*what: object) -> str:
    """Return the id of something that has none, always the same."""
    return str(uuid.uuid5(NAMESPACE, ' '.join(map(str, what))))


def thin(servers: Iterable[Boot], boots: int, seed: int = 0,
         ) -> list[Boot]:
    """Keep whole batches at random until there are about so many servers.

    The batches are from all of the time, each as likely as another, so that
    the waves of a day and the mix stay as they were.

    :param boots: as near to it as the last batch allows, but at least one
        batch; 0 keeps all
    """
    servers = list(servers)
    if not boots or boots >= len(servers):
        return servers
    sizes: dict[int, int] = {}
    for server in servers:
        sizes[server.batch] = sizes.get(server.batch, 0) + 1
    kept: set[int] = set()
    number = 0
    order = sorted(sizes, key=lambda batch: chance(seed, 'keep', batch))
    for batch in order:
        if abs(number + sizes[batch] - boots) <= abs(number - boots):
            kept.add(batch)
            number += sizes[batch]
        if number >= boots:
            break
    if not kept:
        # Each has more than twice as many: the smallest is the nearest.
        kept.add(min(order, key=sizes.__getitem__))
    return [server for server in servers if server.batch in kept]


def chosen(arrivals: Arrivals, boots: int, limit: int, seed: int) -> Arrivals:
    """Return the arrivals that are simulated.

    :param boots: see thin()
    :param limit: of these only the first so many; 0 keeps all
    """
    servers = thin(arrivals.servers, boots, seed)
    return dataclasses.replace(
        arrivals, servers=servers[:limit] if limit else servers)

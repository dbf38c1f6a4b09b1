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

"""The caps of all hosts, and how far their servers are from them.

What nova.conf and the metadata of aggregates set; a flavor and a user's hint
can set another for their requests.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
from typing import Any

import sqlalchemy as sa

from cache_aware_sched import cap as cap_mod
from cache_aware_sched import cap_sources
from cache_aware_sched.config import CONF
from cache_aware_sched.fleet.images import KnownImage
from cache_aware_sched.fleet.images import Node
from cache_aware_sched import nova_databases

_MEMBERS = sa.table(
    'aggregate_hosts', sa.column('aggregate_id'), sa.column('host'))
_METADATA = sa.table('aggregate_metadata', *(sa.column(name) for name in (
    'aggregate_id', 'key', 'value')))

_PARSERS = {cap_sources.OPTION: cap_mod.parse,
            cap_sources.SHARE_OPTION: cap_mod.parse_share}


@dataclasses.dataclass(frozen=True, slots=True)
class HostCaps:
    """The cap of each host.

    :param default: of a host that no aggregate gives one
    :param of_hosts: of the others, by their names
    """

    default: cap_mod.Cap
    of_hosts: Mapping[str, cap_mod.Cap]

    def headroom(self, image: KnownImage, hosts: int,
                 nodes: Iterable[Node] | None = None) -> list[int]:
        """Return how many more servers of an image compute nodes may run.

        Less than 0 where more run already. Servers of all projects are
        counted together.

        :param hosts: the number of all compute nodes
        :param nodes: that are asked about; without them all that run some
        :returns: of those that have a cap
        """
        total = image.running
        average = (total + 1) / max(1, hosts)
        rooms = []
        for node in image.servers if nodes is None else nodes:
            limit = self.of_hosts.get(node[0], self.default).limit(
                total, average)
            if limit:
                rooms.append(limit - image.servers.get(node, 0))
        return rooms


def read(api: nova_databases.Database) -> HostCaps:
    """Return the caps, in one statement.

    :raises cache_aware_sched.nova_databases.Unreadable: if the API database
        does not answer
    """
    ours = CONF.cache_aware_sched
    default = cap_mod.Cap()
    if cap_sources.is_set_here():
        default = cap_mod.Cap(ours[cap_sources.OPTION],
                              ours[cap_sources.SHARE_OPTION])
    found: dict[str, dict[str, Any]] = {}
    for host, key, text in api.select(
            sa.select(_MEMBERS.c.host, _METADATA.c.key, _METADATA.c.value)
            .select_from(_MEMBERS.join(
                _METADATA,
                _METADATA.c.aggregate_id == _MEMBERS.c.aggregate_id))
            .where(_METADATA.c.key.in_(list(_PARSERS)))):
        try:
            value = _PARSERS[key](text)
        except ValueError:
            continue  # the scheduler warns of it
        values = found.setdefault(host, {})
        # Of several the smallest counts, and 0 stands for no cap.
        known = values.get(key, value)
        values[key] = min(known, value) or max(known, value)
    return HostCaps(default, {
        host: dataclasses.replace(
            default, number=values.get(cap_sources.OPTION, default.number),
            share=values.get(cap_sources.SHARE_OPTION, default.share))
        for host, values in found.items()})

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

"""How near images are to the cap of the hosts that run their servers."""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses

import sqlalchemy as sa

from cache_aware_sched import cap as cap_mod
from cache_aware_sched import cap_sources
from cache_aware_sched.fleet import hosts as hosts_mod
from cache_aware_sched.fleet.images import FleetImages
from cache_aware_sched.fleet.images import KnownImage
from cache_aware_sched.fleet.images import Node
from cache_aware_sched import nova_databases
from cache_aware_sched import request as request_mod

_FLAVORS = sa.table('flavors', sa.column('id'), sa.column('name'))
_SPECS = sa.table('flavor_extra_specs', *(sa.column(name) for name in (
    'flavor_id', 'key', 'value')))

PROJECT = 'project'


@dataclasses.dataclass(frozen=True, slots=True)
class CappedFlavor:
    """A flavor that has a cap of its own.

    :param number: by which servers know it (``instance_type_id``)
    """

    number: int
    name: str
    extra_specs: Mapping[str, str]

    @property
    def has_number(self) -> bool:
        """Whether it has a number, which no option changes."""
        try:
            cap_mod.parse(self.extra_specs[request_mod.EXTRA_SPEC_CAP])
        except (KeyError, ValueError):
            return False
        return True


def flavors(api: nova_databases.Database) -> list[CappedFlavor]:
    """Return the flavors that have a cap of their own.

    :raises cache_aware_sched.nova_databases.Unreadable: if the API database
        does not answer, or its account may not read them
    """
    specs: dict[int, dict[str, str]] = collections.defaultdict(dict)
    names: dict[int, str] = {}
    for row in api.select(
            sa.select(_FLAVORS, _SPECS.c.key, _SPECS.c.value).join_from(
                _FLAVORS, _SPECS, _SPECS.c.flavor_id == _FLAVORS.c.id).where(
                    _SPECS.c.key.in_((request_mod.EXTRA_SPEC_CAP,
                                      request_mod.EXTRA_SPEC_SHARE)))):
        specs[row.id][row.key] = row.value
        names[row.id] = row.name
    return [CappedFlavor(number, names[number], found)
            for number, found in sorted(specs.items())]


class FleetCaps:
    """The caps of all compute nodes, for servers of one flavor.

    :param fleet: all hosts
    :param flavor: None for one without a cap of its own
    :param instead: of the number that the option has; None for that
    :ivar default: of a host that no aggregate gives one
    :ivar nodes: the caps of the machines that nova may place servers on
    :ivar clusters: nodes that are many machines, and have no cap
    """

    def __init__(self, fleet: hosts_mod.Fleet,
                 flavor: CappedFlavor | None = None,
                 instead: int | None = None) -> None:
        spec = request_mod.Request.from_spec(None)
        if flavor is not None:
            spec = dataclasses.replace(
                spec, flavor=flavor.name,
                extra_specs=dict(flavor.extra_specs))
        caps = cap_sources.Caps(spec, instead=instead)
        of_host: dict[str, list[hosts_mod.FleetAggregate]] = (
            collections.defaultdict(list))
        for aggregate in fleet.aggregates:
            for host in aggregate.hosts:
                of_host[host].append(aggregate)
        self.default = caps.of(())
        self.clusters = {(host.name, host.node) for host in fleet.hosts
                         if host.is_cluster}
        self._clusters_up = {
            (host.name, host.node) for host in fleet.hosts
            if host.state == hosts_mod.UP} & self.clusters
        self._all: dict[Node, cap_mod.Cap] = {
            node: cap_mod.Cap() if node in self.clusters
            else caps.of(of_host.get(node[0], ()))
            for node in ((host.name, host.node) for host in fleet.hosts)}
        self.nodes = {
            (host.name, host.node): self._all[host.name, host.node]
            for host in fleet.hosts if host.state == hosts_mod.UP
            and not host.is_cluster and host.hypervisor != cap_mod.BARE_METAL}
        self._distinct = {*self._all.values(), self.default}
        self._numbers = collections.Counter(self.nodes.values())

    def of(self, node: Node) -> cap_mod.Cap:
        """Return the cap of a compute node."""
        return self._all.get(node, self.default)

    def limits(self, total: int) -> dict[cap_mod.Cap, int]:
        """Return what each cap of the cloud comes to, 0 for no cap.

        :param total: servers of the image in scope
        """
        average = (total + 1) / max(len(self.nodes), 1)
        return {cap: cap.limit(total, average) for cap in self._distinct}

    def rooms(self, image: KnownImage,
              nodes: Iterable[Node] | None = None) -> list[int]:
        """Return how many more servers of an image compute nodes may run.

        Less than 0 where more run already. Servers of all projects are
        counted together.

        :param nodes: that are asked about; without them all that run some
        :returns: of those that have a cap
        """
        limits = self.limits(image.running)
        return [limit - image.servers.get(node, 0)
                for node in (image.servers if nodes is None else nodes)
                if (limit := limits[self.of(node)])]

    def room(self, limits: Mapping[cap_mod.Cap, int],
             running: Iterable[Node],
             without: Node | None = None) -> int | None:
        """Return how many servers of an image all nodes may run.

        Only an image that runs on a cluster is taken for one that clusters
        can run: those of machines have another format.

        :param running: nodes that run servers of it
        :param without: a node that is left out
        :returns: None for any number
        """
        numbers = self._numbers
        if not numbers or not self._clusters_up.isdisjoint(running):
            return None if self._clusters_up else 0
        if without in self.nodes:
            numbers = numbers - collections.Counter((self.nodes[without],))
        if not all(limits[cap] for cap in numbers):
            return None
        return sum(limits[cap] * number for cap, number in numbers.items())

    def taken(self, counts: Mapping[Node, int],
              limits: Mapping[Node, int]) -> dict[Node, int]:
        """Return how many servers below the cap each of the nodes runs."""
        return {node: min(count, limits[node])
                for node, count in counts.items() if node in self.nodes}


@dataclasses.dataclass(frozen=True, slots=True)
class ImageCap:
    """The servers of an image, all or those of a project, and their cap.

    :param project: its id; '' for all projects
    :param counts: how many each compute node runs
    :param limits: how many each of these nodes may run, 0 for any number
    :param headroom: how many more the nodes together have room for below the
        cap; None for any number
    """

    image: KnownImage
    project: str
    counts: Mapping[Node, int]
    limits: Mapping[Node, int]
    headroom: int | None

    @property
    def running(self) -> int:
        """The number of servers."""
        return sum(self.counts.values())

    @property
    def full(self) -> list[Node]:
        """The nodes that are at the cap or above it."""
        return [node for node, count in self.counts.items()
                if 0 < self.limits[node] <= count]

    @property
    def above(self) -> list[Node]:
        """The nodes that run more than the cap allows, the worst first."""
        return sorted(
            (node for node, count in self.counts.items()
             if 0 < self.limits[node] < count),
            key=lambda node: self.limits[node] - self.counts[node])


def image_caps(images: FleetImages, caps: FleetCaps,
               scope: str) -> Iterator[ImageCap]:
    """Return how near each image with servers is to the cap.

    :param scope: ``same_image_scope``
    """
    for image in images.all:
        groups = (image.by_project if scope == PROJECT
                  else {'': image.servers})
        for project, counts in groups.items():
            if counts:
                yield _of(image, project, counts, caps)


def _of(image: KnownImage, project: str, counts: Mapping[Node, int],
        caps: FleetCaps) -> ImageCap:
    limits = caps.limits(sum(counts.values()))
    room = caps.room(limits, counts)
    here = {node: limits[caps.of(node)] for node in counts}
    taken = sum(caps.taken(counts, here).values())
    return ImageCap(image, project, counts, here,
                    None if room is None else room - taken)

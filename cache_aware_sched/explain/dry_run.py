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


"""Runs nova's own scheduler once, without claiming or changing anything.

Around nova's filters and weighers is what nova's SchedulerManager does between
placement and its claim (select_destinations, _schedule; nova 31.3.1 to
34.0.0).
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
from typing import Any

from nova import context as nova_context
from nova.scheduler import host_manager
from nova.scheduler import manager
from nova.scheduler import utils
from nova.scheduler import weights

from cache_aware_sched.config import CONF
from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.decision_log import writer
from cache_aware_sched.explain.explanation import HostsRefused
from cache_aware_sched.explain.explanation import WeigherShare
from cache_aware_sched.explain.offers import Offers
from cache_aware_sched.explain.watching import DecisionsKept
from cache_aware_sched.explain.watching import FiltersWatched
from cache_aware_sched.explain.watching import WeigherWatched
from cache_aware_sched.scheduler.same_image import count

#: The servers of each host, by uuid.
Servers = Mapping[str, dict[str, Any]]


class _Hosts(host_manager.HostManager):
    """nova's hosts, with servers that were read at once.

    :param servers: by host
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        super().__init__()

    def _get_instances_by_host(self, context: Any,
                               host_name: str) -> dict[str, Any]:
        """Return the servers of a host (nova 31.3.1 to 34.0.0).

        nova asks the database here for each host.
        """
        return self._servers.get(host_name, {})

    def _get_cell_by_host(self, ctxt: Any, host: str) -> Any:
        """Return the cell of a host that is named, None if it is down.

        nova asks no other (nova 31.3.1 to 34.0.0).
        """
        cell = super()._get_cell_by_host(ctxt, host)
        return self.cells.get(cell.uuid) if cell else None


@dataclasses.dataclass(slots=True)
class Placed:
    """What the scheduler has said about one server.

    :param hosts: all compute nodes, as HostStates
    :param refused: those that it cannot have, and why
    :param weighed: those that it can have, with their sums, the best first
    :param shares: by host, by weigher
    :param record: what our weigher or filter has decided, if it was asked
    :param stock: the host that nova would take without this package
    :param busy: the share of its vCPUs that each host that it can have has in
        use with the server on it
    :param let_through: why it passes though all hosts are at the cap
    :param chosen: the HostState that it goes to
    """

    hosts: Sequence[Any]
    refused: list[HostsRefused]
    weighed: Sequence[Any] = ()
    shares: dict[str, dict[str, WeigherShare]] = dataclasses.field(
        default_factory=dict)
    record: record_mod.DecisionRecord | None = None
    stock: str = ''
    busy: dict[str, float] = dataclasses.field(default_factory=dict)
    let_through: str = ''
    chosen: Any = None


class DryScheduler:
    """A nova-scheduler that claims nothing.

    :param servers: of all hosts
    :param cells: the uuids of the cells that can be read
    :param addresses: of their databases, by the uuid, where they are not those
        that nova has
    """

    def __init__(self, servers: Servers, cells: Sequence[str],
                 addresses: Mapping[str, str]) -> None:
        self.decisions = DecisionsKept()
        with self._alone():
            self._hosts = _Hosts(servers)
        self._hosts.cells = {uuid: cell for uuid, cell
                             in self._hosts.cells.items() if uuid in cells}
        self._hosts.enabled_cells = [
            cell for cell in self._hosts.enabled_cells if cell.uuid in cells]
        for uuid, cell in self._hosts.cells.items():
            if uuid in addresses:
                cell.database_connection = addresses[uuid]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Have filters and weighers made that share nothing with others."""
        count.share(None)
        writer.share(self.decisions)
        CONF.set_override('track_instance_changes', False, 'filter_scheduler')
        try:
            yield
        finally:
            CONF.clear_override('track_instance_changes', 'filter_scheduler')
            count.share(None)
            writer.share(None)

    @contextlib.contextmanager
    def _cells_that_answer(self) -> Iterator[None]:
        """Have nova ask these cells for the hosts of a group and for versions.

        nova asks all that nova.context, load_cells has found (nova 31.3.1 to
        34.0.0), and waits a minute for one that is down.
        """
        before = nova_context.CELLS
        nova_context.CELLS = list(self._hosts.cells.values())
        try:
            yield
        finally:
            nova_context.CELLS = before

    def place(self, context: nova_context.RequestContext, spec: Any,
              uuids: Sequence[str]) -> list[Placed]:
        """Place servers one after the other, until one finds no host.

        :param spec: the RequestSpec of the first
        :raises CannotAsk: if placement does not answer
        """
        with self._cells_that_answer():
            utils.setup_instance_group(context, spec)
            offers = Offers.ask(context, spec, self._hosts)
            every = list(self._hosts.get_host_states_by_uuids(
                context, None, spec))
        hosts = stock = offers.of(every)
        all_placed: list[Placed] = []
        for index, uuid in enumerate(uuids):
            spec.instance_uuid = uuid
            stock = self._stock(spec, stock, index)
            placed = self._place(spec, hosts, every, index)
            placed.stock = next(
                (str(host.host) for host in stock if offers.fit(host)), '')
            # nova offers the next server only what passed for the one before.
            placed.refused += _still(
                all_placed[-1].refused if index
                else offers.left_out(every, spec), placed)
            all_placed.append(placed)
            placed.chosen = next((
                item.obj for item in placed.weighed if offers.fit(item.obj)),
                None)
            if placed.chosen is None:
                break
            offers.claim(placed.chosen, spec)
            # It also notes the host of a server group (nova 31.3.1 to
            # 34.0.0).
            manager.SchedulerManager._consume_selected_host(
                placed.chosen, spec, instance_uuid=uuid)
            hosts = [item.obj for item in placed.weighed]
        return all_placed

    def _place(self, spec: Any, hosts: Sequence[Any], every: Sequence[Any],
               index: int) -> Placed:
        watched = self._hosts.filter_handler = FiltersWatched()
        self.decisions.last = None
        passed = list(self._hosts.get_filtered_hosts(hosts, spec, index))
        weighers = [WeigherWatched(one) for one in self._hosts.weighers]
        weighed = weights.HostWeightHandler().get_weighed_objects(
            weighers, passed, spec)
        placed = Placed(
            every, watched.refused, weighed, record=self.decisions.last,
            busy={str(host.host): _busy(host, spec) for host in passed},
            let_through=watched.let_through)
        for weigher in weighers:
            for host, share in weigher.shares.items():
                placed.shares.setdefault(host, {})[weigher.name] = share
        return placed

    def _stock(self, spec: Any, hosts: Sequence[Any],
               index: int) -> list[Any]:
        """Return the hosts as nova would rank them without this package.

        :param hosts: those of the server before, in that order: nova keeps
            the order of equal hosts
        """
        self._hosts.filter_handler = FiltersWatched()
        enabled = self._hosts.enabled_filters
        self._hosts.enabled_filters = _without_ours(enabled)
        try:
            passed = list(self._hosts.get_filtered_hosts(hosts, spec, index))
        finally:
            self._hosts.enabled_filters = enabled
        weighed = weights.HostWeightHandler().get_weighed_objects(
            map(WeigherWatched, _without_ours(self._hosts.weighers)),
            passed, spec)
        return [item.obj for item in weighed]


def _still(earlier: Iterable[HostsRefused],
           placed: Placed) -> list[HostsRefused]:
    """Return the hosts that were refused before and are still out."""
    known = {str(item.obj.host) for item in placed.weighed}.union(
        *(one.hosts for one in placed.refused))
    return [dataclasses.replace(one, hosts=left) for one in earlier
            if (left := tuple(host for host in one.hosts
                              if host not in known))]


def _busy(host: Any, spec: Any) -> float:
    there = (host.vcpus_total or 0) * (host.cpu_allocation_ratio or 1)
    return ((host.vcpus_used or 0) + spec.flavor.vcpus) / there if there else 0


def _without_ours(plugins: Sequence[Any]) -> list[Any]:
    return [plugin for plugin in plugins if not type(
        plugin).__module__.startswith('cache_aware_sched.')]

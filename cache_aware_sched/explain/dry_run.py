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

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import copy
import dataclasses
from typing import Any

from nova import context as nova_context
from nova import exception
from nova.scheduler.client import report as placement
from nova.scheduler import filters
from nova.scheduler import host_manager
from nova.scheduler import manager
from nova.scheduler import request_filter
from nova.scheduler import utils
from nova.scheduler import weights
from nova import weights as base_weights

from cache_aware_sched.config import CONF
from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.decision_log import writer
from cache_aware_sched.explain.explanation import HostsRefused
from cache_aware_sched.explain.explanation import WeigherShare
from cache_aware_sched.explain import listening
from cache_aware_sched.scheduler.same_image import count

#: The servers of each host, by uuid.
Servers = Mapping[str, dict[str, Any]]


class CannotAsk(Exception):
    """nova's scheduler cannot be run here; the message says why."""


@contextlib.contextmanager
def _named(plugin: str) -> Iterator[None]:
    """Name the filter or weigher that raises in a block.

    :raises CannotAsk: then
    """
    try:
        yield
    except Exception as error:  # of plug-ins, of any kind
        raise CannotAsk(
            f'{plugin} fails, so that nova cannot place such a server either: '
            f'{type(error).__name__}: {error}') from error


class DecisionsKept(writer.DecisionWriter):
    """Keeps what would be written, of all hosts."""

    best_hosts = 1_000_000

    def __init__(self) -> None:
        super().__init__()
        self.last: record_mod.DecisionRecord | None = None

    @property
    def is_on(self) -> bool:
        """Return True: all decisions are wanted."""
        return True

    def put(self, record: record_mod.DecisionRecord) -> None:
        """Keep a record."""
        self.last = record


class FiltersWatched:
    """Runs nova's filters one by one, and notes whom each refuses.

    In the place of a HostFilterHandler, which cannot be inherited from outside
    of nova: it looks for filters beside itself.
    """

    def __init__(self) -> None:
        self._handler = filters.HostFilterHandler()
        self.refused: list[HostsRefused] = []

    def get_filtered_objects(self, filters: Sequence[Any], objs: Any,
                             spec_obj: Any, index: int = 0) -> Any:
        """Return the hosts that pass."""
        hosts = list(objs)
        for filter_ in filters:
            name = type(filter_).__name__
            with listening.reasons(hosts) as reasons, _named(name):
                left = self._handler.get_filtered_objects(
                    [filter_], hosts, spec_obj, index)
            if left is None:  # nova takes that for no hosts
                left = []
            passed = set(map(id, left))
            self._note(name, [host for host in hosts
                              if id(host) not in passed], reasons)
            hosts = list(left)
            if not hosts:
                break
        return hosts

    def _note(self, name: str, gone: Sequence[Any],
              reasons: Mapping[int, str]) -> None:
        grouped: dict[str, list[str]] = collections.defaultdict(list)
        for host in gone:
            grouped[reasons.get(id(host), '')].append(str(host.host))
        self.refused += [HostsRefused(name, reason, tuple(sorted(hosts)))
                         for reason, hosts in grouped.items()]


class WeigherWatched:
    """A weigher of nova's or ours, and what it has said.

    :param weigher: the weigher
    """

    def __init__(self, weigher: Any) -> None:
        self._weigher = weigher
        self.name = type(weigher).__name__
        self.shares: dict[str, WeigherShare] = {}

    @property
    def minval(self) -> Any:
        """What the weigher says, after it has weighed."""
        return self._weigher.minval

    @property
    def maxval(self) -> Any:
        """What the weigher says, after it has weighed."""
        return self._weigher.maxval

    def weight_multiplier(self, host_state: Any) -> float:
        """Return what the weigher says."""
        return float(self._weigher.weight_multiplier(host_state))

    def weigh_objects(self, weighed: Sequence[Any],
                      properties: Any) -> list[float]:
        """Return what the weigher says, and note it."""
        with _named(self.name):
            raw = list(self._weigher.weigh_objects(weighed, properties))
        normalised = base_weights.normalize(
            raw, minval=self.minval, maxval=self.maxval)
        self.shares = {
            str(item.obj.host): WeigherShare(
                one, normal, self.weight_multiplier(item.obj))
            for item, one, normal in zip(
                weighed, raw, normalised, strict=True)}
        return raw


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
        self._hosts.enabled_cells = [
            cell for cell in self._hosts.enabled_cells if cell.uuid in cells]
        for cell in self._hosts.enabled_cells:
            if cell.uuid in addresses:
                cell.database_connection = addresses[cell.uuid]

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

    def place(self, context: nova_context.RequestContext, spec: Any,
              uuids: Sequence[str]) -> list[Placed]:
        """Place servers one after the other, until one finds no host.

        :param spec: the RequestSpec of the first
        :raises CannotAsk: if placement does not answer
        """
        utils.setup_instance_group(context, spec)
        offers = _Offers.ask(context, spec, self._hosts)
        every = list(self._hosts.get_host_states_by_uuids(
            context, None, spec))
        hosts = offers.of(every)
        all_placed: list[Placed] = []
        for index, uuid in enumerate(uuids):
            spec.instance_uuid = uuid
            placed = self._place(spec, hosts, every, index)
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
        stock = self._stock(spec, hosts, index)
        watched = self._hosts.filter_handler = FiltersWatched()
        self.decisions.last = None
        passed = list(self._hosts.get_filtered_hosts(hosts, spec, index))
        weighers = [WeigherWatched(one) for one in self._hosts.weighers]
        weighed = weights.HostWeightHandler().get_weighed_objects(
            weighers, passed, spec)
        placed = Placed(
            every, watched.refused, weighed, record=self.decisions.last,
            stock=stock, busy={str(host.host): _busy(host, spec)
                               for host in passed})
        for weigher in weighers:
            for host, share in weigher.shares.items():
                placed.shares.setdefault(host, {})[weigher.name] = share
        return placed

    def _stock(self, spec: Any, hosts: Sequence[Any], index: int) -> str:
        """Return the host that nova would take without this package."""
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
        return str(weighed[0].obj.host) if weighed else ''


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


class _Offers:
    """What placement offers for a request.

    :param requests: the allocations that could be made
    :param summaries: what the providers have, by uuid
    """

    def __init__(self, requests: Sequence[Any],
                 summaries: Mapping[str, Any]) -> None:
        self.requests = requests
        self._by_provider: dict[str, list[Any]] = collections.defaultdict(list)
        for request in requests:
            for uuid in request['allocations']:
                self._by_provider[uuid].append(request)
        self._free: dict[tuple[str, str], int] = {
            (uuid, name): there['capacity'] - there['used']
            for uuid, summary in summaries.items()
            for name, there in summary.get('resources', {}).items()}

    @classmethod
    def ask(cls, context: nova_context.RequestContext, spec: Any,
            hosts: Any) -> '_Offers':
        """Ask placement, as nova does.

        :raises CannotAsk: if it does not answer
        """
        try:
            request_filter.process_reqspec(context, spec)
        except exception.RequestFilterFailed as error:
            raise CannotAsk(f'nova refuses the request: {error}') from None
        requests: list[Any] = []
        summaries: dict[str, Any] = {}
        for translate in (True, False):
            resources = utils.resources_from_request_spec(
                context, spec, hosts, enable_pinning_translate=translate)
            try:
                found = (placement.report_client_singleton()
                         .get_allocation_candidates(context, resources))
            except Exception as error:  # of keystoneauth, of many kinds
                raise CannotAsk(
                    'placement does not answer: '
                    f'{type(error).__name__}: {error}. Look at [placement] '
                    "in nova's configuration.") from None
            if not found or found[0] is None:
                raise CannotAsk(
                    'placement does not answer, or refuses what the flavor '
                    'asks for: an error line before this one says which. Look '
                    "at [placement] in nova's configuration, and at the extra "
                    'specs of the flavor.')
            requests += found[0]
            summaries.update(found[1] or {})
            if (not resources.cpu_pinning_requested
                    or CONF.workarounds.disable_fallback_pcpu_query):
                break
        return cls(requests, summaries)

    def of(self, hosts: Sequence[Any]) -> list[Any]:
        """Return the hosts that are offered, with their offers."""
        offered = [host for host in hosts if host.uuid in self._by_provider]
        for host in offered:
            # New in nova 34; filters may drop some of them.
            host.allocation_candidates = copy.deepcopy(
                self._by_provider[host.uuid])
        return offered

    def fit(self, host: Any) -> bool:
        """Return whether a host has still room for one more server."""
        return bool(host.allocation_candidates) and all(
            wanted <= self._free.get((uuid, name), wanted)
            for uuid, name, wanted in _amounts(host))

    def claim(self, host: Any, spec: Any) -> None:
        """Note that a server takes what a host offers."""
        for uuid, name, wanted in _amounts(host):
            self._free[uuid, name] = self._free.get(
                (uuid, name), wanted) - wanted
        mappings = host.allocation_candidates[0].get('mappings', {})
        for group in spec.requested_resources:
            group.provider_uuids = mappings.get(group.requester_id, [])

    def left_out(self, hosts: Sequence[Any],
                 spec: Any) -> list[HostsRefused]:
        """Return the hosts that are not offered, and why that may be."""
        reasons: dict[str, list[str]] = collections.defaultdict(list)
        for host in hosts:
            if host.uuid not in self._by_provider:
                reasons[_why_left_out(host, spec)].append(str(host.host))
        return [HostsRefused('placement', reason, tuple(sorted(names)))
                for reason, names in reasons.items()]


def _amounts(host: Any) -> Iterator[tuple[str, str, int]]:
    for uuid, part in host.allocation_candidates[0]['allocations'].items():
        for name, amount in part['resources'].items():
            yield uuid, name, amount


def _why_left_out(host: Any, spec: Any) -> str:
    """Return why placement may not offer a host, by what nova knows of it."""
    if (host.service or {}).get('disabled'):
        return 'disabled'
    flavor = spec.flavor
    vcpus = (host.vcpus_total or 0) * (host.cpu_allocation_ratio or 1)
    if vcpus - (host.vcpus_used or 0) < flavor.vcpus:
        return 'without enough vCPUs'
    memory = (host.total_usable_ram_mb or 0) * (host.ram_allocation_ratio or 1)
    used = (host.total_usable_ram_mb or 0) - (host.free_ram_mb or 0)
    if memory - used < flavor.memory_mb:
        return 'without enough memory'
    return ('that placement does not offer (resources, traits, zone or '
            'aggregates)')

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


"""What placement offers for a request.

As nova's SchedulerManager asks for it (select_destinations, nova 31.3.1 to
34.0.0), without its claim.
"""

import collections
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import copy
from typing import Any

from nova import context as nova_context
from nova import exception
from nova.scheduler.client import report as placement
from nova.scheduler import request_filter
from nova.scheduler import utils

from cache_aware_sched.config import CONF
from cache_aware_sched.explain.explanation import HostsRefused


#: Seconds that placement and Keystone may take for each answer, where
#: [placement] timeout is not set: nova's client then waits for ever.
#: Judgement: 50 times what placement takes for 1,000 hosts.
SECONDS = 30


class CannotAsk(Exception):
    """nova's scheduler cannot be run here; the message says why."""


class Offers:
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
            hosts: Any) -> 'Offers':
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
                found = client().get_allocation_candidates(context, resources)
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


def client() -> Any:
    """Return nova's client of placement, one that does not wait for ever."""
    if CONF.placement.timeout is not None:
        return placement.report_client_singleton()
    CONF.set_override('timeout', SECONDS, 'placement')
    try:
        # It reads the options when it is made.
        return placement.report_client_singleton()
    finally:
        CONF.clear_override('timeout', 'placement')


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

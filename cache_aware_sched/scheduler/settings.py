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

"""What operators have set for hosts, by options and by aggregates.

Not with nova.scheduler.utils.get_weight_multiplier: it takes 3 us a host, and
writes a warning for each host and request if a value cannot be read (nova
34.0.0).
"""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from cache_aware_sched import aggregate_keys
from cache_aware_sched import aggregates
from cache_aware_sched import cap
from cache_aware_sched import cap_sources
from cache_aware_sched.config import CONF
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.candidates import Setting

_IMAGE_CACHE = aggregates.Numbers(
    aggregate_keys.IMAGE_CACHE, aggregate_keys.parse_multiplier)
#: nova's own weighers say what is wrong with their values.
_VCPUS = aggregates.Numbers(aggregate_keys.VCPUS, float, quiet=True)
_MEMORY = aggregates.Numbers(aggregate_keys.MEMORY, float, quiet=True)


def multiplier(option: float, host_aggregates: Sequence[Any]) -> float:
    """Return how much the image cache of a host counts."""
    if not host_aggregates:
        return option
    value = _IMAGE_CACHE.smallest(host_aggregates)
    return option if value is None else value


class HostSettings:
    """What is set for the hosts of one request.

    :param request: a boot, or a move
    :param options: whether the options for the cap count
    """

    def __init__(self, request: request_mod.Request, options: bool) -> None:
        self._caps = cap_sources.Caps(request, options)
        self._known: dict[aggregates.Key, Setting] = {}
        self._clusters: dict[aggregates.Key, Setting] = {}

    @property
    def has_cap(self) -> bool:
        """Return whether one of the hosts asked for has a cap."""
        return any(setting.cap for setting in self._known.values())

    @property
    def has_relative_cap(self) -> bool:
        """Return whether one of them has a cap that is not just a number."""
        return any(setting.cap.share or setting.cap.hint
                   for setting in self._known.values())

    def of_all(self, host_states: Iterable[Any]) -> list[Setting]:
        """Return what is set for hosts.

        The same for all hosts in the same aggregates. Their objects live as
        long as the request, so they are known by their ids.
        """
        known, found = self._known, []
        for host in host_states:
            if host.hypervisor_type == cap.CLUSTER:
                found.append(self._of_cluster(host))
                continue
            host_aggregates = host.aggregates
            # As aggregates.key() does, without a call for each of thousands.
            setting = known.get(id(host_aggregates[0])) if (
                host_aggregates and len(host_aggregates) == 1) else None
            found.append(setting or self._of_machine(host))
        return found

    def of(self, host_state: Any) -> Setting:
        """Return what nova.conf, the request and its aggregates set for it."""
        if host_state.hypervisor_type == cap.CLUSTER:
            return self._of_cluster(host_state)
        return self._of_machine(host_state)

    def _of_cluster(self, host_state: Any) -> Setting:
        """Return what is set for a node that is many machines.

        Whoever sets a cap means a machine, with which all its servers are
        lost. nova cannot tell on which one of a cluster a server runs.
        """
        ids = aggregates.key(host_state.aggregates or ())
        setting = self._clusters.get(ids)
        if setting is None:
            setting = self._clusters[ids] = self._made(
                host_state)._replace(cap=cap.Cap())
        return setting

    def _of_machine(self, host_state: Any) -> Setting:
        ids = aggregates.key(host_state.aggregates or ())
        setting = self._known.get(ids)
        if setting is None:
            setting = self._known[ids] = self._made(host_state)
        return setting

    def _made(self, host_state: Any) -> Setting:
        host_aggregates = host_state.aggregates or ()
        options = CONF.filter_scheduler
        return Setting(
            self._caps.of(host_aggregates),
            multiplier(CONF.cache_aware_sched.image_cache_weight_multiplier,
                       host_aggregates),
            _packs(_VCPUS, options.cpu_weight_multiplier, host_aggregates),
            _packs(_MEMORY, options.ram_weight_multiplier, host_aggregates))


def _packs(numbers: aggregates.Numbers[float], option: float,
           host_aggregates: Sequence[Any]) -> bool:
    value = numbers.smallest(host_aggregates)
    return (option if value is None else value) < 0

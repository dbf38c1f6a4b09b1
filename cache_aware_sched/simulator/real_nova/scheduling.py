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

"""nova's scheduler: its own filters, weighers and handlers.

Around them is what nova's SchedulerManager does between its database and
placement (_get_sorted_hosts, nova 34.0.0).
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import random
from typing import Any

from nova import exception
from nova.scheduler import filters
from nova.scheduler import host_manager
from nova.scheduler import weights

from cache_aware_sched import config
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.real_nova.cells import SimulatedCells
from cache_aware_sched.simulator.real_nova import fragments
from cache_aware_sched.simulator.real_nova import references

CONF = config.CONF

#: Of nova 34.0.0, with what simulated hosts and servers do not have, or have
#: all alike: so these pass each host, or weigh all the same, which nova's
#: handler makes 0.
_CANNOT_TELL_APART = {
    'ComputeFilter': 'all are up',
    'ComputeCapabilitiesFilter': 'no flavor asks for capabilities',
    'ImagePropertiesFilter': 'no image has properties',
    'ServerGroupAntiAffinityFilter': 'there are no server groups',
    'ServerGroupAffinityFilter': 'there are no server groups',
    'ServerGroupSoftAffinityWeigher': 'there are no server groups',
    'ServerGroupSoftAntiAffinityWeigher': 'there are no server groups',
    'BuildFailureWeigher': 'no build fails',
    'CrossCellWeigher': 'no server moves',
    'HypervisorVersionWeigher': 'all have the same',
    'ImagePropertiesWeigher': 'it is off, or the simulation refuses',
    'MetricsWeigher': 'there are no metrics',
    'PCIWeigher': 'there are no PCI devices',
}
_WEIGHT_CLASSES = '[filter_scheduler] weight_classes'
_ENABLED_FILTERS = '[filter_scheduler] enabled_filters'


class Scheduler:
    """One nova-scheduler.

    :param clock: seconds; what the plug-ins of this package go by
    :param cells: the database
    :param chance: for what nova does at random
    :param every_plugin: see :class:`..settings.Settings`
    :raises cache_aware_sched.simulator.real_nova.fragments.BadFragment: naming
        the option that lists a plug-in that is none
    """

    def __init__(self, policy: policy_mod.Policy,
                 clock: Callable[[], float], cells: SimulatedCells,
                 chance: random.Random, every_plugin: bool) -> None:
        self._filter_handler = filters.HostFilterHandler()
        self._weight_handler = weights.HostWeightHandler()
        self._chance = chance
        # This scheduler's own, as each process has one.
        count.share(count.SameImageCounter(clock, cells))
        try:
            self._filters = _useful(self._load_filters(), every_plugin)
            self._weighers = _useful(self._load_weighers(), every_plugin)
        finally:
            count.share(None)
        if policy.kind == policy_mod.REFERENCE:
            self._weighers.append(
                references.WEIGHERS[policy.reference](policy.multiplier))

    def select(self, spec: Any, hosts: Sequence[Any],
               index: int = 0) -> list[Any]:
        """Return the hosts for a server, the chosen one first.

        :param spec: the RequestSpec
        :param hosts: HostState objects
        :param index: of the server in its request
        :returns: without those that a filter does not pass; perhaps none
        """
        passed = self._filter_handler.get_filtered_objects(
            self._filters, hosts, spec, index)
        if not passed:
            return []
        weighed = self._weight_handler.get_weighed_objects(
            self._weighers, passed, spec)
        if CONF.filter_scheduler.shuffle_best_same_weighed_hosts:
            best = [one for one in weighed if one.weight == weighed[0].weight]
            self._chance.shuffle(best)
            weighed = best + weighed[len(best):]
        sorted_hosts = [one.obj for one in weighed]
        subset = min(CONF.filter_scheduler.host_subset_size,
                     len(sorted_hosts))
        if subset > 1:
            chosen = sorted_hosts.pop(self._chance.randrange(subset))
            sorted_hosts.insert(0, chosen)
        return sorted_hosts

    def _load_filters(self) -> list[Any]:
        try:
            classes = self._filter_handler.get_matching_classes(
                CONF.filter_scheduler.available_filters)
        except (ImportError, ValueError, exception.ClassNotFound) as error:
            raise fragments.BadFragment(
                f'[filter_scheduler] available_filters: {_reason(error)}'
            ) from error
        known = {cls.__name__: cls for cls in classes}
        enabled = CONF.filter_scheduler.enabled_filters
        for name in enabled:
            if name not in known:
                raise fragments.BadFragment(
                    f'{_ENABLED_FILTERS}: {name} is not available')
        return [known[name]() for name in enabled]

    def _load_weighers(self) -> list[Any]:
        made = []
        for name in CONF.filter_scheduler.weight_classes:
            try:
                classes = self._weight_handler.get_matching_classes([name])
            except (ImportError, ValueError,
                    exception.ClassNotFound) as error:
                raise fragments.BadFragment(
                    f'{_WEIGHT_CLASSES}: {name}: {_reason(error)}'
                ) from error
            # nova has them in the order of the directory: sums of floats
            # would depend on the machine.
            made += [cls() for cls in sorted(
                classes, key=lambda cls: str(cls.__name__))]
        return made


def _reason(error: Exception) -> str:
    """Return why a plug-in cannot be loaded.

    oslo.utils puts a traceback, in brackets, at the end of an ImportError.
    """
    return str(error).partition(' ([')[0]


def _useful(plugins: Iterable[Any], every_plugin: bool) -> list[Any]:
    """Return the plug-ins that can make a difference; nova's cost time."""
    return [plugin for plugin in plugins if every_plugin
            or not type(plugin).__module__.startswith('nova.')
            or not (type(plugin).__name__ in _CANNOT_TELL_APART
                    or _is_off(plugin))]


def _is_off(plugin: Any) -> bool:
    """Return whether a weigher is multiplied by 0, as on all hosts then."""
    return (isinstance(plugin, weights.BaseHostWeigher)
            and not plugin.weight_multiplier(
                host_manager.HostState('', '', '')))

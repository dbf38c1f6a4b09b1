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

"""What a request costs: our weigher and filter beside nova's simplest ones."""

from collections.abc import Callable
import dataclasses
import functools
import gc
import statistics
import sys
from typing import Any

from nova.scheduler import filters
from nova.scheduler.filters import num_instances_filter
from nova.scheduler import weights
from nova.scheduler.weights import ram

from cache_aware_sched.scheduler import filters as our_filters
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler import weights as our_weights
from tests.bench import cloud as cloud_mod
from tests.bench import timing

#: Servers that the scheduler placed and no host shows yet, in a busy cloud.
RECENT = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """Medians of one size of cloud.

    :param filter_ms: of ours; weigher_ms likewise
    :param nova_filter_ms: of NumInstancesFilter
    :param nova_weigher_ms: of RAMWeigher
    :param ratio: ours over nova's, the median of the rounds' ratios
    """

    filter_ms: float
    weigher_ms: float
    nova_filter_ms: float
    nova_weigher_ms: float
    ratio: float

    @property
    def ms(self) -> float:
        """Of our weigher and filter together."""
        return self.filter_ms + self.weigher_ms


class Scheduler:
    """Filters and weighs with one filter and one weigher.

    :param make_filter: returns a new filter
    :param make_weigher: returns a new weigher
    """

    def __init__(self, make_filter: Callable[[], Any],
                 make_weigher: Callable[[], Any]) -> None:
        self._filters = filters.HostFilterHandler()
        self._weights = weights.HostWeightHandler()
        self._filter, self._weigher = make_filter(), make_weigher()

    def filter(self, hosts: list[Any], spec: Any) -> None:
        """Filter, through nova's handler."""
        passed = self._filters.get_filtered_objects(
            [self._filter], hosts, spec)
        if len(passed) != len(hosts):
            raise RuntimeError('a host was filtered out: this would measure '
                               'another thing')

    def weigh(self, hosts: list[Any], spec: Any) -> None:
        """Weigh, through nova's handler."""
        self._weights.get_weighed_objects([self._weigher], hosts, spec)


def novas() -> Scheduler:
    """Return what ours is compared with."""
    return Scheduler(num_instances_filter.NumInstancesFilter, ram.RAMWeigher)


def ours() -> Scheduler:
    """Return ours as after a start of the scheduler."""
    count._shared = None
    for name, module in list(sys.modules.items()):
        if name.startswith('cache_aware_sched'):
            for thing in vars(module).values():
                if hasattr(thing, 'cache_clear'):
                    thing.cache_clear()
    return Scheduler(our_filters.ImageAntiAffinityFilter,
                     our_weights.ImageCacheWeigher)


def settle() -> None:
    """Let the garbage collector never look at what is there now.

    What it does for what a request leaves behind is part of the request; how
    often it walks through all of the cloud would be chance.
    """
    gc.collect()
    gc.freeze()


def warm(cloud: cloud_mod.Cloud, rounds: int) -> Cost:
    """Return what a request costs when nothing changed since the last one."""
    scheduler = ours()
    _request(cloud, scheduler)
    return _cost(cloud, lambda: _forget(scheduler), rounds)


def busy(cloud: cloud_mod.Cloud, rounds: int) -> Cost:
    """Return the same when hosts owe the sight of :data:`RECENT` servers."""
    scheduler = ours()
    for _placed in range(RECENT):
        _request(cloud, scheduler)

    def prepare() -> Scheduler:
        # The oldest one shows, as the next one is placed.
        placements = count.shared().placements._placements
        while len(placements) > RECENT:
            del placements[next(iter(placements))]
        return scheduler

    return _cost(cloud, prepare, rounds)


def changed(cloud: cloud_mod.Cloud, hosts: int, rounds: int) -> Cost:
    """Return the same when so many hosts got a server since the last one."""
    scheduler = ours()
    _request(cloud, scheduler)

    def prepare() -> Scheduler:
        for number in range(hosts):
            cloud.start_instance(number)
        return _forget(scheduler)

    return _cost(cloud, prepare, rounds)


def first(cloud: cloud_mod.Cloud, rounds: int) -> Cost:
    """Return what the first request after a start of the scheduler costs."""
    return _cost(cloud, ours, rounds)


def _forget(scheduler: Scheduler) -> Scheduler:
    """Have no placement that no host shows: the servers are never there."""
    count.shared().placements._placements.clear()
    return scheduler


def _request(cloud: cloud_mod.Cloud, scheduler: Scheduler) -> None:
    hosts, spec = cloud.host_states(), cloud.spec()
    scheduler.filter(hosts, spec)
    scheduler.weigh(hosts, spec)


def _cost(cloud: cloud_mod.Cloud, prepare: Callable[[], Scheduler],
          rounds: int) -> Cost:
    """Time ours and nova's in turn, each with new hosts and a new request.

    :param prepare: returns ours, in the state that is wanted
    """
    nova = novas()
    request: dict[str, Any] = {}

    def filter_(make: Callable[[], Scheduler]) -> timing.Call:
        request.update(scheduler=make(), hosts=cloud.host_states(),
                       spec=cloud.spec())
        return functools.partial(request['scheduler'].filter,
                                 request['hosts'], request['spec'])

    def weigh() -> timing.Call:
        return functools.partial(request['scheduler'].weigh,
                                 request['hosts'], request['spec'])

    times = timing.in_turn([
        functools.partial(filter_, prepare), weigh,
        functools.partial(filter_, lambda: nova), weigh], rounds, turn=2)
    ratios = [(a + b) / (c + d) for a, b, c, d in zip(*times, strict=True)]
    filter_ms, weigher_ms, nova_filter_ms, nova_weigher_ms = (
        1e3 * statistics.median(taken) for taken in times)
    return Cost(filter_ms, weigher_ms, nova_filter_ms, nova_weigher_ms,
                statistics.median(ratios))

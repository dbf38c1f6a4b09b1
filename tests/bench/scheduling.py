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
from collections.abc import Sequence
import dataclasses
import functools
import gc
import statistics
import sys
import tempfile
from typing import Any

import nova.conf
from nova.scheduler import filters
from nova.scheduler.filters import num_instances_filter
from nova.scheduler import weights
from nova.scheduler.weights import ram

from cache_aware_sched.scheduler import filters as our_filters
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler.same_image import memory
from cache_aware_sched.scheduler import weights as our_weights
from tests.bench import cloud as cloud_mod
from tests.bench import timing
from tests import process

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


@dataclasses.dataclass(frozen=True, slots=True)
class ChainCost:
    """Medians of all of a request's filters and weighers.

    :param nova_ms: of nova's default filters and all its weighers
    :param ms: of the same and ours
    :param ratio: the median of the rounds' ratios
    """

    nova_ms: float
    ms: float
    ratio: float


class Scheduler:
    """Filters and weighs.

    :param make_filters: return new filters
    :param make_weighers: return new weighers
    """

    def __init__(self, make_filters: Sequence[Callable[[], Any]],
                 make_weighers: Sequence[Callable[[], Any]]) -> None:
        self._filters = filters.HostFilterHandler()
        self._weights = weights.HostWeightHandler()
        self._all_filters = [make() for make in make_filters]
        self._all_weighers = [make() for make in make_weighers]

    def filter(self, hosts: list[Any], spec: Any) -> None:
        """Filter, through nova's handler."""
        passed = self._filters.get_filtered_objects(
            self._all_filters, hosts, spec)
        if len(passed) != len(hosts):
            raise RuntimeError('a host was filtered out: this would measure '
                               'another thing')

    def weigh(self, hosts: list[Any], spec: Any) -> None:
        """Weigh, through nova's handler."""
        self._weights.get_weighed_objects(self._all_weighers, hosts, spec)

    def both(self, hosts: list[Any], spec: Any) -> None:
        """Filter and weigh."""
        self.filter(hosts, spec)
        self.weigh(hosts, spec)


def novas() -> Scheduler:
    """Return what ours is compared with."""
    return Scheduler([num_instances_filter.NumInstancesFilter],
                     [ram.RAMWeigher])


def _chain() -> tuple[list[Any], list[Any]]:
    """Return nova's default filters, and all its weighers."""
    known = {cls.__name__: cls for cls
             in filters.HostFilterHandler().get_all_classes()}
    return ([known[name] for name
             in nova.conf.CONF.filter_scheduler.enabled_filters],
            weights.HostWeightHandler().get_all_classes())


def novas_chain() -> Scheduler:
    """Return nova as it is installed."""
    return Scheduler(*_chain())


def our_chain() -> Scheduler:
    """Return the same and ours, as after a start of the scheduler."""
    _start_anew()
    all_filters, all_weighers = _chain()
    return Scheduler(
        [*all_filters, our_filters.ImageAntiAffinityFilter],
        [*all_weighers, our_weights.ImageCacheWeigher])


def ours() -> Scheduler:
    """Return ours as after a start of the scheduler."""
    _start_anew()
    return Scheduler([our_filters.ImageAntiAffinityFilter],
                     [our_weights.ImageCacheWeigher])


def _start_anew() -> None:
    """Forget all that a process remembers."""
    process.forget()
    for name, module in list(sys.modules.items()):
        if name.startswith('cache_aware_sched'):
            for thing in vars(module).values():
                if hasattr(thing, 'cache_clear'):
                    thing.cache_clear()


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
    _read_all(cloud, scheduler)
    return _cost(cloud, lambda: _forget(scheduler), rounds)


def busy(cloud: cloud_mod.Cloud, rounds: int) -> Cost:
    """Return the same when hosts owe the sight of :data:`RECENT` servers."""
    scheduler = ours()
    _read_all(cloud, scheduler)
    for _placed in range(RECENT):
        _request(cloud, scheduler)

    def prepare() -> Scheduler:
        # The oldest one shows, as the next one is placed.
        placements = count.shared().ledger._placements
        while len(placements) > RECENT:
            del placements[next(iter(placements))]
        return scheduler

    return _cost(cloud, prepare, rounds)


def changed(cloud: cloud_mod.Cloud, hosts: int, rounds: int) -> Cost:
    """Return the same when so many hosts got a server since the last one."""
    scheduler = ours()
    _read_all(cloud, scheduler)

    def prepare() -> Scheduler:
        for number in range(hosts):
            cloud.start_instance(number)
        return _forget(scheduler)

    return _cost(cloud, prepare, rounds)


def first(cloud: cloud_mod.Cloud, rounds: int) -> Cost:
    """Return what the first request after a start of the scheduler costs."""
    return _cost(cloud, ours, rounds)


def chain(cloud: cloud_mod.Cloud, rounds: int, *,
          change: Callable[[], object] | None = None) -> ChainCost:
    """Return what all filters and weighers cost, without and with ours.

    :param change: what happens to the cloud before each request of ours
    """
    nova_chain, scheduler = novas_chain(), our_chain()
    _read_all(cloud, scheduler)

    def nova() -> timing.Call:
        return functools.partial(
            nova_chain.both, cloud.host_states(), cloud.spec())

    def with_ours() -> timing.Call:
        if change:
            change()
        return functools.partial(
            _forget(scheduler).both, cloud.host_states(), cloud.spec())

    times = timing.in_turn([nova, with_ours], rounds)
    return _chain_cost(times)


def first_of_chain(cloud: cloud_mod.Cloud, rounds: int) -> ChainCost:
    """Return the same for the first request after a start."""
    nova_chain = novas_chain()
    return _chain_cost(timing.in_turn([
        lambda: functools.partial(
            nova_chain.both, cloud.host_states(), cloud.spec()),
        lambda: functools.partial(
            our_chain().both, cloud.host_states(), cloud.spec())], rounds))


def logged(cloud: cloud_mod.Cloud, rounds: int) -> ChainCost:
    """Return what our chain costs without and with a decision log."""
    scheduler = our_chain()
    _read_all(cloud, scheduler)
    conf = nova.conf.CONF
    with tempfile.TemporaryDirectory() as directory:
        def request(path: str | None) -> timing.Call:
            conf.set_override('decision_log_file', path, 'cache_aware_sched')
            return functools.partial(
                _forget(scheduler).both, cloud.host_states(), cloud.spec())

        try:
            return _chain_cost(timing.in_turn([
                functools.partial(request, None), functools.partial(
                    request, f'{directory}/decisions.json')], rounds))
        finally:
            conf.clear_override('decision_log_file', 'cache_aware_sched')


def _chain_cost(times: Sequence[Sequence[float]]) -> ChainCost:
    nova_times, our_times = times
    return ChainCost(
        1e3 * statistics.median(nova_times),
        1e3 * statistics.median(our_times),
        statistics.median(our_time / nova_time for nova_time, our_time
                          in zip(nova_times, our_times, strict=True)))


def _forget(scheduler: Scheduler) -> Scheduler:
    """Have no placement that no host shows: the servers are never there."""
    count.shared().ledger._placements.clear()
    return scheduler


def _read_all(cloud: cloud_mod.Cloud, scheduler: Scheduler) -> None:
    """Request until all is read: after a start it is read bit by bit."""
    for _time in range(2 + round(1 / memory.FIRST_READS_SHARE)):
        _request(cloud, scheduler)
    settle()


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

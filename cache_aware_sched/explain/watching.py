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


"""Watches nova's filters and weighers, and what our own decide."""

import collections
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
from typing import Any

from nova.scheduler import filters
from nova import weights as base_weights

from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.decision_log import writer
from cache_aware_sched.explain.explanation import HostsRefused
from cache_aware_sched.explain.explanation import WeigherShare
from cache_aware_sched.explain import listening
from cache_aware_sched.explain.offers import CannotAsk


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

    :ivar let_through: why a server passes though all hosts are at the cap
    """

    def __init__(self) -> None:
        self._handler = filters.HostFilterHandler()
        self.refused: list[HostsRefused] = []
        self.let_through = ''

    def get_filtered_objects(self, filters: Sequence[Any], objs: Any,
                             spec_obj: Any, index: int = 0) -> Any:
        """Return the hosts that pass."""
        hosts = list(objs)
        for filter_ in filters:
            name = type(filter_).__name__
            with listening.listener(hosts) as heard, _named(name):
                left = self._handler.get_filtered_objects(
                    [filter_], hosts, spec_obj, index)
            if left is None:  # nova takes that for no hosts
                left = []
            passed = set(map(id, left))
            self._note(name, [host for host in hosts
                              if id(host) not in passed], heard.reasons)
            self.let_through = heard.let_through or self.let_through
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
        self._multipliers: dict[int, float] = {}

    @property
    def minval(self) -> Any:
        """What the weigher says, after it has weighed."""
        return self._weigher.minval

    @property
    def maxval(self) -> Any:
        """What the weigher says, after it has weighed."""
        return self._weigher.maxval

    def weight_multiplier(self, host_state: Any) -> float:
        """Return what the weigher has said when it weighed."""
        return self._multipliers[id(host_state)]

    def weigh_objects(self, weighed: Sequence[Any],
                      properties: Any) -> list[float]:
        """Return what the weigher says, and note it."""
        with _named(self.name):
            raw = list(self._weigher.weigh_objects(weighed, properties))
        normalised = base_weights.normalize(
            raw, minval=self.minval, maxval=self.maxval)
        self._multipliers = {
            id(item.obj): float(self._weigher.weight_multiplier(item.obj))
            for item in weighed}
        self.shares = {
            str(item.obj.host): WeigherShare(
                one, normal, self.weight_multiplier(item.obj))
            for item, one, normal in zip(
                weighed, raw, normalised, strict=True)}
        return raw

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

"""How fast images arrive: what hosts can fetch, and what Glance can send.

A fluid model. The fetches of a host share what it can fetch with evenly; where
Glance cannot serve all hosts as fast as they could fetch, its rate is divided
over all fetches by max-min fairness, as the flows of TCP do: no fetch gets
more as long as one that could use it has less.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses

from cache_aware_sched.simulator.cloud.loop import Loop


def fair_rates(flows: Mapping[str, int], of_host: float,
               of_all: float) -> dict[str, float]:
    """Return how fast each flow of each host is.

    :param flows: how many each host has
    :param of_host: what a host can take
    :param of_all: what there is for all hosts, 0 for no limit
    """
    if not of_all or len(flows) * of_host <= of_all:
        return {host: of_host / number for host, number in flows.items()}
    rates = {}
    left, waiting = of_all, sum(flows.values())
    for host, number in sorted(
            flows.items(), key=lambda item: (-item[1], item[0])):
        # Those with the most flows are the first that cannot take their part.
        rates[host] = min(of_host / number, left / waiting)
        left -= rates[host] * number
        waiting -= number
    return rates


@dataclasses.dataclass(slots=True, eq=False)
class _Flow:
    left: float
    done: Callable[[], None]
    since: float
    rate: float = 0.0
    version: int = 0


class Bandwidth:
    """The fetches that are under way.

    :param of_host: bytes a second that a host can fetch with
    :param of_all: bytes a second that Glance can send, 0 for no limit
    """

    def __init__(self, loop: Loop, of_host: float, of_all: float) -> None:
        self._loop = loop
        self._of_host = of_host
        self._of_all = of_all
        self._flows: dict[str, list[_Flow]] = {}

    def __len__(self) -> int:
        """Return the number of fetches."""
        return sum(map(len, self._flows.values()))

    def fetch(self, host: str, size: int, done: Callable[[], None]) -> None:
        """Let a host fetch so many bytes, and call when they are there."""
        self._flows.setdefault(host, []).append(
            _Flow(float(size), done, self._loop.now))
        self._share(host)

    def _share(self, changed: str) -> None:
        """Give each flow its rate anew.

        :param changed: the host that has more or fewer flows
        """
        if self._of_all:
            concerned = self._flows
        else:
            concerned = {host: flows for host, flows in self._flows.items()
                         if host == changed}
        rates = fair_rates(
            {host: len(flows) for host, flows in concerned.items()},
            self._of_host, self._of_all)
        for host, rate in rates.items():
            for flow in concerned[host]:
                if flow.rate != rate:
                    self._set(host, flow, rate)

    def _set(self, host: str, flow: _Flow, rate: float) -> None:
        now = self._loop.now
        flow.left = max(0.0, flow.left - (now - flow.since) * flow.rate)
        flow.since, flow.rate = now, rate
        flow.version += 1
        self._loop.after(flow.left / rate, self._end, host, flow,
                         flow.version)

    def _end(self, host: str, flow: _Flow, version: int) -> None:
        if version != flow.version:
            return  # it became faster or slower
        flows = self._flows[host]
        flows.remove(flow)
        if not flows:
            del self._flows[host]
        self._share(host)
        flow.done()

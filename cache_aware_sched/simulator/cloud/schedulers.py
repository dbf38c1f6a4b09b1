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

"""The nova-schedulers of a simulated cloud, and the requests that they get."""

from collections.abc import Callable
from collections.abc import Sequence
import itertools
import random
from typing import Any

from cache_aware_sched import config
from cache_aware_sched.simulator.cloud.allocations import Allocations
from cache_aware_sched.simulator.cloud.host import Host
from cache_aware_sched.simulator.cloud.server import SimulatedServer
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.real_nova.cells import SimulatedCells
from cache_aware_sched.simulator.real_nova.scheduling import Scheduler
from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator import workload

CONF = config.CONF

#: Seconds between servers of one request, at most; those of a trace that has
#: its arrivals in bins, and of synthetic ones, are 1 s apart.
TOGETHER_SECONDS = 1.0


class Schedulers:
    """The nova-scheduler processes of a cloud, which take turns.

    :param chance: returns what one of them does at random
    """

    def __init__(self, policy: policy_mod.Policy, settings: Settings,
                 hosts: Sequence[Host], allocations: Allocations,
                 cells: SimulatedCells, clock: Callable[[], float],
                 chance: Callable[[str], random.Random]) -> None:
        self._settings = settings
        self._hosts = hosts
        self._allocations = allocations
        self._made: list[tuple[Scheduler, list[int]]] = []
        for number in range(settings.schedulers):
            its = chance(f'scheduler {number}')
            # nova has the hosts in the order of a set, so each process has
            # its own for those that weigh the same.
            order = list(range(len(hosts)))
            its.shuffle(order)
            self._made.append((Scheduler(
                policy, clock, cells, its, settings.every_plugin), order))

    def place(self, servers: list[SimulatedServer]) -> bool:
        """Give servers their hosts, each as many as may be tried.

        :param servers: of one request; they have one RequestSpec
        :returns: whether there is one for each; else none has any
        """
        found, last = self._choose(servers, self._states(servers[0]))
        for number, server in zip(found, servers, strict=False):
            self._allocations.give(number, server.boot)
        if len(found) < len(servers):
            return False
        others = [number for number in last if number not in found]
        for number, server in zip(found, servers, strict=True):
            server.hosts = [number, *others][:self._settings.max_attempts]
        return True

    def _states(self, server: SimulatedServer) -> dict[int, Any]:
        """Return what its scheduler gets of the hosts, in its order."""
        _scheduler, order = self._of(server)
        # What placement hands over first does not depend on the scheduler.
        candidates = set(self._allocations.candidates(server.boot)[
            :CONF.scheduler.max_placement_results])
        return {number: self._read(number) for number in order
                if number in candidates}

    def _choose(self, servers: list[SimulatedServer], states: dict[int, Any],
                ) -> tuple[list[int], list[int]]:
        """Choose a host for each server, and allocate it.

        :returns: the hosts, fewer if there are too few, and all that were left
            for the last server
        """
        scheduler, _order = self._of(servers[0])
        numbers = {id(state): number for number, state in states.items()}
        offered, spec = list(states.values()), servers[0].spec
        found: list[int] = []
        before: dict[int, dict[str, Any]] = {}
        for index, server in enumerate(servers):
            # As nova does (SchedulerManager._schedule, nova 34.0.0): the next
            # server gets the hosts that are left after this one.
            spec.instance_uuid = server.uuid
            offered = scheduler.select(spec, offered, index) if offered else []
            number = next((number for state in offered if self._allocations
                           .fits(number := numbers[id(state)], server.boot)),
                          None)
            if number is None:
                break
            found.append(number)
            self._allocations.take(number, server.boot)
            if len(servers) > 1:
                # For the rest of the request, nova's own account of it.
                before.setdefault(number, dict(vars(states[number])))
                states[number].consume_from_request(spec)
        for number, values in before.items():
            vars(states[number]).update(values)
        return found, [numbers[id(state)] for state in offered]

    def _of(self, server: SimulatedServer) -> tuple[Scheduler, list[int]]:
        """Return the scheduler whose turn it is, and its order of hosts."""
        return self._made[server.number % len(self._made)]

    def _read(self, number: int) -> Any:
        """Return what the scheduler gets of a host."""
        row = self._hosts[number].row
        if row.unread:
            row.read()
        return row.state


def requests(boots: Sequence[workload.Boot],
             multi_create: bool) -> list[range]:
    """Return the numbers of the boots that are asked for together."""
    starts = [number for number, boot in enumerate(boots)
              if not (multi_create and number
                      and _together(boots[number - 1], boot))]
    return [range(start, end) for start, end in itertools.pairwise(
        [*starts, len(boots)])]


def _together(one: workload.Boot, other: workload.Boot) -> bool:
    """Return whether two boots can be of one request."""
    return (other.at - one.at <= TOGETHER_SECONDS and all(
        getattr(one, name) == getattr(other, name) for name in (
            'batch', 'vcpus', 'ram_mb', 'disk_gb', 'image', 'project')))

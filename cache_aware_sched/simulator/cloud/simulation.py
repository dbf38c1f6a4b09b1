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

"""A simulated cloud: what comes in, where it goes, and when.

Discrete events. A request is decided upon at once, by nova's own filters and
weighers on what the rows of the hosts say then; placement's allocations are
exact. :mod:`.host` says what the chosen host does and when its row tells of
it. What is between is nova-conductor, which is here.
"""

from collections.abc import Callable
import dataclasses
import random
import uuid

from cache_aware_sched import config
from cache_aware_sched.simulator.cloud.allocations import Allocations
from cache_aware_sched.simulator.cloud.bandwidth import Bandwidth
from cache_aware_sched.simulator.cloud.host import Cloud
from cache_aware_sched.simulator.cloud.host import Host
from cache_aware_sched.simulator.cloud.loop import Loop
from cache_aware_sched.simulator.cloud.precaching import Precaching
from cache_aware_sched.simulator.cloud import schedulers
from cache_aware_sched.simulator.cloud.server import SimulatedServer
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.real_nova.cells import SimulatedCells
from cache_aware_sched.simulator.real_nova import configuration
from cache_aware_sched.simulator.real_nova import novas
from cache_aware_sched.simulator.results import measures
from cache_aware_sched.simulator.results.recorder import Recorder
from cache_aware_sched.simulator.results.result import Result
from cache_aware_sched.simulator.settings import MB
from cache_aware_sched.simulator import workload as workload_mod

CONF = config.CONF

#: Boots after which progress is told.
PROGRESS_BOOTS = 50

#: Moments at which the spread of the projects' servers is looked at.
LOOKS = 200

#: Called with the number of boots that were asked for so far.
Progress = Callable[[int], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Occupancy:
    """What servers hold; all is 0 when the last one has gone."""

    servers: int
    vcpus: int
    ram_mb: int
    disk_gb: int
    row_vcpus: int
    row_ram_mb: int
    row_instances: int
    shown_instances: int
    busy_hosts: int
    fetches: int


class Simulation:
    """A cloud with one policy, whose options are in nova's configuration.

    :ivar placements: the host of each boot of the workload by its number, None
        if it was refused
    :ivar wait_seconds: from request to ACTIVE, by the number of the boot
    """

    def __init__(self, workload: workload_mod.Workload,
                 configured: configuration.Configured,
                 policy: policy_mod.Policy, seed: int) -> None:
        settings = configured.settings
        self._workload = workload
        self._policy = policy
        self._settings = settings
        self._seed = seed
        self._loop = Loop()
        self._bandwidth = Bandwidth(
            self._loop, settings.fetch_mb_s * MB, settings.glance_mb_s * MB)
        self._cells = SimulatedCells()
        self._allocations = Allocations(settings)
        self.placements: list[str | None] = [None] * len(workload.boots)
        self.wait_seconds: list[float | None] = [None] * len(workload.boots)
        names = [f'host{number:04}' for number in range(settings.hosts)]
        self.recorder = Recorder(workload, names, settings.warm_up)
        self._hosts = self._make_hosts(names, configured)
        self._uuids = self._chance('uuids')
        self._requests = schedulers.requests(
            workload.boots, settings.multi_create)
        self._schedulers = schedulers.Schedulers(
            policy, settings, self._hosts, self._allocations, self._cells,
            self._loop.clock, self._chance)
        self._precaching = Precaching(
            settings, self._loop, self._hosts, workload.images,
            self.recorder.end, self.recorder.ahead) if (
                policy.precache) else None

    def _chance(self, of: str) -> random.Random:
        """Return chance that does not depend on how often others ask."""
        return random.Random(f'{self._seed} {of}')

    def _make_hosts(self, names: list[str],
                    configured: configuration.Configured) -> list[Host]:
        chance, uuids = self._chance('hosts'), self._chance('host uuids')
        cloud = Cloud(
            self._settings, self._loop, self._bandwidth, self._cells, self,
            self._policy.kind != policy_mod.STOCK, configured.capped,
            self.recorder.end)
        return [Host(number, novas.host_state(name, _uuid(uuids),
                                              self._settings),
                     cloud, chance.random)
                for number, name in enumerate(names)]

    def run(self, progress: Progress | None) -> None:
        """Let everything happen."""
        recorder, boots = self.recorder, self._workload.boots
        # A little later, when what was asked for last has been claimed.
        self._loop.at(
            measures.busiest_moment(boots) + self._settings.boot_seconds,
            lambda: recorder.see_servers(self._loop.now))
        for number in range(1, LOOKS + 1):
            self._loop.at(
                recorder.start + (recorder.end - recorder.start)
                * number / LOOKS, recorder.spread.look)
        if boots:
            self._loop.at(boots[0].at, self._request, 0, progress)
            if self._precaching:
                self._precaching.start(boots[0].at)
        self._loop.run()
        if progress:
            progress(len(boots))

    # What nova-conductor does.

    def _request(self, number: int, progress: Progress | None) -> None:
        """Have servers placed, and the next ones asked for in their time."""
        if number + 1 < len(self._requests):
            following = self._requests[number + 1]
            self._loop.at(self._workload.boots[following.start].at,
                          self._request, number + 1, progress)
        request = self._requests[number]
        if progress and number % PROGRESS_BOOTS == 0:
            progress(request.start)
        servers = self._servers(request)
        if not self._schedulers.place(servers):
            self.recorder.refused += len(servers)
            return
        for server in servers:
            self._cells.created(
                server.boot.image, server.uuid, server.boot.project)
            if self._precaching:
                self._precaching.created(server.boot)
            self._send(server)

    def _servers(self, request: range) -> list[SimulatedServer]:
        """Return the servers of a request; they have one RequestSpec."""
        at = self._loop.now
        boots = [self._workload.boots[number]._replace(at=at)
                 for number in request]
        image = self._workload.images[boots[0].image]
        uuids = [_uuid(self._uuids) for _boot in boots]
        spec = novas.request_spec(boots[0], image, uuids[0], len(boots))
        return [SimulatedServer(number, uuid_, boot, image, spec, [])
                for number, uuid_, boot in zip(
                    request, uuids, boots, strict=True)]

    def _send(self, server: SimulatedServer) -> None:
        """Send a server to the next of its hosts that it fits on."""
        while server.hosts:
            number = server.hosts.pop(0)
            if self._allocations.fits(number, server.boot):
                self._allocate(number, server, 1)
                self._loop.after(self._settings.claim_delay,
                                 self._hosts[number].build, server)
                return
        self.recorder.refused += 1
        self._cells.deleted(server.boot.image, server.uuid)

    def _allocate(self, number: int, server: SimulatedServer,
                  sign: int) -> None:
        allocations, now = self._allocations, self._loop.now
        vcpus, ram_mb = allocations.vcpus[number], allocations.ram_mb[number]
        if sign > 0:
            allocations.take(number, server.boot)
        else:
            allocations.give(number, server.boot)
        self.recorder.vcpus.change(now, vcpus, allocations.vcpus[number])
        self.recorder.ram_mb.change(now, ram_mb, allocations.ram_mb[number])

    # What hosts tell.

    def admitted(self, server: SimulatedServer, host: Host) -> None:
        """Learn that a server is built."""
        self.placements[server.number] = host.name
        self.recorder.spread.add(
            host.name, server.boot.image, server.boot.project)

    def sent_away(self, server: SimulatedServer, host: Host) -> None:
        """Learn that a server must go to another host."""
        self.recorder.rescheduled += 1
        self._allocate(host.number, server, -1)
        self._send(server)

    def fetches(self, server: SimulatedServer) -> None:
        """Learn that the image of a server must be fetched for it."""
        self.recorder.cold(server.boot, server.image.size)

    def joins(self, server: SimulatedServer) -> None:
        """Learn that a server waits for an image that is being fetched."""
        self.recorder.late(server.boot)

    def evicted(self, number: int) -> None:
        """Learn that so many images have left a cache."""
        self.recorder.evicted += number

    def active(self, server: SimulatedServer, host: Host) -> None:
        """Learn that a server runs; one that is to end earlier ends now."""
        boot, now = server.boot, self._loop.now
        self.recorder.active(boot, now)
        self.wait_seconds[server.number] = now - boot.at
        if boot.lifetime is not None:
            self._loop.at(boot.at + boot.lifetime, self._end, server, host)

    def _end(self, server: SimulatedServer, host: Host) -> None:
        host.delete(server)
        self._allocate(host.number, server, -1)
        self.recorder.spread.remove(
            host.name, server.boot.image, server.boot.project)

    # When it is over.

    def held(self) -> Occupancy:
        """Return what servers hold now."""
        states = [host.row.state for host in self._hosts]
        free_mb = (self._settings.host_ram_mb
                   - self._settings.reserved_host_memory_mb)
        return Occupancy(
            servers=len(self._cells), vcpus=sum(self._allocations.vcpus),
            ram_mb=sum(self._allocations.ram_mb),
            disk_gb=sum(self._allocations.disk_gb),
            row_vcpus=sum(state.vcpus_used for state in states),
            row_ram_mb=sum(free_mb - state.free_ram_mb for state in states),
            row_instances=sum(state.num_instances for state in states),
            shown_instances=sum(len(state.instances) for state in states),
            busy_hosts=sum(not host.idle for host in self._hosts),
            fetches=len(self._bandwidth))

    def result(self, seconds: float) -> Result:
        """Return what was found.

        :param seconds: that the run took
        """
        options = CONF.cache_aware_sched
        multiplier, cap, forced = self._policy.multiplier, 0, 0
        if self._policy.kind == policy_mod.OURS:
            multiplier = options.image_cache_weight_multiplier
            cap = options.max_same_image_instances_per_host
            # A soft one makes no server go to another host.
            forced = cap if options.same_image_cap_policy == 'hard' else 0
        return self.recorder.result(
            self._policy, multiplier, cap, measures.floor_bytes(
                self._workload.boots, self._workload.images, forced,
                options.same_image_scope == 'project'), seconds)


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))

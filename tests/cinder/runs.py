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

"""Replay volumes on Cinder's own weighers: what is fetched, and how evenly.

Time is simulated; pools, weighers, the handler of weights and the table of
cached volumes are Cinder's. A pool reports every minute, and its report has no
volume in it that is still being made, as Cinder's has not.
"""

import dataclasses
import heapq
import random
import statistics
import uuid

from cinder import context
from cinder.db import api as db
from cinder.scheduler import host_manager
from oslo_config import cfg
from oslo_utils import timeutils

from cache_aware_sched.cinder import recent
from cache_aware_sched.cinder import scoring
from cache_aware_sched.cinder import weights
from cache_aware_sched import fetch_time
from tests.cinder import database

CONF = cfg.CONF

REPORT_SECONDS = 60
CLONE_SECONDS = 2
WEIGHERS = ('CapacityWeigher', weights.ImageVolumeCacheWeigher.__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A cloud, and the volumes that it is asked for.

    :param rate: volumes a second
    :param lifetime: mean seconds that a volume is kept
    :param kept: cached volumes that a pool keeps; 0 for all
    :param burst: volumes that are asked for at a time, of one image
    :param used: share of each pool that others use from the beginning
    """

    name: str
    pools: int = 8
    capacity: int = 20_000
    images: int = 100
    volumes: int = 4000
    rate: float = 0.2
    lifetime: float = 6000.0
    kept: int = 10
    burst: int = 1
    used: float = 0.0
    warm_up: float = 0.25
    gib: tuple = (1, 2, 4, 10, 20, 40)
    extra: tuple = (0, 10, 20, 50)
    seed: int = 1


@dataclasses.dataclass(slots=True)
class Outcome:
    """What came of it."""

    fetches: int = 0
    gib: int = 0
    volumes: int = 0
    spreads: list = dataclasses.field(default_factory=list)

    @property
    def spread(self):
        """Return std/mean of what is allocated, on average over time."""
        return statistics.mean(self.spreads) if self.spreads else 0.0


class Backend:
    """A pool with what is in it."""

    def __init__(self, number, case):
        self.state = host_manager.PoolState(
            f'h{number:03}@b', None, None, 'p')
        self.capacity = case.capacity
        self.done = self.held = int(case.used * case.capacity)
        self.cached = {}  # image: (volume id, last use)
        self.filling = {}  # image: when it is there
        self.report()

    def report(self):
        self.state.updated = None
        self.state.update_from_volume_capability({
            'timestamp': timeutils.utcnow(), 'pool_name': 'p',
            'total_capacity_gb': self.capacity,
            'free_capacity_gb': self.capacity - self.done,
            'allocated_capacity_gb': self.done,
            'provisioned_capacity_gb': self.done,
            'storage_protocol': 'iSCSI'})


class Run:
    """One replay."""

    def __init__(self, case, weighers):
        self.case, self.random = case, random.Random(case.seed)
        self.now = 0.0
        recent._shared = recent.RecentVolumes(clock=lambda: self.now)
        self.context = context.get_admin_context()
        self.manager = host_manager.HostManager()
        self.weighers = weighers
        self.backends = {}
        for number in range(case.pools):
            backend = Backend(number, case)
            self.backends[backend.state.host] = backend
        self.images = [
            (str(uuid.UUID(int=self.random.getrandbits(128))),
             self.random.choice(case.gib))
            for _ in range(case.images)]
        self.shares = [1 / (rank + 1) for rank in range(case.images)]
        self.events = []
        self.sequence = 0
        self.outcome = Outcome()

    def at(self, time, call, *args):
        self.sequence += 1
        heapq.heappush(self.events, (time, self.sequence, call, args))

    def play(self):
        time, number = 0.0, 0
        while number < self.case.volumes:
            time += self.random.expovariate(
                self.case.rate / self.case.burst)
            [image] = self.random.choices(self.images, self.shares)
            size = image[1] + self.random.choice(self.case.extra)
            for _ in range(self.case.burst):
                number += 1
                self.at(time, self.create, image, size, number)
        for minute in range(1, int(time / REPORT_SECONDS) + 1):
            self.at(minute * REPORT_SECONDS, self.report)
        last = self.case.volumes
        while self.events and last:
            self.now, _sequence, call, args = heapq.heappop(self.events)
            call(*args)
            last -= call == self.create
        self.measure()
        return self.outcome

    def report(self):
        for backend in self.backends.values():
            backend.report()
        self.measure()

    def measure(self):
        held = [backend.held for backend in self.backends.values()]
        if self.counts and any(held):
            self.outcome.spreads.append(
                statistics.pstdev(held) / statistics.mean(held))

    counts = False

    def create(self, image, size, number):
        self.counts = number > self.case.warm_up * self.case.volumes
        spec = {'image_id': image[0], 'volume_id': str(number),
                'volume_properties': {'size': size}}
        states = [backend.state for backend in self.backends.values()
                  if backend.state.free_capacity_gb >= size]
        # Their order is that of a dictionary in Cinder, always the same.
        weighed = self.manager.get_weighed_backends(
            states, {'request_spec': spec, 'context': self.context},
            list(self.weighers))
        state = weighed[0].obj
        state.consume_from_volume(spec['volume_properties'])
        backend = self.backends[state.host]
        backend.held += size
        ready = self.make(backend, image, number)
        self.at(ready, self.made, backend, size)
        self.at(ready + self.random.expovariate(1 / self.case.lifetime),
                self.delete, backend, size)
        if self.counts:
            self.outcome.volumes += 1

    def make(self, backend, image, number):
        """Return when the volume is there."""
        uid, gib = image
        if uid in backend.cached:
            backend.cached[uid] = backend.cached[uid][0], self.now
            return self.now + CLONE_SECONDS
        if uid in backend.filling:
            return backend.filling[uid] + CLONE_SECONDS
        ready = self.now + fetch_time.fetch_seconds(gib * scoring.GIB, 0)
        backend.filling[uid] = ready
        if self.counts:
            self.outcome.fetches += 1
            self.outcome.gib += gib
        self.at(ready, self.fetched, backend, image)
        return ready

    def fetched(self, backend, image):
        uid, gib = image
        del backend.filling[uid]
        if self.case.kept and len(backend.cached) >= self.case.kept:
            oldest = min(backend.cached,
                         key=lambda one: backend.cached[one][1])
            db.image_volume_cache_delete(
                self.context, backend.cached.pop(oldest)[0])
        self.sequence += 1
        volume = str(uuid.UUID(int=self.sequence))
        backend.cached[uid] = volume, self.now
        db.image_volume_cache_create(
            self.context, backend.state.host, None, uid, timeutils.utcnow()
            .replace(year=2026, month=1, day=1, hour=0, minute=0, second=0,
                     microsecond=0), volume, gib)

    def made(self, backend, size):
        backend.done += size

    def delete(self, backend, size):
        backend.done -= size
        backend.held -= size


ONE = {'images': 1, 'warm_up': -1, 'gib': (2,), 'extra': (3,)}

#: Bursts begin without a cached volume.
CASES = (
    Case('8 at once, 4 pools of 100 GiB', pools=4, capacity=100, volumes=8,
         burst=8, **ONE),
    Case('8 at once, 4 pools of 20 TiB', pools=4, volumes=8, burst=8, **ONE),
    Case('8 at once, 4 half full pools', pools=4, volumes=8, burst=8,
         used=0.5, **ONE),
    Case('100 at once, 20 half full pools', pools=20, volumes=100, burst=100,
         used=0.5, **ONE),
    Case('4 pools, 10 cached volumes each', pools=4, rate=0.1),
    Case('8 pools, 10 cached volumes each'),
    Case('8 pools, all kept', kept=0),
    Case('30 pools, 10 cached volumes each', pools=30, rate=0.8),
    Case('8 pools, 5 volumes at a time', burst=5),
)
MULTIPLIERS = (0, 1, 2, 5, 10, 30)


def play(case, multiplier):
    """Return what comes of a case; a multiplier of 0 is Cinder alone."""
    with database.ready():
        CONF.set_override('scheduler_default_weighers', list(WEIGHERS))
        CONF.set_override('image_volume_cache_weight_multiplier', multiplier,
                          'cache_aware_sched')
        return Run(case, WEIGHERS if multiplier else WEIGHERS[:1]).play()


def main(cases=CASES, multipliers=MULTIPLIERS):
    """Print a table of all cases."""
    print(f'{"":36}{"mult.":>6}{"volumes":>9}{"fetched":>9}'
          f'{"GiB":>8}{"std/mean":>10}')
    for case in cases:
        for multiplier in multipliers:
            found = play(case, multiplier)
            shown = f'{multiplier:g}' if multiplier else 'Cinder'
            spread = found.spread
            print(f'{case.name:36}{shown:>6}{found.volumes:>9}'
                  f'{found.fetches:>9}{found.gib:>8}{spread:>10.3f}',
                  flush=True)

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

"""What the demo boots: images, caches and a seeded sequence of requests."""

import dataclasses
import itertools
import random

GB = 10 ** 9


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """An image; ``size`` in bytes."""

    name: str
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Flavor:
    """A size of servers."""

    name: str
    vcpus: int
    memory_mb: int


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One API request for one server or, as a multi-create, for several."""

    name: str
    image: Image
    flavor: Flavor
    number: int = 1

    @property
    def servers(self) -> tuple[str, ...]:
        """The names that nova gives to the servers."""
        if self.number == 1:
            return (self.name,)
        return tuple(f'{self.name}-{place}'
                     for place in range(1, self.number + 1))


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """What happens at once; the next step waits for its end.

    :param requests: sent without waiting for one another
    :param deletes: names of the servers that are deleted then
    """

    requests: tuple[Request, ...]
    deletes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Workload:
    """A cloud and what is asked of it.

    :param hosts: names
    :param images: the most popular one first
    :param cached: what each host holds at the start
    :param steps: in order
    """

    hosts: tuple[str, ...]
    images: tuple[Image, ...]
    cached: dict[str, frozenset[Image]]
    steps: tuple[Step, ...]

    @property
    def requests(self) -> tuple[Request, ...]:
        """All requests, in order."""
        return tuple(itertools.chain.from_iterable(
            step.requests for step in self.steps))

    @property
    def number(self) -> int:
        """How many servers are booted."""
        return sum(request.number for request in self.requests)


#: The most popular one first, as in a company's cloud: its own base image
#: before everyone's, and some that are large and rare.
IMAGES = (
    Image('app-server', 6 * GB),
    Image('ubuntu', 2 * GB),
    Image('builder', 16 * GB),
    Image('windows', 12 * GB),
    Image('debian', GB),
    Image('database', 8 * GB),
    Image('ml-cuda', 20 * GB),
    Image('cirros', GB // 50),
)
#: With how often they are asked for.
FLAVORS = {Flavor('small', 1, 2048): 5,
           Flavor('medium', 2, 4096): 3,
           Flavor('large', 4, 8192): 2}
HOSTS = 6
#: Images that a host holds at the start.
CACHED = 2
#: Of the steps, how many are what.
SINGLE, MULTI, BURST = 70, 10, 20
#: Chance that a server is deleted after a step.
DELETE = 0.15


def make(servers: int, seed: int) -> Workload:
    """Return the workload that belongs to a seed.

    :param servers: to boot in all
    """
    chance = random.Random(seed)
    hosts = tuple(f'node{place}' for place in range(1, HOSTS + 1))
    return Workload(
        hosts, IMAGES,
        {host: frozenset(chance.sample(IMAGES, CACHED)) for host in hosts},
        tuple(_steps(chance, servers)))


def _steps(chance: random.Random, left: int) -> list[Step]:
    steps: list[Step] = []
    names = (f'vm{number:02}' for number in itertools.count(1))
    alive: list[str] = []
    while left:
        requests = []
        for number in _numbers(chance, left):
            left -= number
            requests.append(_request(chance, next(names), number))
        deletes = _deletes(chance, alive)
        alive += [server for request in requests
                  for server in request.servers]
        steps.append(Step(tuple(requests), deletes))
    return steps


def _numbers(chance: random.Random, left: int) -> list[int]:
    """Return how many servers each request of a step asks for."""
    kind = chance.choices(
        ('single', 'multi', 'burst'), (SINGLE, MULTI, BURST))[0]
    if kind == 'multi':
        return [min(left, chance.randint(2, 4))]
    if kind == 'burst':
        return [1] * min(left, chance.randint(2, 4))
    return [1]


def _request(chance: random.Random, name: str, number: int) -> Request:
    # Zipf: the second image is half as popular as the first, and so on.
    ranks = [1 / rank for rank in range(1, len(IMAGES) + 1)]
    return Request(name, chance.choices(IMAGES, ranks)[0],
                   chance.choices(list(FLAVORS), list(FLAVORS.values()))[0],
                   number)


def _deletes(chance: random.Random, alive: list[str]) -> tuple[str, ...]:
    if not alive or chance.random() > DELETE:
        return ()
    return (alive.pop(chance.randrange(len(alive))),)

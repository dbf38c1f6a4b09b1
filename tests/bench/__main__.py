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

"""The command line of the benchmark."""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import logging
import sys
from typing import TypeVar

import nova.conf
from nova import objects

from tests.bench import cloud as cloud_mod
from tests.bench import directory
from tests.bench import manager
from tests.bench import reports
from tests.bench import room
from tests.bench import scheduling
from tests.bench import show
from tests.bench import slow

T = TypeVar('T')

INTERRUPTED = 130
INSTANCES = 50
#: The cloud that is looked at more closely.
HOSTS, IMAGES = 1_000, 100
#: Of ten hosts, how many hold a popular image.
POPULAR, ALL = 9, 10


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and how often.

    :param rounds: by the number of hosts
    """

    rounds: dict[int, int]
    images: tuple[int, ...]
    instances: tuple[int, ...]
    files: tuple[int, ...]
    chains: tuple[int, ...]
    passes: tuple[manager.Case, ...]
    rooms: tuple[room.Case, ...]

    @property
    def steps(self) -> int:
        """Of the progress bar."""
        return (len(self.rounds) * len(self.images)
                + 2 * len(self.instances) + 3
                + len(self.chains) + len(self.images) + len(self.files)
                + len(self.passes) + len(self.rooms))


FULL = Plan({100: 51, 1_000: 31, 10_000: 9}, (10, 100, 1_000), (5, 50, 200),
            (1_000, 10_000), (1_000, 10_000),
            (manager.Case(1_000, disks=False, rounds=3),
             manager.Case(10_000, disks=False, rounds=1),
             manager.Case(100, disks=True, rounds=1),
             manager.Case(1_000, disks=True, rounds=0),
             manager.Case(10_000, disks=True, rounds=0)),
            (room.Case(0), room.Case(2_000), room.Case(2_000, slow=True)))
QUICK = Plan({100: 15, 1_000: 9}, (100, 1_000), (5, 50, 200), (1_000,),
             (1_000,),
             (manager.Case(1_000, disks=False, rounds=1),
              manager.Case(20, disks=True, rounds=1),
              manager.Case(1_000, disks=True, rounds=0)),
             (room.Case(200), room.Case(200, slow=True)))


def _requests(plan: Plan, steps: show.Steps) -> Iterator[
        tuple[int, int, scheduling.Cost, scheduling.Cost]]:
    for hosts, rounds in plan.rounds.items():
        steps(f'building {hosts:,} hosts')
        cloud = cloud_mod.Cloud(hosts, INSTANCES)
        for images in plan.images:
            steps(f'{hosts:,} hosts, {images:,} images')
            cloud.hold(images)
            scheduling.settle()
            yield (hosts, images, scheduling.warm(cloud, rounds),
                   scheduling.first(cloud, max(3, rounds // 4)))
            steps.done()


def _states(plan: Plan, steps: show.Steps
            ) -> Iterator[tuple[str, scheduling.Cost]]:
    """Look more closely at one size of cloud."""
    rounds = plan.rounds[HOSTS]
    for instances in plan.instances:
        steps(f'{instances} instances a host')
        cloud = _cloud(instances)
        yield (f'{instances} instances a host, none changed',
               scheduling.warm(cloud, rounds))
        steps.done()
        yield (f'{instances} instances a host, first request',
               scheduling.first(cloud, max(3, rounds // 4)))
        steps.done()
    steps('changes')
    cloud = _cloud(INSTANCES)
    yield (f'{scheduling.RECENT} servers placed that no host shows yet',
           scheduling.busy(cloud, rounds))
    steps.done()
    yield ('10 hosts got a server since the request before',
           scheduling.changed(cloud, 10, rounds))
    steps.done()
    cloud.hold(IMAGES, POPULAR)
    yield (f'{POPULAR} of 10 hosts hold the image, not {cloud_mod.HOLDERS}',
           scheduling.warm(cloud, rounds))
    steps.done()


def _chains(plan: Plan, steps: show.Steps) -> Iterator[
        tuple[str, scheduling.ChainCost]]:
    """Look at all filters and weighers of a request."""
    for hosts in plan.chains:
        rounds = plan.rounds[hosts]
        steps(f'all filters and weighers of {hosts:,} hosts')
        cloud = cloud_mod.Cloud(hosts, INSTANCES)
        for holders, what in ((cloud_mod.HOLDERS, 'one host in ten holds it'),
                              (ALL, 'all hosts hold it')):
            cloud.hold(IMAGES, holders)
            scheduling.settle()
            yield f'{hosts:,} hosts, {what}', scheduling.chain(cloud, rounds)
        cloud.hold(IMAGES)
        yield (f'{hosts:,} hosts, both ours: without and with a decision log',
               scheduling.logged(cloud, rounds))
        yield (f'{hosts:,} hosts, first request after a start',
               scheduling.first_of_chain(cloud, max(3, rounds // 4)))
        yield (f'{hosts:,} hosts, each has a server more since the last one',
               scheduling.chain(cloud, max(3, rounds // 4),
                                change=cloud.start_instances))
        cloud.forget_one()
        cloud.hold(IMAGES)
        yield (f'{hosts:,} hosts, one server of each is known by uuid only',
               scheduling.chain(cloud, rounds))
        steps.done()


def _cloud(instances: int) -> cloud_mod.Cloud:
    cloud = cloud_mod.Cloud(HOSTS, instances)
    cloud.hold(IMAGES)
    scheduling.settle()
    return cloud


def _each(steps: show.Steps, name: str, measure: Callable[[int], T],
          sizes: tuple[int, ...]) -> Iterator[T]:
    for size in sizes:
        steps(f'{name} {size:,}')
        yield measure(size)
        steps.done()


def _passes(plan: Plan, steps: show.Steps) -> Iterator[manager.Cost]:
    for case in plan.passes:
        steps(f'image cache of {case.files:,}')
        if manager.possible(case):
            yield manager.measure(case)
        steps.done()


def _rooms(plan: Plan, steps: show.Steps) -> Iterator[room.Cost]:
    for case in plan.rooms:
        steps(f'room with {case.servers:,} servers')
        if not case.slow or slow.possible() is None:
            yield room.measure(case)
        steps.done()


def _prepare() -> None:
    objects.register_all()
    # No configuration file: the defaults are measured.
    nova.conf.CONF([], project='nova', default_config_files=[])
    # No host may be filtered out.
    nova.conf.CONF.set_override(
        'max_instances_per_host', 10_000, 'filter_scheduler')
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger().addHandler(logging.NullHandler())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench',
        description='Measure what the package costs nova-scheduler and '
                    'nova-compute. Times are medians; the ratios are what '
                    'can be compared between machines.')
    parser.add_argument('--quick', action='store_true',
                        help='fewer sizes and rounds')
    plan = QUICK if parser.parse_args().quick else FULL
    _prepare()
    out = show.console(sys.stdout)
    out.print(show.machine())
    out.print()
    with show.watching(plan.steps) as steps:
        requests = list(_requests(plan, steps))
        states = list(_states(plan, steps))
        chains = list(_chains(plan, steps))
        report = list(_each(steps, 'report of', reports.measure, plan.images))
        directories = list(_each(
            steps, 'directory of', directory.measure, plan.files))
        passes = list(_passes(plan, steps))
        rooms = list(_rooms(plan, steps))
    show.requests(out, requests)
    show.states(out, HOSTS, IMAGES, states)
    show.chains(out, IMAGES, chains)
    show.report(out, report)
    show.directories(out, directories)
    show.passes(out, passes)
    show.rooms(out, rooms)


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        sys.stderr.write('Interrupted.\n')
        sys.exit(INTERRUPTED)

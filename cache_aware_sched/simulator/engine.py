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

"""Simulates a cloud under one policy.

What happens when is the business of :mod:`.cloud`; its clock is
:mod:`.cloud.loop`.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import gc
import random
import time

from cache_aware_sched.imagecache import policies as cache_policies
from cache_aware_sched.simulator.cloud.simulation import Progress
from cache_aware_sched.simulator.cloud.simulation import Simulation
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.real_nova.cells import SimulatedCells
from cache_aware_sched.simulator.real_nova import configuration
from cache_aware_sched.simulator.real_nova import fragments
from cache_aware_sched.simulator.real_nova import scheduling
from cache_aware_sched.simulator.results.result import Result
from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator import workload as workload_mod


def check(settings: Settings, policies: Iterable[policy_mod.Policy]) -> None:
    """Find out whether policies can be simulated.

    :raises cache_aware_sched.simulator.real_nova.fragments.BadFragment: naming
        the first policy that cannot, and the option
    """
    for policy in policies:
        with (_named(policy),
              configuration.applied(policy, settings) as configured):
            _check_manager(configured.settings.cache_manager)
            scheduling.Scheduler(policy, time.monotonic, SimulatedCells(),
                                 random.Random(0), settings.every_plugin)


def _check_manager(name: str) -> None:
    """Find out whether the policy of an image cache manager can be had."""
    try:
        cache_policies.named(name)
    except ValueError as error:
        raise fragments.BadFragment(str(error)) from None


def run(workload: workload_mod.Workload, settings: Settings,
        policy: policy_mod.Policy, seed: int = 0,
        progress: Progress | None = None) -> Result:
    """Simulate a cloud under one policy.

    :param seed: of everything that is left to chance
    :raises cache_aware_sched.simulator.real_nova.fragments.BadFragment: naming
        the policy and the option that cannot be used
    """
    return simulate(workload, settings, policy, seed, progress)[1]


def simulate(workload: workload_mod.Workload, settings: Settings,
             policy: policy_mod.Policy, seed: int = 0,
             progress: Progress | None = None) -> tuple[Simulation, Result]:
    """Do what :func:`run` does, and return also what was simulated."""
    start = time.monotonic()
    with (_named(policy),
          configuration.applied(policy, settings) as configured):
        simulation = Simulation(
            workload, _with_ids(configured, workload), policy, seed)
        with _rare_collections():
            simulation.run(progress)
        return simulation, simulation.result(time.monotonic() - start)


@contextlib.contextmanager
def _named(policy: policy_mod.Policy) -> Iterator[None]:
    """Name a policy in what is wrong with its fragment."""
    try:
        yield
    except fragments.BadFragment as error:
        raise fragments.BadFragment(
            f'policy {policy.name!r}: {error}') from error


def _with_ids(configured: configuration.Configured,
              workload: workload_mod.Workload) -> configuration.Configured:
    """Return what is in force, with the ids that images have here.

    What protects images names them as the input does.
    """
    settings = configured.settings
    ids = (workload.find_image(name) for name in settings.protected_images)
    return dataclasses.replace(configured, settings=dataclasses.replace(
        settings, protected_images=tuple(filter(None, ids))))


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Keep Python from looking through all of a cloud again and again.

    Hardly anything here is garbage that needs it.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()

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

"""A simulation from its options to its results."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import warnings

from cache_aware_sched.option import BadOption
from cache_aware_sched.option import Name
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator.input import sources
from cache_aware_sched.simulator.input.trace import BadTrace
from cache_aware_sched.simulator import parallel
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.policy import Policy
from cache_aware_sched.simulator.results.result import Finding
from cache_aware_sched.simulator.results.result import Result
from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator import suggest
from cache_aware_sched.simulator.workload import Workload

TRACE, SYNTHETIC, HISTORY = SOURCES = ('trace', 'synthetic', 'from_nova')

#: What a synthetic workload has for each host if nothing else is said.
BOOTS_PER_HOST = options.SYNTHETIC_BOOTS // options.Synthetic().hosts

#: Simulates some policies; the results are in their order.
Run = Callable[[Sequence[Policy]], Sequence[Result]]


class Unusable(Exception):
    """The input cannot be used; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What is to be simulated.

    :param source: one of :data:`SOURCES`
    :param trace: its path, if that is the source
    :param policies: to compare; of a search, stock nova and what the options
        are added to
    :param limits: of a search, if one is asked for
    """

    source: str
    trace: str
    options: options.Options
    settings: Settings
    policies: Sequence[Policy]
    limits: suggest.SearchLimits | None = None

    def workload(self) -> Workload:
        """Return the servers that are asked for.

        :raises BadOption: if the options do not go together
        :raises Unusable: if the trace cannot be read
        :raises Exception: with a message for people, if nova's databases
            cannot
        """
        try:
            if self.source == TRACE:
                return sources.from_trace(self.trace, self.options)
            if self.source == SYNTHETIC:
                return sources.from_synthetic(self.options)
            with warnings.catch_warnings():
                # Of libraries that nova imports; nobody can do anything
                # about it.
                warnings.simplefilter('ignore')
                return sources.from_nova(self.options)
        except BadTrace as error:
            raise Unusable(f'{self.trace}: {error}') from None
        except OSError as error:
            raise Unusable(
                f'{self.trace}: {error.strerror or error}') from None

    def summary(self, work: Workload) -> str:
        """Return a sentence about what is simulated."""
        seconds = work.boots[-1].at - work.boots[0].at if work.boots else 0
        return (
            f'{len(work.boots):,} servers of {len(work.images):,} images are '
            f'asked for in {seconds / 3600:,.1f} hours, on '
            f'{self.settings.hosts:,} hosts; seed {self.options.seed}.')

    def missing_images(self, work: Workload) -> list[str]:
        """Return the images that are protected, but that no server has."""
        return [name for name in self.settings.protected_images
                if not work.find_image(name)]


@dataclasses.dataclass(frozen=True, slots=True)
class Findings:
    """What a job has found.

    :param suggestion: of a search
    """

    all: Sequence[Finding]
    suggestion: suggest.Suggestion | None = None


def run(job: Job, work: Workload, workers: int = 1,
        progress: Callable[[Sequence[Policy]], parallel.Progress | None] = (
            lambda policies: None)) -> Findings:
    """Simulate the policies of a job, or search for options.

    :param workers: policies that are simulated at the same time
    :param progress: called with the policies that are simulated next; returns
        what is told how far they are
    :raises parallel.PolicyFailed: naming the policy
    """
    def simulate(policies: Sequence[Policy]) -> Sequence[Result]:
        return parallel.run_all(
            work, job.settings, policies, job.options.seed, workers,
            progress(policies))

    if job.limits is None:
        return Findings([
            Finding(policy, result) for policy, result in zip(
                job.policies, simulate(job.policies), strict=True)])
    stock, base = job.policies
    found = suggest.search(simulate, job.limits, stock, base, workers)
    return Findings(
        [Finding(stock, found.stock),
         *(Finding(trial.policy, trial.result) for trial in found.trials)],
        found)


def synthetic(asked: options.Synthetic,
              settings: Settings) -> options.Synthetic:
    """Return the options of a synthetic workload for the simulated hosts.

    Their CPUs count once: what servers use is told as a share of the machine,
    however far the operator lets nova overcommit it. Where memory runs out
    before, that is all they have.

    :raises BadOption: if a host has no memory for servers
    """
    vcpus_per_mb = (sum(vcpus * weight for vcpus, _mb, weight in asked.flavors)
                    / sum(mb * weight for _vcpus, mb, weight in asked.flavors))
    memory = (settings.host_ram_mb * settings.ram_allocation_ratio
              - settings.reserved_host_memory_mb)
    if memory * vcpus_per_mb < 1:
        raise BadOption(
            '{} and {} leave {:,g} MiB of a host for servers, less than a '
            'mean {} has for one vCPU', Name('host_ram_mb'),
            Name('reserved_host_memory_mb'), max(memory, 0), Name('flavors'))
    return dataclasses.replace(
        asked, hosts=settings.hosts, host_vcpus=min(
            settings.host_vcpus, memory * vcpus_per_mb))


def search(base: Policy | None = None) -> list[Policy]:
    """Return the policies of a job that searches for options.

    :param base: what the options are added to
    """
    return [policy_mod.stock(), base or policy_mod.ours()]

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

"""Runs what the arguments of ``simulate`` ask for."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
from typing import TextIO
import warnings

from cache_aware_sched.cli.arguments import Usage
from cache_aware_sched.cli.job import Job
from cache_aware_sched.cli.job import told
from cache_aware_sched.simulator.input import sources
from cache_aware_sched.simulator.input.trace import BadTrace
from cache_aware_sched.simulator.option import BadOption
from cache_aware_sched.simulator import parallel
from cache_aware_sched.simulator.parallel import Progress
from cache_aware_sched.simulator.policy import Policy
from cache_aware_sched.simulator.results.result import Result
from cache_aware_sched.simulator import suggest
from cache_aware_sched.simulator.workload import Workload


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a job has found.

    :param families: of the results
    :param suggestion: of a search
    """

    policies: Sequence[Policy]
    families: Sequence[str]
    results: Sequence[Result]
    suggestion: suggest.Suggestion | None = None


def workload(job: Job) -> Workload:
    """Return the workload of a job.

    :raises Usage: if its options do not go together
    :raises Exception: with a message for people, if it cannot be read
    """
    try:
        if job.source == 'trace':
            return sources.from_trace(job.trace, job.options)
        if job.source == 'synthetic':
            return sources.from_synthetic(job.options)
        with warnings.catch_warnings():
            # Of libraries that nova imports; nobody can do anything about it.
            warnings.simplefilter('ignore')
            return sources.from_nova(job.options)
    except BadOption as error:
        raise Usage(told(error)) from None
    except BadTrace as error:
        raise Unusable(f'{job.trace}: {error}') from None
    except OSError as error:
        raise Unusable(
            f'{job.trace}: {error.strerror or error}') from None


class Unusable(Exception):
    """The input cannot be used; the message says why."""


def missing_images(job: Job, work: Workload) -> list[str]:
    """Return the images that are protected, but that no server has."""
    return [name for name in job.settings.protected_images
            if not work.find_image(name)]


def summary(job: Job, work: Workload) -> str:
    """Return a sentence about what is simulated."""
    seconds = work.boots[-1].at - work.boots[0].at if work.boots else 0
    return (
        f'{len(work.boots):,} servers of {len(work.images):,} images are '
        f'asked for in {seconds / 3600:,.1f} hours, on {job.settings.hosts:,} '
        f'hosts; seed {job.options.seed}.')


def run(job: Job, work: Workload, stream: TextIO) -> Outcome:
    """Simulate the policies of a job, or search for options.

    :param stream: for bars, if it is a terminal
    :raises parallel.PolicyFailed: naming the policy
    """
    def simulate(policies: Sequence[Policy]) -> list[Result]:
        with _bars(stream, policies, len(work.boots)) as progress:
            return parallel.run_all(
                work, job.settings, policies, job.options.seed, job.workers,
                progress)

    policies = [candidate.policy for candidate in job.candidates]
    if job.limits is None:
        return Outcome(
            policies, [candidate.family for candidate in job.candidates],
            simulate(policies))
    stock, base = job.candidates
    found = suggest.search(simulate, job.limits, stock.policy,
                           base.policy.fragment, job.workers)
    return Outcome(
        [stock.policy, *(trial.policy for trial in found.trials)],
        [stock.family, *[base.family] * len(found.trials)],
        [found.stock, *(trial.result for trial in found.trials)], found)


@contextlib.contextmanager
def _bars(stream: TextIO, policies: Sequence[Policy],
          boots: int) -> Iterator[Progress | None]:
    if not stream.isatty():
        yield None
        return
    # Only here: it takes a tenth of a second.
    from cache_aware_sched.cli import progress
    with progress.shown(stream, policies, boots) as tell:
        yield tell

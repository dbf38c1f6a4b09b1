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

"""The report of a simulation, if one is asked for."""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import importlib.metadata
import importlib.util
import os
from typing import Any

from cache_aware_sched.cli import arguments
from cache_aware_sched.cli.arguments import Usage
from cache_aware_sched.cli import job as job_mod
from cache_aware_sched.cli.job import Job
from cache_aware_sched.cli import running
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator import masking
from cache_aware_sched.simulator.workload import Workload

_NO_PLOTLY = ("--report needs plotly: pip install "
              "'cache-aware-sched[simulator]'")


def check(directory: str) -> None:
    """Make the directory of a report, and see that one can be written.

    :raises Usage: if not
    """
    if importlib.util.find_spec('plotly') is None:
        raise Usage(_NO_PLOTLY)
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise Usage(f'{directory} cannot be made: '
                    f'{error.strerror or error}') from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise Usage(f'{directory} cannot be written to')


def write(job: Job, work: Workload, outcome: running.Outcome,
          command: str, suggestion: str) -> str:
    """Write the report of a job; return the path of its page.

    :param command: that was given
    :param suggestion: of a search
    :raises OSError: if it cannot be written
    """
    # Only here: it needs plotly.
    from cache_aware_sched.simulator.report import figures
    from cache_aware_sched.simulator.report import page
    about = page.About(
        running.summary(job, work), command,
        importlib.metadata.version('cache-aware-sched'), work.notes,
        [(title, [page.Assumption(*row) for row in _rows(made)])
         for title, made in _groups(job)] + [('The policies', [
             page.Assumption(policy.name, policy.kind,
                             '; '.join(figures.options(policy)))
             for policy in outcome.policies])],
        job.attribution, suggestion)
    return page.write(job.report, about, [
        figures.Entry(policy, family, result)
        for policy, family, result in zip(
            outcome.policies, outcome.families, outcome.results,
            strict=True)])


def _groups(job: Job) -> Iterator[tuple[str, Any]]:
    yield 'The simulated cloud', job.settings
    yield 'Images and projects of servers that name none', job.options.images
    if job.source == 'trace':
        yield 'The trace', job.options.trace
    elif job.source == 'synthetic':
        yield 'Arrivals', job.options.synthetic
    else:
        yield "nova's databases", job.options.history


def _rows(made: Any) -> Sequence[tuple[str, str, str]]:
    """Return names, values and meanings of options."""
    return [
        (arguments.option(field),
         masking.masked(arguments.readable(getattr(made, field.name))),
         field.metadata['help'])
        for field in dataclasses.fields(made)
        if not (isinstance(made, options.Synthetic)
                and field.name in job_mod.FROM_CLOUD)]

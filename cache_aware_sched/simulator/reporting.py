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

"""What a report says of a job."""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import importlib.metadata
from typing import Any

from cache_aware_sched import masking
from cache_aware_sched.option import flag
from cache_aware_sched.option import options_of
from cache_aware_sched.option import readable
from cache_aware_sched.simulator import job as job_mod
from cache_aware_sched.simulator.job import Findings
from cache_aware_sched.simulator.job import Job
from cache_aware_sched.simulator.real_nova import fragments
from cache_aware_sched.simulator.report import figures
from cache_aware_sched.simulator.report import page
from cache_aware_sched.simulator.results.result import Finding
from cache_aware_sched.simulator import suggestion
from cache_aware_sched.simulator.workload import Workload


def write(directory: str, job: Job, work: Workload, found: Findings,
          command: str = '', attribution: str = '') -> str:
    """Write the report of a job; return the path of its page.

    Nothing that may be a secret is in it.

    :param directory: that exists
    :param command: that makes the same again; it is shown as it is
    :param attribution: of the trace
    :raises OSError: if it cannot be written
    """
    findings = [
        Finding(dataclasses.replace(
            finding.policy, fragment=fragments.shown_text(
                finding.policy.fragment), own=''), finding.result)
        for finding in found.all]
    suggested = found.suggestion
    best = suggested.best if suggested else None
    about = page.About(
        job.summary(work), command,
        importlib.metadata.version('cache-aware-sched'), work.notes,
        [(title, [page.Assumption(*row) for row in _rows(made)])
         for title, made in _groups(job)] + [('The policies', [
             page.Assumption(
                 finding.policy.name, finding.policy.kind,
                 '; '.join(figures.options(finding.policy)))
             for finding in findings])],
        attribution,
        suggestion.text(suggested, job.limits)
        if suggested and job.limits else '',
        suggested=best.policy.name if best else '')
    return page.write(directory, about, findings)


def _groups(job: Job) -> Iterator[tuple[str, Any]]:
    yield 'The simulated cloud', job.settings
    yield 'Images and projects of servers that name none', job.options.images
    if job.source == job_mod.TRACE:
        yield 'The trace', job.options.trace
    elif job.source == job_mod.SYNTHETIC:
        yield 'Arrivals', job.options.synthetic
    else:
        yield "nova's databases", job.options.history


def _rows(made: Any) -> Sequence[tuple[str, str, str]]:
    """Return names, values and meanings of options."""
    return [(flag(field),
             masking.masked(readable(getattr(made, field.name))),
             field.metadata['help']) for field in options_of(type(made))]

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

"""``cache-aware-sched simulate``."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import importlib.util
import os
import typing
from typing import Any
import warnings

from cliff import lister

from cache_aware_sched.cli import app as app_mod
from cache_aware_sched.cli.arguments import Usage
from cache_aware_sched.cli import job as arguments
from cache_aware_sched.cli import policies
from cache_aware_sched.cli import table
from cache_aware_sched.option import BadOption
from cache_aware_sched.simulator import job as job_mod
from cache_aware_sched.simulator.job import Findings
from cache_aware_sched.simulator.job import Job
from cache_aware_sched.simulator import parallel
from cache_aware_sched.simulator.policy import Policy
from cache_aware_sched.simulator.results import columns
from cache_aware_sched.simulator import suggestion
from cache_aware_sched.simulator.workload import Workload

_NO_PLOTLY = "--report needs plotly: pip install 'plotly>=6.3'"

#: Of a search: nothing that was tried keeps to the limits.
_NOTHING_FOUND = 1
_NO_REPORT = 1
_WRONG_USAGE = 2

TABLE = 'table'


class Simulate(lister.Lister):
    """Simulate what policies would make of the servers of a cloud.

    Servers are placed by nova's own filters and weighers, with and without
    those of this package, on simulated hosts that fetch images and keep them.
    """

    def get_epilog(self) -> str:
        """Return what is said after the options."""
        return f'Columns: {", ".join(table.NAMES)}.'

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        # The one of all options would fill a screen at every mistake.
        parser.usage = ('%(prog)s (--trace FILE | --from-nova | --synthetic) '
                        '[options]')
        arguments.add_arguments(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return the exit status."""
        self._status = 0
        self._after = ''
        try:
            super().run(parsed_args)
        except Usage as error:
            self.app.LOG.error(
                '%s %s: error: %s', self.app.NAME, self.cmd_name, error)
            return _WRONG_USAGE
        return self._status

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Simulate; return the names and the lines of the table."""
        names = [*table.NAMES, *[table.SUGGESTED] * parsed_args.suggest]
        table.check((*parsed_args.columns, *parsed_args.sort_columns), names)
        job = arguments.job(parsed_args)
        workers = arguments.workers(parsed_args)
        if parsed_args.report:
            _check_report(parsed_args.report)
        try:
            work = job.workload()
        except BadOption as error:
            raise Usage(arguments.told(error)) from None
        for line in (job.summary(work), *work.notes):
            self._tell(line)
        self._warn(job, work)
        with self._bars(work) as progress:
            found = job_mod.run(job, work, workers, progress)
        self._suggest(job, found, parsed_args.formatter)
        if parsed_args.report:
            self._report(parsed_args, job, work, found)
        return names, self._rows(found)

    def _tell(self, line: str) -> None:
        if self.app.options.verbose_level:
            self.app.stderr.write(f'{line}\n')

    def _warn(self, job: Job, work: Workload) -> None:
        missing = job.missing_images(work)
        if missing:
            self.app.LOG.warning(
                '--protected-image has no effect for %s: no server of the '
                'workload has such an image', ', '.join(missing))

    @contextlib.contextmanager
    def _bars(self, work: Workload) -> Iterator[Any]:
        """Show how far simulations are, if anybody can see it."""
        with contextlib.ExitStack() as shown:
            def bars(some: Sequence[Policy]) -> parallel.Progress | None:
                shown.close()  # those of the simulations before
                if (not self.app.stderr.isatty()
                        or importlib.util.find_spec('rich') is None):
                    return None
                # Only here: it takes a tenth of a second.
                from cache_aware_sched.cli import progress
                # Its bars steer the terminal.
                stream = getattr(self.app.stderr, 'raw', self.app.stderr)
                return shown.enter_context(progress.shown(
                    stream, some, len(work.boots)))

            yield bars

    def _suggest(self, job: Job, found: Findings, formatter: str) -> None:
        """Have the suggestion of a search written."""
        if not (found.suggestion and job.limits):
            return
        text = suggestion.text(found.suggestion, job.limits)
        if not found.suggestion.best:
            self._status = _NOTHING_FOUND
        if formatter == TABLE:
            self._after = f'\n{text}'
        else:
            # What reads the other formats reads all of the output.
            self.app.stderr.write(text)

    def _report(self, parsed_args: argparse.Namespace, job: Job,
                work: Workload, found: Findings) -> None:
        with warnings.catch_warnings():
            # Of libraries that nova imports.
            warnings.simplefilter('ignore')
            # Only here: it needs plotly, and nova, which takes seconds.
            from cache_aware_sched.simulator import reporting
        argv = typing.cast(app_mod.CacheAwareSched, self.app).argv
        try:
            path = reporting.write(
                parsed_args.report, job, work, found, policies.command_line(
                    [self.app.NAME, *argv]), parsed_args.attribution)
        except OSError as error:
            # The table is still to be shown; it may be the work of hours.
            self.app.LOG.error('the report cannot be written: %s', error)
            self._status = _NO_REPORT
            return
        self._tell(f'Report: {path}')

    def _rows(self, found: Findings) -> list[list[Any]]:
        results = [finding.result for finding in found.all]
        if not found.suggestion:
            return [table.row(result) for result in results]
        best = found.suggestion.best
        return [table.row(result, best is not None and result is best.result)
                for result in results]

    def produce_output(self, parsed_args: argparse.Namespace,
                       column_names: Sequence[str],
                       data: Iterable[Sequence[Any]]) -> int:
        """Write the table, and what comes after it."""
        if parsed_args.formatter == TABLE:
            self.formatter = table.TableFormatter(self.formatter)
            parsed_args.columns = parsed_args.columns or [
                *columns.SHOWN,
                *(columns.OF_PRECACHING if parsed_args.precache else ()),
                *column_names[len(table.NAMES):]]
        status = super().produce_output(parsed_args, column_names, data)
        self.app.stdout.write(self._after)
        return status


def _check_report(directory: str) -> None:
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

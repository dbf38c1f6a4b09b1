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
from collections.abc import Sequence
import typing
from typing import Any

from cliff import lister

from cache_aware_sched.cli import app as app_mod
from cache_aware_sched.cli import arguments
from cache_aware_sched.cli.arguments import Usage
from cache_aware_sched.cli import job as job_mod
from cache_aware_sched.cli import reporting
from cache_aware_sched.cli import running
from cache_aware_sched.cli import suggestion
from cache_aware_sched.cli import table
from cache_aware_sched.simulator import masking
from cache_aware_sched.simulator.workload import Workload

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
        job_mod.add_arguments(parser)
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
        job = job_mod.job(parsed_args)
        if job.report:
            reporting.check(job.report)
        work = running.workload(job)
        for line in (running.summary(job, work), *work.notes):
            self._tell(line)
        self._warn(job, work)
        outcome = running.run(job, work, self.app.stderr)
        text = self._suggest(job, outcome, parsed_args.formatter)
        if job.report:
            self._report(job, work, outcome, text)
        return names, self._rows(outcome)

    def _tell(self, line: str) -> None:
        if self.app.options.verbose_level:
            self.app.stderr.write(f'{line}\n')

    def _warn(self, job: job_mod.Job, work: Workload) -> None:
        missing = running.missing_images(job, work)
        if missing:
            self.app.LOG.warning(
                '--protected-image has no effect for %s: no server of the '
                'workload has such an image', ', '.join(missing))

    def _suggest(self, job: job_mod.Job, outcome: running.Outcome,
                 formatter: str) -> str:
        """Have the suggestion of a search written; return it."""
        if not (outcome.suggestion and job.limits):
            return ''
        text = suggestion.text(outcome.suggestion, job.limits,
                               job.candidates[-1].own)
        if not outcome.suggestion.best:
            self._status = _NOTHING_FOUND
        if formatter == TABLE:
            self._after = f'\n{text}'
        else:
            # What reads the other formats reads all of the output.
            self.app.stderr.write(text)
        return text

    def _report(self, job: job_mod.Job, work: Workload,
                outcome: running.Outcome, text: str) -> None:
        argv = typing.cast(app_mod.CacheAwareSched, self.app).argv
        try:
            path = reporting.write(
                job, work, outcome, arguments.command_line(
                    [self.app.NAME, *argv]), masking.masked_fragment(text))
        except OSError as error:
            # The table is still to be shown; it may be the work of hours.
            self.app.LOG.error('the report cannot be written: %s', error)
            self._status = _NO_REPORT
            return
        self._tell(f'Report: {path}')

    def _rows(self, outcome: running.Outcome) -> list[list[Any]]:
        found = outcome.suggestion
        if not found:
            return [table.row(result) for result in outcome.results]
        best = found.best.result if found.best else None
        return [table.row(result, result is best)
                for result in outcome.results]

    def produce_output(self, parsed_args: argparse.Namespace,
                       column_names: Sequence[str],
                       data: Iterable[Sequence[Any]]) -> int:
        """Write the table, and what comes after it."""
        if parsed_args.formatter == TABLE:
            self.formatter = table.TableFormatter(self.formatter)
            parsed_args.columns = parsed_args.columns or [
                *table.SHOWN, *column_names[len(table.NAMES):]]
        status = super().produce_output(parsed_args, column_names, data)
        self.app.stdout.write(self._after)
        return status

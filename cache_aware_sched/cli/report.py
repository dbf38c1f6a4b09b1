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

"""``cache-aware-sched report``."""

import argparse
import dataclasses
import datetime
import importlib.util
from typing import Any

from cache_aware_sched.cli import arguments
from cache_aware_sched.cli import fleet_access
from cache_aware_sched.option import Checked
from cache_aware_sched.option import option

_NO_PLOTLY = ("the report needs plotly: pip install "
              "'cache-aware-sched[report]'")


@dataclasses.dataclass(frozen=True, slots=True)
class PageSettings(Checked):
    """What the page is made of."""

    days: float = option(
        7.0, 'The decision log is read for so many days.', above=0, high=3650)
    decision_logs: tuple[str, ...] = option(
        (), 'A decision log of a nova-scheduler. Default: decision_log_file '
        "of nova's configuration.", metavar='FILE')


class CloudPage(fleet_access.FleetCommand):
    """Write a page about the image caches of all hosts.

    It is one file that needs no network: which hosts hold which images, what
    the failure of a host would take, how full the caches are, and what they
    spared, by the decision log.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--output', metavar='FILE', required=True,
            help='The page, as images.html. It is replaced.')
        arguments.add(parser, PageSettings)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the page.

        :raises RuntimeError: if plotly is missing
        """
        settings = arguments.make(PageSettings, parsed_args)
        if importlib.util.find_spec('plotly') is None:
            raise RuntimeError(_NO_PLOTLY)
        cloud, now = fleet_access.cloud(self.app, parsed_args)
        with fleet_access.nova():
            from cache_aware_sched import files
            from cache_aware_sched.fleet_page import page
        images, caps = cloud
        text = page.render(page.ShownCloud(
            now, images, caps, self._hours(settings, now)))
        files.output(parsed_args.output, text)
        if self.app.options.verbose_level:
            self.app.stderr.write(f'Report: {parsed_args.output}\n')

    def _hours(self, settings: PageSettings,
               now: datetime.datetime) -> Any:
        """Return what the decision log says, None if there is none."""
        from cache_aware_sched.decision_log import periods
        from cache_aware_sched.decision_log import reader
        logs = fleet_access.decision_logs(settings.decision_logs)
        if not logs:
            return None
        log = reader.DecisionLog(logs)
        if not log.files():
            self.app.LOG.warning(
                'There is no decision log %s', ' or '.join(log.paths))
            return None
        until = now.replace(tzinfo=datetime.UTC)
        since = until - datetime.timedelta(days=settings.days)
        try:
            hours = periods.by_hour(log.records(since), until)
        except OSError as error:
            self.app.LOG.warning('%s cannot be read: %s', error.filename,
                                 error.strerror)
            return None
        for number, what in ((log.bad, 'lines cannot be read'),
                             (log.lost, 'decisions were lost')):
            if number:
                self.app.LOG.warning(
                    'Decision log: %d %s', number, what)
        return hours

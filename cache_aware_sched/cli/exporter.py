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

"""``cache-aware-sched exporter``."""

import argparse
import contextlib
import datetime
import importlib.util
from typing import Any

from cache_aware_sched.cli import arguments
from cache_aware_sched.cli import fleet_access
from cache_aware_sched.exporter.settings import ExporterSettings
from cache_aware_sched.fleet.access import Access

_NO_CLIENT = ("the exporter needs prometheus_client: pip install "
              "'cache-aware-sched[exporter]'")


class RunExporter(fleet_access.FleetCommand):
    """Tell Prometheus of the image caches of all hosts.

    Without --once it answers on http://HOST:PORT/metrics until it is ended.
    What cannot be read is missing in the answer, and a metric says so.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        arguments.add(parser, ExporterSettings)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Run the exporter; return its exit status.

        :raises RuntimeError: if prometheus_client is missing, or options do
            not go together
        """
        settings = arguments.make(ExporterSettings, parsed_args)
        if settings.output and not settings.once:
            raise RuntimeError('--output needs --once')
        if settings.notifications and settings.once:
            raise RuntimeError('--notifications needs time to listen: leave '
                               '--once out')
        if importlib.util.find_spec('prometheus_client') is None:
            raise RuntimeError(_NO_CLIENT)
        access = arguments.make(Access, parsed_args)
        with fleet_access.nova():
            from cache_aware_sched.exporter import serving
            from cache_aware_sched import files
            from cache_aware_sched import nova_databases
            nova_databases.configure(access.config_files)
            exporter = _exporter(settings, access)
        if settings.once:
            text = serving.text(exporter, counters=not settings.output)
            if settings.output:
                files.output(settings.output, text)
            else:
                self.app.stdout.write(text)
            return 0
        # The first reading takes longest; nobody waits for this one.
        serving.text(exporter)
        with _listening(settings, exporter):
            server = serving.start(exporter, settings.listen)
            self.app.stderr.write(
                f'Listening on http://{settings.listen}/metrics\n')
            serving.wait_for_signal()
            server.shutdown()
        return 0


def _exporter(settings: ExporterSettings, access: Access) -> Any:
    from cache_aware_sched.decision_log.following import FollowedLog
    from cache_aware_sched.exporter import exporting
    from cache_aware_sched.exporter.reading import CloudReader
    from cache_aware_sched import nova_databases

    return exporting.Exporter(
        settings, CloudReader(
            nova_databases.KeptDatabases(access.cell_databases),
            lambda: float(nova_databases.CONF.service_down_time),
            datetime.timedelta(days=settings.days)),
        FollowedLog(fleet_access.decision_logs(settings.decision_logs),
                    from_start=settings.once))


@contextlib.contextmanager
def _listening(settings: ExporterSettings, exporter: Any) -> Any:
    """Listen to notifications as long as this lasts, if that is wanted."""
    if not settings.notifications:
        yield
        return
    from cache_aware_sched.exporter import notifications
    from cache_aware_sched import nova_databases
    started = notifications.listeners(
        notifications.transport_urls(nova_databases.api_database()),
        notifications.ImageCacheEvents(exporter.counters))
    for listener in started:
        listener.start()
    try:
        yield
    finally:
        for listener in started:
            listener.stop()
            listener.wait()

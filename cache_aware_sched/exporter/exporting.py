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

"""Puts the exporter together: reads a cloud, and tells it to Prometheus."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import datetime
import math
import threading
import time

from oslo_log import log as logging
import prometheus_client
from prometheus_client import metrics_core
from prometheus_client import registry as registry_mod

from cache_aware_sched import database_patience
from cache_aware_sched.decision_log.following import FollowedLog
from cache_aware_sched.exporter.counters import EventCounters
from cache_aware_sched.exporter.counters import PREFIX
from cache_aware_sched.exporter.evictions import ReportChanges
from cache_aware_sched.exporter import gauges
from cache_aware_sched.exporter.reading import CloudReader
from cache_aware_sched.exporter.reading import Reading
from cache_aware_sched.exporter.settings import ExporterSettings
from cache_aware_sched import nova_databases

LOG = logging.getLogger(__name__)

#: Seconds for which a scrape waits for what is read. Then it tells what was
#: read before. Judgement: Prometheus waits for 10 by default.
PATIENCE = 8.0

#: Seconds of reading after which a database is said to hang, and is not just
#: slow: what a database of nova is waited for.
HANGS = float(database_patience.SECONDS['read_timeout'])


def utc_now() -> datetime.datetime:
    """Return the time in UTC, without a zone, as nova's databases have it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


class Exporter(registry_mod.Collector):
    """What Prometheus asks.

    :param settings: of the exporter
    :param reader: of the cloud
    :param log: the decision log
    :param clock: tells the time in UTC, without a zone
    :ivar registry: all that is told
    :ivar counters: what is told of events
    """

    def __init__(self, settings: ExporterSettings, reader: CloudReader,
                 log: FollowedLog,
                 clock: Callable[[], datetime.datetime] = utc_now) -> None:
        # A series "_created" for each counter says nothing here. The function
        # has no annotations.
        prometheus_client.disable_created_metrics(
            )  # type: ignore[no-untyped-call]
        self._settings = settings
        self._reader = reader
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._begun = 0.0
        self._changes = ReportChanges()
        self._reading: Reading | None = None
        self._gauges: Sequence[metrics_core.Metric] = ()
        self._tried: datetime.datetime | None = None
        self._seconds = 0.0
        self._said: dict[str, str] = {}
        self.registry = prometheus_client.CollectorRegistry()
        # The first that is asked: what it reads, the counters tell.
        self.registry.register(self)
        self.counters = EventCounters(
            self.registry, datetime.datetime.min if settings.once
            else clock(), datetime.timedelta(hours=settings.regret_hours))

    def collect(self) -> Iterator[metrics_core.Metric]:
        """Return the gauges, and have the counters count.

        Nothing that goes wrong is raised: what cannot be read is missing, and
        a metric says so.
        """
        hangs = self._renew_beside()
        reading, seconds = self._reading, self._seconds
        of_reading = self._gauges
        bad, lost = self._log.bad, self._log.lost
        yield metrics_core.GaugeMetricFamily(
            f'{PREFIX}_databases_up', "Whether nova's API database answered, "
            'the last time it was asked; 0 as long as a database hangs.',
            value=reading is not None and not hangs)
        if reading is not None:
            yield metrics_core.GaugeMetricFamily(
                f'{PREFIX}_read_timestamp_seconds', "When nova's databases "
                'were read, since the epoch.', value=reading.at.replace(
                    tzinfo=datetime.UTC).timestamp())
        yield metrics_core.GaugeMetricFamily(
            f'{PREFIX}_read_seconds', "How long reading nova's databases took "
            'the last time.', value=seconds)
        yield metrics_core.CounterMetricFamily(
            f'{PREFIX}_decision_log_bad_lines', 'Lines of the decision log '
            'that could not be read.', value=bad)
        yield metrics_core.CounterMetricFamily(
            f'{PREFIX}_decision_log_lost', 'Decisions that nova-scheduler '
            'could not write.', value=lost)
        yield from of_reading

    def _renew_beside(self) -> bool:
        """Have all read anew; return whether a database hangs.

        Reading can take longer than Prometheus waits, so a thread of its own
        reads, one at a time.
        """
        if self._settings.once:
            self._renew()
            return False
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._begun = time.monotonic()
                self._thread = threading.Thread(
                    target=self._renew_safely, name='reading', daemon=True)
                self._thread.start()
            thread, begun = self._thread, self._begun
        thread.join(PATIENCE)
        return thread.is_alive() and time.monotonic() - begun > HANGS

    def _renew_safely(self) -> None:
        try:
            self._renew()
        except Exception:
            # Else old figures would be told for ever.
            LOG.exception('The figures cannot be made')
            self._reading, self._gauges = None, ()

    def _renew(self) -> None:
        now = self._clock()
        seconds = (math.inf if self._tried is None
                   else (now - self._tried).total_seconds())
        # Less than 0 if somebody has set the clock back.
        if not 0 <= seconds < self._settings.cache_seconds:
            self._tried = now
            started = time.monotonic()
            self._reading = reading = self._read(now)
            self._gauges = () if reading is None else tuple(
                gauges.of_reading(reading, self._settings.top_images))
            self._seconds = time.monotonic() - started
        # Before the servers: it tells how they booted.
        self._follow()
        if self._reading is not None and self._reading.at == now:
            self.counters.launched(self._reading.changed, now)

    def _follow(self) -> None:
        self.counters.decided(
            self._log.new(), count_boots=not self._settings.notifications)
        for path, why in self._log.errors.items():
            self._warn(path, f'The decision log {path} cannot be read: {why}')

    def _read(self, now: datetime.datetime) -> Reading | None:
        try:
            reading = self._reader.read(now)
        except nova_databases.Unreadable as error:
            self._warn('', str(error))
            return None
        except Exception as error:
            # Whatever it is, the counters are still to be told.
            self._warn('', f"nova's databases cannot be read: {error!r}")
            return None
        if not self._settings.notifications:
            self.counters.changed(self._changes.new(reading.fleet.hosts), now)
        for cell, why in reading.unread.items():
            self._warn(cell, f'{why}; its hosts are missing')
        self._said = {cell: said for cell, said in self._said.items()
                      if cell in reading.unread or cell in self._log.errors}
        return reading

    def _warn(self, what: str, text: str) -> None:
        """Warn once, until it is over or another thing is wrong."""
        if self._said.get(what) != text:
            self._said[what] = text
            LOG.warning('%s', text)

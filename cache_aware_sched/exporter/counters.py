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

"""The counters and histograms: what happens as long as the process runs."""

from collections.abc import Iterable
import datetime
import threading

import prometheus_client

from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.decision_log.record import DecisionRecord
from cache_aware_sched.exporter import boots as boots_mod
from cache_aware_sched.exporter.evictions import CacheChange
from cache_aware_sched.exporter.evictions import Regrets
from cache_aware_sched.fleet.recent import RecentServer

PREFIX = 'cache_aware_sched'

#: From a warm boot of a small server to a fetch that takes an hour: those of
#: kubelet's pod_start_total_duration_seconds, with more of them where a fetch
#: begins to be seen.
BUCKETS = (0.5, 1, 2, 3, 5, 8, 13, 20, 30, 45, 60, 90, 120, 180, 300, 600,
           1200, 1800, 3600)

ENFORCED, OBSERVED = MODES = ('enforced', 'observed')

#: Of an eviction that a report tells of.
NOT_TOLD = 'not_told'
OTHER = 'other'

#: A manager of one's own can give any reason; more are told as "other".
MAX_REASONS = 20


class EventCounters:
    """Counts boots, savings and evictions.

    :param registry: that they are told by
    :param since: only servers that were created later have their time to
        ACTIVE told; UTC, without a zone
    :param regret: how soon an image is fetched again that was evicted in vain
    """

    def __init__(self, registry: prometheus_client.CollectorRegistry,
                 since: datetime.datetime,
                 regret: datetime.timedelta) -> None:
        self._lock = threading.Lock()
        self._boots = boots_mod.BootOutcomes(since)
        self._regrets = Regrets(regret)
        self._reasons: set[str] = set()

        def counter(name: str, text: str, *labels: str,
                    ) -> prometheus_client.Counter:
            return prometheus_client.Counter(
                f'{PREFIX}_{name}', text, labels, registry=registry)

        self.boots = counter(
            'boots', 'Servers that booted from an image.', 'cache')
        self.refused = counter(
            'boots_refused', 'Requests for which the cap left no host.')
        self.saved_seconds = counter(
            'fetch_saved_seconds', 'Seconds of fetches that the image cache '
            "spared servers, compared with the host that nova's own weighers "
            'would have chosen.', 'mode')
        self.saved_bytes = counter(
            'fetch_saved_bytes', 'The same in bytes of the images.', 'mode')
        self.added_seconds = counter(
            'fetch_added_seconds', 'Seconds of fetches that servers had '
            "because of the weigher, where nova's own weighers would have "
            'chosen a host with the image.', 'mode')
        self.evictions = counter(
            'evictions', 'Files that were evicted from image caches.',
            'reason')
        self.evicted_bytes = counter(
            'evicted_bytes', 'What the evicted files took up.', 'reason')
        self.regretted = counter(
            'evictions_regretted', 'Images that a host fetched again within '
            'hours of their eviction there.')
        self.fetches = counter(
            'fetches', 'Images that came into the cache of a host.')
        self.outages = counter(
            'glance_outages', 'Outages of Glance that a nova-api has noticed, '
            'with the filter image_records.')
        self.outage_seconds = counter(
            'glance_outage_seconds', 'How long those took that are over.')
        self.seconds = prometheus_client.Histogram(
            f'{PREFIX}_boot_seconds', 'From the request for a server to '
            'ACTIVE.', ['cache'], buckets=BUCKETS, registry=registry)
        # All series are there from the start: what begins with its first
        # event has lost that to increase().
        for cache in boots_mod.CACHE:
            self.seconds.labels(cache)
            self.boots.labels(cache)
        for mode in MODES:
            for saved in (self.saved_seconds, self.saved_bytes,
                          self.added_seconds):
                saved.labels(mode)
        for evictions in (self.evictions, self.evicted_bytes):
            evictions.labels(NOT_TOLD)

    def decided(self, decisions: Iterable[DecisionRecord],
                count_boots: bool) -> None:
        """Count what the decision log tells.

        :param count_boots: whether nobody else does
        """
        with self._lock:
            for decision in decisions:
                if decision.outcome == record_mod.REFUSED:
                    self.refused.inc()
                    continue
                # A move fetches too.
                self._count_savings(decision)
                if count_boots and not decision.move:
                    self._count_boot(decision)

    def _count_savings(self, decision: DecisionRecord) -> None:
        mode = OBSERVED if decision.observed else ENFORCED
        if decision.fetches_saved > 0:
            self.saved_seconds.labels(mode).inc(max(0.0, decision.seconds))
            self.saved_bytes.labels(mode).inc(max(0, decision.size))
        elif decision.fetches_saved < 0:
            self.added_seconds.labels(mode).inc(max(0.0, decision.seconds))

    def _count_boot(self, decision: DecisionRecord) -> None:
        def how(warm: bool) -> str:
            return boots_mod.WARM if warm else boots_mod.COLD

        # It may end on another host than the one that led.
        on_hosts = {host.host: how(host.warm) for host in decision.hosts}
        on_hosts[''] = how(decision.warm)
        if self._boots.booted(decision.server, on_hosts):
            self.boots.labels(how(decision.warm)).inc()

    def booted(self, server: str, host: str, image: str, warm: bool,
               at: datetime.datetime) -> None:
        """Count a boot that a host tells of.

        :param image: as the reports call it, '' if it is not known
        """
        how = boots_mod.WARM if warm else boots_mod.COLD
        with self._lock:
            self._boots.booted(server, {'': how})
            self.boots.labels(how).inc()
            if not warm:
                self._fetched(host, image, at)

    def changed(self, changes: Iterable[CacheChange],
                at: datetime.datetime) -> None:
        """Count what the reports of hosts tell."""
        with self._lock:
            for change in changes:
                if change.evicted:
                    self._evicted(change.host, change.image, change.size,
                                  NOT_TOLD, at)
                else:
                    self._fetched(change.host, change.image, at)

    def evicted(self, host: str, image: str, size: int, reason: str,
                at: datetime.datetime) -> None:
        """Count an eviction that a host tells of."""
        with self._lock:
            self._evicted(host, image, size, reason, at)

    def outage(self, seconds: float | None) -> None:
        """Count an outage of Glance that a nova-api tells of.

        :param seconds: that it took; None at its begin
        """
        if seconds is None:
            self.outages.inc()
        else:
            self.outage_seconds.inc(max(0.0, seconds))

    def _evicted(self, host: str, image: str, size: int, reason: str,
                 at: datetime.datetime) -> None:
        if reason not in self._reasons and len(self._reasons) >= MAX_REASONS:
            reason = OTHER
        self._reasons.add(reason)
        self.evictions.labels(reason).inc()
        self.evicted_bytes.labels(reason).inc(max(0, size))
        if image:
            self._regrets.evicted(host, image, at)

    def _fetched(self, host: str, image: str, at: datetime.datetime) -> None:
        self.fetches.inc()
        if image and self._regrets.fetched(host, image, at):
            self.regretted.inc()

    def launched(self, servers: Iterable[RecentServer],
                 now: datetime.datetime) -> None:
        """Count how long servers took to ACTIVE."""
        with self._lock:
            for how, seconds in self._boots.launched(servers, now):
                self.seconds.labels(how).observe(seconds)

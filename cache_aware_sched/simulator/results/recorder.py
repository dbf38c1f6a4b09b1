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

"""Keeps account of a run, and makes its result."""

import collections
from collections.abc import Sequence

from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.results import measures
from cache_aware_sched.simulator.results.result import HeatMap
from cache_aware_sched.simulator.results.result import Result
from cache_aware_sched.simulator import workload as workload_mod

#: Bins of the hit rate over time.
BINS = 50

#: Images in the heat map.
HEAT_MAP_IMAGES = 30


class Recorder:
    """What happened so far.

    :param hosts: their names
    :param warm_up: share of the time of which the imbalance does not count
    """

    def __init__(self, workload: workload_mod.Workload,
                 hosts: Sequence[str], warm_up: float) -> None:
        boots = workload.boots
        self._workload = workload
        self._hosts = hosts
        self.start = boots[0].at if boots else 0.0
        self.end = boots[-1].at if boots else 0.0
        counted = self.start + (self.end - self.start) * warm_up
        self.vcpus = measures.Imbalance(len(hosts), counted, self.end)
        self.ram_mb = measures.Imbalance(len(hosts), counted, self.end)
        self.spread = measures.Spread()
        self.cold_boots = self.late_boots = self.fetched_bytes = 0
        self.refused = self.rescheduled = self.evicted = 0
        self._counted = counted
        self._settled_bytes = self._ahead_bytes = 0
        self._waiting = self._public_waiting = self._settled_boots = 0
        self._waits: list[float] = []
        self._public_waits: list[float] = []
        self._bin_boots: collections.Counter[int] = collections.Counter()
        self._bin_cold: collections.Counter[int] = collections.Counter()
        self._heat_map = HeatMap(self.start, list(hosts), [], [])

    def _bin(self, boot: workload_mod.Boot) -> int:
        length = (self.end - self.start) / BINS
        if not length:
            return 0
        return min(BINS - 1, int((boot.at - self.start) / length))

    def cold(self, boot: workload_mod.Boot, size: int) -> None:
        """Note that an image of so many bytes is fetched for a boot."""
        self.cold_boots += 1
        self._fetched(size, boot.at)
        self._bin_cold[self._bin(boot)] += 1
        self._waits_for_fetch(boot)

    def late(self, boot: workload_mod.Boot) -> None:
        """Note that a boot waits for an image that is on its way."""
        self.late_boots += 1
        self._waits_for_fetch(boot)

    def ahead(self, size: int, now: float) -> None:
        """Note that so many bytes are fetched that no boot asks for."""
        self._fetched(size, now)
        if now >= self._counted:
            self._ahead_bytes += size

    def _fetched(self, size: int, now: float) -> None:
        self.fetched_bytes += size
        if now >= self._counted:
            self._settled_bytes += size

    def _waits_for_fetch(self, boot: workload_mod.Boot) -> None:
        if boot.at >= self._counted:
            self._waiting += 1
            self._public_waiting += self._is_public(boot)

    def _is_public(self, boot: workload_mod.Boot) -> bool:
        return not self._workload.images[boot.image].private

    def active(self, boot: workload_mod.Boot, now: float) -> None:
        """Note that a server runs."""
        self._waits.append(now - boot.at)
        if boot.at >= self._counted:
            self._settled_boots += 1
            if self._is_public(boot):
                self._public_waits.append(now - boot.at)
        self._bin_boots[self._bin(boot)] += 1

    def see_servers(self, now: float) -> None:
        """Keep where the servers are now for the heat map."""
        by_image = self.spread.by_image()
        images = sorted(by_image, key=lambda image: (
            -by_image[image].total(), image))[:HEAT_MAP_IMAGES]
        self._heat_map = HeatMap(now, list(self._hosts), images, [
            [by_image[image][host] for image in images]
            for host in self._hosts])

    def result(self, policy: policy_mod.Policy, multiplier: float,
               cap: int, floor_bytes: int, seconds: float) -> Result:
        """Return what was found.

        :param multiplier: that was in force; and the cap
        :param seconds: that the run took
        """
        self.vcpus.until(self.end)
        self.ram_mb.until(self.end)
        waits, public = sorted(self._waits), sorted(self._public_waits)
        shares = sorted(self.spread.worst_shares)
        length = (self.end - self.start) / BINS
        return Result(
            policy=policy.name, kind=policy.kind, multiplier=multiplier,
            boots=len(self._workload.boots), cold_boots=self.cold_boots,
            late_boots=self.late_boots, refused=self.refused,
            rescheduled=self.rescheduled, evicted=self.evicted,
            fetched_bytes=self.fetched_bytes, floor_bytes=floor_bytes,
            wait_mean=measures.mean(waits),
            wait_p50=measures.percentile(waits, 50),
            wait_p95=measures.percentile(waits, 95),
            wait_p99=measures.percentile(waits, 99),
            max_same_image=self.spread.max_image,
            max_same_image_project=self.spread.max_image_project,
            worst_host_share=measures.mean(shares),
            worst_host_share_p95=measures.percentile(shares, 95),
            vcpu_imbalance=self.vcpus.mean, ram_imbalance=self.ram_mb.mean,
            hit_rate_over_time=[
                (self.start + number * length,
                 1 - self._bin_cold[number] / boots)
                for number, boots in sorted(self._bin_boots.items())],
            heat_map=self._heat_map, seconds=seconds, cap=cap,
            settled_bytes=self._settled_bytes, ahead_bytes=self._ahead_bytes,
            waiting_share=_share(self._waiting, self._settled_boots),
            public_waiting_share=_share(self._public_waiting, len(public)),
            public_wait_p50=measures.percentile(public, 50),
            public_wait_p95=measures.percentile(public, 95))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

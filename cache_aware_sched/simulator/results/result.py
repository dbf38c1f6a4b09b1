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

"""What a run of the simulator found."""

import dataclasses
from typing import Any

from cache_aware_sched.simulator.policy import Policy

TB = 10 ** 12


@dataclasses.dataclass(frozen=True, slots=True)
class HeatMap:
    """Where the servers of the most used images are at one moment.

    :param at: seconds since the start; when the most servers run
    :param hosts: names
    :param images: ids, the one with the most servers first
    :param servers: their number, a row for each host and in it one for each
        image
    """

    at: float
    hosts: list[str]
    images: list[str]
    servers: list[list[int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What one policy made of a workload.

    A boot is cold if its host had to begin to fetch the image for it, so there
    are as many fetches as cold boots. One that found the image on its way has
    waited, but not fetched.

    :param policy: its name
    :param kind: ``stock``, ``ours`` or ``reference``
    :param multiplier: of the image cache's weight; 0 for stock
    :param boots: that were asked for
    :param cold_boots: for which the image was fetched
    :param late_boots: that waited for an image that was being fetched
    :param refused: that no host was left for
    :param rescheduled: times that a host sent a server to another one because
        of the cap
    :param evicted: images that left a cache
    :param fetched_bytes: of all fetches
    :param floor_bytes: the least that had to be fetched, see
        :func:`.measures.floor_bytes`; with the policy's cap, if it has one
    :param wait_mean: seconds from the request to ACTIVE; as p50, p95 and p99
    :param max_same_image: most servers of one image on one host at any time
    :param max_same_image_project: the same for one image and project
    :param worst_host_share: share of its servers that a project loses with
        the one host that is worst for it: the mean over moments and over the
        projects with at least :data:`.measures.PROJECT_SERVERS` servers then
    :param worst_host_share_p95: the same, but exceeded by one in twenty
    :param vcpu_imbalance: mean over time of std / mean of the hosts' allocated
        vCPUs, until the last request and without the warm-up
    :param ram_imbalance: the same for memory
    :param hit_rate_over_time: seconds at which a bin starts, and the share of
        its boots that were not cold; bins without a boot are left out
    :param heat_map: where the servers are at the busiest moment
    :param seconds: that the run took
    :param cap: of servers of one image on a host that was in force, 0 for none
    :param settled_bytes: of the fetches after the warm-up; as all below
    :param ahead_bytes: of those that no boot asked for
    :param waiting_share: boots that waited for a fetch, whoever began it
    :param public_waiting_share: the same of the boots of public images
    :param public_wait_p50: as wait_p50, for public images alone; as p95
    """

    policy: str
    kind: str
    multiplier: float
    boots: int
    cold_boots: int
    late_boots: int
    refused: int
    rescheduled: int
    evicted: int
    fetched_bytes: int
    floor_bytes: int
    wait_mean: float
    wait_p50: float
    wait_p95: float
    wait_p99: float
    max_same_image: int
    max_same_image_project: int
    worst_host_share: float
    worst_host_share_p95: float
    vcpu_imbalance: float
    ram_imbalance: float
    hit_rate_over_time: list[tuple[float, float]]
    heat_map: HeatMap
    seconds: float
    cap: int = 0
    settled_bytes: int = 0
    ahead_bytes: int = 0
    waiting_share: float = 0.0
    public_waiting_share: float = 0.0
    public_wait_p50: float = 0.0
    public_wait_p95: float = 0.0

    @property
    def cold_share(self) -> float:
        """Cold boots as a share of those that were not refused."""
        started = self.boots - self.refused
        return self.cold_boots / started if started else 0.0

    @property
    def fetched_tb(self) -> float:
        """TB (10**12 bytes) that were fetched."""
        return self.fetched_bytes / TB

    def columns(self) -> dict[str, str | int | float]:
        """Return what fits into a line of a table, by title."""
        values: dict[str, str | int | float] = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ('hit_rate_over_time', 'heat_map')}
        values['cold_share'] = self.cold_share
        values['fetched_tb'] = self.fetched_tb
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can have it."""
        return {
            **self.columns(),
            'hit_rate_over_time': [
                list(point) for point in self.hit_rate_over_time],
            'heat_map': dataclasses.asdict(self.heat_map)}


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """A policy, and what came of it."""

    policy: Policy
    result: Result

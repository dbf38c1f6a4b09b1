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

"""What is measured while a cloud is simulated."""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import heapq
import math
from typing import TypeVar

from cache_aware_sched.simulator import workload as workload_mod

#: Servers that a project must have for the loss of a host to say anything of
#: its spread: below, a share of 1/n is all that is possible.
PROJECT_SERVERS = 10

T = TypeVar('T')


class Imbalance:
    """How unevenly something is spread over hosts: the mean of std / mean.

    The mean is one over time; moments at which there is nothing do not count.
    If no time counts, as of requests that all come at once, it is that of the
    moment at which there is the most.
    All sums are of whole numbers, so that nothing depends on their order.

    :param hosts: how many
    :param start: seconds; what is earlier does not count
    :param end: seconds; what is later does not count
    """

    def __init__(self, hosts: int, start: float, end: float) -> None:
        self._hosts = hosts
        self._start, self._end = start, end
        self._sum = self._squares = 0
        self._since = start
        self._area = self._seconds = 0.0
        self._most = 0
        self._at_most = 0.0

    def change(self, now: float, before: int, after: int) -> None:
        """Note that a host has another amount.

        :param now: seconds; never less than the last time
        """
        self.until(now)
        self._sum += after - before
        self._squares += after * after - before * before
        if not self._seconds and self._sum > self._most:
            self._most, self._at_most = self._sum, self._now()

    def until(self, now: float) -> None:
        """Take account of the time up to now."""
        now = max(self._start, min(now, self._end))
        if self._sum:
            self._area += (now - self._since) * self._now()
            self._seconds += now - self._since
        self._since = now

    def _now(self) -> float:
        deviation = self._hosts * self._squares - self._sum * self._sum
        return math.sqrt(deviation) / self._sum

    @property
    def mean(self) -> float:
        """The mean over the time up to now; 0 if there never was anything."""
        return (self._area / self._seconds if self._seconds
                else self._at_most)


class Spread:
    """How many servers of one image or one project share a host."""

    def __init__(self) -> None:
        self._image: collections.Counter[tuple[str, str]] = (
            collections.Counter())
        self._image_project: collections.Counter[tuple[str, str, str]] = (
            collections.Counter())
        self._projects: dict[str, collections.Counter[str]] = (
            collections.defaultdict(collections.Counter))
        self.max_image = 0
        self.max_image_project = 0
        self.worst_shares: list[float] = []

    def add(self, host: str, image: str, project: str) -> None:
        """Note that a server is on a host."""
        self._image[host, image] += 1
        self._image_project[host, image, project] += 1
        self._projects[project][host] += 1
        self.max_image = max(self.max_image, self._image[host, image])
        self.max_image_project = max(
            self.max_image_project,
            self._image_project[host, image, project])

    def remove(self, host: str, image: str, project: str) -> None:
        """Note that a server has left a host."""
        _count_down(self._image, (host, image))
        _count_down(self._image_project, (host, image, project))
        hosts = self._projects[project]
        _count_down(hosts, host)
        if not hosts:
            del self._projects[project]

    def look(self) -> None:
        """Note which share of its servers each project has on one host.

        Of the projects with :data:`PROJECT_SERVERS` servers or more.
        """
        for hosts in self._projects.values():
            servers = hosts.total()
            if servers >= PROJECT_SERVERS:
                self.worst_shares.append(max(hosts.values()) / servers)

    def by_image(self) -> dict[str, collections.Counter[str]]:
        """Return the servers of each host, by image."""
        images: dict[str, collections.Counter[str]] = (
            collections.defaultdict(collections.Counter))
        for (host, image), number in self._image.items():
            images[image][host] = number
        return images


def _count_down(counter: collections.Counter[T], key: T) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent do not exceed.

    :param values: sorted; 0 is the answer if there are none
    """
    if not values:
        return 0.0
    return values[max(0, math.ceil(len(values) * percent / 100) - 1)]


def mean(values: Sequence[float]) -> float:
    """Return the mean, 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def peaks(boots: Iterable[workload_mod.Boot],
          project: bool) -> dict[tuple[str, str], int]:
    """Return how many servers of each image there are at most at a time.

    :param project: whether to count the servers of each project alone
    :returns: by image and project; the project is '' if they are not counted
        alone
    """
    now: dict[tuple[str, str], list[float]] = collections.defaultdict(list)
    most: collections.Counter[tuple[str, str]] = collections.Counter()
    for boot in boots:
        key = boot.image, boot.project if project else ''
        ends = now[key]
        while ends and ends[0] <= boot.at:
            heapq.heappop(ends)
        heapq.heappush(ends, math.inf if boot.lifetime is None
                       else boot.at + boot.lifetime)
        most[key] = max(most[key], len(ends))
    return dict(most)


def floor_bytes(boots: Iterable[workload_mod.Boot],
                images: Mapping[str, workload_mod.Image], cap: int,
                project: bool) -> int:
    """Return the least that has to be fetched if all boots succeed.

    Each image once for every host that the cap makes it run on when most of
    its servers run at a time.

    :param cap: 0 for none
    :param project: whether only servers of the same project count
    """
    hosts: dict[str, int] = {}
    for (image, _project), most in peaks(boots, project).items():
        needed = math.ceil(most / cap) if cap else 1
        hosts[image] = max(hosts.get(image, 1), needed)
    return sum(images[image].size * number for image, number in hosts.items())


def busiest_moment(boots: Iterable[workload_mod.Boot]) -> float:
    """Return when the most servers run, if all boots succeed at once.

    :returns: seconds; when the last of those servers is asked for
    """
    ends: list[float] = []
    most, when = 0, 0.0
    for boot in boots:
        while ends and ends[0] <= boot.at:
            heapq.heappop(ends)
        heapq.heappush(ends, math.inf if boot.lifetime is None
                       else boot.at + boot.lifetime)
        if len(ends) > most:
            most, when = len(ends), boot.at
    return when

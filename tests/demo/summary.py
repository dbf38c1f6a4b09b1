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

"""What became of a workload, in numbers, and whether that is better."""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import statistics

from tests.demo import workload as workload_mod

#: Bytes a second; a common image store, over a 10 Gbit/s network.
FETCH_RATE = 190 * 10 ** 6


@dataclasses.dataclass(frozen=True, slots=True)
class Boot:
    """What became of one server.

    :param host: None if nova found none
    :param fetched: whether its image had to be fetched for it
    :param why: why it is there, in words
    :param parts: what its weight was made of; None if the weigher did not
        care for its host
    """

    host: str | None
    fetched: bool
    why: str = ''
    parts: 'Parts | None' = None


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """What the weigher thought of a host.

    :param benefit: of sparing the fetch, as far as the host does
    :param weight: the product of the three
    :param count: same-image servers on the host before
    """

    benefit: float
    headroom: float
    gate: float
    weight: float
    count: int
    cap: int


@dataclasses.dataclass(frozen=True, slots=True)
class Peak:
    """The most servers of one image that were ever on one host."""

    servers: int = 0
    image: str = ''
    host: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run.

    :param placed: servers that were booted
    :param failed: servers for which no host was found
    :param from_cache: servers whose image was there
    :param fetched: bytes
    :param peak: of same-image servers
    :param imbalance: standard deviation of the hosts' vCPUs in use at the
        end, as a share of their mean
    """

    placed: int
    failed: int
    from_cache: int
    fetched: int
    peak: Peak
    imbalance: float

    @property
    def fetching(self) -> float:
        """Seconds that the fetches take at :data:`FETCH_RATE`."""
        return self.fetched / FETCH_RATE


def summarise(work: workload_mod.Workload,
              boots: Mapping[str, Boot]) -> Summary:
    """Return the figures of a run.

    :param boots: by the name of the server
    """
    requests = requests_by_server(work)
    placed = {name: boot for name, boot in boots.items()
              if boot.host is not None}
    return Summary(
        placed=len(placed), failed=len(boots) - len(placed),
        from_cache=sum(not boot.fetched for boot in placed.values()),
        fetched=sum(requests[name].image.size
                    for name, boot in placed.items() if boot.fetched),
        peak=_peak(work, placed),
        imbalance=_imbalance(work, placed))


def requests_by_server(work: workload_mod.Workload
                       ) -> dict[str, workload_mod.Request]:
    """Return the request of each server, by its name."""
    return {server: request for request in work.requests
            for server in request.servers}


def running(work: workload_mod.Workload, boots: Mapping[str, Boot]
            ) -> collections.Counter[tuple[str, str]]:
    """Return how many servers run at the end, by host and image."""
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for step in work.steps:
        _advance(counts, work, boots, step)
    return counts


def _advance(
    counts: collections.Counter[tuple[str, str]],
    work: workload_mod.Workload, boots: Mapping[str, Boot],
    step: workload_mod.Step,
) -> Peak:
    """Do a step; return its peak."""
    requests = requests_by_server(work)
    peak = Peak()

    def add(server: str, number: int) -> None:
        if server in boots and boots[server].host is not None:
            counts[str(boots[server].host),
                   requests[server].image.name] += number

    for request in step.requests:
        for server in request.servers:
            add(server, 1)
    for (host, image), number in counts.items():
        if number > peak.servers:
            peak = Peak(number, image, host)
    for server in step.deletes:
        add(server, -1)
    return peak


def _peak(work: workload_mod.Workload, boots: Mapping[str, Boot]) -> Peak:
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    peaks = [_advance(counts, work, boots, step) for step in work.steps]
    return max(peaks, key=lambda peak: peak.servers, default=Peak())


def _imbalance(work: workload_mod.Workload,
               boots: Mapping[str, Boot]) -> float:
    used = vcpus(work, boots).values()
    mean = statistics.fmean(used)
    return statistics.pstdev(used) / mean if mean else 0.0


def vcpus(work: workload_mod.Workload, boots: Mapping[str, Boot]
          ) -> dict[str, int]:
    """Return the vCPUs in use at the end, by host."""
    requests = requests_by_server(work)
    deleted = {server for step in work.steps for server in step.deletes}
    used = dict.fromkeys(work.hosts, 0)
    for server, boot in boots.items():
        if boot.host is not None and server not in deleted:
            used[boot.host] += requests[server].flavor.vcpus
    return used


def holding(work: workload_mod.Workload, boots: Mapping[str, Boot]
            ) -> dict[str, frozenset[str]]:
    """Return the names of the images that each host holds at the end."""
    requests = requests_by_server(work)
    held = {host: {image.name for image in images}
            for host, images in work.cached.items()}
    for server, boot in boots.items():
        if boot.host is not None:
            held[boot.host].add(requests[server].image.name)
    return {host: frozenset(images) for host, images in held.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the package did better, and each reason in words.

    :param price: of it, in words; '' if there is none
    """

    good: bool
    reasons: tuple[tuple[bool, str], ...]
    price: str


def verdict(stock: Summary, ours: Summary, cap: int) -> Verdict:
    """Judge: it must fetch less, keep the cap and place every server."""
    reasons = tuple(_reasons(stock, ours, cap))
    price = '' if ours.imbalance <= stock.imbalance else (
        'The price: the hosts are used less evenly, with a vCPU imbalance of '
        f'{ours.imbalance:.2f} and not {stock.imbalance:.2f}.')
    return Verdict(all(good for good, _text in reasons), reasons, price)


def _reasons(stock: Summary, ours: Summary, cap: int
             ) -> Iterable[tuple[bool, str]]:
    less = stock.fetched - ours.fetched
    share = abs(less) / stock.fetched if stock.fetched else 0
    yield less > 0, (
        f'It fetched {abs(less) / 1e9:.0f} GB ({share:.0%}) '
        f'{"less" if less > 0 else "more"} than stock nova.')
    kept = ours.peak.servers <= cap
    yield kept, (
        f'At most {ours.peak.servers} servers of one image were on one host: '
        f'{"within" if kept else "more than"} the cap of {cap}.')
    if ours.failed > stock.failed:
        yield False, (f'{ours.failed} servers found no host, and '
                      f'{stock.failed} with stock nova.')

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

"""How much a host's image cache is worth to a request.

Pure functions of plain numbers; a host's weight is ``benefit * holds *
headroom * gate``, each in [0, 1], so that 1.0 is everything that an image
cache could ever save.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import math
import statistics

from cache_aware_sched.report import Holding
from cache_aware_sched.scheduler.candidates import Candidate
from cache_aware_sched.scheduler import load as load_mod
from cache_aware_sched.scheduler.reports import UNREADABLE

#: Bytes a second when no candidate reported a rate. Measured with nova 34 on
#: one machine: a 2 GiB image took 12.6 s to ACTIVE when it had to be fetched
#: and 1.3 s when not.
DEFAULT_FETCH_RATE = 2 * 2 ** 30 / (12.6 - 1.3)

#: Seconds that nobody would wait longer for another host to be spared; a
#: 20 MB image takes a tenth of it at the default rate.
UNNOTICED_SECONDS = 1.0

#: Seconds beyond those after which 63 % of the possible benefit is reached:
#: the fetch of a 2 GiB image gets 0.64, of a 500 MB one 0.15, of a 20 GB one
#: 1.0. Judgement: in replays without nova's code, 3 or 30 did about what
#: another multiplier does.
BENEFIT_SECONDS = 10.0

#: How much of the benefit a host brings by what it holds. A resized copy of
#: the right size saves the growing of the disk. For an image that is arriving
#: a server waits, but nothing is fetched again; servers of an image often come
#: together, see the page "Where the defaults are from".
HOLDS = {
    Holding.UNKNOWN: 0.0,
    Holding.COLD: 0.0,
    Holding.ARRIVING: 0.9,
    Holding.WARM: 0.95,
    Holding.WARM_RESIZED: 1.0,
}

#: Share of the cap that may be used before the interest in a host fades.
#: Judgement; what the fading brings is on the page "Where the defaults are
#: from".
UNFADED_CAP_SHARE = 0.5

#: How many seconds of a fetch, for each vCPU of the server, are worth a host
#: that is twice as busy as the average, with a multiplier of 1. What imbalance
#: costs is the square of how busy hosts are, so a server adds to it by its
#: vCPUs and by how much busier than others its host is; what a held image
#: saves is the seconds. From replays: see "Where the defaults are from".
GATE_SECONDS = 1000.0

#: How much busier in vCPUs than the average candidate a host may become, as a
#: share of that average, whatever the multiplier and the image.
MAX_GATE_WIDTH = 0.5

#: The same for the memory, of which servers want very different amounts: in
#: the replays stock nova itself used that of hosts twice as unevenly as their
#: vCPUs. Judgement: with 0.5 a little more was fetched at the same imbalance.
MEMORY_GATE_WIDTH = 0.8


def fetch_seconds(size: int, rate: float) -> float:
    """Return how long the fetch of an image takes.

    :param size: of the image, in bytes
    :param rate: of the fetch, in bytes a second; not positive means not known
    """
    return max(size, 0) / (rate if rate > 0 else DEFAULT_FETCH_RATE)


def benefit(seconds: float) -> float:
    """Return how much of the possible benefit sparing a fetch brings.

    Saturates: nobody minds a second, and ten minutes are not ten times as bad
    as one.

    :param seconds: that the fetch would take
    :returns: 0 up to :data:`UNNOTICED_SECONDS`, then towards 1
    """
    waited = max(0.0, seconds - UNNOTICED_SECONDS)
    return -math.expm1(-waited / BENEFIT_SECONDS)


def headroom(count: int, cap: int) -> float:
    """Return how far a host is from the cap of same-image servers.

    So that the cap is a backstop and not what places servers every day.

    :param count: servers of the image on the host, without this one
    :param cap: 0 for none
    :returns: 1 up to :data:`UNFADED_CAP_SHARE` of the cap, falling evenly to 0
        at the cap
    """
    if cap <= 0:
        return 1.0
    left = (cap - count) / (cap * (1 - UNFADED_CAP_SHARE))
    return min(1.0, max(0.0, left))


def gate_width(multiplier: float, seconds: float, vcpus: int) -> float:
    """Return how much busier than the average a host may become.

    :param multiplier: of the weight
    :param seconds: that the fetch would take
    :param vcpus: of the server
    :returns: a share of the average load, at which the interest is gone
    """
    return min(MAX_GATE_WIDTH,
               multiplier * seconds / max(vcpus, 1) / GATE_SECONDS)


def gate(load: float, average: float, width: float, idle: float = 0.0
         ) -> float:
    """Return whether a host is no busier than the others.

    In comparison with the average: what nova's own weighers make of the same
    difference depends on how much is free on other hosts.

    :param load: share of a resource of the host that is in use once the server
        is on it
    :param average: the same, over all candidates
    :param width: as a share of the average
    :param idle: the load up to which the host is not busy at all
    :returns: 1 up to the average or to ``idle``, falling evenly to 0 at the
        width above it
    """
    over = load - max(average, idle)
    if over <= 0:
        return 1.0
    room = width * average
    return max(0.0, 1 - over / room) if room > 0 else 0.0


def mean(values: Sequence[float]) -> float:
    """Return the mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Demand:
    """What a request wants of a host, as far as the image cache goes.

    :param image_size: bytes; 0 when not known, then what hosts report counts
    :param vcpus: of the server
    :param avoid: whether it asks for hosts without the image
    :param idle: what may be in use on a host that is not busy at all
    """

    image_size: int
    vcpus: int
    avoid: bool
    idle: load_mod.Idle


@dataclasses.dataclass(slots=True)
class Score:
    """Why a host weighs what it weighs; the module's text has the parts."""

    candidate: Candidate
    holding: Holding
    benefit: float
    holds: float
    headroom: float = 1.0
    gate: float = 1.0

    @property
    def weight(self) -> float:
        """Return the product of the parts."""
        return self.benefit * self.holds * self.headroom * self.gate

    def __str__(self) -> str:
        return (
            f'{self.candidate.host} ({self.holding.name.lower()}, benefit '
            f'{self.benefit:.2f}, holds {self.holds:.2f}, headroom '
            f'{self.headroom:.2f}, gate {self.gate:.2f}, count '
            f'{self.candidate.count}, cap {self.candidate.limit})')


@dataclasses.dataclass(slots=True)
class Scores:
    """What all candidates weigh.

    :param weights: in the order of the candidates
    :param scores: of those that bring something, by their index
    :param seconds: that the fetch of the image would take
    :param reporting: how many have a report that can be read
    """

    weights: list[float]
    scores: dict[int, Score]
    seconds: float
    reporting: int

    @classmethod
    def none(cls, candidates: Sequence[Candidate]) -> 'Scores':
        """Return what hosts weigh for a request that ignores the cache."""
        return cls([0.0] * len(candidates), {}, 0.0, len(candidates))


def score(candidates: Sequence[Candidate], demand: Demand) -> Scores:
    """Return what hosts weigh.

    With a negative multiplier the weight pushes servers away, so what it means
    to be full or busy is left to nova's other weighers; ``avoid`` then asks
    for what happens anyway.
    """
    seconds = _seconds(candidates, demand)
    worth = benefit(seconds)
    result = Scores.none(candidates)
    result.seconds = seconds
    result.reporting = sum([
        candidate.answer is not UNREADABLE for candidate in candidates])
    if not worth or not result.reporting:
        return result
    holdings = [
        candidate.answer.holding if not candidate.arriving
        else holding_of(candidate) for candidate in candidates]
    drawn = []
    for index, holding in enumerate(holdings):
        if holding is Holding.UNKNOWN or (
                holding is Holding.COLD and not demand.avoid):
            continue
        multiplier = candidates[index].setting.multiplier
        holds = HOLDS[holding]
        if multiplier > 0 and demand.avoid:
            holds = 1 - holds
        if not holds or not multiplier:
            continue
        result.scores[index] = found = Score(
            candidates[index], holding, worth, holds)
        if multiplier > 0:
            drawn.append(found)
    if drawn:
        _guard(candidates, demand, drawn, seconds)
    for index, found in result.scores.items():
        result.weights[index] = found.weight
    if Holding.UNKNOWN in holdings:
        fill_unknown(result.weights, holdings)
    return result


def holding_of(candidate: Candidate) -> Holding:
    """Return whether a host holds the image, or is about to fetch it."""
    holding = candidate.answer.holding
    if (candidate.arriving and holding is Holding.COLD
            and candidate.answer.caches):
        return Holding.ARRIVING
    return holding


def _seconds(candidates: Sequence[Candidate], demand: Demand) -> float:
    """Return how long the fetch of the image takes."""
    rates = [candidate.answer.rate for candidate in candidates
             if candidate.answer.rate]
    size = demand.image_size or max(
        (candidate.answer.size for candidate in candidates), default=0)
    return fetch_seconds(
        size, statistics.median_low(rates) * 1e6 if rates else 0.0)


def _guard(candidates: Sequence[Candidate], demand: Demand,
           drawn: Iterable[Score], seconds: float) -> None:
    """Fade the preference for hosts that are nearly full, or busy."""
    vcpus = mean([candidate.vcpus for candidate in candidates])
    memory = mean([candidate.memory for candidate in candidates])
    for score_ in drawn:
        candidate = score_.candidate
        setting = candidate.setting
        if candidate.limit:
            score_.headroom = headroom(
                candidate.count + candidate.needed - 1, candidate.limit)
        # Else the gate is open. This is done for each of thousands.
        if candidate.vcpus > vcpus and not setting.packs_vcpus:
            score_.gate = gate(
                candidate.vcpus, vcpus, gate_width(
                    setting.multiplier, seconds, demand.vcpus),
                load_mod.idle_share(
                    demand.idle.vcpus, candidate.vcpus_capacity))
        if candidate.memory > memory and not setting.packs_memory:
            score_.gate = min(score_.gate, gate(
                candidate.memory, memory, MEMORY_GATE_WIDTH,
                load_mod.idle_share(
                    demand.idle.memory_mb, candidate.memory_capacity)))


def fill_unknown(weights: list[float], holdings: Sequence[Holding]) -> None:
    """Let hosts of which nothing is known weigh what the others average."""
    average = mean([
        weight for weight, holding in zip(weights, holdings, strict=True)
        if holding is not Holding.UNKNOWN])
    for index, holding in enumerate(holdings):
        if holding is Holding.UNKNOWN:
            weights[index] = average

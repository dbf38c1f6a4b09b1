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

from collections.abc import Sequence
import dataclasses

from cache_aware_sched import fetch_time
from cache_aware_sched import guards
from cache_aware_sched.report import Holding
from cache_aware_sched.scheduler.candidates import Candidate
from cache_aware_sched.scheduler import load as load_mod

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


class _Scale:
    """What all hosts of a request are measured by.

    :ivar seconds: that the fetch of the image takes
    :ivar worth: the benefit of sparing it
    """

    def __init__(self, candidates: Sequence[Candidate],
                 demand: Demand) -> None:
        self.seconds = _seconds(candidates, demand)
        self.worth = fetch_time.benefit(self.seconds)
        self.vcpus = guards.mean([one.vcpus for one in candidates])
        self.memory = guards.mean([one.memory for one in candidates])
        self._demand = demand

    def holds(self, holding: Holding, multiplier: float) -> float:
        """Return how much of the benefit a host brings; see HOLDS."""
        if not self._demand.avoid or holding is Holding.UNKNOWN or (
                multiplier <= 0):
            return HOLDS[holding]
        return 1 - HOLDS[holding]

    def worths(self, multiplier: float) -> list[float]:
        """Return what holdings are worth if nothing speaks against it.

        :returns: by Holding
        """
        return [self.worth * self.holds(holding, multiplier)
                for holding in Holding]

    def score(self, candidate: Candidate) -> Score:
        """Return all that decides about a host that brings something."""
        holding, multiplier = holding_of(candidate), (
            candidate.setting.multiplier)
        result = Score(candidate, holding, self.worth,
                       self.holds(holding, multiplier))
        if multiplier > 0:
            result.headroom = self.headroom(candidate)
            result.gate = self.gate(candidate)
        return result

    def headroom(self, candidate: Candidate) -> float:
        """Return how far a host is from its cap."""
        return guards.headroom(
            candidate.count + candidate.needed - 1, candidate.limit)

    def gate(self, candidate: Candidate) -> float:
        """Return whether a host is no busier than the others."""
        setting, idle, result = candidate.setting, self._demand.idle, 1.0
        if candidate.vcpus > self.vcpus and not setting.packs_vcpus:
            result = guards.gate(
                candidate.vcpus, self.vcpus, guards.gate_width(
                    setting.multiplier, self.seconds, self._demand.vcpus),
                load_mod.idle_share(idle.vcpus, candidate.vcpus_capacity))
        if result and candidate.memory > self.memory and (
                not setting.packs_memory):
            result = min(result, guards.gate(
                candidate.memory, self.memory, guards.MEMORY_GATE_WIDTH,
                load_mod.idle_share(
                    idle.memory_mb, candidate.memory_capacity)))
        return result


class Scores:
    """What all candidates weigh.

    :param scale: what they are measured by; None if the image cache is ignored
    :ivar weights: in the order of the candidates
    :ivar scored: the indexes of those that bring something
    """

    def __init__(self, candidates: Sequence[Candidate],
                 scale: _Scale | None = None) -> None:
        self._candidates = candidates
        self._scale = scale
        self.weights = [0.0] * len(candidates)
        self.scored: list[int] = []

    @property
    def seconds(self) -> float:
        """Return how long the fetch of the image takes."""
        return self._scale.seconds if self._scale else 0.0

    def __getitem__(self, index: int) -> Score:
        """Return why one of :attr:`scored` weighs what it weighs."""
        if self._scale is None:
            raise IndexError(index)
        return self._scale.score(self._candidates[index])


def score(candidates: Sequence[Candidate], demand: Demand) -> Scores:
    """Return what hosts weigh.

    With a negative multiplier the weight pushes servers away, so what it means
    to be full or busy is left to nova's other weighers; ``avoid`` then asks
    for what happens anyway.
    """
    scale = _Scale(candidates, demand)
    result = Scores(candidates, scale)
    if not scale.worth:
        return result
    weights, scored = result.weights, result.scored
    holdings = [
        candidate.answer.holding if not candidate.arriving
        else holding_of(candidate) for candidate in candidates]
    drawn, pushed = scale.worths(1), scale.worths(-1)
    vcpus, memory = scale.vcpus, scale.memory
    # Without a call for each: there are thousands.
    for index, candidate in enumerate(candidates):
        multiplier = candidate.setting.multiplier
        weight = (drawn if multiplier > 0 else pushed)[holdings[index]]
        if not weight or not multiplier:
            continue
        scored.append(index)
        if multiplier > 0 and (
                candidate.vcpus > vcpus or candidate.memory > memory
                or candidate.count + candidate.needed > 1):
            weight *= scale.headroom(candidate)
            if weight:
                weight *= scale.gate(candidate)
        weights[index] = weight
    if Holding.UNKNOWN in holdings:
        fill_unknown(weights, holdings)
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
    rates = [rate for candidate in candidates
             if (rate := candidate.answer.rate)]
    size = demand.image_size or max(
        (candidate.answer.size for candidate in candidates), default=0)
    return fetch_time.fetch_seconds(size, fetch_time.usual_rate(rates))


def fill_unknown(weights: list[float], holdings: Sequence[Holding]) -> None:
    """Let hosts of which nothing is known weigh what the others average."""
    average = guards.mean([
        weight for weight, holding in zip(weights, holdings, strict=True)
        if holding is not Holding.UNKNOWN])
    for index, holding in enumerate(holdings):
        if holding is Holding.UNKNOWN:
            weights[index] = average

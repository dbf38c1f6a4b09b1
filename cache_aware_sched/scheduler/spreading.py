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

"""Lets requests that come at once take different hosts.

nova runs one scheduler process a CPU. All of them rank hosts alike, and none
sees what the others index in the same moment, so they would all choose the
same host and, when its late check sends servers on, the same alternates. What
is equally good is therefore drawn, with a number of the request: the draw of
one request can be replayed.

Pure functions of what is known of the candidates.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
import math
import re
import zlib

from cache_aware_sched import guards
from cache_aware_sched.scheduler.candidates import Candidate
from cache_aware_sched.scheduler import load as load_mod

#: The golden ratio. Its multiples, of which only the fraction is taken, lie
#: evenly however many there are (Knuth, The Art of Computer Programming, 6.4):
#: of ten requests in a row no three fall on one of ten hosts.
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2

#: Sums of weights that differ by less may be equal: one server of 2 GiB on a
#: host of 256 GiB changes that of RAMWeigher by 0.008. Judgement.
MAX_NEAR_TIE = 0.01

#: The sums of hosts that are drawn differ by this. More than floats lose.
STEP = 1e-6


def point(sequence: int) -> float:
    """Return where a request begins to look for a host, from 0 to 1."""
    return sequence * GOLDEN_RATIO % 1


def near_tie(candidate: Candidate, vcpus: int, memory_mb: int) -> float:
    """Return by how much sums of weights differ that are equal.

    Half of what the server itself changes in those of nova's CPUWeigher and
    RAMWeigher: a host that runs one more like it is not equal.

    :param candidate: the host that leads
    :param vcpus: of the server
    :param memory_mb: of the server, in MiB
    """
    changed = 0.0
    if candidate.vcpus_capacity > 0:
        changed += vcpus / candidate.vcpus_capacity
    if candidate.memory_capacity > 0:
        changed += memory_mb / candidate.memory_capacity
    return min(changed / 2, MAX_NEAR_TIE)


def spread(candidates: Sequence[Candidate], totals: Sequence[float],
           reach: Sequence[float], at: float, alternates: int,
           idle: load_mod.Idle, tie: float) -> dict[int, float]:
    """Return the sums that hosts must get to be taken in the order drawn.

    :param candidates: all, with their loads
    :param totals: the sums of all weighers
    :param reach: the largest sums that the hosts can be given
    :param at: from :func:`point`
    :param alternates: hosts that nova takes besides the first
    :param idle: what may be in use on a host that is not busy at all
    :param tie: from :func:`near_tie`
    :returns: by index, the first host first; none is above its reach
    """
    best = max(totals)
    order = from_point(by_name(candidates), at)
    top = best + (alternates + 1) * STEP
    ties = [index for index in order
            if totals[index] >= best - tie and reach[index] >= top]
    if len(ties) > 1 or (ties and totals[ties[0]] < best):
        first = min(ties, key=lambda index: (
            not candidates[index].has_room, half(candidates[index])))
        result = {first: top}
    elif best in totals:
        # A host that leads alone, or that nothing can be put above.
        first, top, result = totals.index(best), best, {}
    else:  # a sum that is no number
        return {}
    # What is behind the other hosts anyway need not be drawn.
    bar = max([*totals[:first], *totals[first + 1:]], default=best)
    limits = _Calm(candidates, idle)
    drawn = {first}
    for number in range(alternates):
        start = len(order) * (2 * number + 1) // (2 * alternates)
        index = _next([*order[start:], *order[:start]], candidates, limits,
                      lambda index: (index not in drawn and reach[index] > bar
                                     and candidates[index].has_room),
                      wanted=1 - number % 2)
        if index is not None:
            drawn.add(index)
            result[index] = min(reach[index], top - (number + 1) * STEP)
    return result


def half(candidate: Candidate) -> int:
    """Return in which half of all hosts a host is, 0 or 1.

    First hosts are drawn from one half and first alternates from the other, so
    that what is sent on does not meet what is sent there in the first place.
    By the name and nothing else: no two requests have the same candidates.
    Hosts are mostly numbered, so this is every other one of a row of them.
    """
    return _half_of(candidate.host)


@functools.lru_cache(maxsize=65536)
def _half_of(name: str) -> int:
    numbers = re.findall(r'\d+', name.partition('.')[0])
    return (int(numbers[-1][-1]) if numbers else zlib.crc32(name.encode())) & 1


def _next(order: Sequence[int], candidates: Sequence[Candidate],
          calm: '_Calm', is_left: Callable[[int], bool],
          wanted: int) -> int | None:
    """Return the next host in an order, the best of its kind.

    An empty and calm one of the half that is wanted, an empty and calm one, a
    calm one with the fewest servers of the image, or any.
    """
    empty = (index for index in order if not candidates[index].count
             and is_left(index) and calm(candidates[index]))
    other = None
    for index in empty:
        if half(candidates[index]) == wanted:
            return index
        other = index if other is None else other
    if other is not None:
        return other
    return min(filter(is_left, order), default=None, key=lambda index: (
        not calm(candidates[index]), candidates[index].count))


def by_name(candidates: Sequence[Candidate]) -> list[int]:
    """Return the indexes in the order of the names of the hosts.

    The same in every process; that of the candidates is not.
    """
    global _last
    names = [candidate.state.host for candidate in candidates]
    if names != _last[0]:
        _last = names, sorted(range(len(names)), key=names.__getitem__)
    return _last[1]


#: The names that were sorted last, and their order: mostly they are the same.
_last: tuple[list[str], list[int]] = ([], [])


def from_point(order: list[int], at: float) -> list[int]:
    """Return an order from a point on and round.

    :param at: from 0 to 1
    """
    start = int(at * len(order))
    return order[start:] + order[:start]


class _Calm:
    """Tells whether a host is far from its cap, and not busy.

    :param candidates: of which the average counts
    :param idle: what may be in use on a host that is not busy at all
    """

    def __init__(self, candidates: Sequence[Candidate],
                 idle: load_mod.Idle) -> None:
        self._idle = idle
        self._vcpus = (1 + guards.MAX_GATE_WIDTH) * guards.mean(
            [candidate.vcpus for candidate in candidates])
        self._memory = (1 + guards.MEMORY_GATE_WIDTH) * guards.mean(
            [candidate.memory for candidate in candidates])

    def __call__(self, candidate: Candidate) -> bool:
        return (
            guards.headroom(candidate.count + candidate.needed - 1,
                            candidate.limit) == 1
            and candidate.vcpus <= max(self._vcpus, load_mod.idle_share(
                self._idle.vcpus, candidate.vcpus_capacity))
            and candidate.memory <= max(self._memory, load_mod.idle_share(
                self._idle.memory_mb, candidate.memory_capacity)))

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
import math
from typing import NamedTuple

from cache_aware_sched.report import Holding

#: Bytes a second when no candidate reported a rate. Measured with nova 34 on
#: one machine: a 2 GiB image took 12.6 s to ACTIVE when it had to be fetched
#: and 1.3 s when not.
DEFAULT_FETCH_RATE = 2 * 2 ** 30 / (12.6 - 1.3)

#: Seconds that nobody would wait longer for another host to be spared; a
#: 20 MB image takes a tenth of it at the default rate.
UNNOTICED_SECONDS = 1.0

#: Seconds beyond those after which 63 % of the possible benefit is reached:
#: the fetch of a 2 GiB image gets 0.64, of a 500 MB one 0.15, of a 20 GB one
#: 1.0. A starting value, to be replaced by one from replays.
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

#: Share of the cap that may be used before the interest in a host fades. A
#: starting value, to be replaced by one from replays.
UNFADED_CAP_SHARE = 0.5

#: How much busier than the average candidate a host may become before the
#: interest in it is gone, as a share of that average, for a fetch of
#: :data:`BENEFIT_SECONDS`; for others it grows with the square root.
GATE_WIDTH = 0.05

#: The same as a share of a host's capacity, for clouds that are almost empty:
#: there a single server makes a host twice as busy as the others.
MIN_GATE_WIDTH = 0.01


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


def gate_width(average: float, seconds: float) -> float:
    """Return how much busier than the average a host may become.

    :param average: share of a resource that is in use, of all candidates
    :param seconds: that the fetch would take: for a long one a host may be
        busier
    :returns: the share above the average at which the interest is gone
    """
    patience = math.sqrt(max(seconds, UNNOTICED_SECONDS) / BENEFIT_SECONDS)
    return patience * max(GATE_WIDTH * average, MIN_GATE_WIDTH)


def gate(load: float, average: float, width: float) -> float:
    """Return whether a host is no busier than the others.

    In comparison with the average: what nova's own weighers make of the same
    difference depends on how much is free on other hosts.

    :param load: share of a resource of the host that is in use once the server
        is on it
    :param average: the same, over all candidates
    :returns: 1 up to the average, falling evenly to 0 at the width above it
    """
    if load <= average:
        return 1.0
    return max(0.0, 1 - (load - average) / width)


def gates(loads: Iterable[Sequence[float]], places: Sequence[int],
          seconds: float) -> list[float]:
    """Return the gates of some hosts: of each that of its busiest resource.

    :param loads: for each resource the share of it that is in use on each of
        the candidates
    :param places: of those hosts among the candidates
    """
    result = [1.0] * len(places)
    for shares in loads:
        average = mean(shares)
        width = gate_width(average, seconds)
        for number, place in enumerate(places):
            if shares[place] > average:
                result[number] = min(result[number], gate(
                    shares[place], average, width))
    return result


def mean(values: Iterable[float]) -> float:
    """Return the mean, 0 of nothing."""
    values = list(values)
    return sum(values) / len(values) if values else 0.0


class Sense(NamedTuple):
    """What a host brings for a request.

    :param holding: whether it holds the image
    :param holds: the share of the benefit that it brings, above 0
    :param guarded: whether headroom and gate apply: servers are drawn to it
    """

    holding: Holding
    holds: float
    guarded: bool


def senses(
    avoid: bool, multipliers: Sequence[float], holdings: Sequence[Holding],
) -> dict[int, Sense]:
    """Return what hosts bring, without those that bring nothing.

    With a negative multiplier the weight pushes servers away, so what it means
    to be full or busy is left to nova's other weighers; ``avoid`` then asks
    for what happens anyway.

    :param avoid: whether the request asks for hosts without the image
    :param multipliers: of the hosts
    :param holdings: of the hosts, in the same order
    :returns: by the place in that order
    """
    brought = {}
    unknown, cold = Holding.UNKNOWN, Holding.COLD
    for place, holding in enumerate(holdings):
        if holding is unknown or (holding is cold and not avoid):
            continue
        drawn = multipliers[place] > 0
        holds = HOLDS[holding]
        if drawn and avoid:
            holds = 1 - holds
        if holds > 0 and multipliers[place]:
            brought[place] = Sense(holding, holds, drawn)
    return brought


def fill_unknown(weights: list[float], holdings: Sequence[Holding]) -> None:
    """Let hosts of which nothing is known weigh what the others average."""
    average = mean(
        weight for weight, holding in zip(weights, holdings, strict=True)
        if holding is not Holding.UNKNOWN)
    for place, holding in enumerate(holdings):
        if holding is Holding.UNKNOWN:
            weights[place] = average

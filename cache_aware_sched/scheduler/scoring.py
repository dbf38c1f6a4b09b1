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
from cache_aware_sched.scheduler import load as load_mod

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


def gates(loads: load_mod.Loads, places: Sequence[int],
          widths: Sequence[float]) -> list[float]:
    """Return the gates of some hosts: of each that of its busiest resource.

    :param loads: of all candidates
    :param places: of those hosts among the candidates
    :param widths: of their gates, for the vCPUs
    """
    result = [1.0] * len(places)
    memory_widths = [MEMORY_GATE_WIDTH] * len(places)
    for load, resource_widths in ((loads.vcpus, widths),
                                  (loads.memory, memory_widths)):
        average = mean(load.shares)
        for number, place in enumerate(places):
            share = load.shares[place]
            # Else it is open. All of this is done for each of thousands.
            if share > average:
                result[number] = min(result[number], gate(
                    share, average, resource_widths[number],
                    load.idle_share(place)))
    return result


def mean(values: Iterable[float]) -> float:
    """Return the mean, 0 of nothing."""
    values = list(values)
    return sum(values) / len(values) if values else 0.0


class Sense(NamedTuple):
    """What a host brings for a request.

    :param holding: whether it holds the image
    :param holds: the share of the benefit that it brings, above 0
    :param multiplier: of its weight
    """

    holding: Holding
    holds: float
    multiplier: float

    @property
    def guarded(self) -> bool:
        """Return whether headroom and gate apply: servers are drawn to it."""
        return self.multiplier > 0


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
            brought[place] = Sense(holding, holds, multipliers[place])
    return brought


def fill_unknown(weights: list[float], holdings: Sequence[Holding]) -> None:
    """Let hosts of which nothing is known weigh what the others average."""
    average = mean(
        weight for weight, holding in zip(weights, holdings, strict=True)
        if holding is not Holding.UNKNOWN)
    for place, holding in enumerate(holdings):
        if holding is Holding.UNKNOWN:
            weights[place] = average

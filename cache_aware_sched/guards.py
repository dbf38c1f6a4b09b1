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

"""What keeps the image cache from filling hosts: headroom and gate.

Pure functions of plain numbers; both fade the preference for a host.
"""

from collections.abc import Sequence

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

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

"""Where an image is fetched for the first time.

A host that holds the image can only be preferred if there is one. Where a cold
host leads anyway, the cold host is preferred that is least busy in vCPUs: the
next servers of the image follow there, and there they have the most room.
"""

from collections.abc import Sequence
import heapq

from cache_aware_sched import fetch_time
from cache_aware_sched.report import Holding
from cache_aware_sched.scheduler.candidates import Candidate
from cache_aware_sched.scheduler import scoring

#: What the sum of a cold host gets at most for being less busy in vCPUs than
#: the busiest cold one: as much as RAM and CPU weigher can say together, and
#: nothing beside the 1,000,000 of failed builds. A host half as busy gets 1.0,
#: what a build in progress costs. Judgement: in replays without nova's code 1
#: did about the same.
FIRST_COPY_SUM = 2.0

#: Hosts whose sums get that. The others are behind these in any case, and nova
#: writes each weight down. More than it takes, with alternates. Judgement.
RAISED = 32


def ease(candidates: Sequence[Candidate], demand: scoring.Demand,
         scores: scoring.Scores, before: Sequence[float]) -> None:
    """Raise the weights of cold hosts, where a cold host leads.

    A host that holds the image, or of which nothing is known, then stays
    behind it and is left as it is.

    :param scores: whose weights are raised
    :param before: the sums of the weighers before
    """
    if demand.avoid or not fetch_time.benefit(scores.seconds):
        return
    totals = [total + candidate.setting.multiplier * weight
              for total, candidate, weight in zip(
                  before, candidates, scores.weights, strict=True)]
    if not _would_fetch(candidates[totals.index(max(totals))]):
        return
    cold = [index for index, candidate in enumerate(candidates)
            if _would_fetch(candidate)]
    busiest = max(candidates[index].vcpus for index in cold)
    eased = {index: _eased(candidates[index], busiest) for index in cold}
    for index in heapq.nlargest(RAISED, cold, key=lambda index: (
            totals[index]
            + candidates[index].setting.multiplier * eased[index])):
        scores.weights[index] = eased[index]


def _eased(candidate: Candidate, busiest: float) -> float:
    """Return the weight of a cold host: as much in the sum for any option."""
    return min(1.0, FIRST_COPY_SUM * calm(candidate.vcpus, busiest)
               / candidate.setting.multiplier)


def calm(load: float, busiest: float) -> float:
    """Return how little a host would be in the way of the others.

    :param load: share of its vCPUs that is in use with the server on it
    :param busiest: the largest of those that are compared
    :returns: 0 for the busiest, towards 1 for one without load
    """
    return min(1.0, max(0.0, 1 - load / busiest)) if busiest > 0 else 0.0


def _would_fetch(candidate: Candidate) -> bool:
    """Return whether a host would fetch the image, and may be drawn to."""
    setting = candidate.setting
    return (setting.multiplier > 0 and not setting.packs_vcpus
            and candidate.answer.caches
            and scoring.holding_of(candidate) is Holding.COLD)

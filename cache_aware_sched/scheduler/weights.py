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

"""Image cache weigher. Weigh hosts by whether they hold the image.

A positive multiplier prefers hosts that hold the requested image, a negative
one those that do not, 0 disables the weigher. The weight is absolute, see
:mod:`cache_aware_sched.scheduler.scoring`; a host of which nothing is known
weighs what the average of the others does.
"""

from collections.abc import Sequence
import math
from typing import Any

from nova.scheduler import weights
from oslo_log import log as logging

from cache_aware_sched import cap_sources
from cache_aware_sched.conf import scheduler as conf
from cache_aware_sched import config
from cache_aware_sched.decision_log import writer
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.candidates import Candidate
from cache_aware_sched.scheduler import decisions
from cache_aware_sched.scheduler import first_copy
from cache_aware_sched.scheduler import load
from cache_aware_sched.scheduler import recording
from cache_aware_sched.scheduler.same_image import count as count_mod
from cache_aware_sched.scheduler.same_image import progress as progress_mod
from cache_aware_sched.scheduler import scoring
from cache_aware_sched.scheduler import settings
from cache_aware_sched.scheduler import spreading

LOG = logging.getLogger(__name__)
CONF = config.CONF


class ImageCacheWeigher(weights.BaseHostWeigher):
    """Prefer hosts that hold the image, as long as they are not too busy."""

    minval = 0.0
    maxval = 1.0

    def __init__(self) -> None:
        self._options = config.checked()
        self._multiplier = self._options.image_cache_weight_multiplier
        self._counter = count_mod.shared()
        self._counter.weighs = True
        self._warnings = decisions.Warnings(self._counter)
        self._log = writer.shared()

    def weight_multiplier(self, host_state: Any) -> float:
        """Return the option, or what the host's aggregates say instead.

        nova asks for each host after it has been weighed.
        """
        return settings.multiplier(self._multiplier, host_state.aggregates)

    def weigh_objects(self, weighed_obj_list: Sequence[Any],
                      weight_properties: Any) -> list[float]:
        """Return the weights of all hosts; see :mod:`nova.weights`."""
        try:
            return self._weigh(weighed_obj_list, weight_properties)
        except Exception:
            # A preference is not worth a scheduler that places nothing.
            LOG.exception(
                'The image cache was not considered for server %s.',
                request_mod.server_of(weight_properties))
            return [0.0] * len(weighed_obj_list)

    def _weigh_object(self, obj: Any, weight_properties: Any) -> float:
        """Weigh a host on its own; see :mod:`nova.weights`."""
        return self.weigh_objects(
            [weights.WeighedHost(obj, 0.0)], weight_properties)[0]

    def _weigh(self, weighed: Sequence[Any], spec: Any) -> list[float]:
        # Asking for an option takes as long as all else about a host.
        self._multiplier = self._options.image_cache_weight_multiplier
        self._counter.draws = (
            self._warnings.draws and self._multiplier > 0
            and self._options.image_cache_weigher_mode != conf.OBSERVE)
        nothing = [0.0] * len(weighed)
        request = request_mod.Request.from_spec(spec)
        if request.image is None or not weighed:
            return nothing
        decisions.warn_if_not_filtered(request)
        gathered = self._gather(
            spec, request, [item.obj for item in weighed])
        if gathered is None:
            return nothing
        progress, candidates = gathered
        load.set_loads(candidates, request, self._counter.ledger.by_spot())
        wish = decisions.wish(request)
        demand = scoring.Demand(
            request.image_size, request.vcpus, wish == decisions.AVOID,
            load.Idle.for_request(request))
        if wish == decisions.IGNORE:
            scores = scoring.Scores(candidates)
        else:
            scores = scoring.score(candidates, demand)
            self._warnings.check(candidates)
        before = [item.weight for item in weighed]
        first_copy.ease(candidates, demand, scores, before)
        observed = self._options.image_cache_weigher_mode == conf.OBSERVE
        decision = decisions.Decision(
            request, candidates, scores, before, observed)
        result = (nothing if observed
                  else self._spread(decision, demand, before))
        if self._counter.place(progress, request, decision.leading()):
            self._decided(decision, progress.full)
        return result

    def _decided(self, decision: decisions.Decision, full: int) -> None:
        """Say what was decided, once for each server.

        :param full: hosts that the filter has ruled out
        """
        decision.log()
        self._log.log(lambda: recording.chosen(
            decision, full, self._warnings.draws, self._log.best_hosts))

    def _gather(
        self, spec: Any, request: request_mod.Request, hosts: Sequence[Any],
    ) -> tuple[progress_mod.Progress, list[Candidate]] | None:
        """Return the candidates, as the filter saw them if there is one.

        :returns: None if all multipliers are 0
        """
        gathered = self._counter.take(spec, request.instance, hosts)
        if gathered is not None:
            _progress, found = gathered
            return gathered if any(
                candidate.setting.multiplier for candidate in found) else None
        chosen = settings.HostSettings(request, cap_sources.is_set_here())
        if not any(chosen.of(host).multiplier for host in hosts):
            return None
        progress = self._counter.progress(spec, request, hosts)
        return progress, self._counter.gather(
            progress, request, hosts, chosen)

    def _spread(self, decision: decisions.Decision, demand: scoring.Demand,
                before: Sequence[float]) -> list[float]:
        """Return the weights, with the hosts drawn that the request needs.

        Only a late check sends servers on, so only a cap makes it matter.
        """
        result = list(decision.scores.weights)
        candidates = decision.candidates
        if (not decision.winner.limit or decision.request.move
                or not self._warnings.draws):
            return result
        reach = [sum_ + candidate.setting.multiplier
                 if candidate.setting.multiplier > 0 else -math.inf
                 for sum_, candidate in zip(before, candidates, strict=True)]
        sums = spreading.spread(
            candidates, decision.totals, reach,
            spreading.point(decision.request.sequence),
            CONF.scheduler.max_attempts - 1, demand.idle,
            spreading.near_tie(decision.winner, decision.request.vcpus,
                               decision.request.memory_mb))
        for index, wanted in sums.items():
            decision.totals[index] = wanted
            result[index] = (wanted - before[index]) / (
                candidates[index].setting.multiplier)
        decision.choose()
        return result

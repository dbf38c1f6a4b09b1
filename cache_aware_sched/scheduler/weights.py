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
import dataclasses
import math
import threading
from typing import Any

from nova.scheduler import weights
from oslo_log import log as logging

from cache_aware_sched import aggregates
from cache_aware_sched import cap as cap_mod
from cache_aware_sched.conf.scheduler import MULTIPLIER_BOUND
from cache_aware_sched import config
from cache_aware_sched import once
from cache_aware_sched.report import Holding
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import load
from cache_aware_sched.scheduler import reports
from cache_aware_sched.scheduler.same_image import count as count_mod
from cache_aware_sched.scheduler import scoring

LOG = logging.getLogger(__name__)
_ONCE = once.Once(LOG)
CONF = config.CONF

MULTIPLIER = 'image_cache_weight_multiplier'
PREFER, IGNORE, AVOID = 'prefer', 'ignore', 'avoid'


@dataclasses.dataclass(slots=True)
class HostScore:
    """Why a host weighs what it weighs; see :mod:`.scoring` for the parts."""

    host: str
    holding: Holding
    benefit: float
    holds: float
    headroom: float
    gate: float
    count: int
    cap: int
    weight: float


class _Thread(threading.local):
    """What one thread of the scheduler remembers for a moment.

    :ivar turns: the hosts just weighed and their multipliers, the first one
        last: nova asks for them next, one by one in this order
    """

    turns: list[tuple[Any, float]] = []


class ImageCacheWeigher(weights.BaseHostWeigher):
    """Prefer hosts that hold the image, as long as they are not too busy."""

    minval = 0.0
    maxval = 1.0

    def __init__(self) -> None:
        self._options = config.checked()
        self._counter = count_mod.shared()
        self._loads = load.RecentLoads(self._counter.clock)
        self._thread = _Thread()
        self._seen_a_report = False

    def weight_multiplier(self, host_state: Any) -> float:
        """Return the option, or what the host's aggregates say instead."""
        turns = self._thread.turns
        if turns and turns[-1][0] is host_state:
            return turns.pop()[1]
        return self._multipliers([host_state])[0]

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

    def _multipliers(self, host_states: Sequence[Any]) -> list[float]:
        option = self._options.image_cache_weight_multiplier
        return [option if value is None else value
                for value in aggregates.smallest(
                    [host.aggregates for host in host_states],
                    MULTIPLIER, _parse_multiplier)]

    def _weigh(self, weighed: Sequence[Any], spec: Any) -> list[float]:
        hosts = [item.obj for item in weighed]
        multipliers = self._multipliers(hosts)
        self._thread.turns = list(zip(hosts, multipliers, strict=True))[::-1]
        request = request_mod.Request.from_spec(spec)
        if request.image is None or not any(multipliers):
            return [0.0] * len(hosts)
        scores = self._scores(spec, request, hosts, multipliers)
        self._note_winner(spec, request, weighed, multipliers, scores)
        return scores

    def _scores(
        self, spec: Any, request: request_mod.Request, hosts: Sequence[Any],
        multipliers: Sequence[float],
    ) -> list[float]:
        wish = _wish(request)
        survey = reports.survey(request, hosts)
        self._warn_if_without_effect(hosts, survey)
        seconds = scoring.fetch_seconds(
            request.image_size or survey.size, survey.rate)
        if (wish == IGNORE or not scoring.benefit(seconds)
                or not survey.reporting):
            return [0.0] * len(hosts)
        scores = self._score(
            spec, request, hosts, seconds,
            scoring.senses(
                wish == AVOID, multipliers, survey.holdings))
        self._explain(request, scores)
        weights_ = [0.0] * len(hosts)
        for place, score in scores.items():
            weights_[place] = score.weight
        if Holding.UNKNOWN in survey.holdings:
            scoring.fill_unknown(weights_, survey.holdings)
        return weights_

    def _score(
        self, spec: Any, request: request_mod.Request, hosts: Sequence[Any],
        seconds: float, senses: dict[int, scoring.Sense],
    ) -> dict[int, HostScore]:
        """Return the scores of the hosts that can weigh anything."""
        guarded = [place for place, sense in senses.items() if sense.guarded]
        chosen = [hosts[place] for place in guarded]
        caps = cap_mod.caps(request, [host.aggregates for host in chosen])
        counts = self._counter.count(
            spec, request, chosen, caps, again=True)
        gates = scoring.gates(
            self._loads.loads(request, hosts), guarded,
            [scoring.gate_width(senses[place].multiplier, seconds,
                                request.vcpus) for place in guarded],
        ) if guarded else []
        guards = {
            place: (scoring.headroom(count, cap), gate, count, cap)
            for place, gate, count, cap
            in zip(guarded, gates, counts, caps, strict=True)}
        benefit = scoring.benefit(seconds)
        scores = {}
        for place, sense in senses.items():
            headroom, gate, count, cap = guards.get(place, (1.0, 1.0, 0, 0))
            scores[place] = HostScore(
                hosts[place].host, sense.holding, benefit, sense.holds,
                headroom, gate, count, cap,
                benefit * sense.holds * headroom * gate)
        return scores

    def _explain(self, request: request_mod.Request,
                 scores: dict[int, HostScore]) -> None:
        """Say why hosts weigh what they weigh."""
        if not LOG.isEnabledFor(logging.DEBUG):
            return
        for score in scores.values():
            LOG.debug('Image %(image)s: %(score)s',
                      {'image': request.image, 'score': score})

    def _note_winner(
        self, spec: Any, request: request_mod.Request, weighed: Sequence[Any],
        multipliers: Sequence[float], weights_: Sequence[float],
    ) -> None:
        """Remember the host that is about to win.

        Exact if this weigher is the last one, and nova neither shuffles nor
        picks from a subset; otherwise a good guess.
        """
        if not weighed:
            return
        totals = [item.weight + multiplier * weight
                  for item, multiplier, weight
                  in zip(weighed, multipliers, weights_, strict=True)]
        place = totals.index(max(totals))
        winner = weighed[place].obj
        if not self._counter.place(spec, request, winner.host):
            return
        self._loads.place(
            request, winner, self._options.recent_placement_seconds)
        LOG.info(
            'Server %(server)s, image %(image)s: host %(host)s leads among '
            '%(number)d candidates, with %(weight).3f of its weight for its '
            'image cache (best cache: %(best).3f).',
            {'server': request.instance, 'image': request.image,
             'host': winner.host, 'number': len(weighed),
             'weight': weights_[place], 'best': max(weights_)})

    def _warn_if_without_effect(self, hosts: Sequence[Any],
                                survey: reports.Survey) -> None:
        if survey.reporting:
            self._seen_a_report = True
        elif not self._seen_a_report:
            _ONCE.warning(
                ('no reports',),
                'ImageCacheWeigher has no effect: none of %(number)d '
                'candidate hosts, %(host)s for one, reports its image cache. '
                'Set compute_driver = cache_aware.LibvirtDriver on the hosts.',
                {'number': len(hosts), 'host': hosts[0].host})
        limit = CONF.scheduler.max_placement_results
        # Filters may have taken some of this request's candidates away, but
        # all that were ever seen cannot have been candidates of one request.
        if len(hosts) >= limit or len(self._counter.index) > limit:
            _ONCE.warning(
                ('cut', limit),
                'ImageCacheWeigher only sees %(limit)d hosts of a request at '
                'most, because of [scheduler] max_placement_results, and '
                'there are as many or more: hosts that hold an image may be '
                'missing. Raise it above the number of hosts.',
                {'limit': limit})


def _parse_multiplier(text: str) -> float:
    """Return a multiplier.

    :raises ValueError: saying what is wanted
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= MULTIPLIER_BOUND:
        raise ValueError(
            f'a number between -{MULTIPLIER_BOUND} and {MULTIPLIER_BOUND} is '
            f'wanted')
    return value


def _wish(request: request_mod.Request) -> str:
    """Return what the request's hint asks for."""
    wishes = request.hints.get(request_mod.HINT_IMAGE_CACHE, [])
    wish = wishes[0] if wishes else PREFER
    if wish in (PREFER, IGNORE, AVOID):
        return wish
    _ONCE.warning(
        ('hint', wish),
        'Scheduler hint %(key)s of project %(project)s is %(wish)r. It has no '
        'effect; prefer, ignore or avoid is wanted.',
        {'key': request_mod.HINT_IMAGE_CACHE, 'project': request.project,
         'wish': wish[:64]})
    return PREFER

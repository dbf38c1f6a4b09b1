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

"""What the weigher says of its decisions, and of what keeps it from them."""

from collections.abc import Sequence
import dataclasses
import heapq

from oslo_log import log as logging

from cache_aware_sched.config import CONF
from cache_aware_sched import fetch_time
from cache_aware_sched import once
from cache_aware_sched.report import Holding
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.candidates import Candidate
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler.same_image import nova_choice
from cache_aware_sched.scheduler import scoring

LOG = logging.getLogger(__name__)

_CLASS = 'ImageCacheWeigher'

_HELD = (Holding.WARM, Holding.WARM_RESIZED, Holding.ARRIVING)

PREFER, IGNORE, AVOID = 'prefer', 'ignore', 'avoid'
#: For the weigher as PREFER; for the filter of this name, that others fail.
REQUIRE = 'require'
_REQUIRING_FILTER = 'ImageCacheFilter'


@dataclasses.dataclass(slots=True)
class Decision:
    """Which host is about to win, and why.

    Exact if this weigher is the last one, and nova neither shuffles nor picks
    from a subset; otherwise a good guess.

    :param before: the sums of the weighers before, by index
    :param observed: whether the image cache is only looked at
    :ivar totals: the sums with the image cache
    :ivar winner: the host
    """

    request: request_mod.Request
    candidates: Sequence[Candidate]
    scores: scoring.Scores
    before: Sequence[float]
    observed: bool
    totals: list[float] = dataclasses.field(init=False)
    winner: Candidate = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.totals = [
            before + candidate.setting.multiplier * weight
            for before, candidate, weight in zip(
                self.before, self.candidates, self.scores.weights,
                strict=True)]
        self.choose()

    def choose(self) -> None:
        """Choose the host with the largest sum."""
        self.winner = self._first(self.sums())

    def leading(self) -> list[Candidate]:
        """Return the hosts with the largest sums, the first one first."""
        number = max(
            nova_choice.LEADING, CONF.filter_scheduler.host_subset_size)
        best = heapq.nlargest(
            number, range(len(self.candidates)), self.sums().__getitem__)
        return [self.candidates[index] for index in best]

    def sums(self) -> Sequence[float]:
        """Return the sums that nova goes by."""
        return self.before if self.observed else self.totals

    def _first(self, sums: Sequence[float]) -> Candidate:
        return self.candidates[sums.index(max(sums))]

    def log(self) -> None:
        """Say which host wins, and why the others do not."""
        if LOG.isEnabledFor(logging.DEBUG):
            for index in self.scores.scored:
                score = self.scores[index]
                LOG.debug(
                    'Server %(server)s, image %(image)s: host %(score)s '
                    'weighs %(weight).3f.',
                    {'server': self.request.instance,
                     'image': self.request.image, 'score': score,
                     'weight': score.weight})
        weight = self.scores.weights[self.candidates.index(self.winner)]
        LOG.info(
            'Server %(server)s, image %(image)s: host %(host)s leads among '
            '%(number)d candidates, with %(weight).3f for its image cache; '
            '%(why)s.%(observed)s',
            {'server': self.request.instance, 'image': self.request.image,
             'host': self.winner.host, 'number': len(self.candidates),
             'weight': 0.0 if self.observed else weight, 'why': self.why(),
             'observed': self._instead() if self.observed else ''})

    def why(self) -> str:
        """Return who holds the image, and what became of the best holder."""
        # Hardly any host is arriving, and there are thousands.
        holding = sum([
            candidate.answer.holding in _HELD or (
                candidate.arriving
                and scoring.holding_of(candidate) in _HELD)
            for candidate in self.candidates])
        holds = 'holds' if holding == 1 else 'hold'
        of = f'{holding} of {len(self.candidates)} {holds} it'
        if not holding:
            return 'no candidate holds it'
        holders = [index for index in self.scores.scored if scoring.holding_of(
            self.candidates[index]) >= Holding.ARRIVING]
        if not holders:
            seconds = self.scores.seconds
            reason = ('the request or the multiplier ignores it'
                      if wish(self.request) == IGNORE
                      or seconds > fetch_time.UNNOTICED_SECONDS
                      else f'its fetch takes only {seconds:.1f} s' if seconds
                      else 'its size is not known')
            return f'{of}, but {reason}'
        best = self.scores[max(
            holders, key=self.scores.weights.__getitem__)]
        return (f'{of}: {best.candidate.host} weighs {best.weight:.3f} '
                f'(benefit {best.benefit:.2f}, headroom {best.headroom:.2f}, '
                f'gate {best.gate:.2f})')

    def _instead(self) -> str:
        """Return where the server would go if the image cache counted."""
        first = self._first(self.totals)
        if first is self.winner:
            return ' Observed only: with the image cache counted, the same.'
        saved = 0.0
        if (scoring.holding_of(first) >= Holding.WARM
                and scoring.holding_of(self.winner) < Holding.WARM):
            saved = self.scores.seconds
        what = f'saves a fetch of {saved:.1f} s' if saved else 'saves no fetch'
        return f' Observed only: it would be host {first.host}, which {what}.'


class Warnings:
    """Says once what keeps the weigher from having an effect.

    :param counter: knows the hosts that were candidates of late
    """

    def __init__(self, counter: count.SameImageCounter) -> None:
        self._counter = counter
        self._seen_a_report = False
        self._is_last = _is_last()

    @property
    def draws(self) -> bool:
        """Return whether hosts can be drawn that are equally good.

        Not where another weigher has the last word, or nova picks among the
        first ones: what was drawn as an alternate could become the first.
        """
        return self._is_last and CONF.filter_scheduler.host_subset_size <= 1

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Look at one request."""
        if not self._seen_a_report:
            self._seen_a_report = any(
                candidate.answer.readable for candidate in candidates)
        if not self._seen_a_report:
            once.warning(
                LOG, ('no reports',),
                'ImageCacheWeigher has no effect: none of %(number)d '
                'candidate hosts, %(host)s for one, reports its image cache. '
                'Set compute_driver = cache_aware.LibvirtDriver on the hosts.',
                {'number': len(candidates), 'host': candidates[0].host})
        if not self._is_last:
            once.warning(
                LOG, ('not last',),
                'ImageCacheWeigher is not the last of [filter_scheduler] '
                'weight_classes. It does not see the weights of those behind '
                'it, so requests that come at once may all choose the same '
                'hosts. Put it last.')
        self._check_number(len(candidates))
        self._check_subset(len(candidates))

    def _check_number(self, number: int) -> None:
        limit = CONF.scheduler.max_placement_results
        # Filters may have taken some of this request's candidates away, but
        # all that there are cannot have been candidates of one request.
        known = self._counter.memory
        if number >= limit or (
                len(known) > limit
                and known.recent_hosts(self._counter.clock()) > limit):
            once.warning(
                LOG, ('cut', limit),
                'ImageCacheWeigher only sees %(limit)d hosts of a request at '
                'most, because of [scheduler] max_placement_results, and '
                'there are as many or more: hosts that hold an image may be '
                'missing. Raise it above the number of hosts.',
                {'limit': limit})

    def _check_subset(self, number: int) -> None:
        subset = CONF.filter_scheduler.host_subset_size
        if subset > 1 and number > 1:
            chosen = min(subset, number)
            once.warning(
                LOG, ('subset', subset),
                'ImageCacheWeigher has little effect: nova picks at random '
                'among the %(subset)d best hosts, because of '
                '[filter_scheduler] host_subset_size = %(subset)d. With one '
                'host that holds the image, 1 server in %(chosen)d goes '
                'there, whatever image_cache_weight_multiplier is. Set '
                'host_subset_size = 1.', {'subset': subset, 'chosen': chosen})


def wish(request: request_mod.Request) -> str:
    """Return what the request's hint asks for."""
    hint = request.image_cache
    if not hint.unread and not hint.values:
        return PREFER
    if not hint.unread and hint.values[0] in (
            PREFER, IGNORE, AVOID, REQUIRE):
        return hint.values[0]
    # Without the user's text: it would make each request a new cause.
    once.warning(
        LOG, ('hint', request.project),
        'Scheduler hint %(key)s of project %(project)s cannot be read. It has '
        'no effect; prefer, ignore, avoid or require is wanted. This is '
        'logged once for the project.',
        {'key': request_mod.HINT_IMAGE_CACHE, 'project': request.project})
    return PREFER


def requires_image(request: request_mod.Request) -> bool:
    """Return whether only hosts that hold the image may take the server.

    A hint stays with a server for ever, so it binds no move: a server that
    was booted in an outage must be able to leave its host later. A rebuild is
    bound, as it gives up the old disk before the new image is fetched.
    """
    return (request.image is not None and wish(request) == REQUIRE
            and (request.rebuild or not request.move))


def warn_if_not_filtered(request: request_mod.Request) -> None:
    """Say once if a request requires what no filter here looks at."""
    if (requires_image(request) and _REQUIRING_FILTER
            not in CONF.filter_scheduler.enabled_filters):
        once.warning(
            LOG, ('no filter',),
            'Scheduler hint %(key)s = require of project %(project)s has no '
            'effect but that of prefer: %(filter)s is not in '
            '[filter_scheduler] enabled_filters. Add '
            'cache_aware_sched.scheduler.filters.%(filter)s to '
            'available_filters and %(filter)s to enabled_filters.',
            {'key': request_mod.HINT_IMAGE_CACHE, 'project': request.project,
             'filter': _REQUIRING_FILTER})


def _is_last() -> bool:
    """Return whether no weigher comes behind, as far as nova.conf tells."""
    names = [name.rpartition('.')[2]
             for name in CONF.filter_scheduler.weight_classes]
    return _CLASS not in names or names[-1] == _CLASS

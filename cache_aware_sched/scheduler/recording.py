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


"""Makes records for the decision log of what was decided."""

from collections.abc import Sequence
import datetime
import heapq
from typing import Any

from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched import report
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.candidates import Candidate
from cache_aware_sched.scheduler import decisions
from cache_aware_sched.scheduler import scoring


def chosen(decision: decisions.Decision, full: int,
           exact: bool, number: int) -> record_mod.DecisionRecord:
    """Return the record of what the weigher decided.

    :param full: candidates that the filter has ruled out
    :param exact: whether nothing chooses after the weigher
    :param number: of the best hosts that are wanted
    """
    sums = decision.sums()
    candidates = decision.candidates
    best = heapq.nlargest(number, range(len(candidates)), sums.__getitem__)
    leads = [values.index(max(values)) for values in (
        sums, decision.totals, decision.before)]
    winner, cached, stock = (candidates[index].host for index in leads)
    return record_mod.DecisionRecord(
        **_about(decision.request, candidates),
        outcome=record_mod.CHOSEN, full=full, observed=decision.observed,
        winner=winner, cached=cached, stock=stock, exact=exact,
        seconds=decision.scores.seconds,
        hosts=tuple(_weighed(decision, index)
                    for index in dict.fromkeys([*best, *leads])))


def only(request: request_mod.Request, candidate: Candidate,
         full: int) -> record_mod.DecisionRecord:
    """Return the record of a request for which one host is left."""
    host = candidate.host
    return record_mod.DecisionRecord(
        **_about(request, [candidate]), outcome=record_mod.ONLY, full=full,
        winner=host, cached=host, stock=host, hosts=(_host(candidate),))


def refused(request: request_mod.Request,
            candidates: Sequence[Candidate]) -> record_mod.DecisionRecord:
    """Return the record of a request that the cap refuses."""
    emptiest = heapq.nsmallest(
        record_mod.BEST_HOSTS, candidates,
        key=lambda candidate: candidate.count - candidate.limit)
    return record_mod.DecisionRecord(
        **_about(request, candidates), outcome=record_mod.REFUSED,
        full=len(candidates), hosts=tuple(map(_host, emptiest)))


def _about(request: request_mod.Request,
           candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Return what all records have."""
    return {
        'time': datetime.datetime.now(datetime.UTC),
        'server': str(request.instance), 'image': str(request.image),
        'project': str(request.project or ''),
        'flavor': str(request.flavor or ''), 'move': request.move,
        'candidates': len(candidates),
        'holding': sum([candidate.answer.holding >= report.Holding.WARM
                        for candidate in candidates]),
        'size': request.image_size or max(
            (candidate.answer.size for candidate in candidates), default=0),
    }


def _weighed(decision: decisions.Decision,
             index: int) -> record_mod.DecidedHost:
    """Return what decided about one of the candidates."""
    parts: dict[str, Any] = {}
    if index in decision.scores.scored:
        score = decision.scores[index]
        parts = {'benefit': score.benefit, 'holds': score.holds,
                 'headroom': score.headroom, 'gate': score.gate}
    candidate, before = decision.candidates[index], decision.before[index]
    multiplier = candidate.setting.multiplier
    weight = decision.scores.weights[index]
    return _host(
        candidate, before=before, weight=weight, multiplier=multiplier,
        drawn=decision.totals[index] != before + multiplier * weight, **parts)


def _host(candidate: Candidate, **parts: Any) -> record_mod.DecidedHost:
    state = candidate.state
    return record_mod.DecidedHost(
        candidate.host, str(state.nodename),
        scoring.holding_of(candidate).name.lower(), candidate.count,
        candidate.limit, aggregates=tuple(
            str(aggregate.name) for aggregate in state.aggregates or ()),
        **parts)

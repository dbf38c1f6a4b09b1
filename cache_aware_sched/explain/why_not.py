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


"""What would have made another host win. No nova."""

from collections.abc import Iterator
import dataclasses
import math

from cache_aware_sched.decision_log.record import DecidedHost
from cache_aware_sched.explain.explanation import Explanation
from cache_aware_sched import fetch_time
from cache_aware_sched.report import Holding
from cache_aware_sched.scheduler import scoring

_COLD = Holding.COLD.name.lower()

#: What floats lose.
_EQUAL = 1e-6

#: The weigher of this package. What nova adds up of it is no measure: it
#: raises hosts that it has drawn, so that nova takes them next.
_OURS = 'ImageCacheWeigher'


def why_not(explanation: Explanation, wanted: str) -> Iterator[str]:
    """Say why a host does not win, and what would change that.

    :param wanted: its name
    """
    decision, winner = explanation.decision, explanation.winner
    refusal = explanation.refusal_of(wanted)
    if refusal is not None:
        yield f'{wanted} cannot take the server: {refusal.by}: ' + (
            refusal.reason or 'it gave no reason') + '.'
        return
    host = decision.host(wanted)
    if host is None:
        yield (f'{wanted} is no candidate that is known here. See '
               '"cache-aware-sched host list" for the hosts that there are.')
        return
    if winner is None or host is winner:
        yield f'{wanted} wins.' if winner else f'{wanted} is at its cap.'
        return
    behind = explanation.total(winner) - explanation.total(host)
    yield f'{wanted} is {behind:.3g} behind {winner.host}.'
    yield from _weighers(explanation, host, winner)
    if decision.observed:
        yield ('The image cache is only observed: image_cache_weigher_mode = '
               'enforce lets it count.')
        return
    found = list(_changes(explanation, host))
    yield from found or (
        'No single change of its image, load or cap makes it win, nor a '
        'larger multiplier with the same gate.',)


def _weighers(explanation: Explanation, host: DecidedHost,
              winner: DecidedHost) -> Iterator[str]:
    """Say which weighers prefer the winner, the most decisive first."""
    shares = explanation.shares
    if host.host not in shares or winner.host not in shares:
        return
    theirs, ours = shares[winner.host], shares[host.host]
    by_name = {name: theirs[name].share - ours[name].share
               for name in theirs if name in ours}
    if _OURS in by_name:
        by_name[_OURS] = (explanation.total(winner) - winner.before) - (
            explanation.total(host) - host.before)
    lost = sorted(((by, name) for name, by in by_name.items()), reverse=True)
    named = [f'{name} by {by:.3g}' for by, name in lost[:3] if by > 1e-6]
    if named:
        yield f'{winner.host} is preferred: ' + ', '.join(named) + '.'


def _changes(explanation: Explanation, host: DecidedHost) -> Iterator[str]:
    """Return each single change with which a host would win."""
    decision = explanation.decision
    # No first copy is placed where a host that holds the image leads.
    bar = max(other.before + other.multiplier * _held(other)
              for other in decision.hosts if other.host != host.host)

    def wins(changed: DecidedHost) -> bool:
        return _total(changed) > bar

    if host.multiplier > 0 and not host.warm and host.benefit == 0.0:
        worth = fetch_time.benefit(decision.seconds) * scoring.HOLDS[
            Holding.WARM]
        if worth and host.before + host.multiplier * worth >= bar - _EQUAL:
            yield ('It would be as good or better if it held the image and '
                   'were no busier than the average: fetch the image there '
                   'ahead of time, with "openstack aggregate cache image".')
    if host.benefit and host.gate < 1 and wins(
            dataclasses.replace(host, gate=1.0)):
        yield (f'It would win if it were no busier than the average: its gate '
               f'is {host.gate:.2f}.')
    if host.benefit and host.headroom < 1 and wins(
            dataclasses.replace(host, headroom=1.0)):
        yield (f'It would win if it were farther from its cap of {host.cap}: '
               f'it runs {host.count}, its headroom is {host.headroom:.2f}.')
    needed = _multiplier(explanation, host)
    if needed is not None:
        yield ('It would win with image_cache_weight_multiplier above '
               f'{needed:.3g} instead of {host.multiplier:g}, if the gate '
               'stayed as it is.')
    if decision.stock == host.host:
        yield 'It would win if the image cache did not count.'


def _total(host: DecidedHost) -> float:
    return host.before + host.multiplier * (
        host.benefit * host.holds * host.headroom * host.gate)


def _multiplier(explanation: Explanation, host: DecidedHost) -> float | None:
    """Return the multiplier from which on a host wins; None if none does."""
    others = [(other.before - host.before, _held(host) - _held(other), other)
              for other in explanation.decision.hosts
              if other.host != host.host]
    if host.multiplier <= 0 or any(
            other.multiplier != host.multiplier for _, _, other in others):
        return None
    needed = max((behind / more for behind, more, _ in others if more > 0),
                 default=0.0)
    wins = all(more > 0 or behind < needed * more
               for behind, more, _ in others)
    return needed if wins and needed > host.multiplier and math.isfinite(
        needed) else None


def _held(host: DecidedHost) -> float:
    """Return the weight, without what a cold host gets for a first copy.

    It gets that only where a cold host leads without it
    (``scheduler.first_copy``).
    """
    return 0.0 if host.holding == _COLD else host.weight

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


"""What is known of one decision, and what follows from it. No nova."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from cache_aware_sched.decision_log.record import DecidedHost
from cache_aware_sched.decision_log.record import DecisionRecord
from cache_aware_sched.decision_log.record import REFUSED


@dataclasses.dataclass(frozen=True, slots=True)
class HostsRefused:
    """Hosts that a server cannot have for one reason.

    :param by: the filter, or ``placement``
    :param reason: in words; '' if the filter gave none
    :param hosts: their names
    """

    by: str
    reason: str
    hosts: tuple[str, ...]

    @property
    def short(self) -> str:
        """The reason without its details, or else who refused them."""
        return self.reason.partition(' (')[0] or f'refused by {self.by}'


@dataclasses.dataclass(frozen=True, slots=True)
class WeigherShare:
    """What one weigher gives one host.

    :param raw: what the weigher said
    :param normalised: what nova made of that, from 0 to 1 with most weighers
    :param multiplier: of the weigher for this host
    """

    raw: float
    normalised: float
    multiplier: float

    @property
    def share(self) -> float:
        """What is added to the sum of the host."""
        return self.multiplier * self.normalised


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """Why a server goes where it goes.

    :param decision: who leads; its hosts are all candidates, the best first,
        or those that the decision log has
    :param all_hosts: compute nodes that there are; 0 if that is not known
    :param refused: the hosts that it cannot have
    :param shares: by host, by the name of the weigher in nova's order; empty
        if not known
    :param stock: the host that nova would take without this package; '' if
        none, or not known
    :param busy: the share of its vCPUs that each candidate has in use with
        the server on it
    :param notes: what else decides, or made scores irrelevant
    :param let_through: why a host at the cap can take it; '' if not known
    """

    decision: DecisionRecord
    all_hosts: int = 0
    refused: tuple[HostsRefused, ...] = ()
    shares: Mapping[str, Mapping[str, WeigherShare]] = dataclasses.field(
        default_factory=dict)
    stock: str = ''
    busy: Mapping[str, float] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    let_through: str = ''

    @property
    def winner(self) -> DecidedHost | None:
        """The host that the server goes to."""
        return self.decision.host(self.decision.winner)

    def total(self, host: DecidedHost) -> float:
        """Return the sum that counts for a host."""
        return host.before if self.decision.observed else host.total

    def refusal_of(self, host: str) -> HostsRefused | None:
        """Return why a server cannot have a host."""
        return next((one for one in self.refused if host in one.hosts), None)

    def best(self, number: int) -> list[DecidedHost]:
        """Return the hosts with the largest sums, the winner first."""
        return sorted(self.decision.hosts, key=lambda host: (
            host.host != self.decision.winner, -self.total(host)))[:number]

    @property
    def alternates(self) -> list[str]:
        """The hosts that were drawn to take the server if its build fails."""
        return [host.host for host in self.decision.hosts
                if host.drawn and host.host != self.decision.winner]


def totals(explanation: Explanation) -> str:
    """Say how many hosts can take the server, and why not the others.

    As "0 of 40 hosts: 28 at the cap of 10, 12 disabled".
    """
    decision = explanation.decision
    able = 0 if decision.outcome == REFUSED else decision.candidates
    # The decision log knows no hosts but those that came to the cap.
    there = explanation.all_hosts or (
        decision.candidates if decision.outcome == REFUSED
        else decision.candidates + decision.full)
    reasons = _histogram(explanation.refused) or (
        f'{decision.full:,} at the cap' if decision.full else '')
    hosts = 'host' if there == 1 else 'hosts'
    return (f'{able:,} of {there:,} {hosts} can take the server'
            + (f': {reasons}.' if reasons else '.'))


def _histogram(refused: Iterable[HostsRefused]) -> str:
    """Return the reasons, the most frequent first."""
    counted: dict[str, int] = {}
    for one in refused:
        counted[one.short] = counted.get(one.short, 0) + len(one.hosts)
    return ', '.join(f'{number:,} {reason}' for reason, number in sorted(
        counted.items(), key=lambda item: (-item[1], item[0])))


def verdict(explanation: Explanation) -> str:
    """Say which host wins, by how much, and why."""
    decision, winner = explanation.decision, explanation.winner
    if winner is None:
        return 'No host takes the server: nova answers NoValidHost.'
    others = [explanation.total(host) for host in decision.hosts
              if host.host != winner.host]
    if decision.candidates == 1 or not others:
        return f'{winner.host} is the only candidate: nothing was weighed.'
    lead = explanation.total(winner) - max(others)
    how = (f'wins by {lead:.3g}' if lead > _TIE else
           'is drawn among hosts that are as good' if winner.drawn else
           'is the first of equal hosts')
    reasons = [_why(decision, winner), *_how_busy(explanation, winner)]
    return f'{winner.host} {how}: it {", and it is ".join(reasons)}.'


#: Sums that differ by less are called equal: less than is shown of them.
_TIE = 5e-4


def _why(decision: DecisionRecord, host: DecidedHost) -> str:
    if host.warm:
        if decision.seconds:
            return ('holds the image, which saves a fetch of '
                    f'{decision.seconds:.1f} s')
        return 'holds the image'
    return {
        'arriving': 'is fetching the image already',
        'cold': 'must fetch the image' + (
            f' ({decision.seconds:.1f} s)' if decision.seconds else '') + (
                ', for which the least busy hosts are preferred'
                if host.weight else ''),
    }.get(host.holding, 'does not report whether it holds the image')


def _how_busy(explanation: Explanation, host: DecidedHost) -> list[str]:
    """Compare the vCPUs of a host with the average of the candidates."""
    busy = explanation.busy
    average = sum(busy.values()) / len(busy) if busy else 0.0
    if host.host not in busy or not average:
        return []
    more = busy[host.host] / average - 1
    if abs(more) < 0.005:
        return ['as busy as the average']
    return [f'{abs(more):.0%} {"busier" if more > 0 else "less busy"} than '
            'the average']


def above_the_cap(explanation: Explanation) -> str:
    """Say that the server goes above the cap, and why; '' if it does not."""
    winner, reason = explanation.winner, explanation.let_through
    if winner is None or not 0 < winner.cap <= winner.count:
        return ''
    return ('It goes above the cap' + (f', as {reason}' if reason else '')
            + f': {winner.host} {winner.count} of {winner.cap}.')


def instead(explanation: Explanation) -> str:
    """Say what nova would have chosen without this package; '' if unknown."""
    decision = explanation.decision
    # The decision log has nobody whom the cap ruled out.
    is_known = explanation.stock or not decision.full
    stock = explanation.stock or decision.stock
    if not stock or (not is_known and decision.candidates == 1):
        return ''
    if decision.observed and decision.cached != decision.winner:
        return (f'Observed only: with the image cache counted it would be '
                f'{decision.cached}.')
    without = ('Without this package' if is_known else
               'Among the hosts below the cap, without the image cache '
               'counted,')
    if stock == decision.winner:
        return f'{without} nova would choose the same host.'
    found = decision.host(stock)
    what = {True: ', which holds the image', False: (
        f', which {_why(decision, found)}' if found else '')}[
            found is not None and found.warm]
    return f'{without} nova would choose {stock}{what}.'

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


"""Adds up what the decision log has: what the image cache brings. No nova."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses

from cache_aware_sched.decision_log.record import DecisionRecord
from cache_aware_sched.decision_log.record import REFUSED
from cache_aware_sched import wording

#: Servers whose host is in no aggregate.
NO_AGGREGATE = '(none)'


@dataclasses.dataclass(slots=True)
class DecisionSum:
    """Some decisions, added up.

    A server's first placement is a boot and counts once. What is decided about
    the server later is a move, as is what nova asked for as one: a move
    fetches too, so it counts in what is saved.

    :param boots: servers that were placed for the first time
    :param moves: decisions about servers that were placed before
    :param warm: of the boots, those whose host held the image complete
    :param stock_warm: of the boots, those whose host would have held it
        without the image cache counted
    :param seconds: of fetches that were saved, of boots and moves; less than 0
        if the image cache led to more fetches
    :param size: bytes that were not fetched, in the same way
    :param observed: of the boots and moves, those for which the image cache
        was only looked at
    :param observed_seconds: of ``seconds``, what it would have saved of these
    :param observed_size: of ``size``, the same
    :param refused: requests that the cap refused
    """

    boots: int = 0
    moves: int = 0
    warm: int = 0
    stock_warm: int = 0
    seconds: float = 0.0
    size: int = 0
    observed: int = 0
    observed_seconds: float = 0.0
    observed_size: int = 0
    refused: int = 0

    @property
    def share(self) -> float | None:
        """Warm boots of all, None without any."""
        return self.warm / self.boots if self.boots else None

    def add(self, record: DecisionRecord, is_boot: bool) -> None:
        """Add a decision.

        :param is_boot: see :func:`told_apart`
        """
        if record.outcome == REFUSED:
            self.refused += 1
            return
        if is_boot:
            self.boots += 1
            self.warm += record.warm
            self.stock_warm += record.stock_warm
        else:
            self.moves += 1
        saved = record.fetches_saved
        self.seconds += saved * record.seconds
        self.size += saved * record.size
        if record.observed:
            self.observed += 1
            self.observed_seconds += saved * record.seconds
            self.observed_size += saved * record.size

    def include(self, other: 'DecisionSum') -> None:
        """Add what is added up already, of other decisions."""
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name)
                    + getattr(other, field.name))


def told_apart(records: Iterable[DecisionRecord],
               ) -> Iterator[tuple[DecisionRecord, bool]]:
    """Return the decisions, each with whether it is a boot."""
    booted = set()
    for record in records:
        is_boot = not (record.outcome == REFUSED or record.move
                       or record.server in booted)
        if is_boot:
            booted.add(record.server)
        yield record, is_boot


def _aggregates(record: DecisionRecord) -> Iterable[str]:
    """Return the aggregates of the host, or of the hosts that refused."""
    if record.outcome == REFUSED:
        return {name for host in record.hosts
                for name in host.aggregates or (NO_AGGREGATE,)}
    host = record.host(record.winner)
    return host.aggregates or (NO_AGGREGATE,) if host else ()


#: What decisions are added up by, from a decision to the names it counts for.
KEYS: dict[str, Callable[[DecisionRecord], Iterable[str]]] = {
    'image': lambda record: (record.image,),
    'aggregate': _aggregates,
    'host': lambda record: (record.winner,) if record.winner else (),
    'project': lambda record: (record.project,),
}


def summary(records: Iterable[DecisionRecord],
            by: str) -> tuple[DecisionSum, dict[str, DecisionSum]]:
    """Return the sum of all decisions, and of those of each name.

    A host in several aggregates counts for each of them.

    :param by: one of :data:`KEYS`
    """
    total, named = DecisionSum(), dict[str, DecisionSum]()
    for record, is_boot in told_apart(records):
        total.add(record, is_boot)
        for name in KEYS[by](record):
            named.setdefault(name, DecisionSum()).add(record, is_boot)
    return total, named


def sentence(total: DecisionSum) -> str:
    """Say what the image cache has brought."""
    boots = total.boots
    if not boots + total.moves:
        return (f'No server found a host, and the cap refused '
                f'{total.refused:,}.' if total.refused else 'No decision.')
    result = (f'{total.warm:,} of {wording.counted(boots, "server")} went '
              'to a host that held the image')
    enforced = boots + total.moves - total.observed
    if enforced:
        result += (
            f', instead of {total.stock_warm:,} without the image cache '
            'counted. That saved ' + _fetches(
                total.seconds - total.observed_seconds,
                total.size - total.observed_size))
    if total.observed:
        what = ('Counted and not only observed' if not enforced else
                'Counted, too, where it was only observed '
                f'({wording.counted(total.observed, "decision")})')
        result += (f'. {what}, the image cache would have saved '
                   + _fetches(total.observed_seconds, total.observed_size))
    result += '.'
    if total.moves:
        result += f' That counts {wording.counted(total.moves, "move")}, too.'
    if total.refused:
        result += f' The cap refused {total.refused:,}.'
    return result


def _fetches(seconds: float, size: int) -> str:
    return f'{_time(seconds)} and {size / 1e9:,.1f} GB of fetches'


def _time(seconds: float) -> str:
    for name, length in (('h', 3600), ('min', 60)):
        if abs(seconds) >= 2 * length:
            return f'{seconds / length:,.1f} {name}'
    return f'{seconds:,.0f} s'

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

"""A record of the decision log: one decision, for one server.

A line is a JSON object with the fields of :class:`DecisionRecord` and ``v``,
the version of the format. A reader ignores fields that it does not know. A
line with ``lost`` instead says how many decisions could not be written.
"""

from collections.abc import Mapping
import dataclasses
import datetime
import json
import math
from typing import Any

#: It counts up when an older reader would read a line wrong.
VERSION = 1

#: Hosts of a record, at most: the best five, as Nomad keeps them, and those
#: that lead with the image cache counted and without it.
BEST_HOSTS, MAX_HOSTS = 5, 7

#: Of a text that somebody typed, as the name of a flavor: what nova allows.
MAX_TEXT = 255

#: No number is larger, so that a million of them can be added up.
MAX_NUMBER = 1e300

#: What became of a request, by what the scheduler decided.
CHOSEN = 'chosen'
#: There was one candidate, so nothing was weighed.
ONLY = 'only'
#: The cap refused all candidates.
REFUSED = 'refused'
OUTCOMES = (CHOSEN, ONLY, REFUSED)

#: What the report of a host says of an image, as ``report.Holding`` has it.
WARM = frozenset({'warm', 'warm_resized'})


class BadRecord(ValueError):
    """A line is no record, or none that this version can read."""


@dataclasses.dataclass(frozen=True, slots=True)
class DecidedHost:
    """What decided about one host.

    :param host: its name
    :param node: of the compute node
    :param holding: ``unknown``, ``cold``, ``arriving``, ``warm`` or
        ``warm_resized``
    :param count: servers of the image on it
    :param cap: that number's limit; 0 for none
    :param before: the sum of the other weighers
    :param benefit: the parts of the weight, each from 0 to 1
    :param weight: what the image cache came to; not the product of the parts
        where a first copy is placed, nor of a host of which nothing is known
    :param multiplier: of the weight
    :param drawn: whether it was drawn among hosts that are as good, to be the
        first or an alternate: it then comes before its sum
    :param aggregates: the names of those that it is in
    """

    host: str
    node: str
    holding: str = 'unknown'
    count: int = 0
    cap: int = 0
    before: float = 0.0
    benefit: float = 0.0
    holds: float = 0.0
    headroom: float = 0.0
    gate: float = 0.0
    weight: float = 0.0
    multiplier: float = 0.0
    drawn: bool = False
    aggregates: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """The sum of all weighers, before hosts were drawn."""
        return self.before + self.multiplier * self.weight

    @property
    def warm(self) -> bool:
        """Whether it holds the image complete."""
        return self.holding in WARM


@dataclasses.dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision.

    :param time: when, UTC
    :param server: its uuid
    :param image: its id
    :param project: its id
    :param flavor: its name
    :param move: whether the server was somewhere else before
    :param outcome: one of :data:`OUTCOMES`
    :param candidates: hosts that passed the filters; of a refusal those that
        passed the filters before the cap
    :param holding: how many of them hold the image complete
    :param full: how many of them are at the cap
    :param observed: whether the image cache was only looked at
    :param winner: the host that led, and was chosen if nova could; '' of a
        refusal
    :param cached: the host that leads with the image cache counted
    :param stock: the host that leads without it
    :param seconds: that a fetch of the image takes
    :param size: of the image in bytes, 0 if it is not known
    :param exact: whether nothing chooses after this: no later weigher, no
        random pick
    :param hosts: :data:`BEST_HOSTS`, the one that leads and its alternates
        first, then those named above
        that are none of them; of a refusal the emptiest ones
    """

    time: datetime.datetime
    server: str
    image: str
    project: str = ''
    flavor: str = ''
    move: bool = False
    outcome: str = CHOSEN
    candidates: int = 0
    holding: int = 0
    full: int = 0
    observed: bool = False
    winner: str = ''
    cached: str = ''
    stock: str = ''
    seconds: float = 0.0
    size: int = 0
    exact: bool = True
    hosts: tuple[DecidedHost, ...] = ()

    def host(self, name: str) -> DecidedHost | None:
        """Return what decided about a host, if it is listed."""
        return next((one for one in self.hosts if one.host == name), None)

    @property
    def warm(self) -> bool:
        """Whether the host that led held the image complete."""
        return self._is_warm(self.winner)

    @property
    def stock_warm(self) -> bool:
        """Whether the host held it that leads without the image cache."""
        return self._is_warm(self.stock)

    @property
    def fetches_saved(self) -> int:
        """What the image cache changed for the number of fetches.

        1 if it led the server away from a fetch, -1 if to one, 0 otherwise;
        if it was only observed, what it would have changed.
        """
        return self._is_warm(self.cached) - self.stock_warm

    def _is_warm(self, name: str) -> bool:
        found = self.host(name)
        return found is not None and found.warm


@dataclasses.dataclass(frozen=True, slots=True)
class LostDecisions:
    """Decisions that could not be written.

    :param time: when it was noticed, UTC
    :param lost: their number
    """

    time: datetime.datetime
    lost: int


def dump(record: DecisionRecord | LostDecisions) -> str:
    """Return the line of a record, with its end."""
    fields = _fields(record)
    fields['time'] = record.time.astimezone(datetime.UTC).isoformat(
        timespec='milliseconds')
    if isinstance(record, DecisionRecord):
        fields['hosts'] = [_fields(host) for host in record.hosts]
    return json.dumps({'v': VERSION, **fields},
                      separators=(',', ':')) + '\n'


def _fields(thing: Any) -> dict[str, Any]:
    """Return the fields of a record, its numbers with 6 digits."""
    found = {}
    for field in dataclasses.fields(thing):
        value = getattr(thing, field.name)
        if isinstance(value, float):
            # nan and inf are no JSON.
            value = float(f'{value:.6g}') if math.isfinite(value) else 0.0
        elif isinstance(value, str):
            value = value[:MAX_TEXT]
        found[field.name] = value
    return found


def parse(line: str) -> DecisionRecord | LostDecisions:
    """Return what a line says.

    :raises BadRecord: saying why not
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRecord('no JSON') from None
    if not isinstance(found, dict):
        raise BadRecord('no object')
    if found.get('v') != VERSION:
        raise BadRecord(f'version {str(found.get("v"))[:16]!r} is not known')
    time = _time(found.get('time'))
    if 'lost' in found:
        return LostDecisions(time, _checked('lost', found['lost'], int))
    hosts = found.get('hosts', [])
    if not isinstance(hosts, list) or len(hosts) > MAX_HOSTS or not all(
            isinstance(host, dict) for host in hosts):
        raise BadRecord('hosts is no list of hosts')
    values = _values(DecisionRecord, found, {'time', 'hosts'})
    record = DecisionRecord(
        time=time, hosts=tuple(_host(host) for host in hosts), **values)
    if record.outcome not in OUTCOMES:
        raise BadRecord(f'outcome {record.outcome[:16]!r} is not known')
    return record


def _host(found: Mapping[str, Any]) -> DecidedHost:
    aggregates = found.get('aggregates', [])
    if not isinstance(aggregates, list):
        raise BadRecord('aggregates is no list')
    return DecidedHost(
        aggregates=tuple(map(str, aggregates)),
        **_values(DecidedHost, found, {'aggregates'}))


def _values(cls: Any, found: Mapping[str, Any],
            without: set[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.name in without:
            continue
        if field.name in found:
            values[field.name] = _checked(
                field.name, found[field.name], field.type)
        elif field.default is dataclasses.MISSING:
            raise BadRecord(f'{field.name} is missing')
    return values


def _checked(name: str, value: Any, kind: Any) -> Any:
    """Return a value of the kind that a field wants."""
    if kind is float and type(value) is int and abs(value) <= MAX_NUMBER:
        value = float(value)
    if type(value) is not kind or (
            kind in (int, float)
            and not abs(value) <= MAX_NUMBER):  # which nan is not
        raise BadRecord(f'{name} is no {kind.__name__}')
    return value


def _time(text: Any) -> datetime.datetime:
    try:
        found = datetime.datetime.fromisoformat(text)
        return (found.replace(tzinfo=datetime.UTC) if found.tzinfo is None
                else found.astimezone(datetime.UTC))
    except (TypeError, ValueError, OverflowError):
        raise BadRecord('time is none') from None

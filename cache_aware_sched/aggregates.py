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

"""Numbers that operators set for the hosts of an aggregate."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Generic
from typing import TypeVar

from oslo_log import log as logging

from cache_aware_sched import once

LOG = logging.getLogger(__name__)

#: Sets of aggregates whose numbers are remembered; beyond it all are
#: forgotten, which costs a request some microseconds for each host. Each set
#: keeps its Aggregate objects, which list their hosts.
MAX_SETS = 1_000

T = TypeVar('T', bound=float)

Key = int | tuple[int, ...]


def key(aggregates: Sequence[Any]) -> Key:
    """Return what tells sets of aggregates apart as long as they live."""
    # Most hosts have one, and this is done for each of thousands.
    if len(aggregates) == 1:
        return id(aggregates[0])
    return tuple(map(id, aggregates))


class Numbers(Generic[T]):
    """Looks a metadata key up, once for all hosts with the same aggregates.

    nova's scheduler replaces an Aggregate object when it changes, so the same
    objects have the same metadata.

    :param key: of the aggregates' metadata
    :param parse: makes a number of the text; raises ValueError saying what is
        wanted
    :param quiet: whether somebody else warns of values that cannot be read
    """

    def __init__(self, key: str, parse: Callable[[str], T],
                 quiet: bool = False) -> None:
        self._key = key
        self._parse: Callable[[str], T] = parse
        self._quiet = quiet
        # With the aggregates, so that no other object can get their ids.
        self._known: dict[Key, tuple[tuple[Any, ...], T | None]] = {}

    def smallest(self, aggregates: Sequence[Any]) -> T | None:
        """Return the smallest value that a host's aggregates have.

        :returns: None where no aggregate has the key, or none a value that
            can be read
        """
        # As key() does, without a call for each of thousands.
        ids: Key = id(aggregates[0]) if len(aggregates) == 1 else (
            tuple(map(id, aggregates)))
        known = self._known.get(ids)
        if known is None:
            if len(self._known) >= MAX_SETS:
                self._known.clear()
            values = [value for value in map(self._value, aggregates)
                      if value is not None]
            known = self._known[ids] = (
                tuple(aggregates), min(values) if values else None)
        return known[1]

    def _value(self, aggregate: Any) -> T | None:
        text = aggregate.metadata.get(self._key)
        if text is None:
            return None
        try:
            return self._parse(text)
        except ValueError as error:
            if self._quiet:
                return None
            once.warning(
                LOG, (aggregate.name, self._key, text),
                'Metadata %(key)s of aggregate %(aggregate)s is %(text)r: '
                '%(error)s. It has no effect; set it to another value or '
                'remove it.',
                {'key': self._key, 'aggregate': aggregate.name, 'text': text,
                 'error': error})
            return None

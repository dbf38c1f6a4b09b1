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
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
from typing import TypeVar

from oslo_log import log as logging

from cache_aware_sched import once

LOG = logging.getLogger(__name__)
_ONCE = once.Once(LOG)

T = TypeVar('T', int, float)


def smallest(
    hosts: Iterable[Sequence[Any]], key: str, parse: Callable[[str], T],
) -> list[T | None]:
    """Return each host's smallest value of a metadata key.

    :param hosts: the Aggregate objects of each host
    :param key: of the aggregates' metadata
    :param parse: makes a number of the text; raises ValueError saying what is
        wanted
    :returns: in the order of the hosts; None where no aggregate of the host
        has the key, or none a value that can be read
    """
    values: dict[int, T | None] = {}
    result: list[T | None] = []
    for host in hosts:
        found: T | None = None
        for aggregate in host or ():
            # By id: hosts share the aggregate objects, which stay alive here.
            try:
                value = values[id(aggregate)]
            except KeyError:
                value = values[id(aggregate)] = _value(aggregate, key, parse)
            if value is not None and (found is None or value < found):
                found = value
        result.append(found)
    return result


def _value(
    aggregate: Any, key: str, parse: Callable[[str], T],
) -> T | None:
    text = aggregate.metadata.get(key)
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        _ONCE.warning(
            (aggregate.name, key, text),
            'Metadata %(key)s of aggregate %(aggregate)s is %(text)r: '
            '%(error)s. It has no effect; set it to another value or remove '
            'it.', {'key': key, 'aggregate': aggregate.name, 'text': text,
                    'error': error})
        return None

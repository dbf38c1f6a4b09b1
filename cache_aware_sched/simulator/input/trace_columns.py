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


"""The columns of a trace, and what their values may be."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import functools
import math
from typing import Any
import uuid

from cache_aware_sched.simulator.input.arrivals import made_id
from cache_aware_sched.simulator.input.trace_lines import BadTrace
from cache_aware_sched.simulator.input.trace_lines import shown
from cache_aware_sched.simulator.workload import GIB

#: 100 years. More is a unit that was mistaken, as milliseconds since 1970.
MAX_SECONDS = 100 * 365.25 * 86400

#: What a column of nova's database can have.
MAX_INT = 2 ** 31 - 1

#: More vCPUs or larger images are a unit that was mistaken.
MAX_VCPUS = 10000
MAX_IMAGE_GB = 100000


def _number(low: float, high: float) -> Callable[[str], float]:
    @functools.lru_cache(maxsize=100000)
    def parse(text: str) -> float:
        value = float(text)
        # Python takes 1_000 for a number, and digits of any script.
        if '_' in text or not text.isascii() or not low <= value <= high:
            raise ValueError
        return value

    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    # The largest whole number may be a larger float.
    number = _number(low, float(high))

    @functools.lru_cache(maxsize=100000)
    def parse(text: str) -> int:
        # Tables with gaps are often written with 4.0 for 4. A float is not
        # exact above 2 ** 53.
        value = number(text)
        exact = int(value) if '.' in text else int(text)
        if exact > high or (exact != value and abs(value) < 2 ** 53):
            raise ValueError
        return exact

    return parse


def _id(text: str, what: str) -> str:
    """Return the uuid that a name is, or one that is made of it."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return made_id(what, text)


@functools.lru_cache(maxsize=100000)
def _image(text: str) -> str:
    text = text.strip()
    return _id(text, 'image of a trace') if text else ''


@functools.lru_cache(maxsize=100000)
def _project(text: str) -> str:
    text = text.strip()
    return uuid.UUID(_id(text, 'project of a trace')).hex if text else ''


_lifetime = _number(0, MAX_SECONDS)
_gib = _number(0, MAX_IMAGE_GB)


def _image_size(text: str) -> int | None:
    if not text.strip():
        return None
    if _gib(text) <= 0:
        raise ValueError
    return math.ceil(_gib(text) * GIB)


#: The columns: what makes a value of the text, and what is wanted if it
#: cannot.
_REQUIRED: dict[str, tuple[Callable[[str], Any], str]] = {
    'arrival_s': (_number(0, MAX_SECONDS), 'seconds, 0 to 100 years'),
    'batch': (_whole(0, 2 ** 63 - 1), 'a whole number, 0 to 2 ** 63 - 1'),
    'vcpus': (_whole(1, MAX_VCPUS), f'a whole number, 1 to {MAX_VCPUS}'),
    'ram_mb': (_whole(1, MAX_INT), f'a whole number of MiB, 1 to {MAX_INT}'),
    'lifetime_s': (
        lambda text: _lifetime(text) if text.strip() else None,
        'seconds, 0 to 100 years, or nothing for a server that runs on'),
}
_OPTIONAL: dict[str, tuple[Callable[[str], Any], str]] = {
    'image_id': (_image, 'any text'),
    'image_size_gb': (
        _image_size, f'GiB, more than 0 to {MAX_IMAGE_GB}, or nothing'),
    'project': (_project, 'any text'),
}


@dataclasses.dataclass(frozen=True, slots=True)
class TraceColumn:
    """A column of a trace.

    :param index: in a line, from 0
    :param parse: makes a value of the text, or raises ValueError
    :param wanted: what the text must be
    """

    name: str
    index: int
    parse: Callable[[str], Any]
    wanted: str


class Header:
    """Says where the columns are.

    :ivar required: the columns that every trace has, in the order of arrival,
        batch, vCPUs, RAM and lifetime
    :ivar optional: those of image, its size and project that are there
    :raises BadTrace: when one is missing, or there twice
    """

    def __init__(self, line: int, names: Sequence[str]) -> None:
        self.length = len(names)
        names = [name.strip() for name in names]
        missing = [name for name in _REQUIRED if name not in names]
        if missing:
            raise BadTrace(
                f'the header lacks {", ".join(missing)}; it has '
                f'{shown(",".join(names))}', line)
        if 'image_size_gb' in names and 'image_id' not in names:
            raise BadTrace('the header has image_size_gb without image_id, '
                           'which would say of what it is the size', line)
        known = {**_REQUIRED, **_OPTIONAL}
        twice = [name for name in known if names.count(name) > 1]
        if twice:
            raise BadTrace(f'the header has {", ".join(twice)} twice', line)
        self.required = [self._column(names, name) for name in _REQUIRED]
        self.optional = [self._column(names, name) for name in _OPTIONAL
                         if name in names]

    def _column(self, names: Sequence[str], name: str) -> TraceColumn:
        return TraceColumn(name, names.index(name),
                           *{**_REQUIRED, **_OPTIONAL}[name])

    def image_name(self, values: Sequence[str]) -> str:
        """Return what a line calls its image; there must be such a column."""
        return next(values[column.index].strip() for column in self.optional
                    if column.name == 'image_id')

    def parse(self, line: int, values: Sequence[str],
              columns: Iterable[TraceColumn]) -> list[Any]:
        """Return what the values of some columns are.

        :raises BadTrace: for the first that is no good
        """
        if len(values) != self.length:
            raise BadTrace(f'{len(values)} values, but the header has '
                           f'{self.length} columns', line)
        parsed = []
        for column in columns:
            text = values[column.index]
            try:
                parsed.append(column.parse(text))
            except (ValueError, OverflowError):
                raise BadTrace(f'{shown(text)} is not {column.wanted}', line,
                               column.name) from None
        return parsed

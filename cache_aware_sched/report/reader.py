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

"""Reads the report, in the scheduler."""

from collections.abc import Iterator
import dataclasses
import enum
import functools
from typing import NamedTuple

from cache_aware_sched.report import facts as facts_mod
from cache_aware_sched.report.records import BaseFile
from cache_aware_sched.report.records import decode
from cache_aware_sched.report.records import FileKind
from cache_aware_sched.report.records import KEY_CHARS
from cache_aware_sched.report.records import RECORD_CHARS
from cache_aware_sched.report.records import size_code
from cache_aware_sched.report.records import VERSION

#: The header is shorter than this in every version that has version 1's
#: fields; what has no '|' before it is noise.
MAX_HEADER_CHARS = 256
#: What a column of compute_nodes can hold (TEXT, 65,535 bytes); anything
#: longer was never a report.
MAX_REPORT_CHARS = 65535
#: So many records are searched as fast as half of them are ruled out.
SCANNED_RECORDS = 128


class Holding(enum.IntEnum):
    """Whether a host holds an image."""

    UNKNOWN = 0
    COLD = 1
    ARRIVING = 2
    WARM = 3
    #: Warm, and with a resized copy of the size that is asked for.
    WARM_RESIZED = 4


class Found(NamedTuple):
    """What a report says of an image.

    :param holding: whether the host holds it
    :param users: servers of it on the host, or on their way; None if the
        report does not say
    :param size: bytes; 0 if no complete file is listed
    """

    holding: Holding
    users: int | None
    size: int


_TRUNCATED = Found(Holding.UNKNOWN, None, 0)
_NOT_LISTED = Found(Holding.COLD, 0, 0)


class UnreadableReport(ValueError):
    """This is no report, or none that this version can read."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReportHeader:
    """What a report says about the host as a whole."""

    width: int
    caches: bool
    images: int
    records: int
    truncated: bool
    rate: int
    #: Characters of all records.
    chars: int
    #: Servers on the host when it was written; -1 if it does not say.
    servers: int = -1


@functools.lru_cache(maxsize=16384)
def parse_header(text: str) -> ReportHeader:
    """Read what is before the '|'.

    :raises UnreadableReport: saying why
    """
    fields = dict(field.partition('=')[::2] for field in text.split(';'))
    if 'v' not in fields:
        raise UnreadableReport('not a report')
    if fields['v'] != VERSION:
        raise UnreadableReport(f'version {fields["v"][:16]!r} is not known')
    try:
        numbers = {name: int(fields[name]) for name in 'wcnktr'}
        servers = int(fields.get('i', -1))
    except (KeyError, ValueError):
        raise UnreadableReport('damaged header') from None
    if numbers['w'] < RECORD_CHARS or min(numbers.values()) < 0:
        raise UnreadableReport('damaged header')
    return ReportHeader(
        width=numbers['w'], caches=bool(numbers['c']), images=numbers['n'],
        records=numbers['k'], truncated=bool(numbers['t']),
        rate=numbers['r'], chars=numbers['k'] * numbers['w'],
        servers=max(servers, -1))


def _why_not(text: str) -> str:
    if not text:
        return 'empty'
    return 'too long' if len(text) > MAX_REPORT_CHARS else 'not a report'


class Report:
    """A report as it is read; nothing is decoded before it is asked for.

    :param text: the value found in the stats
    :raises UnreadableReport: if it is anything but a whole report of this
        version; the message is one of a few and names no value of more than 16
        characters
    """

    __slots__ = ('_start', '_text', 'header')

    def __init__(self, text: object) -> None:
        if not isinstance(text, str):
            raise UnreadableReport('not a string')
        bar = text.find('|', 0, MAX_HEADER_CHARS)
        if bar < 0 or len(text) > MAX_REPORT_CHARS:
            raise UnreadableReport(_why_not(text))
        self.header = header = parse_header(text[:bar])
        self._text = text
        self._start = start = bar + 1
        if len(text) - start != header.chars:
            raise UnreadableReport('cut or damaged')

    @property
    def facts(self) -> facts_mod.HostFacts:
        """What the host says beyond its files; read when it is asked for."""
        return facts_mod.read(self.head)

    def files(self, key: str) -> list[BaseFile]:
        """Return the records of one image; their sha1 is the key."""
        return [BaseFile(key, *values)
                for values in self._values(key, self._find(key))]

    def holding(self, key: str, disk_code: int = -1) -> Holding:
        """Return whether the host holds an image; see :meth:`look_up`."""
        return self.look_up(key, disk_code).holding

    def look_up(self, key: str, disk_code: int = -1) -> Found:
        """Return what the report says of an image.

        :param key: of the image, from :func:`image_key`
        :param disk_code: :func:`size_code` of the disk that is wanted
        """
        position = self._find(key)
        if position < 0:
            # A host without a cache lists no image, and perhaps its users.
            return _TRUNCATED if self.header.truncated else _NOT_LISTED
        holding = Holding.UNKNOWN
        resized = False
        users = size = 0
        for size_, kind, users_ in self._values(key, position):
            users = max(users, users_)
            if kind is FileKind.COMPLETE:
                holding, size = Holding.WARM, max(size, size_)
            elif kind is FileKind.ARRIVING:
                holding = max(holding, Holding.ARRIVING)
            else:
                holding = max(holding, Holding.COLD)
                resized |= (kind is FileKind.RESIZED
                            and size_code(size_) == disk_code)
        if holding is Holding.WARM and resized:
            holding = Holding.WARM_RESIZED
        return Found(holding, users, size)

    def around(self, key: str) -> tuple[int, str]:
        """Return the records of an image with one before and one after.

        Reports are sorted, so another report that has the same characters
        there, the same header and the same length says the same of the image.

        :returns: where they start in the text, and their characters
        """
        width, end = self.header.width, len(self._text)
        low, high = 0, self.header.records
        while low < high:
            middle = (low + high) // 2
            start = self._start + middle * width
            if self._text[start:start + KEY_CHARS] < key:
                low = middle + 1
            else:
                high = middle
        first = stop = self._start + low * width
        while self._text.startswith(key, stop):
            stop += width
        first = max(first - width, 0)
        return first, self._text[first:min(stop + width, end)]

    @property
    def head(self) -> str:
        """Return all that is before the first record."""
        return self._text[:self._start]

    def _values(self, key: str, position: int
                ) -> Iterator[tuple[int, FileKind, int]]:
        """Return what the records of an image say, from the first one on."""
        while position >= 0 and self._text.startswith(key, position):
            values = decode(self._text[position + KEY_CHARS:
                                       position + RECORD_CHARS])
            if values is not None:
                yield values
            position += self.header.width

    def __iter__(self) -> Iterator[BaseFile]:
        """Return every readable record; for people, not for scheduling."""
        width = self.header.width
        for start in range(self._start, len(self._text), width):
            values = decode(
                self._text[start + KEY_CHARS:start + RECORD_CHARS])
            if values is not None:
                yield BaseFile(
                    self._text[start:start + KEY_CHARS], *values)

    def _find(self, key: str) -> int:
        """Return where the first record with a key starts, or -1."""
        text, first = self._text, self._start
        start, end = first, len(text)
        if self.header.records > SCANNED_RECORDS:
            start, end = self._narrow(key)
        position = text.find(key, start, end)
        # A key can also begin inside of a record, if hardly ever.
        while position >= 0 and (position - first) % self.header.width:
            position = text.find(key, position + 1, end)
        return position

    def _narrow(self, key: str) -> tuple[int, int]:
        """Return from where to where in the sorted records a key can be."""
        text, first, width = self._text, self._start, self.header.width
        low, high = 0, self.header.records
        while high - low > SCANNED_RECORDS:
            middle = (low + high) // 2
            start = first + middle * width
            if text[start:start + KEY_CHARS] < key:
                low = middle
            else:
                high = middle
        # The first record with the key can be the one at high.
        return first + low * width, first + (high + 1) * width

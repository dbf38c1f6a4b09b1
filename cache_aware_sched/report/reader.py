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

from cache_aware_sched.report.records import BaseFile
from cache_aware_sched.report.records import decode
from cache_aware_sched.report.records import Kind
from cache_aware_sched.report.records import RECORD_CHARS
from cache_aware_sched.report.records import size_code
from cache_aware_sched.report.records import VERSION

#: The header is shorter than this in every version that has version 1's
#: fields; what has no '|' before it is noise.
MAX_HEADER_CHARS = 256
#: What a column of compute_nodes can hold (TEXT, 65,535 bytes); anything
#: longer was never a report.
MAX_REPORT_CHARS = 65535


class Holding(enum.IntEnum):
    """Whether a host holds an image."""

    UNKNOWN = 0
    COLD = 1
    ARRIVING = 2
    WARM = 3
    #: Warm, and with a resized copy of the size that is asked for.
    WARM_RESIZED = 4


class Unreadable(ValueError):
    """This is no report, or none that this version can read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What a report says about the host as a whole."""

    width: int
    caches: bool
    images: int
    records: int
    truncated: bool
    rate: int
    #: Characters of all records.
    chars: int


@functools.lru_cache(maxsize=16384)
def parse_header(text: str) -> Header:
    """Read what is before the '|'.

    :raises Unreadable: saying why
    """
    fields = dict(field.partition('=')[::2] for field in text.split(';'))
    if 'v' not in fields:
        raise Unreadable('not a report')
    if fields['v'] != VERSION:
        raise Unreadable(f'version {fields["v"][:16]!r} is not known')
    try:
        numbers = {name: int(fields[name]) for name in 'wcnktr'}
    except (KeyError, ValueError):
        raise Unreadable('damaged header') from None
    if numbers['w'] < RECORD_CHARS or min(numbers.values()) < 0:
        raise Unreadable('damaged header')
    return Header(
        width=numbers['w'], caches=bool(numbers['c']), images=numbers['n'],
        records=numbers['k'], truncated=bool(numbers['t']),
        rate=numbers['r'], chars=numbers['k'] * numbers['w'])


def _why_not(text: str) -> str:
    if not text:
        return 'empty'
    return 'too long' if len(text) > MAX_REPORT_CHARS else 'not a report'


class Report:
    """A report as it is read; nothing is decoded before it is asked for.

    :param text: the value found in the stats
    :raises Unreadable: if it is anything but a whole report of this version;
        the message is one of a few and names no value of more than 16
        characters
    """

    __slots__ = ('_start', '_text', 'header')

    def __init__(self, text: object) -> None:
        if not isinstance(text, str):
            raise Unreadable('not a string')
        bar = text.find('|', 0, MAX_HEADER_CHARS)
        if bar < 0 or len(text) > MAX_REPORT_CHARS:
            raise Unreadable(_why_not(text))
        self.header = header = parse_header(text[:bar])
        self._text = text
        self._start = start = bar + 1
        if len(text) - start != header.chars:
            raise Unreadable('cut or damaged')

    def files(self, key: str) -> list[BaseFile]:
        """Return the records of one image; their sha1 is the key."""
        start, width = self._find(key), self.header.width
        found = []
        while start >= 0 and self._text.startswith(key, start):
            file = decode(self._text[start:start + RECORD_CHARS])
            if file is not None:
                found.append(file)
            start += width
        return found

    def holding(self, key: str, disk_code: int = -1) -> Holding:
        """Return whether the host holds an image.

        :param key: of the image, from :func:`image_key`
        :param disk_code: :func:`size_code` of the disk that is wanted
        """
        # By far the most hosts do not hold it.
        if self._text.find(key, self._start) < 0 or self._find(key) < 0:
            return (Holding.UNKNOWN if self.header.truncated
                    else Holding.COLD)
        files = self.files(key)
        kinds = {file.kind for file in files}
        if Kind.COMPLETE in kinds:
            resized = any(file.kind is Kind.RESIZED
                          and size_code(file.size) == disk_code
                          for file in files)
            return Holding.WARM_RESIZED if resized else Holding.WARM
        if Kind.ARRIVING in kinds:
            return Holding.ARRIVING
        return Holding.COLD if kinds else Holding.UNKNOWN

    def __iter__(self) -> Iterator[BaseFile]:
        """Return every readable record; for people, not for scheduling."""
        width = self.header.width
        for start in range(self._start, len(self._text), width):
            file = decode(self._text[start:start + RECORD_CHARS])
            if file is not None:
                yield file

    def _find(self, key: str) -> int:
        """Return where the first record with a key starts, or -1."""
        find, start, width = self._text.find, self._start, self.header.width
        position = find(key, start)
        # A key can also begin inside of a record, if hardly ever.
        while position >= 0 and (position - start) % width:
            position = find(key, position + 1)
        return position

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

"""The report: what a compute host says about its image cache.

One string under the key :data:`STATS_KEY` of the compute node's stats, and the
only thing that the compute half and the scheduler half of this package have in
common::

    v=1;w=16;c=1;n=120;k=100;t=1;r=128|<records>

==== ================================================================
v    version; a reader that does not know it reads nothing
w    characters a record; a reader ignores what is beyond its own 16
c    1 if this host caches images at all, 0 if not (rbd)
n    images in the cache, listed or not
k    records that follow
t    1 if some did not fit
r    how fast images were fetched lately in MB/s, a power of two; 0 if
     nothing is known
==== ================================================================

A reader ignores fields it does not know, in any order. A record stands for
one base file, in characters of base64 (6 bits each):

===== =============================================================
0-11  the first 9 bytes of the sha1 of the image id
12-13 size in MiB: 5 bits exponent, 7 bits mantissa (below 1 %)
14    lower 6 bits of the number of instances here that use the image
15    2 bits :class:`Kind`, 4 upper bits of that number
===== =============================================================

The records are sorted, so that the report does not change while nothing else
does, and those of one image are neighbours. They are never decoded as a whole:
an image is found with ``str.find``. 9 bytes are exactly 12 characters; that
two of a million images share them has a probability of 1e-10.
"""

import base64
import collections
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import enum
import functools
import hashlib
import math

STATS_KEY = 'cached_images'
VERSION = '1'

RECORD_CHARS = 16
KEY_CHARS = 12
_ALPHABET = (
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
_VALUE = {char: value for value, char in enumerate(_ALPHABET)}

MAX_USERS = 0x3ff
#: The header is shorter than this in every version that has version 1's
#: fields; what has no '|' before it is noise.
MAX_HEADER_CHARS = 256
#: What a column of compute_nodes can hold (TEXT, 65,535 bytes); anything
#: longer was never a report.
MAX_REPORT_CHARS = 65535


class Kind(enum.IntEnum):
    """What a base file is."""

    COMPLETE = 0
    ARRIVING = 1
    #: A copy of the image, grown to the size of a flavor's disk.
    RESIZED = 2


@dataclasses.dataclass(frozen=True, slots=True)
class BaseFile:
    """One file of the image cache.

    :param sha1: of the image id, as 40 hexadecimal digits
    :param size: bytes; for a resized copy the size that it was grown to
    :param kind: what the file is
    :param users: instances on this host that use the image
    """

    sha1: str
    size: int
    kind: Kind = Kind.COMPLETE
    users: int = 0


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


@functools.lru_cache(maxsize=4096)
def image_sha1(image_id: str) -> str:
    """Return the name of an image's base file, as nova makes it."""
    return hashlib.sha1(
        image_id.encode('utf-8'), usedforsecurity=False).hexdigest()


def _key_of_sha1(sha1: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(sha1[:18])).decode()


@functools.lru_cache(maxsize=4096)
def image_key(image_id: str) -> str:
    """Return the 12 characters that stand for an image in a report."""
    return _key_of_sha1(image_sha1(image_id))


def size_code(size: int) -> int:
    """Return the 12 bits that stand for a size of so many bytes.

    Sizes are rounded up to a MiB and then down to 8 significant bits, so every
    whole number of GiB up to 255 keeps its value.
    """
    mib = -(-max(size, 0) // 2 ** 20)
    if mib < 128:
        return mib
    exponent = min(mib.bit_length() - 7, 31)
    mantissa = min(mib >> (exponent - 1), 255) - 128
    return exponent << 7 | mantissa


def size_of_code(code: int) -> int:
    """Return the bytes that the 12 bits of :func:`size_code` stand for."""
    exponent, mantissa = code >> 7, code & 0x7f
    mib = mantissa if not exponent else (128 + mantissa) << (exponent - 1)
    return mib << 20


def _record(file: BaseFile) -> str:
    code = size_code(file.size)
    users = min(max(file.users, 0), MAX_USERS)
    return _key_of_sha1(file.sha1) + ''.join((
        _ALPHABET[code >> 6], _ALPHABET[code & 0x3f],
        _ALPHABET[users & 0x3f], _ALPHABET[file.kind << 4 | users >> 6]))


def _worth(file: BaseFile) -> tuple[bool, int, str, int, int]:
    """Sort key for what stays when not everything fits; the smallest stays.

    A resized copy is worth less than any image. Otherwise what saves the most
    time is worth the most: the fetch takes as long as the file is large, and
    an image that is in use is booted more often; that this is worth a doubled
    size is a guess.
    """
    in_use = 2 if file.users else 1
    return (file.kind is Kind.RESIZED, -file.size * in_use, file.sha1,
            file.kind, -file.users)


def encode(
    files: Iterable[BaseFile], *, caches: bool = True, rate: int = 0,
    max_bytes: int,
) -> str:
    """Return the report of a host.

    :param files: the files of the cache, in any order
    :param caches: False if this host keeps no images (rbd)
    :param rate: MB/s, see :class:`FetchRate`; 0 if nothing is known
    :param max_bytes: the report is at most as long; nothing is listed in one
        that is shorter than the header
    """
    files = list(files)
    images = sum(file.kind is not Kind.RESIZED for file in files)
    room = max(0, max_bytes - len(
        _header(caches, images, len(files), True, rate))) // RECORD_CHARS
    listed = (files if len(files) <= room
              else sorted(files, key=_worth)[:room])
    records = sorted(_record(file) for file in listed)
    truncated = len(listed) < len(files)
    return (_header(caches, images, len(records), truncated, rate)
            + ''.join(records))


def _header(caches: bool, images: int, records: int, truncated: bool,
            rate: int) -> str:
    return (f'v={VERSION};w={RECORD_CHARS};c={int(caches)};n={images};'
            f'k={records};t={int(truncated)};r={rate}|')


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
def _parse_header(text: str) -> Header:
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
        self.header = header = _parse_header(text[:bar])
        self._text = text
        self._start = start = bar + 1
        if len(text) - start != header.chars:
            raise Unreadable('cut or damaged')

    def files(self, key: str) -> list[BaseFile]:
        """Return the records of one image; their sha1 is the key."""
        start, width = self._find(key), self.header.width
        found = []
        while start >= 0 and self._text.startswith(key, start):
            file = _decode(self._text[start:start + RECORD_CHARS])
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
            file = _decode(self._text[start:start + RECORD_CHARS])
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


def _decode(record: str) -> BaseFile | None:
    """Return what a record says; None if a newer writer made it."""
    try:
        high, low, users, last = (_VALUE[char]
                                  for char in record[KEY_CHARS:])
        return BaseFile(
            sha1=record[:KEY_CHARS], size=size_of_code(high << 6 | low),
            kind=Kind(last >> 4), users=(last & 0xf) << 6 | users)
    except (KeyError, ValueError):
        return None


class FetchRate:
    """How fast a host fetched images lately, too coarse to flutter.

    A moving average over about the last three fetches (a third of the weight
    is the newest one's), rounded to a power of two in MB/s. It is only rounded
    anew when it has moved three quarters of the way to the next power.
    """

    NEWEST = 1 / 3
    STICKY = 0.75
    #: Bytes; smaller fetches measure the latency, not the rate.
    SMALLEST = 64 * 10 ** 6
    #: Seconds; shorter ones measure anything but the network.
    SHORTEST = 1.0
    #: MB/s; beyond it no fetch is worth to be spared.
    FASTEST = 4096.0

    def __init__(self) -> None:
        self._log2 = 0.0
        self._reported = -1

    def add(self, size: int, seconds: float) -> None:
        """Take the measure of a fetch of so many bytes."""
        if size < self.SMALLEST or seconds < self.SHORTEST:
            return
        rate = min(max(size / seconds / 1e6, 1.0), self.FASTEST)
        now = math.log2(rate)
        if self._reported < 0:
            self._log2 = now
        self._log2 += (now - self._log2) * self.NEWEST
        if (self._reported < 0
                or abs(self._log2 - self._reported) > self.STICKY):
            self._reported = round(self._log2)

    @property
    def mb_per_second(self) -> int:
        """MB/s to report; 0 before the first measure."""
        return 0 if self._reported < 0 else 2 ** self._reported


def count_users(image_ids: Iterable[str | None]) -> collections.Counter[str]:
    """Return how many instances use an image, by the sha1 of its id."""
    return collections.Counter(
        image_sha1(image_id) for image_id in image_ids if image_id)

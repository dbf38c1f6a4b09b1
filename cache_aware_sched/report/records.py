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

"""A record: what a report says about one base file.

:mod:`cache_aware_sched.report` has the format of the whole report.
"""

import base64
import dataclasses
import enum
import functools
import hashlib

from cache_aware_sched import image_ids

#: Of the report; it counts up when an older reader would read it wrong.
VERSION = '1'

RECORD_CHARS = 16
KEY_CHARS = 12
ALPHABET = (
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
VALUE = {char: value for value, char in enumerate(ALPHABET)}

MAX_USERS = 0x3ff


class FileKind(enum.IntEnum):
    """What a base file is."""

    COMPLETE = 0
    ARRIVING = 1
    #: A copy of the image, grown to the size of a flavor's disk.
    RESIZED = 2
    #: No file: only says how many instances use the image. Reports of the
    #: first releases have none, and their readers pass it over.
    ABSENT = 3


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
    kind: FileKind = FileKind.COMPLETE
    users: int = 0


@functools.lru_cache(maxsize=16_384)
def image_sha1(image_id: str) -> str:
    """Return the name of an image's base file, as nova makes it."""
    return hashlib.sha1(
        image_id.encode('utf-8'), usedforsecurity=False).hexdigest()


def sha1_key(sha1: str) -> str:
    """Return the key of the image whose id has this sha1."""
    return base64.urlsafe_b64encode(bytes.fromhex(sha1[:18])).decode()


@functools.lru_cache(maxsize=4096)
def image_key(image_id: str) -> str:
    """Return the 12 characters that stand for an image in a report.

    However its id is spelt.
    """
    return sha1_key(image_sha1(image_ids.canonical(image_id)))


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


def record(file: BaseFile) -> str:
    """Return the characters that stand for a file."""
    code = size_code(file.size)
    users = min(max(file.users, 0), MAX_USERS)
    return sha1_key(file.sha1) + ''.join((
        ALPHABET[code >> 6], ALPHABET[code & 0x3f],
        ALPHABET[users & 0x3f], ALPHABET[file.kind << 4 | users >> 6]))


@functools.lru_cache(maxsize=16384)
def decode(values: str) -> tuple[int, FileKind, int] | None:
    """Return the size, the kind and the users that a record gives.

    :param values: what follows the key; many hosts say the same of an image
    :returns: None if a newer writer made it
    """
    try:
        high, low, users, last = (VALUE[char] for char in values)
        return (size_of_code(high << 6 | low), FileKind(last >> 4),
                (last & 0xf) << 6 | users)
    except (KeyError, ValueError):
        return None

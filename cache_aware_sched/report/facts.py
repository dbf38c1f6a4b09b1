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

"""What a host says beyond its files: for people and checks, not to schedule.

Each fact is a field of the header of its own, and each can be left out or
damaged without the others: then it is unknown. :mod:`cache_aware_sched.report`
has the fields.
"""

from collections.abc import Iterator
import dataclasses
import math
import re

#: Characters of a text in the header: all facts together stay well below
#: MAX_HEADER_CHARS with the longest values.
MAX_TEXT = 24

#: Characters of a policy and of a scope, which are short words.
MAX_WORD = 12

#: No number of images, GiB or servers is larger; what is written has fewer
#: digits, which the header has room for.
MAX_NUMBER, MAX_WRITTEN = 10 ** 9, 10 ** 7 - 1

#: Of critical images, and of GiB of room: more are reported as so many. They
#: were added when little was left of MAX_HEADER_CHARS.
MAX_CRITICAL, MAX_ROOM = 999, 99_999

#: Why critical images are missing: one does not fit in; the host makes disks
#: from images in Ceph.
NO_ROOM, NOT_KEPT = 'no_room', 'not_kept'
#: By their number in the report, nothing out of the ordinary first.
TROUBLES = ('', NO_ROOM, NOT_KEPT)

#: What a text may have: nothing that ends a field, a header or a JSON string.
_UNFIT = re.compile(r'[^A-Za-z0-9._+-]')
_TRUTHS = {'0': False, '1': True}


@dataclasses.dataclass(frozen=True, slots=True)
class ReportedCap:
    """The cap as the nova.conf of a host has it, for its late check.

    :param number: of servers; 0 for none
    :param share: of all servers of an image, up to 1; 0 for none
    :param policy: ``same_image_cap_policy``
    :param scope: ``same_image_scope``
    :param checks: whether the host checks it: ``same_image_late_check``
    """

    number: int
    share: float
    policy: str
    scope: str
    checks: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class HostFacts:
    """What a host says beyond its files; None and '' are unknown.

    :param protected: images in the cache that are never evicted
    :param free_gib: of the file system of the cache, coarsely
    :param manager: ``image_cache_manager``
    :param cap: None if it is unknown, or the nova.conf of the host asks for
        none; ``asks_for_cap`` tells which
    :param asks_for_cap: whether the nova.conf of the host asks for a cap
    :param package: the version of this package
    :param nova: the release of nova
    :param reflinks: whether files of the cache can share blocks with others
    :param own_device: whether the cache has a device that the disks of the
        instances are not on
    :param critical: images that the host must hold
    :param critical_missing: how many of these it does not hold
    :param critical_trouble: one of :data:`TROUBLES`
    :param room_gib: that can be fetched without anything being evicted,
        coarsely
    :param evicts: whether it evicts images to make room for others
    """

    protected: int | None = None
    free_gib: int | None = None
    manager: str = ''
    cap: ReportedCap | None = None
    asks_for_cap: bool | None = None
    package: str = ''
    nova: str = ''
    reflinks: bool | None = None
    own_device: bool | None = None
    critical: int | None = None
    critical_missing: int | None = None
    critical_trouble: str = ''
    room_gib: int | None = None
    evicts: bool | None = None


UNKNOWN_FACTS = HostFacts()


def write(facts: HostFacts) -> str:
    """Return the fields of the header, each after a semicolon."""
    return ''.join(f';{name}={value}' for name, value in _fields(facts))


def _fields(facts: HostFacts) -> Iterator[tuple[str, str]]:
    for name, number in (('p', facts.protected), ('f', facts.free_gib)):
        if number is not None:
            yield name, _bounded(number, MAX_WRITTEN)
    for name, text in (('m', facts.manager), ('s', facts.package),
                       ('e', facts.nova)):
        if text:
            yield name, _fit(text)
    if facts.asks_for_cap is False:
        yield 'l', '-'
    elif facts.cap is not None:
        cap = facts.cap
        yield 'l', ','.join((
            _bounded(cap.number, MAX_WRITTEN), f'{cap.share:.4g}',
            _fit(cap.policy, MAX_WORD), _fit(cap.scope, MAX_WORD),
            str(int(cap.checks))))
    truths = (facts.reflinks, facts.own_device)
    if truths != (None, None):
        yield 'x', ''.join('?' if truth is None else str(int(truth))
                           for truth in truths)
    yield from _more_fields(facts)


def _more_fields(facts: HostFacts) -> Iterator[tuple[str, str]]:
    if facts.critical is not None and facts.critical_missing is not None:
        yield 'q', ','.join((
            _bounded(facts.critical, MAX_CRITICAL),
            _bounded(facts.critical_missing, MAX_CRITICAL),
            str(TROUBLES.index(facts.critical_trouble))))
    if facts.room_gib is not None and facts.evicts is not None:
        yield 'b', f'{_bounded(facts.room_gib, MAX_ROOM)},{facts.evicts:d}'


def _bounded(number: int, most: int) -> str:
    return str(min(max(number, 0), most))


def _fit(text: str, most: int = MAX_TEXT) -> str:
    return _UNFIT.sub('_', text[:most])


def read(head: str) -> HostFacts:
    """Return what the header of a report says.

    Never raises: what cannot be read is unknown.

    :param head: all that is before the first record
    """
    fields = dict(field.partition('=')[::2]
                  for field in head.rstrip('|').split(';'))
    asks, cap = _cap(fields.get('l', ''))
    reflinks, own_device = _truths(fields.get('x', ''))
    critical, missing, trouble = _critical(fields.get('q', ''))
    room, evicts = _room(fields.get('b', ''))
    return HostFacts(
        _number(fields.get('p', '')), _number(fields.get('f', '')),
        _text(fields.get('m', '')), cap, asks, _text(fields.get('s', '')),
        _text(fields.get('e', '')), reflinks, own_device, critical, missing,
        trouble, room, evicts)


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if number <= MAX_NUMBER else None


def _text(text: str) -> str:
    return '' if len(text) > MAX_TEXT or _UNFIT.search(text) else text


def _cap(text: str) -> tuple[bool | None, ReportedCap | None]:
    """Return whether a host asks for a cap, and for which."""
    if text == '-':
        return False, None
    parts = text.split(',')
    if len(parts) < 5:
        return None, None
    number, share = _number(parts[0]), _share(parts[1])
    policy, scope, checks = _text(parts[2]), _text(parts[3]), parts[4]
    if (number is None or share is None or not policy or not scope
            or checks not in _TRUTHS):
        return None, None
    return True, ReportedCap(number, share, policy, scope, _TRUTHS[checks])


def _share(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None


def _truths(text: str) -> tuple[bool | None, bool | None]:
    if len(text) < 2:
        return None, None
    return _TRUTHS.get(text[0]), _TRUTHS.get(text[1])


def _critical(text: str) -> tuple[int | None, int | None, str]:
    """Return how many critical images there are, are missing, and why."""
    numbers = [_number(part) for part in text.split(',')[:3]]
    if len(numbers) < 3 or None in numbers:
        return None, None, ''
    wanted, missing, trouble = numbers
    return wanted, missing, (
        TROUBLES[trouble] if trouble and trouble < len(TROUBLES) else '')


def _room(text: str) -> tuple[int | None, bool | None]:
    parts = text.split(',')
    if len(parts) < 2 or parts[1] not in _TRUTHS:
        return None, None
    room = _number(parts[0])
    return (None, None) if room is None else (room, _TRUTHS[parts[1]])

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

#: No number of images, GiB or servers is larger.
MAX_NUMBER = 10 ** 9

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


UNKNOWN_FACTS = HostFacts()


def write(facts: HostFacts) -> str:
    """Return the fields of the header, each after a semicolon."""
    return ''.join(f';{name}={value}' for name, value in _fields(facts))


def _fields(facts: HostFacts) -> Iterator[tuple[str, str]]:
    for name, number in (('p', facts.protected), ('f', facts.free_gib)):
        if number is not None:
            yield name, str(min(max(number, 0), MAX_NUMBER))
    for name, text in (('m', facts.manager), ('s', facts.package),
                       ('e', facts.nova)):
        if text:
            yield name, _fit(text)
    if facts.asks_for_cap is False:
        yield 'l', '-'
    elif facts.cap is not None:
        cap = facts.cap
        yield 'l', ','.join((
            str(min(max(cap.number, 0), MAX_NUMBER)), f'{cap.share:.4g}',
            _fit(cap.policy), _fit(cap.scope), str(int(cap.checks))))
    truths = (facts.reflinks, facts.own_device)
    if truths != (None, None):
        yield 'x', ''.join('?' if truth is None else str(int(truth))
                           for truth in truths)


def _fit(text: str) -> str:
    return _UNFIT.sub('_', text[:MAX_TEXT])


def read(head: str) -> HostFacts:
    """Return what the header of a report says.

    Never raises: what cannot be read is unknown.

    :param head: all that is before the first record
    """
    fields = dict(field.partition('=')[::2]
                  for field in head.rstrip('|').split(';'))
    asks, cap = _cap(fields.get('l', ''))
    reflinks, own_device = _truths(fields.get('x', ''))
    return HostFacts(
        _number(fields.get('p', '')), _number(fields.get('f', '')),
        _text(fields.get('m', '')), cap, asks, _text(fields.get('s', '')),
        _text(fields.get('e', '')), reflinks, own_device)


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

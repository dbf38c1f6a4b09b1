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


"""Chances that do not depend on what was drawn before.

The image of a batch is the same whichever other batches are left out, and a
larger share of private images changes those batches only that become private.
So two workloads that differ in one option differ in nothing else.
"""

import bisect
from collections.abc import Callable
from collections.abc import Iterable
import functools
import hashlib
import itertools

#: Bits of a float's fraction, and how many numbers that are.
_BITS = 53
_NUMBERS = 2.0 ** _BITS


def chance(seed: int, *what: object) -> float:
    """Return a number from 0 to below 1, the same for the same arguments.

    All are equally likely. Blake2 is used because it is fast, even and the
    same on every machine.
    """
    text = '\0'.join(map(str, (seed, *what)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, 'big') >> (64 - _BITS)) / _NUMBERS


def inner(value: float) -> float:
    """Return a chance that is not 0, of which some functions have no value."""
    return value or 1 / _NUMBERS


@functools.lru_cache(maxsize=8)
def zipf(number: int, exponent: float) -> Callable[[float], int]:
    """Return what makes a rank from 1 to a number of a chance.

    Rank r is as likely as r ** -exponent says.
    """
    return weighted(
        (rank ** -exponent for rank in range(1, number + 1)), first=1)


def weighted(weights: Iterable[float], first: int = 0,
             ) -> Callable[[float], int]:
    """Return what makes an index of a chance, as likely as the weights say.

    :param first: the lowest index
    """
    bounds = list(itertools.accumulate(weights))

    def index(value: float) -> int:
        # A sum of floats may end a little below what it is multiplied to.
        found = bisect.bisect_right(bounds, value * bounds[-1])
        return first + min(found, len(bounds) - 1)

    return index

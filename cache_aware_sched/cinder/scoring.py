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

"""How much a cached volume in a pool is worth to a request. No Cinder.

Pure functions of plain numbers; a pool's weight is ``benefit * holds *
headroom * gate``, each in [0, 1], so that 1.0 is everything that a cached
volume could ever save.
"""

from collections.abc import Sequence
import dataclasses
import enum

from cache_aware_sched import fetch_time
from cache_aware_sched import guards

GIB = 2 ** 30

#: Volumes of an image that a pool may be sent at a time before it is not
#: preferred any more; from half of them on the interest fades. Judgement: the
#: clones of a cached volume share its backend, so that eight volumes that are
#: wanted at a time do not all go to one.
MAX_RECENT = 6

#: Volumes of the wanted size that a pool may hold while it is not full at all,
#: whatever the others hold. Judgement: with 4, half of four empty pools fetch
#: the image of eight volumes.
IDLE_VOLUMES = 4

#: How much fuller than the average candidate a pool may become, as a share of
#: that average. From the runs on the page "Volumes from images".
GATE_WIDTH = 0.1


class Holds(enum.Enum):
    """What a pool has of the image, and how much of the benefit that brings.

    As in nova-scheduler: a volume waits for an image that is being fetched,
    but nothing is fetched again.
    """

    COLD = 0.0
    FILLING = 0.9
    WARM = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Fullness:
    """How full a pool is with the volume in it.

    :param share: of its capacity, with what it may overcommit
    :param idle: the share up to which it is not full at all
    """

    share: float
    idle: float


@dataclasses.dataclass(frozen=True, slots=True)
class PoolScore:
    """Why a pool weighs what it weighs; the module's text has the parts."""

    holds: Holds
    benefit: float
    headroom: float = 1.0
    gate: float = 1.0

    @property
    def weight(self) -> float:
        """Return the product of the parts."""
        return self.benefit * self.holds.value * self.headroom * self.gate

    def __str__(self) -> str:
        return (f'{self.holds.name.lower()}, benefit {self.benefit:.2f}, '
                f'headroom {self.headroom:.2f}, gate {self.gate:.2f}')


def benefit(size: int) -> float:
    """Return what a cached volume saves.

    :param size: of it in GiB, which is that of the image once it is raw,
        rounded up
    """
    return fetch_time.benefit(fetch_time.fetch_seconds(size * GIB, 0))


def gate(pool: Fullness | None, average: float) -> float:
    """Return whether a pool is no fuller than the others.

    :param pool: None if it does not tell; nothing speaks against it then
    :param average: share, over the pools that tell
    """
    if pool is None:
        return 1.0
    return guards.gate(pool.share, average, GATE_WIDTH, pool.idle)


def scores(holds: Sequence[Holds], size: int, counts: Sequence[int],
           pools: Sequence[Fullness | None], *, spreads: bool
           ) -> list[PoolScore]:
    """Return what pools weigh, in their order.

    :param size: of the cached volume in GiB
    :param counts: the volumes of the image that each was sent lately
    :param spreads: whether full and busy pools are to be left alone; not where
        Cinder's weighers fill one pool after the other, nor with a negative
        multiplier
    """
    worth = benefit(size)
    average = guards.mean([pool.share for pool in pools if pool is not None])
    result = []
    for held, count, pool in zip(holds, counts, pools, strict=True):
        if held is Holds.COLD or not spreads:
            result.append(PoolScore(held, worth))
        else:
            result.append(PoolScore(
                held, worth, guards.headroom(count, MAX_RECENT),
                gate(pool, average)))
    return result

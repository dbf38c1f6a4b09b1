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

"""Which volumes this scheduler sent where moments ago. No Cinder.

Until a cached volume is there no table shows that a pool fetches an image, and
volumes that are wanted at the same time would be fetched for in every pool.
"""

import collections
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Sequence
import dataclasses
import threading
import time

#: However long the memory is: more than any cinder-scheduler places in five
#: minutes.
MAX_VOLUMES = 10_000

_Key = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """A volume that was sent to a pool.

    :param key: image, and place in which its cached volume would serve
    :param pool: the pool itself
    :param time: when, on the memory's clock
    """

    key: _Key
    pool: str
    time: float


@dataclasses.dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of one image.

    :param counts: how many volumes of it each pool was sent
    :param filling: the places in which its cached volume is expected
    """

    counts: Sequence[int]
    filling: Collection[str]


class RecentVolumes:
    """Remembers volumes, by their ids, until their time is over.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._volumes: collections.OrderedDict[str, Sent] = (
            collections.OrderedDict())
        self._counts: collections.Counter[_Key] = collections.Counter()
        # Image and place: the first volume that was sent there, and when. It
        # stays after its time: a place that made no cached volume then is not
        # believed to do so next time, until it has one.
        self._first: collections.OrderedDict[_Key, tuple[str, float]] = (
            collections.OrderedDict())

    def __len__(self) -> int:
        """Return the number of volumes that are remembered."""
        return len(self._volumes)

    def record(self, volume: str, image: str, pool: str, place: str | None
               ) -> None:
        """Remember where a volume was sent; the last word on it wins.

        :param place: in which its cached volume will be; None if none is
            expected, as there is one
        """
        now = self._clock()
        with self._lock:
            self._forget(volume)
            if len(self._volumes) >= MAX_VOLUMES:
                self._forget(next(iter(self._volumes)))
            self._volumes[volume] = Sent((image, place or pool), pool, now)
            self._counts[image, pool] += 1
            if place is not None:
                self._first.setdefault((image, place), (volume, now))
                if len(self._first) > MAX_VOLUMES:
                    self._first.popitem(last=False)

    def look(self, image: str, pools: Sequence[_Key], warm: Collection[str],
             seconds: float) -> Remembered:
        """Return what is remembered of an image.

        :param pools: the candidates, each with its place
        :param warm: the places that have a cached volume of it
        :param seconds: for how long a volume is remembered
        """
        now = self._clock()
        filling = set()
        with self._lock:
            self._expire(now - seconds)
            for _pool, place in pools:
                first = self._first.get((image, place))
                if first is None:
                    continue
                if place in warm:
                    del self._first[image, place]
                elif now - first[1] < seconds:
                    filling.add(place)
            counts = [self._counts.get((image, pool), 0)
                      for pool, _place in pools]
        return Remembered(counts, filling)

    def _expire(self, before: float) -> None:
        while self._volumes:
            oldest, sent = next(iter(self._volumes.items()))
            if sent.time > before:
                break
            self._drop(oldest)

    def _forget(self, volume: str) -> None:
        """Forget a volume that goes elsewhere, and what it was to fill."""
        sent = self._drop(volume)
        first = sent and self._first.get(sent.key)
        if sent and first and first[0] == volume:
            del self._first[sent.key]

    def _drop(self, volume: str) -> Sent | None:
        sent = self._volumes.pop(volume, None)
        if sent is not None:
            key = sent.key[0], sent.pool
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]
        return sent


_shared: RecentVolumes | None = None


def shared() -> RecentVolumes:
    """Return what this process remembers: Cinder makes weighers anew."""
    global _shared
    if _shared is None:
        _shared = RecentVolumes()
    return _shared


def forget() -> None:
    """Be as after a start of the process; for tests."""
    global _shared
    _shared = None

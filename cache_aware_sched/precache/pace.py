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

"""How fast, and when, images are fetched ahead of time. No nova."""

import collections
from collections.abc import Iterable
import dataclasses
import datetime
import math
import os

from cache_aware_sched import fetch_time
from cache_aware_sched.option import BadOption
from cache_aware_sched.option import Checked
from cache_aware_sched.option import Name
from cache_aware_sched.option import option
from cache_aware_sched.precache.plan import PlannedCopy

#: Bits of a byte, of which --max-gbps has 10 ** 9.
_GIGABIT = 1e9 / 8


@dataclasses.dataclass(frozen=True, slots=True)
class PaceOptions(Checked):
    """How much is fetched at a time."""

    concurrency: int = option(
        10, 'Images that are fetched at a time, by all commands together; '
        'each host fetches one at a time.', low=1, high=10_000)
    max_gbps: float = option(
        0.0, 'Gigabits a second of all fetches together, over the time that '
        'an image takes. 0 is no limit.', low=0, high=1e6)


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """A part of each day, in the local time of this machine.

    It may end on the next day, as from 22:00 to 06:00.
    """

    start: datetime.time
    end: datetime.time

    @classmethod
    def of(cls, text: str) -> 'Window':
        """Return the window of a text like ``22:00-06:00``.

        :raises ValueError: if it is no such text
        """
        first, dash, last = text.partition('-')
        try:
            window = cls(*(datetime.time.fromisoformat(one.strip())
                           for one in (first, last)))
        except ValueError:
            dash = ''
        # One with a zone of its own cannot be compared with local time.
        if (not dash or window.start == window.end
                or window.start.tzinfo or window.end.tzinfo):
            raise ValueError(f'{text!r} is not a time of day like '
                             '22:00-06:00')
        return window

    def is_open(self, now: datetime.time) -> bool:
        """Return whether a time of day lies in it."""
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


@dataclasses.dataclass(frozen=True, slots=True)
class FetchOptions(Checked):
    """How what was planned is carried out."""

    window: str = option(
        '', 'Part of the day in which fetches may begin, in the local time of '
        'this machine, as 22:00-06:00. Default: always.', metavar='TIME-TIME')
    pause_file: str = option(
        '', 'No fetch begins while this file is there.', metavar='FILE')
    timeout: int = option(
        3600, 'Seconds for one image, from when its host was asked.',
        low=1, high=7 * 86400)
    max_failures: int = option(
        10, 'Begin no more fetches after more than so many hosts have failed, '
        'and none on a host after more than so many have failed there.',
        low=0, high=1_000_000)
    results: str = option(
        '', 'Append what became of each fetch to this file, a JSON object a '
        'line.', metavar='FILE')

    def __post_init__(self) -> None:
        """Check the bounds, and the window.

        :raises BadOption: naming the field
        """
        Checked.__post_init__(self)
        try:
            if self.window:
                Window.of(self.window)
        except ValueError as error:
            raise BadOption('{}: {}', Name('window'), error) from None

    def closed(self) -> str:
        """Return why no fetch may begin now, '' if one may."""
        if self.pause_file and os.path.exists(self.pause_file):
            return f'{self.pause_file} is there'
        now = datetime.datetime.now().astimezone().time()
        if self.window and not Window.of(self.window).is_open(now):
            return f'fetches begin in the hours {self.window} only'
        return ''


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """How many images are fetched at a time, and how fast together.

    Nobody can slow a fetch of nova's down. So there are as many slots as
    fetches at the usual rate keep to the limit, and each slot is kept for so
    long that what was fetched in it keeps to its part: together they do, over
    the time that an image takes.

    :param slots: fetches at a time
    :param slot_rate: bytes a second of each slot; infinite without a limit
    """

    slots: int
    slot_rate: float = math.inf

    @classmethod
    def of(cls, options: PaceOptions, rate: float) -> 'Pace':
        """Return the pace for the limits.

        :param rate: how fast a host usually fetches, bytes a second; not
            positive means not known
        """
        if not options.max_gbps:
            return cls(options.concurrency)
        allowed = options.max_gbps * _GIGABIT
        slots = max(1, min(options.concurrency, math.floor(
            allowed / fetch_time.fetch_rate(rate))))
        return cls(slots, allowed / slots)

    def seconds(self, size: int) -> float:
        """Return how long a fetch keeps its slot at least."""
        return size / self.slot_rate

    def duration(self, copies: Iterable[PlannedCopy], rate: float) -> float:
        """Return how many seconds copies take, as well as can be told.

        All slots are busy, or the host that is to fetch most.

        :param rate: as of :meth:`of`
        """
        by_host: collections.Counter[str] = collections.Counter()
        for copy in copies:
            by_host[copy.host] += copy.size
        each = min(fetch_time.fetch_rate(rate), self.slot_rate)
        return max(by_host.total() / self.slots,
                   max(by_host.values(), default=0)) / each

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

"""The clock of the simulated cloud, and the order of events."""

from collections.abc import Callable
import heapq
import itertools
from typing import Any


class Loop:
    """Lets things happen one after the other.

    :ivar now: seconds since the start
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = itertools.count()
        self._events: list[
            tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def at(self, time: float, call: Callable[..., None], *args: Any) -> None:
        """Have something happen; of what is at one time the first said first.

        :param time: seconds since the start; what has passed is now
        """
        heapq.heappush(self._events, (
            max(time, self.now), next(self._numbers), call, args))

    def after(self, delay: float, call: Callable[..., None],
              *args: Any) -> None:
        """Have something happen after so many seconds."""
        self.at(self.now + delay, call, *args)

    def run(self) -> None:
        """Let everything happen, until there is nothing left."""
        while self._events:
            self.now, _number, call, args = heapq.heappop(self._events)
            call(*args)

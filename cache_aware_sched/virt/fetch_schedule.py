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

"""When a host fetches what it is missing. No nova."""

from collections.abc import Callable
from collections.abc import Collection
import math
import random

#: Seconds. A fetch that failed is repeated after up to the first of these,
#: twice that, and so on up to the last. Judgement: an outage of a minute costs
#: a minute, and one of a day asks for an image once an hour.
FIRST_RETRY, LAST_RETRY = 60.0, 3600.0

#: Seconds after which a fetch that did not fail, and brought nothing, is
#: repeated: somebody else writes the file.
AGAIN = 60.0

#: Seconds; no retry is sooner.
_LEAST = 1.0


class FetchSchedule:
    """Spreads the fetches of many hosts over time, each at random.

    Every delay is drawn from zero up ("full jitter"; Brooker, "Exponential
    Backoff And Jitter", 2015): hosts that begin together, or fail together,
    do not come back together.

    :param spread: seconds for which a host waits at most before it fetches
        what it has just found missing
    :param draw: returns a number between two others
    """

    def __init__(self, spread: float, draw: Callable[
            [float, float], float] = random.uniform) -> None:
        self._spread = spread
        self._draw = draw
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def next(self, missing: Collection[str], now: float) -> str | None:
        """Return what to fetch now, None for nothing yet.

        :param missing: all that is; of what is not, all is forgotten
        :param now: monotonic seconds
        """
        for image in self._due.keys() - set(missing):
            del self._due[image]
            self._failures.pop(image, None)
        for image in missing:
            if image not in self._due:
                self._due[image] = now + self._draw(0, self._spread)
        ready = [(due, image) for image, due in self._due.items()
                 if due <= now]
        return min(ready)[1] if ready else None

    def wait(self, now: float) -> float:
        """Return the seconds until something is due; infinity for never."""
        return max(0.0, min(self._due.values(), default=math.inf) - now)

    def fetched(self, image: str, now: float) -> None:
        """Note that a fetch has ended without a mistake."""
        self._failures.pop(image, None)
        self._due[image] = now + AGAIN

    def failed(self, image: str, now: float) -> float:
        """Note that a fetch has failed; return the seconds until the next."""
        failures = self._failures.get(image, 0)
        # No power of two that a float does not have.
        longest = min(LAST_RETRY, FIRST_RETRY * 2 ** min(failures, 30))
        delay = max(_LEAST, self._draw(0, longest))
        self._failures[image] = failures + 1
        self._due[image] = now + delay
        return delay

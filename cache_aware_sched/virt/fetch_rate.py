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

"""How fast a host fetches images."""

import math

from cache_aware_sched.virt import steady


class FetchRate:
    """How fast a host fetched images lately, too coarse to flutter.

    A moving average over about the last three fetches (a third of the weight
    is the newest one's), rounded to a power of two in MB/s. It is only rounded
    anew when it has moved three quarters of the way to the next power.
    """

    NEWEST = 1 / 3
    #: Bytes; smaller fetches measure the latency, not the rate.
    SMALLEST = 64 * 10 ** 6
    #: Seconds; shorter ones measure anything but the network.
    SHORTEST = 1.0
    #: MB/s; beyond it no fetch is worth to be spared.
    FASTEST = 4096.0

    def __init__(self) -> None:
        self._log2 = 0.0
        self._power = steady.Steady()

    def add(self, size: int, seconds: float) -> None:
        """Take the measure of a fetch of so many bytes."""
        if size < self.SMALLEST or seconds < self.SHORTEST:
            return
        rate = min(max(size / seconds / 1e6, 1.0), self.FASTEST)
        now = math.log2(rate)
        if self._power.step is None:
            self._log2 = now
        self._log2 += (now - self._log2) * self.NEWEST
        self._power.follow(self._log2)

    @property
    def mb_per_second(self) -> int:
        """MB/s to report; 0 before the first measure."""
        return 0 if self._power.step is None else int(2 ** self._power.step)

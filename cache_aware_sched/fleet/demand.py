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

"""How many copies of an image a cloud wants, pure functions."""

from collections.abc import Sequence
import datetime
import math

#: One copy for this many servers that are created at the same time, at least
#: three, and 50 at most: what Azure asks for of the images of its Compute
#: Gallery (Azure Proactive Resiliency Library, CG-1). No other cloud has
#: published such a formula.
CREATES_PER_COPY = 20
LEAST_COPIES, MOST_COPIES = 3, 50

#: Servers are created at the same time if they were asked for within this.
#: Judgement: a large image takes a host about as long. What was in progress
#: at a moment would not do: where the image is cached, builds are over in
#: seconds, and the copies that made them so would seem to be too many.
BURST = datetime.timedelta(minutes=10)


def largest_burst(created: Sequence[datetime.datetime]) -> int:
    """Return the most servers that were created within :data:`BURST`.

    :param created: in any order, all with a time zone or all without
    """
    times = sorted(created)
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] > BURST:
            first += 1
        most = max(most, last - first + 1)
    return most


def copies_wanted(burst: int, boots: int, hosts: int) -> int:
    """Return on how many hosts an image should be.

    ``min(max(3, ceil(burst / 20)), 50, boots, hosts)``: more copies than boots
    in the whole period would be fetched for nobody.

    :param burst: servers that were created at the same time, see
        :func:`largest_burst`
    :param boots: servers that were created in the period
    :param hosts: that can hold an image
    """
    copies = max(LEAST_COPIES, math.ceil(burst / CREATES_PER_COPY))
    return max(0, min(copies, MOST_COPIES, boots, hosts))

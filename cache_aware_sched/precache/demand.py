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

"""How often an image is asked for, and how many copies that is worth.

Pure functions. No nova.
"""

from collections.abc import Sequence
import datetime
import math

#: A copy for this many servers that are created at the same time, at least
#: three: what Azure asks for of the images of its Compute Gallery (Azure
#: Proactive Resiliency Library, CG-1). No other cloud has published such a
#: formula.
CREATES_PER_COPY = 20
LEAST_COPIES = 3

#: After which a boot counts half. Judgement: a week, as for the popularity of
#: an image (image_cache_popularity_half_life_hours).
HALF_LIFE = datetime.timedelta(days=7)

#: Half-lives before now that are looked at: what is older counts less than
#: one in 60.
HALF_LIVES = 6

#: Copies for each boot a day, and the boots a day below which an image is not
#: fetched ahead of time at all. Both were chosen by replays of a trace: see
#: "What pre-caching brings" in the documentation. More copies were fetched for
#: too few servers, with fewer ones more servers waited. (By the square root of
#: the demand, copies shorten the way to the nearest one most: Cohen and
#: Shenker, SIGCOMM 2002. Here no host asks another: it has one, or fetches.)
COPIES_PER_BOOT = 1
LEAST_BOOTS = 0.5

_DAY = datetime.timedelta(days=1)


def boots_per_day(created: Sequence[datetime.datetime],
                  now: datetime.datetime,
                  half_life: datetime.timedelta,
                  period: datetime.timedelta) -> float:
    """Return how many servers a day are to be expected.

    Each server counts ``2 ** (-age / half_life)``. If servers are created at
    a steady rate, the expected sum of that is the rate times the integral of
    the weight over the period, ``half_life / ln 2 * (1 - 2 ** (-period /
    half_life))``; so the sum divided by it is the rate.

    :param created: when servers were created, all with a time zone or all
        without, as ``now``; what lies in the future counts as now
    :param period: before now, in which all of them are known
    """
    # Exactly: a database gives the servers in any order.
    total = math.fsum(math.pow(0.5, max(now - time, _DAY * 0) / half_life)
                      for time in created)
    seen = 1 - math.pow(0.5, period / half_life)
    return total * math.log(2) * (_DAY / half_life) / seen


def copies_wanted(boots_per_day: float, hosts: int,
                  least: int = LEAST_COPIES, announced: int = 0,
                  servers_per_copy: int = CREATES_PER_COPY) -> int:
    """Return on how many hosts an image should be.

    ``max(least, ceil(COPIES_PER_BOOT * boots_per_day))``, and none of an image
    that is booted less than :data:`LEAST_BOOTS` times a day. For servers that
    are announced one copy for each ``servers_per_copy``, ``least`` or more.

    :param boots_per_day: see :func:`boots_per_day`
    :param hosts: that can hold an image
    :param least: copies of an image that is asked for at all
    :param announced: servers that are known to come at the same time
    :param servers_per_copy: of those
    """
    standing = max(least, math.ceil(COPIES_PER_BOOT * boots_per_day)) if (
        boots_per_day >= LEAST_BOOTS) else 0
    coming = max(least, math.ceil(announced / servers_per_copy)) if (
        announced) else 0
    return max(0, min(max(standing, coming), hosts))

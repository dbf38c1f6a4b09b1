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

"""Which copies are renewed, so that they do not age out. No nova.

With the image cache manager ``age``, as with nova's own, a copy leaves when no
server has used it for a day. A host that is asked to fetch an image that is
there sets the time at which it was used, and fetches nothing.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import datetime

from cache_aware_sched.precache.plan import PlannedCopy
from cache_aware_sched.precache.results import CopyResult
from cache_aware_sched.precache.results import FetchOutcome
from cache_aware_sched.precache import terms


def renewals(hosts: Iterable[terms.CacheHost],
             images: Sequence[terms.PlannedImage],
             ) -> Iterator[terms.PlannedFetch]:
    """Return the copies that a plan counts on and that no server uses.

    As many as are wanted, and always the same ones: the others may age. A copy
    that a server uses is renewed by the host itself, in each pass of its
    manager.

    :returns: copies that are there, image by image
    """
    idle: dict[tuple[str, str], list[terms.CacheHost]] = (
        collections.defaultdict(list))
    used: collections.Counter[tuple[str, str]] = collections.Counter()
    for host in hosts:
        if not host.unfit:
            for image in host.held:
                if image in host.in_use:
                    used[host.zone, image] += 1
                else:
                    idle[host.zone, image].append(host)
    for planned in images:
        image, zone = planned.wish.image, planned.wish.zone
        left = max(0, planned.wanted - used[zone, image])
        for host in sorted(idle[zone, image],
                           key=lambda host: host.name)[:left]:
            yield terms.PlannedFetch(image, zone, host.name, host.held[image])


class RenewedCopies:
    """Knows when copies were renewed last.

    :param every: after which one is renewed again; 0 for never
    """

    def __init__(self, every: datetime.timedelta) -> None:
        self._every = every
        self._last: dict[tuple[str, str], datetime.datetime] = {}

    def due(self, copies: Iterable[PlannedCopy], now: datetime.datetime,
            ) -> tuple[PlannedCopy, ...]:
        """Return the copies that were not renewed, or fetched, lately.

        :param now: as of :meth:`note`
        """
        if not self._every:
            return ()
        self._last = {copy: at for copy, at in self._last.items()
                      if now - at < self._every}
        return tuple(copy for copy in copies
                     if (copy.host, copy.image_id) not in self._last)

    def note(self, result: CopyResult, now: datetime.datetime) -> None:
        """Note what became of a copy, now."""
        if self._every and result.outcome in (
                FetchOutcome.CACHED, FetchOutcome.RENEWED):
            self._last[result.copy.host, result.copy.image_id] = now

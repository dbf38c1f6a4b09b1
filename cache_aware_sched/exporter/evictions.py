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

"""Evictions, and those that were regretted, pure functions of what is told.

Who told of a fetch or an eviction is all the same: a notification, or two
reports of a host of which only one lists the image.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
import datetime
from typing import NamedTuple

from cache_aware_sched.fleet.hosts import ReportingHost
from cache_aware_sched import report

#: Evictions that are remembered, the latest ones. Judgement: 1,000 hosts that
#: each evict 100 images within the hours of a regret.
MAX_REMEMBERED = 100_000


class CacheChange(NamedTuple):
    """An image that came into the cache of a host, or went.

    :param evicted: whether it went
    :param host: of the compute node
    :param image: what the reports call it
    :param size: bytes, 0 if they are not known
    """

    evicted: bool
    host: str
    image: str
    size: int


class Regrets:
    """Remembers evictions, and says which fetches undo one.

    :param within: of the eviction
    """

    def __init__(self, within: datetime.timedelta) -> None:
        self._within = within
        self._evicted: collections.OrderedDict[
            tuple[str, str], datetime.datetime] = collections.OrderedDict()

    def evicted(self, host: str, image: str,
                at: datetime.datetime) -> None:
        """Remember an eviction."""
        self._evicted[host, image] = at
        self._evicted.move_to_end((host, image))
        if len(self._evicted) > MAX_REMEMBERED:
            self._evicted.popitem(last=False)

    def fetched(self, host: str, image: str, at: datetime.datetime) -> bool:
        """Return whether a fetch undoes an eviction; each eviction once."""
        evicted = self._evicted.pop((host, image), None)
        return evicted is not None and at - evicted <= self._within


class ReportChanges:
    """Compares the reports of hosts with those before."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], dict[str, int]] = {}

    def new(self, hosts: Iterable[ReportingHost]) -> Iterator[CacheChange]:
        """Return what has changed on the hosts that were seen before.

        A report that was truncated, or that could not be read, tells nothing:
        the host is compared with its report before.
        """
        for host in hosts:
            if host.reported is None or host.reported.header.truncated:
                continue
            node = host.name, host.node
            now = {file.sha1: file.size for file in host.files
                   if file.kind is report.FileKind.COMPLETE}
            before = self._before.get(node)
            self._before[node] = now
            if before is None:
                continue
            for image in before.keys() - now.keys():
                yield CacheChange(True, host.name, image, before[image])
            for image in now.keys() - before.keys():
                yield CacheChange(False, host.name, image, now[image])

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

"""A view: an image cache at one moment, with what is needed of it."""

import dataclasses

from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache import limits

#: Seconds for which what was just used stays, if a limit can be kept without
#: it. Whoever uses an entry touches it first, and then takes a moment until
#: something else shows that it is in use. Judgement: many times that, also
#: where a disk is slow; little beside the hours between two passes.
GRACE_SECONDS = 300

#: Seconds without a write after which a fetch is over that left its files
#: behind. Converting an image takes minutes, and leaves one of the two idle.
ABANDONED_SECONDS = 3600


@dataclasses.dataclass(slots=True)
class View:
    """A cache at one moment.

    :param entries: all that are there
    :param in_use: names of those that something needs
    :param protected: names of those that are protected
    :param need: of what is being fetched
    :param disk: how full the file system is
    :param recent: names of those that were used a moment ago
    """

    entries: list[Entry]
    in_use: set[str]
    protected: set[str]
    need: limits.Need
    disk: limits.Disk | None
    recent: set[str] = dataclasses.field(default_factory=set)

    def evictable(self, gone: set[str]) -> list[Entry]:
        """Return what nothing keeps, without what is gone already."""
        kept = self.in_use | self.protected | gone
        return [entry for entry in self.entries if entry.name not in kept]


def recent(entries: list[Entry], now: float) -> set[str]:
    """Return what was used a moment ago."""
    return {entry.name for entry in entries
            if now - entry.last_used < GRACE_SECONDS}


def arriving(entries: list[Entry], now: float) -> set[str]:
    """Return the files of fetches that go on, also on another host."""
    written = [entry for entry in entries if entry.kind is Kind.TEMPORARY]
    going_on = {entry.sha1 for entry in written
                if now - entry.last_used < ABANDONED_SECONDS}
    return {entry.name for entry in written if entry.sha1 in going_on}


def need(entries: list[Entry], fetching: dict[str, limits.Need]
          ) -> limits.Need:
    """Add up what is being fetched."""
    there = {entry.sha1 for entry in entries
             if entry.kind is not Kind.TEMPORARY}
    return limits.Need(
        peak=sum(one.peak for one in fetching.values()),
        final=sum(one.final for one in fetching.values()),
        written=sum(entry.allocated for entry in entries
                    if entry.kind is Kind.TEMPORARY
                    and entry.sha1 in fetching),
        images=sum(one.images for sha1, one in fetching.items()
                   if sha1 not in there))

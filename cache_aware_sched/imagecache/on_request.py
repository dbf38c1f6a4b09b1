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

"""Evicts one image because an operator asks, or says what keeps it.

The operator's command is another process than nova-compute, as a host is that
shares the storage. So it is held off as such a host is: whoever uses an image
touches its file first, and this evicts none that was touched a moment ago
(:data:`.evictable.GRACE_SECONDS`), nor one that is touched meanwhile
(:meth:`.directory.Directory.remove`).
"""

from collections.abc import Sequence
import dataclasses
from typing import Any
import uuid

from oslo_utils import uuidutils

from cache_aware_sched import image_ids
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache import evictable
from cache_aware_sched.imagecache import evictor as evictor_mod
from cache_aware_sched.imagecache import protected
from cache_aware_sched.imagecache import used
from cache_aware_sched import report
from cache_aware_sched import wording

#: Why an entry was evicted, in logs and notifications.
REASON = 'requested'

#: How many servers are named.
_NAMED = 3

_JUST_NOW = ('it was not there as it was a moment ago: somebody has begun to '
             'use it, or has its lock')


@dataclasses.dataclass(frozen=True, slots=True)
class EvictionAnswer:
    """What became of an entry.

    :param kept: why it stays; '' if it is evicted
    """

    entry: Entry
    kept: str


def entries_of(image: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of an image.

    :param image: its id, however spelt; the 12 characters that stand for it
        in a report; or the sha1 of its id, as in the names of its files
    """
    if uuidutils.is_uuid_like(image):
        wanted = {report.image_sha1(spelt)
                  for known in (image, str(uuid.UUID(image)))
                  for spelt in (known, known.lower(), known.upper())}
        return [entry for entry in entries if entry.sha1 in wanted or (
            entry.image_id is not None and image_ids.canonical(
                entry.image_id) == str(uuid.UUID(image)))]
    return [entry for entry in entries if entry.sha1 and image in (
        entry.sha1, report.sha1_key(entry.sha1))]


class OnRequest:
    """Evicts images because an operator asks.

    :param evictor: of the cache
    :param keep: the protected images
    """

    def __init__(self, evictor: evictor_mod.Evictor,
                 keep: protected.ProtectedImages) -> None:
        self._evictor = evictor
        self._keep = keep

    def evict(self, image: str, view: evictable.View, instances: Sequence[Any],
              outcome: evictor_mod.EvictionResult) -> list[EvictionAnswer]:
        """Evict the entries of an image that nothing keeps.

        :param image: see :func:`entries_of`
        :param view: of the whole cache
        :param instances: of the hosts of this cache
        :returns: an answer for each entry, none if there is none
        """
        answers = []
        for entry in entries_of(image, view.entries):
            kept = '; '.join(self._reasons(entry, view, instances))
            if not kept and not self._evictor.evict(entry, REASON, outcome):
                kept = _JUST_NOW
            answers.append(EvictionAnswer(entry, kept))
        return answers

    def _reasons(self, entry: Entry, view: evictable.View,
                 instances: Sequence[Any]) -> list[str]:
        """Return what keeps an entry."""
        found = []
        if entry.name in view.protected:
            found.append(f'it is protected by {self._protects(entry)}')
        if entry.name in view.in_use:
            found.append(self._uses(entry, view, instances))
        idle = view.listing.now - entry.last_used
        if not found and entry.name in view.listing.recent():
            wait = evictable.GRACE_SECONDS - idle
            found.append(
                f'it was used {idle:.0f} s ago, and nova-compute may be '
                f'making a disk of it: try again in {wait:.0f} s')
        return found

    def _uses(self, entry: Entry, view: evictable.View,
              instances: Sequence[Any]) -> str:
        """Return what uses an entry that is in use."""
        users = used.users(instances, entry.sha1 or '')
        if users:
            more = len(users) - _NAMED
            return (f'{wording.counted(len(users), "server")} of this cache '
                    f'{"uses" if len(users) == 1 else "use"} it: '
                    + ', '.join(users[:_NAMED])
                    + (f' and {more} more' if more > 0 else ''))
        if view.unsure:
            return view.unsure
        if entry.name in evictable.arriving(view.entries, view.listing.now):
            return 'it is being fetched'
        return 'a disk, or another file of the cache, is made on top of it'

    def _protects(self, entry: Entry) -> str:
        """Return which options and aggregates protect an entry."""
        return ' and '.join(dict.fromkeys(
            where if where.startswith('aggregate ')
            else f'[cache_aware_sched] {where}'
            for image_id, sources in self._keep.sources().items()
            if entries_of(image_id, [entry]) for where in sources))

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

"""Evicts from an image cache what its policy and its limits do not allow.

It has the store delete the files (:mod:`.directory`, ``Directory.remove``).
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import time

from oslo_log import log as logging

from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache.evictable import Evictable
from cache_aware_sched.imagecache.evictable import Listing
from cache_aware_sched.imagecache.evictable import View
from cache_aware_sched.imagecache import history
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache import policies
from cache_aware_sched.imagecache import protected
from cache_aware_sched.imagecache import store

LOG = logging.getLogger(__name__)

#: Seconds for which a store is asked what entries share. A boot may wait for
#: the answer; what is not asked about counts as free when it is gone, so that
#: an eviction may free less. Judgement.
_SHARED_SECONDS = 5.0

#: Why the remains of a fetch that was killed are evicted.
_LEFT_BEHIND = 'left_behind'


@dataclasses.dataclass(slots=True)
class EvictionResult:
    """What became of a cache.

    :param evicted: entries and the reason of each
    :param absent: names of these, and of what somebody else removed meanwhile
    :param stuck: names of entries that could not be evicted
    :param exceeded: limits that are exceeded nevertheless
    :param lacks: bytes that the file system then has too few
    """

    evicted: list[tuple[Entry, str]] = dataclasses.field(default_factory=list)
    absent: set[str] = dataclasses.field(default_factory=set)
    stuck: set[str] = dataclasses.field(default_factory=set)
    exceeded: list[limits.Limit] = dataclasses.field(default_factory=list)
    lacks: int = 0


class Evictor:
    """Looks at a cache, and evicts what may be evicted.

    :param host: for logs
    :param where: the cache
    :param policy: what decides
    :param dry_run: whether everything stays
    """

    def __init__(self, host: str, where: store.Store,
                 policy: policies.EvictionPolicy, allowed: limits.Limits,
                 keep: protected.ProtectedImages, known: history.ImageHistory,
                 dry_run: bool) -> None:
        self._host = host
        self._store = where
        self._policy = policy
        self.limits = allowed
        self._protected = keep
        self._history = known
        self.is_dry_run = dry_run
        self.evictable = Evictable(host, where, keep)

    def look(self) -> Listing:
        """Return what is there, with what is known of the images.

        :raises OSError: if it cannot be told
        """
        fetching = dict(self.evictable.fetching)
        now = self._store.now()
        protected_ids = self._protected.by_sha1()
        return Listing([
            entry.known(protected_ids.get(entry.sha1)
                        or self._history.image_id(entry.sha1)
                        or entry.image_id,
                        self._history.boots(entry.sha1, now))
            if entry.sha1 else entry for entry in self._store.entries(now)],
            fetching, self._store.disk(), now)

    def is_exceeded(self, listing: Listing) -> bool:
        """Return whether a limit asks for room."""
        return bool(
            listing.budget(self.limits).exceeded()
            or any(self.limits.exclude(entry.size)
                   for entry in listing.entries))

    def at_least(self, view: View) -> limits.Budget:
        """Return the account of the cache if everything were evicted."""
        budget = view.listing.budget(self.limits)
        for entry in self._sharing(budget, view.evictable()):
            budget.without(entry)
        return budget

    def _sharing(self, budget: limits.Budget,
                 free: list[Entry]) -> list[Entry]:
        """Return entries with what each shares, if the disk is too full."""
        if not budget.lacks and not any(
                limit.is_of_disk for limit in budget.exceeded()):
            return free
        end = time.monotonic() + _SHARED_SECONDS
        return [dataclasses.replace(entry, shared=self._store.shared(entry))
                if time.monotonic() < end else entry for entry in free]

    def evict_expired(self, view: View, outcome: EvictionResult) -> None:
        """Evict what the policy does not want to keep."""
        for entry in self._ask(self._policy.expired, [
                entry for entry in view.evictable(view.listing.recent())
                if entry.kind is not Kind.TEMPORARY]):
            self.evict(entry, self._policy.reason, outcome)

    def evict_to_limits(self, view: View, outcome: EvictionResult,
                        first: str | None = None) -> None:
        """Evict what the limits do not allow.

        :param first: sha1 of the image that is evicted before all others
        """
        budget = view.listing.budget(self.limits)
        for entry in view.entries:
            if entry.name in outcome.absent:
                budget.without(entry)
        budget.see(self._disk_now())
        recent = view.listing.recent()
        outcome.exceeded = limits.evict(
            budget, self._order(self._sharing(budget, view.evictable(
                outcome.absent | outcome.stuck)), recent, first),
            lambda entry, limit: self.evict(entry, limit.value, outcome),
            self._disk_now, recent)
        outcome.lacks = budget.lacks

    def note_too_large(self, view: View, outcome: EvictionResult) -> None:
        """Note the limit of size if something stays that exceeds it alone.

        It is evicted before all others, if the policy lets it.
        """
        if limits.Limit.SIZE not in outcome.exceeded and any(
                self.limits.exclude(entry.size)
                for entry in view.evictable(outcome.absent | outcome.stuck)):
            outcome.exceeded.insert(0, limits.Limit.SIZE)

    def _disk_now(self) -> limits.Disk | None:
        return None if self.is_dry_run else self._store.disk()

    def _order(self, free: list[Entry], recent: set[str],
               first: str | None) -> list[Entry]:
        """Return what may be evicted, in the order in which it is.

        First what is of no use to anybody, and last what was just used.
        """
        left = [entry for entry in free if entry.kind is Kind.TEMPORARY]
        order = self._ask(self._policy.order, [
            entry for entry in free if entry.kind is not Kind.TEMPORARY])
        return left + sorted(order, key=lambda entry: (
            first is None or entry.sha1 != first, entry.name in recent))

    def _ask(self, question: Callable[[Sequence[Entry], float],
                                      Iterable[Entry]],
             free: list[Entry]) -> list[Entry]:
        """Return the answer of the policy as far as it makes sense."""
        by_name = {entry.name: entry for entry in free}
        try:
            answer = question(tuple(free), self._store.now())
            names = dict.fromkeys(entry.name for entry in answer)
        except Exception:
            LOG.exception('The image cache manager %(manager)s fails on host '
                          '%(host)s, and evicts nothing.',
                          {'manager': type(self._policy).__name__,
                           'host': self._host})
            return []
        return [by_name[name] for name in names if name in by_name]

    def evict(self, entry: Entry, reason: str,
              outcome: EvictionResult) -> bool:
        """Evict an entry; return whether it is there no more.

        The caller has asked :attr:`evictable` whether it may be evicted.
        """
        if entry.kind is Kind.TEMPORARY:
            reason = _LEFT_BEHIND
        what = {'host': self._host, 'file': entry.name, 'size': entry.size,
                'image': entry.image_id or 'unknown', 'reason': reason,
                'shared': (f', {entry.shared} of them shared with disks and '
                           'not free' if entry.shared else '')}
        if self.is_dry_run:
            LOG.info('Host %(host)s would evict %(file)s (image %(image)s, '
                     '%(size)d bytes%(shared)s): %(reason)s', what)
            outcome.evicted.append((entry, reason))
            outcome.absent.add(entry.name)
            return True
        with self.evictable.in_progress.holding_off(entry.sha1) as in_use:
            removal = (store.Removal.IN_USE if in_use else self._store.remove(
                entry, lambda: self.evictable.still(entry)))
        if removal is store.Removal.REMOVED:
            LOG.info('Host %(host)s evicted %(file)s (image %(image)s, '
                     '%(size)d bytes%(shared)s): %(reason)s', what)
            outcome.evicted.append((entry, reason))
        else:
            LOG.debug('Host %(host)s did not evict %(file)s (image '
                      '%(image)s): %(removal)s',
                      {**what, 'removal': removal.value})
        absent = removal in (store.Removal.REMOVED, store.Removal.GONE)
        (outcome.absent if absent else outcome.stuck).add(entry.name)
        return absent

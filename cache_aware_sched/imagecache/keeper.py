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

"""Keeps an image cache within its limits, and what is needed in it."""

from collections.abc import Callable
from collections.abc import Container
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
from typing import Protocol

from oslo_log import log as logging

from cache_aware_sched import image_ids
from cache_aware_sched.imagecache import backing
from cache_aware_sched.imagecache import busy
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache import history
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache import protected
from cache_aware_sched.imagecache import store
from cache_aware_sched.imagecache.used import Used
from cache_aware_sched.imagecache import view as view_mod
from cache_aware_sched import once
from cache_aware_sched import report

LOG = logging.getLogger(__name__)
_ONCE = once.Once(LOG)

#: Why the remains of a fetch that was killed go.
_LEFT_BEHIND = 'left_behind'


class Policy(Protocol):
    """What decides, see BaseImageCacheManager."""

    reason: str

    def expired(self, entries: Sequence[Entry], now: float
                ) -> Iterable[Entry]:
        """Return what goes although nobody asks for room."""

    def order(self, entries: Sequence[Entry], now: float) -> Iterable[Entry]:
        """Return what goes when a limit asks for room, the first first."""


@dataclasses.dataclass(slots=True)
class Outcome:
    """What became of a cache.

    :param evicted: entries and the reason of each
    :param gone: names of these, and of what somebody else removed meanwhile
    :param stuck: entries that could not be removed
    :param exceeded: limits that are exceeded nevertheless
    """

    evicted: list[tuple[Entry, str]] = dataclasses.field(default_factory=list)
    gone: set[str] = dataclasses.field(default_factory=set)
    stuck: list[Entry] = dataclasses.field(default_factory=list)
    exceeded: list[limits.Limit] = dataclasses.field(default_factory=list)


class Keeper:
    """Looks at a cache, guards what is needed, and removes the rest.

    :param host: for logs
    :param where: the cache
    :param policy: what decides
    :param dry_run: whether everything stays
    """

    def __init__(self, host: str, where: store.Store, policy: Policy,
                 allowed: limits.Limits, keep: protected.ProtectedImages,
                 known: history.ImageHistory, dry_run: bool) -> None:
        self._host = host
        self._store = where
        self._policy = policy
        self.limits = allowed
        self._protected = keep
        self._history = known
        self._dry_run = dry_run
        self.busy = busy.Busy()
        self.fetching: dict[str, limits.Need] = {}

    def protected(self) -> dict[str, str]:
        """Return the ids of the protected images by their sha1."""
        return self._protected.by_sha1()

    def _pinned(self) -> set[str]:
        """Return the sha1s of the ids of the protected images.

        Also as they are in upper case: a base file is named by what was typed
        when its server was booted.
        """
        return {report.image_sha1(spelt)
                for image_id in self.protected().values()
                for spelt in (image_id, image_id.upper())}

    def entries(self) -> list[Entry]:
        """Return the entries with what is known of their images.

        :raises OSError: if they cannot be told
        """
        now = self._store.now()
        protected_ids = self.protected()
        return [dataclasses.replace(
            entry,
            image_id=(protected_ids.get(entry.sha1)
                      or self._history.image_id(entry.sha1)),
            boots=self._history.boots(entry.sha1, now),
        ) if entry.sha1 else entry for entry in self._store.entries()]

    def exceeded(self, entries: list[Entry]) -> bool:
        """Return whether anything has to go."""
        return bool(self._budget(view_mod.View(
            entries, set(), set(), view_mod.need(entries, self.fetching),
            self._store.disk())).exceeded())

    def lacking(self, view: view_mod.View) -> list[limits.Limit]:
        """Return the limits that are exceeded when all goes that may go."""
        budget = self._budget(view)
        for entry in view.evictable(set()):
            budget.without(entry)
        return budget.exceeded()

    def view(self, entries: list[Entry], used: Used,
             anew: bool = False) -> view_mod.View:
        """Return the cache with what is needed of it.

        All of it is, if nobody can tell.

        :param anew: whether to look at all disks
        """
        fetching = dict(self.fetching)
        in_use = {entry.name for entry in used.entries(entries)}
        images = self.busy.sha1s() | set(fetching)
        in_use |= {entry.name for entry in entries if entry.sha1 in images}
        now = self._store.now()
        in_use |= view_mod.arriving(entries, now)
        if self.busy:  # they may be made a disk of at this very moment
            in_use |= {entry.name for entry in entries if entry.is_blank}
        names = {entry.name for entry in entries}
        try:
            in_use = self._store.backing(names, in_use, anew)
        except backing.UnreadableDisk as error:
            _ONCE.warning(
                ('disk', str(error)),
                'Host %(host)s evicts nothing from its image cache: it cannot '
                'tell what this disk is made on top of: %(error)s',
                {'host': self._host, 'error': error})
            in_use = names
        safe = self._pinned()
        if self._protected.is_unread:
            LOG.warning(
                'Host %(host)s evicts nothing from its image cache: which '
                'images are protected is not known, as [cache_aware_sched] '
                'protected_images_file was not read yet. Create the file, or '
                'correct the option.', {'host': self._host})
            in_use = names
        return view_mod.View(
            entries, in_use,
            {entry.name for entry in entries if _is_one_of(entry, safe)
             and entry.kind is not Kind.TEMPORARY},
            view_mod.need(entries, fetching), self._store.disk(),
            view_mod.recent(entries, now))

    def _budget(self, view: view_mod.View) -> limits.Budget:
        """Return the account of a cache.

        The bytes of what is larger than the limit and needed nevertheless are
        not counted: nothing else need go for it, as the limit would not be
        kept then.
        """
        free = {entry.name for entry in view.evictable(set())}
        counted = [entry for entry in view.entries
                   if not (entry.kind is Kind.TEMPORARY
                           and entry.sha1 in self.fetching)]
        return limits.Budget(
            self.limits, counted, view.disk, view.need,
            {entry.name for entry in counted if entry.name not in free
             and self._too_large(entry.size)})

    def expire(self, view: view_mod.View, outcome: Outcome) -> None:
        """Remove what the policy does not want to keep."""
        free = [entry for entry in view.evictable(view.recent)
                if entry.kind is not Kind.TEMPORARY]
        for entry in self._ask(self._policy.expired, free):
            self._remove(entry, self._policy.reason, outcome)

    def make_fit(self, view: view_mod.View, outcome: Outcome) -> None:
        """Remove what has to go for the limits to be kept."""
        budget = self._budget(view)
        for entry in view.entries:
            if entry.name in outcome.gone:
                budget.without(entry)
        for entry in outcome.stuck:
            if self._too_large(entry.size):
                budget.beyond(entry)
        budget.see(self._disk_now())
        stuck = {entry.name for entry in outcome.stuck}

        def remove(entry: Entry, limit: limits.Limit) -> bool:
            gone = self._remove(entry, limit.value, outcome)
            if not gone and self._too_large(entry.size):
                budget.beyond(entry)
            return gone

        outcome.exceeded = limits.make_fit(
            budget, self._order(
                view.evictable(outcome.gone | stuck), view.recent),
            remove, self._disk_now, view.recent)

    def _disk_now(self) -> limits.Disk | None:
        return None if self._dry_run else self._store.disk()

    def _order(self, free: list[Entry], recent: set[str]) -> list[Entry]:
        """Return what may go, in the order in which it goes.

        First what is of no use to anybody, then what exceeds the limit alone:
        it has to go whatever else goes. At last what was just used.
        """
        left = [entry for entry in free if entry.kind is Kind.TEMPORARY]
        order = self._ask(self._policy.order, [
            entry for entry in free if entry.kind is not Kind.TEMPORARY])
        return left + sorted(
            order, key=lambda entry: (
                not self._too_large(entry.size), entry.name in recent))

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

    def _too_large(self, size: int) -> bool:
        return bool(self.limits.max_bytes and size > self.limits.max_bytes)

    def _remove(self, entry: Entry, reason: str, outcome: Outcome) -> bool:
        if entry.kind is Kind.TEMPORARY:
            reason = _LEFT_BEHIND
        what = {'host': self._host, 'file': entry.name, 'size': entry.size,
                'image': entry.image_id or 'unknown', 'reason': reason}
        if self._dry_run:
            LOG.info('Host %(host)s would evict %(file)s (image %(image)s, '
                     '%(size)d bytes): %(reason)s', what)
            outcome.evicted.append((entry, reason))
            outcome.gone.add(entry.name)
            return True
        with self.busy.holding_off(entry.sha1) as in_use:
            removal = (store.Removal.IN_USE if in_use else self._store.remove(
                entry, lambda: self._still_free(entry)))
        if removal is store.Removal.REMOVED:
            LOG.info('Host %(host)s evicted %(file)s (image %(image)s, '
                     '%(size)d bytes): %(reason)s', what)
            outcome.evicted.append((entry, reason))
        else:
            LOG.debug('Host %(host)s did not evict %(file)s (image '
                      '%(image)s): %(removal)s',
                      {**what, 'removal': removal.value})
        if removal in (store.Removal.REMOVED, store.Removal.GONE):
            outcome.gone.add(entry.name)
        else:
            outcome.stuck.append(entry)
        return entry.name in outcome.gone

    def _still_free(self, entry: Entry) -> bool:
        if entry.is_blank and self.busy:
            return False
        return (entry.kind is Kind.TEMPORARY
                or not _is_one_of(entry, self._pinned()))


def _is_one_of(entry: Entry, images: Container[str]) -> bool:
    """Return whether an entry is of one of the images.

    :param images: sha1s of their ids, spelt as Glance does at least
    """
    return entry.sha1 in images or (
        entry.image_id is not None and report.image_sha1(
            image_ids.canonical(entry.image_id)) in images)

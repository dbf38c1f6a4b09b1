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

"""What may be evicted: the one answer to "may this file be deleted?".

An entry stays

- while an instance uses its image, by the database, or an instance that moves
  to or from a host of this cache (:mod:`.used`),
- while a disk, or another entry, is made on top of it (:mod:`.backing`),
- while this process makes a server of its image, or fetches it
  (:mod:`.in_progress`),
- while any host fetches it,
- as long as its image is protected or critical (:mod:`.protected`),
- all of them, as long as one of these cannot be told.

What was used a moment ago is evicted only if a limit cannot be kept otherwise.
:meth:`Evictable.view` tells all this of one moment; the file is deleted by
:meth:`.directory.Directory.remove`, which asks :meth:`Evictable.still` with
nova's lock of the file held, and looks whether anybody has touched it since.
"""

from collections.abc import Container
from collections.abc import Iterable
import dataclasses
import math
import time

from oslo_log import log as logging

from cache_aware_sched import image_ids
from cache_aware_sched.imagecache import backing
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache import in_progress
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache import protected
from cache_aware_sched.imagecache import store
from cache_aware_sched.imagecache.used import Used
from cache_aware_sched import once
from cache_aware_sched import report

LOG = logging.getLogger(__name__)

#: Seconds for which what was just used stays, if a limit can be kept without
#: it. Whoever uses an entry touches it first, and then takes a moment until
#: something else shows that it is in use. Judgement: many times that, also
#: where a disk is slow; little beside the hours between two passes. After as
#: long a directory of an instance that did not change is believed to stay so
#: until the next pass: nova changes what a disk is made on top of soon after
#: it has made the disk (_rebase_original_qcow2_image, nova 34.0.0).
GRACE_SECONDS = 300

#: Seconds for which a boot waits until the disks of the host are looked into.
#: Judgement: beside the seconds that a fetch takes. A local file system shows
#: the disks of 2,000 servers in 0.06 s (tests.bench).
LOOK_SECONDS = 5

#: Seconds after that in which no boot waits so again. Judgement: a boot looks
#: for its kernel, its ramdisk, its image, and once more when that is there.
LOOK_AGAIN_SECONDS = 60

#: Seconds without a write after which a fetch is over that left its files
#: behind. Both files of one that is converted count as one. Judgement: longer
#: than a slow image service keeps a connection waiting.
ABANDONED_SECONDS = 600


@dataclasses.dataclass(slots=True)
class Listing:
    """What was there at one moment, and what was on its way.

    :param entries: all that were there
    :param fetching: what this process was fetching, by the sha1 of its image
    :param disk: how full the file system was
    :param now: seconds since the epoch, by the clock that dates the entries
    """

    entries: list[Entry]
    fetching: dict[str, limits.Fetch]
    disk: limits.Disk | None
    now: float

    def recent(self) -> set[str]:
        """Return the names of what was used a moment ago."""
        return {entry.name for entry in self.entries
                if self.now - entry.last_used < GRACE_SECONDS}

    def budget(self, allowed: limits.Limits) -> limits.Budget:
        """Return the account of the cache.

        A fetch that has ended is there as its file, and as nothing else.
        """
        kinds = {(entry.sha1, entry.kind) for entry in self.entries}
        coming = {sha1 for sha1 in self.fetching
                  if (sha1, Kind.IMAGE) not in kinds}
        written = dict.fromkeys(coming, 0)
        counted = []
        for entry in self.entries:
            if entry.kind is Kind.TEMPORARY and entry.sha1 in coming:
                written[entry.sha1] += entry.size
            else:
                counted.append(entry)
        return limits.Budget(allowed, counted, self.disk, [
            dataclasses.replace(
                self.fetching[sha1], written=written[sha1],
                is_new=(self.fetching[sha1].is_new
                        and (sha1, Kind.RESIZED) not in kinds))
            for sha1 in coming])


@dataclasses.dataclass(slots=True)
class View:
    """A cache at one moment, with what is needed of it.

    :param in_use: names of the entries that something needs
    :param protected: names of those that are protected
    :param unsure: why all of them count as in use, '' if they do not
    """

    listing: Listing
    in_use: set[str]
    protected: set[str]
    unsure: str = ''

    @property
    def entries(self) -> list[Entry]:
        """All entries that were there."""
        return self.listing.entries

    def evictable(self, without: Container[str] = ()) -> list[Entry]:
        """Return what nothing keeps."""
        return [entry for entry in self.entries
                if entry.name not in self.in_use
                and entry.name not in self.protected
                and entry.name not in without]


class Evictable:
    """Tells what may be evicted from the cache of a host.

    :param host: for logs
    :param where: the cache
    :param keep: the protected images
    """

    def __init__(self, host: str, where: store.Store,
                 keep: protected.ProtectedImages) -> None:
        self._host = host
        self._store = where
        self._keep = keep
        self.in_progress = in_progress.InProgress()
        self._look_again = 0.0
        self.fetching: dict[str, limits.Fetch] = {}

    def view(self, listing: Listing, used: Used, anew: bool = False,
             waits: bool = False) -> View:
        """Return what may be evicted: nothing, if that cannot be told.

        :param used: what instances use, asked after the listing was made
        :param anew: whether to look at all disks, whatever is known
        :param waits: whether a server waits for the answer
        """
        entries = listing.entries
        names = {entry.name for entry in entries}
        unsure = ''
        try:
            in_use = self._backing(
                listing, self._wanted(listing, used), anew, waits)
        except backing.TooManyDisks as error:
            LOG.info(
                'Host %(host)s evicts nothing from its image cache now, so '
                'that no server waits for its disks: %(error)s. It looks into '
                'the others later.', {'host': self._host, 'error': error})
            in_use, unsure = names, str(error)
        except backing.UnreadableDisk as error:
            once.warning(
                LOG, ('disk', str(error)),
                'Host %(host)s evicts nothing from its image cache: it cannot '
                'tell what this disk is made on top of: %(error)s',
                {'host': self._host, 'error': error})
            in_use, unsure = names, (
                f'what this disk is made on top of cannot be told: {error}')
        images = self._protected()
        if self._keep.unread:
            options = ' and '.join(self._keep.unread)
            LOG.warning(
                'Host %(host)s evicts nothing from its image cache: which '
                'images are protected is not known, as [cache_aware_sched] '
                '%(options)s was not read yet. Create the file, or correct '
                'the option.', {'host': self._host, 'options': options})
            in_use, unsure = names, (
                f'[cache_aware_sched] {options} cannot be read')
        return View(listing, in_use, {
            entry.name for entry in entries if _is_one_of(entry, images)
            and entry.kind is not Kind.TEMPORARY}, unsure)

    def _wanted(self, listing: Listing, used: Used) -> set[str]:
        """Return the names of what instances and this process use."""
        entries = listing.entries
        in_use = {entry.name for entry in used.entries(entries)}
        in_use |= arriving(entries, listing.now)
        images = self.in_progress.sha1s() | listing.fetching.keys() | set(
            self.fetching)
        in_use |= {entry.name for entry in entries if entry.sha1 in images}
        if self.in_progress:  # a disk may be made of them at this very moment
            in_use |= {entry.name for entry in entries if entry.is_blank}
        return in_use

    def _backing(self, listing: Listing, known: set[str], anew: bool,
                 waits: bool) -> set[str]:
        """Return the known names, and those of entries that disks need."""
        if waits and time.monotonic() < self._look_again:
            raise backing.TooManyDisks(LOOK_SECONDS)
        try:
            return self._store.backing(
                listing.entries, known, listing.now - GRACE_SECONDS,
                LOOK_SECONDS if waits else math.inf, anew)
        except backing.TooManyDisks:
            self._look_again = time.monotonic() + LOOK_AGAIN_SECONDS
            raise

    def still(self, entry: Entry) -> bool:
        """Return whether an entry may be evicted that might be a moment ago.

        Asked when no other process can begin to use it any more.
        """
        if entry.is_blank and self.in_progress:
            return False
        return (entry.kind is Kind.TEMPORARY
                or not _is_one_of(entry, self._protected()))

    def _protected(self) -> set[str]:
        """Return the sha1s of the ids of the protected images.

        Also as they are in upper case: a base file is named by what was typed
        when its server was booted.
        """
        return {report.image_sha1(spelt)
                for image_id in self._keep.by_sha1().values()
                for spelt in (image_id, image_id.upper())}


def arriving(entries: Iterable[Entry], now: float) -> set[str]:
    """Return the names of the files of fetches that go on, on any host.

    :param now: seconds since the epoch
    """
    written = [entry for entry in entries if entry.kind is Kind.TEMPORARY]
    going_on = {entry.sha1 for entry in written
                if now - entry.last_used < ABANDONED_SECONDS}
    return {entry.name for entry in written if entry.sha1 in going_on}


def _is_one_of(entry: Entry, images: Container[str]) -> bool:
    """Return whether an entry is of one of the images.

    :param images: sha1s of their ids, spelt as Glance does at least
    """
    return entry.sha1 in images or (
        entry.image_id is not None and report.image_sha1(
            image_ids.canonical(entry.image_id)) in images)

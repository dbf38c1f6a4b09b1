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

"""Nothing needed or protected is evicted, and limits hold if they can.

Which files are needed and whether a limit is kept is worked out here anew, of
the files before and after, by nothing of what is tested.
"""

import contextlib
import dataclasses
import itertools
import os
import tempfile
import time

import fixtures
import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.imagecache import entry as entry_mod
from cache_aware_sched.imagecache import evictable
from cache_aware_sched.imagecache import evictor
from cache_aware_sched.imagecache import fetches
from cache_aware_sched.imagecache import limits as limits_mod
from cache_aware_sched.imagecache import manager as manager_mod
from cache_aware_sched.imagecache import managers as package_managers
from cache_aware_sched.imagecache import store
from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import HOUR
from tests.unit.managers import image
from tests.unit.managers import sha1

#: Cases for each of the six managers: 5,040 in all, 600 of them with files.
IN_MEMORY, WITH_FILES = 740, 100

#: Where emptying a disk ends, and no limit itself.
LOW = {'low'}

IMAGES = range(1, 6)
#: The image that is fetched.
FETCHED = 6
#: What each image can have; the last two are of a fetch.
ENDINGS = ('', '_20', '_40', '.part', '.converted')
TEMPORARY = ENDINGS[3:]
BLANK = ('swap_512', managers.ephemeral_name(1))
NAMES = (*(sha1(number) + ending for ending in ENDINGS
           for number in (*IMAGES, FETCHED) if (number, ending) != (6, '')),
         *BLANK)
#: What another process can be at: a fetch holds the lock of its image.
LOCKED = [name for name in NAMES if not name.endswith(TEMPORARY)]
NUMBER_OF = {sha1(number): number for number in (*IMAGES, FETCHED)}


@dataclasses.dataclass(frozen=True)
class File:
    """A file of the cache.

    :param half: GiB, twice
    :param age: seconds since it was used; it can be dated in the future
    """

    half: int
    age: int

    @property
    def size(self):
        return self.half * GIB // 2


@dataclasses.dataclass(frozen=True)
class Fetch:
    """A fetch of an image.

    :param half: GiB, twice
    :param converted: whether a raw image is made of it
    :param ahead: whether no server waits for it
    """

    half: int
    converted: bool
    ahead: bool


@dataclasses.dataclass(frozen=True)
class Limits:
    """The options; 0 is no limit."""

    size: int
    images: int
    high: int
    low: int
    free: int


@dataclasses.dataclass(frozen=True)
class Case:
    """A host.

    :param files: by their names
    :param servers: numbers of images
    :param blank: whether a server has an empty swap and an ephemeral disk
    :param protected: numbers of images
    :param busy: numbers of images that servers are being made of
    :param disks: what they are made on top of
    :param chain: two files; the first, if it is not empty, is made on top of
        the second
    :param locked: what another process is at, if need be all of an image
    :param other: GiB of a disk of 20 GiB that are not the cache's
    :param late: whether the disk tells of free space only some time later
    """

    files: dict
    servers: frozenset
    blank: bool
    protected: frozenset
    busy: frozenset
    disks: frozenset
    chain: tuple
    locked: frozenset
    limits: Limits
    other: int
    late: bool
    fetch: Fetch

    def backing(self, needed):
        """Return what those of some files are backed by that are there."""
        upper, lower = self.chain
        there = upper in needed and upper in self.files
        return {lower} if there and self.files[upper].half else set()

    def is_locked(self, name):
        return name in self.locked or name[:40] in self.locked


DISK = 20 * GIB

# One choice out of many costs hypothesis far less than many out of few.
FILES = [
    (name, File(half, age)) for name in NAMES
    for half, age in itertools.product(
        (0, 1, 2, 2, 4, 10),
        (-HOUR, 0, HOUR // 2, 2 * HOUR, 2 * DAY, 9 * DAY))]
LIMITS = [
    Limits(size, images, high, max(0, high - below), free)
    for size, images, high, below, free in itertools.product(
        (0, 0, 1, 2, 4, 8), (0, 0, 1, 2, 4), (0, 0, 10, 30, 60), (0, 10, 30),
        (0, 0, 12, 16, 19))]
FETCHES = [Fetch(*fields) for fields in itertools.product(
    (0, 1, 2, 6), (False, True), (False, True))]


def some(choices, most):
    """Return a strategy of sets of a few."""
    return st.sampled_from([
        frozenset(chosen) for number in range(most + 1)
        for chosen in itertools.combinations(choices, number)])


CASES = st.builds(
    Case,
    files=st.lists(
        st.sampled_from(FILES), min_size=3, max_size=12).map(dict),
    servers=some(IMAGES, 2), blank=st.booleans(), protected=some(IMAGES, 2),
    busy=some(IMAGES, 1), disks=some(NAMES, 2), chain=st.sampled_from(
        list(itertools.product(NAMES, NAMES))),
    locked=st.one_of(st.just(frozenset()), some(LOCKED, 2)),
    limits=st.sampled_from(LIMITS), other=st.sampled_from((0, 0, 2)),
    late=st.booleans(), fetch=st.sampled_from(FETCHES))


class MemoryStore(store.Store):
    """A cache without files; it notes what goes, in that order."""

    def __init__(self, case):
        self._case = case
        self._now = time.time()
        self.fill()

    def fill(self):
        """Begin anew."""
        self.gone = []
        self.there = {
            name: self._entry(name, file)
            for name, file in self._case.files.items()}
        self._at_first = self._used()

    def _entry(self, name, file):
        modified_ns = int((self._now - file.age) * 1e9)
        return entry_mod.Entry(
            name, kind_of(name), sha1_of(name), file.size,
            min(modified_ns, int(self._now * 1e9)), modified_ns=modified_ns)

    def path(self):
        return 'memory'

    def entries(self, now):
        return list(self.there.values())

    def backing(self, entries, known, settled, patience, anew):
        found = self._case.disks | set(known)
        return (found | self._case.backing(found)) & {
            entry.name for entry in entries}

    def _used(self):
        return self._case.other * GIB + sum(
            entry.size for entry in self.there.values())

    def disk(self):
        used = self._at_first if self._case.late else self._used()
        return limits_mod.Disk(used, DISK - used)

    def touch(self, *names):
        for name in self.there.keys() & set(names):
            self.there[name] = dataclasses.replace(
                self.there[name], used_ns=time.time_ns(),
                modified_ns=time.time_ns())

    def claim(self, sha1):
        self.touch(sha1)

    def remove(self, entry, still_free):
        if self._case.is_locked(entry.name) or not still_free():
            return store.Removal.IN_USE
        assert entry == dataclasses.replace(
            self.there.pop(entry.name), image_id=entry.image_id,
            boots=entry.boots)
        self.gone.append(entry.name)
        return store.Removal.REMOVED

    def register(self):
        """Tell nobody."""

    def hosts(self):
        return [HOST]

    def disk_usage(self):
        return 0

    def history_path(self):
        return None


def sha1_of(name):
    return None if name in BLANK else name[:40]


def kind_of(name):
    kinds = (entry_mod.Kind.IMAGE, entry_mod.Kind.RESIZED,
             entry_mod.Kind.RESIZED, entry_mod.Kind.TEMPORARY,
             entry_mod.Kind.TEMPORARY)
    if name in BLANK:
        return (entry_mod.Kind.SWAP, entry_mod.Kind.EPHEMERAL)[
            BLANK.index(name)]
    return kinds[ENDINGS.index(name[40:])]


class Oracle:
    """What must be so, of a case.

    :param fetch: that goes on
    """

    def __init__(self, case, fetch=None):
        self.case = case
        self.all = set(case.files)
        self._fetch = fetch
        self.needed = self._needed()
        #: What is there when the limits are looked at.
        self.at_first = self.all
        #: What goes if everything goes that can.
        self.free = self.all - self.needed
        #: What was just used goes after all else, and only for a limit.
        self.recent = {name for name, file in case.files.items()
                       if file.age < evictable.GRACE_SECONDS}
        self.locked = {name for name in self.all if case.is_locked(name)}
        self.least = self.needed | self.locked

    def _needed(self):
        case = self.case
        busy = set(case.busy) | ({FETCHED} if self._fetch else set())
        needed = set(case.disks)
        protected = set()
        for name in self.all:
            number = NUMBER_OF.get(name[:40])
            temporary = name.endswith(TEMPORARY)
            if number in busy or (number in case.servers and not temporary):
                needed.add(name)
            if number in case.protected and not temporary:
                protected.add(name)
            if temporary and any(
                    self.case.files[name[:40] + ending].age
                    < evictable.ABANDONED_SECONDS
                    for ending in TEMPORARY
                    if name[:40] + ending in self.all):
                needed.add(name)
            # Nobody knows what the servers that are made get.
            if name in BLANK and (case.blank or case.busy):
                needed.add(name)
        return (needed | case.backing(needed) | protected) & self.all

    def exceeded(self, left):
        """Return the limits that some of the files exceed."""
        limits = self.case.limits
        images = {name[:40] for name in left
                  if name not in BLANK and not name.endswith(TEMPORARY)}
        if self._fetch:
            images.add(sha1(FETCHED))
        used, percent = self._disk(left)
        exceeded = set()
        too_large = {name for name in left - self.least
                     if self._too_large(self.case.files[name].size)}
        if limits.size and (
                too_large or self._bytes(left) > limits.size * GIB):
            exceeded.add('size')
        if limits.images and len(images) > limits.images:
            exceeded.add('images')
        if limits.free and DISK - used < limits.free * GIB:
            exceeded.add('free')
        if limits.high and percent > limits.high:
            exceeded.add('high')
        # The low watermark is for a disk that was fuller than the high.
        if (limits.high and self._disk(self.at_first)[1] > limits.high
                and percent > (limits.low or limits.high)):
            exceeded.add('low')
        return exceeded

    def overflows(self, left):
        """Return whether some of the files do not fit on the disk."""
        return self._disk(left)[0] > DISK

    def takes(self):
        """Return the bytes meanwhile, and those of one copy."""
        if not self._fetch:
            return 0, 0
        one = self._fetch.half * GIB // 2
        return (2 * one if self._fetch.converted else one), one

    def _too_large(self, size):
        most = self.case.limits.size * GIB
        return bool(most and size > most)

    def _written(self, left):
        return sum(self.case.files[name].size for name in left
                   if self._of_fetch(name))

    def _bytes(self, left):
        written = self._written(left)
        expected = next((number for number in (
            max(bytes_, written) for bytes_ in self.takes())
            if not self._too_large(number)), 0)
        # What is larger than the limit alone is let be.
        return expected + sum(
            self.case.files[name].size for name in left
            if not self._too_large(self.case.files[name].size)
            and not self._of_fetch(name))

    def _disk(self, left):
        coming = max(0, self.takes()[0] - self._written(left))
        used = self.case.other * GIB + coming + sum(
            self.case.files[name].size for name in left)
        return used, 100 * used / DISK

    def _of_fetch(self, name):
        return (self._fetch is not None and name.endswith(TEMPORARY)
                and name[:40] == sha1(FETCHED))

    def expired(self, manager):
        """Return what is evicted although nobody asks for room."""
        settled = {name for name in self.free - self.recent
                   if not name.endswith(TEMPORARY)}
        if manager == 'none':
            return settled
        if manager != 'age':
            return set()
        return {name for name in settled if self.case.files[name].age
                >= (HOUR if '_' in name[40:] else DAY)}


class PropertyTestCase(managers.ManagerTestCase):

    #: Short for the manager, as in nova.conf.
    name = None

    def setUp(self):
        super().setUp()
        self.home = self.prepare_for_many_cases()
        for module in (manager_mod, evictor, fetches):
            self.useFixture(fixtures.MockPatchObject(
                module.LOG, 'exception', self.fail_as_it_did))

    def fail_as_it_did(self, *args):
        """Let nothing that goes wrong be taken for caution."""
        raise  # noqa: PLE0704

    def configure(self, case):
        limits = case.limits
        self.set(image_cache_max_size_gb=limits.size,
                 image_cache_max_images=limits.images,
                 image_cache_high_watermark_percent=limits.high,
                 image_cache_low_watermark_percent=limits.low,
                 image_cache_min_free_gb=limits.free,
                 protected_images=[image(n) for n in case.protected])
        self.database.clear()
        for place, number in enumerate(sorted(case.servers)):
            self.boot(number, [
                managers.swap_disk(512), managers.ephemeral_disk(1),
            ] if case.blank and not place else ())
        if case.blank and not case.servers:
            self.boot(None, [managers.swap_disk(512),
                             managers.ephemeral_disk(1)])
        self.glance.add(FETCHED, case.fetch.half * GIB // 2,
                        'qcow2' if case.fetch.converted else 'raw')

    def using(self, manager, case):
        """Use images, if any: else no server is being made."""
        if not case.busy:
            return contextlib.nullcontext()
        return manager.cache.using(*[image(number) for number in case.busy])

    def check_memory(self, case):
        """Make a pass and a fetch over files that are none."""
        self.configure(case)

        kept = MemoryStore(case)
        manager = self.start(store=kept)
        with self.using(manager, case):
            self.update(manager)
        oracle = Oracle(case)
        self.check_pass(oracle, set(kept.there))
        self.check_recent(oracle, set(kept.there))
        self.check_no_more_than_needed(oracle, oracle.expired(self.name),
                                       kept.gone)

        kept.fill()
        oracle = Oracle(case, case.fetch)
        with self.using(manager, case):
            refused = self.fetch(manager, case.fetch.ahead, lambda: (
                self.check_fetch(oracle, set(kept.there), False)))
        if refused:
            self.check_fetch(oracle, set(kept.there), True)
        self.check_recent(oracle, set(kept.there))
        self.check_no_more_than_needed(oracle, set(), kept.gone)

    def update(self, manager):
        manager.update(self.context, managers.objects.InstanceList(
            objects=self.database.servers))

    def fetch(self, manager, ahead, check):
        """Look what is there while an image is fetched, or was refused."""
        try:
            with manager.cache.fetching(self.context, image(FETCHED), ahead):
                check()
        except fetches.NoRoom:
            return True
        return False

    def check_files(self, case):
        """Make a pass or a fetch over real files."""
        fetch = case.fetch if case.late else None
        self.configure(case)
        self.fill(case)
        manager = self.start()
        oracle = Oracle(case, fetch)

        with contextlib.ExitStack() as stack:
            stack.enter_context(self.using(manager, case))
            for name in case.locked - {sha1(one) for one in case.busy}:
                stack.enter_context(manager.store.lock(name))
            if fetch is None:
                self.update(manager)
                self.check_pass(oracle, self.names())
            elif self.fetch(manager, fetch.ahead, lambda: (
                    self.check_fetch(oracle, self.names(), False))):
                self.check_fetch(oracle, self.names(), True)
            self.check_recent(oracle, self.names())

    def fill(self, case):
        """Make a new directory."""
        self.path = tempfile.mkdtemp(dir=self.home)
        self.cache = os.path.join(self.path, '_base')
        os.mkdir(self.cache)
        self.set_nova(instances_path=self.path)
        for name, file in case.files.items():
            self.put(name, file.size, file.age)
        for place, name in enumerate(sorted(case.disks)):
            self.write_disk(f'aaaaaaaa-server{place}', name)
        upper = case.chain[0]
        for lower in case.backing({upper}):
            path = os.path.join(self.cache, upper)
            with open(path, 'r+b') as file:
                file.write(managers.head_of_disk(lower))
            self.set_age(path, case.files[upper].age)

    # Then.

    def check_pass(self, oracle, left):
        expired = oracle.expired(self.name) - oracle.locked
        self.assertLessEqual(oracle.needed, left)
        self.assertTrue(left.isdisjoint(expired))
        oracle.at_first = oracle.all - expired
        self.check_limits(oracle, left)

    def check_limits(self, oracle, left):
        """See that each limit holds that can hold."""
        if self.name == 'protected':
            self.assertTrue(all(name.endswith(TEMPORARY)
                                for name in oracle.all - left))
            return
        exceeded = oracle.exceeded(left)
        if left.isdisjoint(oracle.free - oracle.recent - oracle.locked):
            exceeded -= LOW  # which takes nothing that was just used
        self.assertLessEqual(oracle.exceeded(oracle.least) - LOW, exceeded)
        self.assertLessEqual(exceeded, oracle.exceeded(oracle.least))

    def check_fetch(self, oracle, left, refused):
        self.assertLessEqual(oracle.needed, left)
        limits, fetch = oracle.case.limits, oracle.case.fetch
        most = limits.size * GIB
        if fetch.ahead and most and oracle.takes()[1] > most:
            self.assertTrue(refused)
            self.assertEqual(oracle.all, left)
            return
        if refused:
            self.assertTrue(fetch.ahead)
            self.assertTrue(oracle.exceeded(left) - LOW
                            or oracle.overflows(left))
            if (oracle.exceeded(oracle.needed) - LOW
                    or oracle.overflows(oracle.needed)):
                self.assertEqual(oracle.all, left)
            return
        if fetch.ahead:
            if self.name == 'protected':
                # What is larger than the whole cache may be stays as well,
                # and is no reason to refuse what fits.
                oracle.least = oracle.all
            self.assertEqual(set(), oracle.exceeded(left) - LOW)
            self.assertFalse(oracle.overflows(left))
        self.check_limits(oracle, left)

    def check_recent(self, oracle, left):
        """See that what was just used goes only if all else is too little."""
        if oracle.locked or oracle.recent <= left | oracle.needed:
            return
        settled = oracle.free - oracle.recent
        self.assertTrue(oracle.exceeded(oracle.all - settled) - LOW)

    def check_no_more_than_needed(self, oracle, expired, gone):
        """See that a limit would be exceeded with the last that went."""
        if oracle.locked:
            return
        left = oracle.all - set(gone)
        for_limits = [name for name in gone if name not in expired]
        if for_limits:
            self.assertTrue(oracle.exceeded(left | {for_limits[-1]}))


def in_memory(test):
    return hypothesis.settings(max_examples=IN_MEMORY)(
        hypothesis.given(CASES)(test))


def with_files(test):
    return hypothesis.settings(max_examples=WITH_FILES)(
        hypothesis.given(CASES)(test))


def with_properties(case_class):
    """Give a class tests of its own: hypothesis wants none inherited."""
    @in_memory
    def test_in_memory(self, case):
        self.check_memory(case)

    @with_files
    def test_with_files(self, case):
        self.limit_disk(20, case.other * GIB)
        self.check_files(case)

    case_class.test_in_memory = test_in_memory
    case_class.test_with_files = test_with_files
    return case_class


@with_properties
class TestAge(PropertyTestCase):

    name = 'age'
    manager = package_managers.AgeImageCacheManager


@with_properties
class TestLRU(PropertyTestCase):

    name = 'lru'
    manager = package_managers.LRUImageCacheManager


@with_properties
class TestPopularity(PropertyTestCase):

    name = 'popularity'
    manager = package_managers.PopularityImageCacheManager


@with_properties
class TestProtected(PropertyTestCase):

    name = 'protected'
    manager = package_managers.ProtectedImageCacheManager


@with_properties
class TestNone(PropertyTestCase):

    name = 'none'
    manager = package_managers.NoneImageCacheManager


@with_properties
class TestThirdParty(PropertyTestCase):

    name = 'third'
    manager = managers.LargestFirst

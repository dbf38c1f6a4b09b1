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

import collections
import dataclasses

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.imagecache import entry as entry_mod
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache.limits import Budget
from cache_aware_sched.imagecache.limits import Disk
from cache_aware_sched.imagecache.limits import Fetch
from cache_aware_sched.imagecache.limits import Limit
from cache_aware_sched.imagecache.limits import Limits
from tests.unit import base

A, B, C = (letter * 40 for letter in 'abc')


def file_of(name, size=10):
    parsed = entry_mod.parse(name)
    return Entry(name, parsed.kind, parsed.sha1, size, 0)


def coming(peak=0, size=None, written=0, new=False):
    """Return one image that is being fetched, converted if sizes differ."""
    return [Fetch(peak if size is None else size, peak, peak, written, new)]


def names_of(entries):
    return [entry.name for entry in entries]


class LimitsTestCase(base.TestCase):

    def assert_exceeded(self, expected, budget):
        self.assertEqual(expected, budget.exceeded())


class TestLimits(base.TestCase):

    def test_none(self):
        self.assertFalse(Limits())

    def test_any(self):
        for allowed in (Limits(max_bytes=1), Limits(max_images=1),
                        Limits(high=1), Limits(min_free=1)):
            self.assertTrue(allowed)

    def test_low_watermark_alone_is_none(self):
        self.assertFalse(Limits(low=50))

    def test_names_of_the_options(self):
        for limit in Limit:
            self.assertIn(limit.value, base.nova.conf.CONF.cache_aware_sched)


class TestNoLimit(LimitsTestCase):

    def test_anything_goes(self):
        self.assert_exceeded([], Budget(
            Limits(), [file_of(A, 2 ** 60)], Disk(100, 0),
            coming(2 ** 60, new=True) * 1000))

    def test_low_watermark_alone(self):
        self.assert_exceeded(
            [], Budget(Limits(low=1), [], Disk(100, 0)))


class TestSize(LimitsTestCase):

    def test_limit_is_kept_when_it_is_met(self):
        for size, exceeded in ((49, []), (50, []), (51, [Limit.SIZE])):
            self.assert_exceeded(exceeded, Budget(
                Limits(max_bytes=100), [file_of(A, size), file_of(B, 50)],
                None))

    def test_every_kind_of_file_counts(self):
        for name in (A, f'{A}_20', f'{A}.part', 'swap_1',
                     'ephemeral_1_default'):
            self.assert_exceeded([Limit.SIZE], Budget(
                Limits(max_bytes=100), [file_of(name, 60), file_of(B, 41)],
                None))

    def test_what_is_being_fetched_counts_twice_if_it_is_converted(self):
        budget = Budget(Limits(max_bytes=100), [file_of(A, 40)], None,
                        coming(61, size=50))

        self.assert_exceeded([Limit.SIZE], budget)

    def test_what_of_it_is_on_the_disk_counts_once(self):
        """Its files are not among the entries, but all of it in the peak."""
        budget = Budget(Limits(max_bytes=100), [file_of(A, 40)], None,
                        coming(60, written=30))

        self.assert_exceeded([], budget)

    def test_file_is_gone(self):
        file = file_of(A, 41)
        budget = Budget(
            Limits(max_bytes=100), [file, file_of(B, 60)], None)
        self.assert_exceeded([Limit.SIZE], budget)

        budget.without(file)

        self.assert_exceeded([], budget)


class TestTooLarge(LimitsTestCase):
    """What is too large alone: nothing else has to go for it."""

    def test_bytes_do_not_count(self):
        budget = Budget(
            Limits(max_bytes=100), [file_of(A, 101), file_of(B, 60)], None,
            coming(40))

        self.assert_exceeded([], budget)

    def test_bytes_of_the_others_count(self):
        budget = Budget(
            Limits(max_bytes=100),
            [file_of(A, 101), file_of(B, 60), file_of(C, 41)], None)

        self.assert_exceeded([Limit.SIZE], budget)

    def test_it_is_an_image_all_the_same(self):
        budget = Budget(Limits(max_bytes=100, max_images=1),
                        [file_of(A, 101), file_of(B)], None)

        self.assert_exceeded([Limit.IMAGES], budget)

    def test_disk_is_as_full(self):
        budget = Budget(Limits(max_bytes=100, min_free=100),
                        [file_of(A, 200)], Disk(300, 50))

        self.assert_exceeded([Limit.FREE], budget)

    def test_it_is_gone(self):
        file = file_of(A, 200)
        budget = Budget(Limits(max_bytes=100, min_free=100),
                        [file, file_of(B, 101)], Disk(300, 50))

        budget.without(file)

        self.assert_exceeded([], budget)

    def test_both_copies_of_what_is_fetched(self):
        """Room for one is made, and the disk has to have it for both."""
        files = [file_of(A, 41)]
        fetch = coming(101, size=60)

        self.assert_exceeded([Limit.SIZE], Budget(
            Limits(max_bytes=100), files, None, fetch))
        self.assert_exceeded([Limit.FREE], Budget(
            Limits(min_free=100), files, Disk(41, 200), fetch))

    def test_what_is_fetched(self):
        files = [file_of(A, 100)]
        fetch = coming(202, size=101)

        self.assert_exceeded([], Budget(
            Limits(max_bytes=100), files, None, fetch))
        self.assert_exceeded([Limit.WATERMARK], Budget(
            Limits(max_bytes=100, high=80), files, Disk(100, 200), fetch))

    def test_more_of_it_is_on_the_disk_than_was_expected(self):
        self.assert_exceeded([Limit.SIZE], Budget(
            Limits(max_bytes=100), [file_of(A, 41)], None,
            coming(10, written=60)))

    def test_it_is_evicted_before_all_others(self):
        removals = Removals()
        large = file_of(B, 101)
        budget = Budget(Limits(max_bytes=100),
                        [file_of(A, 50), large, file_of(C, 50)], None)

        exceeded = limits.evict(
            budget, [file_of(A, 50), large, file_of(C, 50)], removals)

        self.assertEqual([], exceeded)
        self.assertEqual([B], removals.names())
        self.assertEqual([Limit.SIZE], removals.why)


class TestImages(LimitsTestCase):

    def test_limit_is_kept_when_it_is_met(self):
        for names, exceeded in (((A,), []), ((A, B), []),
                                ((A, B, C), [Limit.IMAGES])):
            self.assert_exceeded(exceeded, Budget(
                Limits(max_images=2), map(file_of, names), None))

    def test_copies_are_of_the_image(self):
        files = [A, f'{A}_20', f'{A}_40', f'{A}_sm', B]

        self.assert_exceeded([], Budget(
            Limits(max_images=2), map(file_of, files), None))

    def test_copy_without_its_image_is_one(self):
        self.assert_exceeded([Limit.IMAGES], Budget(
            Limits(max_images=1), map(file_of, (A, f'{B}_20')), None))

    def test_others_are_no_images(self):
        files = [A, f'{B}.part', f'{C}.converted', 'swap_1', 'swap_2',
                 'ephemeral_1_default']

        self.assert_exceeded([], Budget(
            Limits(max_images=1), map(file_of, files), None))

    def test_what_is_being_fetched(self):
        budget = Budget(Limits(max_images=2), map(file_of, (A, B)), None,
                        coming(new=True))

        self.assert_exceeded([Limit.IMAGES], budget)

    def test_image_is_gone_with_its_last_file(self):
        files = [file_of(name) for name in (A, f'{A}_20', B)]
        budget = Budget(Limits(max_images=1), files, None)

        budget.without(files[0])
        self.assert_exceeded([Limit.IMAGES], budget)
        self.assertEqual(1, budget.files_of(A))

        budget.without(files[1])
        self.assert_exceeded([], budget)
        self.assertEqual(0, budget.files_of(A))

    def test_other_file_of_an_image_is_gone(self):
        part = file_of(f'{A}.part')
        budget = Budget(Limits(max_images=1), [part, file_of(A), file_of(B)],
                        None)

        budget.without(part)

        self.assertEqual(1, budget.files_of(A))
        self.assert_exceeded([Limit.IMAGES], budget)


class TestWatermark(LimitsTestCase):

    def test_limit_is_kept_when_it_is_met(self):
        for used, exceeded in ((89, []), (90, []), (91, [Limit.WATERMARK])):
            self.assert_exceeded(exceeded, Budget(
                Limits(high=90), [], Disk(used, 100 - used)))

    def test_percentage_is_that_of_df(self):
        """What only root may use is neither used nor available."""
        # Of 1,000 blocks root keeps 100: df says 450 / 900 = 50 %.
        disk = Disk(used=450, available=450)

        self.assert_exceeded([], Budget(Limits(high=50), [], disk))
        self.assert_exceeded([Limit.WATERMARK], Budget(
            Limits(high=49), [], disk))

    def test_no_rounding(self):
        for disk in (Disk(used=901, available=100),
                     Disk(used=9 * 10 ** 17 + 1, available=10 ** 17 - 1)):
            self.assert_exceeded([Limit.WATERMARK], Budget(
                Limits(high=90), [], disk))

    def test_low_watermark_of_zero_is_the_high_one(self):
        file = file_of(A, 2)
        budget = Budget(Limits(high=90, low=0), [file], Disk(92, 8))
        self.assert_exceeded([Limit.WATERMARK], budget)

        budget.without(file)

        self.assert_exceeded([], budget)

    def test_emptied_down_to_the_low_watermark(self):
        files = [file_of(name, 10) for name in (A, B, C)]
        budget = Budget(
            Limits(high=90, low=70), files, Disk(95, 5))
        self.assertEqual([Limit.WATERMARK], budget.asking())

        for file, asking in zip(
                files, ([Limit.WATERMARK], [Limit.WATERMARK], []),
                strict=True):
            budget.without(file)
            self.assertEqual(asking, budget.asking())
            self.assert_exceeded([], budget)

    def test_nothing_to_do_between_the_watermarks(self):
        for used in (71, 80, 90):
            self.assert_exceeded([], Budget(
                Limits(high=90, low=70), [], Disk(used, 100 - used)))

    def test_what_is_being_fetched_makes_it_fuller(self):
        budget = Budget(
            Limits(high=90), [], Disk(80, 20), coming(11, size=5))

        self.assert_exceeded([Limit.WATERMARK], budget)

    def test_what_of_it_is_on_the_disk_is_used_already(self):
        budget = Budget(Limits(high=90), [], Disk(80, 20),
                        coming(11, written=1))

        self.assert_exceeded([], budget)

    def test_more_is_on_the_disk_than_was_expected(self):
        budget = Budget(Limits(high=89), [], Disk(90, 10),
                        coming(5, written=50))

        self.assert_exceeded([Limit.WATERMARK], budget)

    def test_nobody_knows_the_disk(self):
        self.assert_exceeded([], Budget(
            Limits(high=1, min_free=2 ** 60), [file_of(A, 2 ** 60)], None,
            coming(2 ** 60)))

    def test_disk_without_blocks(self):
        """As df has it for file systems that do not tell."""
        self.assert_exceeded(
            [], Budget(Limits(high=1), [], Disk(0, 0)))


class TestFree(LimitsTestCase):

    def test_limit_is_kept_when_it_is_met(self):
        for free, exceeded in ((101, []), (100, []), (99, [Limit.FREE])):
            self.assert_exceeded(exceeded, Budget(
                Limits(min_free=100), [], Disk(10, free)))

    def test_what_is_being_fetched_takes_of_it(self):
        budget = Budget(Limits(min_free=100), [], Disk(10, 150),
                        coming(51, size=20))

        self.assert_exceeded([Limit.FREE], budget)

    def test_what_of_it_is_on_the_disk_takes_no_more(self):
        budget = Budget(Limits(min_free=100), [], Disk(10, 150),
                        coming(51, written=1))

        self.assert_exceeded([], budget)

    def test_what_is_freed(self):
        for size, exceeded in ((9, [Limit.FREE]), (10, [])):
            file = file_of(A, size)
            budget = Budget(
                Limits(min_free=100), [file], Disk(10, 90))

            budget.without(file)

            self.assert_exceeded(exceeded, budget)


class TestSee(LimitsTestCase):
    """The disk is asked again after each removal."""

    def setUp(self):
        super().setUp()
        self.file = file_of(A, 10)

    def budget(self, need=None, **allowed):
        return Budget(
            Limits(**allowed), [self.file], Disk(95, 5), need or ())

    def test_disk_that_says_more(self):
        budget = self.budget(min_free=30)

        budget.without(self.file)
        budget.see(Disk(70, 30))

        self.assert_exceeded([], budget)

    def test_disk_that_says_less(self):
        """Some file systems free space a while after the file is gone."""
        budget = self.budget(min_free=15, high=85)

        budget.without(self.file)
        budget.see(Disk(95, 5))

        self.assert_exceeded([], budget)

    def test_used_is_believed_with_available(self):
        budget = self.budget(high=60)

        budget.without(self.file)
        budget.see(Disk(60, 40))

        self.assert_exceeded([], budget)

    def test_what_is_being_fetched_is_not_on_the_disk_yet(self):
        budget = self.budget(coming(20), min_free=15)

        budget.without(self.file)
        budget.see(Disk(70, 30))
        self.assert_exceeded([Limit.FREE], budget)

        budget.without(file_of(B, 0))
        budget.see(Disk(65, 35))
        self.assert_exceeded([], budget)

    def test_disk_that_says_less_during_a_fetch(self):
        budget = self.budget(coming(20), min_free=10)

        budget.without(self.file)
        budget.see(Disk(95, 5))
        budget.without(file_of(B, 15))

        self.assert_exceeded([], budget)

    def test_nobody_asks_the_disk(self):
        budget = self.budget(min_free=16)

        budget.without(self.file)

        self.assert_exceeded([Limit.FREE], budget)


class TestExceeded(LimitsTestCase):

    def test_emptying_begins_when_it_is_first_asked(self):
        """Not for what has gone before."""
        budget = Budget(Limits(high=85, low=50), [file_of(A, 10)],
                        Disk(90, 10))

        budget.without(file_of(A, 10))

        self.assertEqual([], budget.asking())

    def test_low_watermark_that_cannot_be_reached(self):
        """It is where emptying ends, and no limit itself."""
        budget = Budget(Limits(high=85, low=50), [file_of(A, 10)],
                        Disk(90, 10))

        exceeded = limits.evict(
            budget, [file_of(A, 10)], lambda file, limit: True)

        self.assertEqual([], exceeded)
        self.assertEqual([Limit.WATERMARK], budget.asking())

    def test_shared_bytes_are_not_free_when_it_is_gone(self):
        """They are counted by the limit of size, which is of the files."""
        entry = dataclasses.replace(file_of(A, 10), shared=7)
        budget = Budget(Limits(max_bytes=5, min_free=18), [entry],
                        Disk(90, 10))

        budget.without(entry)

        self.assertEqual([Limit.FREE], budget.exceeded())
        budget.without(file_of(B, 5))
        self.assertEqual([], budget.exceeded())

    def test_what_frees_nothing_stays_if_only_the_disk_is_full(self):
        entries = [dataclasses.replace(file_of(A, 10), shared=10),
                   file_of(B, 10)]
        for allowed, goes in ((Limits(high=1), [B]),
                              (Limits(min_free=100), [B]),
                              (Limits(min_free=100, max_images=1), [A, B]),
                              (Limits(max_bytes=15), [A])):
            removed = []

            limits.evict(
                Budget(allowed, entries, Disk(90, 10)), entries,
                lambda file, limit, out=removed: not out.append(file.name))

            self.assertEqual(goes, removed, allowed)

    def test_all_of_them(self):
        self.assert_exceeded(list(Limit), Budget(
            Limits(max_bytes=15, max_images=1, high=1, min_free=100),
            map(file_of, (A, B)), Disk(90, 10)))


class Removals:
    """Removes what it is told to, or fails to."""

    def __init__(self, failing=()):
        self.failing = failing
        self.tried = []
        self.why = []

    def __call__(self, entry, limit):
        self.tried.append(entry)
        self.why.append(limit)
        return entry.name not in self.failing

    def names(self):
        return names_of(self.tried)


class EvictTestCase(LimitsTestCase):

    def evict(self, allowed, names, failing=(), order=None, sizes=None,
              disk=None, now=lambda: None, need=None):
        """Make files fit, and return what is exceeded nevertheless.

        :param order: names of those that may go; by default all
        """
        self.removals = Removals(failing)
        files = {name: file_of(name, (sizes or {}).get(name, 10))
                 for name in names}
        budget = Budget(allowed, files.values(), disk, need or ())
        return limits.evict(
            budget, [files[name] for name in order or names],
            self.removals, now)


class TestEvict(EvictTestCase):

    def test_nothing_is_exceeded(self):
        self.assertEqual(
            [], self.evict(Limits(max_bytes=30), [A, B, C]))

        self.assertEqual([], self.removals.names())

    def test_the_first_goes_first(self):
        self.assertEqual([], self.evict(
            Limits(max_bytes=20), [A, B, C], order=[B, C, A]))

        self.assertEqual([B], self.removals.names())

    def test_as_many_as_must_go(self):
        self.evict(Limits(max_bytes=10), [A, B, C])

        self.assertEqual([A, B], self.removals.names())

    def test_what_is_exceeded_is_why(self):
        self.evict(Limits(max_bytes=20, max_images=1), [A, B, C])

        self.assertEqual([Limit.SIZE, Limit.IMAGES], self.removals.why)

    def test_all_may_go_and_it_is_not_enough(self):
        self.assertEqual([Limit.SIZE], self.evict(
            Limits(max_bytes=20), [A, B, C], order=[C], sizes={A: 15}))

        self.assertEqual([C], self.removals.names())

    def test_low_watermark_takes_nothing_that_was_just_used(self):
        """It is where emptying ends, and no limit."""
        removals = Removals()
        files = [file_of(name, 10) for name in (A, B, C)]
        budget = Budget(Limits(high=80, low=20), files, Disk(85, 15))

        exceeded = limits.evict(budget, files, removals, last={B, C})

        self.assertEqual([], exceeded)
        self.assertEqual([A], removals.names())

    def test_high_watermark_takes_what_was_just_used(self):
        removals = Removals()
        files = [file_of(name, 10) for name in (A, B, C)]
        budget = Budget(Limits(high=70, low=20), files, Disk(85, 15))

        limits.evict(budget, files, removals, last={B, C})

        self.assertEqual([A, B], removals.names())

    def test_nothing_may_go(self):
        budget = Budget(
            Limits(max_bytes=15), [file_of(A), file_of(B)], None)

        self.assertEqual([Limit.SIZE],
                         limits.evict(budget, [], Removals()))

    def test_failure_makes_the_next_go(self):
        self.assertEqual([], self.evict(
            Limits(max_bytes=20), [A, B, C], failing=[A]))

        self.assertEqual([A, B], self.removals.names())

    def test_failures_are_not_tried_twice(self):
        self.assertEqual([Limit.SIZE, Limit.IMAGES], self.evict(
            Limits(max_bytes=15, max_images=1), [A, f'{A}_20', B],
            failing=[A, f'{A}_20', B]))

        self.assertEqual([A, f'{A}_20', B], self.removals.names())

    def test_room_for_what_is_being_fetched(self):
        self.assertEqual([], self.evict(
            Limits(max_bytes=30, max_images=3), [A, B, C],
            need=coming(15, size=10, new=True)))

        self.assertEqual([A, B], self.removals.names())

    def test_disk_is_asked_after_each_removal(self):
        answers = iter([Disk(93, 7), Disk(60, 40)])

        self.assertEqual([], self.evict(
            Limits(high=70), [A, B, C], disk=Disk(95, 5), sizes={A: 2},
            now=lambda: next(answers)))

        self.assertEqual([A, B], self.removals.names())

    def test_disk_is_not_asked_after_a_failure(self):
        def ask():
            self.fail('nothing was removed')

        self.assertEqual([Limit.WATERMARK], self.evict(
            Limits(high=70), [A], disk=Disk(95, 5), failing=[A], now=ask))

    def test_from_the_high_to_the_low_watermark(self):
        self.assertEqual([], self.evict(
            Limits(high=90, low=80), [A, B, C], disk=Disk(95, 5)))

        self.assertEqual([A, B], self.removals.names())

    def test_files_of_any_kind_go_for_their_size(self):
        names = [f'{A}.part', 'swap_1', 'ephemeral_1_default', f'{A}_20', A]

        self.assertEqual([], self.evict(Limits(max_bytes=1), names))

        self.assertEqual(names, self.removals.names())


class TestEvictOfImages(EvictTestCase):
    """One file less is one image less only if it was the last."""

    def test_all_files_of_an_image_go(self):
        self.assertEqual([], self.evict(
            Limits(max_images=1), [A, B, f'{A}_20']))

        self.assertEqual([A, f'{A}_20'], self.removals.names())

    def test_copy_takes_its_image_along(self):
        self.assertEqual([], self.evict(
            Limits(max_images=1), [f'{A}_20', B, A]))

        self.assertEqual([f'{A}_20', A], self.removals.names())

    def test_image_of_which_a_file_must_stay(self):
        self.assertEqual([], self.evict(
            Limits(max_images=1), [A, f'{A}_20', B], order=[A, B]))

        self.assertEqual([B], self.removals.names())

    def test_nothing_goes_in_vain(self):
        self.assertEqual([Limit.IMAGES], self.evict(
            Limits(max_images=1), [A, f'{A}_20', B, f'{B}_20'],
            order=[A, B]))

        self.assertEqual([], self.removals.names())

    def test_first_file_of_an_image_fails(self):
        self.assertEqual([], self.evict(
            Limits(max_images=1), [A, f'{A}_20', B], failing=[A]))

        self.assertEqual([A, B], self.removals.names())

    def test_no_more_of_an_image_goes_after_a_failure(self):
        names = [A, f'{A}_20', f'{A}_40', B]

        self.assertEqual([], self.evict(
            Limits(max_images=1), names, failing=[f'{A}_20']))

        self.assertEqual([A, f'{A}_20', B], self.removals.names())

    def test_what_is_no_image_stays(self):
        self.assertEqual([], self.evict(
            Limits(max_images=1),
            ['swap_1', 'ephemeral_1_default', f'{C}.part', A, B]))

        self.assertEqual([A], self.removals.names())

    def test_remains_of_a_fetch_do_not_make_their_image_the_first(self):
        self.assertEqual([], self.evict(
            Limits(max_images=1), [f'{A}.part', B, A]))

        self.assertEqual([B], self.removals.names())

    def test_other_limit_takes_single_files(self):
        self.assertEqual([], self.evict(
            Limits(max_bytes=30, max_images=2), [A, B, f'{A}_20', f'{B}_20']))

        self.assertEqual([A], self.removals.names())

    def test_rest_of_an_image_whose_file_went_for_another_limit(self):
        self.assertEqual([], self.evict(
            Limits(max_bytes=30, max_images=1), [A, B, f'{A}_20', f'{B}_20'],
            order=[A, f'{A}_20', B, f'{B}_20']))

        self.assertEqual([A, f'{A}_20'], self.removals.names())


NAMES = st.sampled_from([
    name for sha1 in (A, B, C, 'd' * 40)
    for name in (sha1, f'{sha1}_20', f'{sha1}_40', f'{sha1}.part')
] + ['swap_1', 'ephemeral_1_default'])
FILES = st.lists(
    st.builds(file_of, NAMES, st.integers(0, 50)),
    max_size=10, unique_by=lambda file: file.name)
NUMBERS = st.integers(0, 150)
LIMITS = st.builds(
    Limits, max_bytes=NUMBERS, max_images=st.integers(0, 5),
    high=st.integers(0, 100), low=st.integers(0, 100), min_free=NUMBERS)
DISKS = st.one_of(st.none(), st.builds(
    Disk, st.integers(0, 300), st.integers(0, 300)))
NEEDS = st.lists(st.builds(
    Fetch, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.booleans()), max_size=3)


@st.composite
def caches(draw):
    """Return files, and those that may go in the order in which they go."""
    files = draw(FILES)
    return files, draw(st.permutations(files))[:draw(st.integers(0, 10))]


class TestAnyCache(base.TestCase):

    @hypothesis.settings(max_examples=300)
    @hypothesis.given(caches(), LIMITS, DISKS, NEEDS, st.sets(NAMES))
    def test_kept_or_nothing_left_to_try(
            self, cache, allowed, disk, need, failing):
        files, order = cache
        removals = Removals(failing)
        budget = Budget(allowed, files, disk, need)

        exceeded = limits.evict(budget, order, removals)

        self.assertEqual(exceeded, budget.exceeded())
        tried = removals.names()
        self.assertEqual(len(set(tried)), len(tried))
        self.assertLessEqual(set(tried), set(names_of(order)))
        if exceeded and exceeded != [Limit.IMAGES]:
            self.assertEqual(set(names_of(order)), set(tried))
        elif exceeded:
            self.assert_no_image_could_go(files, order, removals)

    def assert_no_image_could_go(self, files, order, removals):
        there = collections.Counter(
            file.sha1 for file in files if _counts(file)
            and not (file in removals.tried
                     and file.name not in removals.failing))
        could_go = collections.Counter(
            file.sha1 for file in order
            if _counts(file) and file not in removals.tried)
        for sha1, number in could_go.items():
            self.assertLess(number, there[sha1], sha1)

    @hypothesis.given(caches(), LIMITS, DISKS, NEEDS, st.sets(NAMES))
    def test_last_removal_was_needed(
            self, cache, allowed, disk, need, failing):
        files, order = cache
        removals = Removals(failing)
        limits.evict(
            Budget(allowed, files, disk, need), order, removals)
        gone = [file for file in removals.tried if file.name not in failing]
        hypothesis.assume(gone and not allowed.exclude(gone[-1].size))

        before = Budget(allowed, files, disk, need)
        before.asking()
        for file in gone[:-1]:
            before.without(file)

        self.assertTrue(before.asking())

    @hypothesis.given(caches(), st.integers(1, 300), NEEDS)
    def test_size_is_kept_with_the_first_few(self, cache, max_bytes, needs):
        files, order = cache
        allowed = Limits(max_bytes=max_bytes)
        removals = Removals()

        exceeded = limits.evict(
            Budget(allowed, files, None, needs), order, removals)

        large = [file for file in order if allowed.exclude(file.size)]
        self.assertEqual(large, removals.tried[:len(large)])
        gone = [file.size for file in removals.tried[len(large):]]
        self.assertEqual(
            [file for file in order if file not in large][:len(gone)],
            removals.tried[len(large):])
        # Of each fetch the larger number that can be kept, or nothing.
        total = sum(
            max(need.room, need.written)
            if max(need.room, need.written) <= max_bytes
            else max(need.size, need.written)
            if max(need.size, need.written) <= max_bytes
            else 0 for need in needs) + sum(
            file.size for file in files if not allowed.exclude(file.size))
        self.assertEqual(
            [Limit.SIZE] if total - sum(gone) > max_bytes else [], exceeded)
        if gone:
            self.assertGreater(total - sum(gone[:-1]), max_bytes)

    @hypothesis.given(caches(), st.integers(1, 5))
    def test_images_go_whole(self, cache, max_images):
        files, order = cache
        removals = Removals()

        limits.evict(Budget(Limits(max_images=max_images), files, None),
                     order, removals)

        images = {file.sha1 for file in removals.tried}
        self.assertEqual(
            {file.name for file in files
             if _counts(file) and file.sha1 in images},
            set(removals.names()))


def _counts(file):
    return file.kind in (Kind.IMAGE, Kind.RESIZED)


class TestRoom(LimitsTestCase):

    def room(self, *files, disk=None, **allowed):
        return Budget(Limits(**allowed), files, disk).room()

    def test_nothing_bounds_it(self):
        self.assertIsNone(self.room(file_of(A)))

    def test_each_limit(self):
        held = file_of(A, 30), file_of(B, 30)
        for room, disk, allowed in (
                (40, None, {'max_bytes': 100}),
                (0, None, {'max_bytes': 50}),
                (0, None, {'max_images': 2}),
                (None, None, {'max_images': 3}),
                (70, Disk(60, 140), {}),
                (40, Disk(60, 140), {'high': 50}),
                (0, Disk(60, 140), {'high': 20}),
                (20, Disk(60, 140), {'min_free': 120})):
            self.assertEqual(room, self.room(*held, disk=disk, **allowed))

    @hypothesis.given(
        st.lists(st.integers(0, 50), max_size=3), st.integers(0, 200),
        st.integers(0, 200), st.integers(0, 200), st.integers(0, 100),
        st.integers(0, 200))
    def test_what_fits_in_exceeds_nothing(
            self, sizes, used, available, max_bytes, high, min_free):
        allowed = Limits(max_bytes=max_bytes, high=high, min_free=min_free)
        held = [file_of(letter * 40, size)
                for letter, size in zip('abc', sizes, strict=False)]
        before = Budget(allowed, held, Disk(used, available))
        hypothesis.assume(not before.exceeded())
        room = before.room()

        self.assert_exceeded([], Budget(
            allowed, held, Disk(used, available), coming(room)))

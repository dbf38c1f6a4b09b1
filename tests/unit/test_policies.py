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

import itertools

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.imagecache import entry as entry_mod
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache import managers
from cache_aware_sched.imagecache import policies
from tests.unit import base
from tests.unit import factories

GIB = factories.GIB
NOW = 1_800_000_000.0
DAY = 86_400
HOUR = 3_600
SHA1 = 'a' * 40

NAMES = st.sampled_from([
    SHA1, 'b' * 40, f'{SHA1}_5', f'{SHA1}_20', f'{SHA1}_sm', f'{SHA1}.part',
    f'{SHA1}.converted', 'swap_512', 'ephemeral_10_default'])


def file_of(name, age=0.0, size=GIB, boots=0.0):
    parsed = entry_mod.parse(name)
    return Entry(name, parsed.kind, parsed.sha1, size,
                 int((NOW - age) * 10 ** 9), boots=boots)


FILES = st.lists(st.builds(
    file_of, NAMES, st.integers(-DAY, 10 * DAY), st.integers(0, 2 ** 50),
    st.one_of(st.floats(0, 3), st.floats(0, 1e300))),
    max_size=6, unique_by=lambda file: file.name)


def image(number, **kwargs):
    return file_of(f'{number:040x}', **kwargs)


def lru(files):
    return policies.LeastRecentlyUsed().order(tuple(files), NOW)


def popularity(files):
    return policies.LeastPopular().order(tuple(files), NOW)


def unused_for(files, seconds, resized_seconds):
    policy = policies.UnusedForLong()
    policy.ages = policies.Ages(seconds, resized_seconds)
    return policy.expired(tuple(files), NOW)


class TestLeastRecentlyUsed(base.TestCase):

    def test_not_used_for_longest_first(self):
        new, old, middle = image(1, age=1), image(2, age=9), image(3, age=5)

        self.assertEqual([old, middle, new],
                         lru([new, old, middle]))

    def test_used_a_nanosecond_later(self):
        earlier = Entry(SHA1, Kind.IMAGE, SHA1, 1, 10 ** 18)
        later = Entry('0' * 40, Kind.IMAGE, '0' * 40, 1, 10 ** 18 + 1)

        self.assertEqual([earlier, later],
                         lru([later, earlier]))

    def test_used_at_the_same_time(self):
        first, second = image(1), image(2)

        self.assertEqual([first, second],
                         lru([second, first]))

    def test_size_and_boots_do_not_matter(self):
        large, popular = (image(1, age=1, size=10 * GIB),
                          image(2, age=2, boots=9.0))

        self.assertEqual([popular, large],
                         lru([large, popular]))

    def test_nothing(self):
        self.assertEqual([], lru([]))

    @hypothesis.given(FILES)
    def test_all_of_them_and_no_other(self, files):
        order = lru(files)

        self.assertEqual(len(files), len(order))
        self.assertEqual(set(files), set(order))
        for earlier, later in itertools.pairwise(order):
            self.assertLessEqual(earlier.used_ns, later.used_ns)

    @hypothesis.given(FILES, st.randoms())
    def test_one_order_however_the_directory_lists_them(self, files, random):
        shuffled = random.sample(files, len(files))

        self.assertEqual(lru(files),
                         lru(shuffled))


class TestLeastPopular(base.TestCase):

    def test_fewest_boots_first(self):
        never, often, once = (image(1), image(2, boots=7.0),
                              image(3, boots=1.0))

        self.assertEqual([never, once, often],
                         popularity([often, once, never]))

    def test_boots_are_rounded(self):
        """However much has decayed since, two boots are two boots."""
        small, large = (image(1, boots=1.5, size=GIB),
                        image(2, boots=2.49, size=10 * GIB))

        self.assertEqual([large, small],
                         popularity([small, large]))

    def test_half_a_boot_is_one(self):
        half, less = image(1, boots=0.5), image(2, boots=0.49)

        self.assertEqual([less, half],
                         popularity([half, less]))

    def test_half_is_always_rounded_up(self):
        """Not to the even number."""
        three, two = image(1, boots=2.5), image(2, boots=2.0)

        self.assertEqual([two, three], popularity([three, two]))

    def test_most_bytes_a_boot_first(self):
        small, large = (image(1, boots=3.0, size=GIB),
                        image(2, boots=3.0, size=2 * GIB))

        self.assertEqual([large, small],
                         popularity([small, large]))

    def test_bytes_are_those_of_a_boot(self):
        """Not of the file: the larger one was booted a little more."""
        less, more = (image(1, boots=0.6, size=10 * GIB),
                      image(2, boots=1.4, size=11 * GIB))

        self.assertEqual([less, more], popularity([more, less]))

    def test_larger_one_first_of_those_never_booted(self):
        small, large = image(1, size=GIB), image(2, size=GIB + 1)

        self.assertEqual([large, small],
                         popularity([small, large]))

    def test_what_is_hardly_a_boot_makes_no_difference(self):
        """To divide by it would make any image the largest."""
        forgotten, large = (image(1, boots=1e-9, size=GIB),
                            image(2, boots=0.4, size=2 * GIB))

        self.assertEqual([large, forgotten],
                         popularity([forgotten, large]))

    def test_least_recently_used_of_the_same_boots_and_size(self):
        new, old = image(1, age=1), image(2, age=9)

        self.assertEqual([old, new], popularity([new, old]))

    def test_time_does_not_matter_before_boots(self):
        old, new = image(1, age=9, boots=2.0), image(2, age=1, boots=1.0)

        self.assertEqual([new, old], popularity([old, new]))

    def test_nothing_tells_them_apart(self):
        first, second = image(1), image(2)

        self.assertEqual([first, second],
                         popularity([second, first]))

    def test_nothing(self):
        self.assertEqual([], popularity([]))

    @hypothesis.given(FILES)
    def test_all_of_them_and_no_other(self, files):
        order = popularity(files)

        self.assertEqual(len(files), len(order))
        self.assertEqual(set(files), set(order))
        for earlier, later in itertools.pairwise(order):
            self.assertLess(earlier.boots - 1.0, later.boots)

    @hypothesis.given(FILES, st.randoms())
    def test_one_order_however_the_directory_lists_them(self, files, random):
        shuffled = random.sample(files, len(files))

        self.assertEqual(popularity(files),
                         popularity(shuffled))


class TestUnusedFor(base.TestCase):

    def removed(self, *files, seconds=DAY, resized_seconds=HOUR):
        return [file.name for file in unused_for(
            files, seconds, resized_seconds)]

    def test_image(self):
        old, new = image(1, age=DAY + 1), image(2, age=DAY - 1)

        self.assertEqual([old.name], self.removed(old, new))

    def test_swap_and_ephemeral_are_as_old_as_an_image(self):
        for name in ('swap_512', 'ephemeral_10_default'):
            self.assertEqual(
                [name], self.removed(file_of(name, age=DAY + 1)))
            self.assertEqual([], self.removed(file_of(name, age=DAY - 1)))

    def test_resized_copy_has_an_age_of_its_own(self):
        name = f'{SHA1}_20'

        self.assertEqual([name], self.removed(file_of(name, age=HOUR + 1)))
        self.assertEqual([], self.removed(file_of(name, age=HOUR - 1)))
        self.assertEqual([], self.removed(file_of(name, age=DAY + 1),
                                          resized_seconds=2 * DAY))

    def test_copy_of_a_very_old_release(self):
        name = f'{SHA1}_sm'

        self.assertEqual([name], self.removed(file_of(name, age=HOUR + 1)))

    def test_copy_of_less_than_ten_gib_stays(self):
        """As nova's own manager lets it, for it does not see it."""
        self.assertEqual([], self.removed(file_of(f'{SHA1}_9', age=10 * DAY)))
        self.assertEqual([f'{SHA1}_10'],
                         self.removed(file_of(f'{SHA1}_10', age=10 * DAY)))

    def test_fetch_stays(self):
        for name in (f'{SHA1}.part', f'{SHA1}.converted'):
            self.assertEqual([], self.removed(file_of(name, age=10 * DAY)))

    def test_exactly_as_old(self):
        """nova keeps what is younger."""
        files = [image(1, age=DAY), file_of(f'{SHA1}_20', age=HOUR)]

        self.assertEqual([file.name for file in files], self.removed(*files))

    def test_used_in_the_future(self):
        """The clock was set back, or is another host's."""
        self.assertEqual([], self.removed(
            image(1, age=-10 * DAY), file_of(f'{SHA1}_20', age=-10 * DAY),
            file_of('swap_512', age=-1)))

    def test_no_age_at_all(self):
        file = image(1, age=0)

        self.assertEqual([file.name], self.removed(file, seconds=0))

    def test_boots_and_size_do_not_matter(self):
        file = image(1, age=DAY + 1, boots=1e6, size=0)

        self.assertEqual([file.name], self.removed(file))

    @hypothesis.given(FILES, st.integers(0, 5 * DAY), st.integers(0, 5 * DAY))
    def test_some_of_them_in_their_order(self, files, seconds, resized):
        found = unused_for(files, seconds, resized)

        self.assertEqual([file for file in files if file in found], found)
        for file in found:
            self.assertIsNot(Kind.TEMPORARY, file.kind)
            self.assertGreaterEqual(NOW - file.last_used,
                                    min(seconds, resized))

    def test_nothing_if_nova_is_told_to_keep_all(self):
        self.assertEqual([], policies.UnusedForLong().expired(
            [image(1, age=10 ** 9), file_of(f'{SHA1}_20', age=10 ** 9)], NOW))


class TestOthers(base.TestCase):

    def test_everything_is_kept(self):
        files = [image(1), image(2)]

        self.assertEqual([], policies.Everything().order(files, NOW))
        self.assertEqual([], list(policies.Everything().expired(files, NOW)))

    def test_unused_is_not_kept(self):
        new, old = image(1, age=1), image(2, age=9)

        self.assertEqual([new, old], policies.Unused().expired(
            [new, old], NOW))
        self.assertEqual([old, new], policies.Unused().order([new, old], NOW))

    def test_most_need_a_limit(self):
        self.assertEqual(
            [True, True], [policies.LeastRecentlyUsed.needs_limit,
                           policies.LeastPopular.needs_limit])
        self.assertEqual(
            [False] * 3, [policy.needs_limit for policy in (
                policies.UnusedForLong, policies.Everything,
                policies.Unused)])


class Manager(policies.EvictionPolicy):
    """What all managers inherit, as far as policies go."""

    def update(self):
        """Make a pass."""


class TestOfManager(base.TestCase):

    def test_inherited(self):
        class Plain(policies.LeastPopular, Manager):
            pass

        self.assertIs(policies.LeastPopular, policies.of_manager(Plain))

    def test_managers_of_the_package(self):
        for manager, policy in (
                (managers.AgeImageCacheManager, policies.UnusedForLong),
                (managers.LRUImageCacheManager, policies.LeastRecentlyUsed),
                (managers.NoneImageCacheManager, policies.Unused)):
            self.assertIs(policy, policies.of_manager(manager))

    def test_manager_that_decides_by_itself(self):
        class Own(Manager):
            def order(self, entries, now):
                return entries

        class Changed(policies.LeastPopular, Manager):
            def expired(self, entries, now):
                return entries

        for manager in (Own, Changed):
            error = self.assertRaises(
                TypeError, policies.of_manager, manager)
            self.assertIn(manager.__name__, str(error))

    def test_what_is_no_class(self):
        self.assertRaises(TypeError, policies.of_manager, lambda: None)

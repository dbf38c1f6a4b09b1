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

"""One suite that all image cache managers pass, and what sets them apart."""

import contextlib
import dataclasses
import os
import time
from unittest import mock

from cache_aware_sched.imagecache import directory
from tests.unit.manager_suite.arriving import ArrivingSuite
from tests.unit.manager_suite.base import SuiteTestCase
from tests.unit.manager_suite.critical import CriticalSuite
from tests.unit.manager_suite.disks import DiskSuite
from tests.unit.manager_suite.fetch import FetchSuite
from tests.unit.manager_suite.in_use import InUseSuite
from tests.unit.manager_suite.just_used import JustUsedSuite
from tests.unit.manager_suite.limits import LimitsSuite
from tests.unit.manager_suite.nova import NovaSuite
from tests.unit.manager_suite.protected import ProtectedSuite
from tests.unit.manager_suite.shared import SharedSuite
from tests.unit.manager_suite.told import ToldSuite
from tests.unit.manager_suite.trouble import TroubleSuite
from tests.unit.manager_suite.untouched import UntouchedSuite
from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import HOUR
from tests.unit.managers import image
from tests.unit.managers import sha1


class Suite(InUseSuite, DiskSuite, ProtectedSuite, CriticalSuite,
            UntouchedSuite, LimitsSuite, FetchSuite, ArrivingSuite,
            JustUsedSuite, TroubleSuite, SharedSuite, ToldSuite, NovaSuite):
    """What every manager must pass."""

    reason = 'image_cache_max_size_gb'


class TestAge(Suite, SuiteTestCase):

    manager = 'age'
    reason = 'age'


class TestLRU(Suite, SuiteTestCase):

    manager = 'lru'


class TestPopularity(Suite, SuiteTestCase):

    manager = 'popularity'


class TestProtected(Suite, SuiteTestCase):

    manager = 'protected'
    evicts = False


class TestNone(Suite, SuiteTestCase):

    manager = 'none'
    keeps_unused = False
    reason = 'unused'


class TestThirdParty(Suite, SuiteTestCase):

    manager = managers.LargestFirst


class OrderTestCase(SuiteTestCase):

    def gone(self):
        """Return what was evicted, in the order in which it went."""
        return [line.split()[3] for line in self.logged()
                if line.startswith(f'Host {HOST} evicted ')]

    def booted(self, manager, number, times=1):
        for _ in range(times):
            manager.cache.booted(self.context, image(number), True, GIB,
                                 managers.server().uuid)

    def history(self):
        return os.path.join(self.path, f'image-cache-{HOST}.json')


class TestAgeOptions(OrderTestCase):

    manager = 'age'

    def test_defaults(self):
        fresh = self.put_images(1, age=23 * HOUR)
        self.put_images(2, age=25 * HOUR)
        resized = self.put(f'{sha1(3)}_20', age=HOUR // 2)
        self.put(f'{sha1(4)}_20', age=2 * HOUR)

        self.run_pass()

        self.assert_left(*fresh, resized)

    def test_remove_unused_base_images(self):
        self.set_nova('image_cache', remove_unused_base_images=False)
        names = [*self.put_images(1, 2, age=99 * DAY),
                 self.put(f'{sha1(3)}_20', age=99 * DAY),
                 self.put('swap_512', age=99 * DAY)]

        self.run_pass()

        self.assert_left(*names)

    def test_limits_when_unused_images_are_not_removed(self):
        self.set_nova('image_cache', remove_unused_base_images=False)
        self.set(image_cache_max_images=1)
        names = self.put_images(1, 2, age=99 * DAY)

        self.run_pass()

        self.assert_left(names[1])

    def test_age_of_originals(self):
        self.set_nova('image_cache',
                      remove_unused_original_minimum_age_seconds=600)
        young = [*self.put_images(1, age=400), self.put('swap_1', age=400)]
        self.put_images(2, age=700)
        self.put('swap_2', age=700)
        self.put('ephemeral_1_abcdef0', age=700)
        resized = self.put(f'{sha1(3)}_20', age=700)

        self.run_pass()

        self.assert_left(*young, resized)

    def test_age_of_resized_copies(self):
        self.set_nova('image_cache',
                      remove_unused_resized_minimum_age_seconds=600)
        original = self.put_images(1, age=700)
        young = self.put(f'{sha1(2)}_20', age=400)
        self.put(f'{sha1(2)}_40', age=700)
        self.put(f'{sha1(2)}_sm', age=700)

        self.run_pass()

        self.assert_left(*original, young)

    def test_age_of_nothing(self):
        self.set_nova('image_cache',
                      remove_unused_original_minimum_age_seconds=0,
                      remove_unused_resized_minimum_age_seconds=0)
        self.put_images(1)
        self.put(f'{sha1(2)}_20')

        self.run_pass()

        self.assert_left()

    def test_oldest_goes_first_for_a_limit(self):
        self.set(image_cache_max_images=1)
        names = self.put_images(3, 1, 2)

        self.run_pass()

        self.assertEqual(names[:2], self.gone())


class TestLRUOrder(OrderTestCase):

    manager = 'lru'

    def test_least_recently_used_goes_first(self):
        self.set(image_cache_max_size_gb=2)
        names = self.put_images(4, 1, 5, 2, 3)

        self.run_pass()

        self.assertEqual(names[:3], self.gone())
        self.assert_left(*names[3:])

    def test_use_is_remembered(self):
        self.set(image_cache_max_images=2)
        names = self.put_images(1, 2, 3, age=HOUR)
        booted = self.boot(1)
        manager = self.start()
        with manager.cache.using(image(2)):
            pass
        self.run_pass(manager)
        self.assert_left(*names[:2])

        self.database.servers.remove(booted)
        self.put_images(4, age=HOUR // 2)
        self.run_pass(manager)

        self.assert_left(*names[:2])

    def test_old_images_stay_while_there_is_room(self):
        self.set(image_cache_max_size_gb=2)
        names = self.put_images(1, 2, age=999 * DAY)

        self.run_pass()

        self.assert_left(*names)


class TestPopularityOrder(OrderTestCase):

    manager = 'popularity'

    def test_fewest_boots_go_first(self):
        self.set(image_cache_max_images=1)
        names = self.put_images(1, 2, 3)
        manager = self.start()
        for number, times in ((1, 5), (2, 1), (3, 2)):
            self.booted(manager, number, times)

        self.run_pass(manager)

        self.assertEqual([names[1], names[2]], self.gone())

    def test_size_breaks_a_tie(self):
        self.set(image_cache_max_images=1)
        large = self.put(sha1(1), 5 * GIB)
        small = self.put(sha1(2), GIB, age=DAY)
        manager = self.start()
        for number in (1, 2):
            self.booted(manager, number, 3)

        self.run_pass(manager)

        self.assertEqual([large], self.gone())
        self.assert_left(small)

    def test_restart(self):
        self.set(image_cache_max_images=1)
        names = self.put_images(1, 2)
        self.booted(self.start(), 1, 2)

        self.run_pass(self.start())

        self.assert_left(names[0])

    def test_boots_of_long_ago_count_less(self):
        self.set(image_cache_max_images=1,
                 image_cache_popularity_half_life_hours=1.0)
        names = self.put_images(1, 2)
        manager = self.start()
        with mock.patch('time.time', return_value=time.time() - DAY):
            self.booted(manager, 1, 9)
        self.booted(manager, 2)

        self.run_pass(manager)

        self.assert_left(names[1])

    def test_torn_history(self):
        self.set(image_cache_max_images=2)
        small = self.put_images(1, 2)
        large = self.put(sha1(3), 5 * GIB)
        manager = self.start()
        self.booted(manager, 3, 9)
        manager.cache.save()
        os.truncate(self.history(), os.path.getsize(self.history()) // 2)

        manager = self.run_pass(self.start())

        # The popularity is lost, and nothing else is.
        self.assertEqual([large], self.gone())
        self.assert_left(*small)
        self.assertIn(self.history(), self.warnings()[0])
        self.booted(manager, 1)
        self.put(sha1(4), 2)
        self.run_pass(self.start())
        self.assert_left(small[0], sha1(4))

    def test_missing_history(self):
        self.set(image_cache_max_images=1)
        names = self.put_images(1, 2)
        manager = self.start()
        self.booted(manager, 1, 9)
        manager.cache.save()
        os.unlink(self.history())

        self.run_pass(self.start())

        self.assert_left(names[1])
        self.assertEqual([], self.warnings())

    def test_glance_is_not_asked(self):
        self.set(image_cache_max_images=1)
        self.put_images(1, 2)

        with mock.patch.object(self.glance, 'show', autospec=True) as show:
            self.run_pass()

        show.assert_not_called()
        self.assertEqual(1, len(self.names()))


class TestNoneOrder(OrderTestCase):

    manager = 'none'

    def test_what_nobody_uses_goes(self):
        needed = self.put_images(1)
        self.boot(1)
        self.put_images(2)
        self.put(f'{sha1(2)}_20')
        self.put('swap_512')

        self.run_pass()

        self.assert_left(*needed)

    def test_least_recently_used_goes_first_before_a_fetch(self):
        self.set(image_cache_max_images=2)
        names = self.put_images(3, 1, 2)
        self.glance.add(4, GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual({names[2]}, left)


class TestProtectedOrder(OrderTestCase):

    manager = 'protected'

    def test_what_was_fetched_in_vain_goes(self):
        self.set(image_cache_max_size_gb=1)
        names = self.put_images(1, age=99 * DAY)
        self.put(f'{sha1(2)}.part', age=DAY)

        self.run_pass()

        self.assert_left(*names)


class TestBadPolicies(OrderTestCase):
    """A manager can be wrong, and do no harm."""

    def run_bad(self, order=None, expired=None):
        """Make a pass of a manager with such methods.

        :returns: the files that may go
        """
        class Bad(managers.LargestFirst):
            pass

        if order:
            Bad.order = order
        if expired:
            Bad.expired = expired
        self.boot(1)
        self.put_images(1)
        unused = self.squeeze()
        self.run_pass(self.start(Bad))
        return unused

    def test_exception(self):
        def fail(_manager, entries, now):
            raise RuntimeError('no idea')

        unused = self.run_bad(order=fail)

        self.assert_left(sha1(1), *unused)
        self.assertEqual(1, len(self.errors()))
        for what in ('Bad', HOST):
            self.assertIn(what, self.errors()[0])

    def test_exception_halfway(self):
        def fail(_manager, entries, now):
            yield entries[0]
            raise RuntimeError('no idea')

        unused = self.run_bad(order=fail)

        self.assert_left(sha1(1), *unused)

    def test_exception_from_one_of_the_two(self):
        def fail(_manager, entries, now):
            raise RuntimeError('no idea')

        self.run_bad(expired=fail)

        self.assert_left(sha1(1))
        self.assertEqual(1, len(self.errors()))

    def test_what_is_no_entry(self):
        for answer in (None, 5, [None], ['x'], [sha1(1)]):
            unused = self.run_bad(
                order=lambda _manager, entries, now, answer=answer: answer)

            self.assertLessEqual({sha1(1), *unused}, self.names())

    def test_entries_that_may_not_go(self):
        def everything(manager, entries, now):
            return manager.store.entries(now)

        self.run_bad(order=everything, expired=everything)

        self.assert_left(sha1(1))

    def test_entries_of_its_own(self):
        with open(os.path.join(self.path, 'precious'), 'w') as file:
            file.write('x')

        def made_up(_manager, entries, now):
            return [dataclasses.replace(entry, name=name)
                    for name in ('../precious', sha1(1), '.', '', 'x')
                    for entry in entries]

        unused = self.run_bad(order=made_up, expired=made_up)

        self.assert_left(sha1(1), *unused)
        self.assertTrue(
            os.path.exists(os.path.join(self.path, 'precious')))

    def test_entries_that_it_has_changed(self):
        def changed(_manager, entries, now):
            return [dataclasses.replace(
                entry, size=0, used_ns=0, kind=None, sha1=None)
                for entry in entries]

        self.run_bad(order=changed)

        self.assert_left(sha1(1))
        self.assertIn(f'evicted 2 ({4 * GIB} bytes', self.logged()[-1])

    def test_same_entry_many_times(self):
        notifier = self.listen()
        self.set(image_cache_max_images=2)

        self.run_bad(expired=lambda _manager, entries, now: (
            list(entries[:1]) * 3 + list(entries[:1])))

        self.assert_left(sha1(1))
        self.assertEqual(2, len(self.evictions(notifier)))

    def test_entries_that_are_left_out(self):
        unused = self.run_bad(
            order=lambda _manager, entries, now: [
                entry for entry in entries if entry.name == sha1(902)])

        self.assert_left(sha1(1), unused[0])
        self.assertIn('still exceeded', self.logged()[-1])

    def test_only_what_may_go_is_shown(self):
        shown = []

        def look(_manager, entries, now):
            shown.append({entry.name for entry in entries})
            return ()

        self.set(protected_images=[image(2)])
        self.put_images(2)
        self.put(f'{sha1(3)}.part', age=DAY)

        unused = self.run_bad(order=look, expired=look)

        self.assertEqual([set(unused), set(unused)], shown)

    def test_boot_that_begins_while_the_manager_decides(self):
        class Store(directory.Directory):
            def claim(self, sha1):
                """Leave no trace."""

        def decide(manager, entries, now):
            boots.enter_context(manager.cache.using(image(901)))
            return entries

        class Slow(managers.LargestFirst):
            order = decide

        self.squeeze()
        manager = self.start(Slow, store=Store(lambda: HOST))

        with contextlib.ExitStack() as boots:
            self.run_pass(manager)

        self.assert_left(sha1(901))

    def test_what_an_entry_tells(self):
        shown = []

        def look(_manager, entries, now):
            shown.extend(entries)
            return ()

        manager = self.start()
        self.booted(manager, 902, 2)
        self.run_bad(order=look)

        entry = next(one for one in shown if one.name == sha1(902))
        self.assertEqual(
            (image(902), 2 * GIB, sha1(902)),
            (entry.image_id, entry.size, entry.sha1))
        self.assertAlmostEqual(2.0, entry.boots, places=2)
        self.assertAlmostEqual(
            os.stat(os.path.join(self.cache, sha1(1))).st_mtime - 9 * DAY,
            entry.last_used, delta=600)

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

"""What was just used goes last, by the clock that dates the files."""

import os
import time
from unittest import mock

import fixtures

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import evictable
from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOUR
from tests.unit.managers import sha1

A_MOMENT = evictable.GRACE_SECONDS // 2


class JustUsedSuite:
    """What was used a moment ago is about to show that it is in use."""

    def test_just_used_stays_when_nobody_asks_for_room(self):
        self.expire_at_once()
        names = [self.put(name, age=A_MOMENT) for name in (
            sha1(1), f'{sha1(2)}_20', 'swap_512', managers.ephemeral_name(1))]

        self.run_pass()

        self.assert_left(*names)

    def test_moment_that_is_over(self):
        self.expire_at_once()
        fresh = self.put(sha1(1), age=evictable.GRACE_SECONDS - 60)
        self.put(sha1(2), age=evictable.GRACE_SECONDS + 60)

        self.run_pass()

        self.assert_left(fresh, *(
            () if self.manager in {'age', 'none'} else (sha1(2),)))

    def test_just_used_stays_when_all_else_is_enough_for_a_limit(self):
        self.set(image_cache_max_size_gb=2)
        fresh = self.put(sha1(1), 2 * GIB, age=A_MOMENT)
        unused = self.put_images(2, 3)

        self.run_pass()

        self.assert_left(fresh, *(() if self.evicts else unused))

    def test_just_used_goes_last(self):
        notifier = self.listen()
        self.set(image_cache_max_size_gb=1)
        fresh = [self.put(sha1(number), age=A_MOMENT - number)
                 for number in (1, 2)]
        old = self.put(sha1(3))

        self.run_pass()

        gone = [payload['file'] for payload in self.evictions(notifier)]
        self.assertEqual([old, fresh[0]] if self.evicts else [], gone)

    def test_just_used_goes_last_before_a_fetch(self):
        self.set(image_cache_max_size_gb=3)
        fresh = self.put(sha1(1), 2 * GIB, age=A_MOMENT)
        unused = self.put_images(2)
        self.glance.add(4, GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual({fresh, *(() if self.evicts else unused)}, left)

    def test_just_used_goes_last_with_an_old_copy_of_it(self):
        """A boot touches the image, not each copy of it."""
        self.set(image_cache_max_images=1)
        fresh = [self.put(sha1(1), age=A_MOMENT),
                 self.put(f'{sha1(1)}_20', age=9 * DAY)]
        unused = self.put(sha1(2), age=HOUR)

        self.run_pass()

        self.assertIn(fresh[0], self.names())
        self.assertEqual(not self.evicts, unused in self.names())

    def test_use_of_what_was_just_used_is_seen(self):
        def use(entry):
            os.utime(os.path.join(self.cache, entry.name))

        manager = self.meddle(use)
        names = [self.put(sha1(901 + place), 2 * GIB, age)
                 for place, age in enumerate((A_MOMENT, -DAY))]

        self.run_pass(manager)

        self.assert_left(*names)

    def test_use_is_seen_whatever_was_known_of_the_file(self):
        """The kernel remembers what the file server said some time ago."""
        def use(entry):
            path = os.path.join(self.cache, entry.name)
            known = os.lstat(path)
            os.utime(path)
            for name in ('lstat', 'stat'):
                self.useFixture(fixtures.MockPatchObject(
                    os, name, self.remembering(path, known)))

        manager = self.meddle(use)

        self.run_pass(manager)

        self.assert_left(sha1(901), sha1(902))

    def remembering(self, path, known):
        """Return an os.stat that does not ask again about a path."""
        ask = os.stat
        return lambda asked, *args, **kwargs: (
            known if asked == path else ask(asked, *args, **kwargs))

    def test_clock_of_the_host_does_not_matter(self):
        self.expire_at_once()
        fresh = self.put(sha1(1), age=A_MOMENT)
        manager = self.start()

        for seconds in (-30 * DAY, 30 * DAY):
            with mock.patch('time.time', return_value=time.time() + seconds):
                self.run_pass(manager)

            self.assert_left(fresh)

    def test_no_file_is_left_of_asking_for_the_time(self):
        before = time.time()

        now = directory.Directory(lambda: managers.HOST).now()

        self.assertAlmostEqual(before, now, delta=60)
        self.assert_left()

    def test_no_room_to_ask_for_the_time(self):
        """Then the clock of the host has to do."""
        unused = self.squeeze()
        fresh = self.put(managers.ephemeral_name(1), 0, age=A_MOMENT)
        self.useFixture(fixtures.MockPatchObject(
            directory.tempfile, 'TemporaryFile',
            side_effect=OSError('No space left on device')))

        self.run_pass()

        self.assert_left(fresh, *(() if self.evicts else unused))

    def test_file_of_the_future_was_just_used(self):
        self.expire_at_once()
        names = [self.put(sha1(1), age=-HOUR), self.put(sha1(2), age=-9 * DAY)]

        manager = self.run_pass()
        self.run_pass(manager)

        self.assert_left(*names)

    def test_file_of_the_future_goes_when_it_must(self):
        self.set(image_cache_max_size_gb=1)
        names = [self.put(sha1(1), 2 * GIB, age=-9 * DAY)]

        self.run_pass()

        self.assert_left(*(() if self.evicts else names))

    def test_file_of_the_future_was_used_no_later_than_now(self):
        self.put(sha1(1), age=-9 * DAY)

        [entry] = self.start().store.entries(time.time())

        self.assertLess(entry.last_used, time.time() + HOUR)
        self.assertGreater(entry.modified_ns, entry.used_ns)

    def test_file_of_the_future_gets_old_from_now_on(self):
        """Or it would outlive all that is of more use."""
        self.set(image_cache_max_images=1)
        future = self.put(sha1(1), age=-999 * DAY)
        manager = self.run_pass()

        self.put(sha1(2), age=-DAY)
        with mock.patch.object(directory.Directory, 'now',
                               return_value=time.time() + 2 * DAY):
            self.run_pass(manager)

        self.assertEqual(not self.evicts, future in self.names())

    def expire_at_once(self):
        self.set_nova('image_cache',
                      remove_unused_original_minimum_age_seconds=0,
                      remove_unused_resized_minimum_age_seconds=0)

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

"""What is being fetched, and what is left of it."""

import os
import signal

from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOUR
from tests.unit.managers import image
from tests.unit.managers import sha1


class ArrivingSuite:
    """Files of a fetch: one that goes on, and one that was killed."""

    def test_fetch_of_this_process(self):
        manager = self.start()
        unused = self.squeeze()
        self.glance.add(4, GIB)
        manager = self.start(type(manager))

        with manager.cache.fetching(self.context, image(4)):
            # What was written first is idle while it is made raw.
            names = [self.put(f'{sha1(4)}.part', age=9 * HOUR),
                     self.put(f'{sha1(4)}.converted', age=2 * HOUR)]
            self.run_pass(manager)

            self.assert_left(*names, *(() if self.evicts else unused))

    def test_complete_image_before_its_server_is_there(self):
        unused = self.squeeze()
        self.glance.add(4, GIB)
        manager = self.start()

        with manager.cache.fetching(self.context, image(4)):
            self.put(sha1(4), age=9 * DAY)
            self.run_pass(manager)

            self.assert_left(sha1(4), *(() if self.evicts else unused))

    def test_fetch_of_another_host(self):
        unused = self.squeeze()
        names = [self.put(f'{sha1(4)}.part', age=2 * HOUR),
                 self.put(f'{sha1(4)}.converted', age=60),
                 self.put(f'{sha1(5)}.part', age=500)]

        self.run_pass()

        self.assert_left(*names, *(() if self.evicts else unused))

    def test_fetch_that_was_killed_goes_first(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2, age=DAY // 2)
        self.put(f'{sha1(4)}.part', age=HOUR + 60)
        self.put(f'{sha1(4)}.converted', age=HOUR + 60)
        self.glance.add(5, GIB)

        left = self.fetch(self.start(), 5)

        self.assertEqual(set(names), left)

    def test_why_the_remains_of_a_fetch_go(self):
        self.set(image_cache_max_size_gb=1)
        notifier = self.listen()
        self.put(f'{sha1(4)}.part', 2 * GIB, age=HOUR + 60)

        self.run_pass()

        [payload] = self.evictions(notifier)
        self.assertEqual('left_behind', payload['reason'])

    def test_fetch_that_was_killed_is_no_image(self):
        self.set(image_cache_max_images=2)
        names = self.put_images(1, 2)
        part = self.put(f'{sha1(4)}.part', age=9 * DAY)

        self.run_pass()

        self.assert_left(part, *(names if self.keeps_unused else ()))

    def test_fetch_that_was_killed_of_an_image_in_use(self):
        """A fetch that is over is of no use to the server."""
        self.boot(1)
        self.squeeze()
        self.put_images(1)
        part = self.put(f'{sha1(1)}.part', age=9 * DAY)

        self.run_pass()

        self.assertNotIn(part, self.names())

    def test_time_of_a_fetch_is_not_that_of_its_image(self):
        """Or it would seem to go on forever."""
        self.boot(1)
        part = self.put(f'{sha1(1)}.part', age=600)
        path = os.path.join(self.cache, part)
        written = os.stat(path).st_mtime_ns

        self.run_pass()

        self.assertEqual(written, os.stat(path).st_mtime_ns)

    def test_fetch_that_was_killed_of_a_protected_image(self):
        self.set(protected_images=[image(1)])
        self.set(image_cache_max_size_gb=1)
        names = self.put_images(1)
        self.put(f'{sha1(1)}.part', age=9 * DAY)

        self.run_pass()

        self.assert_left(*names)

    def test_fetch_that_was_killed_takes_no_image_with_it(self):
        self.set(image_cache_max_images=2)
        names = self.put_images(1, 2, 3)
        part = self.put(f'{names[-1]}.part', age=9 * DAY)

        self.run_pass()

        self.assert_left(part, *self.unneeded(*names))

    def test_killed_in_the_middle_of_a_fetch(self):
        self.set(image_cache_max_size_gb=3)
        names = self.put_images(1, 2)
        self.glance.add(4, GIB)
        manager = self.start()

        def child():
            with manager.cache.fetching(self.context, image(4)):
                self.put(f'{sha1(4)}.part', GIB // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        code, _answer = self.run_in_child(child)
        left = self.fetch(self.start(), 4)

        # It fits, with and without what was fetched before.
        self.assertEqual(-signal.SIGKILL, code)
        self.assertEqual({*names, f'{sha1(4)}.part'}, left)

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

import contextlib
import queue
import threading
import time
from unittest import mock

from cache_aware_sched.imagecache import in_progress
from tests.unit import base

A, B, C = (letter * 40 for letter in 'abc')

#: Seconds after which a thread that should have moved is given up.
_PATIENCE = 30


class InProgressTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.uses = in_progress.InProgress()


class TestUsing(InProgressTestCase):

    def test_nothing(self):
        self.assertEqual(set(), self.uses.sha1s())

    def test_while_the_block_takes(self):
        with self.uses.using({A, B}):
            self.assertEqual({A, B}, self.uses.sha1s())

        self.assertEqual(set(), self.uses.sha1s())

    def test_no_image(self):
        with self.uses.using(()):
            self.assertEqual(set(), self.uses.sha1s())

    def test_one_in_the_other(self):
        with self.uses.using({A}):
            with self.uses.using({A, B}):
                self.assertEqual({A, B}, self.uses.sha1s())

            self.assertEqual({A}, self.uses.sha1s())

        self.assertEqual(set(), self.uses.sha1s())

    def test_one_ends_before_the_other(self):
        with contextlib.ExitStack() as first:
            first.enter_context(self.uses.using({A}))
            with self.uses.using({A}):
                first.close()

                self.assertEqual({A}, self.uses.sha1s())

        self.assertEqual(set(), self.uses.sha1s())

    def test_failure_of_the_block(self):
        with (self.assertRaisesRegex(OSError, 'no space'),
              self.uses.using({A})):
            raise OSError('no space')

        self.assertEqual(set(), self.uses.sha1s())

    def test_whether_there_is_any(self):
        self.assertFalse(self.uses)
        with self.uses.using({A}):
            with self.uses.using({A, B}):
                self.assertTrue(self.uses)

            self.assertTrue(self.uses)

        self.assertFalse(self.uses)

    def test_whether_there_is_one_of_no_image(self):
        """As a server that boots from a volume."""
        with self.uses.using(()):
            self.assertTrue(self.uses)

        self.assertFalse(self.uses)

    def test_answer_does_not_change(self):
        with self.uses.using({A}):
            before = self.uses.sha1s()

            with self.uses.using({B}):
                self.assertEqual({A}, before)

    def test_two_of_them_know_nothing_of_each_other(self):
        with self.uses.using({A}):
            self.assertEqual(set(), in_progress.InProgress().sha1s())


class TestHoldingOff(InProgressTestCase):

    def test_image_that_is_not_in_use(self):
        with self.uses.holding_off(A) as in_use:
            self.assertFalse(in_use)

    def test_image_that_is_in_use(self):
        with (self.uses.using({A, B}),
              self.uses.holding_off(A) as in_use):
            self.assertTrue(in_use)

    def test_image_that_was_in_use(self):
        with self.uses.using({A}):
            pass

        with self.uses.holding_off(A) as in_use:
            self.assertFalse(in_use)

    def test_other_image_is_in_use(self):
        with (self.uses.using({B}), self.uses.holding_off(A) as in_use):
            self.assertFalse(in_use)

    def test_it_is_no_use(self):
        with self.uses.holding_off(A):
            self.assertEqual(set(), self.uses.sha1s())

    def test_image_that_is_being_removed(self):
        with (self.uses.holding_off(A),
              self.uses.holding_off(A) as in_use):
            self.assertTrue(in_use)

    def test_second_does_not_end_the_first(self):
        with self.uses.holding_off(A):
            with self.uses.holding_off(A):
                pass

            with self.uses.holding_off(A) as in_use:
                self.assertTrue(in_use)

    def test_two_images_at_once(self):
        with (self.uses.holding_off(A),
              self.uses.holding_off(B) as in_use):
            self.assertFalse(in_use)

    def test_one_after_the_other(self):
        with self.uses.holding_off(A):
            pass

        with self.uses.holding_off(A) as in_use:
            self.assertFalse(in_use)

    def test_what_is_of_no_image(self):
        """As swap: nobody says that it is in use, so nobody is held off."""
        with (self.uses.holding_off(None) as in_use,
              self.uses.holding_off(None) as again):
            self.assertFalse(in_use)
            self.assertFalse(again)

    def test_failure_of_the_block(self):
        with (self.assertRaisesRegex(OSError, 'read-only'),
              self.uses.holding_off(A)):
            raise OSError('read-only')

        with self.uses.holding_off(A) as in_use:
            self.assertFalse(in_use)

    def test_failure_while_it_is_in_use(self):
        with self.uses.using({A}):
            with (self.assertRaisesRegex(OSError, 'read-only'),
                  self.uses.holding_off(A)):
                raise OSError('read-only')

            self.assertEqual({A}, self.uses.sha1s())


class TestWaiting(base.TestCase):
    """Whoever wants to use an image waits until it is gone."""

    def setUp(self):
        super().setUp()
        self.events = events = queue.Queue()

        class Condition(threading.Condition):

            def wait(self, timeout=None):
                events.put('waits')
                return super().wait(timeout)

        with mock.patch.object(threading, 'Condition', Condition):
            self.uses = in_progress.InProgress()

    def use(self, *sha1s, until=None):
        """Use images in another thread."""
        def run():
            with self.uses.using(sha1s):
                self.events.put('uses')
                if until is not None:
                    until.wait(_PATIENCE)
            self.events.put('is done')

        thread = self.run_in_thread(run)
        self.addCleanup(thread.join, _PATIENCE)

    def assert_next(self, *expected):
        self.assertEqual(list(expected), [
            self.events.get(timeout=_PATIENCE) for _event in expected])

    def test_for_the_image(self):
        with self.uses.holding_off(A):
            self.use(A)
            self.assert_next('waits')
            self.assertEqual(set(), self.uses.sha1s())

        self.assert_next('uses', 'is done')

    def test_for_one_of_its_images(self):
        with self.uses.holding_off(B):
            self.use(A, B, C)
            self.assert_next('waits')
            self.assertEqual(set(), self.uses.sha1s())

        self.assert_next('uses', 'is done')

    def test_for_all_of_its_images(self):
        with self.uses.holding_off(A):
            with self.uses.holding_off(B):
                self.use(A, B)
                self.assert_next('waits')

            self.assert_next('waits')

        self.assert_next('uses', 'is done')

    def test_not_for_another(self):
        with self.uses.holding_off(B):
            self.use(A)

            self.assert_next('uses', 'is done')

    def test_not_for_what_is_of_no_image(self):
        with self.uses.holding_off(None):
            self.use(A)

            self.assert_next('uses', 'is done')

    def test_not_for_another_user(self):
        with self.uses.using({A}):
            self.use(A)

            self.assert_next('uses', 'is done')

    def test_not_for_who_saw_that_it_is_in_use(self):
        """It lets the image be, and may take its time."""
        with (self.uses.using({A}), self.uses.holding_off(A)):
            self.use(A)

            self.assert_next('uses', 'is done')

    def test_several_users(self):
        with self.uses.holding_off(A):
            for _thread in range(3):
                self.use(A)
                self.assert_next('waits')

        events = [self.events.get(timeout=_PATIENCE) for _event in range(6)]
        self.assertEqual(['is done'] * 3 + ['uses'] * 3, sorted(events))

    def test_removal_that_failed(self):
        with (self.assertRaises(OSError), self.uses.holding_off(A)):
            self.use(A)
            self.assert_next('waits')
            raise OSError('read-only')

        self.assert_next('uses', 'is done')

    def test_in_use_when_the_wait_is_over(self):
        until = threading.Event()
        with self.uses.holding_off(A):
            self.use(A, until=until)
            self.assert_next('waits')

        self.assert_next('uses')
        with self.uses.holding_off(A) as in_use:
            self.assertTrue(in_use)
        until.set()
        self.assert_next('is done')
        self.assertEqual(set(), self.uses.sha1s())

    def test_many_threads_at_once(self):
        def run():
            for _turn in range(50):
                with self.uses.holding_off(A) as in_use:
                    if not in_use:
                        removing.append(1)
                        time.sleep(0)
                        wrong.extend(using)
                        removing.pop()
                with self.uses.using({A}):
                    using.append(1)
                    time.sleep(0)
                    wrong.extend(removing)
                    using.pop()

        using, removing, wrong = [], [], []
        threads = [self.run_in_thread(run) for _thread in range(8)]
        for thread in threads:
            thread.join(_PATIENCE)

        self.assertFalse(any(thread.is_alive() for thread in threads))
        self.assertEqual([], wrong)
        self.assertEqual(set(), self.uses.sha1s())

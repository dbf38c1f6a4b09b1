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

"""Locks that are kept by a simulated server, in the real thread."""

import concurrent.futures
import threading
import time
from unittest import mock

import fixtures
import tooz

from cache_aware_sched.precache import coordination
from cache_aware_sched.precache import keeper
from tests.unit import base


class Server:
    """Holds locks for its clients.

    :ivar away: what a call raises; None as long as it answers
    :ivar answers: calls wait while it is not set
    """

    def __init__(self):
        self.held = {}
        self.away = None
        self.answers = threading.Event()
        self.answers.set()

    def answer(self):
        self.answers.wait(60)
        if self.away:
            raise self.away


class ToozLock:
    def __init__(self, server, name, tells):
        self._server, self._name, self._tells = server, name, tells

    def acquire(self, blocking):
        assert not blocking
        self._server.answer()
        return self._server.held.setdefault(self._name, self) is self

    def release(self):
        self._server.answer()
        if self._server.held.get(self._name) is not self:
            return False
        del self._server.held[self._name]
        return True

    def is_still_owner(self):
        if not self._tells:
            raise tooz.NotImplemented
        self._server.answer()
        return self._server.held.get(self._name) is self


class Coordinator:
    """As those of tooz.

    :ivar lease: seconds that locks live
    """

    requires_beating = True

    def __init__(self, server, lease=0.2, tells=True):
        self._server, self.lease, self._tells = server, lease, tells
        self.beats = 0
        self.is_stopped = False

    def get_lock(self, name):
        return ToozLock(self._server, name, self._tells)

    def heartbeat(self):
        self._server.answer()
        self.beats += 1
        return self.lease

    def stop(self):
        self.is_stopped = True


class KeeperTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.server = Server()
        self.patient(0.2)
        self.useFixture(fixtures.MockPatchObject(keeper, '_AGAIN', 0.02))

    def patient(self, seconds):
        for name in ('PATIENCE', 'START_PATIENCE'):
            self.useFixture(fixtures.MockPatchObject(keeper, name, seconds))

    def locks(self, **how):
        self.coordinator = Coordinator(self.server, **how)
        kept = keeper.LockKeeper(lambda: self.coordinator)
        self.addCleanup(kept.stop)
        self.addCleanup(self.server.answers.set)
        return coordination.Locks(kept)

    def wait(self, condition):
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end, 'it never came')
            time.sleep(0.01)


class KeeperTests(KeeperTestCase):

    def test_a_lock_is_kept_alive(self):
        lock = self.locks().acquire('slot 0')

        self.wait(lambda: self.coordinator.beats > 5)

        self.assertTrue(lock.is_held())

    def test_a_server_without_signs_of_life(self):
        """As files: there is nothing to be kept alive."""
        with mock.patch.object(Coordinator, 'requires_beating', False):
            lock = self.locks().acquire('slot 0')

            self.assertTrue(lock.is_held())
            self.assertEqual(0, self.coordinator.beats)

    def test_what_nobody_can_tell_is_not_free(self):
        locks = self.locks()
        self.server.away = tooz.ToozError('connection refused')

        self.assertIsNone(locks.acquire('slot 0'))
        self.assertIsNone(locks.first_free('slot', 10))

        self.assertEqual('connection refused', locks.trouble)
        [warning] = [one for one in self.warnings() if 'lock ' in one]
        self.assertIn("lock 'slot 0'", warning)

    def test_an_error_without_words_is_told_by_its_cause(self):
        locks = self.locks()
        self.server.away = tooz.ToozError('')
        self.server.away.__cause__ = OSError(
            'redis://a:secret@host refuses\nmore')

        locks.acquire('slot 0')

        self.assertEqual('redis://a:***@host refuses', locks.trouble)

    def test_a_server_that_is_away_again_is_told_again(self):
        locks = self.locks()
        for _again in range(2):
            self.server.away = tooz.ToozError('connection refused')
            locks.acquire('slot 0')
            self.server.away = None
            self.wait(lambda: locks.acquire('slot 0') is not None)
            self.server.held.clear()

        self.assertEqual(2, len([
            one for one in self.warnings() if 'cannot be told' in one]))

    def test_nobody_waits_for_a_server_that_hangs(self):
        locks = self.locks()
        self.server.answers.clear()

        self.assertIsNone(locks.acquire('slot 0'))
        self.patient(60)
        self.assertIsNone(locks.acquire('slot 1'))

        self.assertIn('does not answer', locks.trouble)

    def test_what_was_not_waited_for_is_given_back(self):
        locks = self.locks()
        self.server.answers.clear()
        self.assertIsNone(locks.acquire('slot 0'))

        self.server.answers.set()

        self.wait(lambda: locks.acquire('slot 1'))
        self.assertEqual(1, len(self.server.held))
        self.assertIsNotNone(locks.acquire('slot 0'))

    def test_what_cannot_be_given_back_is_given_back_later(self):
        lock = self.locks().acquire('slot 0')
        self.server.away = tooz.ToozError('connection refused')

        lock.release()

        self.assertFalse(lock.is_held())
        self.assertEqual(1, len(self.server.held))
        self.server.away = None
        self.wait(lambda: not self.server.held)

    def test_what_can_never_be_given_back_keeps_no_other_lock_from_living(
            self):
        """As with a connection of its own that was lost."""
        locks = self.locks()
        lock, other = locks.acquire('slot 0'), locks.acquire('slot 1')
        lock.lock.release = mock.Mock(side_effect=tooz.ToozError('lost'))
        lock.release()
        beats = self.coordinator.beats

        self.wait(lambda: self.coordinator.beats > beats + 5)

        self.assertTrue(other.is_held())
        self.assertLess(1, lock.lock.release.call_count)

    def test_locks_are_not_waited_for_one_by_one(self):
        """As after Ctrl-C, while the server hangs."""
        locks = self.locks()
        held = [locks.acquire(f'slot {number}') for number in range(20)]
        self.server.answers.clear()
        waited = []
        wait = concurrent.futures.wait

        def count(futures, timeout):
            waited.append(timeout)
            return wait(futures, timeout)

        with mock.patch.object(concurrent.futures, 'wait', count):
            for lock in held:
                lock.release()

        self.assertEqual(1, len(waited))
        self.server.answers.set()
        self.wait(lambda: not self.server.held)
        self.wait(lambda: locks.acquire('slot 0'))

    def test_a_lock_is_not_trusted_while_its_server_is_away(self):
        lock = self.locks().acquire('watch')
        self.server.away = tooz.ToozError('connection refused')

        self.wait(lambda: not lock.is_held())

        self.server.away = None
        self.wait(lock.is_held)
        [warning] = self.warnings()
        self.assertIn('cannot be kept alive: connection refused', warning)

    def test_what_a_server_has_forgotten_is_taken_again(self):
        lock = self.locks().acquire('slot 0')

        self.server.held.clear()

        self.wait(lambda: self.server.held)
        self.assertTrue(lock.is_held())
        lock.release()
        self.assertEqual({}, self.server.held)

    def test_what_somebody_else_has_is_lost(self):
        for tells in (True, False):
            lock = self.locks(tells=tells).acquire('slot 0')
            [name] = self.server.held
            # As if this process had been stopped for longer than the lease.
            self.server.answers.clear()
            self.server.held[name] = object()
            self.wait(lambda: not lock.is_held())  # noqa: B023
            self.server.answers.set()
            beats = self.coordinator.beats

            self.wait(lambda: self.coordinator.beats > beats + 2)  # noqa: B023

            self.assertFalse(lock.is_held())
            lock.release()
            self.assertIn(name, self.server.held)
            self.server.held.clear()
        self.assertEqual(2, len([one for one in self.warnings()
                                 if 'was lost' in one]))

    def test_what_cannot_be_told_is_taken_again(self):
        """As with etcd, after the process was stopped."""
        lock = self.locks(tells=False).acquire('slot 0')
        self.server.answers.clear()
        self.wait(lambda: not lock.is_held())

        self.server.held.clear()
        self.server.answers.set()

        self.wait(lock.is_held)
        self.assertEqual(1, len(self.server.held))

    def test_all_is_given_back_at_the_end(self):
        locks = self.locks()
        locks.acquire('slot 0')
        locks.acquire('slot 1')

        locks._keeper.stop()

        self.assertEqual({}, self.server.held)
        self.assertTrue(self.coordinator.is_stopped)

    def test_an_end_does_not_wait_for_a_server_that_hangs(self):
        locks = self.locks()
        locks.acquire('slot 0')
        self.server.answers.clear()

        ended = concurrent.futures.Future()
        threading.Thread(target=lambda: ended.set_result(
            locks._keeper.stop()), daemon=True).start()

        ended.result(timeout=30)

    def test_no_start(self):
        self.server.answers.clear()
        self.addCleanup(self.server.answers.set)

        self.assertRaises(keeper.Unanswered, keeper.LockKeeper,
                          self.server.answer)

    def test_nothing_is_left_of_a_start_that_fails(self):
        """Else each try leaves a thread behind, which warns for ever."""
        self.server.away = OSError('refused')

        for connect in (self.server.answer,
                        lambda: Coordinator(self.server)):
            threads = set(threading.enumerate())
            self.assertRaises(keeper.Unanswered, keeper.LockKeeper, connect)
            self.wait(lambda: threads >= {  # noqa: B023
                one for one in threading.enumerate() if one.name == 'locks'})

        self.assertEqual([], self.warnings())

    def test_start_that_fails_after_a_beat_was_due(self):
        late = [0.0]

        def connect():
            late[0] = 2 * keeper._LEASE
            raise OSError('refused')

        self.assertRaises(keeper.Unanswered, keeper.LockKeeper, connect,
                          lambda: time.monotonic() + late[0])

        self.wait(lambda: 'locks' not in {
            one.name for one in threading.enumerate()})
        self.assertEqual([], self.warnings())

    def test_start_that_comes_too_late_is_ended(self):
        self.server.answers.clear()
        late = Coordinator(self.server)

        def connect():
            self.server.answer()
            return late

        self.assertRaises(keeper.Unanswered, keeper.LockKeeper, connect)
        self.server.answers.set()

        self.wait(lambda: late.is_stopped)

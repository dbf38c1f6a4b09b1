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

"""Keeps locks of tooz, in a thread of its own.

While its server is away, a driver of tooz may stay in one call for minutes:
that of Redis tries again and again. Whoever has a lock does not wait for that,
and a lock lives on while its owner is busy with something else.

All calls of the driver are made in this one thread. Read in tooz 9.1.0: a lock
that could not be given back is kept alive by some drivers, and only some can
tell whether a lock is still held.
"""

from collections.abc import Callable
import concurrent.futures
import contextlib
import queue
import threading
import time
from typing import Any, TypeVar

from oslo_log import log as logging

from cache_aware_sched import masking
from cache_aware_sched import once

LOG = logging.getLogger(__name__)

_T = TypeVar('_T')

#: Seconds that a call may take before nobody waits for it any more, and those
#: for the first one. Judgement: a server that is there answers in some
#: milliseconds.
PATIENCE = 10.0
START_PATIENCE = 30.0

#: Seconds that a lock lives without a sign of life, where a driver does not
#: say: what those of Redis and etcd have (tooz 9.1.0).
_LEASE = 30.0

#: Signs of life within the time that a lock lives, so that two may fail.
_BEATS = 3

#: Of what a driver says.
_MAX_TEXT = 300

#: Seconds after which one that failed is repeated.
_AGAIN = 2.0


class Unanswered(Exception):
    """There is no answer; the message says why, without a password."""


def words(error: BaseException) -> str:
    """Return what an error of a driver says, without a password.

    Some say nothing themselves, but what has caused them does.
    """
    cause: BaseException | None = error
    while cause and not str(cause):
        cause = cause.__cause__ or cause.__context__
    said = str(cause or '').partition('\n')[0] or type(error).__name__
    return masking.masked(said)[:_MAX_TEXT]


class KeptLock:
    """A lock that is kept alive until it is given back.

    :param name: of the lock
    :param tooz_name: what tooz calls it
    :param lock: of tooz, acquired
    """

    def __init__(self, keeper: 'LockKeeper', name: str, tooz_name: bytes,
                 lock: Any) -> None:
        self.name, self.tooz_name, self.lock = name, tooz_name, lock
        self.is_ours = True
        self._keeper = keeper

    def is_held(self) -> bool:
        """Return whether it is certain that nobody else has it.

        It is not while its server is away for longer than a lock lives.
        """
        return self.is_ours and self._keeper.is_fresh()

    def release(self) -> None:
        """Give it back; if the server is away, as soon as it is there."""
        self.is_ours = False
        self._keeper.give_back(self)


class LockKeeper:
    """Makes all calls of a coordinator of tooz.

    :param connect: returns the coordinator, started, without a heart
    :param clock: seconds; one that goes on while the process is stopped
    :raises Unanswered: if it does not start
    """

    def __init__(self, connect: Callable[[], Any],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tasks: queue.SimpleQueue[Callable[[], None]] = (
            queue.SimpleQueue())
        self._held: list[KeptLock] = []
        #: Locks of tooz that could not be given back.
        self._owed: list[Any] = []
        self._lease, self._beaten_at = _LEASE, clock()
        self._beats_at = clock() + _LEASE
        self._is_stuck = self._has_ended = False
        self._coordinator: Any = None
        threading.Thread(target=self._work, daemon=True,
                         name='locks').start()
        try:
            self._coordinator = self._call(connect, START_PATIENCE, _end)
            self._call(self._beat, PATIENCE)
        except Unanswered:
            self._put(self._stop)  # nobody waits for a server that hangs
            raise

    def acquire(self, name: str, tooz_name: bytes) -> KeptLock | None:
        """Return a lock that was free, None if it was not.

        :param tooz_name: what tooz calls it
        :raises Unanswered: if nobody can tell
        """
        def acquire() -> KeptLock | None:
            lock = self._coordinator.get_lock(tooz_name)
            if not lock.acquire(blocking=False):
                return None
            kept = KeptLock(self, name, tooz_name, lock)
            self._held.append(kept)
            return kept

        return self._call(acquire, PATIENCE, self._drop)

    def give_back(self, kept: KeptLock) -> None:
        """Give a lock back, at once if the server answers."""
        self._wait(self._put(lambda: self._drop(kept)))

    def is_fresh(self) -> bool:
        """Return whether the locks are alive, as far as can be told."""
        return self._clock() - self._beaten_at < self._lease

    def stop(self) -> None:
        """Give everything back that can be given back, and end."""
        self._wait(self._put(self._stop))

    # In the thread of the caller.

    def _put(self, do: Callable[[], _T], undo: Callable[[Any], None] = (
            lambda _result: None)) -> 'concurrent.futures.Future[_T]':
        future: concurrent.futures.Future[_T] = concurrent.futures.Future()

        def task() -> None:
            try:
                result = do()
            except Exception as error:
                with contextlib.suppress(
                        concurrent.futures.InvalidStateError):
                    future.set_exception(error)
            else:
                try:
                    future.set_result(result)
                except concurrent.futures.InvalidStateError:
                    undo(result)  # nobody waits for it any more
            if future.cancelled():
                self._is_stuck = False

        self._tasks.put(task)
        return future

    def _wait(self, future: 'concurrent.futures.Future[Any]') -> None:
        if not self._is_stuck and not concurrent.futures.wait(
                [future], PATIENCE).done:
            # It is done later all the same; the next one waits for nothing.
            self._is_stuck = True
            if not future.cancel():
                self._is_stuck = False

    def _call(self, do: Callable[[], _T], patience: float,
              undo: Callable[[Any], None] = lambda _result: None) -> _T:
        if self._is_stuck:
            raise Unanswered('the server of the locks does not answer')
        future = self._put(do, undo)
        if not concurrent.futures.wait([future], patience).done:
            self._is_stuck = True
            if future.cancel():
                raise Unanswered('the server of the locks does not answer '
                                 f'within {patience:.0f} seconds')
            self._is_stuck = False
        try:
            return future.result()
        except Exception as error:  # of the driver, whichever it is
            raise Unanswered(words(error)) from error

    # In the thread of the keeper.

    def _work(self) -> None:
        while not self._has_ended:
            left = self._beats_at - self._clock()
            if left > 0:
                with contextlib.suppress(queue.Empty):
                    self._tasks.get(timeout=left)()
                continue
            try:
                self._beat()
            except Exception as error:  # of the driver, whichever it is
                self._beats_at = self._clock() + _AGAIN
                once.warning(
                    LOG, ('alive',), 'The locks of pre-caching cannot be kept '
                    'alive: %(why)s. In %(seconds)d seconds they may be '
                    'free.', {'why': words(error), 'seconds': self._lease})
            else:
                once.forget(LOG, ('alive',))

    def _beat(self) -> None:
        """Give a sign of life, and see which locks are still held."""
        now = self._clock()
        if self._coordinator is None:  # it starts, or did not
            self._beats_at = now + _AGAIN
            return
        while self._owed:
            lock = self._owed.pop(0)
            try:
                lock.release()
            except Exception:  # of the driver, whichever it is
                self._owed.append(lock)
                break  # one that can never be must not keep this from beating
        is_late = False
        if self._coordinator.requires_beating:
            lease = float(self._coordinator.heartbeat())
            # Only now: a call may hang as well.
            is_late = self._clock() - self._beaten_at >= self._lease
            self._lease = lease
            now = self._clock() if is_late else now
        for kept in list(self._held):
            if kept.is_ours and not self._is_still_held(kept, is_late):
                self._take_again(kept)
        self._beaten_at = now
        self._beats_at = now + self._lease / _BEATS

    def _stop(self) -> None:
        self._has_ended = True
        for kept in list(self._held):
            self._drop(kept)
        if self._coordinator is not None:
            _end(self._coordinator)

    def _is_still_held(self, kept: KeptLock, is_late: bool) -> bool:
        try:
            return bool(kept.lock.is_still_owner())
        except NotImplementedError:
            return not is_late

    def _take_again(self, kept: KeptLock) -> None:
        """Take a lock again whose lease ran out, if nobody else has it.

        The process was stopped, or the server has forgotten what it knew.
        """
        with contextlib.suppress(Exception):
            kept.lock.release()
        kept.lock = self._coordinator.get_lock(kept.tooz_name)
        kept.is_ours = bool(kept.lock.acquire(blocking=False))
        if not kept.is_ours:
            LOG.warning('The lock %(name)r was lost, and another process has '
                        'it now.', {'name': kept.name})

    def _drop(self, kept: KeptLock | None) -> None:
        if kept is None:
            return
        self._held.remove(kept)
        try:
            kept.lock.release()
        except Exception:  # of the driver, whichever it is
            self._owed.append(kept.lock)
            self._beats_at = min(self._beats_at, self._clock() + _AGAIN)


def _end(coordinator: Any) -> None:
    with contextlib.suppress(Exception):  # of the driver, whichever it is
        coordinator.stop()

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

"""Plans and carries out again and again; one of several controllers acts."""

from collections.abc import Callable
import dataclasses
import time
from typing import Any

from cache_aware_sched.option import Checked
from cache_aware_sched.option import option
from cache_aware_sched.precache import coordination

#: Of the lock that the active controller has.
_LOCK = 'watch'

#: Seconds between two looks whether the active controller has ended.
_LOOK_SECONDS = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class WatchOptions(Checked):
    """How often is planned."""

    interval_minutes: float = option(
        15.0, 'Minutes from the end of a round to the next one.',
        above=0, high=10_080)
    once: bool = option(False, 'Make one round, and end.')


class Watch:
    """Makes one round after the other.

    :param plan: returns a :class:`.plan.PrecachePlan`
    :param carry: carries it out; called with what tells whether this
        controller is still the active one
    :param say: called with a line for the log
    :param unreadable: what ``plan`` raises if it cannot tell
    :param sleep: waits some seconds
    """

    def __init__(self, plan: Callable[[], Any],
                 carry: Callable[[Any, Callable[[], bool]], Any],
                 locks: coordination.Locks, often: WatchOptions,
                 say: Callable[[str], None],
                 unreadable: type[Exception],
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self._plan, self._carry = plan, carry
        self._locks, self._often = locks, often
        self._say, self._unreadable = say, unreadable
        self._sleep = sleep
        self._lock: Any = None
        self._waits = self._has_planned = False

    def run(self) -> bool:
        """Make rounds until the process is ended, or one.

        :returns: whether the last one did what there was to do
        """
        try:
            while True:
                if self._is_active():
                    done = self._round()
                    if self._often.once:
                        return done
                    self._sleep(self._often.interval_minutes * 60)
                elif self._often.once:
                    return True
                else:
                    self._sleep(_LOOK_SECONDS)
        finally:
            if self._lock is not None:
                self._lock.release()

    def _is_active(self) -> bool:
        """Return whether this controller is the one that acts."""
        if self._lock is not None and not self._lock.is_held():
            # Else it would be kept, and taken from nobody but ourselves.
            self._lock.release()
            self._lock = None
        if self._lock is None:
            self._lock = self._locks.acquire(_LOCK)
        if self._lock is None and not self._waits:
            self._say(
                'This controller waits until it can be told which one is '
                f'active: {self._locks.trouble}.' if self._locks.trouble else
                'Another controller is active. This one waits for it to end.')
        self._waits = self._lock is None
        return not self._waits

    def _round(self) -> bool:
        try:
            plan = self._plan()
        except (self._unreadable, ValueError) as error:
            # At first an argument is wrong: a zone may lose its hosts later.
            if isinstance(error, ValueError) and not self._has_planned:
                raise
            self._say(f'Nothing is done: {error}')
            return False
        self._has_planned = True
        if plan.doubts:
            self._say('Nothing is done, because the inputs look wrong.')
            return False
        if plan.all_copies:
            self._carry(plan, self._lock.is_held)
        return True

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

"""What ends this program early: Ctrl-C, SIGTERM and a closed terminal.

The first one raises :class:`Interrupted` in the main thread, so that whatever
was begun is taken down on the way out; another one only prints a line. Where
it would lose track of a process that is being started it waits a moment, and
while everything is taken down it is too late.
"""

from collections.abc import Iterator
import contextlib
import ctypes
import os
import signal
import sys
import threading
from types import FrameType

#: Of prctl(2).
_PR_SET_PDEATHSIG = 1

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The user, or the machine, wants this program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Abandoned(Exception):
    """What this thread does is not wanted any more: another one failed."""


class _State:
    """What all of this process shares, as signals do."""

    arrived = 0
    shields = 0
    deaf = 0
    #: Of the number of blocks, which can be of several threads.
    lock = threading.Lock()


_event = threading.Event()
_local = threading.local()


def obey(*events: threading.Event) -> None:
    """Have this thread stop waiting when any of some events has happened."""
    _local.events = events


def obeyed() -> tuple[threading.Event, ...]:
    """Return the events that this thread obeys."""
    return getattr(_local, 'events', ())


def install() -> None:
    """Have the signals raise."""
    for number in SIGNALS:
        signal.signal(number, _handle)
    if 'TOX_ENV_NAME' in os.environ:
        _follow_parent()


def _follow_parent() -> None:
    """Get SIGTERM when the parent ends: one does not reach us through tox."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


def check() -> None:
    """Raise if a signal came; to be called by threads that wait.

    :raises Interrupted: if one did
    :raises Abandoned: if an event that this thread obeys has happened
    """
    if _State.deaf:
        return
    if _event.is_set():
        raise Interrupted(_State.arrived)
    if any(event.is_set() for event in obeyed()):
        raise Abandoned


def pause(seconds: float) -> None:
    """Wait.

    :raises Interrupted: if a signal comes meanwhile
    :raises Abandoned: if an event that this thread obeys happened meanwhile
    """
    check()
    if _State.deaf:
        threading.Event().wait(seconds)
    else:
        _event.wait(seconds)
    check()


@contextlib.contextmanager
def shield() -> Iterator[None]:
    """Have a signal raise at the end of the block, not in it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.shields += 1
    try:
        yield
    finally:
        _State.shields -= 1
    if not _State.shields:
        check()


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Have signals do no more than print a line."""
    with _State.lock:
        _State.deaf += 1
    try:
        yield
    finally:
        with _State.lock:
            _State.deaf -= 1


def _handle(number: int, _frame: FrameType | None) -> None:
    first = not _event.is_set()
    _State.arrived = number
    _event.set()
    if _State.deaf or not first:
        with contextlib.suppress(OSError):
            sys.stderr.write('Taking everything down; this takes a moment.\n')
    elif not _State.shields:
        raise Interrupted(number)

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

"""What all commands that fetch images ahead of time share: locks.

They hold across processes, and with ``precache_coordination_url`` across
machines. The lock of a process that has died is free again.
"""

from collections.abc import Iterator
import contextlib
import hashlib
import os
import socket
from typing import Any
import urllib.parse
import uuid

from oslo_log import log as logging

from cache_aware_sched import masking
from cache_aware_sched import once

LOG = logging.getLogger(__name__)

#: Below [DEFAULT] state_path of nova.
DIRECTORY = 'cache_aware_sched/precache'


class NotCoordinated(Exception):
    """There are no locks; the message says why, without a password."""


class Locks:
    """Locks by name.

    :param coordinator: of tooz, started
    """

    def __init__(self, coordinator: Any) -> None:
        self._coordinator = coordinator

    def acquire(self, name: str) -> Any | None:
        """Return a lock that was free, None if it was not.

        Give it back with its ``release()``. As long as nobody can tell whether
        it is free it is not.
        """
        # A file of this name: it must be one in any file system.
        safe = f'cache-aware-sched-{hashlib.sha1(name.encode()).hexdigest()}'
        try:
            lock = self._coordinator.get_lock(safe.encode())
            free = lock.acquire(blocking=False)
        except Exception as error:  # of the driver, whichever it is
            why = masking.masked(str(error))
            once.warning(
                LOG, ('lock', why), 'Whether the lock %(name)r is free cannot '
                'be told: %(why)s. What needs it waits.',
                {'name': name, 'why': why})
            return None
        return lock if free else None

    def first_free(self, name: str, number: int) -> Any | None:
        """Return the first of so many locks that is free, None if none is."""
        for one in range(number):
            lock = self.acquire(f'{name} {one}')
            if lock is not None:
                return lock
        return None


def is_held(lock: Any) -> bool:
    """Return whether a lock is still ours.

    A lease may run out while a process is stopped.
    """
    try:
        return bool(lock.is_still_owner())
    except Exception:
        # Some drivers of tooz cannot tell.
        return bool(getattr(lock, 'acquired', True))


@contextlib.contextmanager
def locks(url: str | None, state_path: str) -> Iterator[Locks]:
    """Give the locks, and keep them alive.

    :param url: ``precache_coordination_url``; None for this machine alone
    :param state_path: of nova
    :raises NotCoordinated: if there are none
    """
    member = f'{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}'
    try:
        # Half a second, for which no help text should wait.
        from tooz import coordination
        coordinator = coordination.get_coordinator(
            url or _directory(state_path), member.encode())
        coordinator.start(start_heart=True)
    except Exception as error:  # of the driver, whichever it is
        where = ('[cache_aware_sched] precache_coordination_url' if url
                 else f'the directory {DIRECTORY} below {state_path}')
        raise NotCoordinated(
            f'{where}: {masking.masked(str(error))}') from None
    try:
        yield Locks(coordinator)
    finally:
        with contextlib.suppress(Exception):
            coordinator.stop()


def _directory(state_path: str) -> str:
    path = os.path.join(state_path, DIRECTORY)
    os.makedirs(path, exist_ok=True)
    return f'file://{urllib.parse.quote(path)}'

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
import logging as std_logging
import os
import socket
import stat
from typing import Any
import urllib.parse
import uuid

from oslo_log import log as logging

from cache_aware_sched import once
from cache_aware_sched.precache import keeper as keeper_mod

LOG = logging.getLogger(__name__)

#: Below [DEFAULT] state_path of nova.
DIRECTORY = 'cache_aware_sched/precache'


#: Extras of tooz with the libraries of its drivers, by schemes of addresses,
#: where their names differ (tooz 9.1.0).
_EXTRAS = {
    'etcd3+http': 'etcd3gw', 'etcd3+https': 'etcd3gw', 'kazoo': 'zookeeper',
}


class NotCoordinated(Exception):
    """There are no locks; the message says why, without a password."""


class Locks:
    """Locks by name.

    :param keeper: what makes the calls
    :param directory: where they are files; None if they are not
    """

    def __init__(self, keeper: keeper_mod.LockKeeper,
                 directory: str | None = None) -> None:
        self._keeper = keeper
        self._directory = directory
        #: Why nobody can tell whether a lock is free, '' if somebody can.
        self.trouble = ''

    def acquire(self, name: str) -> keeper_mod.KeptLock | None:
        """Return a lock that was free, None if it was not.

        Give it back with its ``release()``. As long as nobody can tell whether
        it is free it is not.
        """
        # A file of this name: it must be one in any file system.
        safe = f'cache-aware-sched-{hashlib.sha1(name.encode()).hexdigest()}'
        try:
            lock = self._keeper.acquire(name, safe.encode())
        except keeper_mod.Unanswered as error:
            self.trouble = str(error)
            once.warning(
                LOG, ('locks',), 'Whether the lock %(name)r is free cannot '
                'be told: %(why)s. What needs it waits.',
                {'name': name, 'why': error})
            return None
        if self.trouble:
            LOG.warning('The locks answer again.')
            self.trouble = ''
            once.forget(LOG, ('locks',))
        if lock is not None and self._directory:
            _hand_over(self._directory, os.path.join(self._directory, safe))
        return lock

    def first_free(self, name: str, number: int,
                   ) -> keeper_mod.KeptLock | None:
        """Return the first of so many locks that is free, None if none is."""
        for one in range(number):
            lock = self.acquire(f'{name} {one}')
            if lock is not None or self.trouble:
                return lock
        return None


@contextlib.contextmanager
def locks(url: str | None, state_path: str) -> Iterator[Locks]:
    """Give the locks, and keep them alive.

    :param url: ``precache_coordination_url``; None for this machine alone
    :param state_path: of nova
    :raises NotCoordinated: if there are none
    """
    # What matters of what tooz logs is logged here, in one line and without
    # the password of the address.
    std_logging.getLogger('tooz').setLevel(std_logging.CRITICAL)
    directory = None if url else os.path.join(state_path, DIRECTORY)
    try:
        keeper = keeper_mod.LockKeeper(
            lambda: _coordinator(url or _made(directory or '')))
    except keeper_mod.Unanswered as error:
        where = ('[cache_aware_sched] precache_coordination_url' if url
                 else f'the directory {DIRECTORY} below {state_path}')
        raise NotCoordinated(f'{where}: {error}') from None
    if directory:
        _hand_over(state_path, os.path.dirname(directory), directory, *(
            entry.path for entry in os.scandir(directory)))
    try:
        yield Locks(keeper, directory)
    finally:
        keeper.stop()


def _coordinator(url: str) -> Any:
    """Return the coordinator of an address, started.

    :raises Exception: of the driver, whichever it is
    """
    # Half a second, for which no help text should wait.
    from tooz import coordination
    member = f'{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}'
    try:
        coordinator = coordination.get_coordinator(url, member.encode())
    except ImportError as error:
        scheme = urllib.parse.urlsplit(url).scheme
        raise NotCoordinated(
            f'a library is missing: {error}. Install '
            f'tooz[{_EXTRAS.get(scheme, scheme)}] where this command is'
        ) from None
    coordinator.start()
    return coordinator


def _made(directory: str) -> str:
    """Return the address of a directory that is made if it is missing."""
    os.makedirs(directory, exist_ok=True)
    return f'file://{urllib.parse.quote(directory)}'


def _hand_over(like: str, *paths: str) -> None:
    """Give what root has made to the owner of a directory, as nova's user.

    Who is not root could take no lock else that a command of root has made.
    Nothing is opened: to close a file gives back the lock that it is.
    """
    if os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):
        owner = os.stat(like)
        for path in paths:
            found = os.lstat(path)
            if (found.st_uid == 0 != owner.st_uid and (
                    stat.S_ISDIR(found.st_mode) or (
                        stat.S_ISREG(found.st_mode) and found.st_nlink == 1))):
                os.chown(path, owner.st_uid, owner.st_gid,
                         follow_symlinks=False)

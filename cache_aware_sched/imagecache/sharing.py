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

"""Which hosts use the same storage, as nova notes it in a file there."""

from collections.abc import Callable
import errno
import os
import shutil
import time

from nova.virt import storage_users
from oslo_log import log as logging

from cache_aware_sched import once

LOG = logging.getLogger(__name__)

#: How long it is believed who shares the storage, and after how long a host
#: says so again; nova forgets a host after a day.
_SHARED_SECONDS, _REGISTER_SECONDS = 60.0, 3600.0

#: Bytes that must be free for that: nova empties the file before it writes it,
#: and on a full disk all hosts would be forgotten.
_REGISTER_BYTES = 2 ** 20


class Sharing:
    """The hosts that share the storage of one host.

    :param host: returns its name
    :param path: returns the directory of its instances
    """

    def __init__(self, host: Callable[[], str], path: Callable[[], str],
                 ) -> None:
        self._host = host
        self._path = path
        self._shared = True
        self._shared_until = 0.0
        self._register_at = 0.0

    def is_shared(self) -> bool:
        """Return whether there are other hosts; asked for each removal."""
        now = time.monotonic()
        if now > self._shared_until:
            self._shared = len(self.hosts()) > 1
            self._shared_until = now + _SHARED_SECONDS
        return self._shared

    def register(self) -> None:
        """Have the host among those that share the storage, as nova notes it.

        nova does so before each pass, but until the first one, and where there
        is none, other hosts would not ask for the instances of this one.
        """
        now = time.monotonic()
        if now < self._register_at:
            return
        path = self._path()
        try:
            if shutil.disk_usage(path).free < _REGISTER_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            storage_users.register_storage_use(path, self._host())
            self._register_at = now + _REGISTER_SECONDS
            once.forget(LOG, ('register', path))
        except Exception as error:
            once.warning(
                LOG, ('register', path),
                'Host %(host)s cannot note in %(path)s that it uses this '
                'storage: %(error)s. If other hosts share it, they may evict '
                'images that its servers are about to use.',
                {'host': self._host(), 'path': path, 'error': error})

    def hosts(self) -> list[str]:
        """Return the hosts that share the storage, as nova notes them."""
        users = storage_users.get_storage_users(self._path())
        return sorted({self._host(), *users})

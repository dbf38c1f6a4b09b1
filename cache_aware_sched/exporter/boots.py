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

"""Boots, each once, and how long they took."""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
import datetime

from cache_aware_sched.fleet.recent import RecentServer

WARM, COLD, UNKNOWN = CACHE = ('warm', 'cold', 'unknown')

#: Servers of which it is remembered how they booted. Judgement: more than any
#: cloud boots in :data:`PATIENCE`.
MAX_REMEMBERED = 100_000

#: How long after a server is ACTIVE it may become known how it booted: a
#: notification is sent after that, and may wait in a queue.
PATIENCE = datetime.timedelta(minutes=10)


class BootOutcomes:
    """Puts together how servers booted and how long that took.

    :param since: only servers that were created later, UTC, without a zone
    """

    def __init__(self, since: datetime.datetime) -> None:
        self._since = since
        self._how: collections.OrderedDict[str, dict[str, str]] = (
            collections.OrderedDict())
        self._waiting: dict[str, RecentServer] = {}
        self._done: collections.OrderedDict[str, None] = (
            collections.OrderedDict())

    def booted(self, server: str, on_hosts: dict[str, str]) -> bool:
        """Remember how a server boots.

        :param on_hosts: :data:`WARM` or :data:`COLD` by the host; '' is for
            any other
        :returns: whether that was not known before
        """
        new = server not in self._how
        self._how[server] = on_hosts
        if len(self._how) > MAX_REMEMBERED:
            self._how.popitem(last=False)
        return new

    def launched(self, servers: Iterable[RecentServer],
                 now: datetime.datetime) -> Iterator[tuple[str, float]]:
        """Return how servers booted, one of :data:`CACHE`, and seconds.

        Each server once: nova sets ``launched_at`` again when it is resized
        or unshelved.

        :param servers: that have changed
        """
        for server in servers:
            if (server.launched is not None and server.created >= self._since
                    and server.uuid not in self._done):
                self._waiting.setdefault(server.uuid, server)
        for server in list(self._waiting.values()):
            launched, seconds = server.launched, server.seconds
            how = self._of(server)
            if launched is None or seconds is None or (
                    how == UNKNOWN and now - launched < PATIENCE):
                continue
            del self._waiting[server.uuid]
            self._done[server.uuid] = None
            if len(self._done) > MAX_REMEMBERED:
                self._done.popitem(last=False)
            yield how, seconds

    def _of(self, server: RecentServer) -> str:
        on_hosts = self._how.get(server.uuid, {})
        return on_hosts.get(server.host) or on_hosts.get('') or UNKNOWN

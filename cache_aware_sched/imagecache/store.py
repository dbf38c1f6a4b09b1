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

"""Where the entries of an image cache are: what a manager can do with them.

The policies and limits do not know of it, so that a driver without a directory
can bring a store of its own. :class:`.directory.Directory` is the one that
deletes files.
"""

import abc
from collections.abc import Callable
from collections.abc import Collection
import enum
import time

from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache import file_system
from cache_aware_sched.imagecache.limits import Disk


class Removal(enum.Enum):
    """What became of an entry that was to be removed."""

    REMOVED = 'removed'
    #: It was not there any more.
    GONE = 'gone'
    #: Somebody uses it or has just used it.
    IN_USE = 'in use'
    #: The file system does not let it go.
    FAILED = 'failed'


class Store(abc.ABC):
    """The entries of one image cache."""

    @abc.abstractmethod
    def path(self) -> str | None:
        """Return what to call it; None if there is no cache yet."""

    @abc.abstractmethod
    def entries(self, now: float) -> list[Entry]:
        """Return all entries; none if there is no cache yet.

        :param now: seconds since the epoch, see :meth:`now`
        :raises OSError: if they cannot be told
        """

    @abc.abstractmethod
    def backing(self, entries: Collection[Entry], known: Collection[str],
                settled: float, patience: float, anew: bool) -> set[str]:
        """Return the known names and those of entries that disks need.

        :param entries: all of them
        :param settled: what was seen of disks is believed of those that had
            not changed since this time, and did not since; seconds since the
            epoch
        :param patience: seconds for which files may be looked into
        :param anew: whether to look into all of them, whatever is known
        :raises cache_aware_sched.imagecache.backing.UnreadableDisk: if a disk
            cannot be read
        :raises cache_aware_sched.imagecache.backing.TooManyDisks: if it takes
            longer
        """

    @abc.abstractmethod
    def disk(self) -> Disk | None:
        """Return how full the file system is; None if it has no bounds."""

    def shared(self, entry: Entry) -> int:
        """Return the bytes of an entry that stay when it is gone.

        Other files have them too, as on a file system with reflinks; never
        raises.
        """
        return 0

    def file_system(self) -> file_system.FileSystem:
        """Return what kind of a file system it is; never raises."""
        return file_system.FileSystem()

    @abc.abstractmethod
    def touch(self, *names: str) -> None:
        """Note that entries are used now; what is not there is let be.

        Never raises.
        """

    def unused(self, *names: str) -> None:  # noqa: B027
        """Note that nothing uses entries; called in each pass, never raises.

        For a store that notes who is not used instead of each use: those that
        date each use have nothing to do.
        """

    @abc.abstractmethod
    def claim(self, sha1: str) -> None:
        """Note that an image is about to be used, for other processes.

        Who removes it later sees that it was used; if it is being removed,
        this returns when it is gone. A boot waits for it; never raises.
        """

    @abc.abstractmethod
    def remove(self, entry: Entry,
               still_free: Callable[[], bool]) -> Removal:
        """Remove an entry if it is still as it was found; never raises.

        :param still_free: asked when nobody can begin to use it any more
        """

    def now(self) -> float:
        """Return the time by the clock that dates the entries.

        :returns: seconds since the epoch
        """
        return time.time()

    @abc.abstractmethod
    def register(self) -> None:
        """Let the other hosts know that this one uses the cache.

        Called at the start and every minute; never raises.
        """

    @abc.abstractmethod
    def hosts(self) -> list[str]:
        """Return the hosts whose instances use this cache."""

    @abc.abstractmethod
    def disk_usage(self) -> int:
        """Return the bytes it takes of the disk that instances use."""

    @abc.abstractmethod
    def history_path(self) -> str | None:
        """Return the file of the host's history; None to have none."""

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

"""The image cache of a libvirt host: a directory of base files."""

from collections.abc import Callable
from collections.abc import Collection
import contextlib
import errno
import os
import shutil
import stat
import tempfile
import time

import nova.conf
import nova.privsep.path
from oslo_concurrency import lockutils
from oslo_log import log as logging

from cache_aware_sched.imagecache import backing
from cache_aware_sched.imagecache import entry as entry_mod
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache import file_server
from cache_aware_sched.imagecache import file_system
from cache_aware_sched.imagecache.limits import Disk
from cache_aware_sched.imagecache import shared_blocks
from cache_aware_sched.imagecache import sharing
from cache_aware_sched.imagecache.store import Removal
from cache_aware_sched.imagecache.store import Store

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Of nova's lock files (nova.utils.synchronized, nova 34.0.0).
_LOCK_PREFIX = 'nova-'

#: Seconds within which whoever has touched a file has made a disk of it, or
#: whatever else shows that it is in use. Judgement.
_TAKEN_SECONDS = 30


def cache_dir() -> str:
    """Return the path of the cache, as nova's own manager makes it."""
    return os.path.normpath(os.path.join(
        str(CONF.instances_path), str(CONF.image_cache.subdirectory_name)))


class Directory(Store):
    """A directory of base files below ``[DEFAULT] instances_path``.

    Directories, symbolic links and files with other names are not there for
    it, and what it does not list it cannot touch.

    :param host: that nova-compute runs on
    """

    def __init__(self, host: Callable[[], str]) -> None:
        self._host = host
        self._sharing = sharing.Sharing(host, lambda: self.instances_path)
        self._disks = backing.Disks()
        self._reflinks = file_system.Reflinks()

    @property
    def instances_path(self) -> str:
        """The directory with one directory for each instance."""
        return str(CONF.instances_path)

    @property
    def cache_dir(self) -> str:
        """The directory of the base files."""
        return cache_dir()

    def lock(self, name: str, blocking: bool = True
             ) -> contextlib.AbstractContextManager[object]:
        """Return nova's lock of a base file, across processes.

        :param name: of the file
        :raises oslo_concurrency.lockutils.AcquireLockFailedException: if it is
            held and ``blocking`` is not set
        """
        held: contextlib.AbstractContextManager[object] = lockutils.lock(
            name, _LOCK_PREFIX, external=True, lock_path=self._lock_path,
            do_log=False, blocking=blocking)
        return held

    @property
    def _lock_path(self) -> str:
        return os.path.join(self.instances_path, 'locks')

    def _path_of(self, name: str) -> str:
        return os.path.join(self.cache_dir, name)

    def path(self) -> str | None:
        """Return the path; None before the first fetch has made it."""
        return self.cache_dir if os.path.exists(self.cache_dir) else None

    def entries(self, now: float) -> list[Entry]:
        """Return the base files."""
        now_ns = int(now * 1e9)
        try:
            with os.scandir(self.cache_dir) as files:
                found = [entry for file in files if (
                    entry := self._entry(file, now_ns)) is not None]
        except FileNotFoundError:  # nothing was fetched yet
            return []
        # A file that gets its final name meanwhile can be found under both.
        complete = {entry.inode for entry in found
                    if entry.kind is not Kind.TEMPORARY}
        return [entry for entry in found
                if entry.kind is not Kind.TEMPORARY
                or entry.inode not in complete]

    def _entry(self, file: 'os.DirEntry[str]', now_ns: int) -> Entry | None:
        name = entry_mod.parse(file.name)
        if name is None:
            return None
        try:
            status = file.stat(follow_symlinks=False)
        except OSError as error:
            # It went while we looked, maybe by another host.
            if error.errno in (errno.ENOENT, errno.ESTALE):
                return None
            raise
        if not stat.S_ISREG(status.st_mode):
            return None
        return Entry(
            file.name, name.kind, name.sha1, self.size_of(status),
            min(status.st_mtime_ns, now_ns), status.st_ino,
            status.st_mtime_ns, status.st_size)

    @staticmethod
    def size_of(status: os.stat_result) -> int:
        """Return the bytes that a file takes of the disk."""
        return status.st_blocks * 512

    def now(self) -> float:
        """Return the time of the file server, which dates the files."""
        try:
            with tempfile.TemporaryFile(dir=self.cache_dir) as file:
                return os.fstat(file.fileno()).st_mtime
        except OSError:  # a full disk, or one that is only read
            return time.time()

    def backing(self, entries: Collection[Entry], known: Collection[str],
                settled: float, patience: float, anew: bool) -> set[str]:
        """Look into the disks below the directory of the instances."""
        return self._disks.used(self.instances_path, self.cache_dir, entries,
                                known, settled, patience, anew)

    def disk(self) -> Disk | None:
        """Return how full the file system is."""
        for path in (self.cache_dir, self.instances_path):
            try:
                usage = shutil.disk_usage(path)
            except OSError:
                continue
            return Disk(used=usage.used, available=usage.free)
        return None

    def shared(self, entry: Entry) -> int:
        """Return the bytes that disks, or other files, share with an entry."""
        if not self.file_system().reflinks:
            return 0
        blocks = shared_blocks.of(self._path_of(entry.name))
        return min(blocks.shared, entry.size) if blocks else 0

    def file_system(self) -> file_system.FileSystem:
        """Return whether it has reflinks, and a device of its own."""
        return self._reflinks.look(self.cache_dir, self.instances_path)

    def touch(self, *names: str) -> None:
        """Set the time of modification, as nova does."""
        cache = self.cache_dir
        for name in names:
            path = os.path.join(cache, name)
            try:
                os.utime(path, follow_symlinks=False)
            except FileNotFoundError:
                pass
            except OSError:  # it belongs to another user
                with contextlib.suppress(Exception):
                    nova.privsep.path.utime(path)

    def claim(self, sha1: str) -> None:
        """Touch a base file with nova's lock of it held."""
        if self._sharing.is_shared():
            file_server.look_up_anew(self._path_of(sha1))
        if os.path.exists(self._path_of(sha1)):
            try:
                with self.lock(sha1):
                    self.touch(sha1)
            except Exception as error:
                LOG.debug('Cannot lock %(name)s: %(error)s',
                          {'name': sha1, 'error': error})

    def remove(self, entry: Entry,
               still_free: Callable[[], bool]) -> Removal:
        """Remove a file with nova's locks of it held.

        Whoever makes a disk of a file holds the lock of the image id, and
        nova's own manager that of the file name.
        """
        try:
            with contextlib.ExitStack() as stack:
                for name in entry.lock_names:
                    stack.enter_context(self.lock(name, blocking=False))
                removal = self._remove(entry, still_free)
        except lockutils.AcquireLockFailedException:
            return Removal.IN_USE
        except OSError as error:
            LOG.error(
                'Host %(host)s cannot evict %(path)s (image %(image)s): '
                '%(error)s. Check who owns the file and its directory.',
                {'host': self._host(), 'image': entry.image_id or 'unknown',
                 'error': error.strerror or error,
                 'path': self._path_of(entry.name)})
            return Removal.FAILED
        if removal is not Removal.IN_USE:
            self.remove_lock_files(*entry.lock_names)
        return removal

    def _remove(self, entry: Entry,
                still_free: Callable[[], bool]) -> Removal:
        path = self._path_of(entry.name)
        try:
            # Whoever uses a base file touches it first.
            if (file_server.found(path) != (entry.inode, entry.modified_ns)
                    or not still_free() or self._is_taken(entry)):
                return Removal.IN_USE
            os.unlink(path)
        except FileNotFoundError:
            return Removal.GONE
        return Removal.REMOVED

    def _is_taken(self, entry: Entry) -> bool:
        """Return whether another host may be about to use a file.

        To rescue or to unshelve a server takes an image of which the database
        does not tell.
        """
        return (self._sharing.is_shared() and entry.kind is not Kind.TEMPORARY
                and self.now() - entry.modified_ns / 1e9 < _TAKEN_SECONDS)

    def remove_lock_files(self, *names: str) -> None:
        """Leave no lock file of a file behind that is not there.

        On shared storage it stays: another host may wait for this very file,
        while a third makes a new one and gets that.
        """
        try:
            if self._sharing.is_shared():
                return
            for name in names:
                if not os.path.exists(self._path_of(name)):
                    lockutils.remove_external_lock_file(
                        name, _LOCK_PREFIX, lock_path=self._lock_path)
        except Exception as error:
            LOG.debug('The lock files of %(names)s stay: %(error)s',
                      {'names': ', '.join(names), 'error': error})

    def register(self) -> None:
        """Have the host among those that share the storage."""
        self._sharing.register()

    def hosts(self) -> list[str]:
        """Return the hosts that share the storage, as nova notes them."""
        return self._sharing.hosts()

    def disk_usage(self) -> int:
        """Return the bytes on disk, as nova's own manager counts them.

        None are of the instances' if the cache has a device of its own.
        """
        if file_system.differ(self.cache_dir, self.instances_path):
            return 0
        try:
            with os.scandir(self.cache_dir) as files:
                return sum(file.stat().st_blocks * 512 for file in files
                           if file.is_file())
        except OSError:  # it is not there, or something went meanwhile
            return 0

    def history_path(self) -> str:
        """Return a file beside the one in which nova notes the hosts."""
        return os.path.join(self.instances_path,
                            f'image-cache-{self._host()}.json')

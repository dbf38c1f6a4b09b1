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

"""The image cache of a libvirt host whose disks are logical volumes.

Images are volumes. Kernels, ramdisks, and what is just being fetched, are
files of the cache directory, as without LVM.
"""

from collections.abc import Callable
from collections.abc import Collection
import dataclasses
import time

from nova import exception
from oslo_concurrency import lockutils
from oslo_concurrency import processutils
from oslo_log import log as logging

from cache_aware_sched.imagecache import backing
from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache import file_system
from cache_aware_sched.imagecache.limits import Disk
from cache_aware_sched.imagecache.store import Removal
from cache_aware_sched.lvm import image_volumes
from cache_aware_sched.lvm import volumes
from cache_aware_sched import once

LOG = logging.getLogger(__name__)

#: Seconds within which a use of an image is not noted once more: each note is
#: a command of LVM. Less than what anybody takes for just used
#: (imagecache/evictable.py, GRACE_SECONDS).
TOUCH_SECONDS = 60


class VolumeStore(directory.Directory):
    """Images in a volume group, and what else is in the cache directory.

    What is in the directory takes none of the group, so its size is 0.

    :param host: that nova-compute runs on
    :ivar images: how the images are kept
    """

    def __init__(self, host: Callable[[], str],
                 images: image_volumes.ImageVolumes) -> None:
        super().__init__(host)
        self.images = images
        self._group = images.group

    @property
    def host(self) -> str:
        """The name of the host."""
        return self._host()

    def path(self) -> str:
        """Return the path of the group; there always is a cache."""
        return self._group.device('')

    def entries(self, now: float) -> list[Entry]:
        """Return the images in the group, and the base files.

        A base file of an image that is in the group too is what is left of a
        fetch, or from the time before.
        """
        images = list(self._group.look().images())
        names = {image.sha1 for image in images}
        return [_entry(image, now) for image in images] + [
            dataclasses.replace(
                entry, size=0, kind=Kind.TEMPORARY if (
                    entry.kind in (Kind.IMAGE, Kind.RESIZED)
                    and entry.sha1 in names) else entry.kind)
            for entry in super().entries(now)]

    def backing(self, entries: Collection[Entry], known: Collection[str],
                settled: float, patience: float, anew: bool) -> set[str]:
        """Return also the images of which disks are snapshots."""
        try:
            # nova makes and removes disks, and tells nobody.
            origins = self._group.look(anew=True).origins()
        except OSError as error:
            raise backing.UnreadableDisk(self.path(), error) from error
        names = {entry.name for entry in entries}
        return (names & (origins | set(known))) | super().backing(
            [entry for entry in entries if not _is_volume(entry.name)],
            known, settled, patience, anew)

    def disk(self) -> Disk | None:
        """Return how full the group is, or the pool."""
        try:
            return self.images.disk(self._group.look())
        except OSError as error:
            LOG.debug('It cannot be told how full the image cache is: '
                      '%(error)s', {'error': error})
            return None

    def file_system(self) -> file_system.FileSystem:
        """Return that disks are where the images are."""
        return file_system.FileSystem(own_device=False)

    def touch(self, *names: str) -> None:
        """Note the time in the tags of volumes; of files as nova does."""
        super().touch(*(name for name in names if not _is_volume(name)))
        try:
            self._touch(set(filter(_is_volume, names)))
        except OSError as error:
            once.warning(
                LOG, ('touch', str(error)),
                'Host %(host)s cannot note that images are used: %(error)s',
                {'host': self._host(), 'error': error})

    def _touch(self, names: Collection[str]) -> None:
        if not names:
            return
        now_ms = int(self.now() * 1000)
        old = {image.volume.name: volumes.used_tag(image.used_ms)
               for image in self._group.look().images()
               if image.volume.name in names
               and not 0 <= now_ms - image.used_ms < TOUCH_SECONDS * 1000}
        if old:
            self._group.change(
                'lvm_tag', sorted(old), sorted(set(old.values())),
                [volumes.used_tag(now_ms)])

    def claim(self, sha1: str) -> None:
        """Touch an image with nova's lock of it held."""
        super().claim(sha1)
        try:
            image = self._group.look().image(sha1)
            if image and image.is_complete and self._is_due(image):
                with self.lock(sha1):
                    self.touch(image.volume.name)
        except Exception as error:
            LOG.debug('Cannot note that image %(name)s is used: %(error)s',
                      {'name': sha1, 'error': error})

    def _is_due(self, image: volumes.ImageVolume) -> bool:
        ago = self.now() - image.used_ms / 1000
        return not 0 <= ago < TOUCH_SECONDS

    def now(self) -> float:
        """Return the time of this host, which dates the volumes."""
        return time.time()

    def remove(self, entry: Entry,
               still_free: Callable[[], bool]) -> Removal:
        """Remove a volume, or a file, with nova's lock of it held."""
        if not _is_volume(entry.name):
            return super().remove(entry, still_free)
        sha1 = entry.sha1 or ''
        try:
            with self.lock(sha1, blocking=False):
                removal = self._remove_volume(entry, still_free)
        except lockutils.AcquireLockFailedException:
            return Removal.IN_USE
        # All that nova's function raises; see ImageVolumes.remove.
        except (OSError, exception.NovaException,
                processutils.ProcessExecutionError) as error:
            LOG.error(
                'Host %(host)s cannot evict volume %(path)s (image '
                '%(image)s): %(error)s',
                {'host': self._host(), 'image': entry.image_id or 'unknown',
                 'error': error, 'path': self._group.device(entry.name)})
            return Removal.FAILED
        if removal is not Removal.IN_USE:
            self.remove_lock_files(sha1)
        return removal

    def _remove_volume(self, entry: Entry,
                       still_free: Callable[[], bool]) -> Removal:
        listing = self._group.look(anew=True)
        image = listing.image(entry.sha1 or '')
        if image is None:
            return Removal.GONE
        if (_entry(image, self.now()).modified_ns != entry.modified_ns
                or image.is_complete == (entry.kind is Kind.TEMPORARY)
                or entry.name in listing.origins() or not still_free()):
            return Removal.IN_USE
        self.images.remove(entry.name)
        return Removal.REMOVED

    def remove_lock_files(self, *names: str) -> None:
        """Leave no lock file of an image behind that is not there."""
        try:
            super().remove_lock_files(*(
                name for name in names
                if self._group.look().image(name) is None))
        except OSError as error:
            LOG.debug('The lock files of %(names)s stay: %(error)s',
                      {'names': ', '.join(names), 'error': error})

    def disk_usage(self) -> int:
        """Return the bytes that the images take of the group."""
        try:
            return sum(image.volume.used
                       for image in self._group.look().images())
        except OSError:
            return 0


def _is_volume(name: str) -> bool:
    """Return whether an entry is a volume: no base file has such a name."""
    return volumes.is_image_name(name)


def _entry(image: volumes.ImageVolume, now: float) -> Entry:
    used_ns = image.used_ms * 1_000_000
    return Entry(
        image.volume.name,
        Kind.IMAGE if image.is_complete else Kind.TEMPORARY, image.sha1,
        image.volume.used, min(used_ns, int(now * 1e9)),
        modified_ns=used_ns, length=image.length, image_id=image.image_id)

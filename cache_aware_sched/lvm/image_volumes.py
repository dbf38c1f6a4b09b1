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

"""How an image is kept in a volume group, and how a disk is made of it.

``copy``: a volume that is copied into each disk. ``thin``: a thin volume of
which each disk is a snapshot.
"""

import abc
import os

import nova.conf
from nova import exception
from nova.virt.cache_aware import privileged
from nova.virt import images
from nova.virt.libvirt.storage import lvm as nova_lvm
from oslo_log import log as logging

from cache_aware_sched.imagecache import limits
from cache_aware_sched.lvm import chunks
from cache_aware_sched.lvm import group as group_mod
from cache_aware_sched.lvm import volumes
from cache_aware_sched import once

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Percent of a thin pool beyond which nothing is put into it, if there is no
#: watermark. In a full pool the disks of all servers fail. Judgement: the last
#: twentieth is for what the servers that are there write.
FULL_PERCENT = 95


class StoreFull(exception.GroupAffinityViolation):
    """The group or the pool has no room for an image or a disk.

    As :class:`cache_aware_sched.virt.glance_down.ImageNotFetched`: nova sends
    a server that is being created to its next candidate host.
    """

    msg_fmt = 'No room on host %(host)s for %(what)s: %(why)s'


class ImageVolumes(abc.ABC):
    """The images of one volume group.

    :param group: the volume group
    :cvar takes_all_disks: whether swap and ephemeral disks, which are of no
        image, are made where the images are
    """

    takes_all_disks = False

    def __init__(self, group: group_mod.Group) -> None:
        self.group = group

    @abc.abstractmethod
    def disk(self, listing: volumes.VolumeGroup) -> limits.Disk:
        """Return how full it is where the images are.

        :raises cache_aware_sched.lvm.group.LvmFailed: if it cannot be told
        """

    def check(self, listing: volumes.VolumeGroup) -> None:  # noqa: B027
        """See that images can be kept in the group that is there.

        :raises nova.exception.InvalidConfiguration: if not; it names what to
            change
        """

    @abc.abstractmethod
    def needs(self, path: str) -> int:
        """Return the bytes that an image will take, which is in a file."""

    @abc.abstractmethod
    def lacks(self, needed: int) -> str:
        """Return why there is no room for some bytes, '' if there is.

        :raises cache_aware_sched.lvm.group.LvmFailed: if it cannot be told
        """

    def occupied(self, sha1: str) -> str:
        """Return why an image cannot have its volume, '' if it can.

        :raises cache_aware_sched.lvm.group.LvmFailed: if it cannot be told
        """
        listing, name = self.group.look(), volumes.volume_name(sha1)
        if name not in listing.volumes or listing.image(sha1) is not None:
            return ''
        why = (f'volume {self.group.name}/{name} has its name, but not the '
               f'tags of its image; remove or rename it')
        once.error(LOG, ('occupied', name),
                   'An image cannot be kept in volume group %(group)s, and '
                   'no server be made of it on this host: %(why)s.',
                   {'group': self.group.name, 'why': why})
        return why

    @abc.abstractmethod
    def create(self, name: str, length: int, tags: list[str]) -> None:
        """Make the volume of an image, or of a disk that is of none."""

    @abc.abstractmethod
    def fill(self, path: str, name: str) -> None:
        """Write a raw file into the volume of an image, which is new."""

    @abc.abstractmethod
    def create_disk(self, image: volumes.ImageVolume, disk: str,
                    size: int) -> None:
        """Make the volume of a disk.

        :param disk: its name
        :param size: bytes; not less than the image has
        """

    @abc.abstractmethod
    def fill_disk(self, image: volumes.ImageVolume, disk: str,
                  size: int) -> None:
        """Have the image in the volume of a disk, and the disk so large."""

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Remove the volume of an image that nobody has open.

        :raises Exception: if it is still there
        """


class CopiedVolumes(ImageVolumes):
    """Images that are copied into disks, as nova copies files."""

    def disk(self, listing: volumes.VolumeGroup) -> limits.Disk:
        """Return how full the group is."""
        return limits.Disk(listing.size - listing.free, listing.free)

    def needs(self, path: str) -> int:
        """Return the length of the file."""
        return os.stat(path).st_size

    def lacks(self, needed: int) -> str:
        """Return why the group has no room."""
        free = self.group.look().free
        return (f'it takes {needed} bytes, and volume group '
                f'{self.group.name} has {free} bytes free'
                if needed > free else '')

    def create(self, name: str, length: int, tags: list[str]) -> None:
        """Make a volume as long as the image."""
        self.group.change('lvm_create', name,
                          volumes.whole_sectors(length), tags)

    def fill(self, path: str, name: str) -> None:
        """Write all of the file."""
        _convert(path, self.group.device(name))

    def create_disk(self, image: volumes.ImageVolume, disk: str,
                    size: int) -> None:
        """Make an empty volume, as nova does."""
        try:
            nova_lvm.create_volume(
                self.group.name, disk, volumes.whole_sectors(size),
                sparse=CONF.libvirt.sparse_logical_volumes)
        finally:
            self.group.changed()

    def fill_disk(self, image: volumes.ImageVolume, disk: str,
                  size: int) -> None:
        """Copy the image."""
        _convert(self.group.device(image.volume.name),
                 self.group.device(disk))

    def remove(self, name: str) -> None:
        """Remove a volume as nova does, which clears it first."""
        try:
            nova_lvm.remove_volumes([self.group.device(name)])
        finally:
            self.group.changed()


class ThinVolumes(ImageVolumes):
    """Images of which disks are snapshots.

    :param pool: the name of the thin pool
    """

    # nova clears no disk then ([libvirt] volume_clear), and who gets a plain
    # volume could read what was another's.
    takes_all_disks = True

    def __init__(self, group: group_mod.Group, pool: str) -> None:
        super().__init__(group)
        self._pool = pool

    def check(self, listing: volumes.VolumeGroup) -> None:
        """See that the pool is there, and hides what was in its blocks."""
        pool = listing.volumes.get(self._pool)
        if pool is None or pool.metadata_percent is None:
            raise exception.InvalidConfiguration(
                f'[cache_aware_sched] lvm_thin_pool is {self._pool!r}, which '
                f'is no active thin pool of volume group '
                f'{self.group.name!r}. Make it with "lvcreate --type '
                f'thin-pool", or name another.')
        if not pool.zeroes:
            raise exception.InvalidConfiguration(
                f'[cache_aware_sched] lvm_thin_pool: {self.group.name}/'
                f'{self._pool} does not zero its blocks, so a server could '
                f'read what others have deleted. Set "lvchange --zero y '
                f'{self.group.name}/{self._pool}".')

    def _percent(self, listing: volumes.VolumeGroup) -> float:
        """Return how full the pool is, of data or of metadata."""
        pool = listing.volumes.get(self._pool)
        if (pool is None or pool.data_percent is None
                or pool.metadata_percent is None):
            raise group_mod.LvmFailed(
                f'LVM does not tell how full thin pool {self.group.name}/'
                f'{self._pool} is: is it there, and active?')
        return max(pool.data_percent, pool.metadata_percent)

    def disk(self, listing: volumes.VolumeGroup) -> limits.Disk:
        """Return how full the pool is, of what there is least of."""
        percent = self._percent(listing)
        size = listing.volumes[self._pool].size
        used = int(size * percent / 100)
        return limits.Disk(used, size - used)

    def needs(self, path: str) -> int:
        """Return what the file takes up in the pool, without its holes.

        A pool hands out whole chunks, also for the few bytes in one.
        """
        pool = self.group.look().volumes.get(self._pool)
        return chunks.taken(path, pool.chunk if pool else 0)

    def lacks(self, needed: int) -> str:
        """Return why the pool has no room, after an ERROR that says more."""
        listing = self.group.look()
        limit = (CONF.cache_aware_sched.image_cache_high_watermark_percent
                 if needed else 0) or FULL_PERCENT
        worse = self._percent(listing)
        pool, full = listing.volumes[self._pool], ('full', self._pool, limit)
        data = int(pool.size * (pool.data_percent or 0) / 100)
        if worse <= limit:
            once.forget(LOG, full)
            if data + needed <= pool.size * limit // 100:
                return ''
        # One image may be too large for any pool, boot after boot.
        once.error(
            LOG, full if worse > limit else ('room', self._pool),
            'Thin pool %(group)s/%(pool)s is full: %(data).1f %% of its data, '
            '%(metadata).1f %% of its metadata, and %(needed)d bytes are to '
            'be put into it, of which %(limit)d %% may be used. No image is '
            'fetched into it, and no server made in it, before there is room '
            '- if it gets quite full, the disks of all servers fail. Grow it '
            'with "lvextend" (--size or --poolmetadatasize), delete servers, '
            'or evict images.',
            {'group': self.group.name, 'pool': self._pool,
             'data': pool.data_percent, 'metadata': pool.metadata_percent,
             'needed': needed, 'limit': limit})
        return (f'thin pool {self.group.name}/{self._pool} is full for '
                f'{needed} bytes (data {pool.data_percent:.1f} %, metadata '
                f'{pool.metadata_percent:.1f} %)')

    def create(self, name: str, length: int, tags: list[str]) -> None:
        """Make a thin volume as long as the image."""
        self.group.change('lvm_create_thin', self._pool, name,
                          volumes.whole_sectors(length), tags)

    def fill(self, path: str, name: str) -> None:
        """Write what there is of the file."""
        privileged.fill_zeroed(path, self.group.device(name))

    def create_disk(self, image: volumes.ImageVolume, disk: str,
                    size: int) -> None:
        """Make a snapshot."""
        self.group.change('lvm_snapshot', image.volume.name, disk)

    def fill_disk(self, image: volumes.ImageVolume, disk: str,
                  size: int) -> None:
        """Grow the snapshot."""
        if size > image.volume.size:
            self.group.change('lvm_extend', disk, volumes.whole_sectors(size))

    def remove(self, name: str) -> None:
        """Remove a volume; the pool zeroes its blocks when it uses them."""
        self.group.change('lvm_remove', name)


def _convert(source: str, target: str) -> None:
    """Copy raw bytes as nova does."""
    images.convert_image(source, target, 'raw', 'raw', run_as_root=True)

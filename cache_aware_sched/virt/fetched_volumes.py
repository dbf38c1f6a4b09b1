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

"""Puts images that were fetched into a volume group, and makes disks of them.

nova fetches an image into a base file, which it inspects and makes raw. Then
that file is written into a volume, once, and goes.
"""

from collections.abc import Callable
import contextlib
import os

from nova import context as nova_context
from nova import exception
from oslo_log import log as logging

from cache_aware_sched.imagecache import image_cache
from cache_aware_sched.lvm import image_volumes
from cache_aware_sched.lvm import store as store_mod
from cache_aware_sched.lvm import volumes
from cache_aware_sched import report

LOG = logging.getLogger(__name__)


class FetchedVolumes:
    """The images in a volume group, and the disks that are made of them.

    An image is known by the name of its base file, if it were one. Whatever
    LVM does not tell, or does not do, is an OSError.

    :param store: of the host
    :param cache: returns the image cache of the host
    """

    def __init__(self, store: store_mod.VolumeStore,
                 cache: Callable[[], image_cache.ImageCache]) -> None:
        self._store = store
        self._cache = cache
        self._images = store.images
        self._group = store.images.group

    def check(self) -> None:
        """See that images can be kept in the group.

        :raises nova.exception.InvalidConfiguration: if not; it names what to
            change
        """
        try:
            self._images.check(self._group.look(anew=True))
        except OSError as error:
            raise exception.InvalidConfiguration(
                f'[cache_aware_sched] lvm_image_store keeps images in volume '
                f'group [libvirt] images_volume_group = '
                f'{self._group.name!r}, but: {error}') from error

    def image(self, name: str) -> volumes.ImageVolume | None:
        """Return a complete image, None if there is none."""
        image = self._group.look().image(name)
        return image if image and image.is_complete else None

    def refuse_if_full(self, image_id: str) -> None:
        """See that the group, or the pool, lets an image in, however small.

        :raises cache_aware_sched.lvm.image_volumes.StoreFull: if not
        """
        self._need(f'image {image_id}', 1, report.image_sha1(image_id))

    def _need(self, what: str, size: int, sha1: str | None = None) -> None:
        why = (self._images.occupied(sha1) if sha1 else ''
               ) or self._images.lacks(size)
        if why:
            raise image_volumes.StoreFull(
                host=self._store.host, what=what, why=why)

    def take_in(self, context: nova_context.RequestContext | None,
                image_id: str | None, name: str, is_new: bool = False,
                ahead: bool = False) -> None:
        """Make an image of a base file; nova's lock of it is held.

        Only now it is known how large the image is, so room is made once more.

        :param is_new: whether the file was fetched just now, and goes
        :param ahead: whether no server waits for it
        :raises cache_aware_sched.imagecache.fetches.NoRoom: if none waits, and
            a limit of the cache does not let the image in
        :raises cache_aware_sched.lvm.image_volumes.StoreFull: if there is no
            room
        :raises Exception: if that fails
        """
        path = os.path.join(self._store.cache_dir, name)
        try:
            needed = self._images.needs(path)
            with self._cache().fetching(
                    context or nova_context.get_admin_context(),
                    image_id or '', ahead, size_of=lambda: needed):
                self._write(path, name, image_id or '', needed)
        finally:
            if is_new:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)

    def _write(self, path: str, name: str, image_id: str,
               needed: int) -> None:
        volume = volumes.volume_name(name)
        there = self._group.look(anew=True).image(name)
        if there is not None:
            if there.is_complete:
                return
            # Of a fetch that was killed: nobody else holds the lock.
            self._images.remove(volume)
        self._need(f'image {image_id}', needed, name)
        length = os.stat(path).st_size  # nova lets raw files in only
        self._images.create(volume, length, volumes.tags(
            image_id, length, int(self._store.now() * 1000)))
        try:
            self._have_device(volume)
            self._images.fill(path, volume)
            self._group.change('lvm_tag', [volume], [volumes.INCOMPLETE],
                               [volumes.COMPLETE])
        except BaseException:
            self._discard(volume)
            raise

    def _discard(self, volume: str) -> None:
        """Remove what a fetch that failed has left, or leave it to a pass."""
        try:
            self._images.remove(volume)
        except Exception as error:
            LOG.warning('Host %(host)s cannot remove volume %(path)s, which '
                        'is not complete: %(error)s. The image cache manager '
                        'tries again.',
                        {'host': self._store.host, 'error': error,
                         'path': self._group.device(volume)})

    def create_disk(self, image: volumes.ImageVolume, disk: str,
                    size: int) -> None:
        """Make a volume for a disk; nova's lock of the image is held.

        :param disk: its name
        :param size: bytes; not less than the image has
        :raises cache_aware_sched.lvm.image_volumes.StoreFull: if there is no
            room
        :raises Exception: if that fails
        """
        self._need(f'a disk of image {image.image_id or image.sha1}', 0)
        self._have_device(image.volume.name)
        self._images.create_disk(image, disk, size)

    def fill_disk(self, image: volumes.ImageVolume, disk: str,
                  size: int) -> None:
        """Have the image in the volume of a disk; see :meth:`create_disk`."""
        self._images.fill_disk(image, disk, size)

    @property
    def takes_all_disks(self) -> bool:
        """Whether disks that are of no image are made here too."""
        return self._images.takes_all_disks

    def create_empty_disk(self, disk: str, size: int) -> None:
        """Make a volume for a disk that is of no image.

        :param disk: its name
        :param size: bytes
        :raises cache_aware_sched.lvm.image_volumes.StoreFull: if there is no
            room
        :raises Exception: if that fails
        """
        self._need(f'disk {disk}', 0)
        self._images.create(disk, size, [])

    def fill_empty_disk(self, path: str, disk: str) -> None:
        """Write a raw file to a disk; see :meth:`create_empty_disk`."""
        self._images.fill(path, disk)

    def _have_device(self, volume: str) -> None:
        """Have a volume in /dev, as nobody may have activated it."""
        if not os.path.exists(self._group.device(volume)):
            self._group.change('lvm_activate', volume)

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

"""Copies an image from one host, and looks at it before it gets its name."""

from collections.abc import Callable
import contextlib
import os
import shutil
import stat
from typing import Any

import nova.conf
from nova import utils
from nova.virt import images
from nova.virt.libvirt.volume import remotefs

from cache_aware_sched.neighbours import sending
from cache_aware_sched.neighbours.sending import CopyFailed
from cache_aware_sched.neighbours.sending import Trouble
from cache_aware_sched.neighbours.sources import Source
from cache_aware_sched.neighbours import watching
from cache_aware_sched import report

CONF = nova.conf.CONF

#: Of an image that is fetched, as nova names it (nova.virt.images,
#: fetch_to_raw; nova 31 to 34).
PART = '.part'

#: Of a file; with more holes than this it is worth to have them compressed.
_FULL_SHARE = 0.5

#: Characters that rsync puts behind the name of the file that it writes.
_RSYNC_CHARS = 6

#: What the programs of both transports say (strerror(ENOSPC), in the language
#: that services run in).
_FULL = 'No space left on device'


class DestinationFull(Exception):
    """There is no room for an image here, whichever host sends it."""


#: Takes the bytes of an image, and makes room while the block copies it.
Room = Callable[[int], contextlib.AbstractContextManager[None]]


def copy(source: Source, path: str, converts: bool, room: Room) -> int:
    """Copy an image under the path that it has on the other host too.

    nova takes the same for granted when it migrates a server. Who calls holds
    nova's lock of the file.

    :param converts: whether it must be what nova makes of an image; not a
        kernel or a ramdisk
    :returns: bytes in the file
    :raises sending.Busy: if the host sends enough images already
    :raises CopyFailed: if it is not there, does not come, or is not usable
    :raises DestinationFull: if there is no room for it
    """
    part = f'{path}{PART}'
    try:
        return _copy(source, path, part, converts, room)
    finally:
        _remove(part)


def _copy(source: Source, path: str, part: str, converts: bool,
          room: Room) -> int:
    at_a_time = CONF.cache_aware_sched.fetch_from_hosts_concurrency
    with sending.sending(
            source.address, path, os.path.join(CONF.instances_path, 'locks'),
            at_a_time, _longest_place()) as sent:
        before = sent.figures
        if source.size_code not in (None, report.size_code(before.length)):
            raise CopyFailed(
                Trouble.SIZE, f'it has {before.length} bytes, and the host '
                f'reports another size')
        size = bytes_here(before)
        with room(size):
            _check_room(path, size)
            _remove(part)
            _transfer(source, path, part, before, sent)
            after = sent.end()
            _check_length(part, before, after)
            _check_usable(part, converts)
            _flush(part)
            os.rename(part, path)
    return before.length


def _longest_place() -> int:
    """Return the seconds after which a place at a host is lost.

    How large the image is nobody knows before; who copies ends a copy much
    earlier. This is for a session that neither side sees the end of.
    """
    return watching.longest(2 ** 40)


def bytes_here(figures: sending.FileFigures) -> int:
    """Return what a copy of a file takes up.

    Of the two transports that nova has, scp fills the holes of a file.
    """
    return (figures.on_disk
            if CONF.libvirt.remote_filesystem_transport == 'rsync'
            else max(figures.on_disk, figures.length))


def _check_room(path: str, size: int) -> None:
    free = shutil.disk_usage(os.path.dirname(path)).free
    if free < size:
        raise DestinationFull(f'it takes {size} bytes, and {free} are free')


def _transfer(source: Source, path: str, part: str,
              figures: sending.FileFigures, sent: sending.Sending) -> None:
    """Have nova copy a file (nova.virt.libvirt.volume.remotefs, 31 to 34)."""
    watch = watching.CopyWatch(
        watching.longest(figures.length), lambda: sent.goes_on)
    try:
        with watch.watching():
            remotefs.RemoteFilesystem().copy_file(
                utils.format_remote_path(source.address, path), part,
                on_execute=watch.began,
                on_completion=lambda process: process.kill(),
                compression=figures.on_disk < figures.length * _FULL_SHARE)
    except Exception as error:
        text = getattr(error, 'stderr', None) or str(error)
        if _FULL in text:
            raise DestinationFull(_FULL) from error
        if watch.why is not None:
            raise CopyFailed(Trouble.STALLED, watch.why) from error
        raise CopyFailed(Trouble.BROKEN, text) from error


def _flush(part: str) -> None:
    """Have the bytes on the disk before they get their name.

    As nova does with what Glance has sent (nova.image.glance, _safe_fsync,
    nova 31 to 34): after a loss of power a half copy would look complete.
    """
    with open(part, 'rb') as file:
        os.fsync(file)


def _check_length(part: str, before: sending.FileFigures,
                  after: sending.FileFigures) -> None:
    """See that all of a file has come, and that it did not change.

    :raises CopyFailed: if not
    """
    try:
        status = os.lstat(part)
    except FileNotFoundError:
        raise CopyFailed(Trouble.BROKEN, 'no file has come') from None
    if not stat.S_ISREG(status.st_mode):
        raise CopyFailed(Trouble.UNFIT, 'it is not a file')
    if not before.length == after.length == status.st_size:
        raise CopyFailed(
            Trouble.SIZE, f'{status.st_size} bytes came; there it had '
            f'{before.length} bytes before, and has {after.length} now')


def _check_usable(part: str, converts: bool) -> None:
    """See that a file is what nova makes disks of.

    As nova does with what Glance has sent (nova.virt.images, fetch_to_raw;
    nova 31 to 34), but for the format that Glance tells.

    :raises CopyFailed: if not
    """
    if not converts:
        return
    try:
        if not CONF.workarounds.disable_deep_image_inspection:
            images.get_image_format(part).safety_check()
        info = images.qemu_img_info(part)
    except Exception as error:
        raise CopyFailed(Trouble.UNFIT, error) from error
    why = _unfit(info)
    if why:
        raise CopyFailed(Trouble.UNFIT, why)


def _unfit(info: Any) -> str | None:
    """Return what is wrong with a file; None if nothing is.

    :param info: an oslo_utils.imageutils.QemuImgInfo
    """
    kind = info.file_format
    if kind is None:
        return 'qemu-img does not tell its format'
    if info.backing_file:
        return 'it has a backing file'
    specific = info.format_specific or {}
    if specific.get('data', {}).get('data-file'):
        return 'it has a data file'
    if CONF.force_raw_images and kind != 'raw':
        return f'it is {kind}, and [DEFAULT] force_raw_images is set here'
    return None


def _remove(part: str) -> None:
    """Remove what a copy has left: also what rsync writes first."""
    directory, name = os.path.split(part)
    with contextlib.suppress(OSError):
        os.unlink(part)
    with contextlib.suppress(OSError):
        for found in os.listdir(directory):
            if (found.startswith(f'.{name}.')
                    and len(found) == len(name) + 2 + _RSYNC_CHARS):
                os.unlink(os.path.join(directory, found))

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

"""The stage of :class:`cache_aware_sched.imagecache.directory.Directory`.

For the tests of an image cache manager of your own, and an example of a stage.
"""

import contextlib
import os
import shutil
import struct
import time
import uuid

from cache_aware_sched.imagecache import directory
from cache_aware_sched import report
from cache_aware_sched.testing import stage
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import SETTLED

#: The head of a qcow2 file of version 3 (QEMU, docs/interop/qcow2.rst): magic,
#: version, offset and length of the name of the backing file, bits of a
#: cluster, bytes of the disk; then tables, refcounts and features, and at last
#: the length of all this.
_HEAD = struct.Struct('>4sIQIIQIIQQIIQQQQII8x')


def make_qcow2(path: str, backing: str | None = None, size: int = GIB) -> str:
    """Write the head of a qcow2 file, which is all that is ever read of it.

    :param backing: the path of its backing file
    :returns: the path
    """
    name = os.fsencode(backing or '')
    with open(path, 'wb') as file:
        file.write(_HEAD.pack(
            b'QFI\xfb', 3, _HEAD.size if name else 0, len(name), 16, size, 0,
            2, 0x30000, 0x10000, 1, 0, 0, 0, 0, 0, 4, _HEAD.size - 8) + name)
        file.truncate(0x30000)
    return path


class SparseDirectory(directory.Directory):
    """A directory whose files are as large as they say."""

    @staticmethod
    def size_of(status: os.stat_result) -> int:
        """Return the length of a file, as nothing of it is on the disk."""
        return status.st_size


class DirectoryStage(stage.StoreStage):
    """A directory of base files, as a libvirt host has one."""

    def make_store(self) -> directory.Directory:
        """Return the directory; it is there when something was fetched."""
        return SparseDirectory(lambda: HOST)

    def put_image(self, image_id: str, size: int = GIB,
                  age: float = SETTLED) -> None:
        """Put a file without content in."""
        self._write(report.image_sha1(image_id), size, age)

    def put_part(self, image_id: str, age: float = 0) -> None:
        """Put the file in that nova fetches an image into."""
        self._write(f'{report.image_sha1(image_id)}.part', GIB, age)

    def _write(self, name: str, size: int, age: float) -> None:
        path = os.path.join(self._cache_dir(), name)
        with open(path, 'wb') as file:
            file.truncate(size)
        then = time.time() - age
        os.utime(path, (then, then))

    def _cache_dir(self) -> str:
        path: str = self._directory.cache_dir
        os.makedirs(path, exist_ok=True)
        return path

    @property
    def _directory(self) -> directory.Directory:
        assert isinstance(self.store, directory.Directory)
        return self.store

    def use_image(self, image_id: str) -> None:
        """Make a disk on top of an image, and tell nobody."""
        folder = os.path.join(
            self._directory.instances_path, str(uuid.uuid4()))
        os.makedirs(folder)
        make_qcow2(os.path.join(folder, 'disk'), os.path.join(
            self._cache_dir(), report.image_sha1(image_id)))

    def limit_disk(self, gib: float) -> None:
        """Take the files for as large as they say."""
        def usage(path: str) -> 'shutil._ntuple_diskusage':
            used = sum(os.lstat(os.path.join(path, name)).st_size
                       for name in os.listdir(path))
            total = int(gib * GIB)
            return shutil._ntuple_diskusage(total, used, total - used)

        self.patch_object(shutil, 'disk_usage', usage)

    def break_store(self) -> None:
        """Put a file where the directory was."""
        path = self._cache_dir()
        os.rename(path, f'{path}.away')
        with open(path, 'w'):
            pass

    def locked(self, image_id: str) -> contextlib.AbstractContextManager[
            object]:
        """Hold nova's lock of a base file."""
        return self._directory.lock(report.image_sha1(image_id))

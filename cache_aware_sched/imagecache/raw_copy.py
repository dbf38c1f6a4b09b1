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

"""Whether raw disks share blocks with their images. No nova.

nova makes a raw disk of its base file with ``cp -r``
(nova.virt.libvirt.utils.copy_image, nova 31.3.1 to 34.0.0). Since coreutils
9.0 that clones the file where the file system can.
"""

import os
import re
import subprocess
import tempfile
import time

from cache_aware_sched.imagecache import shared_blocks

#: Bytes that are copied: a few blocks of any file system.
_BYTES = 2 ** 20

#: Seconds that the copy may take.
_COPY_SECONDS = 30

#: Seconds for which disks are looked into. Judgement: an operator waits.
_LOOK_SECONDS = 10.0

#: Of the directory of an instance, and of its disks made from an image.
_UUID = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_DISK = 'disk'


def shares(source: str, target: str) -> bool:
    """Copy a small file as nova does; return whether the copy shares it all.

    Where the kernel does not tell, it does not.

    Both files are gone when this returns.

    :param source: a directory on the file system of the image cache
    :param target: the directory of the instances
    :raises OSError: if nothing can be written
    :raises subprocess.SubprocessError: if cp fails
    """
    prefix = '.cache-aware-sched-'
    with (tempfile.TemporaryDirectory(prefix=prefix, dir=source) as one,
          tempfile.TemporaryDirectory(prefix=prefix, dir=target) as other):
        base, disk = os.path.join(one, 'base'), os.path.join(other, _DISK)
        with open(base, 'wb') as file:
            file.write(os.urandom(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        subprocess.run(['cp', '-r', base, disk], check=True,
                       capture_output=True, timeout=_COPY_SECONDS)
        blocks = shared_blocks.of(disk, sync=True)
    return blocks is not None and bool(blocks.mapped) and (
        blocks.shared == blocks.mapped)


def disks(instances: str) -> list[shared_blocks.Blocks]:
    """Return the blocks of the disks that can be read, in the time.

    :param instances: their directory
    :raises OSError: if that cannot be read
    """
    end = time.monotonic() + _LOOK_SECONDS
    found = []
    with os.scandir(instances) as directories:
        for one in directories:
            if not _UUID.fullmatch(one.name) or time.monotonic() > end:
                continue
            blocks = shared_blocks.of(os.path.join(one.path, _DISK))
            if blocks is not None:
                found.append(blocks)
    return found

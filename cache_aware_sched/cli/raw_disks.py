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

"""Tries a copy on a compute host, for the check of raw disks."""

import os
import subprocess

from cache_aware_sched.checks.state import TriedCopy


def try_copy() -> TriedCopy:
    """Copy a small file from the image cache to where the disks are.

    To be called when the configuration was read: it says where both are.
    """
    from cache_aware_sched.imagecache import directory
    from cache_aware_sched.imagecache import file_system
    from cache_aware_sched.imagecache import raw_copy
    where = directory.Directory(lambda: '')
    instances, cache = where.instances_path, where.cache_dir
    try:
        shares = raw_copy.shares(
            cache if os.path.isdir(cache) else instances, instances)
        disks = raw_copy.disks(instances) if shares else []
        kind = file_system.kind_of(instances)
    except (OSError, subprocess.SubprocessError) as error:
        return TriedCopy(instances, error=str(error))
    found = where.file_system()
    return TriedCopy(
        instances, kind=kind, shares=shares, reflinks=found.reflinks,
        own_device=bool(found.own_device), disks=len(disks),
        disk_bytes=sum(one.mapped for one in disks),
        shared_bytes=sum(one.shared for one in disks))

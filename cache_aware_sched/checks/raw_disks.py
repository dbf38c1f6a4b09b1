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

"""The check of disks that share blocks with their images. No nova."""

from cache_aware_sched.checks.check import fail
from cache_aware_sched.checks.check import ok
from cache_aware_sched.checks.check import Outcome
from cache_aware_sched.checks.check import SetUpCheck
from cache_aware_sched.checks.check import skipped
from cache_aware_sched.checks.check import warn
from cache_aware_sched.checks.state import SetUp
from cache_aware_sched.checks.state import TriedCopy

_GIB = 2 ** 30


def _shared(set_up: SetUp) -> Outcome | None:
    if set_up.compute is None:
        return skipped('no nova.conf of nova-compute was given')
    if not set_up.compute.has_raw_disks:
        return ok(f'{set_up.compute.source} does not have images_type = raw')
    tried = set_up.copied
    if tried is None:
        return skipped('not tried: use --try-copy on a compute host, as the '
                       'user of nova-compute')
    if tried.error:
        return fail(
            f'nothing could be copied to {tried.path}: {tried.error}',
            'Run the command on the compute host, as the user of '
            'nova-compute.')
    where = f'{tried.path} ({tried.kind or "unknown file system"})'
    if tried.shares:
        return ok(f'{where}: a raw disk shares all blocks with its image'
                  + _saved(tried))
    if tried.own_device:
        return warn(
            f'{where}: each raw disk is a copy of its image, as the image '
            'cache is on another file system',
            'Have the image cache on the file system of the disks.')
    if tried.reflinks:
        return warn(
            f'{where}: each raw disk is a copy of its image, as cp does not '
            'use the reflinks that the file system has',
            'Install coreutils 9.0 or later.')
    if tried.reflinks is None:
        return skipped(f'{where}: nobody tells whether a copy shares blocks '
                       'there')
    return warn(
        f'{where}: each raw disk is a copy of its image, as the file system '
        'has no reflinks',
        'Have instances_path on XFS with reflink=1 or on btrfs; or set '
        '[libvirt] images_type = qcow2.')


def _saved(tried: TriedCopy) -> str:
    if not tried.disks:
        return ''
    return (f'; {tried.disks:,} disks share {tried.shared_bytes / _GIB:,.1f} '
            f'of {tried.disk_bytes / _GIB:,.1f} GiB')


CHECKS = (
    SetUpCheck('CAS214', 'Compute hosts', 'Raw disks share blocks',
               'With images_type = raw or flat, or default and use_cow_images '
               '= false, nova copies the image for each server. With reflinks '
               'that takes no time and no room.', _shared),
)

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


"""LVM's commands that nova has none of, run as root by nova's own daemon.

oslo.privsep runs nothing that is not below ``nova``, so they are here. Each
function is one command. :mod:`cache_aware_sched.lvm.group` calls them.
"""

from collections.abc import Callable
from collections.abc import Iterable
import subprocess
from typing import TypeVar

import nova.privsep
from oslo_concurrency import processutils

T = TypeVar('T', bound=Callable[..., object])

#: Seconds for a command that only reads; then it is killed, which harms
#: nothing. Judgement: it takes a tenth of a second, and some with a slow disk.
READ_SECONDS = 30

#: Seconds for one that changes LVM's metadata. It is waited for no longer, but
#: not killed: half a change can leave devices suspended. Judgement: such a
#: command takes a tenth of a second, and waits for others.
CHANGE_SECONDS = 120

_privileged: Callable[[T], T] = nova.privsep.sys_admin_pctxt.entrypoint


@_privileged
def lvm_report(group: str) -> str:
    """Return what a volume group holds, as JSON."""
    told: str = processutils.execute(
        'lvm', 'fullreport', '--reportformat', 'json', '--units', 'b',
        '--nosuffix', '--configreport', 'vg', '-o',
        'vg_name,vg_size,vg_free', '--configreport', 'lv', '-o',
        'lv_name,lv_size,pool_lv,origin,data_percent,metadata_percent,lv_tags',
        '--configreport', 'seg', '-o', 'lv_name,zero,chunk_size',
        '--configreport', 'pv', '-o', 'pv_name',
        '--configreport', 'pvseg', '-o', 'pv_uuid', group,
        timeout=READ_SECONDS, on_completion=_end)[0]
    return told


def _end(process: 'subprocess.Popen[bytes]') -> None:
    if process.poll() is None:
        process.kill()


def _change(*command: str) -> None:
    processutils.execute(*command, timeout=CHANGE_SECONDS)


@_privileged
def lvm_create(group: str, name: str, size: int, tags: list[str]) -> None:
    """Make a volume, without signatures of what was there before.

    :param size: bytes, a multiple of 512
    """
    _change('lvcreate', '--quiet', '--yes', '--size', f'{size}b', '--name',
            name, *_tags('--addtag', tags), group)


@_privileged
def lvm_create_thin(group: str, pool: str, name: str, size: int,
                    tags: list[str]) -> None:
    """Make a thin volume; see :func:`lvm_create`."""
    _change('lvcreate', '--quiet', '--yes', '--virtualsize', f'{size}b',
            '--thin', f'{group}/{pool}', '--name', name,
            *_tags('--addtag', tags))


@_privileged
def lvm_snapshot(group: str, origin: str, name: str) -> None:
    """Make a thin snapshot of a thin volume, and activate it now and later."""
    _change('lvcreate', '--quiet', '--snapshot', '--setactivationskip', 'n',
            '--name', name, f'{group}/{origin}')


@_privileged
def lvm_extend(group: str, name: str, size: int) -> None:
    """Grow a volume to so many bytes, a multiple of 512."""
    _change('lvextend', '--quiet', '--size', f'{size}b', f'{group}/{name}')


@_privileged
def lvm_tag(group: str, names: list[str], remove: list[str],
            add: list[str]) -> None:
    """Take tags off volumes and put others on them."""
    _change('lvchange', '--quiet', *_tags('--deltag', remove),
            *_tags('--addtag', add), *(f'{group}/{name}' for name in names))


@_privileged
def lvm_activate(group: str, name: str) -> None:
    """Have a volume in /dev."""
    _change('lvchange', '--quiet', '--activate', 'y', f'{group}/{name}')


@_privileged
def lvm_remove(group: str, name: str) -> None:
    """Remove a volume that nobody has open."""
    _change('lvremove', '--quiet', '--force', f'{group}/{name}')


@_privileged
def fill_zeroed(source: str, device: str) -> None:
    """Write a raw file to a device that is zero, and leave its holes out.

    As nova converts to a volume (nova.privsep.qemu, nova 34.0.0), which would
    write the zeroes too. As long as the file: there is no time-out.
    """
    processutils.execute(
        'qemu-img', 'convert', '-n', '--target-is-zero', '-t', 'none', '-f',
        'raw', '-O', 'raw', source, device)


def _tags(option: str, tags: Iterable[str]) -> list[str]:
    return [word for tag in tags for word in (option, tag)]

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

"""UTS and mount namespaces: what makes one machine several hosts."""

import contextlib
import os
import pathlib
import signal
import time

from tests.cloud import procfs

#: The directory of a host: what a process on it has there instead.
MOUNTS = {
    'run-libvirt': '/run/libvirt',
    'etc-libvirt': '/etc/libvirt',
    'lib-libvirt': '/var/lib/libvirt',
    'cache-libvirt': '/var/cache/libvirt',
    'log-libvirt': '/var/log/libvirt',
    # systemd would hear of the guests.
    'run-dbus': '/run/dbus',
}

# Debian's libvirt does not start without the user of its guests, though they
# run as another here. The package that creates it would also start libvirt.
_USERS = {
    'passwd': 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin\n',
    'group': 'libvirt-qemu:x:64055:\n',
}

#: Of the program that a host ends up as.
NAME = 'sleep'

_ENTER = """
set -e
hostname "$1"; shift
while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done
exec sleep infinity
"""


def command(name: str, directory: pathlib.Path,
            instances: pathlib.Path) -> list[str]:
    """Return the command of the process that is a host.

    :param directory: of the host
    :param instances: where its instances directory is to be seen
    """
    mounts = [str(directory / 'instances'), str(instances)]
    for file in ('hosts', *_USERS):
        mounts += [str(directory / file), f'/etc/{file}']
    for source, target in MOUNTS.items():
        if target == '/run/dbus' and not os.path.isdir(target):
            continue
        pathlib.Path(target).mkdir(parents=True, exist_ok=True)
        mounts += [str(directory / source), target]
    return ['unshare', '--uts', '--mount', '--propagation', 'private',
            '/bin/sh', '-c', _ENTER, 'sh', name, *mounts, '--']


def prepare(name: str, directory: pathlib.Path,
            instances: pathlib.Path) -> None:
    """Make what a host needs in its directory."""
    for source in MOUNTS:
        (directory / source).mkdir(parents=True, exist_ok=True)
    for path in (directory / 'instances', instances):
        path.mkdir(parents=True, exist_ok=True)
    (directory / 'hosts').write_text(f'127.0.0.1 localhost {name}\n')
    for file, line in _USERS.items():
        (directory / file).write_text(_with_user(
            pathlib.Path('/etc', file).read_text(), line))


def _with_user(text: str, line: str) -> str:
    """Return a file of users or groups that has the one of a line."""
    user = line.partition(':')[0]
    known = (one.partition(':')[0] for one in text.splitlines())
    return text if user in known else f'{text.rstrip()}\n{line}'


def inhabitants(run: pathlib.Path) -> list[int]:
    """Return the processes of all hosts of a cloud, its guests too.

    Nobody else has the directories of this very cloud mounted.

    :param run: the directory of the cloud
    """
    mark = f'/{run.name}/hosts/'
    return [one.pid for one in procfs.processes()
            if mark in procfs.mounts(one.pid)]


def clear(run: pathlib.Path, patience: float = 5.0) -> int:
    """End all processes of all hosts of a cloud; return how many."""
    found = inhabitants(run)
    number = signal.SIGTERM
    end = time.monotonic() + patience
    last = end + patience
    left = found
    while left and time.monotonic() < last:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(0.3)
        left = inhabitants(run)
        if time.monotonic() > end:
            number = signal.SIGKILL
    return len(found)

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

"""What the cloud needs from Debian."""

from collections.abc import Iterator
import contextlib
import os
import pathlib
import signal
import subprocess
import sys

from tests.cloud import processes as processes_mod
from tests.cloud import running
from tests.cloud import service as service_mod

#: libvirt-daemon-system and its configuration are not needed.
PACKAGES = (
    'iproute2',
    'libvirt-clients',
    'libvirt-daemon',
    'mariadb-server',
    'memcached',
    'qemu-system-x86',
    'qemu-utils',
    'rabbitmq-server',
    # To build libvirt-python and uwsgi.
    'gcc',
    'libc6-dev',
    'libvirt-dev',
    'pkg-config',
)

#: Also, if Python is Debian's own.
PYTHON_PACKAGES = ('python3-dev', 'python3-pip', 'python3-venv')

#: Of these packages, what Debian would start with the machine from now on.
UNITS = {
    'mariadb-server': ('mariadb.service',),
    'memcached': ('memcached.service',),
    'rabbitmq-server': ('rabbitmq-server.service', 'epmd.socket',
                        'epmd.service'),
}

#: Asked by Debian's packages whether they may start their services.
POLICY = pathlib.Path('/usr/sbin/policy-rc.d')
_NO = '#!/bin/sh\n# cache-aware-sched is installing packages.\nexit 101\n'


def missing() -> list[str]:
    """Return the packages that are not installed."""
    wanted = list(PACKAGES)
    if sys.base_prefix == '/usr':
        wanted += PYTHON_PACKAGES
    done = subprocess.run(
        ['dpkg-query', '--show',
         '--showformat=${Package} ${db:Status-Status}\\n', *wanted],
        capture_output=True, text=True, check=False)
    there = {line.split()[0] for line in done.stdout.splitlines()
             if line.endswith(' installed')}
    return [name for name in wanted if name not in there]


def check_machine() -> None:
    """Refuse a machine, or a user, that this cannot work with.

    :raises service.Failed: saying what to do
    """
    if os.geteuid():
        raise service_mod.Failed(
            'The cloud needs root, for mount namespaces and for libvirt. Try '
            'again with sudo.')
    if not pathlib.Path('/usr/bin/apt-get').exists():
        raise service_mod.Failed(
            f'The cloud is made for Debian 12, and there is no apt-get here. '
            f'It needs what Debian calls {", ".join(PACKAGES)}.')


def install(processes: processes_mod.Processes, say: running.Say) -> None:
    """Install what is missing, without starting any of it.

    :raises service.Failed: if that does not work
    """
    wanted = missing()
    if not wanted:
        return
    say(f'installing {len(wanted)} Debian packages: {", ".join(wanted)}')
    how = running.How(
        within=1200, number=signal.SIGINT,
        environment={**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'})
    with _no_starts():
        running.call(processes, 'setup-apt-get', ['apt-get', 'update'], how)
        running.call(processes, 'setup-apt-get', [
            'apt-get', 'install', '--yes', '--no-install-recommends',
            *wanted], how)
    _disable([unit for name in wanted for unit in UNITS.get(name, ())])


@contextlib.contextmanager
def _no_starts() -> Iterator[None]:
    """Let no package start a service as long as this lasts."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(_NO)
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()


def _disable(units: list[str]) -> None:
    """Have what was not there before not start with the machine."""
    if units and pathlib.Path('/run/systemd/system').is_dir():
        subprocess.run(['systemctl', 'disable', '--quiet', *units],
                       check=False, capture_output=True)

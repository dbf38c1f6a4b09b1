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

"""Hosts with a libvirt each, on one machine.

A host is a process that does nothing, in a UTS and a mount namespace of its
own: it has a host name, and libvirt's directories and nova's are its own. What
is to run on the host enters these namespaces. The mounts are gone with the
last process in them.
"""

from collections.abc import Sequence
import functools
import shutil
import subprocess
import uuid

from tests.cloud import conf
from tests.cloud import namespace
from tests.cloud import processes as processes_mod
from tests.cloud import procfs
from tests.cloud import remote
from tests.cloud import running
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod

_LIBVIRTD_CONF = """
listen_tls = 0
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{uuid}"
log_outputs = "3:stderr"
max_clients = 200
"""

# No virtlogd, no cgroups and no AppArmor: they belong to the machine.
_QEMU_CONF = """
user = "root"
group = "root"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = [ ]
cgroup_controllers = [ ]
stdio_handler = "file"
vnc_listen = "127.0.0.1"
"""


class Hosts:
    """The hosts of one cloud."""

    def __init__(self, settings: settings_mod.Settings,
                 processes: processes_mod.Processes) -> None:
        self._settings = settings
        self._processes = processes
        #: Where each sees its own directory of instances.
        self.instances = settings.run / 'instances'
        self._bin = settings.run / 'bin'

    def start(self, *names: str) -> None:
        """Start hosts, and libvirt on each."""
        if not names:
            return
        for name in names:
            self._prepare(name)
        remote.install(self._bin, {
            address(name): self._processes.record(_machine(name))
            for name in names})
        running.launch(self._processes, *(
            service_mod.Service(
                name=_machine(name), command=namespace.command(
                    name, self._settings.run / 'hosts' / name,
                    self.instances),
                ready=functools.partial(self._runs, name))
            for name in names))
        running.launch(self._processes, *(
            service_mod.Service(
                name=f'libvirtd-{name}',
                command=self.inside(name, [
                    'libvirtd', '--pid-file', '/run/libvirt/libvirtd.pid']),
                ready=functools.partial(self._libvirt_answers, name))
            for name in names))
        self._keep_capabilities(names[0])

    def inside(self, name: str, command: Sequence[str]) -> list[str]:
        """Return the command that runs a command on a host.

        :raises service.Failed: if the host does not run
        """
        machine = self._processes.recorded(_machine(name))
        if machine is None:
            raise service_mod.Failed(f'{name} does not run')
        return ['nsenter', f'--target={machine.pid}', '--mount', '--uts',
                '--', *command]

    def call(self, name: str, *command: str) -> str:
        """Run a command on a host; return what it prints.

        :raises service.Failed: if it fails
        """
        done = subprocess.run(
            self.inside(name, command), capture_output=True, text=True,
            check=False, timeout=60, env=self._processes.environment)
        if done.returncode:
            raise service_mod.Failed(
                f'{" ".join(command)} on {name}: {done.stderr.strip()} '
                f'{done.stdout.strip()}')
        return done.stdout.strip()

    def environment(self) -> dict[str, str]:
        """Return what nova-compute needs to copy files to other hosts."""
        path = self._processes.environment['PATH']
        return {'PATH': f'{self._bin}:{path}'}

    def nova_conf(self, name: str, own: str) -> conf.Conf:
        """Return what a nova-compute with libvirt has in its nova.conf.

        :param own: the path of that nova.conf
        """
        helper: conf.Section = {'helper_command': (
            f'{self._settings.program("privsep-helper")} '
            f'--config-file {own}')}
        emulated = self._settings.virt_type == 'qemu'
        return {
            'DEFAULT': {
                'my_ip': address(name),
                # The same on all: a server that moves keeps its paths.
                'instances_path': str(self.instances),
            },
            'libvirt': {
                'virt_type': self._settings.virt_type,
                'cpu_mode': 'none',
                'images_type': 'qcow2',
                # For each guest that it emulates QEMU takes up to 1 GiB.
                'tb_cache_size': 32 if emulated else None,
            },
            'nova_sys_admin': helper,
            'vif_plug_linux_bridge_privileged': helper,
            'vif_plug_ovs_privileged': helper,
            'privsep_osbrick': helper,
        }

    def _prepare(self, name: str) -> None:
        directory = self._settings.run / 'hosts' / name
        namespace.prepare(name, directory, self.instances)
        etc = directory / 'etc-libvirt'
        host_uuid = uuid.uuid5(uuid.NAMESPACE_DNS,
                               f'{name}.{self._settings.identity}')
        (etc / 'libvirtd.conf').write_text(
            _LIBVIRTD_CONF.format(uuid=host_uuid))
        (etc / 'qemu.conf').write_text(_QEMU_CONF)
        known = self._settings.tree.capabilities
        if known.exists():
            shutil.copytree(known, directory / 'cache-libvirt',
                            dirs_exist_ok=True)

    def _keep_capabilities(self, name: str) -> None:
        """Keep what libvirt found out about QEMU: it takes it 8 s."""
        known = self._settings.tree.capabilities
        if not known.exists():
            new = known.with_suffix('.new')
            shutil.copytree(
                self._settings.run / 'hosts' / name / 'cache-libvirt', new,
                dirs_exist_ok=True)
            new.rename(known)

    def _runs(self, name: str) -> bool:
        machine = self._processes.recorded(_machine(name))
        return (machine is not None
                and procfs.name(machine.pid) == namespace.NAME)

    def _libvirt_answers(self, name: str) -> bool:
        try:
            return bool(self.call(
                name, 'virsh', '--connect', 'qemu:///system', 'version'))
        except service_mod.Failed:
            return False


def address(name: str) -> str:
    """Return the address of a host: each has one on the loopback."""
    return f'127.0.1.{int("".join(filter(str.isdecimal, name)))}'


def _machine(name: str) -> str:
    return f'host-{name}'

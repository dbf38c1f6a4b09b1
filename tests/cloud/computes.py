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

"""nova-compute: with libvirt on hosts of their own, and without."""

import pathlib

from tests.cloud import conf as conf_mod
from tests.cloud import hosts
from tests.cloud import images
from tests.cloud import infra as infra_mod
from tests.cloud import members
from tests.cloud import openstack_conf
from tests.cloud import processes as processes_mod
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod

OURS = {True: 'cache_aware.LibvirtDriver', False: 'cache_aware.FakeDriver'}
#: nova's own; of its fake drivers the one that can be restarted.
STOCK = {True: 'libvirt.LibvirtDriver',
         False: 'fake.FakeDriverWithoutFakeNodes'}

LIBVIRT, FAKE = 'compute', 'fake'

#: Of the name of an image in a cache.
SHA1_CHARS = 40


class Computes(members.Members):
    """All nova-compute.

    compute1, compute2, ... have a libvirt of their own; fake1, fake2, ...
    pretend to run servers.
    """

    prefix = 'nova-'
    database = 'nova_cell1'

    def __init__(self, settings: settings_mod.Settings,
                 processes: processes_mod.Processes,
                 infra: infra_mod.Infra) -> None:
        super().__init__(settings, processes, infra)
        self.hosts = hosts.Hosts(settings, processes)

    @staticmethod
    def has_libvirt(name: str) -> bool:
        """Return whether a host has a libvirt."""
        return name.startswith(LIBVIRT)

    @property
    def with_libvirt(self) -> list[str]:
        """The names of the hosts that have a libvirt."""
        return [name for name in self.names if self.has_libvirt(name)]

    @property
    def fakes(self) -> list[str]:
        """The names of the hosts that pretend."""
        return [name for name in self.names if not self.has_libvirt(name)]

    def instances(self, name: str) -> pathlib.Path:
        """Return the instances_path of a host, as it is seen from outside."""
        return self.state(name) / 'instances'

    def cache(self, name: str) -> pathlib.Path:
        """Return the image cache of a host that has a libvirt."""
        return self.instances(name) / '_base'

    def images(self, name: str) -> set[str]:
        """Return the sha1 of each image that is complete in a cache."""
        try:
            return {path.name for path in self.cache(name).iterdir()
                    if len(path.name) == SHA1_CHARS}
        except FileNotFoundError:
            return set()

    def holders(self, image_id: str) -> list[str]:
        """Return the hosts with a libvirt that have an image, complete."""
        name = images.sha1(image_id)
        return [host for host in self.with_libvirt
                if name in self.images(host)]

    def empty_caches(self) -> None:
        """Remove all images from all caches; no server may be left."""
        for host in self.with_libvirt:
            for path in self.cache(host).glob('*'):
                path.unlink()
        for host in self.fakes:
            for path in self.instances(host).glob('fake-*/_base/*'):
                path.unlink()

    def start_hosts(self) -> None:
        """Start what nova-compute needs on its host."""
        self.hosts.start(*self.with_libvirt)

    def usual_conf(self, member: members.Member) -> conf_mod.Conf:
        """Return the configuration without what a scenario changes."""
        name = member.name
        libvirt = self.has_libvirt(name)
        driver = (OURS if member.ours else STOCK)[libvirt]
        computes: conf_mod.Conf = {
            'DEFAULT': {
                'compute_driver': driver,
                'instances_path': str(self.instances(name)),
                # How much a host has decides nothing here.
                'cpu_allocation_ratio': 64.0,
                'ram_allocation_ratio': 8.0,
                'disk_allocation_ratio': 16.0,
                'reserved_host_memory_mb': 0,
                # By default nova sees after a minute that a build has ended.
                'update_resources_interval': 10 if libvirt else None,
            },
            # The cap is checked on the host too.
            'filter_scheduler': openstack_conf.SCHEDULER[
                'filter_scheduler'] if member.ours else {},
        }
        return conf_mod.merge(
            self._nova(member), computes,
            self.hosts.nova_conf(name, str(self.config_file(name)))
            if libvirt else {})

    def service(self, member: members.Member) -> service_mod.Service:
        """Return what a nova-compute is started with."""
        name = member.name
        self.instances(name).mkdir(parents=True, exist_ok=True)
        command = [self.settings.program('nova-compute'), '--config-file',
                   str(self.config_file(name))]
        return service_mod.Service(
            name=self.process(name),
            command=(self.hosts.inside(name, command)
                     if self.has_libvirt(name) else command),
            environment=(self.hosts.environment()
                         if self.has_libvirt(name) else {}),
            ready=lambda: self._joined(name))

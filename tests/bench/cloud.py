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

"""What nova's scheduler works on, as its host manager keeps it.

From request to request the instances of a host, their dict and the aggregates
stay the same objects; the HostStates, their stats and the RequestSpec are new.
Every Instance is one of its own, because a server that two hosts show is a
special case; all of them share a flavor and the texts they have in common. Of
the reports :data:`VARIANTS` are encoded, and each host has a copy of one.
"""

import datetime
import itertools
import random
from typing import Any
import uuid

from nova import objects
from nova.scheduler import host_manager

from cache_aware_sched import report

GIB = 2 ** 30
WANTED = str(uuid.UUID(int=1))
PROJECTS = [f'{number:032x}' for number in range(20)]
#: Different reports in a cloud.
VARIANTS = 60
#: Of ten hosts, how many hold the image that is asked for.
HOLDERS = 1
#: Images of which a host runs servers.
RUNNING_IMAGES = 15
#: Megabytes a second, as hosts report them.
RATES = (64, 128, 256)
#: What hosts say beyond that, which no decision needs.
FACTS = report.HostFacts(
    protected=3, free_gib=512, manager='popularity', cap=report.ReportedCap(
        10, 0.0, 'hard', 'all'), asks_for_cap=True, package='1.0.0',
    nova='34.0.0', reflinks=False, own_device=False)
ZONES = 3
VCPUS = 64
MEMORY_MB = 256 * 1024


def image_id(number: int) -> str:
    """Return the id of an image; 0 is not the one that is asked for."""
    return str(uuid.UUID(int=1000 + number))


def files(number: int, wanted: bool, chance: random.Random
          ) -> list[report.BaseFile]:
    """Return what a host holds: so many images, some of them in use."""
    ids = [image_id(chance.randrange(20 * number)) for _file in range(number)]
    if wanted:
        ids[0] = WANTED
    return [report.BaseFile(report.image_sha1(id_),
                            chance.randrange(1, 40) * GIB // 2,
                            users=chance.choice((0, 0, 1, 3)))
            for id_ in dict.fromkeys(ids)]


class Cloud:
    """Hosts with instances; reports are given to it.

    :param hosts: how many
    :param instances: on each
    """

    def __init__(self, hosts: int, instances: int) -> None:
        self._chance = random.Random(hosts)
        self._uuids = itertools.count(1 << 64)
        self.flavor = objects.Flavor(
            id=1, flavorid='medium', name='medium', vcpus=2, memory_mb=4096,
            root_gb=40, ephemeral_gb=0, swap=0, extra_specs={})
        self._prototype = self._instance()
        self._zones = [
            objects.Aggregate(
                id=zone, uuid=str(uuid.UUID(int=zone + 1)), name=f'az{zone}',
                hosts=[], metadata={'availability_zone': f'az{zone}'})
            for zone in range(ZONES)]
        self.number = hosts
        self._names = [f'compute-{number:05}' for number in range(hosts)]
        self._instances = [self._on_host(number, instances)
                           for number in range(hosts)]
        self._used = [self._chance.randrange(VCPUS) for _host in range(hosts)]
        self._reports: list[str] = []

    def _instance(self) -> 'objects.Instance':
        """Return what all instances are copied from."""
        then = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        return objects.Instance(
            uuid=str(uuid.UUID(int=0)), image_ref='', host='', node='',
            project_id='', user_id='user', vm_state='active',
            task_state=None, power_state=1, deleted=False, created_at=then,
            updated_at=then, flavor=self.flavor, memory_mb=4096, vcpus=2,
            root_gb=40, ephemeral_gb=0, metadata={}, system_metadata={})

    def _on_host(self, number: int, instances: int
                 ) -> dict[str, 'objects.Instance']:
        """Return the instances of a host by uuid, as nova keeps them.

        One in ten hosts runs a few servers of the image asked for.
        """
        images = [image_id(self._chance.randrange(200))
                  for _image in range(RUNNING_IMAGES)]
        wanted = number % 10 == 0
        made = {}
        for place in range(instances):
            uuid_ = str(uuid.UUID(int=next(self._uuids)))
            made[uuid_] = self._copy(
                uuid_, self._names[number],
                WANTED if wanted and place < 3 else
                images[place % RUNNING_IMAGES], PROJECTS[place % 20])
        return made

    def _copy(self, uuid_: str, host: str, image: str, project: str
              ) -> 'objects.Instance':
        """Make an instance; 20 times as fast as its constructor."""
        made = objects.Instance.__new__(objects.Instance)
        vars(made).update(
            vars(self._prototype), _obj_uuid=uuid_, _obj_host=host,
            _obj_node=host, _obj_image_ref=image, _obj_project_id=project)
        return made

    def start_instance(self, number: int) -> None:
        """Have a host run one server more."""
        here = self._instances[number]
        uuid_ = str(uuid.UUID(int=next(self._uuids)))
        here[uuid_] = self._copy(
            uuid_, self._names[number], image_id(0), PROJECTS[0])

    def start_instances(self) -> None:
        """Have each host run one server more."""
        for number in range(self.number):
            self.start_instance(number)

    def forget_one(self) -> None:
        """Let nova know one server of each host by its uuid only.

        As all of a host's are after a live migration, of which those that were
        seen before are remembered.
        """
        for instances in self._instances:
            uuid_ = str(uuid.UUID(int=next(self._uuids)))
            instances[uuid_] = objects.Instance(uuid=uuid_)

    def hold(self, images: int, holders: int = HOLDERS) -> None:
        """Let each host hold about so many images, and report them.

        Numbers differ by some percent, as do the headers of real reports.

        :param holders: of ten hosts, how many hold the image asked for
        """
        chance = random.Random(images)
        variants = [report.encode(
            files(max(1, images - variant * images // 1000),
                  variant % 10 < holders, chance),
            rate=RATES[variant % len(RATES)],
            servers=len(self._instances[0]), facts=FACTS,
            max_bytes=48 * 1024) for variant in range(VARIANTS)]
        # Copies: what is read must come from as much memory as in nova.
        self._reports = [
            variants[number % VARIANTS].encode().decode()
            for number in range(len(self._names))]

    def host_states(self) -> list[host_manager.HostState]:
        """Return new HostStates, as each request gets them."""
        self._service = {
            'binary': 'nova-compute', 'disabled': False, 'forced_down': False,
            'last_seen_up': datetime.datetime.now(datetime.UTC)}
        return [self._host_state(*host) for host in enumerate(zip(
            self._names, self._instances, self._used, self._reports,
            strict=True))]

    def _host_state(self, number: int, about: tuple[Any, ...]
                    ) -> host_manager.HostState:
        name, instances, used, text = about
        state = host_manager.HostState(name, name, WANTED)
        state.instances = instances
        state.num_instances = len(instances)
        state.aggregates = [self._zones[number % ZONES]]
        state.vcpus_total, state.vcpus_used = VCPUS, used
        state.total_usable_ram_mb = MEMORY_MB
        state.free_ram_mb = MEMORY_MB - used * 2048
        state.service = {**self._service, 'host': name}
        state.updated = self._service['last_seen_up']
        state.hypervisor_type, state.hypervisor_version = 'QEMU', 8002000
        state.supported_instances = [['x86_64', 'kvm', 'hvm']]
        state.total_usable_disk_gb, state.free_disk_mb = 2000, 1000 * 1024
        state.disk_allocation_ratio = 1.0
        state.cpu_allocation_ratio = 4.0
        state.ram_allocation_ratio = 1.0
        state.stats = {'num_instances': str(len(instances)),
                       'io_workload': '0', 'failed_builds': '0',
                       report.STATS_KEY: text}
        return state

    def spec(self) -> 'objects.RequestSpec':
        """Return a new RequestSpec."""
        return objects.RequestSpec(
            image=objects.ImageMeta(
                id=WANTED, size=20 * GIB, name='wanted',
                properties=objects.ImageMetaProps()),
            flavor=self.flavor, project_id=PROJECTS[0],
            instance_uuid=str(uuid.uuid4()), num_instances=1, is_bfv=False,
            scheduler_hints={}, instance_group=None, numa_topology=None,
            pci_requests=None, requested_resources=[], force_hosts=None,
            force_nodes=None, requested_destination=None)

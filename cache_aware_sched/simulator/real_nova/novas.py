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

"""nova's own objects for what is simulated."""

import datetime
import functools
from typing import Any

from nova import objects
from nova.scheduler import host_manager

from cache_aware_sched.simulator.real_nova.cells import CELL
from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator import workload

objects.register_all()

#: When the services were last seen, and the servers last changed; nothing is
#: compared with it.
_THEN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def compute_node(name: str, uuid: str, settings: Settings,
                 **fields: Any) -> 'objects.ComputeNode':
    """Return the row of a host with nothing on it.

    :param fields: that are different
    """
    return objects.ComputeNode(**{
        'uuid': uuid, 'host': name, 'hypervisor_hostname': name,
        'hypervisor_type': 'QEMU', 'hypervisor_version': 8002000,
        'host_ip': '192.0.2.1', 'cpu_info': '{}', 'metrics': None,
        'numa_topology': None, 'pci_device_pools': None,
        'supported_hv_specs': [], 'updated_at': None,
        'vcpus': settings.host_vcpus, 'vcpus_used': 0,
        'memory_mb': settings.host_ram_mb,
        'memory_mb_used': settings.reserved_host_memory_mb,
        'free_ram_mb': (settings.host_ram_mb
                        - settings.reserved_host_memory_mb),
        'local_gb': settings.host_disk_gb, 'local_gb_used': 0,
        'free_disk_gb': settings.host_disk_gb,
        'disk_available_least': settings.host_disk_gb,
        'cpu_allocation_ratio': settings.cpu_allocation_ratio,
        'ram_allocation_ratio': settings.ram_allocation_ratio,
        'disk_allocation_ratio': settings.disk_allocation_ratio,
        'stats': {'num_instances': '0', 'io_workload': '0',
                  'failed_builds': '0'},
        **fields})


def host_state(name: str, uuid: str, settings: Settings) -> Any:
    """Return what nova's scheduler makes of a host with nothing on it.

    nova makes one for each request; here it stays, and what changes is
    changed in it.
    """
    state = host_manager.HostState(name, name, CELL)
    state.update(
        compute=compute_node(name, uuid, settings),
        service={'host': name, 'binary': 'nova-compute', 'disabled': False,
                 'forced_down': False, 'last_seen_up': _THEN},
        aggregates=[], inst_dict={})
    return state


@functools.lru_cache(maxsize=4096)
def _flavor(vcpus: int, ram_mb: int, disk_gb: int) -> 'objects.Flavor':
    return objects.Flavor(
        id=1, flavorid='simulated', name='simulated', vcpus=vcpus,
        memory_mb=ram_mb, root_gb=disk_gb, ephemeral_gb=0, swap=0,
        extra_specs={})


@functools.lru_cache(maxsize=65536)
def _image(image: workload.Image) -> 'objects.ImageMeta':
    return objects.ImageMeta(
        id=image.id, name='simulated', size=image.size, min_disk=0, min_ram=0,
        disk_format='raw', container_format='bare',
        properties=objects.ImageMetaProps())


def request_spec(boot: workload.Boot, image: workload.Image, uuid: str,
                 number: int = 1) -> 'objects.RequestSpec':
    """Return what the scheduler is asked when servers are booted.

    :param uuid: of the first server
    :param number: of servers
    """
    return objects.RequestSpec(
        image=_image(image), instance_uuid=uuid, project_id=boot.project,
        flavor=_flavor(boot.vcpus, boot.ram_mb, boot.disk_gb),
        num_instances=number, is_bfv=False, scheduler_hints={},
        instance_group=None, numa_topology=None, pci_requests=None,
        requested_resources=[], ignore_hosts=None, force_hosts=None,
        force_nodes=None, requested_destination=None, retry=None)


@functools.cache
def _prototype() -> dict[str, Any]:
    return dict(vars(objects.Instance(
        uuid=CELL, image_ref='', host='', node='', project_id='',
        user_id='user', vm_state='active', task_state=None, power_state=1,
        deleted=False, created_at=_THEN, updated_at=_THEN)))


def instance(boot: workload.Boot, uuid: str,
             host: str) -> 'objects.Instance':
    """Return what nova's scheduler keeps of a server that runs.

    20 times as fast as the constructor, which checks each field.
    """
    made = objects.Instance.__new__(objects.Instance)
    vars(made).update(
        _prototype(), _obj_uuid=uuid, _obj_host=host, _obj_node=host,
        _obj_image_ref=boot.image, _obj_project_id=boot.project)
    return made

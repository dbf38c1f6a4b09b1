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

import datetime
import uuid

from nova import objects
from nova.scheduler import filters
from nova.scheduler import host_manager
from nova.scheduler import manager
from nova.scheduler import weights

from cache_aware_sched import cap as cap_mod
from cache_aware_sched import report
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import candidates as candidates_mod
from cache_aware_sched.scheduler import reports as reports_mod
from cache_aware_sched.scheduler.same_image import servers as servers_mod

MIB = 2 ** 20
GIB = 2 ** 30
CELL = '11111111-1111-4111-8111-111111111111'
OTHER_CELL = '22222222-2222-4222-8222-222222222222'
IMAGE = 'aaaaaaaa-0000-4000-8000-000000000001'
OTHER_IMAGE = 'aaaaaaaa-0000-4000-8000-000000000002'
PROJECT = 'b' * 32
OTHER_PROJECT = 'c' * 32
SOME_TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
CAP = 'max_same_image_instances_per_host'
SHARE = 'max_same_image_share_per_host'


def new_uuid():
    return str(uuid.uuid4())


def flavor(vcpus=1, memory_mb=512, root_gb=20, extra_specs=None, cap=None,
           share=None, name='f'):
    extra_specs = dict(extra_specs or {})
    if cap is not None:
        extra_specs[request_mod.EXTRA_SPEC_CAP] = str(cap)
    if share is not None:
        extra_specs[request_mod.EXTRA_SPEC_SHARE] = str(share)
    return objects.Flavor(
        flavorid='f', name=name, vcpus=vcpus, memory_mb=memory_mb,
        root_gb=root_gb, ephemeral_gb=0, swap=0, extra_specs=extra_specs)


def spec(image=IMAGE, size=20 * GIB, project=PROJECT, hints=None, number=1,
         is_bfv=False, instance_uuid=None, group=None, destination=None,
         spec_id=None, **flavor_args):
    """Return the RequestSpec of a boot.

    :param spec_id: of its row; nova counts them up
    """
    meta = objects.ImageMeta(size=size)
    if image is not None:
        meta.id = image
    made = objects.RequestSpec(
        image=meta, flavor=flavor(**flavor_args), project_id=project,
        instance_uuid=instance_uuid or new_uuid(), num_instances=number,
        is_bfv=is_bfv, scheduler_hints=hints, instance_group=group,
        numa_topology=None, pci_requests=None, requested_resources=[])
    if destination is not None:
        made.requested_destination = destination
    if spec_id is not None:
        made.id = spec_id
    return made


def named_host(name):
    """Return the destination of a boot for which a host is named."""
    return objects.Destination(host=name)


def move(*args, to=None, cell=CELL, **kwargs):
    """Return the RequestSpec of a server that gets another host.

    :param to: the host that is named for it
    :param cell: None if it may go to any
    """
    destination = objects.Destination(
        cell=objects.CellMapping(uuid=cell) if cell else None)
    if to is not None:
        destination.host = to
    return spec(*args, destination=destination, **kwargs)


def request(*args, **kwargs):
    return request_mod.Request.from_spec(spec(*args, **kwargs))


def server_group(policy='soft-anti-affinity', host_names=()):
    return objects.InstanceGroup(
        uuid=new_uuid(), hosts=list(host_names), members=[], policy=policy)


def server(*host_names, server_uuid=None, image=IMAGE, project=PROJECT,
           building=False, evacuated=False):
    """Return a server as a cell database has it."""
    return servers_mod.Server(
        server_uuid or new_uuid(), image, project,
        frozenset(servers_mod.Spot(name, name) for name in host_names),
        building, evacuated)


def instance(image=IMAGE, host='h', project=PROJECT, vm_state='active',
             minutes=0, instance_uuid=None, cap=None, **fields):
    """Return a server.

    :param minutes: its record was written so long after the others'
    """
    return objects.Instance(
        uuid=instance_uuid or new_uuid(), image_ref=image, host=host,
        node=host, project_id=project, vm_state=vm_state,
        flavor=flavor(cap=cap),
        updated_at=SOME_TIME + datetime.timedelta(minutes=minutes), **{
            'reservation_id': None, 'created_at': None, 'launched_at': None,
            **fields})


def stub(instance_uuid=None):
    """Return what nova's scheduler keeps of a server it knows by uuid."""
    return objects.Instance(uuid=instance_uuid or new_uuid())


def aggregate(name='agg', **metadata):
    return objects.Aggregate(
        id=1, uuid=new_uuid(), name=name, hosts=[],
        metadata={key: str(value) for key, value in metadata.items()})


def host(name='h', servers=0, image=IMAGE, project=PROJECT, instances=(),
         building=0, aggregates=(), cell=CELL, vcpus=100, vcpus_used=0,
         memory_mb=100 * 1024, memory_used=0, text=None, node=None,
         updated=None):
    """Return a HostState.

    :param servers: of the image on the host
    :param instances: more that it shows
    :param building: more that it has claimed and does not show
    :param text: the report
    :param node: its name, that of the host if not given
    :param updated: when its row was written
    """
    state = host_manager.HostState(name, node or name, cell)
    shown = [instance(image, name, project) for _ in range(servers)]
    shown += instances
    state.instances = {server.uuid: server for server in shown}
    state.num_instances = len(shown) + building
    state.aggregates = list(aggregates)
    state.vcpus_total, state.vcpus_used = vcpus, vcpus_used
    state.total_usable_ram_mb = memory_mb
    state.free_ram_mb = memory_mb - memory_used
    state.cpu_allocation_ratio = state.ram_allocation_ratio = 1.0
    state.stats = {} if text is None else {report.STATS_KEY: text}
    state.updated = updated
    return state


def hosts(number, prefix='h', **kwargs):
    return [host(f'{prefix}{index}', **kwargs) for index in range(number)]


def file_of(image=IMAGE, size=20 * GIB, kind=report.FileKind.COMPLETE,
            users=0):
    return report.BaseFile(report.image_sha1(image), size, kind, users)


def warm(image=IMAGE, size=20 * GIB, **kwargs):
    """Return the report of a host that holds an image."""
    return report.encode([file_of(image, size)], max_bytes=16384, **kwargs)


def cold(**kwargs):
    """Return the report of a host that holds another image."""
    return warm(OTHER_IMAGE, **kwargs)


def using(users, servers=None, image=IMAGE):
    """Return the report of a host that runs servers of an image.

    :param users: servers of the image
    :param servers: of any image, None for a report of an old release
    """
    return report.encode([file_of(image, users=users)], servers=servers,
                         max_bytes=16384)


def arriving():
    return report.encode([file_of(kind=report.FileKind.ARRIVING)],
                         max_bytes=16384)


def resized(disk_gb=20):
    return report.encode(
        [file_of(), file_of(size=disk_gb * GIB, kind=report.FileKind.RESIZED)],
        max_bytes=16384)


def truncated():
    """Return a report that lists some images and says that it is not all."""
    return report.encode(
        [file_of(new_uuid()) for _ in range(100)], max_bytes=1024)


def candidate(name='h', holding=report.Holding.WARM, count=0, limit=0,
              multiplier=1.0, vcpus=0.0, memory=0.0, needed=1, size=0, rate=0,
              caches=True, arriving=False, packs_vcpus=False,
              packs_memory=False, cap=None, capacity=1000):
    """Return a candidate of which all is known.

    :param limit: its cap, if none is given as an object
    :param capacity: in vCPUs, and in MiB
    """
    answer = reports_mod.UNREADABLE
    if holding is not report.Holding.UNKNOWN:
        answer = reports_mod.Answer(holding, count, size, count, rate, caches)
    setting = candidates_mod.Setting(
        cap or cap_mod.Cap(limit), multiplier, packs_vcpus, packs_memory)
    made = candidates_mod.Candidate(host(name), answer, setting)
    made.limit = limit
    made.count = made.most = count
    made.needed, made.arriving = needed, arriving
    made.vcpus, made.memory = vcpus, memory
    made.vcpus_capacity = made.memory_capacity = capacity
    return made


def weigh(weigher, spec_, host_states):
    """Return the weights of hosts by name, multiplied, as nova adds them."""
    weighed = weights.HostWeightHandler().get_weighed_objects(
        [weigher], host_states, spec_)
    return {item.obj.host: item.weight for item in weighed}


def schedule(spec_, host_states, number, filters_=(), weighers=()):
    """Place servers one after the other, as nova's scheduler does.

    :returns: the names of their hosts; fewer than number if none was left
    """
    placed = []
    handler, weight_handler = (
        filters.HostFilterHandler(), weights.HostWeightHandler())
    for index in range(number):
        if index:
            spec_.instance_uuid = new_uuid()
        host_states = handler.get_filtered_objects(
            filters_, host_states, spec_, index)
        if not host_states:
            break
        weighed = weight_handler.get_weighed_objects(
            weighers, host_states, spec_)
        # nova goes on with the hosts that passed, in the new order.
        host_states = [item.obj for item in weighed]
        manager.SchedulerManager._consume_selected_host(
            host_states[0], spec_, instance_uuid=spec_.instance_uuid)
        placed.append(host_states[0].host)
    return placed

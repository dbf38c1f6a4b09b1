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

"""The servers of an image on a host, as the late check counts them."""

import collections
import dataclasses
import datetime

from nova.compute import vm_states
from nova import context as nova_context
from nova import objects

from cache_aware_sched import cap as cap_mod
from cache_aware_sched.config import CONF
from cache_aware_sched import image_ids
from cache_aware_sched import presence

#: What times of different sources can differ by: nova cuts off what is below a
#: second, and a database rounds it. No server is launched as soon as that.
_ROUNDED = datetime.timedelta(seconds=1)


@dataclasses.dataclass(frozen=True, slots=True)
class HostedServer:
    """A server of the image on this host.

    :param was_known: whether the scheduler that chose the host for the server
        in question surely knew of it
    """

    project: str | None
    building: bool
    was_known: bool


def counts(instance: 'objects.Instance', project: str | None) -> bool:
    """Return whether the server of a project counts for an instance."""
    return bool(CONF.cache_aware_sched.same_image_scope == 'all'
                or project == instance.project_id)


def servers_here(context: nova_context.RequestContext,
                 instance: 'objects.Instance') -> dict[str, HostedServer]:
    """Return the image's servers that are here, come here or may return."""
    image = image_ids.canonical(instance.image_ref)
    here, moving = presence.on_node(context, instance.host, instance.node)
    return {
        server.uuid: HostedServer(
            server.project_id, server.vm_state == vm_states.BUILDING,
            _was_known(instance, server))
        for server in (*here, *moving)
        if server.image_ref and image_ids.canonical(server.image_ref) == image}


def _was_known(instance: 'objects.Instance',
               other: 'objects.Instance') -> bool:
    """Return whether a server was known when a host was chosen for another.

    That of the same request was, and what ran already when the other was asked
    for, which is when its record says that it was made (nova.compute.api,
    _provision_instances, nova 34.0.0).
    """
    if other.reservation_id and (
            other.reservation_id == instance.reservation_id):
        return True
    return bool(other.launched_at and instance.created_at
                and other.launched_at <= instance.created_at + _ROUNDED)


def known(instance: 'objects.Instance',
          servers: dict[str, HostedServer]) -> int:
    """Count the servers that the scheduler knew to run here."""
    return sum(counts(instance, server.project)
               for uuid, server in servers.items()
               if server.was_known and uuid != instance.uuid)


def limit_by_share(context: nova_context.RequestContext,
                   instance: 'objects.Instance', cap: cap_mod.Cap,
                   known: int) -> int:
    """Return what a share comes to, by the servers of this cell.

    The scheduler also lets a host run what its candidates run on average,
    which are not known here. Taken for that is one server more than any other
    host of the cell runs, or than the scheduler knew to run here, which is
    lenient: what it has allowed must not be refused for what cannot be known.

    :param known: how many it knew to run here
    """
    servers = [
        server for server in objects.InstanceList.get_by_filters(
            context, {'image_ref': [
                instance.image_ref, image_ids.canonical(instance.image_ref)],
                'deleted': False}, expected_attrs=[])
        if server.uuid != instance.uuid
        and counts(instance, server.project_id)]
    others = collections.Counter(
        server.host for server in servers
        if server.host and server.host != instance.host)
    return cap.limit(len(servers), max(known, *others.values(), 0) + 1)

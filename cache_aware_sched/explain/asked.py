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


"""What is asked of the scheduler: the request that nova-api would make."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import logging
from typing import Any

from nova import context as nova_context
from nova import exception
from nova import objects
from nova.pci import request as pci_request
from nova.virt import hardware
from oslo_utils import uuidutils
import sqlalchemy as sa

from cache_aware_sched.config import CONF
from cache_aware_sched import image_ids
from cache_aware_sched import nova_databases

LOG = logging.getLogger(__name__)

_SPECS = sa.table('request_specs', sa.column('id'))
_TABLES = sa.table(
    'TABLES', sa.column('TABLE_SCHEMA'), sa.column('TABLE_NAME'),
    sa.column('AUTO_INCREMENT'), schema='information_schema')
_SERVERS = sa.table('instances', *(sa.column(name) for name in (
    'uuid', 'image_ref', 'created_at')))


class BadRequest(Exception):
    """There is no such request; the message says what is wrong with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A boot that is thought of, or a server that there is.

    :param image: id
    :param flavor: name or id
    :param project: id; '' for none in particular
    :param number: of servers
    :param hints: as ``openstack server create --hint`` has them
    :param zone: availability zone; '' for nova's default. A host can be
        named with it, as nova-api allows administrators: ``ZONE:HOST``
    :param server: uuid; what else is given then replaces what it has, but for
        its group
    """

    image: str = ''
    flavor: str = ''
    project: str = ''
    number: int = 1
    hints: Mapping[str, Sequence[str]] = dataclasses.field(
        default_factory=dict)
    zone: str = ''
    server: str = ''

    def spec(self, api: nova_databases.Database,
             cells: Iterable[nova_databases.Database],
             described: Mapping[str, Any] | None, size: int) -> Any:
        """Return the RequestSpec.

        :param described: the image as Glance describes it, with its
            ``properties`` apart; None if Glance does not
        :param size: of the image in bytes, as hosts report it; 0 if none does
        :raises BadRequest: saying what cannot be found
        """
        context = nova_context.get_admin_context()
        context.project_id = self.project or None
        if not self.server and not (self.image and self.flavor):
            raise BadRequest('an image and a flavor are needed, or a server')
        image = (objects.ImageMeta.from_dict(dict(described)) if described
                 else _image(context, image_ids.canonical(self.image), cells,
                             size) if self.image else None)
        try:
            spec = (self._of_server(context, image) if self.server
                    else self._new(context, image))
        except exception.NovaException as error:
            raise BadRequest(
                f'nova refuses this flavor with this image: {error}'
            ) from None
        if not self.server:
            spec.id = _next_number(api)
        spec.num_instances = self.number
        return spec

    def uuids(self, spec: Any) -> list[str]:
        """Return the servers that are placed.

        As nova-api does, it makes them members of their group.

        :param spec: the RequestSpec of the first
        """
        uuids = [spec.instance_uuid, *(uuidutils.generate_uuid()
                                       for _number in range(self.number - 1))]
        group = spec.instance_group
        if group is not None:
            group.members = [*dict.fromkeys([*group.members, *uuids])]
        return uuids

    def _of_server(self, context: nova_context.RequestContext,
                   image: Any) -> Any:
        """Return the request of a server, as if it were a new one."""
        if self.hints.get('group'):
            raise BadRequest('a server keeps its group: the hint "group" is '
                             'for new servers only')
        try:
            spec = objects.RequestSpec.get_by_instance_uuid(
                context, self.server)
        except (exception.RequestSpecNotFound, exception.InvalidUUID):
            raise BadRequest(
                f'nova has no server {self.server!r}, or no request of it'
            ) from None
        spec.requested_destination = spec.retry = None
        spec.force_hosts = spec.force_nodes = spec.ignore_hosts = None
        if self.project:
            spec.project_id = self.project
        if image:
            spec.image, spec.is_bfv = image, False
        if self.flavor:
            spec.flavor = _flavor(context, self.flavor)
            spec.pci_requests = _pci_requests(spec)
        if image or self.flavor:
            spec.numa_topology = hardware.numa_get_constraints(
                spec.flavor, spec.image or objects.ImageMeta(
                    properties=objects.ImageMetaProps()))
        if self.zone:
            spec.availability_zone, hosts, nodes = _zone(context, self.zone)
            spec.force_hosts, spec.force_nodes = hosts, nodes
        if self.hints:
            spec.scheduler_hints = _lists(self.hints)
        # It is not kept with the request (nova 31.3.1 to 34.0.0).
        spec.requested_resources = []
        spec.generate_request_groups_from_pci_requests()
        return spec

    def _new(self, context: nova_context.RequestContext, image: Any) -> Any:
        """Return the request that nova-api makes of a boot.

        As nova.compute.api, _provision_instances does (nova 31.3.1 to 34.0.0).
        """
        flavor = _flavor(context, self.flavor)
        zone, hosts, nodes = _zone(context, self.zone)
        spec = objects.RequestSpec.from_components(
            context, uuidutils.generate_uuid(), image, flavor,
            hardware.numa_get_constraints(flavor, image),
            pci_request.get_pci_requests_from_flavor(flavor),
            {'scheduler_hints': _lists(self.hints), 'force_hosts': hosts,
             'force_nodes': nodes}, self._group(context), zone,
            project_id=self.project or None)
        spec.is_bfv = False
        return spec

    def _group(self, context: nova_context.RequestContext) -> Any:
        wanted = [*self.hints.get('group', ())]
        if not wanted:
            return None
        try:
            return objects.InstanceGroup.get_by_uuid(context, wanted[0])
        except exception.InstanceGroupNotFound:
            raise BadRequest(
                f'nova has no server group {wanted[0]!r}') from None


def _zone(context: nova_context.RequestContext, wanted: str,
          ) -> tuple[str | None, list[str] | None, list[str] | None]:
    """Return the zone, the host and the node that a user names.

    As nova.compute.api, parse_availability_zone (nova 31.3.1 to 34.0.0). A
    zone that there is not narrows nothing: nova-api refuses it.
    """
    zone, _colon, rest = wanted.partition(':')
    host, _colon, node = rest.partition(':')
    known = {CONF.default_availability_zone, *(
        aggregate.availability_zone
        for aggregate in objects.AggregateList.get_by_metadata_key(
            context, 'availability_zone') if aggregate.hosts)}
    if ':' in node or (zone and zone not in known):
        raise BadRequest(f'nova has no availability zone {wanted!r}; there '
                         f'is {", ".join(sorted(known))}')
    return (zone or CONF.default_schedule_zone, [host] if host else None,
            [node] if node else None)


def _pci_requests(spec: Any) -> Any:
    """Return the devices that the flavor asks for, and those of ports."""
    found = pci_request.get_pci_requests_from_flavor(spec.flavor)
    before = spec.pci_requests.requests if spec.pci_requests else ()
    found.requests += [
        one for one in before
        if one.source == objects.InstancePCIRequest.NEUTRON_PORT]
    return found


def _lists(hints: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {key: list(values) for key, values in hints.items()}


def _flavor(context: nova_context.RequestContext, wanted: str) -> Any:
    """Return a flavor by its id or its name."""
    for find in (objects.Flavor.get_by_flavor_id, objects.Flavor.get_by_name):
        try:
            return find(context, wanted)
        except (exception.FlavorNotFound, exception.FlavorNotFoundByName):
            pass
    raise BadRequest(f'nova has no flavor {wanted!r}')


def _image(context: nova_context.RequestContext, image_id: str,
           cells: Iterable[nova_databases.Database],
           size: int) -> Any:
    """Return what nova knows of an image, without asking Glance.

    That of the latest server with the image; if there is none, only its size,
    as hosts report it.
    """
    for cell in cells:
        try:
            rows = cell.select(sa.select(_SERVERS.c.uuid).where(
                _SERVERS.c.image_ref == image_id).order_by(
                    _SERVERS.c.created_at.desc()).limit(1))
            if rows:
                return objects.RequestSpec.get_by_instance_uuid(
                    context, rows[0].uuid).image
        except (nova_databases.Unreadable, exception.RequestSpecNotFound):
            continue
    LOG.warning('Neither Glance nor a server says what image %s is: it is '
                'taken to have no properties, and %s.', image_id,
                'the size that hosts report' if size else 'no size')
    return objects.ImageMeta(
        id=image_id, size=size, min_disk=0, min_ram=0,
        disk_format='qcow2', container_format='bare',
        properties=objects.ImageMetaProps())


def _next_number(api: nova_databases.Database) -> int:
    """Return the number that the next request gets.

    Hosts that are equal are drawn by it (``scheduler.spreading``).
    """
    last = api.select(sa.select(sa.func.max(_SPECS.c.id)))[0][0] or 0
    try:
        # MySQL and MariaDB do not use the number of a deleted row again.
        rows = api.select(sa.select(_TABLES.c.AUTO_INCREMENT).where(
            sa.func.database() == _TABLES.c.TABLE_SCHEMA,
            _TABLES.c.TABLE_NAME == 'request_specs'))
        return max(last + 1, int(rows[0][0] or 0))
    except (nova_databases.Unreadable, IndexError, TypeError):
        return int(last) + 1

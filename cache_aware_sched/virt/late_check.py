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

"""The cap of same-image servers, checked once more where they run.

Whatever the number of schedulers and of requests in the same instant, all
servers of a host pass through its one nova-compute. A server is admitted if
those that were admitted before it leave room; servers that have been claimed
but not admitted are not counted, because they will be asked themselves. So the
first ones stay, the last ones go, and no two send each other away.

A server that is refused goes to its next candidate host. nova does the same
for server groups and takes the exception for one of its own: the refusal is
not counted as a failed build, which would keep other servers away from the
host.
"""

import dataclasses
import threading
import time
from typing import Any

from nova.compute import vm_states
from nova import context as nova_context
from nova import exception
from nova import objects
from oslo_log import log as logging

from cache_aware_sched import cap as cap_mod
from cache_aware_sched import cap_sources
from cache_aware_sched.config import CONF
from cache_aware_sched import image_ids
from cache_aware_sched import once
from cache_aware_sched import request as request_mod
from cache_aware_sched.virt import same_image_servers as servers_mod
from cache_aware_sched.virt.same_image_servers import HostedServer
from cache_aware_sched import wording

LOG = logging.getLogger(__name__)

#: Seconds after which the API database is tried again when it could not be
#: reached: trying costs the conductor an error in its log.
_RETRY_AFTER = 60

#: Seconds.
_LONGEST_BUILD = 24 * 3600


class SameImageCapReached(exception.GroupAffinityViolation):
    """Another host must take the server; see the module's text."""

    msg_fmt = ('Host %(host)s runs %(servers)s of image %(image)s '
               'already, the cap is %(cap)d.')


@dataclasses.dataclass(frozen=True, slots=True)
class _Admitted:
    image: str
    node: str | None
    project: str | None
    time: float


class LateCheck:
    """Admits servers to a host, one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._admitted: dict[str, _Admitted] = {}
        self._caps = _CapLookup()

    def admit(self, context: nova_context.RequestContext,
              instance: 'objects.Instance') -> None:
        """Admit a server that has been claimed on this host.

        :raises SameImageCapReached: if there is no room for it
        """
        options = CONF.cache_aware_sched
        if (not instance.image_ref
                or instance.vm_state != vm_states.BUILDING
                or options.same_image_cap_policy != 'hard'
                or not options.same_image_late_check
                or not cap_sources.is_set_here()):
            return
        try:
            self._admit(context.elevated(), instance)
        except SameImageCapReached as error:
            LOG.info('Server %(server)s is sent to its next candidate host: '
                     '%(error)s', {'server': instance.uuid, 'error': error})
            raise
        except Exception as error:
            # Without the database the build has other troubles.
            LOG.warning(
                'The same-image cap was not checked for server %(server)s of '
                'image %(image)s on host %(host)s: %(error)s',
                {'server': instance.uuid, 'image': instance.image_ref,
                 'host': instance.host, 'error': error})

    def forget(self, uuid: str) -> None:
        """Note that a server's build failed, or that it was deleted."""
        with self._lock:
            self._admitted.pop(uuid, None)

    def _admit(self, context: nova_context.RequestContext,
               instance: 'objects.Instance') -> None:
        asked = time.monotonic()
        servers = servers_mod.servers_here(context, instance)
        if self._try(instance, servers, asked, None):
            return
        # Not alone: now it is worth to look up what the cap is.
        cap = self._caps.cap(context, instance)
        try:
            self._try(instance, servers, asked, cap.limit(0, 0.0))
        except SameImageCapReached:
            if not cap.share:
                raise
            self._try(instance, servers, asked, servers_mod.limit_by_share(
                context, instance, cap, servers_mod.known(instance, servers)))

    def _try(self, instance: 'objects.Instance',
             servers: dict[str, HostedServer], asked: float,
             cap: int | None) -> bool:
        """Admit a server if there is room.

        :param asked: when the database was asked for the servers
        :param cap: None if it is not known, then only one that is alone is
            admitted
        :returns: whether it was admitted
        :raises SameImageCapReached: if there is no room below the cap
        """
        now = time.monotonic()
        image = image_ids.canonical(instance.image_ref)
        with self._lock:
            self._forget_gone(image, instance.node, servers, asked, now)
            count = self._count(instance, servers)
            if count and cap is None:
                return False
            if cap and count >= cap:
                raise SameImageCapReached(
                    host=instance.host, cap=cap, image=instance.image_ref,
                    servers=wording.counted(count, 'server'))
            self._admitted[instance.uuid] = _Admitted(
                image, instance.node, instance.project_id, now)
            return True

    def _count(self, instance: 'objects.Instance',
               servers: dict[str, HostedServer]) -> int:
        """Count what the database shows to run here, and what was admitted.

        What it shows to be building was admitted, or will be asked itself.
        """
        image = image_ids.canonical(instance.image_ref)
        counted = {uuid: server.project for uuid, server in servers.items()
                   if not server.building}
        counted.update(
            (uuid, admitted.project)
            for uuid, admitted in list(self._admitted.items())
            if admitted.image == image and admitted.node == instance.node)
        counted.pop(instance.uuid, None)
        return sum(servers_mod.counts(instance, project)
                   for project in counted.values())

    def _forget_gone(
        self, image: str, node: str | None, servers: dict[str, HostedServer],
        asked: float, now: float,
    ) -> None:
        """Forget servers that are not here any more.

        But not one that was admitted after the database was asked, and none
        for being shown to run: a check that is under way may have read that
        it is building. Those of other images and nodes are forgotten when no
        build can have taken that long.
        """
        for uuid, admitted in list(self._admitted.items()):
            if (admitted.image, admitted.node) != (image, node):
                gone = now - admitted.time > _LONGEST_BUILD
            else:
                gone = uuid not in servers and admitted.time < asked
            if gone:
                del self._admitted[uuid]


def _spec(context: nova_context.RequestContext, uuid: str) -> Any:
    """Return the RequestSpec of a server, None if there is none (any more)."""
    try:
        return objects.RequestSpec.get_by_instance_uuid(context, uuid)
    except exception.RequestSpecNotFound:
        return None


class _CapLookup:
    """Finds out the cap that the scheduler went by.

    The aggregates and the hints are in the API database, which the conductor
    of a cell may not be able to reach. Then the option and the flavor count,
    and what the filter made of the rest.
    """

    def __init__(self) -> None:
        self._unreachable_until = 0.0

    def cap(self, context: nova_context.RequestContext,
            instance: 'objects.Instance') -> cap_mod.Cap:
        """Return the cap for a server."""
        spec = aggregates = None
        if time.monotonic() >= self._unreachable_until:
            try:
                aggregates = list(objects.AggregateList.get_by_host(
                    context, instance.host))
                spec = _spec(context, instance.uuid)
            except Exception as error:
                self._unreachable_until = time.monotonic() + _RETRY_AFTER
                once.warning(
                    LOG, ('unreachable',),
                    'Host %(host)s cannot read aggregates and scheduler hints '
                    'from the API database: %(error)s. Its late check of '
                    'same-image servers goes by nova.conf and the flavor.',
                    {'host': instance.host, 'error': error})
        request = request_mod.Request.from_spec(spec)
        if request.forced:
            LOG.info('Server %(server)s was forced to host %(host)s; the '
                     'same-image cap does not apply to it.',
                     {'server': instance.uuid, 'host': instance.host})
            return cap_mod.Cap()
        if request.group_policy == request_mod.AFFINITY:
            # Its group wants one host: the scheduler found the right one.
            return cap_mod.Cap()
        request = dataclasses.replace(
            request, extra_specs=instance.flavor.extra_specs,
            flavor=instance.flavor.name, project=instance.project_id)
        return cap_sources.Caps(request).of(aggregates or [])

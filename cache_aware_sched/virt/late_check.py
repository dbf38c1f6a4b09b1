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
from cache_aware_sched.conf.scheduler import DEFAULT_CAP
from cache_aware_sched.config import CONF
from cache_aware_sched import once
from cache_aware_sched import request as request_mod

LOG = logging.getLogger(__name__)
_ONCE = once.Once(LOG)

#: Seconds after which the API database is tried again when it could not be
#: reached: trying costs the conductor an error in its log.
_RETRY_AFTER = 60

#: Seconds.
_LONGEST_BUILD = 24 * 3600

_OPTION = 'max_same_image_instances_per_host'
_FILTER = 'ImageAntiAffinityFilter'


class SameImageCapReached(exception.GroupAffinityViolation):
    """Another host must take the server; see the module's text."""

    msg_fmt = ('Host %(host)s runs %(count)d servers of image %(image)s '
               'already, the cap is %(cap)d.')


@dataclasses.dataclass(frozen=True, slots=True)
class _Admitted:
    image: str
    project: str | None
    time: float


class LateCheck:
    """Admits servers to a host, one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._admitted: dict[str, _Admitted] = {}
        self._limits = _Limits()

    def admit(self, context: nova_context.RequestContext,
              instance: 'objects.Instance') -> None:
        """Admit a server that has been claimed on this host.

        :raises SameImageCapReached: if there is no room for it
        """
        options = CONF.cache_aware_sched
        if (not instance.image_ref
                or instance.vm_state != vm_states.BUILDING
                or options.same_image_cap_policy != 'hard'
                or not options.same_image_late_check):
            return
        try:
            self._admit(context.elevated(), instance)
        except SameImageCapReached:
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
        servers = _servers_here(context, instance)
        if self._try(instance, servers, asked, None):
            return
        # Not alone: now it is worth to look up what the cap is.
        cap = self._limits.cap(context, instance)
        self._try(instance, servers, asked, cap)

    def _try(self, instance: 'objects.Instance', servers: dict[str, '_Server'],
             asked: float, cap: int | None) -> bool:
        """Admit a server if there is room.

        :param asked: when the database was asked for the servers
        :param cap: None if it is not known, then only one that is alone is
            admitted
        :returns: whether it was admitted
        :raises SameImageCapReached: if there is no room below the cap
        """
        now = time.monotonic()
        with self._lock:
            self._forget_gone(instance.image_ref, servers, asked, now)
            count = self._count(instance, servers)
            if count and cap is None:
                return False
            if cap and count >= cap:
                raise _refusal(instance, count, cap)
            self._admitted[instance.uuid] = _Admitted(
                instance.image_ref, instance.project_id, now)
            return True

    def _count(self, instance: 'objects.Instance',
               servers: dict[str, '_Server']) -> int:
        """Count what the database shows to run here, and what was admitted.

        What it shows to be building was admitted, or will be asked itself.
        """
        counted = {uuid: server.project for uuid, server in servers.items()
                   if not server.building}
        counted.update(
            (uuid, admitted.project)
            for uuid, admitted in self._admitted.items()
            if admitted.image == instance.image_ref)
        counted.pop(instance.uuid, None)
        if CONF.cache_aware_sched.same_image_scope == 'all':
            return len(counted)
        return sum(project == instance.project_id
                   for project in counted.values())

    def _forget_gone(self, image: str, servers: dict[str, '_Server'],
                     asked: float, now: float) -> None:
        """Forget servers that are not here any more.

        But not one that was admitted after the database was asked, and none
        for being shown to run: a check that is under way may have read that
        it is building. Those of other images are forgotten when no build can
        have taken that long.
        """
        for uuid, admitted in list(self._admitted.items()):
            if admitted.image != image:
                gone = now - admitted.time > _LONGEST_BUILD
            else:
                gone = uuid not in servers and admitted.time < asked
            if gone:
                del self._admitted[uuid]


def _refusal(instance: 'objects.Instance', count: int,
             cap: int) -> SameImageCapReached:
    error = SameImageCapReached(host=instance.host, count=count, cap=cap,
                                image=instance.image_ref)
    LOG.info('Server %(server)s is sent to its next candidate host: %(error)s',
             {'server': instance.uuid, 'error': error})
    return error


@dataclasses.dataclass(frozen=True, slots=True)
class _Server:
    project: str | None
    building: bool


def _servers_here(context: nova_context.RequestContext,
                  instance: 'objects.Instance') -> dict[str, _Server]:
    """Return the image's servers that are here, come here or may return."""
    here = _find(context, {'host': instance.host}, instance.image_ref)
    moves = objects.MigrationList.get_in_progress_by_host_and_node(
        context, instance.host, instance.node)
    moving = [move.instance_uuid for move in moves
              if move.instance_uuid not in here]
    if moving:
        here.update(_find(context, {'uuid': moving}, instance.image_ref))
    return here


def _find(context: nova_context.RequestContext, where: dict[str, Any],
          image: str) -> dict[str, _Server]:
    servers = objects.InstanceList.get_by_filters(
        context, {**where, 'image_ref': image, 'deleted': False,
                  'soft_deleted': True}, expected_attrs=[])
    return {server.uuid: _Server(server.project_id,
                                 server.vm_state == vm_states.BUILDING)
            for server in servers}


def _spec(context: nova_context.RequestContext, uuid: str) -> Any:
    """Return the RequestSpec of a server, None if there is none (any more)."""
    try:
        return objects.RequestSpec.get_by_instance_uuid(context, uuid)
    except exception.RequestSpecNotFound:
        return None


def _cap_is_wanted() -> bool:
    """Return whether the option's value is meant for this host.

    The driver alone must not bring a cap that nobody asked for: the default
    only counts where this nova.conf enables the filter.
    """
    where = CONF.get_location(_OPTION, 'cache_aware_sched').location
    return bool(where.is_user_controlled
                or CONF.cache_aware_sched[_OPTION] != DEFAULT_CAP
                or _FILTER in CONF.filter_scheduler.enabled_filters)


class _Limits:
    """Finds out the cap that the scheduler went by.

    The aggregates and the hints are in the API database, which the conductor
    of a cell may not be able to reach. Then the option and the flavor count,
    and what the filter made of the rest.
    """

    def __init__(self) -> None:
        self._unreachable_until = 0.0

    def cap(self, context: nova_context.RequestContext,
            instance: 'objects.Instance') -> int:
        """Return the cap for a server, 0 for none."""
        spec = aggregates = None
        if time.monotonic() >= self._unreachable_until:
            try:
                aggregates = list(objects.AggregateList.get_by_host(
                    context, instance.host))
                spec = _spec(context, instance.uuid)
            except Exception as error:
                self._unreachable_until = time.monotonic() + _RETRY_AFTER
                _ONCE.warning(
                    ('unreachable',),
                    'Host %(host)s cannot read aggregates and scheduler hints '
                    'from the API database: %(error)s. Its late check of '
                    'same-image servers goes by nova.conf and the flavor.',
                    {'host': instance.host, 'error': error})
        request = request_mod.Request.from_spec(spec)
        if request.forced:
            LOG.info('Server %(server)s was forced to host %(host)s; the '
                     'same-image cap does not apply to it.',
                     {'server': instance.uuid, 'host': instance.host})
            return 0
        request = dataclasses.replace(
            request, extra_specs=instance.flavor.extra_specs,
            project=instance.project_id)
        option = None if _cap_is_wanted() else 0
        return cap_mod.caps(request, [aggregates or []], option)[0]

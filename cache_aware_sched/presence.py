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

"""Which servers a host must have room for: here, coming, or coming back.

The one definition for the filter, the weigher, the late check, the report and
the image cache managers. A server counts on the host that its row names, and
while it moves also on the other host of its migration: it comes there, or it
may come back from there until a resize is confirmed.

A migration can stay "running" or "accepted" in the database for ever, so its
status alone does not count: the server must also be in a state in which
servers move. nova's resource tracker goes by the same states of servers
(nova.compute.resource_tracker, _update_usage_from_migrations, nova 34.0.0). It
also counts the latest migration of a server if that is in "error"; here such a
migration has ended, because older ones are not told from the latest.
"""

from collections.abc import Collection
from typing import Any

from nova.compute import task_states
from nova.compute import vm_states
from nova import context as nova_context
from nova import objects

#: The last states of a migration (nova.db.main.api,
#: migration_get_in_progress_by_host_and_node, nova 34.0.0).
MIGRATION_ENDED = ('confirmed', 'reverted', 'error', 'failed', 'completed',
                   'cancelled', 'done')

#: All other states that nova gives a migration (nova.compute.manager,
#: nova.conductor and nova.virt.libvirt.driver, nova 34.0.0). nova's objects
#: can be asked for states that are named, not for all others.
MIGRATION_IN_FLIGHT = (
    'queued', 'accepted', 'preparing', 'pre-migrating', 'migrating',
    'running', 'running (post-copy)', 'post-migrating', 'finished',
    'confirming', 'reverting')

_RESIZING = (*task_states.resizing_states, *task_states.rebuild_states)


def is_moving(vm_state: str | None, task_state: str | None) -> bool:
    """Return whether a server in these states is between two hosts."""
    if vm_state == vm_states.RESIZED:
        return True
    if task_state == task_states.MIGRATING:
        return vm_state in (vm_states.ACTIVE, vm_states.PAUSED)
    return (vm_state in (vm_states.ACTIVE, vm_states.STOPPED)
            and task_state in _RESIZING)


def is_evacuated(vm_state: str | None, task_state: str | None) -> bool:
    """Return whether a server that needs a host is rebuilt elsewhere.

    An evacuation and a rebuild are one to nova; a rebuild keeps its host.
    """
    return (vm_state != vm_states.BUILDING
            and task_state in task_states.rebuild_states)


def here(context: nova_context.RequestContext,
         host: str) -> list['objects.Instance']:
    """Return the instances whose row names a host."""
    return list(objects.InstanceList.get_by_host(
        context, host, expected_attrs=[]))


def moving(context: nova_context.RequestContext, hosts: Collection[str],
           ) -> list[tuple['objects.Migration', 'objects.Instance']]:
    """Return the moves to and from some hosts that are under way."""
    migrations = [
        migration for host in hosts
        for migration in objects.MigrationList.get_by_filters(
            context, {'host': host, 'status': list(MIGRATION_IN_FLIGHT)})]
    if not migrations:
        return []
    instances = {
        instance.uuid: instance
        for instance in objects.InstanceList.get_by_filters(
            context, {'deleted': False, 'uuid': sorted({
                migration.instance_uuid for migration in migrations})},
            expected_attrs=[])}
    return [(migration, instances[migration.instance_uuid])
            for migration in migrations
            if migration.instance_uuid in instances
            and is_moving(instances[migration.instance_uuid].vm_state,
                          instances[migration.instance_uuid].task_state)]


def on_node(context: nova_context.RequestContext, host: str, node: str,
            ) -> tuple[list['objects.Instance'], list['objects.Instance']]:
    """Return the instances of a node, and those that come or may come back.

    :returns: none of the second is among the first
    """
    there = [instance for instance in here(context, host)
             if instance.node in (None, node)]
    known = {instance.uuid for instance in there}
    others = {
        instance.uuid: instance
        for migration, instance in moving(context, [host])
        if instance.uuid not in known
        and _touches(migration, host, node)}
    return there, list(others.values())


def _touches(migration: Any, host: str, node: str) -> bool:
    return any(
        its_host == host and its_node in (None, node)
        for its_host, its_node in (
            (migration.source_compute, migration.source_node),
            (migration.dest_compute, migration.dest_node)))

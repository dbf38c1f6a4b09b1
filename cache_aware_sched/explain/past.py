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


"""Explains why a server went where it went, by the decision log."""

from collections.abc import Iterable
import dataclasses

import sqlalchemy as sa

from cache_aware_sched.decision_log import reader
from cache_aware_sched.explain.explanation import Explanation
from cache_aware_sched import nova_databases

_SERVERS = sa.table('instances', *(sa.column(name) for name in (
    'uuid', 'host', 'vm_state', 'deleted')))
_ACTIONS = sa.table('instance_actions', sa.column('id'),
                    sa.column('instance_uuid'))
_EVENTS = sa.table('instance_actions_events', *(sa.column(name) for name in (
    'id', 'action_id', 'event', 'host', 'result')))

#: The event of a build on a host, with the result "Error" where it was sent
#: on (nova.compute.manager, wrap_instance_event, nova 31.3.1 to 34.0.0).
_BUILD = 'compute__do_build_and_run_instance'


def explain(log: reader.DecisionLog, server: str) -> list[Explanation]:
    """Return all that was decided about a server, the first decision first.

    :param server: its uuid
    :raises OSError: if the log cannot be read
    """
    return [Explanation(record) for record in sorted(
        (record for record in log.records(containing=server)
         if record.server == server), key=lambda record: record.time)]


@dataclasses.dataclass(frozen=True, slots=True)
class NowOn:
    """What nova says of a server.

    :param host: where it is; '' if nowhere
    :param state: its vm_state
    :param deleted: whether it is deleted
    :param refused: hosts that gave it back while they built it
    """

    host: str
    state: str
    deleted: bool
    refused: tuple[str, ...] = ()


def where(server: str,
          cells: Iterable[nova_databases.Database]) -> NowOn | None:
    """Return where a server is; None if no cell has it.

    :raises cache_aware_sched.nova_databases.Unreadable: if one that could
        have it does not answer
    """
    for cell in cells:
        rows = cell.select(sa.select(_SERVERS).where(
            _SERVERS.c.uuid == server))
        if rows:
            row = rows[0]
            return NowOn(row.host or '', row.vm_state or '',
                         bool(row.deleted), _refused(cell, server))
    return None


def _refused(cell: nova_databases.Database, server: str) -> tuple[str, ...]:
    """Return the hosts that gave a server back, in their order."""
    events, actions = _EVENTS.c, _ACTIONS.c
    return tuple(row.host or '' for row in cell.select(
        sa.select(events.host).join_from(
            _EVENTS, _ACTIONS, actions.id == events.action_id).where(
                actions.instance_uuid == server, events.event == _BUILD,
                events.result == 'Error').order_by(events.id)))


def outcome(last: Explanation, now: NowOn) -> str:
    """Say whether the server is where the last decision put it.

    :param last: of the decisions about it
    """
    decision = last.decision
    if now.deleted:
        what = f'The server is deleted; it was on {now.host or "no host"}.'
    elif not now.host:
        return f'The server is on no host ({now.state}).'
    elif now.host == decision.winner:
        return 'The server is there.'
    else:
        what = f'The server is on {now.host}.'
    if now.refused:
        what += (f' {", ".join(now.refused)} gave it back while building it: '
                 'see "openstack server event list", and the log of '
                 'nova-compute there for the reason, as a late check of the '
                 'cap.')
    elif now.host and decision.winner and now.host != decision.winner:
        what += (f' {decision.winner} led, but did not take it: what it had '
                 'left was claimed for another server in that moment, or the '
                 'server was moved by hand.')
    return what

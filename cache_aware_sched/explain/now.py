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


"""Explains where servers would go now, by running nova's scheduler dry."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
from typing import Any

from nova import context as nova_context
from nova import objects
from oslo_messaging import opts as messaging_opts
import sqlalchemy as sa

from cache_aware_sched.config import CONF
from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.explain import asked as asked_mod
from cache_aware_sched.explain import dry_run
from cache_aware_sched.explain.explanation import Explanation
from cache_aware_sched.explain import listening
from cache_aware_sched import image_ids
from cache_aware_sched import nova_databases
from cache_aware_sched.scheduler import reports

objects.register_all()

_SERVERS = sa.table('instances', *(sa.column(name) for name in (
    'uuid', 'image_ref', 'host', 'node', 'project_id', 'user_id', 'vm_state',
    'task_state', 'deleted', 'hidden')), *(
        sa.column(name, sa.DateTime()) for name in (
            'created_at', 'updated_at')))

_OURS = 'ImageCacheWeigher'
_FILTER = 'ImageAntiAffinityFilter'


def explain(asked: asked_mod.Asked, api: nova_databases.Database,
            cells: Sequence[nova_databases.Database],
            described: Mapping[str, Any] | None = None,
            size: int = 0) -> list[Explanation]:
    """Return where servers would go, one explanation a server.

    The last one can be of a server for which no host is left.

    :param cells: those that can be read
    :param described: the image, see :meth:`.asked.Asked.spec`
    :param size: of the image in bytes, as hosts report it; 0 if none does
    :raises BadRequest: of :mod:`.asked`
    :raises CannotAsk: of :mod:`.dry_run`
    """
    _register_transport()
    with listening.warnings_of('cache_aware_sched') as warnings:
        spec = asked.spec(api, cells, described, size)
        scheduler = dry_run.DryScheduler(
            _servers(cells), [cell.uuid for cell in cells],
            {cell.uuid: cell.url for cell in cells})
        all_placed = scheduler.place(
            nova_context.get_admin_context(), spec,
            asked.uuids(spec))
    notes = (*_notes(all_placed[0]), *_random(warnings), *warnings)
    return [_explanation(placed, spec, notes) for placed in all_placed]


def _register_transport() -> None:
    """Register an option without which no cell mapping can be loaded.

    nova.objects.cell_mapping, format_mq_url (nova 31.3.1 to 34.0.0). nova's
    services register it when they connect to their message bus.
    """
    if 'transport_url' not in CONF:
        CONF.register_opts([
            option for group, options in messaging_opts.list_opts()
            for option in options
            if group is None and option.dest == 'transport_url'])


def _servers(cells: Iterable[nova_databases.Database],
             ) -> dict[str, dict[str, Any]]:
    """Return all servers as nova's scheduler keeps them, by host."""
    found: dict[str, dict[str, Any]] = {}
    columns = _SERVERS.c
    for cell in cells:
        for row in cell.select(sa.select(_SERVERS).where(
                columns.deleted == 0, columns.host.is_not(None),
                sa.or_(columns.hidden.is_(None), columns.hidden.is_(False)))):
            found.setdefault(row.host, {})[row.uuid] = _instance(row)
    return found


def _instance(row: Any) -> Any:
    """Return a server with what filters and weighers look at.

    20 times as fast as the constructor, which checks each field.
    """
    made = objects.Instance.__new__(objects.Instance)
    vars(made).update(_PROTOTYPE, **{
        f'_obj_{name}': getattr(row, name) for name in (
            'uuid', 'image_ref', 'host', 'node', 'project_id', 'user_id',
            'vm_state', 'task_state', 'created_at', 'updated_at')})
    return made


_PROTOTYPE = dict(vars(objects.Instance(deleted=False)))


def _explanation(placed: dry_run.Placed, spec: Any,
                 notes: tuple[str, ...]) -> Explanation:
    decision = placed.record or _plain(placed, spec)
    if placed.chosen is None and decision.outcome != record_mod.REFUSED:
        decision = dataclasses.replace(
            decision, outcome=record_mod.REFUSED, winner='')
    elif placed.chosen is not None:
        decision = dataclasses.replace(
            decision, winner=str(placed.chosen.host))
    observing = CONF.cache_aware_sched.same_image_cap_policy == 'observe'
    return Explanation(
        decision, len(placed.hosts), tuple(placed.refused), placed.shares,
        placed.stock, placed.busy, notes, placed.let_through or (
            'same_image_cap_policy is observe' if observing else ''))


def _plain(placed: dry_run.Placed, spec: Any) -> record_mod.DecisionRecord:
    """Return what nova alone has decided, with what the hosts report."""
    image = spec.image.id if spec.image and 'id' in spec.image else ''
    image = image_ids.canonical(str(image or ''))
    hosts = [item.obj for item in placed.weighed]
    answers = reports.Reports().answers(
        hosts, reports.wanted(image, spec.flavor.root_gb))
    return record_mod.DecisionRecord(
        datetime.datetime.now(datetime.UTC), str(spec.instance_uuid),
        image, str(spec.project_id or ''), str(spec.flavor.name),
        candidates=len(hosts), hosts=tuple(
            record_mod.DecidedHost(
                str(item.obj.host), str(item.obj.nodename),
                answer.holding.name.lower(), sum(
                    image_ids.canonical(server.image_ref or '') == image
                    for server in item.obj.instances.values()),
                before=float(item.weight))
            for item, answer in zip(placed.weighed, answers, strict=True)))


def _notes(placed: dry_run.Placed) -> list[str]:
    """Say what else decides, or keeps scores from deciding."""
    ours, notes = CONF.cache_aware_sched, []
    names = [name.rpartition('.')[2]
             for name in CONF.filter_scheduler.weight_classes]
    if _OURS not in names:
        notes.append(
            f'{_OURS} is not in [filter_scheduler] weight_classes of this '
            'configuration: the image cache does not count.')
    elif placed.shares and not any(
            shares[_OURS].multiplier for shares in placed.shares.values()):
        # An aggregate's multiplier wins over the option, in both directions.
        notes.append('image_cache_weight_multiplier is 0 for all candidates: '
                     'the image cache does not count.')
    elif ours.image_cache_weigher_mode == 'observe':
        notes.append('image_cache_weigher_mode is observe: the image cache '
                     'does not count, and is not in the sum.')
    if _FILTER not in CONF.filter_scheduler.enabled_filters:
        notes.append(
            f'{_FILTER} is not in [filter_scheduler] enabled_filters of this '
            'configuration: nothing caps the servers of one image.')
    if CONF.filter_scheduler.shuffle_best_same_weighed_hosts:
        notes.append('[filter_scheduler] shuffle_best_same_weighed_hosts is '
                     'set: nova takes any of the hosts with the largest sum.')
    notes += _few(placed)
    return notes


def _random(warnings: Sequence[str]) -> list[str]:
    """Say if nova picks at random, where our weigher has not said it."""
    subset = CONF.filter_scheduler.host_subset_size
    if subset <= 1 or any('host_subset_size' in one for one in warnings):
        return []
    return [f'[filter_scheduler] host_subset_size = {subset}: nova takes any '
            f'of the {subset} hosts with the largest sums.']


def _few(placed: dry_run.Placed) -> list[str]:
    """Say if there were few candidates, or not all."""
    number = len(placed.weighed)
    if not placed.hosts:
        return ['No cell that can be read has a compute host.']
    if number == 1:
        return ['There is one candidate, so no weigher was asked.']
    limit = CONF.scheduler.max_placement_results
    out = sum(len(one.hosts) for one in placed.refused
              if one.by == 'placement')
    if out and len(placed.hosts) - out >= limit:
        return [f'Placement offered as many hosts as [scheduler] '
                f'max_placement_results = {limit} allows: there may be '
                'better ones.']
    best = [item for item in placed.weighed
            if number and item.weight == placed.weighed[0].weight]
    if len(best) > 1:
        return [f'{len(best)} hosts have the largest sum: their order in nova '
                'decides.']
    return []

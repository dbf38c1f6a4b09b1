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


"""The servers that a cloud really had, as nova's databases remember them.

All of each cell's ``instances`` of the period, deleted ones too. They are
read by ranges of their primary key, so that no statement looks at more rows
than the chunk has, and no transaction is open for longer than one takes.
Still, it is best done on a replica.

nova stores the size of an image only with the request (``request_specs`` of
the API database), not with the server: ``image_min_disk`` among its system
metadata is the size of the flavor's disk. The request goes when a deleted
server is archived, so the sizes of images that were not used since are drawn
as if the image had been made up.

Not known is what a server had before it was resized or rebuilt: it is taken to
have had its last flavor and image from the beginning. Nor are the servers that
were there before the period began, and swap disks.

Images and projects are numbered as they come. Their ids are in no message and
no report; those of images are kept, for options that name some.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime
import itertools
import operator
from typing import Any
import uuid

from oslo_log import log as logging
import sqlalchemy as sa

from cache_aware_sched import image_ids
from cache_aware_sched import nova_databases
from cache_aware_sched.option import BadOption
from cache_aware_sched.option import Name
from cache_aware_sched.simulator.input.arrivals import Arrivals
from cache_aware_sched.simulator.input.arrivals import made_id
from cache_aware_sched.simulator.input.nova import images as nova_images
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator.workload import Boot
from cache_aware_sched import wording

LOG = logging.getLogger(__name__)

#: The period, if it is not said.
PERIOD = datetime.timedelta(days=7)

_COLUMNS = (
    *(sa.column(name) for name in (
        'id', 'uuid', 'deleted', 'vm_state', 'hidden', 'reservation_id',
        'launch_index', 'project_id', 'image_ref', 'vcpus', 'memory_mb',
        'root_gb', 'ephemeral_gb')),
    *(sa.column(name, sa.DateTime()) for name in (
        'created_at', 'launched_at', 'terminated_at', 'deleted_at')),
)
_INSTANCES = sa.table('instances', *_COLUMNS)
_SHADOW_INSTANCES = sa.table('shadow_instances', *(
    sa.column(column.name, column.type) for column in _COLUMNS))


#: When a server was created, UTC, what it was asked for together with, its
#: number in this request, and its uuid: the order of the requests.
_Order = tuple[datetime.datetime, str, int, str]


@dataclasses.dataclass(slots=True)
class LeftOut:
    """How many servers of the period could not be used, by the reason."""

    volume: int = 0
    never_ran: int = 0
    incomplete: int = 0
    no_host: int = 0
    cell0: str = ''
    cells: list[str] = dataclasses.field(default_factory=list)

    def sentences(self) -> Iterator[str]:
        """Say what was left out."""
        for number, reason in (
                (self.volume, 'made from a volume, whose image no host '
                 'caches'),
                (self.never_ran, 'never ran, as no host was found or the '
                 'build failed'),
                (self.no_host, 'in cell0, as no host was found'),
                (self.incomplete, 'without a flavor in the database')):
            if number:
                yield (f'{wording.counted(number, "more server")} left out: '
                       f'{reason}.')
        if self.cell0:
            yield ('Servers for which no host was found are not counted: '
                   f'{self.cell0}.')
        for reason in self.cells:
            yield f'A disabled cell was left out: {reason}.'


def period(how: options.History, now: datetime.datetime,
           ) -> tuple[datetime.datetime, datetime.datetime]:
    """Return the period in UTC, without a zone, as the databases have it.

    :raises BadOption: if it has no length
    """
    until = _utc(how.until or now)
    since = _utc(how.since) if how.since else until - PERIOD
    if since >= until:
        raise BadOption('{} must be before {}, not {}', Name('since'),
                        _readable(until), _readable(since))
    return since, until


def _utc(time: datetime.datetime) -> datetime.datetime:
    if time.tzinfo:
        time = time.astimezone(datetime.UTC).replace(tzinfo=None)
    return time


def _readable(time: datetime.datetime) -> str:
    """Return a time without what is less than a second."""
    return f'{time:%Y-%m-%d %H:%M:%S}'


def _ranges(database: nova_databases.Database, table: sa.TableClause,
            chunk: int) -> Iterator[tuple[int, int]]:
    """Return ranges of a table's ids that have all of its rows."""
    lowest, highest = database.select(
        sa.select(sa.func.min(table.c.id), sa.func.max(table.c.id)))[0]
    if lowest is not None:
        for first in range(lowest, highest + 1, chunk):
            yield first, min(first + chunk - 1, highest)


def rows(database: nova_databases.Database, table: sa.TableClause,
         since: datetime.datetime, until: datetime.datetime, chunk: int,
         ) -> Iterator[sa.Row[Any]]:
    """Return the servers of a cell that were created in a period."""
    for first, last in _ranges(database, table, chunk):
        yield from database.select(
            sa.select(table).where(
                table.c.id.between(first, last),
                table.c.created_at >= since, table.c.created_at < until,
            ).order_by(table.c.id))


def _boot(row: sa.Row[Any], since: datetime.datetime, left_out: LeftOut,
          ) -> tuple[_Order, Boot] | None:
    """Return what a row says, or None if it is left out.

    Image and project have the ids of the cloud, and no batch has a number.
    """
    if row.hidden:
        # The copy in the other cell of a server that is between two.
        return None
    if not row.launched_at and (row.deleted or row.vm_state == 'error'):
        left_out.never_ran += 1
        return None
    if not row.image_ref:
        left_out.volume += 1
        return None
    if not (row.vcpus and row.memory_mb):
        left_out.incomplete += 1
        return None
    return (
        (row.created_at, row.reservation_id or row.uuid,
         row.launch_index or 0, row.uuid),
        Boot((row.created_at - since).total_seconds(), 0, row.vcpus,
             row.memory_mb, _lifetime(row),
             # With a root disk of 0 GiB nova makes it as large as the image.
             max(1, (row.root_gb or 0) + (row.ephemeral_gb or 0)),
             image_ids.canonical(row.image_ref), row.project_id or ''))


def _lifetime(row: sa.Row[Any]) -> float | None:
    # A server that is deleted softly has its host still, and a deleted_at.
    end = row.terminated_at or row.deleted_at
    if not row.deleted or not end:
        return None
    return float(max(0.0, (end - row.created_at).total_seconds()))


def _boots(databases: Iterable[nova_databases.Database],
           how: options.History, since: datetime.datetime,
           until: datetime.datetime, left_out: LeftOut,
           ) -> list[tuple[_Order, Boot]]:
    """Return the servers of all cells, in the order of the requests."""
    # By uuid: one may be archived after it was read.
    found: dict[str, tuple[_Order, Boot]] = {}
    # Many servers have the same few images and projects.
    same: dict[str, str] = {}
    tables = [_INSTANCES] + [_SHADOW_INSTANCES] * how.archived
    for database in databases:
        before = len(found)
        try:
            for row in itertools.chain.from_iterable(
                    rows(database, table, since, until, how.chunk)
                    for table in tables):
                if read_ := _boot(row, since, left_out):
                    order, boot = read_
                    found[row.uuid] = order, boot._replace(
                        image=same.setdefault(boot.image, boot.image),
                        project=same.setdefault(boot.project, boot.project))
        except nova_databases.Unreadable as error:
            # Its database may be gone for good.
            if not database.disabled:
                raise
            left_out.cells.append(str(error))
        LOG.info('Read %(number)d servers of %(cell)s', {
            'number': len(found) - before, 'cell': database.name})
    return sorted(found.values(), key=operator.itemgetter(0))


def _count_without_host(api: nova_databases.Database, since: datetime.datetime,
                        until: datetime.datetime, left_out: LeftOut) -> None:
    """Count the servers for which no host was found; nova has them apart."""
    try:
        cell0 = nova_databases.cell0(api)
        if cell0 is not None:
            left_out.no_host += cell0.select(sa.select(sa.func.count()).where(
                _INSTANCES.c.created_at >= since,
                _INSTANCES.c.created_at < until))[0][0]
    except nova_databases.Unreadable as error:
        left_out.cell0 = str(error)


def _numbered(values: Iterable[str], what: str) -> dict[str, str]:
    """Return an id for each value that says nothing about it."""
    return {value: made_id(what, number) for number, value in enumerate(
        dict.fromkeys(values))}


def _arrivals(found: list[tuple[_Order, Boot]], known: dict[str, int],
              notes: list[str]) -> Arrivals:
    images = _numbered((boot.image for _order, boot in found),
                       'image of history')
    projects = _numbered((boot.project for _order, boot in found),
                         'project of history')
    batches = {request: number for number, request in enumerate(
        dict.fromkeys(order[1] for order, _boot in found))}
    return Arrivals(
        [boot._replace(batch=batches[order[1]], image=images[boot.image],
                       project=uuid.UUID(projects[boot.project]).hex)
         for order, boot in found],
        {images[image]: size for image, size in known.items()}, notes,
        images)


def read(how: options.History, api: nova_databases.Database,
         now: datetime.datetime | None = None) -> Arrivals:
    """Return the servers of a period.

    :param api: which has the addresses of the cells
    :param now: UTC if it has no zone; the end of the period if it has none
    :raises Unreadable: naming the database that cannot be read
    :raises BadOption: if the period is empty
    """
    since, until = period(how, now or datetime.datetime.now(datetime.UTC))
    left_out = LeftOut()
    found = _boots(nova_databases.cells(api, how.cell_databases), how, since,
                   until, left_out)
    _count_without_host(api, since, until, left_out)
    in_it = f'from {_readable(since)} to {_readable(until)} (UTC)'
    if not found:
        raise nova_databases.Unreadable(' '.join((
            f'no server was created from an image {in_it}.',
            *left_out.sentences())))
    known = nova_images.sizes(
        api, ((boot.image, order[-1]) for order, boot in found))
    images = {boot.image for _order, boot in found}
    return _arrivals(found, known, [
        f'{wording.counted(len(found), "server")} created {in_it}.',
        *left_out.sentences(),
        f'The sizes of {len(known):,} of {len(images):,} images are known.'])

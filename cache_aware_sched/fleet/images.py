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

"""Puts together what is known of each image: who holds it, who runs it.

A report has the first characters of the SHA-1 of an image id. The ids are
those of the servers that there are, and of those that were, see
:func:`identify`; an image of which nova has no server keeps its digest.
"""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses

import sqlalchemy as sa

from cache_aware_sched.fleet.hosts import Fleet
from cache_aware_sched.fleet.hosts import ReportingHost
from cache_aware_sched import image_ids
from cache_aware_sched import nova_databases
from cache_aware_sched import report

_INSTANCES = sa.table('instances', *(sa.column(name) for name in (
    'image_ref', 'host', 'node', 'project_id', 'deleted', 'hidden')))

#: A compute node by its host and its name.
Node = tuple[str, str]


@dataclasses.dataclass(slots=True)
class KnownImage:
    """An image that some host holds, or some server has.

    :param digest: what the reports call it
    :param id: spelt as Glance does; '' if it is not known
    :param size: bytes, as the reports have it; 0 if no host holds it
    :param holding: the hosts with all of it
    :param arriving: the hosts that fetch it
    :param servers: how many each compute node runs
    :param by_project: the same of each project
    """

    digest: str
    id: str = ''
    size: int = 0
    holding: list[ReportingHost] = dataclasses.field(default_factory=list)
    arriving: list[ReportingHost] = dataclasses.field(default_factory=list)
    servers: Mapping[Node, int] = dataclasses.field(default_factory=dict)
    by_project: Mapping[str, Mapping[Node, int]] = dataclasses.field(
        default_factory=dict)

    @property
    def name(self) -> str:
        """Its id, or what the reports call it."""
        return self.id or self.digest

    @property
    def running(self) -> int:
        """The number of its servers."""
        return sum(self.servers.values())

    @property
    def most(self) -> int:
        """The most servers of it on one compute node."""
        return max(self.servers.values(), default=0)


@dataclasses.dataclass(frozen=True, slots=True)
class FleetImages:
    """All images, those with most servers first.

    :param hosts: by their nodes
    :param unread: why a cell could not be read, by its name
    """

    all: Sequence[KnownImage]
    hosts: Mapping[Node, ReportingHost]
    unread: Mapping[str, str]

    def find(self, wanted: str) -> KnownImage | None:
        """Return an image by its id, in any spelling, or its digest."""
        key = report.image_key(wanted)
        return next((image for image in self.all
                     if image.digest in (wanted, key)), None)


def read(fleet: Fleet,
         cells: Iterable[nova_databases.Database]) -> FleetImages:
    """Return all images.

    One statement a cell, over the servers that are not deleted.
    """
    servers, unread = _servers(fleet.answering(cells))
    images: dict[str, KnownImage] = {}
    for image_id, by_project in servers.items():
        digest = report.image_key(image_id)
        images[digest] = KnownImage(
            digest, image_id, servers=_sums(by_project.values()),
            by_project=by_project)
    for host in fleet.hosts:
        for file in host.files:
            image = images.setdefault(file.sha1, KnownImage(file.sha1))
            if file.kind is report.FileKind.COMPLETE:
                image.holding.append(host)
                image.size = max(image.size, file.size)
            elif file.kind is report.FileKind.ARRIVING:
                image.arriving.append(host)
    return FleetImages(
        sorted(images.values(), key=lambda image: (
            -image.running, -len(image.holding), image.name)),
        {(host.name, host.node): host for host in fleet.hosts},
        {**unread, **fleet.unread})


def identify(images: FleetImages,
             cells: Iterable[nova_databases.Database]) -> None:
    """Give ids to images that only servers had that are deleted.

    One statement a cell, if there is such an image. Without an answer an image
    keeps its digest.
    """
    unknown = {image.digest: image for image in images.all if not image.id}
    columns = _INSTANCES.c
    statement = sa.select(columns.image_ref).distinct().where(
        columns.deleted != 0, columns.image_ref.is_not(None))
    for cell in cells if unknown else ():
        if cell.cell in images.unread:
            continue
        with contextlib.suppress(nova_databases.Unreadable):
            for row in cell.select(statement):
                image = unknown.get(report.image_key(row.image_ref))
                if image is not None:
                    image.id = image_ids.canonical(row.image_ref)


def size(fleet: Fleet, image_id: str) -> int:
    """Return the bytes of an image, 0 if no host holds it."""
    key = report.image_key(image_id)
    return max((file.size for host in fleet.hosts if host.reported
                for file in host.reported.files(key)
                if file.kind is report.FileKind.COMPLETE), default=0)


def _sums(counts: Iterable[Mapping[Node, int]]) -> dict[Node, int]:
    found: collections.Counter[Node] = collections.Counter()
    for of_nodes in counts:
        found.update(of_nodes)
    return dict(found)


def _servers(cells: Iterable[nova_databases.Database]) -> tuple[
        dict[str, dict[str, dict[Node, int]]], dict[str, str]]:
    """Return how many servers each node runs, by image and project."""
    found: dict[str, dict[str, dict[Node, int]]] = collections.defaultdict(
        lambda: collections.defaultdict(lambda: collections.defaultdict(int)))
    unread: dict[str, str] = {}
    columns = _INSTANCES.c
    group = (columns.image_ref, columns.host, columns.node,
             columns.project_id)
    statement = sa.select(
        *group, sa.func.count().label('number')).where(
            columns.deleted == 0, columns.host.is_not(None),
            sa.or_(columns.hidden.is_(None), columns.hidden.is_(False)),
            columns.image_ref.is_not(None), columns.image_ref != '',
        ).group_by(*group)
    for cell in cells:
        try:
            for row in cell.select(statement):
                found[image_ids.canonical(row.image_ref)][
                    row.project_id or ''][
                        row.host, row.node or row.host] += row.number
        except nova_databases.Unreadable as error:
            unread[cell.cell] = str(error)
    return found, unread

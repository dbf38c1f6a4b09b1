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

"""What nova's database and Glance tell in the tests, without either."""

from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

from nova import exception
from nova import objects


class FakeDatabase:
    """What nova's database has of servers.

    :ivar servers: :class:`nova.objects.Instance`, of any host
    :ivar disks: block devices by the uuid of their server
    :ivar migrations: :class:`nova.objects.Migration`
    :ivar aggregates: metadata of the aggregates of all hosts, by name; None if
        nobody answers
    :ivar answers: whether it answers when asked for servers
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.servers: list[Any] = []
        self.disks: dict[str, list[Any]] = {}
        self.migrations: list[Any] = []
        self.aggregates: dict[str, dict[str, str]] | None = {}
        self.answers = True

    def stand_ins(self) -> list[tuple[type, str, Any]]:
        """Return the methods of nova's objects that it answers in place of.

        :returns: the class, the name of the method, and what to call instead
        """
        return [
            (objects.BlockDeviceMappingList, 'bdms_by_instance_uuid',
             self.disks_of),
            (objects.MigrationList, 'get_by_filters', self.migrations_by),
            (objects.InstanceList, 'get_by_filters', self.servers_by),
            (objects.AggregateList, 'get_by_host', self.aggregates_of)]

    def aggregates_of(self, context: Any, host: str, key: str | None = None,
                      ) -> list[Any]:
        """Stand for ``AggregateList.get_by_host``."""
        if self.aggregates is None:
            raise exception.NovaException('no answer')
        return [objects.Aggregate(name=name, metadata=metadata)
                for name, metadata in self.aggregates.items()
                if key in metadata]

    def disks_of(self, context: Any, uuids: Collection[str],
                 ) -> dict[str, Any]:
        """Stand for ``BlockDeviceMappingList.bdms_by_instance_uuid``."""
        return {uuid: objects.BlockDeviceMappingList(objects=disks)
                for uuid, disks in self.disks.items() if uuid in uuids}

    def migrations_by(self, context: Any, filters: Mapping[str, Any]) -> Any:
        """Stand for ``MigrationList.get_by_filters``."""
        return objects.MigrationList(objects=[
            migration for migration in self.migrations
            if migration.status in filters['status'] and filters['host'] in (
                migration.source_compute, migration.dest_compute)])

    def servers_by(self, context: Any, filters: Mapping[str, Any],
                   expected_attrs: Any = None, use_slave: bool = False,
                   ) -> Any:
        """Stand for ``InstanceList.get_by_filters``."""
        if not self.answers:
            raise exception.NovaException('no answer')
        return objects.InstanceList(objects=[
            one for one in self.servers
            if one.uuid in filters.get('uuid', (one.uuid,))
            and one.host in filters.get('host', (one.host,))
            and one.deleted == filters.get('deleted', one.deleted)])


class FakeGlance:
    """The image service, as far as it is asked how large an image is."""

    def __init__(self) -> None:
        self._images: dict[str, dict[str, Any]] = {}

    def put(self, image_id: str, size: int, disk_format: str = 'raw') -> None:
        """Have an image of so many bytes."""
        self._images[image_id] = {'size': size, 'disk_format': disk_format}

    def show(self, context: Any, image_id: str) -> dict[str, Any]:
        """Stand for the method of nova's client of Glance.

        :raises nova.exception.ImageNotFound: if it has no such image
        """
        if image_id not in self._images:
            raise exception.ImageNotFound(image_id=image_id)
        return dict(self._images[image_id])

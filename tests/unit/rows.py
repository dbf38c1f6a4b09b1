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

"""What a compute host reads of nova's tables, without a database."""

import fixtures
from nova.compute import task_states
from nova import objects

from tests.unit import factories


class Rows(fixtures.Fixture):
    """The rows of some instances and migrations.

    :ivar servers: Instance objects
    :ivar migrations: Migration objects
    :ivar read_servers: the mock that reads those of a host
    :ivar read_migrations: the mock that reads those of a host
    """

    def __init__(self):
        super().__init__()
        self.servers = []
        self.migrations = []

    def setUp(self):
        super().setUp()
        self.read_servers = self._patch(
            objects.InstanceList, 'get_by_host', self.servers_of)
        self._patch(objects.InstanceList, 'get_by_filters', self._servers_by)
        self.read_migrations = self._patch(
            objects.MigrationList, 'get_by_filters', self._migrations_by)

    def _patch(self, owner, name, function):
        return self.useFixture(fixtures.MockPatchObject(
            owner, name, autospec=True, side_effect=function)).mock

    # Given.

    def server(self, image=factories.IMAGE, host='h', **fields):
        """Add a server, which does not move."""
        server = factories.instance(image, host, **{
            'task_state': None, 'os_type': 'linux', 'kernel_id': '',
            'ramdisk_id': '', **fields})
        self.servers.append(server)
        return server

    def migration(self, server, source, destination, status='running',
                  source_node=None, dest_node=None):
        """Add a migration of a server that may move or not."""
        self.migrations.append(objects.Migration(
            instance_uuid=server.uuid, status=status,
            source_compute=source, source_node=source_node or source,
            dest_compute=destination, dest_node=dest_node or destination))

    def moving(self, source, destination, at=None, **fields):
        """Add a server that is between two hosts.

        :param at: the host that its row names, the source if not given
        """
        server = self.server(host=at or source, **{
            'task_state': task_states.MIGRATING, **fields})
        self.migration(server, source, destination)
        return server

    # What nova's objects answer.

    def servers_of(self, context, host, **_kwargs):
        assert context.is_admin
        return objects.InstanceList(objects=[
            server for server in self.servers if server.host == host])

    def _servers_by(self, context, filters, **_kwargs):
        assert context.is_admin
        return objects.InstanceList(objects=[
            server for server in self.servers
            if server.uuid in filters.get('uuid', (server.uuid,))
            and server.image_ref in filters.get(
                'image_ref', (server.image_ref,))])

    def _migrations_by(self, context, filters):
        return objects.MigrationList(objects=[
            migration for migration in self.migrations
            if migration.status in filters['status']
            and filters['host'] in (
                migration.source_compute, migration.dest_compute)])

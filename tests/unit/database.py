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

import fixtures
import nova.conf
from nova import context as nova_context
from nova import objects
from nova.tests import fixtures as nova_fixtures
from oslo_messaging import conffixture

from tests import releases
from tests.unit import base
from tests.unit import factories

CONF = nova.conf.CONF
CELL, OTHER_CELL = factories.CELL, factories.OTHER_CELL


class DatabaseTestCase(base.TestCase):
    """Two cells and an API database, all of them SQLite."""

    def setUp(self):
        super().setUp()
        # Takes over what the test case set up for the same options.
        self.useFixture(nova_fixtures.ConfFixture(CONF))
        # The address of a cell's message queue is made with its options.
        self.useFixture(conffixture.ConfFixture(CONF))
        self.useFixture(releases.isolated_threads(self.id()))
        # As nova's own tests do: idle threads end at once.
        self.useFixture(fixtures.MonkeyPatch(
            'futurist._thread.ThreadWorker.MAX_IDLE_FOR', 0.01))
        releases.forget_cells()
        self.addCleanup(releases.forget_cells)
        self.useFixture(nova_fixtures.Database(database='api'))
        cells = nova_fixtures.CellDatabases()
        cells.add_cell_database('cell1', default=True)
        cells.add_cell_database('cell2')
        self.useFixture(cells)
        self.admin = nova_context.get_admin_context()
        self.cells = {uuid: self._create_cell(uuid, name) for uuid, name
                      in ((CELL, 'cell1'), (OTHER_CELL, 'cell2'))}

    def _create_cell(self, uuid, name):
        cell = objects.CellMapping(
            self.admin, uuid=uuid, name=name, database_connection=name,
            transport_url='none:///')
        cell.create()
        return cell

    def server(self, host, vm_state='active', image=factories.IMAGE,
               project=factories.PROJECT, cell=CELL, node=None, **fields):
        """Create a server in a cell; return its uuid.

        :param node: its name, that of the host if not given
        :param fields: more of the Instance
        """
        with nova_context.target_cell(
                self.admin, self.cells[cell]) as context:
            server = objects.Instance(
                context, uuid=factories.new_uuid(), image_ref=image,
                host=host, node=node or host,
                compute_id=1 if host else None,
                project_id=project, user_id='u',
                vm_state=vm_state, flavor=factories.flavor(), **fields)
            server.create()
        return server.uuid

    def migration(self, server, status, source, destination, cell=CELL,
                  migration_type='resize'):
        """Create a migration of a server."""
        with nova_context.target_cell(
                self.admin, self.cells[cell]) as context:
            objects.Migration(
                context, uuid=factories.new_uuid(), instance_uuid=server,
                status=status, source_compute=source, source_node=source,
                dest_compute=destination, dest_node=destination,
                dest_compute_id=1,
                migration_type=migration_type).create()

    def load(self, server, cell=CELL):
        """Return a server as nova-compute has it."""
        with nova_context.target_cell(
                self.admin, self.cells[cell]) as context:
            return objects.Instance.get_by_uuid(
                context, server, expected_attrs=['flavor'])

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

"""nova's tables in files of SQLite."""

import functools
import os

import fixtures
from nova.db.api import models as api_models
from nova.db.main import api as main_db
import sqlalchemy as sa

from cache_aware_sched import nova_databases
from tests.unit import base


@functools.cache
def empty(*tables):
    """Return a database of SQLite with some tables."""
    engine = sa.create_engine('sqlite://')
    with engine.begin() as connection:
        for table in tables:
            table.create(connection)
        data = connection.connection.driver_connection.serialize()
    engine.dispose()
    return data


class TablesTestCase(base.TestCase):
    """Has databases; a test case makes them and fills ``self.api``."""

    def setUp(self):
        super().setUp()
        self.path = self.useFixture(fixtures.TempDir()).path

    def url(self, name):
        return f'sqlite:///{os.path.join(self.path, name)}'

    def make(self, name, *tables):
        with open(os.path.join(self.path, name), 'wb') as file:
            file.write(empty(*tables))
        engine = sa.create_engine(self.url(name))
        sa.event.listen(engine, 'connect', lambda connection, _record:
                        connection.execute('PRAGMA synchronous = OFF'))
        self.addCleanup(engine.dispose)
        return engine

    def run_in(self, engine, statement):
        with engine.begin() as connection:
            connection.execute(statement)

    def map_cell(self, name, uuid, url):
        self.run_in(self.api, sa.insert(api_models.CellMapping).values(
            uuid=uuid, name=name, database_connection=url))

    def database(self):
        return nova_databases.Database(
            'the API database',
            main_db.create_context_manager(self.url('api')), self.url('api'))

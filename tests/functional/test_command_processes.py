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


"""The commands as processes, with a nova.conf that they read themselves."""

import datetime
import json
import os
import subprocess
import sys
import tempfile

from nova.db.api import models as api_models
from nova.db.main import models as main_models
import sqlalchemy as sa

from cache_aware_sched.decision_log import record
from tests.unit import factories
from tests.unit.test_decision_summary import boot
from tests.unit import test_fleet_hosts
from tests.unit.test_fleet_hosts import reporting


class CommandProcessTests(test_fleet_hosts.FleetTestCase):
    """nova.conf is read once or twice in a process, as the command needs."""

    def setUp(self):
        super().setUp()
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.log_path = os.path.join(directory, 'decisions')
        self.conf = os.path.join(directory, 'nova.conf')
        with open(self.conf, 'w', encoding='utf-8') as file:
            file.write(
                f'[api_database]\nconnection = {self.url("api")}\n'
                f'[cache_aware_sched]\ndecision_log_file = {self.log_path}\n')
        with open(self.log_path, 'w', encoding='utf-8') as file:
            file.write(record.dump(boot(
                time=datetime.datetime.now(datetime.UTC))))
        self.host('warm', reporting())
        self.server('i1', 'warm', uuid='s1', vm_state='active')

    def run_command(self, *argv, status=0, said=''):
        program = os.path.join(
            os.path.dirname(sys.executable), 'cache-aware-sched')
        done = subprocess.run(
            [program, *argv, '--config-file', self.conf],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(status, done.returncode, done.stderr)
        self.assertNotIn('Traceback', done.stderr)
        self.assertIn(said, done.stderr)
        return done.stdout

    def test_status_with_the_decision_log_of_the_configuration(self):
        shown = json.loads(self.run_command('status', '-f', 'json'))

        self.assertIn('1 of 1 server went to a host', shown['last_day'])

    def test_past(self):
        out = self.run_command('explain', '--past', 's1')

        self.assertIn('warm wins by', out)
        self.assertIn('The server is there.', out)

    def test_summary(self):
        [row] = json.loads(self.run_command(
            'decisions', 'summary', '-f', 'json'))

        self.assertEqual(1, row['Warm'])

    def test_lists(self):
        for command in (('host', 'list'), ('image', 'list', '--no-names'),
                        ('cap', 'status', '--no-names')):
            self.assertTrue(json.loads(self.run_command(
                *command, '-f', 'json')), command)

    def test_cell_that_is_down(self):
        for table in (test_fleet_hosts.NODES, test_fleet_hosts.INSTANCES):
            table.drop(self.cells['cell2'])

        for command in (('host', 'list'), ('image', 'list', '--no-names'),
                        ('cap', 'status', '--no-names')):
            self.assertTrue(json.loads(self.run_command(
                *command, '-f', 'json')), command)
        self.assertIn('warm wins by', self.run_command(
            'explain', '--past', 's1'))

    def test_account_of_placement_that_is_missing(self):
        for models, engines in ((api_models, (self.api,)),
                                (main_models, self.cells.values())):
            for engine in engines:
                models.BASE.metadata.create_all(engine)
        self.run_in(self.api, sa.update(api_models.CellMapping).values(
            transport_url='none:///'))
        self.flavor(1, 'tiny')

        self.assertEqual('', self.run_command(
            'explain', '--image', factories.IMAGE, '--flavor', 'tiny',
            status=1, said='placement does not answer: MissingAuthPlugin'))

    def test_table_that_cannot_be_read(self):
        # Of this, as of a SELECT that is denied, oslo.db makes no DBError.
        self.run_in(self.api, sa.text(
            'ALTER TABLE flavors RENAME COLUMN memory_mb TO other'))

        self.run_command(
            'explain', '--image', factories.IMAGE, '--flavor', 'tiny',
            status=1, said='"explain" needs SELECT on all tables of the API')

    def test_name_of_an_image(self):
        self.run_command('explain', '--image', 'large', '--flavor', 'tiny',
                         status=1)

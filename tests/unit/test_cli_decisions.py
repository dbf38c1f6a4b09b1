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


"""Tests of the commands that read the decision log."""

import datetime
import json
import os
import tempfile

import fixtures
import sqlalchemy as sa

from cache_aware_sched.cli import fleet_access
from cache_aware_sched.decision_log import record as record_mod
from tests.unit import command
from tests.unit import test_cli_host
from tests.unit.test_decision_summary import boot
from tests.unit.test_decision_summary import of_servers
from tests.unit import test_fleet_hosts


def now():
    return datetime.datetime.now(datetime.UTC)


class LogCommandTestCase(test_cli_host.HostCommandTestCase):

    def setUp(self):
        super().setUp()
        self.log_path = os.path.join(
            self.enterContext(tempfile.TemporaryDirectory()), 'log')

    def write(self, *records):
        with open(self.log_path, 'a', encoding='utf-8') as file:
            file.writelines(map(record_mod.dump, records))

    def run_command(self, *argv):
        return command.execute(*argv, '--decision-log', self.log_path)


class DecisionsSummaryTests(LogCommandTestCase):

    def test_rows_and_sentence(self):
        self.write(*of_servers(
            boot(time=now(), image='a'), boot(time=now(), image='b'),
            boot('cold', time=now(), image='a')))

        status, out, err = self.run_command(
            'decisions', 'summary', '-f', 'json')

        self.assertEqual(0, status, err)
        self.assertEqual({
            'Image': 'a', 'Servers': 2, 'Moves': 0, 'Warm': 1,
            'Stock warm': 0, 'Saved s': 10.0, 'Saved GB': 2.0, 'Observed': 0,
            'Refused': 0}, json.loads(out)[0])
        self.assertIn('2 of 3 servers went to a host that held', err)

    def test_since(self):
        self.write(*of_servers(
            boot(time=now() - datetime.timedelta(hours=30)),
            boot(time=now())))

        def servers(*argv):
            _status, out, _err = self.run_command(
                'decisions', 'summary', '-f', 'json', *argv)
            return sum(row['Servers'] for row in json.loads(out))

        self.assertEqual((1, 2), (servers(), servers('--since', '2d')))

    def test_bad_since(self):
        for text in ('24', 'h', '-1h', '1y', '9999999d'):
            status, _out, err = self.run_command(
                'decisions', 'summary', f'--since={text}')
            self.assertEqual(2, status)
            self.assertIn('is not a time like', err)

    def test_no_log(self):
        status, _out, err = self.run_command('decisions', 'summary')

        self.assertEqual(1, status)
        self.assertIn(self.log_path, err)
        self.assertIn('decision_log_file', err)
        self.assertNotIn('Traceback', err)

    def test_log_that_is_not_set(self):
        self.useFixture(fixtures.MockPatchObject(
            fleet_access, 'configuration', autospec=True,
            return_value=self._config.conf))

        status, _out, err = command.execute('decisions', 'summary')

        self.assertEqual(1, status)
        self.assertIn('decision_log_file is not set', err)

    def test_directory_in_its_place(self):
        os.mkdir(self.log_path)

        status, _out, err = self.run_command('decisions', 'summary')

        self.assertEqual(1, status)
        self.assertIn('cannot be read', err)

    def test_what_is_missing_is_said(self):
        self.write(boot(time=now()), record_mod.LostDecisions(now(), 5))
        with open(self.log_path, 'a', encoding='utf-8') as file:
            file.write('{torn\n')

        status, _out, err = self.run_command('decisions', 'summary')

        self.assertEqual(0, status)
        self.assertIn('Left out: 1 line of the decision log that', err)
        self.assertIn('Missing: 5 decisions that', err)


class ExplainPastTests(LogCommandTestCase):

    def test_says_why_and_where_it_is(self):
        self.host('warm')
        self.server('i1', 'warm', uuid='s1', vm_state='active')
        self.write(boot(), boot(server='other'))

        status, out, err = self.run_command('explain', '--past', 's1')

        self.assertEqual(0, status, err)
        self.assertIn('warm wins by', out)
        self.assertIn('The server is there.', out)

    def test_host_that_gave_it_back(self):
        self.server('i1', 'cold', uuid='s1', vm_state='active')
        cell = self.cells['cell1']
        self.run_in(cell, sa.insert(test_fleet_hosts.ACTIONS).values(
            id=1, instance_uuid='s1', action='create', deleted=0))
        for host, result in (('warm', 'Error'), ('cold', 'Success')):
            self.run_in(cell, sa.insert(test_fleet_hosts.EVENTS).values(
                action_id=1, event='compute__do_build_and_run_instance',
                host=host, result=result, deleted=0))
        self.write(boot())

        _status, out, _err = self.run_command('explain', '--past', 's1')

        self.assertIn('The server is on cold. warm gave it back', out)

    def test_several_decisions(self):
        self.write(boot(), boot('cold', move=True))

        _status, out, _err = self.run_command('explain', '--past', 's1')

        self.assertIn('Decision 1, 2026-11-26 12:00:00 UTC:', out)
        self.assertIn('Decision 2', out)
        self.assertIn('No cell has the server: it found no host', out)

    def test_json(self):
        self.write(boot())

        _status, out, _err = self.run_command(
            'explain', '--past', 's1', '-f', 'json', '--why-not', 'cold')

        [found] = json.loads(out)
        self.assertEqual(('warm', 'cold'), (found['winner'], found['stock']))
        self.assertTrue(found['why_not'])

    def test_unknown_server(self):
        self.write(boot())

        status, _out, err = self.run_command('explain', '--past', 'no')

        self.assertEqual(1, status)
        self.assertIn("no decision about server 'no'", err)

    def test_databases_that_do_not_answer(self):
        self.write(boot())
        for cell in self.cells.values():
            self.run_in(cell, sa.text('DROP TABLE instances'))

        status, out, err = self.run_command('explain', '--past', 's1')

        self.assertEqual(0, status)
        self.assertIn('warm wins by', out)
        self.assertIn('where the server is now is not known', err)


class ExplainArgumentsTests(LogCommandTestCase):

    def test_bad_arguments(self):
        for argv, said in (
                (('--count', '0'), 'not a number from 1'),
                (('--hint', 'group'), 'is not KEY=VALUE'),
                (('--server', 'a', '--past', 'b'), 'not allowed with')):
            status, _out, err = command.execute('explain', *argv)
            self.assertEqual(2, status)
            self.assertIn(said, err)

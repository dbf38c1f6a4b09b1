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

import json
import os
from unittest import mock

import fixtures

from cache_aware_sched.fleet import glance
from cache_aware_sched import nova_databases
from cache_aware_sched import report
from tests.unit import command
from tests.unit import factories
from tests.unit import test_fleet_hosts
from tests.unit.test_fleet_hosts import reporting

GIB = factories.GIB
Kind = report.FileKind


class HostCommandTestCase(test_fleet_hosts.FleetTestCase):
    """Runs the command on real tables; nova.conf is not read."""

    NOUN = 'host'

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            nova_databases, 'configure', autospec=True))
        self.useFixture(fixtures.MockPatchObject(
            nova_databases, 'api_database', autospec=True,
            side_effect=self.database))

    def execute(self, *argv):
        """Run the command; return its status and what it printed."""
        return command.execute(self.NOUN, *argv)

    def read_json(self, *argv):
        status, out, err = self.execute(*argv, '-f', 'json')
        self.assertEqual(0, status, err)
        return json.loads(out)


class TestHostList(HostCommandTestCase):

    def test_what_a_host_reports(self):
        self.aggregate('east', 'a', zone='az1')
        self.host('a', reporting(
            report.BaseFile('1' * 40, 3 * GIB, users=2),
            report.BaseFile('2' * 40, GIB),
            report.BaseFile('3' * 40, 0, Kind.ARRIVING),
            report.BaseFile('4' * 40, 20 * GIB, Kind.RESIZED),
            report.BaseFile('5' * 40, 0, Kind.ABSENT, users=1),
            caches=True, rate=190, facts=report.HostFacts(
                protected=2, free_gib=0, critical=3, critical_missing=1)))

        [row] = self.read_json('list')

        age = row.pop('Age s')
        self.assertGreater(age, 10)
        self.assertEqual({
            'Host': 'a', 'Cell': 'cell1', 'Zone': 'az1', 'State': 'down',
            'Images': 3, 'GiB': 4.0, 'In use': 2, 'Protected': 2,
            'Critical': 3, 'Critical missing': 1,
            'Arriving': 1, 'Truncated': '', 'Free GiB': 0, 'MB/s': 190,
            'Report': '1', 'Why not': ''}, row)

    def test_what_an_older_host_does_not_say(self):
        self.host('a', reporting())

        [row] = self.read_json('list')

        self.assertEqual(('', '', '1'), (
            row['Protected'], row['Free GiB'], row['Report']))

    def test_host_that_does_not_report(self):
        self.host('a', reporting())
        self.host('b')

        _a, b = self.read_json('list')

        self.assertEqual(('', 'its driver reports none: see compute_driver'),
                         (b['Images'], b['Why not']))

    def test_summary(self):
        self.host('a', reporting())
        self.host('b')

        _status, out, err = self.execute('list')

        self.assertIn('1 of 2 hosts report.\n', err)
        self.assertNotIn('report.', out)

    def test_cell_that_does_not_answer(self):
        """The others are shown."""
        self.host('a', reporting())
        os.unlink(os.path.join(self.path, 'cell2'))

        status, out, err = self.execute('list')

        self.assertEqual(0, status)
        self.assertIn('| a ', out)
        self.assertIn('what it has is missing below', err)
        self.assertNotIn('Traceback', err)

    def test_api_database_that_does_not_answer(self):
        os.unlink(os.path.join(self.path, 'api'))

        status, out, err = self.execute('list')

        self.assertEqual((1, ''), (status, out))
        self.assertIn('the API database at sqlite', err)
        self.assertNotIn('Traceback', err)


class TestHostShow(HostCommandTestCase):

    def test_files(self):
        self.host('a', reporting(
            report.BaseFile('1' * 40, GIB, users=1),
            report.BaseFile('2' * 40, 3 * GIB)))

        shown = self.read_json('show', 'a')

        self.assertEqual(
            [report.records.sha1_key('2' * 40) + ' complete 3 GiB, servers: '
             '0', report.records.sha1_key('1' * 40) + ' complete 1 GiB, '
             'servers: 1'], shown['files'].splitlines())
        self.assertEqual(('down', 2),
                         (shown['state'], shown['images']))

    def test_images_of_servers_have_their_ids_and_names(self):
        self.host('a', reporting(
            report.BaseFile(report.image_sha1(factories.IMAGE), 2 * GIB),
            report.BaseFile(report.image_sha1(factories.OTHER_IMAGE), GIB)))
        self.server(factories.IMAGE, 'b')
        self.server(factories.OTHER_IMAGE, 'a', deleted=1)

        with mock.patch.object(glance, 'names', autospec=True,
                               return_value={factories.IMAGE: 'debian'}):
            shown = self.read_json('show', 'a')

        self.assertEqual(
            [f'{factories.IMAGE} (debian) complete 2 GiB, servers: 0',
             f'{factories.OTHER_IMAGE} complete 1 GiB, servers: 0'],
            shown['files'].splitlines())

    def test_facts(self):
        self.host('a', reporting(facts=report.HostFacts(
            manager='lru', cap=report.ReportedCap(5, 0.2, 'soft', 'project',
                                                  False),
            asks_for_cap=True, package='1.2', nova='34.0.0', reflinks=True,
            own_device=False, critical=3, critical_missing=1,
            critical_trouble=report.NO_ROOM, room_gib=64, evicts=True)))

        shown = self.read_json('show', 'a')

        self.assertEqual(
            ('QEMU', 'lru', '5 servers, share 0.2, soft, scope project, no '
             'late check', 'yes', 'no', '1.2', '34.0.0'),
            tuple(shown[name] for name in (
                'hypervisor', 'manager', 'cap', 'reflinks', 'own_device',
                'package', 'nova')))
        self.assertEqual((3, 1, 'no_room', 64, 'yes'), tuple(
            shown[name] for name in (
                'critical', 'critical_missing', 'critical_trouble',
                'room_gib', 'evicts')))
        self.assertGreater(shown['row_bytes'], 50)

    def test_host_that_asks_for_no_cap(self):
        self.host('a', reporting(facts=report.HostFacts(asks_for_cap=False)))
        self.host('b')

        self.assertEqual('none asked for', self.read_json('show', 'a')['cap'])
        self.assertEqual('', self.read_json('show', 'b')['cap'])

    def test_no_such_host(self):
        self.host('a')

        status, _out, err = self.execute('show', 'x')

        self.assertEqual(1, status)
        self.assertIn("there is no host 'x' among the 1 compute node", err)

    def test_host_with_several_nodes(self):
        self.host('a', node='n1')
        self.host('a', node='n2', service=False)

        status, _out, err = self.execute('show', 'a')

        self.assertEqual(1, status)
        self.assertIn('name one of n1, n2', err)
        self.assertEqual('n2', self.read_json('show', 'n2')['node'])

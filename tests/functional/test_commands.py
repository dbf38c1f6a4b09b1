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

"""The commands about the cloud, with what nova itself has written."""

# isort: off
from tests.functional import base
# isort: on

import json

import fixtures

from cache_aware_sched import nova_databases
from tests.unit import command


class CommandTests(base.CloudTestCase):
    """Two hosts with the driver, one with nova's."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            nova_databases, 'configure', autospec=True))
        self.useFixture(fixtures.EnvironmentVariable(
            'XDG_STATE_HOME', self.useFixture(fixtures.TempDir()).path))
        self.set(max_same_image_instances_per_host=3)
        self.start('host1', 'host2')
        self.flags(compute_driver='fake.MediumFakeDriver')
        self.start('stock')
        self.public, self.other = self.image(), self.image()
        for _ in range(3):
            self.boot(self.public, host='host1')
        self.boot(self.other, host='host2')
        for host in ('host1', 'host2', 'stock'):
            self.report(host)

    def run_json(self, *argv, status=0):
        found, out, err = command.execute(*argv, '-f', 'json')
        self.assertEqual(status, found, err)
        self.assertNotIn('Traceback', err)
        return json.loads(out)

    def test_hosts(self):
        hosts = {host['Host']: host for host in self.run_json('host', 'list')}
        shown = self.run_json('host', 'show', 'host1')

        self.assertEqual((1, 1, 0, '1', 'up', ''), tuple(
            hosts['host1'][name] for name in (
                'Images', 'In use', 'Protected', 'Report', 'State',
                'Why not')))
        self.assertIn('its driver reports none', hosts['stock']['Why not'])
        self.assertEqual(
            ('age', '3 servers, hard, scope all, late check', 'no'),
            (shown['manager'], shown['cap'], shown['own_device']))

    def test_status(self):
        status = self.run_json('status')

        self.assertEqual('2 of 3 hosts report.', status['hosts'])
        self.assertEqual('', status['other_caps'])
        self.assertTrue(status['caches'].startswith(
            '2 images, 2 files on 2 of 2 reporting hosts, '), status['caches'])

    def test_cap(self):
        rows = {row['Image']: row for row in self.run_json(
            'cap', 'status', '--no-names')}
        hosts = self.run_json('cap', 'try', '2')

        self.assertEqual((3, '3', 1, 0), tuple(
            rows[self.public][name] for name in (
                'Servers', 'Cap', 'Full', 'Above')))
        # On three hosts at most three each.
        self.assertEqual(6, rows[self.public]['Headroom'])
        self.assertEqual([('host1', 3)], [
            (row['Host'], row['Most']) for row in hosts])

    def test_cap_that_is_tried_is_what_nova_then_does(self):
        _status, _out, err = command.execute('cap', 'try', '1')
        self.assertIn('Of 4 servers created in the last 7 days 2 would have '
                      'gone to another host, and 0 would have been refused.',
                      err)

        self.set(max_same_image_instances_per_host=1)
        image = self.image()

        # Three hosts take one each, and the fourth server is refused.
        for _ in range(3):
            self.boot(image)
        self.boot(image, expect='ERROR')

    def test_image(self):
        rows = self.run_json('image', 'show', self.public, '--no-names')

        self.assertEqual([('host1', 'complete', 3, 3)], [
            (row['Host'], row['Image'], row['Servers'], row['Cap'])
            for row in rows])

    def test_checks(self):
        status, out, _err = command.execute('check', '-o', 'json')

        found = {one['code']: one for one in json.loads(out)}
        self.assertEqual(0, status, out)
        self.assertEqual('ok', found['CAS104']['level'])
        self.assertEqual('warn', found['CAS202']['level'])
        self.assertIn('stock', found['CAS202']['text'])
        for code in ('CAS203', 'CAS204', 'CAS206', 'CAS209', 'CAS210',
                     'CAS211', 'CAS212', 'CAS301', 'CAS302', 'CAS303',
                     'CAS304', 'CAS305'):
            self.assertEqual('ok', found[code]['level'], found[code])
        self.assertIn('2 cells' if self.NUMBER_OF_CELLS > 1 else '1 cell',
                      found['CAS305']['text'])

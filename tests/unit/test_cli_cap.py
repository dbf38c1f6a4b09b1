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


import datetime

from tests.unit import factories
from tests.unit import test_cli_host
from tests.unit.test_fleet_hosts import reporting

IMAGE = factories.IMAGE


class CapCommandTestCase(test_cli_host.HostCommandTestCase):

    NOUN = 'cap'

    def setUp(self):
        super().setUp()
        self.set(max_same_image_instances_per_host=2)
        self.host('a', reporting())
        self.host('b', reporting())
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        for number, host in enumerate('aaab'):
            self.server(IMAGE, host, created_at=now + datetime.timedelta(
                seconds=number - 60))
        # Hosts of these tables have not been heard of for long.
        self.set_nova(service_down_time=10 ** 9)


class TestCapStatus(CapCommandTestCase):

    def test_images(self):
        [row] = self.read_json('status', '--no-names')

        self.assertEqual({
            'Image': IMAGE, 'Name': '', 'Project': '', 'Servers': 4,
            'Cap': '2', 'Full': 1, 'Above': 1, 'Most': 3,
            'Fullest hosts': 'a (3), b (1)', 'Headroom': 1}, row)

    def test_image_at_the_cap_everywhere(self):
        self.server(IMAGE, 'b')

        status, _out, err = self.execute('status', '--no-names')

        self.assertEqual(0, status)
        self.assertIn(f'At the cap on every host: {IMAGE}.', err)

    def test_images_without_headroom_come_first(self):
        self.server(IMAGE, 'b')
        for _ in range(9):
            self.server(factories.OTHER_IMAGE, 'c')

        self.assertEqual([IMAGE, factories.OTHER_IMAGE], [
            row['Image'] for row in self.read_json('status', '--no-names')])

    def test_nova_conf_that_asks_for_no_cap(self):
        self._config.conf.clear_override(
            'max_same_image_instances_per_host', group='cache_aware_sched')

        _status, _out, err = self.execute('status', '--no-names')

        self.assertIn('asks for no cap', err)

    def test_flavor(self):
        self.flavor(5, 'small', max_same_image_instances_per_host='1')

        [row] = self.read_json('status', '--no-names', '--flavor', 'small')
        status, _out, err = self.execute('status', '--flavor', 'x')

        self.assertEqual(('1', 0), (row['Cap'], row['Headroom']))
        self.assertEqual(1, status)
        self.assertIn("no flavor 'x' has a cap of its own; these have: small",
                      err)

    def test_no_account_for_glance(self):
        _status, out, err = self.execute('status')

        self.assertIn(IMAGE, out)
        self.assertIn('nova.conf has no account in [service_user]', err)


class TestCapTry(CapCommandTestCase):

    def test_what_a_cap_would_mean(self):
        status, _out, err = self.execute('try', '1')

        self.assertEqual(0, status, err)
        self.assertIn('Above a cap of 1: 1 host.', err)
        self.assertIn('Of 4 servers created in the last 7 days 1 would have '
                      'gone to another host, and 2 would have been refused.',
                      err)
        self.assertIn(f'Refused: {IMAGE} (2).', err)
        self.assertIn('2 hosts with servers that would not fit', err)

    def test_hosts(self):
        self.assertEqual([
            {'Host': 'a', 'Node': 'a', 'Above the cap': 1, 'Most': 3,
             'Image': IMAGE, 'Do not fit elsewhere': 3},
            {'Host': 'b', 'Node': 'b', 'Above the cap': 0, 'Most': 0,
             'Image': '', 'Do not fit elsewhere': 1},
        ], self.read_json('try', '1'))

    def test_cap_that_changes_nothing(self):
        self.assertEqual([], self.read_json('try', '30'))

    def test_what_is_no_cap(self):
        for argv in (('0',), ('-1',), ('x',), ('3', '--days', '0')):
            status, _out, err = self.execute('try', *argv)

            self.assertNotEqual(0, status)
            self.assertNotIn('Traceback', err)

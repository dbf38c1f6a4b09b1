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

from unittest import mock

from cache_aware_sched.fleet import glance
from cache_aware_sched import report
from tests.unit import factories
from tests.unit import test_cli_host
from tests.unit.test_fleet_hosts import reporting

GIB = factories.GIB
SHA1 = report.image_sha1(factories.IMAGE)


class ImageCommandTestCase(test_cli_host.HostCommandTestCase):

    NOUN = 'image'

    def setUp(self):
        super().setUp()
        self.aggregate('east', 'b', zone='az1')
        self.host('a', reporting(report.BaseFile(SHA1, 3 * GIB)))
        self.host('b', reporting(
            report.BaseFile(SHA1, 0, report.FileKind.ARRIVING)))
        self.server(factories.IMAGE, 'a')
        self.server(factories.IMAGE, 'a')
        self.server(factories.IMAGE, 'c')


class TestImageList(ImageCommandTestCase):

    def test_list(self):
        self.assertEqual([{
            'Image': factories.IMAGE, 'Name': '', 'GiB': 3.0, 'Holding': 1,
            'Arriving': 1, 'Servers': 3, 'Nodes': 2, 'Most on one': 2,
        }], self.read_json('list'))

    def test_image_of_deleted_servers(self):
        self.host('d', reporting(report.BaseFile(
            report.image_sha1(factories.OTHER_IMAGE), 3 * GIB)))
        self.server(factories.OTHER_IMAGE, 'd', deleted=1)

        listed = self.read_json('list')
        [row] = self.read_json('show', factories.OTHER_IMAGE)

        self.assertEqual(
            [(factories.IMAGE, 3), (factories.OTHER_IMAGE, 0)],
            [(one['Image'], one['Servers']) for one in listed])
        self.assertEqual(('d', 'complete'), (row['Host'], row['Image']))


class TestImageShow(ImageCommandTestCase):

    def test_hosts(self):
        self.set(max_same_image_instances_per_host=5)

        self.assertEqual([
            {'Host': 'a', 'Node': 'a', 'Zone': '', 'Aggregates': '',
             'Image': 'complete', 'Servers': 2, 'Of a project': 2, 'Cap': 5},
            {'Host': 'b', 'Node': 'b', 'Zone': 'az1', 'Aggregates': 'east',
             'Image': 'arriving', 'Servers': 0, 'Of a project': 0, 'Cap': 5},
            {'Host': 'c', 'Node': 'c', 'Zone': '', 'Aggregates': '',
             'Image': '', 'Servers': 1, 'Of a project': 1, 'Cap': 5},
        ], self.read_json('show', factories.IMAGE.upper()))

    def test_what_it_is_worth(self):
        self.host('d', reporting(rate=64))
        self.host('e', reporting(rate=256))
        self.server(factories.IMAGE, 'b')

        _status, _out, err = self.execute('show', factories.IMAGE)

        self.assertIn(f'Image {factories.IMAGE}: 1 host with all of it.', err)
        self.assertIn('spares a server about 50.3 s: 3 GiB at the median '
                      'rate of 2 hosts.', err)
        self.assertIn('4 servers on 3 nodes, most on a: 2, 50 % of all.', err)
        self.assertIn('Zones: az1.\nAggregates: east.\n', err)

    def test_no_host_has_fetched(self):
        _status, _out, err = self.execute('show', factories.IMAGE)

        self.assertIn('at a rate that is assumed: no host has fetched', err)

    def test_name(self):
        with mock.patch.object(glance, 'names', autospec=True,
                               return_value={factories.IMAGE: 'debian'}):
            _status, _out, err = self.execute('show', factories.IMAGE)
            [row] = self.read_json('list')

        self.assertIn(f'Image {factories.IMAGE} (debian): ', err)
        self.assertEqual('debian', row['Name'])

    def test_glance_is_not_asked(self):
        with mock.patch.object(glance, 'names', autospec=True) as names:
            self.execute('show', factories.IMAGE, '--no-names')
            self.execute('list', '--no-names')

        names.assert_not_called()

    def test_no_such_image(self):
        status, _out, err = self.execute('show', factories.OTHER_IMAGE)

        self.assertEqual(1, status)
        self.assertIn(f"no host holds image '{factories.OTHER_IMAGE}', and",
                      err)

    def test_name_that_is_asked_for(self):
        status, _out, err = self.execute('show', 'large')

        self.assertEqual(1, status)
        self.assertIn('give the id of an image, not its name', err)

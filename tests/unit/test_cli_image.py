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
            'Image': factories.IMAGE, 'GiB': 3.0, 'Holding': 1, 'Arriving': 1,
            'Servers': 3, 'Nodes': 2, 'Most on one': 2,
        }], self.read_json('list'))


class TestImageShow(ImageCommandTestCase):

    def test_hosts(self):
        self.assertEqual([
            {'Host': 'a', 'Node': 'a', 'Zone': '', 'Aggregates': '',
             'Image': 'complete', 'Servers': 2},
            {'Host': 'b', 'Node': 'b', 'Zone': 'az1', 'Aggregates': 'east',
             'Image': 'arriving', 'Servers': 0},
            {'Host': 'c', 'Node': 'c', 'Zone': '', 'Aggregates': '',
             'Image': '', 'Servers': 1},
        ], self.read_json('show', factories.IMAGE.upper()))

    def test_no_such_image(self):
        status, _out, err = self.execute('show', factories.OTHER_IMAGE)

        self.assertEqual(1, status)
        self.assertIn(f"no host holds image '{factories.OTHER_IMAGE}', and",
                      err)

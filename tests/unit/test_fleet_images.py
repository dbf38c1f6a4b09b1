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

import os
from unittest import mock

from cache_aware_sched.fleet import images
from cache_aware_sched import nova_databases
from cache_aware_sched import report
from tests.unit import factories
from tests.unit import test_fleet_hosts
from tests.unit.test_fleet_hosts import reporting

GIB = factories.GIB
SHA1 = report.image_sha1(factories.IMAGE)
Kind = report.FileKind


class TestImages(test_fleet_hosts.FleetTestCase):

    def images(self):
        api = self.database()
        return images.read(self.read(), nova_databases.cells(api, ()))

    def test_who_holds_and_who_runs(self):
        self.host('a', reporting(report.BaseFile(SHA1, 3 * GIB)))
        self.host('b', reporting(report.BaseFile(SHA1, 0, Kind.ARRIVING)),
                  cell='cell2')
        for host, cell in (('a', 'cell1'), ('a', 'cell1'), ('b', 'cell2')):
            self.server(factories.IMAGE, host, cell)

        [image] = self.images().all

        self.assertEqual(
            (factories.IMAGE, 3 * GIB, ['a'], ['b'], 3, 2), (
                image.id, image.size, [host.name for host in image.holding],
                [host.name for host in image.arriving], image.running,
                image.most))
        self.assertEqual({('a', 'a'): 2, ('b', 'b'): 1}, image.servers)

    def test_id_in_upper_case(self):
        self.server(factories.IMAGE.upper())
        self.server(factories.IMAGE)

        [image] = self.images().all

        self.assertEqual((factories.IMAGE, 2), (image.id, image.running))

    def test_image_that_no_server_has(self):
        self.host('a', reporting(report.BaseFile(SHA1, GIB)))

        [image] = self.images().all

        self.assertEqual(('', report.image_key(factories.IMAGE)),
                         (image.id, image.name))

    def test_servers_that_do_not_count(self):
        self.server('')
        self.server(None)
        self.server(factories.IMAGE, deleted=7)
        self.server(factories.IMAGE, hidden=True)
        self.server(factories.IMAGE, host=None)

        self.assertEqual([], self.images().all)

    def test_order(self):
        self.host('a', reporting(
            report.BaseFile('1' * 40, GIB), report.BaseFile('2' * 40, GIB)))
        self.host('b', reporting(report.BaseFile('2' * 40, GIB)))
        self.server(factories.IMAGE)

        self.assertEqual(
            [(1, 0), (0, 2), (0, 1)],
            [(image.running, len(image.holding))
             for image in self.images().all])

    def test_find(self):
        self.server(factories.IMAGE)
        found = self.images()

        for name in (factories.IMAGE, factories.IMAGE.upper(),
                     report.image_key(factories.IMAGE)):
            self.assertIs(found.all[0], found.find(name))
        self.assertIsNone(found.find(factories.OTHER_IMAGE))

    def test_cell_that_does_not_answer_is_told_once(self):
        self.server(factories.IMAGE)
        os.unlink(os.path.join(self.path, 'cell2'))

        found = self.images()

        self.assertEqual(1, len(found.all))
        self.assertEqual(['cell2'], list(found.unread))

    def test_cell_that_does_not_answer_is_not_asked_again(self):
        self.server(factories.IMAGE, cell='cell2')
        test_fleet_hosts.NODES.drop(self.cells['cell2'])

        found = self.images()

        self.assertEqual((['cell2'], []), (
            list(found.unread), list(found.all)))

    def test_ids_of_deleted_servers(self):
        self.host('a', reporting(
            report.BaseFile(SHA1, GIB), report.BaseFile('2' * 40, GIB)))
        self.server(factories.IMAGE.upper(), cell='cell2', deleted=1)
        self.server(None, deleted=2)
        fleet = self.read()
        cells = nova_databases.cells(self.database(), ())
        found = images.read(fleet, cells)

        images.identify(found, cells)

        self.assertEqual(
            [factories.IMAGE, report.records.sha1_key('2' * 40)],
            [image.name for image in found.all])
        self.assertEqual(0, found.all[0].running)

    def test_cell_that_could_not_be_read_is_not_asked_for_ids(self):
        self.host('a', reporting(report.BaseFile(SHA1, GIB)))
        cells = nova_databases.cells(self.database(), ())
        test_fleet_hosts.INSTANCES.drop(self.cells['cell1'])
        found = images.read(self.read(), cells)
        asked = [mock.Mock(wraps=cell, cell=cell.cell) for cell in cells]

        images.identify(found, asked)

        self.assertEqual([('cell1', False), ('cell2', True)], sorted(
            (cell.cell, cell.select.called) for cell in asked))

    def test_cell_that_gives_no_ids(self):
        self.host('a', reporting(report.BaseFile(SHA1, GIB)))
        self.server(factories.IMAGE, deleted=1)
        fleet = self.read()
        cells = nova_databases.cells(self.database(), ())
        found = images.read(fleet, cells)
        test_fleet_hosts.INSTANCES.drop(self.cells['cell1'])

        images.identify(found, cells)

        self.assertEqual([report.image_key(factories.IMAGE)],
                         [image.name for image in found.all])

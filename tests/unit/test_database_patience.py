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

import fixtures
from oslo_db.sqlalchemy import engines

from cache_aware_sched import database_patience
from cache_aware_sched import nova_databases
from tests.unit import base
from tests.unit import factories
from tests.unit import test_fleet_hosts

URL = 'mysql+pymysql://u:p@h/nova'


class TestParameters(base.TestCase):

    def test_database_is_given_up(self):
        self.assertEqual('connect_timeout=10&read_timeout=30',
                         database_patience.parameters(URL, None))

    def test_what_the_operator_gives_stays(self):
        for url, given, expected in (
                (URL, 'charset=utf8',
                 'charset=utf8&connect_timeout=10&read_timeout=30'),
                (URL, 'read_timeout=5', 'read_timeout=5&connect_timeout=10'),
                (f'{URL}?connect_timeout=2&charset=utf8', '',
                 'read_timeout=30')):
            with self.subTest(url=url, given=given):
                self.assertEqual(
                    expected, database_patience.parameters(url, given))

    def test_driver_that_knows_no_such_options(self):
        for url in ('sqlite://', 'mysql+mysqlconnector://h/nova',
                    'postgresql://h/nova', 'no address'):
            with self.subTest(url=url):
                self.assertEqual(
                    'a=b', database_patience.parameters(url, 'a=b'))


class TestCells(test_fleet_hosts.FleetTestCase):

    def test_every_connection_is_given_up(self):
        self.map_cell('cell3', factories.new_uuid(), f'{URL}?charset=utf8')
        create = self.useFixture(fixtures.MockPatchObject(
            engines, 'create_engine', autospec=True,
            side_effect=engines.create_engine)).mock
        [*_others, cell] = nova_databases.cells(self.database(), ())

        self.assertRaises(nova_databases.Unreadable, cell.select, mock.Mock())

        self.assertEqual('connect_timeout=10&read_timeout=30',
                         create.call_args.kwargs['connection_parameters'])

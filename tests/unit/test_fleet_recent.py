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
import os

import sqlalchemy as sa

from cache_aware_sched.fleet import recent
from cache_aware_sched import nova_databases
from tests.unit import factories
from tests.unit import test_fleet_hosts
from tests.unit.test_fleet_hosts import INSTANCES
from tests.unit.test_fleet_hosts import NOW


def ago(**how):
    return NOW - datetime.timedelta(**how)


class RecentServersTests(test_fleet_hosts.FleetTestCase):

    def setUp(self):
        super().setUp()
        self.recent = recent.RecentServers(datetime.timedelta(days=2))

    def create(self, uuid, created, launched=None, updated=None, **fields):
        self.server(fields.pop('image', factories.IMAGE), uuid=uuid,
                    created_at=created, launched_at=launched,
                    updated_at=updated or launched or created, **fields)

    def update(self, now=NOW):
        api = self.database()
        self.changed, self.unread = self.recent.update(
            nova_databases.cells(api, ()), now)
        return sorted(server.uuid for server in self.changed)

    def test_servers_of_the_period(self):
        self.create('old', ago(days=3), updated=NOW)
        self.create('new', ago(hours=1), host='b', cell='cell2')
        self.create('deleted', ago(hours=2), deleted=7)
        for number, fields in enumerate((
                {'image': ''}, {'image': None}, {'hidden': True})):
            self.create(f'not{number}', ago(hours=1), **fields)

        self.assertEqual(['deleted', 'new'], self.update())
        self.assertEqual({factories.IMAGE: [ago(hours=2), ago(hours=1)]},
                         {image: sorted(times) for image, times
                          in self.recent.created().items()})

    def test_seconds_to_active(self):
        self.create('a', ago(minutes=3), ago(minutes=1),
                    image=factories.IMAGE.upper())

        self.update()

        [server] = self.recent
        self.assertEqual((factories.IMAGE, 'a', 120.0),
                         (server.image, server.host, server.seconds))

    def test_only_what_has_changed_is_read_again(self):
        self.create('a', ago(hours=1))
        self.create('b', ago(hours=1))
        self.update()
        later = NOW + datetime.timedelta(minutes=30)
        self.run_in(self.cells['cell1'], sa.update(INSTANCES).where(
            INSTANCES.c.uuid == 'b').values(
                updated_at=later, launched_at=later))

        self.assertEqual(['b'], self.update(later))
        self.assertEqual(2, len(list(self.recent)))

    def test_row_that_a_slow_clock_wrote(self):
        self.update()
        self.create('a', ago(minutes=1))

        self.assertEqual(['a'], self.update())

    def test_servers_leave_the_period(self):
        self.create('a', ago(hours=1))
        self.update()

        self.update(NOW + datetime.timedelta(days=2))

        self.assertEqual([], list(self.recent))

    def test_cell_that_does_not_answer_is_caught_up_with(self):
        path = os.path.join(self.path, 'cell2')
        self.update()
        os.rename(path, path + '.away')
        self.update(NOW + datetime.timedelta(hours=3))
        self.assertEqual(['cell2'], list(self.unread))
        os.rename(path + '.away', path)
        self.create('a', NOW + datetime.timedelta(hours=1), cell='cell2')

        self.assertEqual(
            ['a'], self.update(NOW + datetime.timedelta(hours=4)))

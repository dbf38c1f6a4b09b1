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

import sqlalchemy as sa

from cache_aware_sched.fleet import caps
from cache_aware_sched.fleet.images import KnownImage
from tests.unit import factories
from tests.unit import test_fleet_hosts
from tests.unit.test_fleet_hosts import AGGREGATES
from tests.unit.test_fleet_hosts import MEMBERS
from tests.unit.test_fleet_hosts import METADATA


class HostCapsTests(test_fleet_hosts.FleetTestCase):

    def aggregate(self, host, key, value):
        with self.api.begin() as connection:
            number = connection.execute(sa.insert(AGGREGATES).values(
                name=f'{host}{value}', uuid=factories.new_uuid())
                ).inserted_primary_key[0]
            connection.execute(sa.insert(MEMBERS).values(
                aggregate_id=number, host=host))
            connection.execute(sa.insert(METADATA).values(
                aggregate_id=number, key=key, value=value))

    def headroom(self, hosts=10, **servers):
        image = KnownImage('digest', servers={
            (host, host): number for host, number in servers.items()})
        return caps.read(self.database()).headroom(image, hosts)

    def test_option(self):
        self.set(max_same_image_instances_per_host=4)

        self.assertEqual([3, 0, -1], self.headroom(a=1, b=4, c=5))

    def test_default_is_no_cap_where_nobody_asks_for_one(self):
        self.assertEqual([], self.headroom(a=1))
        self.set_nova('filter_scheduler', enabled_filters=[
            'ImageAntiAffinityFilter'])
        self.assertEqual([9], self.headroom(a=1))

    def test_aggregates(self):
        self.set(max_same_image_instances_per_host=4)
        for host, value in (('a', '7'), ('a', '6'), ('a', 'x'), ('b', '0'),
                            ('c', '0'), ('c', '9')):
            self.aggregate(host, factories.CAP, value)

        self.assertEqual([5, 8, 3], self.headroom(a=1, b=1, c=1, d=1))

    def test_share(self):
        self.set(max_same_image_instances_per_host=2)
        self.aggregate('a', factories.SHARE, '0.5')

        # Half of 20 servers and the next one, and two.
        self.assertEqual([1, -8], self.headroom(a=10, b=10))

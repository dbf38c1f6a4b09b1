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

"""The fake driver reports as the real one does."""

# isort: off
from tests.functional import base
# isort: on

import time

from cache_aware_sched import report
from cache_aware_sched.report import Holding
from cache_aware_sched.virt import fake


class FakeDriverTests(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.start('host1', 'host2')

    def holding(self, host, image):
        return self.reported(host).holding(report.image_key(image))

    def wait_for(self, host, image, holding, seconds=20):
        end = time.monotonic() + seconds
        while self.holding(host, image) is not holding:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_a_boot_fills_the_cache_of_its_host_only(self):
        image = self.image()

        self.boot(image, host='host1')

        self.wait_for('host1', image, Holding.WARM)
        self.report('host2')
        self.assertIs(Holding.COLD, self.holding('host2', image))

    def test_users_are_counted(self):
        image = self.image()
        for _server in range(3):
            self.boot(image, host='host1')
        self.report('host1')

        file, = self.reported('host1').files(report.image_key(image))
        self.assertEqual(3, file.users)

    def test_an_image_is_arriving_while_it_is_fetched(self):
        self.set(fake_image_fetch_seconds=3.0)
        image = self.image()

        server = self.request(image, host='host1')
        self._wait_for_server_parameter(
            server, {'OS-EXT-STS:task_state': 'spawning'})

        self.wait_for('host1', image, Holding.ARRIVING)
        self.settle(server)
        self.wait_for('host1', image, Holding.WARM)

    def test_a_pre_cache_request(self):
        image = self.image()
        aggregate = self.aggregate(['host1', 'host2'])

        self.api.api_post(f'/os-aggregates/{aggregate}/images',
                          {'cache': [{'id': image}]})

        for host in self.computes:
            self.wait_for(host, image, Holding.WARM)

    def test_a_restart_keeps_node_cache_and_servers(self):
        image = self.image()
        server = self.boot(image, host='host1')
        nodes = self.nodes()

        self.computes['host1'] = self.restart_compute_service(
            self.computes['host1'], keep_hypervisor_state=False)
        self.report('host1')

        self.assertEqual(nodes, self.nodes())
        self.assertIs(Holding.WARM, self.holding('host1', image))
        self.assertEqual('ACTIVE', self.api.get_server(
            server['id'])['status'])
        self.assertEqual('host1', self.where(image))

    def nodes(self):
        return {node['hypervisor_hostname']: node['id']
                for node in self.api.api_get(
                    '/os-hypervisors').body['hypervisors']}

    def test_a_host_whose_image_went_is_cold(self):
        image = self.image()
        self.boot(image, host='host1')

        fake.image_cache('host1').remove(image)
        self.report('host1')

        self.assertIs(Holding.COLD, self.holding('host1', image))

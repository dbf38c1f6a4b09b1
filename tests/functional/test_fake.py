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

from nova import context as nova_context

from cache_aware_sched import report
from cache_aware_sched.report import Holding
from cache_aware_sched.virt import fake

SIZE = 10 * base.GIB


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


class ServerChangesTests(base.CloudTestCase):
    """Servers come and go; no periodic task runs."""

    # On a busy machine nova writes what it did a second later.
    SETTLE_SECONDS = 2.0

    def setUp(self):
        super().setUp()
        self.start('host1', 'host2')
        self.the_image = self.image()
        self.server = self.boot(self.the_image, host='host1')
        self.wait_for_users(host1=1, host2=0)

    def wait_for_users(self, seconds=20, **users):
        end = time.monotonic() + seconds
        key = report.image_key(self.the_image)
        while {host: self.reported(host).look_up(key).users
               for host in users} != users:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def wait_for_servers(self, host, servers, seconds=20):
        end = time.monotonic() + seconds
        while self.reported(host).header.servers != servers:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_a_boot(self):
        """Nothing is fetched for it, so its server is all that changes."""
        self.boot(self.the_image, host='host1')

        self.wait_for_users(host1=2)
        self.wait_for_servers('host1', 2)

    def test_a_deletion(self):
        self._delete_server(self.server)

        self.wait_for_users(host1=0)
        self.wait_for_servers('host1', 0)

    def test_a_resize_counts_on_both_hosts_until_it_is_confirmed(self):
        self._migrate_server(self.server)
        self._wait_for_state_change(self.server, 'VERIFY_RESIZE')
        self.wait_for_users(host1=1, host2=1)

        self._confirm_resize(self.server)

        self.wait_for_users(host1=0, host2=1)

    def test_a_resize_that_is_reverted(self):
        self._migrate_server(self.server)
        self._wait_for_state_change(self.server, 'VERIFY_RESIZE')
        self.wait_for_users(host1=1, host2=1)

        self._revert_resize(self.server)

        self.wait_for_users(host1=1, host2=0)

    def test_a_live_migration(self):
        self._live_migrate(self.server)

        self.wait_for_users(host1=0, host2=1)


class ManagedCacheTests(base.CloudTestCase):
    """The cache of host1 is managed: two images, 50 GiB."""

    def configure(self):
        super().configure()
        self.set(image_cache_manager='lru', image_cache_max_images=2,
                 image_cache_max_size_gb=50)

    def setUp(self):
        super().setUp()
        self.start('host1')
        self.old, self.young = self.image(SIZE), self.image(SIZE)
        for image in (self.old, self.young):
            fake.image_cache('host1').put(image, SIZE)
        self.report('host1')

    def left(self):
        return [image for image in (self.old, self.young)
                if fake.image_cache('host1').has(image)]

    def holding(self, image):
        return self.reported('host1').holding(report.image_key(image))

    def told(self):
        return [(message.event_type, message.payload)
                for message in self.notifier.notifications
                if message.event_type.startswith('image_cache.')]

    def payload(self, image, **fields):
        return {'image_id': image, 'host': 'host1', 'size': SIZE,
                'file': report.image_sha1(image), 'reason': None,
                'instance_uuid': None, **fields}

    def run_pass(self):
        self.flags(host='host1')
        context = nova_context.get_admin_context()
        with nova_context.target_cell(
                context, self.host_mappings['host1'].cell_mapping) as cell:
            self.computes['host1'].manager._run_image_cache_manager_pass(cell)

    def test_boot_of_a_cached_image_is_a_hit(self):
        server = self.boot(self.old)

        self.assertEqual(
            [('image_cache.hit', self.payload(
                self.old, instance_uuid=server['id']))], self.told())

    def test_boot_of_another_image_is_a_miss_and_evicts_the_oldest(self):
        image = self.image(SIZE)

        server = self.boot(image)

        self.assertEqual([self.young], self.left())
        evicted, missed = self.told()
        self.assertEqual(
            ('image_cache.evict', self.payload(
                self.old, image_id=None,  # nobody has named it yet
                reason='image_cache_max_images')), evicted)
        self.assertEqual(
            ('image_cache.miss', self.payload(
                image, instance_uuid=server['id'])), missed)

    def test_image_of_a_server_stays(self):
        self.boot(self.old)
        # Given it was used before the other one
        fake.image_cache('host1').touch(self.young)

        self.boot(self.image())

        self.assertEqual([self.old], self.left())

    def test_scheduler_learns_of_an_eviction_at_once(self):
        self.assertIs(Holding.WARM, self.holding(self.old))
        fake.image_cache('host1').put(self.image(), SIZE)

        self.run_pass()

        end = time.monotonic() + 20
        while self.holding(self.old) is not Holding.COLD:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        self.assertIs(Holding.WARM, self.holding(self.young))

    def test_pre_cache_of_what_is_too_large_is_refused(self):
        image = self.image(size=60 * base.GIB)
        aggregate = self.aggregate(['host1'])

        self.api.api_post(f'/os-aggregates/{aggregate}/images',
                          {'cache': [{'id': image}]})
        self.notifier.wait_for_versioned_notifications(
            'aggregate.cache_images.end')

        self.assertFalse(fake.image_cache('host1').has(image))
        self.assertEqual([self.old, self.young], self.left())
        self.assertRegex(
            self.stdlog.logger.output,
            f'ERROR .*Failed to cache image {image}: .*'
            'image_cache_max_size_gb is 50')

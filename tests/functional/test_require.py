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
"""Servers that ask for a host with their image get one, or none."""

from tests.functional import base

# isort: off
# After nova's own fixtures.
from cache_aware_sched.explain import asked as asked_mod
from cache_aware_sched.explain import now
from cache_aware_sched.explain import text
from cache_aware_sched import nova_databases
from cache_aware_sched.virt import fake
# isort: on

REQUIRE = {'image_cache': 'require'}


class RequireTestCase(base.CloudTestCase):
    """Of three hosts host2 holds an image, and host3 is fetching it."""

    HOSTS = ('host1', 'host2', 'host3')

    def configure(self):
        super().configure()
        self.enable_image_cache_filter()

    def setUp(self):
        super().setUp()
        self.start(*self.HOSTS)
        self.warm = self.image()
        self.cache('host2', self.warm)
        fake.image_cache('host3').begin(self.warm, 20 * base.GIB)
        self.report('host3')

    def refusal(self):
        """Return the line that says why no host was left."""
        [line] = [line for line in self.stdlog.logger.output.splitlines()
                  if 'No host is left' in line and 'require' in line]
        return line


class RequireTests(RequireTestCase):

    def test_goes_where_the_image_is(self):
        # Given the weigher would rather not
        self.set(image_cache_weight_multiplier=-100.0)

        self.assertEqual(
            {'host2'}, {self.where(self.warm, hints=REQUIRE)
                        for _server in range(3)})

    def test_without_the_hint_nothing_changes(self):
        self.assertEqual('host1', self.where(self.warm, host='host1'))

    def test_an_image_that_is_nowhere(self):
        image = self.image()

        server = self.boot(image, expect='ERROR', hints=REQUIRE)

        self.assertIn('No valid host', server['fault']['message'])
        line = self.refusal()
        self.assertIn(image, line)
        self.assertIn('0 hold it; 3 are cold, 0 arriving, 0 unknown', line)

    def test_a_named_host_without_the_image(self):
        self.boot(self.warm, expect='ERROR', hints=REQUIRE, host='host3')

        self.assertIn('0 are cold, 1 arriving', self.refusal())

    def test_a_forced_host_is_taken_as_nova_does(self):
        self.assertEqual('host1', self.where(
            self.warm, hints=REQUIRE, az='nova:host1'))

    def test_a_multi_create(self):
        self.request(self.warm, number=4, hints=REQUIRE)

        self.assertEqual({'host2': 4}, self.spread())

    def test_alternates_hold_the_image(self):
        # Given host1 holds it as well, and host2 fails every build
        self.cache('host1', self.warm)
        self.computes['host2'].manager.driver._boot_image = self.fail_build

        for _server in range(3):
            self.request(self.warm, hints=REQUIRE)

        self.assertEqual({'host1': 3}, self.spread())

    def fail_build(self, *args):
        raise OSError('no')

    def test_a_volume_backed_server(self):
        server = self._build_server(image_uuid='', flavor_id=self.flavor,
                                    networks='none', host='host1')
        server['block_device_mapping_v2'] = [{
            'boot_index': 0, 'destination_type': 'volume', 'volume_size': 1,
            'source_type': 'image', 'uuid': self.image()}]

        server = self.api.post_server({
            'server': server, 'os:scheduler_hints': REQUIRE})

        self._wait_for_state_change(server, 'ACTIVE')

    def test_the_cap_counts_as_well(self):
        self.set(max_same_image_instances_per_host=1)
        self.boot(self.warm, hints=REQUIRE)

        self.boot(self.warm, expect='ERROR', hints=REQUIRE)

        self.assertIn('all 1 candidates', self.stdlog.logger.output)


class LaterTests(RequireTestCase):
    """What the hint, which stays with a server, does to it later."""

    def setUp(self):
        super().setUp()
        self.server = self.boot(self.warm, hints=REQUIRE)

    def host(self):
        return self.api.get_server(
            self.server['id'])['OS-EXT-SRV-ATTR:host']

    def test_a_cold_migration(self):
        self._migrate_server(self.server)

        self.assertNotEqual('host2', self.host())

    def test_a_resize(self):
        self._resize_server(self.server, self.flavor_with(vcpu=2))

    def test_an_evacuation(self):
        self.computes['host2'].stop()
        self.force_down('host2')

        self._evacuate_server(
            self.server, expected_migration_status='done')

        self.assertNotEqual('host2', self.host())

    def test_to_unshelve(self):
        server = self._shelve_server(self.server)
        fake.image_cache('host2').remove(self.warm)
        self.report('host2')

        self._unshelve_server(server)

    def rebuild(self, image, expect):
        self.api.post_server_action(
            self.server['id'], {'rebuild': {'imageRef': image}})
        return self._wait_for_state_change(self.server, expect)

    def test_a_rebuild_to_an_image_that_its_host_holds(self):
        other = self.image()
        self.cache('host2', other)

        server = self.rebuild(other, 'ACTIVE')

        self.assertEqual(other, server['image']['id'])

    def test_a_rebuild_to_an_image_that_its_host_does_not_hold(self):
        other = self.image()

        server = self.rebuild(other, 'ERROR')

        # Then its disk is what it was
        self.assertEqual(self.warm, server['image']['id'])
        self.assertEqual('host2', self.host())
        self.assertIn('Of 1 candidate', self.refusal())
        # And once the image is there it can be rebuilt
        self.cache('host2', other)
        self.assertEqual(
            other, self.rebuild(other, 'ACTIVE')['image']['id'])

    def test_a_rebuild_with_the_same_image(self):
        fake.image_cache('host2').remove(self.warm)
        self.report('host2')

        self.rebuild(self.warm, 'ACTIVE')


class ExplainTests(RequireTestCase):

    def test_who_does_not_hold_it(self):
        api = nova_databases.api_database()

        [found] = now.explain(
            asked_mod.Asked(image=self.warm, flavor=self.flavor,
                            hints={'image_cache': ['require']}),
            api, nova_databases.cells(api, ()),
            self.glance.show(None, self.warm))

        self.assertEqual('host2', found.decision.winner)
        lines = '\n'.join(text.lines(found, 'host3'))
        self.assertIn(
            'ImageCacheFilter: does not hold the image (hint image_cache = '
            'require): host1', lines)
        self.assertIn(
            'host3 cannot take the server: ImageCacheFilter: is still '
            'fetching the image (hint image_cache = require).', lines)

    def test_nobody_holds_it(self):
        api, image = nova_databases.api_database(), self.image()

        [found] = now.explain(
            asked_mod.Asked(image=image, flavor=self.flavor,
                            hints={'image_cache': ['require']}),
            api, nova_databases.cells(api, ()), self.glance.show(None, image))

        self.assertEqual('', found.decision.winner)
        self.assertIn('3  ImageCacheFilter: does not hold the image',
                      '\n'.join(text.lines(found)))

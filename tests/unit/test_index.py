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

from cache_aware_sched.scheduler.same_image import index
from tests.unit import base
from tests.unit import factories

IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
PROJECT = factories.PROJECT


class IndexTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.index = index.InstanceIndex()
        self.shown = {}

    def show(self, host, *instances):
        """Look at a host that shows these instances."""
        found, = self.index.of_hosts(
            [factories.host(host, instances=instances)])
        self.shown[host] = found
        return found


class TestHost(IndexTestCase):

    def test_empty(self):
        found = self.show('h')

        self.assertEqual(({}, frozenset()),
                         (found.by_image, found.unresolved))

    def test_by_image(self):
        one, two = factories.instance(), factories.instance()
        other = factories.instance(OTHER_IMAGE, project='p')

        found = self.show('h', one, other, two)

        self.assertEqual(
            {IMAGE: {one.uuid: PROJECT, two.uuid: PROJECT},
             OTHER_IMAGE: {other.uuid: 'p'}}, found.by_image)
        self.assertEqual(frozenset(), found.unresolved)

    def test_stubs_are_told_apart_and_left_alone(self):
        server, stub = factories.instance(), factories.stub()

        found = self.show('h', server, stub)

        self.assertEqual({IMAGE: {server.uuid: PROJECT}}, found.by_image)
        self.assertEqual({stub.uuid}, found.unresolved)
        # It was not loaded, which would be a query each.
        self.assertFalse(stub.obj_attr_is_set('image_ref'))

    def test_servers_that_boot_from_volume_are_not_counted(self):
        found = self.show('h', factories.instance(''),
                          factories.instance(None))

        self.assertEqual(({}, frozenset()),
                         (found.by_image, found.unresolved))

    def test_server_without_a_project(self):
        server = factories.instance()
        del server._obj_project_id

        found = self.show('h', server)

        self.assertEqual({IMAGE: {server.uuid: None}}, found.by_image)


class TestChange(IndexTestCase):

    def test_unchanged_host_gives_the_same_object(self):
        servers = [factories.instance() for _ in range(3)]

        first = self.show('h', *servers)

        self.assertIs(first, self.show('h', *servers))

    def test_hosts_are_told_apart(self):
        one, other = factories.instance(), factories.instance()

        self.assertIn(one.uuid, self.show('a', one).by_image[IMAGE])
        self.assertIn(other.uuid, self.show('b', other).by_image[IMAGE])
        self.assertIn(one.uuid, self.show('a', one).by_image[IMAGE])

    def test_server_that_came(self):
        one, other = factories.instance(), factories.instance()
        self.show('h', one)

        self.assertEqual(
            {one.uuid, other.uuid},
            set(self.show('h', one, other).by_image[IMAGE]))

    def test_server_that_went(self):
        one, other = factories.instance(), factories.instance()
        self.show('h', one, other)

        self.assertEqual(
            {one.uuid}, set(self.show('h', one).by_image[IMAGE]))

    def test_rebuilt_server_has_its_new_image(self):
        old = factories.instance()
        self.show('h', old)
        new = factories.instance(OTHER_IMAGE, instance_uuid=old.uuid)

        self.assertEqual({OTHER_IMAGE: {old.uuid: PROJECT}},
                         self.show('h', new).by_image)

    def test_stub_that_was_replaced(self):
        stub = factories.stub()
        self.show('h', stub)
        server = factories.instance(instance_uuid=stub.uuid)

        found = self.show('h', server)

        self.assertEqual({IMAGE: {stub.uuid: PROJECT}}, found.by_image)
        self.assertEqual(frozenset(), found.unresolved)

    def test_memory_is_bounded(self):
        self.addCleanup(setattr, index, 'MAX_HOSTS', index.MAX_HOSTS)
        index.MAX_HOSTS = 10
        server = factories.instance()
        for number in range(35):
            self.show(f'h{number}', server)

        self.assertLessEqual(len(self.index._hosts), 10)
        self.assertIn(server.uuid, self.show('h0', server).by_image[IMAGE])


class TestGlance(IndexTestCase):
    """A host whose instances look as they did is not looked through."""

    def setUp(self):
        super().setUp()
        self.now = 100.0
        self.index = index.InstanceIndex(lambda: self.now)
        self.servers = [factories.instance() for _ in range(3)]
        self.state = factories.host('h', instances=self.servers)

    def images(self):
        found, = self.index.of_hosts([self.state])
        return {image: set(servers)
                for image, servers in found.by_image.items()}

    def uuids(self, *servers):
        return {server.uuid for server in servers}

    def put(self, server):
        self.state.instances[server.uuid] = server

    def test_server_that_came_is_seen_at_once(self):
        self.images()
        new = factories.instance()
        self.put(new)

        self.assertEqual({IMAGE: self.uuids(*self.servers, new)},
                         self.images())

    def test_server_that_went_as_another_came_is_seen_at_once(self):
        self.images()
        del self.state.instances[self.servers[0].uuid]
        new = factories.instance()
        self.put(new)

        self.assertEqual({IMAGE: self.uuids(*self.servers[1:], new)},
                         self.images())

    def test_the_last_server_that_was_replaced_is_seen_at_once(self):
        self.images()
        self.put(factories.instance(
            OTHER_IMAGE, instance_uuid=self.servers[-1].uuid))

        self.assertEqual({IMAGE: self.uuids(*self.servers[:2]),
                          OTHER_IMAGE: self.uuids(self.servers[-1])},
                         self.images())

    def test_any_server_that_was_replaced_is_seen_in_seconds(self):
        self.images()
        self.put(factories.instance(
            OTHER_IMAGE, instance_uuid=self.servers[0].uuid))
        self.now += index.GLANCE

        self.assertEqual({IMAGE: self.uuids(*self.servers[1:]),
                          OTHER_IMAGE: self.uuids(self.servers[0])},
                         self.images())

    def test_nova_changes_them_at_this_very_moment(self):
        class Values(list):
            def __reversed__(self):
                raise RuntimeError('changed during iteration')

        class Instances(dict):
            def values(self):
                return Values(super().values())

        self.state.instances = Instances(self.state.instances)
        self.images()

        self.assertEqual({IMAGE: self.uuids(*self.servers)}, self.images())

    def test_other_instances_of_nova_are_seen_at_once(self):
        self.images()
        self.state.instances = {}

        self.assertEqual({}, self.images())


class TestStale(IndexTestCase):

    def moved(self, **newer):
        """Show a server on two hosts, the newer word on the new one."""
        uuid = factories.new_uuid()
        self.old = factories.instance(host='old', instance_uuid=uuid)
        self.new = factories.instance(
            **{'host': 'new', 'minutes': 1, **newer}, instance_uuid=uuid)
        self.show('old', self.old)
        self.show('new', self.new)
        return uuid

    def stale(self):
        return tuple(
            set(self.shown[host].stale) if host in self.shown else set()
            for host in ('old', 'new'))

    def test_server_on_one_host_is_not_stale(self):
        self.show('old', factories.instance(host='old'))

        self.assertEqual((set(), set()), self.stale())
        self.assertTrue(self.shown['old'].plain)

    def test_server_whose_two_hosts_are_seen_in_either_order(self):
        uuid = self.moved()
        self.show('old')
        self.show('old', self.old)

        self.assertEqual(({uuid}, set()), self.stale())

    def test_live_migration_leaves_a_stale_entry(self):
        uuid = self.moved()

        self.assertEqual(({uuid}, set()), self.stale())
        self.assertFalse(self.shown['old'].plain)
        self.assertTrue(self.shown['new'].plain)

    def test_unconfirmed_resize_is_on_both(self):
        self.moved(vm_state='resized')

        self.assertEqual((set(), set()), self.stale())

    def test_confirmed_resize_leaves_a_stale_entry(self):
        uuid = self.moved(vm_state='active')

        self.assertEqual(({uuid}, set()), self.stale())

    def test_server_that_was_moved_away_without_a_host_is_not_stale(self):
        self.moved(host=None)

        self.assertEqual((set(), set()), self.stale())

    def test_unknown_times_say_nothing(self):
        self.moved()
        self.show('new')
        self.new._obj_updated_at = None
        self.show('new', self.new)

        self.assertEqual((set(), set()), self.stale())

    def test_entry_is_gone_with_the_next_sync(self):
        self.moved()

        self.show('old')

        self.assertEqual((set(), set()), self.stale())

    def test_deleted_server(self):
        self.moved()

        self.show('new')

        self.assertEqual((set(), set()), self.stale())

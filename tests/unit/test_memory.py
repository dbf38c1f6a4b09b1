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

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.scheduler.same_image import host_servers
from cache_aware_sched.scheduler.same_image import memory
from tests.unit import base
from tests.unit import factories

IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
PROJECT = factories.PROJECT


class MemoryTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.memory = memory.InstanceMemory()

    def look(self, state):
        """Look at a host; read it if it is new, as it is else left alone."""
        is_new = state.host not in self.memory.hosts()
        known = self.memory.of_host(state, self.now)
        if is_new:
            self.memory.read(known, state, self.now)
        return known

    def show(self, host, *instances):
        """Look at a host that shows these instances."""
        return self.look(factories.host(host, instances=instances))

    def uuids(self, known, image=IMAGE, node='h'):
        return set(known.servers(node, image))


class TestHost(MemoryTestCase):

    def test_empty(self):
        known = self.show('h')

        self.assertEqual({}, known.servers('h', IMAGE))
        self.assertEqual(set(), known.unresolved)
        self.assertEqual(0, known.shows('h'))

    def test_by_image(self):
        one, two = factories.instance(), factories.instance()
        other = factories.instance(OTHER_IMAGE, project='p')

        known = self.show('h', one, other, two)

        self.assertEqual({one.uuid: PROJECT, two.uuid: PROJECT},
                         known.servers('h', IMAGE))
        self.assertEqual({other.uuid: 'p'}, known.servers('h', OTHER_IMAGE))
        self.assertEqual(set(), known.unresolved)

    def test_other_spelling_of_an_image(self):
        server = factories.instance(IMAGE.upper())

        self.assertEqual({server.uuid}, self.uuids(self.show('h', server)))

    def test_stubs_are_told_apart_and_left_alone(self):
        server, stub = factories.instance(), factories.stub()

        known = self.show('h', server, stub)

        self.assertEqual({server.uuid}, self.uuids(known))
        self.assertEqual({stub.uuid}, known.unresolved)
        self.assertEqual(2, known.shows('h'))
        # It was not loaded, which would be a query each.
        self.assertFalse(stub.obj_attr_is_set('image_ref'))

    def test_servers_that_boot_from_volume_are_shown_and_not_counted(self):
        known = self.show('h', factories.instance(''),
                          factories.instance(None))

        self.assertEqual({}, known.servers('h', ''))
        self.assertEqual(set(), known.unresolved)
        self.assertEqual(2, known.shows('h'))

    def test_server_without_a_project(self):
        server = factories.instance()
        del server._obj_project_id

        self.assertEqual({server.uuid: None},
                         self.show('h', server).servers('h', IMAGE))

    def test_new_host_is_not_read_before_it_is_told_to(self):
        state = factories.host('h', servers=1)
        for _request in range(2):
            known = self.memory.of_host(state, self.now)
            self.assertEqual(0, known.shows('h'))

        self.memory.read(known, state, self.now)

        self.assertEqual(1, known.shows('h'))


class TestNodes(MemoryTestCase):
    """One nova-compute can manage many nodes, as of bare metal."""

    def instance(self, node):
        server = factories.instance()
        server.node = node
        return server

    def test_are_told_apart(self):
        one, two, other = map(self.instance, ('n1', 'n1', 'n2'))

        known = self.show('h', one, other, two)

        self.assertEqual([{one.uuid, two.uuid}, {other.uuid}, set()], [
            self.uuids(known, node=node) for node in ('n1', 'n2', 'n3')])
        self.assertEqual([2, 1, 0], [
            known.shows(node) for node in ('n1', 'n2', 'n3')])

    def test_server_whose_node_is_not_known_may_be_on_any(self):
        one, nowhere = map(self.instance, ('n1', None))

        known = self.show('h', one, nowhere)

        self.assertEqual([{one.uuid, nowhere.uuid}, {nowhere.uuid}], [
            self.uuids(known, node=node) for node in ('n1', 'n2')])
        self.assertEqual([2, 1], [
            known.shows(node) for node in ('n1', 'n2')])

    def test_stub_is_on_the_node_where_it_was_learnt_to_be(self):
        known = self.learn('h', 'n1')

        self.assertEqual([{self.stub.uuid}, set()], [
            self.uuids(known, node=node) for node in ('n1', 'n2')])
        self.assertEqual([1, 0], [
            known.shows(node) for node in ('n1', 'n2')])

    def test_stub_that_was_learnt_on_another_host_may_be_on_any(self):
        known = self.learn('other', 'n1')

        self.assertEqual([{self.stub.uuid}] * 2, [
            self.uuids(known, node=node) for node in ('n1', 'n2')])
        self.assertEqual([1, 1], [
            known.shows(node) for node in ('n1', 'n2')])

    def test_stub_whose_node_was_not_learnt_may_be_on_any(self):
        known = self.learn('h', '')

        self.assertEqual([{self.stub.uuid}] * 2, [
            self.uuids(known, node=node) for node in ('n1', 'n2')])

    def learn(self, *spot):
        """Learn where a stub is that a host shows; look at the host."""
        self.stub = factories.stub()
        self.memory.learn([
            (self.stub.uuid, host_servers.Fact(IMAGE, PROJECT, spot))])
        return self.show('h', self.stub)

    def test_server_that_becomes_a_stub_stays_on_its_node(self):
        server = self.instance('n1')
        self.show('h', server)

        known = self.show('h', factories.stub(server.uuid))

        self.assertEqual([{server.uuid}, set()], [
            self.uuids(known, node=node) for node in ('n1', 'n2')])


class TestFact(base.TestCase):

    @hypothesis.given(
        st.text('abc-'), st.none() | st.text('abc-', min_size=1),
        st.none() | st.tuples(st.text('abc.', min_size=1), st.text('abc.')))
    def test_is_kept_whole(self, image, project, spot):
        fact = host_servers.Fact(image, project, spot)

        self.assertEqual(fact, host_servers.Fact.from_text(fact.to_text()))


class TestStubs(MemoryTestCase):
    """After a live migration both hosts show stubs only, and it stays so."""

    def test_server_that_was_seen_on_another_host_is_known(self):
        server = factories.instance(host='a')
        self.show('a', server)

        known = self.show('b', factories.stub(server.uuid))

        self.assertEqual({server.uuid: PROJECT}, known.servers('b', IMAGE))
        self.assertEqual(set(), known.unresolved)

    def test_server_that_is_seen_on_another_host_later_is_known(self):
        server = factories.instance(host='a')
        stub = factories.host('b', instances=[factories.stub(server.uuid)])
        self.assertEqual({server.uuid}, self.look(stub).unresolved)

        self.show('a', server)

        self.assertEqual({server.uuid},
                         self.uuids(self.look(stub), node='b'))

    def test_server_that_was_known_and_is_a_stub_now(self):
        server = factories.instance()
        self.show('h', server)

        known = self.show('h', factories.stub(server.uuid))

        self.assertEqual({server.uuid}, self.uuids(known))
        self.assertEqual(set(), known.unresolved)

    def test_what_is_learnt_is_known(self):
        ours, other = factories.stub(), factories.stub()
        state = factories.host('h', instances=[ours, other])
        self.look(state)

        self.memory.learn([(ours.uuid, host_servers.Fact(IMAGE, 'p')),
                           (other.uuid, host_servers.Fact(OTHER_IMAGE, 'p'))])

        known = self.look(state)
        self.assertEqual({ours.uuid: 'p'}, known.servers('h', IMAGE))
        self.assertEqual(set(), known.unresolved)

    def test_server_that_is_gone_counts_nothing(self):
        gone = factories.stub()
        state = factories.host('h', instances=[gone])

        self.memory.learn([(gone.uuid, host_servers.Fact('', None))])

        known = self.look(state)
        self.assertEqual(set(), known.unresolved)
        self.assertEqual(set(), self.uuids(known, image=''))

    def test_what_is_shown_beats_what_was_learnt(self):
        server = factories.instance()
        self.memory.learn([(server.uuid, host_servers.Fact(OTHER_IMAGE, 'p'))])

        known = self.show('h', server)

        self.assertEqual({server.uuid: PROJECT}, known.servers('h', IMAGE))
        self.assertEqual({}, known.servers('h', OTHER_IMAGE))

    def test_rebuilt_server_that_becomes_a_stub_has_its_new_image(self):
        old = factories.instance()
        self.show('h', old)
        new = factories.instance(OTHER_IMAGE, instance_uuid=old.uuid)
        self.show('h', new)

        known = self.show('h', factories.stub(old.uuid))

        self.assertEqual({old.uuid}, self.uuids(known, OTHER_IMAGE))


class TestDisprove(MemoryTestCase):
    """A cell says of which image stubs are not, or not any more."""

    def setUp(self):
        super().setUp()
        self.stubs = [factories.stub() for _ in range(2)]
        self.server = factories.instance()
        self.memory.learn((stub.uuid, host_servers.Fact(IMAGE, PROJECT))
                          for stub in self.stubs)
        self.state = factories.host(
            'h', instances=[*self.stubs, self.server])
        self.look(self.state)

    def test_stub_that_is_of_another_image(self):
        wrong, right = (stub.uuid for stub in self.stubs)

        self.memory.disprove('h', IMAGE, {right})

        known = self.look(self.state)
        self.assertEqual({right, self.server.uuid}, self.uuids(known))
        self.assertEqual({wrong}, known.unresolved)
        self.assertEqual(3, known.shows('h'))

    def test_stub_that_is_learnt_anew(self):
        self.memory.disprove('h', IMAGE, set())
        self.memory.learn((stub.uuid, host_servers.Fact(OTHER_IMAGE, PROJECT))
                          for stub in self.stubs)

        known = self.look(self.state)

        self.assertEqual({self.server.uuid}, self.uuids(known))
        self.assertEqual({stub.uuid for stub in self.stubs},
                         self.uuids(known, OTHER_IMAGE))

    def test_all_are_right(self):
        self.memory.disprove(
            'h', IMAGE, {stub.uuid for stub in self.stubs})

        known = self.look(self.state)
        self.assertEqual(set(), known.unresolved)
        self.assertEqual(3, len(self.uuids(known)))

    def test_stubs_of_other_images_and_hosts_are_left_alone(self):
        for host, image in (('h', OTHER_IMAGE), ('other', IMAGE)):
            self.memory.disprove(host, image, set())

            self.assertEqual(3, len(self.uuids(self.look(self.state))))

    def test_instances_that_are_shown_are_left_alone(self):
        shown = factories.host('a', servers=1)
        self.look(shown)

        self.memory.disprove('a', IMAGE, set())

        self.assertEqual(1, len(self.uuids(self.look(shown), node='a')))

    def test_other_host_that_shows_the_stub_learns_it_anew(self):
        self.memory.disprove('h', IMAGE, set())

        known = self.show('new', factories.stub(self.stubs[0].uuid))

        self.assertEqual({self.stubs[0].uuid}, known.unresolved)


class TestChange(MemoryTestCase):

    def test_hosts_are_told_apart(self):
        one, other = factories.instance(), factories.instance()

        for host, server in (('a', one), ('b', other), ('a', one)):
            known = self.show(host, server)

            self.assertEqual({server.uuid}, self.uuids(known))

    def test_server_that_came(self):
        one, other = factories.instance(), factories.instance()
        self.show('h', one)

        known = self.show('h', one, other)

        self.assertEqual({one.uuid, other.uuid}, self.uuids(known))
        self.assertEqual(2, known.shows('h'))

    def test_server_that_went(self):
        one, other = factories.instance(), factories.instance()
        self.show('h', one, other)

        known = self.show('h', one)

        self.assertEqual({one.uuid}, self.uuids(known))
        self.assertEqual(1, known.shows('h'))

    def test_rebuilt_server_has_its_new_image(self):
        old = factories.instance()
        self.show('h', old)
        new = factories.instance(OTHER_IMAGE, instance_uuid=old.uuid)

        known = self.show('h', new)

        self.assertEqual(set(), self.uuids(known))
        self.assertEqual({old.uuid}, self.uuids(known, OTHER_IMAGE))

    def test_stub_that_was_replaced(self):
        stub = factories.stub()
        self.show('h', stub)
        server = factories.instance(instance_uuid=stub.uuid)

        known = self.show('h', server)

        self.assertEqual({stub.uuid}, self.uuids(known))
        self.assertEqual(set(), known.unresolved)

    def test_stub_that_went(self):
        self.show('h', factories.stub())

        self.assertEqual(set(), self.show('h').unresolved)


class TestGlance(MemoryTestCase):
    """A host whose instances look as they did is not looked through."""

    def setUp(self):
        super().setUp()
        self.servers = [factories.instance() for _ in range(3)]
        self.state = factories.host('h', instances=self.servers)
        self.look(self.state)

    def assert_shown(self, *servers, image=IMAGE):
        self.assertEqual({server.uuid for server in servers},
                         self.uuids(self.look(self.state), image))

    def put(self, server):
        self.state.instances[server.uuid] = server

    def test_server_that_came_is_seen_at_once(self):
        new = factories.instance()
        self.put(new)

        self.assert_shown(*self.servers, new)

    def test_server_that_went_as_another_came_is_seen_at_once(self):
        del self.state.instances[self.servers[0].uuid]
        new = factories.instance()
        self.put(new)

        self.assert_shown(*self.servers[1:], new)

    def test_the_last_server_that_was_replaced_is_seen_at_once(self):
        self.put(factories.instance(
            OTHER_IMAGE, instance_uuid=self.servers[-1].uuid))

        self.assert_shown(*self.servers[:2])
        self.assert_shown(self.servers[-1], image=OTHER_IMAGE)

    def test_any_server_that_was_replaced_is_seen_in_seconds(self):
        self.put(factories.instance(
            OTHER_IMAGE, instance_uuid=self.servers[0].uuid))
        self.now += host_servers.COMPARED_EVERY

        self.assert_shown(*self.servers[1:])
        self.assert_shown(self.servers[0], image=OTHER_IMAGE)

    def test_nova_changes_them_at_this_very_moment(self):
        class Values(list):
            def __reversed__(self):
                raise RuntimeError('changed during iteration')

        class Instances(dict):
            def values(self):
                return Values(super().values())

        self.state.instances = Instances(self.state.instances)
        self.look(self.state)

        self.assert_shown(*self.servers)

    def test_other_instances_of_nova_are_seen_at_once(self):
        self.state.instances = {}

        self.assert_shown()


class TestAnyChange(MemoryTestCase):
    """Servers come and go; nova appends what comes."""

    @hypothesis.given(st.lists(
        st.tuples(st.sampled_from(['come', 'stub', 'go', 'change']),
                  st.integers(0, 9), st.sampled_from([0.0, 1.0])),
        max_size=12))
    def test_is_seen_at_once(self, steps):
        """But for what takes the place of another among others."""
        state, now = factories.host('h', instances=[]), self.now
        shown = state.instances
        kept = memory.InstanceMemory()
        for step, index, seconds in steps:
            now += seconds
            uuids = list(shown)
            if step in ('come', 'stub'):
                server = (factories.instance() if step == 'come'
                          else factories.stub())
                shown[server.uuid] = server
            elif uuids and step == 'go':
                del shown[uuids[index % len(uuids)]]
            elif uuids:
                shown[uuids[-1]] = factories.instance(
                    OTHER_IMAGE, instance_uuid=uuids[-1])

            found = [self.read(one, state, now) for one in (
                kept, memory.InstanceMemory())]

            self.assertEqual(found[1], found[0])

    def read(self, one, state, now):
        known = one.of_host(state, now)
        if known.source is None:
            one.read(known, state, now)
        return (self.uuids(known), self.uuids(known, OTHER_IMAGE),
                known.unresolved, known.shown)


class TestElsewhere(MemoryTestCase):

    def test_host_of_which_a_stub_was_disproved(self):
        server, stub = factories.instance(host='a'), factories.stub()
        self.memory.learn([(stub.uuid, host_servers.Fact(IMAGE, PROJECT))])
        self.show('a', server, stub)

        self.memory.disprove('a', IMAGE, set())

        self.assertEqual({(server.uuid, PROJECT)},
                         set(self.memory.servers(IMAGE, set())))

    def test_servers_on_all_hosts_but_some(self):
        servers = {host: factories.instance(host=host, project=host)
                   for host in 'abc'}
        for host, server in servers.items():
            self.show(host, server, factories.instance(OTHER_IMAGE, host))

        self.assertEqual(
            {(servers[host].uuid, host) for host in 'ac'},
            set(self.memory.servers(IMAGE, {'b'})))


class TestSweep(MemoryTestCase):

    def facts(self):
        """Return what is known of servers, without looking at a host."""
        return len(self.memory._facts)

    def test_host_that_is_no_candidate_any_more_is_forgotten(self):
        self.show('old', factories.instance(host='old'))
        self.now += memory.FORGOTTEN_AFTER
        self.show('new', factories.instance(host='new'))
        self.now += 0.1

        self.assertTrue(self.memory.sweep(self.now))
        self.assertEqual(['new'], self.memory.hosts())
        self.assertEqual(1, len(self.memory))

    def test_host_that_is_a_candidate_stays(self):
        for _ in range(10):
            self.show('h', factories.instance())
            self.now += memory.FORGOTTEN_AFTER / 2
            self.memory.sweep(self.now)

        self.assertEqual(['h'], self.memory.hosts())

    def test_hosts_are_not_looked_for_all_the_time(self):
        self.show('h')
        self.now += memory.FORGOTTEN_AFTER - 1
        self.memory.sweep(self.now)
        self.now += 2

        self.assertFalse(self.memory.sweep(self.now))
        self.assertEqual(['h'], self.memory.hosts())

        self.now += memory.SWEEP_EVERY
        self.assertTrue(self.memory.sweep(self.now))
        self.assertEqual([], self.memory.hosts())

    def test_servers_are_forgotten_with_their_host(self):
        self.show('old', *(factories.instance() for _ in range(5)))
        self.now += memory.FORGOTTEN_AFTER + 1
        self.show('new', factories.instance())

        self.memory.sweep(self.now)

        self.assertEqual(1, self.facts())

    def test_servers_that_no_host_shows_are_forgotten(self):
        shown = [factories.instance() for _ in range(5)]
        for _ in range(20):
            self.show('h', *shown, *(
                factories.instance() for _ in range(5)))
            self.now += memory.SWEEP_EVERY
        self.show('h', *shown)

        self.memory.sweep(self.now)

        self.assertEqual(len(shown), self.facts())

    def test_stub_is_not_forgotten_while_it_is_shown(self):
        server = factories.instance()
        self.show('h', server)
        stub = factories.stub(server.uuid)
        self.show('h', stub)
        fact = host_servers.Fact(IMAGE, PROJECT)
        self.memory.learn((factories.new_uuid(), fact) for _ in range(100))
        self.now += memory.SWEEP_EVERY

        self.memory.sweep(self.now)
        known = self.show('h', stub, factories.instance())

        self.assertIn(server.uuid, self.uuids(known))
        self.assertEqual(set(), known.unresolved)

    def test_recent_hosts(self):
        self.show('a')
        self.now += memory.SWEEP_EVERY
        self.show('b')
        self.assertEqual(2, self.memory.recent_hosts(self.now))

        self.now += 0.1

        self.assertEqual(1, self.memory.recent_hosts(self.now))

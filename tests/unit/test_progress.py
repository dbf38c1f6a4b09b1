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

from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image import nova_choice
from cache_aware_sched.scheduler.same_image import progress
from cache_aware_sched.scheduler.same_image.servers import Spot
from tests.unit import base
from tests.unit import factories

NOTHING = ledger.Resources(0, 0)


class ProgressTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.hosts = [factories.host(name, 2, updated=factories.SOME_TIME)
                      for name in 'abc']
        self.spec = factories.spec(number=3)
        self.begin()

    def begin(self):
        self.progress = progress.Progress(self.hosts, servers=2)

    def start(self):
        """Look at the server of the spec, as a filter does."""
        return self.progress.start(request_mod.Request.from_spec(self.spec))

    def guess(self):
        """Expect that nova chooses the first host, or else one of the others.

        :returns: uuid of the server
        """
        self.start()
        uuid = self.spec.instance_uuid
        self.progress.guessed.add(uuid)
        self.progress.nova_choice = nova_choice.NovaChoice([
            (host, ledger.Placement(
                uuid, Spot(host.host, host.nodename), factories.IMAGE, None,
                False, NOTHING, NOTHING, 0, 0.0, 60.0))
            for host in self.hosts])
        return uuid

    def choose(self, index):
        """Place the server as nova does."""
        self.hosts[index].consume_from_request(self.spec)

    def next_server(self):
        self.spec.instance_uuid = factories.new_uuid()

    def refuse(self, *indexes):
        """Let nova give up, as it finds no host for all servers."""
        for index in indexes:
            self.hosts[index].updated = None

    def let_go(self):
        """Let nova be done with the request."""
        self.hosts.clear()


class TestStart(ProgressTestCase):

    def test_first_look(self):
        self.assertIsNone(self.start())
        self.assertEqual({}, self.progress.placed)

    def test_where_nova_has_placed_the_server_before(self):
        uuid = self.spec.instance_uuid
        self.start()
        self.choose(1)
        self.next_server()

        self.assertEqual(Spot('b', 'b'), self.start())
        self.assertEqual({uuid: Spot('b', 'b')}, self.progress.placed)

    def test_each_server(self):
        seen = [self.start()]
        for index in (1, 0, 0, 1):
            self.choose(index)
            self.next_server()
            seen.append(self.start())

        self.assertEqual(
            [None, *(Spot(name, name) for name in 'baab')], seen)

    def test_node(self):
        self.hosts = [factories.host('ironic', node='n1')]
        self.begin()
        self.start()
        self.choose(0)

        self.assertEqual(Spot('ironic', 'n1'), self.start())

    def test_host_that_another_filter_has_dropped(self):
        """As that for anti-affinity drops those that are chosen."""
        self.start()
        self.choose(1)
        chosen = self.hosts.pop(1)

        self.assertEqual(Spot('b', 'b'), self.start())
        self.assertIsNotNone(chosen)

    def test_hosts_that_are_gone(self):
        self.start()
        del self.hosts[:2]
        self.choose(0)

        self.assertEqual(Spot('c', 'c'), self.start())

    def test_nova_has_not_chosen(self):
        self.start()

        self.assertIsNone(self.start())
        self.assertEqual({}, self.progress.placed)

    def test_other_things_that_nova_changes(self):
        self.start()
        self.hosts[0].updated = None
        self.hosts[1].num_instances -= 1
        self.hosts[2].vcpus_used += 1

        self.assertIsNone(self.start())

    def test_host_that_was_never_updated(self):
        self.hosts[0].num_instances = self.hosts[0].updated = None
        self.begin()
        self.start()

        self.assertIsNone(self.start())

    def test_server_that_was_placed_looks_for_alternates(self):
        self.start()
        self.assertFalse(self.progress.alternates)

        self.choose(0)
        self.start()
        self.assertTrue(self.progress.alternates)

        self.next_server()
        self.start()
        self.assertFalse(self.progress.alternates)

    def test_where_it_was_placed_is_told_once(self):
        self.start()
        self.choose(0)
        self.start()

        self.assertIsNone(self.start())

    def test_servers_of_the_request(self):
        first = self.spec.instance_uuid
        self.start()
        self.choose(0)
        self.next_server()

        self.start()

        self.assertEqual(
            {first, self.spec.instance_uuid}, self.progress.ours())

    def test_servers_that_hosts_had_at_the_start(self):
        self.start()
        self.choose(0)
        self.start()

        self.assertEqual([2, 2, 2], [
            self.progress.at_start[id(host)] for host in self.hosts])


class TestEnd(ProgressTestCase):

    def end(self):
        """Return the host, and the servers that were not placed."""
        outcome = self.progress.end()
        if outcome is None:
            return None
        placement, failed = outcome
        return placement and (placement.uuid, placement.spot.host), failed

    def place(self, index):
        uuid = self.guess()
        self.choose(index)
        return uuid

    def test_nothing_was_guessed(self):
        self.start()

        self.assertIsNone(self.end())

    def test_nova_has_not_chosen(self):
        self.guess()

        self.assertIsNone(self.end())

    def test_nova_has_chosen(self):
        uuid = self.place(1)

        self.assertEqual(((uuid, 'b'), set()), self.end())

    def test_nova_has_chosen_and_is_done(self):
        uuid = self.place(1)
        self.let_go()

        self.assertEqual(((uuid, 'b'), set()), self.end())
        self.assertIsNone(self.progress.nova_choice)

    def test_once_when_nova_is_done(self):
        self.place(1)
        self.let_go()
        self.end()

        self.assertIsNone(self.end())

    def test_server_was_not_placed(self):
        uuid = self.guess()
        self.let_go()

        self.assertEqual((None, {uuid}), self.end())

    def test_nova_does_not_say_when_hosts_were_updated(self):
        self.refuse(0, 1, 2)
        self.begin()
        self.guess()
        self.let_go()

        self.assertEqual((None, set()), self.end())

    def test_consumed_hosts_that_never_say_when_they_were_updated(self):
        """As of a scheduler that is simulated."""
        self.refuse(0, 1, 2)
        self.begin()
        self.guess()
        self.hosts[0].num_instances += 1
        self.assertIsNone(self.end())

        self.let_go()

        self.assertEqual((None, set()), self.end())

    def test_server_on_a_host_that_did_not_lead(self):
        """The guess was wrong, and nothing else is known of it."""
        elsewhere = self.hosts.pop()
        uuid = self.guess()
        elsewhere.consume_from_request(self.spec)
        self.let_go()

        self.assertEqual((None, {uuid}), self.end())

    def test_server_that_is_learnt_to_be_on_a_host_that_did_not_lead(self):
        elsewhere = self.hosts.pop()
        self.guess()
        elsewhere.consume_from_request(self.spec)
        self.start()
        self.let_go()

        self.assertEqual((None, set()), self.end())

    def test_last_server_was_not_placed(self):
        """Though somebody still holds the hosts."""
        first = self.place(0)
        self.next_server()
        second = self.guess()
        self.refuse(0)

        self.assertEqual((None, {first, second}), self.end())
        self.assertIsNone(self.progress.nova_choice)

    def test_no_host_was_left_before_the_last_server_was_looked_at(self):
        first = self.place(0)
        self.next_server()
        second = self.place(1)
        self.refuse(0, 1)

        self.assertEqual((None, {first, second}), self.end())

    def test_no_host_was_left_after_the_first_server(self):
        for index in (0, 1):
            self.begin()
            uuid = self.place(index)
            self.refuse(index)

            self.assertEqual((None, {uuid}), self.end())

    def test_refusal_after_it_was_learnt_what_nova_chose(self):
        uuid = self.place(1)
        self.end()
        self.refuse(1)

        self.assertEqual((None, {uuid}), self.end())

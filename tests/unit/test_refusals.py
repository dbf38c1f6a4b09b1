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

import logging

from cache_aware_sched import cap
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import refusals
from cache_aware_sched.scheduler.same_image import servers
from tests.unit import factories
from tests.unit.factories import candidate
from tests.unit import test_filters

GOLDEN = 'Every host is at the same-image cap'


class TestRefusal(test_filters.FilterTestCase):

    def refusal(self, *hosts, **spec):
        """Return the one line that tells of a refusal."""
        self.assertEqual([], self.passing(hosts, factories.spec(**spec)))
        [line] = self.refusals()
        return line

    def test_says_why(self):
        uuid = factories.new_uuid()

        line = self.refusal(factories.host('host-a', 2),
                            factories.host('host-b', 3), instance_uuid=uuid)

        for part in (factories.IMAGE, uuid, 'host-a 2 of 2', 'host-b 3 of 2',
                     'all 2 candidates', 'scope all', factories.CAP):
            self.assertIn(part, line)

    def test_names_some_of_many_hosts(self):
        line = self.refusal(*factories.hosts(100, servers=2))

        self.assertIn('and 90 more', line)
        self.assertLess(len(line), 1000)

    def test_scope_of_a_project(self):
        self.set(same_image_scope='project')

        self.assertIn(
            'scope project', self.refusal(factories.host('a', 2)))

    def test_cap_of_the_option(self):
        self.assertIn('option max_same_image_instances_per_host: 2',
                      self.refusal(factories.host('a', 2)))

    def test_cap_of_the_flavor(self):
        self.assertIn('flavor m1.db: 1', self.refusal(
            factories.host('a', 2), cap=1, name='m1.db'))

    def test_cap_of_the_hint(self):
        self.assertIn('hint: 1', self.refusal(
            factories.host('a', 2), hints={request_mod.HINT_CAP: ['1']}))

    def test_caps_of_different_sources(self):
        aggregate = factories.aggregate(**{factories.CAP: 5})

        self.assertIn(
            'aggregate: 5, option max_same_image_instances_per_host: 2',
            self.refusal(
                factories.host('a', 2),
                factories.host('b', 5, aggregates=[aggregate])))

    def test_caps_that_are_shares(self):
        """One alone never refuses a request, but beside other caps."""
        aggregate = factories.aggregate(**{factories.SHARE: 0.25})

        line = self.refusal(
            factories.host('a', 2),
            factories.host('b', 9, aggregates=[aggregate]))

        self.assertIn('option max_same_image_instances_per_host: 2, '
                      'share: 0.25', line)

    def test_hint_below_what_a_share_allows(self):
        self.set(max_same_image_share_per_host=1.0)

        line = self.refusal(
            factories.host('a', 5), hints={request_mod.HINT_CAP: ['4']})

        self.assertIn('hint: 4', line)

    def test_nothing_is_said_when_a_host_is_left(self):
        self.passing([factories.host('a', 2), factories.host('b')])

        self.assertEqual([], self.refusals())

    def test_full_hosts_are_named_for_debugging(self):
        self.log_debug()

        self.passing([factories.host('a', 2), factories.host('b')])

        [line] = [line for line in self.logged(logging.DEBUG)
                  if 'the cap is' in line]
        self.assertIn('host a runs 2 servers', line)
        self.assertIn('the cap is 2', line)


class TestLines(test_filters.FilterTestCase):
    """Of candidates, however they came to be what they are."""

    def candidates(self, number=2):
        return [candidate(f'h{place}', count=3, limit=3, cap=cap.Cap(
            3, source='flavor m1.db: 3')) for place in range(number)]

    def test_let_through(self):
        request = factories.request()

        refusals.log_let_through(request, self.candidates(12), 'it may')

        [line] = self.logged(logging.INFO)
        for part in (request.instance, factories.IMAGE, 'as it may',
                     'flavor m1.db: 3', 'h0 3 of 3', 'and 2 more'):
            self.assertIn(part, line)

    def test_observed(self):
        request, full = factories.request(), self.candidates()
        room = candidate('room', limit=3)

        refusals.log_observed(request, [*full, room], [room])

        [line] = self.logged(logging.INFO)
        for part in (request.instance, 'ruled out hosts', 'flavor m1.db: 3',
                     'h0 3 of 3, h1 3 of 3'):
            self.assertIn(part, line)
        self.assertNotIn('room', line)

    def test_observed_with_room_on_all(self):
        room = [candidate('room', limit=3)]

        refusals.log_observed(factories.request(), room, room)

        self.assertEqual([], self.logged(logging.INFO))


class TestEverywhere(test_filters.FilterTestCase):
    """A cloud that boots everything from one golden image."""

    def refuse(self, *hosts, elsewhere=(), **spec):
        """Have a request refused.

        :param elsewhere: more hosts that there are
        """
        self.query.spots.return_value = {
            servers.Spot(host.host, host.nodename)
            for host in (*hosts, *elsewhere)}
        self.assertEqual([], self.passing(hosts, factories.spec(**spec)))

    def cell_knows_all_on(self, hosts):
        self.cell_knows(*(
            factories.server(host.host, server_uuid=uuid,
                             image=server.image_ref)
            for host in hosts for uuid, server in host.instances.items()))

    def full(self, number=4, servers=3, prefix='h'):
        return factories.hosts(number, prefix, servers=servers)

    def warned(self):
        return [line for line in self.warnings() if GOLDEN in line]

    def test_warned_of_once_with_numbers(self):
        for _request in range(3):
            self.refuse(*self.full(), factories.host('b', 1008))

        [line] = self.warned()
        for part in ('1,020 servers', factories.IMAGE, 'on 5 hosts',
                     '204 on average', 'cap 2', factories.CAP,
                     'max_same_image_share_per_host',
                     'same_image_cap_policy = soft'):
            self.assertIn(part, line)

    def test_of_each_image(self):
        for image in (factories.IMAGE, factories.OTHER_IMAGE):
            self.refuse(*(
                factories.host(f'h{number}', 3, instances=[
                    factories.instance(factories.OTHER_IMAGE, f'h{number}')
                    for _server in range(2)])
                for number in range(4)), image=image)

        self.assertEqual(2, len(self.warned()))

    def test_not_if_there_is_a_host_that_is_no_candidate(self):
        """As where an availability zone was asked for.

        This process need not have heard of it.
        """
        hosts = self.full()
        self.cell_knows_all_on(hosts)

        self.refuse(*hosts, elsewhere=[factories.host('elsewhere')])

        self.assertEqual([], self.warned())

    def test_not_if_the_cells_do_not_tell(self):
        self.query.spots.return_value = set()

        self.passing(self.full())

        self.assertEqual(1, len(self.refusals()))
        self.assertEqual([], self.warned())

    def test_not_if_the_host_elsewhere_runs_other_images(self):
        hosts, elsewhere = self.full(), factories.host(
            'elsewhere', 9, image=factories.OTHER_IMAGE)
        self.cell_knows_all_on([*hosts, elsewhere])

        self.refuse(*hosts, elsewhere=[elsewhere])

        self.assertEqual([], self.warned())

    def test_if_hosts_elsewhere_are_full_too(self):
        elsewhere = self.full(2, prefix='elsewhere')
        hosts = [*self.full(), factories.host('late', 2)]
        self.cell_knows_all_on([*hosts, *elsewhere])

        self.refuse(*hosts, elsewhere=elsewhere)

        [line] = self.warned()
        self.assertIn('on 7 hosts', line)

    def test_not_because_of_what_a_user_wants(self):
        """No operator can act on it, and others can still be placed."""
        self.set(max_same_image_instances_per_host=10)

        self.refuse(*self.full(), hints={request_mod.HINT_CAP: ['1']})

        self.assertEqual([], self.warned())

    def test_not_for_soft_caps(self):
        self.set(same_image_cap_policy='soft')

        self.passing(self.full())

        self.assertEqual([], self.warned())

    def test_not_while_there_is_room(self):
        self.passing([*self.full(), factories.host('room', 1)])

        self.assertEqual([], self.warned())

    def test_not_after_a_multi_create_that_just_fits(self):
        self.schedule(factories.hosts(2), 4)

        self.assertEqual([], self.warned())

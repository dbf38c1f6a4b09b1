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

import collections
import logging
from unittest import mock

import fixtures
from nova.scheduler import filters as nova_filters

from nova import objects

from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import filters
from cache_aware_sched.scheduler.same_image import cells
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image import servers
from tests.unit import base
from tests.unit import factories

CELL = factories.CELL
HINT = request_mod.HINT_CAP


class FilterTestCase(base.TestCase):

    POLICY = 'hard'

    def setUp(self):
        super().setUp()
        self.set(max_same_image_instances_per_host=2,
                 same_image_cap_policy=self.POLICY)
        self.filter = filters.ImageAntiAffinityFilter()
        self.query = mock.create_autospec(cells.CellQuery, instance=True)
        self.counter = count.shared()
        self.counter.cell_lookup._query = self.query
        # What the cells know is what the hosts show.
        self.query.servers.return_value = {}
        self.query.spots.return_value = set()

    def cell_knows(self, *servers):
        """Let the cell answer with these servers, and nothing else."""
        self.query.servers.return_value = {CELL: list(servers)}

    def passing(self, hosts, spec=None):
        """Return the names of the hosts that pass, as nova asks."""
        hosts = nova_filters.HostFilterHandler().get_filtered_objects(
            [self.filter], hosts, spec or factories.spec())
        return [host.host for host in hosts]

    def schedule(self, hosts, number, **spec):
        """Return how many servers of a multi-create each host gets."""
        return collections.Counter(factories.schedule(
            factories.spec(number=number, **spec), hosts, number,
            filters_=[self.filter]))

    def above_the_cap(self):
        """Return the lines that tell of servers above the cap."""
        return [line for line in self.logged(logging.INFO)
                if 'goes above the cap' in line]

    def refusals(self):
        return [line for line in self.logged(logging.INFO)
                if 'No host is left' in line]


class TestHard(FilterTestCase):

    def test_hosts_below_the_cap_pass(self):
        hosts = [factories.host(f'h{number}', number) for number in range(5)]

        self.assertEqual(['h0', 'h1'], self.passing(hosts))

    def test_cluster_has_no_cap(self):
        hosts = [factories.host('a', 5), factories.host('b', 5)]
        hosts[1].hypervisor_type = 'VMware vCenter Server'

        self.assertEqual(['b'], self.passing(hosts))

    def test_order_is_kept(self):
        hosts = [factories.host('b'), factories.host('c', 2),
                 factories.host('a', 1)]

        self.assertEqual(['b', 'a'], self.passing(hosts))

    def test_nothing_passes_when_all_are_full(self):
        hosts = [factories.host('a', 2), factories.host('b', 3)]

        self.assertEqual([], self.passing(hosts))

    def test_no_hosts(self):
        self.assertEqual([], self.passing([]))

    def test_hosts_may_come_from_a_generator(self):
        hosts = [factories.host('a', 2), factories.host('b')]

        self.assertEqual(['b'], self.passing(host for host in hosts))

    def test_servers_of_another_image_do_not_matter(self):
        hosts = [factories.host('a', 5, image=factories.OTHER_IMAGE)]

        self.assertEqual(['a'], self.passing(hosts))

    def test_no_cap(self):
        self.set(max_same_image_instances_per_host=0)

        self.assertEqual(['a'], self.passing([factories.host('a', 50)]))

    def test_caps_of_aggregates(self):
        many = factories.aggregate('many', **{factories.CAP: 9})
        none = factories.aggregate('none', **{factories.CAP: 0})
        hosts = [factories.host('a', 5), factories.host(
            'b', 5, aggregates=[many]), factories.host(
            'c', 9, aggregates=[many]), factories.host(
            'd', 50, aggregates=[none])]

        self.assertEqual(['b', 'd'], self.passing(hosts))

    def test_server_that_is_resized_on_its_host(self):
        host = factories.host('a', 2)
        spec = factories.spec(instance_uuid=next(iter(host.instances)))

        self.assertEqual(['a'], self.passing([host], spec))

    def test_multi_create_fills_hosts_up_to_the_cap(self):
        hosts = [factories.host('a', 1), *factories.hosts(3)]

        placed = self.schedule(hosts, 7)

        self.assertEqual({'a': 1, 'h0': 2, 'h1': 2, 'h2': 2}, placed)

    def test_multi_create_stops_where_all_are_full(self):
        placed = self.schedule(factories.hosts(3), 9)

        self.assertEqual(6, placed.total())
        self.assertEqual(2, max(placed.values()))

    def test_multi_create_with_a_server_group(self):
        placed = self.schedule(
            factories.hosts(3), 9, group=factories.server_group())

        self.assertEqual(6, placed.total())
        self.assertEqual(2, max(placed.values()))

    def test_only_host_is_remembered_for_the_next_request(self):
        """nova weighs nothing then, so no weigher remembers it."""
        host = factories.host('a')

        passed = [self.passing([host]) for _request in range(3)]

        self.assertEqual([['a'], ['a'], []], passed)

    def test_several_hosts_are_not_remembered(self):
        hosts = factories.hosts(2)

        passed = [self.passing(hosts) for _request in range(3)]

        self.assertEqual([['h0', 'h1']] * 3, passed)

    def test_host_passes(self):
        self.assertIs(True, self.filter.host_passes(
            factories.host(servers=1), factories.spec()))
        self.assertIs(False, self.filter.host_passes(
            factories.host(servers=2), factories.spec()))


class TestOrder(FilterTestCase):
    """Of equal hosts nova takes the first ones."""

    def setUp(self):
        super().setUp()
        self.names = [f'h{number:02}' for number in range(12)]

    def orders(self, names, **spec):
        return [self.passing(
            [factories.host(name) for name in names],
            factories.spec(spec_id=1000 + place, **spec))
            for place in range(10)]

    def test_differs_from_request_to_request(self):
        orders = self.orders(self.names)

        first = collections.Counter(order[0] for order in orders)
        self.assertLessEqual(max(first.values()), 2)
        for order in orders:
            self.assertEqual(self.names, sorted(order))

    def test_is_the_same_in_every_process(self):
        """Whatever the order in which it got its hosts."""
        orders = self.orders(self.names)

        self.assertEqual(orders, self.orders(self.names[::-1]))

    def test_is_kept_where_all_hosts_are_taken(self):
        """If only as alternates."""
        names = ['b', 'c', 'a']

        self.assertEqual([names] * 10, self.orders(names))

    def test_is_kept_without_a_cap(self):
        """Then nothing sends servers on."""
        self.set(max_same_image_instances_per_host=0)

        self.assertEqual([self.names] * 10, self.orders(self.names))

    def test_is_kept_for_moves(self):
        """The late check does not send them on."""
        destination = factories.move().requested_destination

        self.assertEqual([self.names] * 10, self.orders(
            self.names, destination=destination))

    def test_is_kept_where_the_weigher_draws(self):
        self.counter.draws = True

        self.assertEqual([self.names] * 10, self.orders(self.names))


class TestShare(FilterTestCase):
    """Four hosts with 8, 8, 4 and 0 servers: 21 with the one to come."""

    def hosts(self, aggregates=()):
        return [factories.host(f'h{number}', servers, aggregates=aggregates)
                for number, servers in enumerate((8, 8, 4, 0))]

    def test_option(self):
        self.set(max_same_image_share_per_host=0.4)

        self.assertEqual(
            ['h0', 'h1', 'h2', 'h3'], sorted(self.passing(self.hosts())))

    def test_aggregate(self):
        aggregate = factories.aggregate(**{factories.SHARE: 0.3})

        self.assertEqual(
            ['h2', 'h3'], self.passing(self.hosts([aggregate])))

    def test_flavor(self):
        self.set(max_same_image_share_per_host=0.4)

        self.assertEqual(['h2', 'h3'], self.passing(
            self.hosts(), factories.spec(share=0.3)))

    def test_number_lets_more_onto_a_host(self):
        self.set(max_same_image_instances_per_host=9,
                 max_same_image_share_per_host=0.01)

        self.assertEqual(4, len(self.passing(self.hosts())))

    def test_servers_on_hosts_that_are_no_candidates_count(self):
        self.set(max_same_image_share_per_host=0.25)
        self.passing(factories.hosts(4, 'full', servers=20))

        self.assertEqual(
            ['h0', 'h1', 'h2', 'h3'], sorted(self.passing(self.hosts())))

    def test_share_alone_refuses_nothing_fair(self):
        """Two hosts cannot have a tenth of the servers each."""
        self.set(max_same_image_instances_per_host=0,
                 max_same_image_share_per_host=0.1)

        placed = self.schedule(factories.hosts(2), 30)

        self.assertEqual(30, placed.total())

    def test_share_keeps_a_multi_create_even(self):
        """Though nova only offers the hosts that passed for the one before."""
        self.set(max_same_image_instances_per_host=10,
                 max_same_image_share_per_host=0.1)

        placed = self.schedule(factories.hosts(2), 30)

        self.assertEqual({'h0': 15, 'h1': 15}, placed)


class TestAffinity(FilterTestCase):
    """All members of a group want one host; nova's own filter sees to it."""

    def group(self, *host_names):
        return factories.server_group('affinity', host_names)

    def test_host_must_have_room_for_all(self):
        self.set(max_same_image_instances_per_host=3)
        hosts = [factories.host('a', 1), factories.host('b')]
        spec = factories.spec(number=3, group=self.group())

        self.assertEqual(['b'], self.passing(hosts, spec))

    def test_others_need_room_for_one(self):
        self.set(max_same_image_instances_per_host=3)
        hosts = [factories.host('a', 1), factories.host('b')]
        spec = factories.spec(number=3, group=factories.server_group())

        self.assertEqual(['a', 'b'], self.passing(hosts, spec))

    def test_all_of_a_multi_create_are_placed(self):
        for cap in (0, 2, 3, 5):
            self.set(max_same_image_instances_per_host=cap)
            host = factories.host(f'cap {cap}', 1)
            placed = self.schedule([host], 4, group=self.group())

            self.assertEqual({host.host: 4}, placed)

    def test_host_where_the_first_member_went_takes_the_others(self):
        self.set(max_same_image_instances_per_host=3)
        host = factories.host('a')

        placed = self.schedule([host], 3, group=self.group())

        self.assertEqual({'a': 3}, placed)
        self.assertEqual([], self.above_the_cap())

    def test_is_never_refused(self):
        """The emptiest hosts pass if no host has room for all."""
        hosts = [factories.host('a', 1), factories.host('b', 0),
                 factories.host('c', 2)]
        spec = factories.spec(number=3, group=self.group())

        self.assertEqual(['b'], self.passing(hosts, spec))

        [line] = self.above_the_cap()
        self.assertIn('affinity group', line)

    def test_member_that_is_added_where_strangers_fill_the_cap(self):
        spec = factories.spec(group=self.group('a'))

        self.assertEqual(['a'], self.passing([factories.host('a', 2)], spec))

        [line] = self.above_the_cap()
        for part in (spec.instance_uuid, factories.IMAGE, 'a 2 of 2',
                     'affinity group', factories.CAP):
            self.assertIn(part, line)

    def test_member_that_is_moved_is_one_server(self):
        """Its request still says with how many it was booted."""
        spec = factories.move(number=50, group=self.group())

        self.assertEqual(['a'], self.passing([factories.host('a', 1)], spec))
        self.assertEqual([], self.above_the_cap())

    def test_soft_affinity_is_refused(self):
        spec = factories.spec(
            group=factories.server_group('soft-affinity', ['a']))

        self.assertEqual([], self.passing([factories.host('a', 2)], spec))


class TestMoves(FilterTestCase):

    def setUp(self):
        super().setUp()
        self.hosts = [factories.host('a', 2), factories.host('b', 3)]
        self.known = [factories.server(host.host, server_uuid=uuid)
                      for host in self.hosts for uuid in host.instances]

    def move(self, **kwargs):
        """Return the request of a server that the cell knows."""
        spec = factories.move()
        self.cell_knows(*self.known, factories.server(
            'dead', server_uuid=spec.instance_uuid, **kwargs))
        return spec

    def test_resize_is_refused(self):
        self.assertEqual([], self.passing(self.hosts, self.move()))

        self.assertEqual(1, len(self.refusals()))

    def test_evacuation_is_soft(self):
        """The cap is there so that little is lost with a host."""
        spec = self.move(evacuated=True)

        self.assertEqual(['a'], self.passing(self.hosts, spec))

        [line] = self.above_the_cap()
        self.assertIn('it is evacuated', line)
        self.assertEqual([], self.refusals())

    def test_evacuation_of_a_server_of_another_image_as_the_cell_has_it(self):
        """Whatever the row says, its uuid was asked for."""
        spec = self.move(evacuated=True, image=factories.OTHER_IMAGE)

        self.assertEqual(['a'], self.passing(self.hosts, spec))

    def test_evacuation_goes_below_the_cap_where_it_can(self):
        hosts = [*self.hosts, factories.host('c', 1)]

        self.assertEqual(['c'], self.passing(
            hosts, self.move(evacuated=True)))
        self.assertEqual([], self.above_the_cap())

    def test_another_server_that_is_evacuated_does_not_help(self):
        self.known.append(factories.server('dead', evacuated=True))

        self.assertEqual([], self.passing(self.hosts, self.move()))

    def test_cell_that_does_not_answer_may_evacuate(self):
        spec = factories.move()

        self.assertEqual(['a'], self.passing(self.hosts, spec))

    def test_boot_that_looks_like_an_evacuation(self):
        """A server that is not there yet cannot be."""
        spec = factories.spec()
        self.cell_knows(*self.known, factories.server(
            server_uuid=spec.instance_uuid, evacuated=True))

        self.assertEqual([], self.passing(self.hosts, spec))

    def test_hint_binds_boots(self):
        host = factories.host('a', 1)
        spec = factories.spec(hints={HINT: ['1']})

        self.assertEqual([], self.passing([host], spec))

    def test_hint_does_not_bind_moves(self):
        """It stays with a server for ever."""
        host = factories.host('a', 1)
        spec = factories.move(hints={HINT: ['1']})

        self.assertEqual(['a'], self.passing([host], spec))
        self.assertEqual([], self.above_the_cap())

    def test_stale_number_of_servers_makes_no_multi_create(self):
        self.set(same_image_cap_policy='soft')
        spec = factories.move(number=50)
        self.passing([factories.host('full', 9), factories.host('a')], spec)

        # A host that is not offered does not come back.
        self.assertEqual(
            ['b'], self.passing([factories.host('b', 50)], spec))


class TestNamedHost(FilterTestCase):
    """An administrator names it, and nova looks at no other."""

    def test_server_is_moved_to_it(self):
        for cell in (CELL, None):
            self.assertEqual(['a'], self.passing(
                [factories.host('a', 5)], factories.move(to='a', cell=cell)))

    def test_moving_above_the_cap_is_told(self):
        self.passing([factories.host('a', 5)], factories.move(to='a'))

        [line] = self.above_the_cap()
        for part in ('administrator', 'host a', 'a 5 of 2'):
            self.assertIn(part, line)

    def test_moving_below_the_cap_is_not_told(self):
        self.passing([factories.host('a')], factories.move(to='a'))

        self.assertEqual([], self.above_the_cap())

    def test_boot_is_refused(self):
        """The late check would refuse it too."""
        spec = factories.spec(destination=factories.named_host('a'))

        self.assertEqual([], self.passing([factories.host('a', 5)], spec))


class TestLetThrough(FilterTestCase):

    def setUp(self):
        super().setUp()
        self.hosts = [factories.host('a', 9), factories.host('b', 9)]

    def test_volume_backed(self):
        for image in (factories.IMAGE, None):
            self.assertEqual(['a', 'b'], self.passing(
                self.hosts, factories.spec(image, is_bfv=True)))

    def test_no_image(self):
        self.assertEqual(
            ['a', 'b'], self.passing(self.hosts, factories.spec(None)))

    def test_rebuild(self):
        self.assertEqual(['a', 'b'], self.passing(self.hosts, factories.spec(
            hints={'_nova_check_type': ['rebuild']})))

    def test_rebuild_is_not_remembered(self):
        self.passing([factories.host()], factories.spec(
            hints={'_nova_check_type': ['rebuild']}))

        self.assertEqual(0, len(self.counter.ledger))

    def test_error(self):
        """A cap is not worth a scheduler that places nothing."""
        with mock.patch.object(self.counter, 'gather', autospec=True,
                               side_effect=RuntimeError):
            self.assertEqual(['a', 'b'], self.passing(self.hosts))

        self.assertEqual(1, len(self.errors()))

    def test_hosts_that_are_broken(self):
        for name, value in (('instances', None), ('num_instances', None),
                            ('instances', {1: None})):
            host = factories.host('a', 9)
            setattr(host, name, value)

            self.assertEqual(['a'], self.passing([host]))

        self.assertEqual(3, len(self.errors()))

    def test_request_that_is_broken(self):
        from nova import objects
        for spec in (objects.RequestSpec(), None, {}, object()):
            self.assertEqual(
                self.hosts, list(self.filter.filter_all(self.hosts, spec)))

    def test_error_with_a_request_that_has_no_server(self):
        """Nor does it help to fail while the failure is told."""
        spec = factories.spec()
        del spec._obj_instance_uuid
        self.hosts[0].instances = None

        passed = self.filter.filter_all(self.hosts, spec)

        self.assertEqual(self.hosts, passed)


class TestSoft(FilterTestCase):

    POLICY = 'soft'

    def test_hosts_below_the_cap_pass(self):
        hosts = [factories.host(f'h{number}', number) for number in range(5)]

        self.assertEqual(['h0', 'h1'], self.passing(hosts))

        self.assertEqual([], self.above_the_cap())

    def test_those_with_the_fewest_pass_when_all_are_full(self):
        hosts = [factories.host('a', 4), factories.host('b', 3),
                 factories.host('c', 3), factories.host('d', 9)]

        self.assertEqual(['b', 'c'], self.passing(hosts))

    def test_whoever_is_let_above_the_cap_is_told(self):
        spec = factories.spec()

        self.passing([factories.host('a', 4), factories.host('b', 3)], spec)

        [line] = self.above_the_cap()
        for part in (spec.instance_uuid, factories.IMAGE, 'b 3 of 2',
                     'same_image_cap_policy is soft'):
            self.assertIn(part, line)
        self.assertNotIn('a 4', line)

    def test_multi_create_stays_even(self):
        for number, hosts in ((20, 4), (31, 3), (50, 7)):
            placed = self.schedule(
                factories.hosts(hosts, prefix=f'{hosts}-'), number)

            self.assertEqual(number, placed.total())
            self.assertLessEqual(
                max(placed.values()) - min(placed.values()), 1)

    def test_multi_create_evens_out_what_is_there(self):
        hosts = [factories.host(f'h{number}', number) for number in range(6)]

        placed = self.schedule(hosts, 21)

        total = {f'h{number}': number + placed[f'h{number}']
                 for number in range(6)}
        self.assertEqual({f'h{number}': 6 for number in range(6)}, total)

    def test_multi_create_with_a_server_group_is_placed(self):
        placed = self.schedule(
            factories.hosts(3), 12, group=factories.server_group())

        self.assertEqual(12, placed.total())

    def test_multi_create_with_a_soft_affinity_group_stays_even(self):
        placed = self.schedule(
            factories.hosts(3), 12,
            group=factories.server_group('soft-affinity'))

        self.assertEqual({'h0': 4, 'h1': 4, 'h2': 4}, placed)

    def test_hosts_are_not_brought_back_past_other_filters(self):
        """They would not see what the servers before have taken of them."""
        pinned = {'numa_topology': objects.InstanceNUMATopology(cells=[]),
                  'pci_requests': objects.InstancePCIRequests(requests=[
                      objects.InstancePCIRequest(count=1)])}
        for name, value in pinned.items():
            spec = factories.spec(number=2)
            setattr(spec, name, value)
            self.passing([factories.host('fewer', 2), factories.host('a')],
                         spec)

            self.assertEqual(
                ['a'], self.passing([factories.host('a', 9)], spec), name)

    def test_host_that_another_filter_refused_stays_out(self):
        # Given that nova only offers two hosts of three.
        spec = factories.spec(number=8)
        offered = [factories.host('a', 2), factories.host('b', 2)]

        placed = factories.schedule(spec, offered, 8, [self.filter])

        self.assertEqual({'a': 4, 'b': 4}, collections.Counter(placed))

    def test_hosts_set_aside_are_those_of_the_request(self):
        spec = factories.spec(number=2)
        self.passing([factories.host('full', 9), factories.host('a')], spec)

        other = self.passing(
            [factories.host('b', 9)], factories.spec(number=2))

        self.assertEqual(['b'], other)


class TestObserve(FilterTestCase):

    POLICY = 'observe'

    def observed(self):
        return [line for line in self.logged(logging.INFO)
                if 'observed only' in line]

    def test_all_hosts_pass(self):
        hosts = [factories.host('a', 9), factories.host('b'),
                 factories.host('c', 2)]

        self.assertEqual(['a', 'b', 'c'], self.passing(hosts))

    def test_all_hosts_pass_when_all_are_full(self):
        hosts = [factories.host('a', 9), factories.host('b', 2)]

        self.assertEqual(['a', 'b'], self.passing(hosts))

    def test_whoever_it_would_have_refused_is_told(self):
        spec = factories.spec()

        self.passing([factories.host('a', 9), factories.host('b', 2)], spec)

        [line] = self.observed()
        for part in (spec.instance_uuid, factories.IMAGE, 'a 9 of 2',
                     'b 2 of 2', 'would have refused it', factories.CAP):
            self.assertIn(part, line)
        self.assertEqual([], self.refusals())
        self.assertEqual([], self.warnings())

    def test_hosts_that_it_would_have_ruled_out_are_told(self):
        self.passing([factories.host('a', 9), factories.host('b')])

        [line] = self.observed()
        self.assertIn('ruled out hosts: a 9 of 2', line)
        self.assertNotIn('refused', line)

    def test_nothing_is_told_while_there_is_room(self):
        self.passing(factories.hosts(2))

        self.assertEqual([], self.observed())

    def test_multi_create_is_placed_whole(self):
        self.assertEqual(
            9, self.schedule(factories.hosts(3), 9).total())

    def test_looking_for_alternates_is_not_told(self):
        """nova filters once more after a multi-create was placed."""
        spec = factories.spec(number=2)
        hosts = [factories.host('a', 1), factories.host('b', 1)]
        for host in hosts:
            self.passing(hosts, spec)
            host.consume_from_request(spec)
            last, spec.instance_uuid = (
                spec.instance_uuid, factories.new_uuid())
        spec.instance_uuid = last
        before = len(self.observed())

        self.passing(hosts, spec)

        self.assertEqual(before, len(self.observed()))


class TestMultiCreate(FilterTestCase):

    def test_no_alternate_is_no_refusal(self):
        """nova filters once more after a multi-create was placed."""
        self.set(max_same_image_instances_per_host=1)
        spec = factories.spec(number=2)
        host = factories.host('a')
        other = factories.host('b')
        self.passing([host, other], spec)
        host.consume_from_request(spec)
        spec.instance_uuid = factories.new_uuid()
        self.passing([host, other], spec)
        other.consume_from_request(spec)

        self.assertEqual([], self.passing([host, other], spec))

        self.assertEqual([], self.refusals())
        self.assertEqual([], self.warnings())
        # And the server that was placed where one host was left counts on.
        self.assertIn(('b', 'b'), self.counter.ledger.by_spot())

    def test_refused_request_leaves_nothing_behind(self):
        """nova drops all of it."""
        self.schedule(factories.hosts(2), 5)

        self.assertEqual(0, len(self.counter.ledger))


class TestHearsay(FilterTestCase):
    """A host seems full for the first server of a multi-create."""

    def setUp(self):
        super().setUp()
        self.set(max_same_image_instances_per_host=1)
        self.cell_knows()

    def hosts(self):
        """Return an empty host, and one with a report that is out of date."""
        return [factories.host('a'), factories.host(
            'b', text=factories.using(1, servers=1))]

    def test_report_that_is_out_of_date(self):
        placed = self.schedule(self.hosts(), 2)

        self.assertEqual({'a': 1, 'b': 1}, placed)

    def test_placement_that_came_to_nothing(self):
        now = self.counter.clock()
        self.counter.ledger.record(ledger.Placement(
            factories.new_uuid(), servers.Spot('b', 'b'), factories.IMAGE,
            factories.PROJECT, False, ledger.Resources(1, 512),
            ledger.Resources(0, 0), 0, now - ledger.WRITTEN_AFTER - 1,
            now + 1000))

        placed = self.schedule([factories.host('a'), factories.host('b')], 2)

        self.assertEqual({'a': 1, 'b': 1}, placed)

    def test_group_that_is_only_wished_for(self):
        placed = self.schedule(
            self.hosts(), 2, group=factories.server_group())

        self.assertEqual({'a': 1, 'b': 1}, placed)

    def test_strict_group_has_its_own_idea(self):
        """What its filter has refused must not come back."""
        placed = self.schedule(
            self.hosts(), 2, group=factories.server_group('anti-affinity'))

        self.assertEqual({'a': 1}, placed)


class TestStart(base.TestCase):

    def test_bad_option_stops_the_scheduler(self):
        fixture = fixtures.MockPatch(
            'cache_aware_sched.config.checked', side_effect=ValueError)
        self.useFixture(fixture)

        self.assertRaises(ValueError, filters.ImageAntiAffinityFilter)

    def test_nova_finds_the_filter(self):
        [found] = nova_filters.HostFilterHandler().get_matching_classes(
            ['cache_aware_sched.scheduler.filters.ImageAntiAffinityFilter'])

        self.assertIs(filters.ImageAntiAffinityFilter, found)

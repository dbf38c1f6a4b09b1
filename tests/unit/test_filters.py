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

from cache_aware_sched import cap
from cache_aware_sched.scheduler import filters
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler.same_image import query
from tests.unit import base
from tests.unit import factories

CELL = factories.CELL


class FilterTestCase(base.TestCase):

    POLICY = 'hard'

    def setUp(self):
        super().setUp()
        self.set(max_same_image_instances_per_host=2,
                 same_image_cap_policy=self.POLICY)
        self.filter = filters.ImageAntiAffinityFilter()
        self.query = mock.create_autospec(query.CellQuery, instance=True)
        count.shared()._query = self.query
        # What the cells know is what the hosts show.
        self.query.servers.return_value = {}

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


class TestHard(FilterTestCase):

    def test_hosts_below_the_cap_pass(self):
        hosts = [factories.host(f'h{number}', number) for number in range(5)]

        self.assertEqual(['h0', 'h1'], self.passing(hosts))

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

        self.assertEqual({}, count.shared().placements.by_host())

    def test_error(self):
        """A cap is not worth a scheduler that places nothing."""
        with mock.patch.object(cap, 'caps', autospec=True,
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

    def test_those_with_the_fewest_pass_when_all_are_full(self):
        hosts = [factories.host('a', 4), factories.host('b', 3),
                 factories.host('c', 3), factories.host('d', 9)]

        self.assertEqual(['b', 'c'], self.passing(hosts))
        self.assertEqual([], self.logged())

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


class TestLog(FilterTestCase):

    def test_refusal_says_why(self):
        hosts = [factories.host('host-a', 2), factories.host('host-b', 3)]
        spec = factories.spec()

        self.passing(hosts, spec)

        [line] = self.logged(logging.INFO)
        for part in (factories.IMAGE, spec.instance_uuid, 'host-a 2 of 2',
                     'host-b 3 of 2', 'scope all', factories.CAP):
            self.assertIn(part, line)

    def test_refusal_names_some_of_many_hosts(self):
        self.passing(factories.hosts(100, servers=2))

        [line] = self.logged(logging.INFO)
        self.assertIn('and 90 more', line)
        self.assertLess(len(line), 1000)

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

        self.assertEqual([], [line for line in self.logged()
                              if 'No host is left' in line])
        # And the server that was placed where one host was left counts on.
        self.assertEqual(['b'], list(
            self.filter._counter.placements.by_host()))

    def test_nothing_is_said_when_a_host_is_left(self):
        self.passing([factories.host('a', 2), factories.host('b')])

        self.assertEqual([], self.logged(logging.INFO))

    def test_debug_lines_name_the_full_hosts(self):
        self.log_debug()

        self.passing([factories.host('a', 2), factories.host('b')])

        [line] = [line for line in self.logged(logging.DEBUG)
                  if 'the cap is' in line]
        self.assertIn('Host a runs 2 servers', line)


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

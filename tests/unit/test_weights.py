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
import gc
import logging
from unittest import mock

from nova.scheduler import weights as nova_weights
from nova.scheduler.weights import cpu
from nova.scheduler.weights import ram

from cache_aware_sched import fetch_time
from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched.report import Holding
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import load
from cache_aware_sched.scheduler.same_image import cells
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler import scoring
from cache_aware_sched.scheduler import weights
from tests.unit import base
from tests.unit import factories

MULTIPLIER = 'image_cache_weight_multiplier'
#: Of an image of 20 GB, at the default rate.
ALL = fetch_time.benefit(fetch_time.fetch_seconds(20 * factories.GIB, 0))
WARM = scoring.HOLDS[Holding.WARM]
ARRIVING = scoring.HOLDS[Holding.ARRIVING]


def wish(*values):
    return {request_mod.HINT_IMAGE_CACHE: list(values)}


class WeigherTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        # No alternates are drawn, if nothing else is said.
        self.set_nova('scheduler', max_placement_results=100_000,
                      max_attempts=1)
        # For most tests each request is the first one.
        self.set(recent_placement_seconds=0, image_cache_weight_multiplier=1)
        self.weigher = weights.ImageCacheWeigher()
        self.query = mock.create_autospec(cells.CellQuery, instance=True)
        self.query.servers.return_value = {}
        self.counter = count.shared()
        self.counter.cell_lookup._query = self.query
        self.hosts = [
            factories.host('warm', text=factories.warm()),
            factories.host('cold', text=factories.cold()),
            factories.host('arriving', text=factories.arriving()),
            factories.host('resized', text=factories.resized(20)),
            factories.host('unknown')]

    def weigh(self, hosts=None, spec=None):
        return factories.weigh(
            self.weigher, factories.spec() if spec is None else spec,
            hosts or self.hosts)

    def best(self, hosts=None, spec=None):
        """Return the name of the host that nova takes."""
        weighed = self.weigh(hosts, spec)
        return max(weighed, key=weighed.get)

    def assert_weights(self, expected, weighed):
        """Assert them but for what is added to draw among ties."""
        self.assertEqual(set(expected), set(weighed))
        for host, weight in expected.items():
            self.assertAlmostEqual(weight, weighed[host], places=4, msg=host)

    def assert_no_effect(self, weighed):
        self.assertEqual({0.0}, set(weighed.values()))

    def remembered(self):
        """Return the servers that are in the ledger, by host."""
        return {host: list(placed) for (host, _node), placed
                in self.counter.ledger.by_spot().items()}

    def decisions(self):
        return [line for line in self.logged(logging.INFO)
                if 'leads among' in line]


class TestHolding(WeigherTestCase):

    def test_weight_is_what_the_host_saves(self):
        known = {'warm': ALL * WARM, 'cold': 0.0, 'arriving': ALL * ARRIVING,
                 'resized': ALL}
        average = sum(known.values()) / 4

        self.assert_weights({**known, 'unknown': average}, self.weigh())

    def test_weight_is_absolute(self):
        """nova does not stretch it over the candidates."""
        for hosts in (self.hosts[:2], self.hosts[:1] + self.hosts[3:4]):
            self.assertAlmostEqual(ALL * WARM, self.weigh(hosts)['warm'])

    def test_disk_of_another_size(self):
        weighed = self.weigh(spec=factories.spec(root_gb=40))

        self.assertEqual(weighed['warm'], weighed['resized'])

    def test_disk_as_large_as_the_image(self):
        weighed = self.weigh(spec=factories.spec(root_gb=0))

        self.assertEqual(weighed['warm'], weighed['resized'])

    def test_image_that_is_spelt_in_upper_case(self):
        spec = factories.spec(factories.IMAGE.upper())

        self.assertAlmostEqual(ALL * WARM, self.weigh(spec=spec)['warm'])

    def test_not_listed_in_a_truncated_report_is_unknown(self):
        hosts = [*self.hosts[:2], factories.host(
            'truncated', text=factories.truncated())]

        self.assert_weights(
            {'warm': ALL * WARM, 'cold': 0, 'truncated': ALL * WARM / 2},
            self.weigh(hosts))

    def test_host_that_does_not_cache_is_cold(self):
        hosts = [self.hosts[0], factories.host('rbd', text=report.encode(
            [], caches=False, max_bytes=1024))]

        self.assertEqual(0.0, self.weigh(hosts)['rbd'])

    def test_unreadable_report_is_unknown_and_is_warned_of_once(self):
        hosts = [*self.hosts[:2], factories.host('odd', text='nonsense')]

        for _request in range(3):
            self.assertAlmostEqual(ALL * WARM / 2, self.weigh(hosts)['odd'])

        [line] = self.warnings()
        self.assertIn('host odd', line)

    def test_no_host_holds_the_image(self):
        hosts = [self.hosts[1], self.hosts[4]]

        self.assert_no_effect(self.weigh(hosts))

    def test_host_that_was_never_updated(self):
        # Its state has no statistics at all.
        del self.hosts[4].stats
        self.hosts[4].vcpus_total = self.hosts[4].vcpus_used = 0

        self.assertGreater(self.weigh()['unknown'], 0.0)


class TestNoEffect(WeigherTestCase):

    def test_small_image(self):
        self.assert_no_effect(
            self.weigh(spec=factories.spec(size=20 * 10 ** 6)))

    def test_volume_backed(self):
        for image in (factories.IMAGE, None):
            self.assert_no_effect(
                self.weigh(spec=factories.spec(image, is_bfv=True)))

    def test_no_image(self):
        self.assert_no_effect(self.weigh(spec=factories.spec(None)))

    def test_no_reports(self):
        self.assert_no_effect(
            self.weigh([factories.host('a'), factories.host('b')]))

    def test_multiplier_of_0_does_no_work(self):
        self.set(image_cache_weight_multiplier=0)
        with mock.patch.object(self.counter, 'gather',
                               autospec=True) as gather:
            self.assert_no_effect(self.weigh())

        gather.assert_not_called()
        self.assertEqual({}, self.remembered())

    def test_one_host(self):
        [weighed] = nova_weights.HostWeightHandler().get_weighed_objects(
            [self.weigher], self.hosts[:1], factories.spec())

        self.assertEqual(0.0, weighed.weight)

    def test_no_hosts(self):
        self.assertEqual([], self.weigher.weigh_objects(
            [], factories.spec()))

    def test_host_on_its_own(self):
        weight = self.weigher._weigh_object(self.hosts[0], factories.spec())

        self.assertAlmostEqual(ALL * WARM, weight)


class TestSize(WeigherTestCase):

    def pair(self, rate):
        return [factories.host('warm', text=factories.warm(rate=rate)),
                factories.host('cold', text=factories.cold(rate=rate))]

    def test_size_that_the_hosts_tell(self):
        """Nothing but the image's id is in the request of some moves."""
        weighed = self.weigh(spec=factories.spec(size=0))

        self.assertAlmostEqual(ALL * WARM, weighed['warm'], places=3)

    def test_size_that_nobody_tells(self):
        self.assert_no_effect(self.weigh(
            [self.hosts[1], self.hosts[2]], factories.spec(size=0)))

    def test_hosts_that_fetch_fast_make_it_matter_less(self):
        spec = factories.spec(size=2 * factories.GIB)

        self.assertGreater(self.weigh(self.pair(16), spec)['warm'], 0.9)
        self.assertLess(self.weigh(self.pair(1024), spec)['warm'], 0.2)

    def test_absurd_rate_of_one_host_among_many(self):
        """It is a mistake of that host, or an image in its page cache."""
        hosts = [factories.host(f'h{number}', text=factories.warm(rate=64))
                 for number in range(50)]
        hosts.append(factories.host('fast', text=factories.warm(
            rate=999_999_999)))

        self.assertGreater(self.weigh(hosts)['h0'], 0.9)

    def test_absurd_rate_of_the_only_host_that_tells_one(self):
        hosts = [factories.host('a', text=factories.warm(rate=999_999_999)),
                 *self.hosts[:2]]

        self.assertGreater(self.weigh(hosts)['warm'], 0.4)


class TestCap(WeigherTestCase):

    def setUp(self):
        super().setUp()
        self.hosts = [
            factories.host(f'h{number}', number, text=factories.warm())
            for number in (0, 5, 7, 9, 10, 50)]
        self.faded = {'h0': 1, 'h5': 1, 'h7': 0.6, 'h9': 0.2, 'h10': 0,
                      'h50': 0}

    def assert_faded(self, spec=None):
        self.assert_weights(
            {host: ALL * WARM * share for host, share in self.faded.items()},
            self.weigh(spec=spec))

    def assert_not_faded(self):
        self.assert_weights(
            dict.fromkeys(self.faded, ALL * WARM), self.weigh())

    def test_weigher_alone_has_none(self):
        """Nobody has asked for one; the default is that of the filter."""
        self.assert_not_faded()

        self.query.servers.assert_not_called()

    def test_filter_asks_for_it(self):
        self.set_nova('filter_scheduler', enabled_filters=[
            'ComputeFilter', 'ImageAntiAffinityFilter'])

        self.assert_faded()

    def test_option_asks_for_it(self):
        self.set(max_same_image_instances_per_host=10)

        self.assert_faded()

    def test_aggregate_asks_for_it(self):
        aggregate = factories.aggregate(**{factories.CAP: 10})
        for host in self.hosts:
            host.aggregates = [aggregate]

        self.assert_faded()

    def test_flavor_asks_for_it(self):
        self.assert_faded(factories.spec(cap=10))

    def test_option_of_0_is_none(self):
        self.set(max_same_image_instances_per_host=0)

        self.assert_not_faded()

    def test_share(self):
        """A quarter of the 82 servers with the one to come."""
        self.set(max_same_image_instances_per_host=0,
                 max_same_image_share_per_host=0.25)
        self.faded = {'h0': 1, 'h5': 1, 'h7': 1, 'h9': 1, 'h10': 1, 'h50': 0}

        self.assert_faded()


class TestBusy(WeigherTestCase):

    def hosts_with(self, **busy):
        return [factories.host('busy', text=factories.warm(), **busy),
                factories.host('idle', text=factories.warm()),
                factories.host('cold', text=factories.cold())]

    def assert_busy_is_liked_as_much(self, hosts):
        self.assert_weights(
            {'busy': ALL * WARM, 'idle': ALL * WARM, 'cold': 0},
            self.weigh(hosts))

    def test_busy_host_is_liked_less(self):
        self.assert_weights(
            {'busy': 0, 'idle': ALL * WARM, 'cold': 0},
            self.weigh(self.hosts_with(vcpus_used=50)))

    def test_host_without_memory_left_is_busy(self):
        self.assert_weights(
            {'busy': 0, 'idle': ALL * WARM, 'cold': 0},
            self.weigh(self.hosts_with(memory_used=50 * 1024)))

    def test_overcommit_counts_as_capacity(self):
        hosts = [factories.host(name, text=factories.warm(), vcpus_used=80)
                 for name in ('a', 'b')]
        hosts[0].cpu_allocation_ratio = 16.0

        weighed = self.weigh(hosts)

        self.assertAlmostEqual(ALL * WARM, weighed['a'])
        self.assertEqual(0.0, weighed['b'])

    def test_cloud_that_packs_vcpus(self):
        self.set_nova('filter_scheduler', cpu_weight_multiplier=-1.0)

        self.assert_busy_is_liked_as_much(self.hosts_with(vcpus_used=50))

    def test_cloud_that_packs_memory(self):
        self.set_nova('filter_scheduler', ram_weight_multiplier=-1.0)

        self.assert_busy_is_liked_as_much(
            self.hosts_with(memory_used=50 * 1024))

    def test_aggregate_that_packs(self):
        for name, busy in (('cpu', {'vcpus_used': 50}),
                           ('ram', {'memory_used': 50 * 1024})):
            aggregate = factories.aggregate(
                **{f'{name}_weight_multiplier': -2})

            self.assert_busy_is_liked_as_much(
                self.hosts_with(aggregates=[aggregate], **busy))

    def test_aggregate_that_does_not_pack_in_a_cloud_that_does(self):
        self.set_nova('filter_scheduler', cpu_weight_multiplier=-1.0)
        aggregate = factories.aggregate(cpu_weight_multiplier=1)

        weighed = self.weigh(self.hosts_with(
            aggregates=[aggregate], vcpus_used=50))

        self.assertEqual(0.0, weighed['busy'])

    def test_requests_in_the_same_instant_do_not_pile_up(self):
        """Each sees where those before it were placed."""
        self.set(recent_placement_seconds=10,
                 image_cache_weight_multiplier=10)

        def hosts():
            return [factories.host('cold', text=factories.cold()),
                    factories.host('warm', text=factories.warm())]

        winners = [self.best(hosts()) for _request in range(
            load.IDLE_SERVERS)]

        self.assertEqual({'warm'}, set(winners))
        self.assertAlmostEqual(0.0, self.weigh(hosts())['warm'], places=4)


class TestMultiCreate(WeigherTestCase):

    def schedule(self, hosts, number):
        return factories.schedule(
            factories.spec(number=number), hosts, number,
            weighers=[cpu.CPUWeigher(), ram.RAMWeigher(), self.weigher])

    def test_does_not_pile_up(self):
        self.set(image_cache_weight_multiplier=10)
        hosts = [self.hosts[0], *factories.hosts(4, text=factories.cold())]

        placed = self.schedule(hosts, 30)

        self.assertEqual('warm', placed[0])
        self.assertLessEqual(placed.count('warm'), 10)

    def test_image_is_fetched_by_one_host_and_not_by_each(self):
        self.set(image_cache_weight_multiplier=10)
        hosts = factories.hosts(4, text=factories.cold())

        placed = self.schedule(hosts, 2)

        self.assertEqual(1, len(set(placed)))

    def test_image_arrives_where_the_request_before_was_placed(self):
        self.set(image_cache_weight_multiplier=10,
                 recent_placement_seconds=10)

        hosts = factories.hosts(4, text=factories.cold())
        winner = self.best(hosts)

        self.assertEqual(winner, self.best(hosts[::-1]))

    def test_other_image_does_not_arrive(self):
        self.set(recent_placement_seconds=10)
        hosts = factories.hosts(4, text=factories.cold())
        busiest = self.best(hosts, factories.spec(factories.new_uuid()))

        weighed = self.weigh(hosts)

        self.assertEqual(0.0, weighed[busiest])
        self.assertNotEqual(busiest, max(weighed, key=weighed.get))


class TestWish(WeigherTestCase):

    def test_prefer(self):
        self.assertEqual(
            self.weigh(), self.weigh(spec=factories.spec(
                hints=wish('prefer'))))

    def test_ignore(self):
        self.assert_no_effect(
            self.weigh(spec=factories.spec(hints=wish('ignore'))))

    def test_avoid(self):
        known = {'warm': ALL * (1 - WARM), 'cold': ALL,
                 'arriving': ALL * (1 - ARRIVING), 'resized': 0.0}
        average = sum(known.values()) / 4

        self.assert_weights(
            {**known, 'unknown': average},
            self.weigh(spec=factories.spec(hints=wish('avoid'))))

    def test_avoid_with_a_negative_multiplier_is_not_turned_around(self):
        self.set(image_cache_weight_multiplier=-1)

        weighed = self.weigh(spec=factories.spec(hints=wish('avoid')))

        self.assertLess(weighed['warm'], weighed['cold'])

    def test_odd_wish_has_no_effect(self):
        expected = self.weigh()

        for values in (['perfer'], [], [''], ['x' * 1000], ['avoid'] * 50):
            self.assertEqual(expected, self.weigh(
                spec=factories.spec(hints=wish(*values))))

    def test_wish_holds_for_a_move(self):
        self.assert_no_effect(
            self.weigh(spec=factories.move(hints=wish('ignore'))))

    def test_memory_does_not_grow_with_what_users_send(self):
        for number in range(2000):
            self.weigh(self.hosts[:2], factories.spec(
                hints=wish(f'{number}' + 'x' * 100_000)))
        gc.collect()

        # Nor is each of them told.
        self.assertEqual(1, len(self.warnings()))
        self.assertLess(len(repr(once._said)), 2000)
        self.assertEqual(0, len(self.counter._requests))


class TestMultiplier(WeigherTestCase):

    def aggregate(self, value):
        return factories.aggregate(**{MULTIPLIER: value})

    def test_option(self):
        self.set(image_cache_weight_multiplier=2.5)

        self.assertAlmostEqual(2.5 * ALL * WARM, self.weigh()['warm'])

    def test_negative_pushes_servers_away(self):
        self.set(image_cache_weight_multiplier=-1)

        weighed = self.weigh()

        self.assertAlmostEqual(-ALL * WARM, weighed['warm'])
        self.assertEqual(0.0, weighed['cold'])

    def test_negative_pushes_busy_and_full_hosts_away_too(self):
        self.set(image_cache_weight_multiplier=-1,
                 max_same_image_instances_per_host=2)
        hosts = [factories.host('busy', servers=5, vcpus_used=99,
                                text=factories.warm()),
                 factories.host('cold', text=factories.cold())]

        self.assertAlmostEqual(-ALL * WARM, self.weigh(hosts)['busy'])

    def test_aggregate_overrides_the_option(self):
        self.hosts[0].aggregates = [self.aggregate('3')]

        weighed = self.weigh()

        self.assertAlmostEqual(3 * ALL * WARM, weighed['warm'])
        self.assertAlmostEqual(ALL, weighed['resized'])

    def test_aggregate_of_0_switches_off_for_its_hosts(self):
        self.hosts[0].aggregates = [self.aggregate('0')]

        weighed = self.weigh()

        self.assertEqual(0.0, weighed['warm'])
        self.assertAlmostEqual(ALL, weighed['resized'])

    def test_aggregate_switches_on_for_its_hosts(self):
        self.set(image_cache_weight_multiplier=0)
        self.hosts[0].aggregates = [self.aggregate('2')]

        weighed = self.weigh()

        self.assertAlmostEqual(2 * ALL * WARM, weighed['warm'])
        self.assertEqual(0.0, weighed['resized'])

    def test_multiplier_of_a_host_on_its_own(self):
        """As nova asks for it after it has weighed."""
        self.hosts[0].aggregates = [self.aggregate('3')]

        self.assertEqual(
            3.0, self.weigher.weight_multiplier(self.hosts[0]))
        self.assertEqual(
            1.0, self.weigher.weight_multiplier(self.hosts[1]))

    def test_option_that_was_changed(self):
        """nova-scheduler reads its configuration again on a signal."""
        self.weigh()
        self.set(image_cache_weight_multiplier=2)

        self.assertAlmostEqual(2 * ALL * WARM, self.weigh()['warm'])


class TestWinner(WeigherTestCase):

    def setUp(self):
        super().setUp()
        self.set(recent_placement_seconds=10)

    def test_is_remembered(self):
        spec = factories.spec()

        self.weigh(spec=spec)

        self.assertEqual(
            {'resized': [spec.instance_uuid]}, self.remembered())

    def test_makes_its_host_busier_before_a_table_shows_it(self):
        """Of servers of many images not all go to the host that has them."""
        images = [factories.new_uuid() for _ in range(6)]
        holds_all = factories.host('holds all', vcpus=16, text=report.encode(
            [factories.file_of(image) for image in images],
            max_bytes=16384))
        others = factories.hosts(3, vcpus=16, text=factories.cold())

        weights_ = [self.weigh(
            [holds_all, *others], factories.spec(image, vcpus=1))['holds all']
            for image in images]

        idle = load.IDLE_SERVERS
        for weight in weights_[:idle]:
            self.assertAlmostEqual(ALL * WARM, weight)
        self.assertEqual([0.0] * (len(images) - idle), weights_[idle:])

    def test_is_remembered_once(self):
        """nova weighs once more for alternates, without the winner."""
        spec = factories.spec()

        self.weigh(spec=spec)
        self.weigh(self.hosts[:2], spec)

        self.assertEqual(['resized'], list(self.remembered()))
        self.assertEqual(1, len(self.decisions()))

    def test_each_server_of_a_request_is_remembered(self):
        spec = factories.spec(number=2)

        self.weigh(spec=spec)
        spec.instance_uuid = factories.new_uuid()
        self.weigh(spec=spec)

        self.assertEqual(2, sum(map(len, self.remembered().values())))

    def test_what_other_weighers_said_counts(self):
        weighed = [nova_weights.WeighedHost(host, 0.0)
                   for host in self.hosts[:2]]
        weighed[1].weight = 5.0

        self.weigher.weigh_objects(weighed, factories.spec())

        self.assertEqual(['cold'], list(self.remembered()))

    def test_is_remembered_if_the_image_is_nowhere(self):
        self.weigh([factories.host('a'), factories.host('b')])

        self.assertEqual(['a'], list(self.remembered()))

    def test_request_that_ignores_the_cache_hides_no_warning(self):
        """Nobody has looked at the reports for it."""
        silent = [factories.host('a'), factories.host('b')]
        self.weigh(silent, factories.spec(hints=wish('ignore')))
        self.assertEqual([], self.warnings())

        self.weigh(silent)

        self.assertEqual(1, len(self.warnings()))

    def test_is_remembered_for_a_request_that_ignores_the_cache(self):
        """Its server counts for the next ones."""
        self.weigh(spec=factories.spec(hints=wish('ignore')))

        self.assertEqual(['warm'], list(self.remembered()))

    def test_is_not_remembered_where_nova_picks_at_random(self):
        self.set_nova('filter_scheduler', host_subset_size=3)

        self.weigh()

        self.assertEqual({}, self.remembered())

    def test_is_logged(self):
        spec = factories.spec()

        self.weigh(spec=spec)

        [line] = self.decisions()
        for part in (spec.instance_uuid, factories.IMAGE, 'host resized',
                     '5 candidates', '3 of 5 hold it', 'benefit 1.00'):
            self.assertIn(part, line)

    def test_host_that_does_not_report_is_named_once(self):
        for _request in range(3):
            self.weigh()

        self.assertEqual(1, len([
            line for line in self.logged(logging.INFO)
            if 'does not report its image cache' in line]))


class TestObserve(WeigherTestCase):

    def setUp(self):
        super().setUp()
        self.set(image_cache_weigher_mode='observe',
                 recent_placement_seconds=10)

    def test_changes_no_weight(self):
        self.set(max_same_image_instances_per_host=3)
        self.set_nova('scheduler', max_attempts=3)

        self.assert_no_effect(self.weigh())

    def test_says_where_the_server_would_have_gone(self):
        self.weigh([self.hosts[1], self.hosts[0]])

        [line] = self.decisions()
        seconds = fetch_time.fetch_seconds(20 * factories.GIB, 0)
        for part in ('host cold leads', 'it would be host warm',
                     f'saves a fetch of {seconds:.1f} s'):
            self.assertIn(part, line)

    def test_remembers_where_the_server_goes(self):
        self.weigh([self.hosts[1], self.hosts[0]])

        self.assertEqual(['cold'], list(self.remembered()))


class TestSpreading(WeigherTestCase):
    """Requests that come at once, and that nobody remembers."""

    def setUp(self):
        super().setUp()
        self.set(max_same_image_instances_per_host=10,
                 image_cache_weight_multiplier=5)
        self.set_nova('scheduler', max_attempts=3)

    def order(self, hosts, before=None, **spec):
        """Return the names of the hosts as nova would try them."""
        weighed = [nova_weights.WeighedHost(host, 0.0) for host in hosts]
        for item, weight in zip(weighed, before or [], strict=False):
            item.weight = weight
        found = self.weigher.weigh_objects(weighed, factories.spec(**spec))
        for item, weight in zip(weighed, found, strict=True):
            self.assertTrue(0.0 <= weight <= 1.0, weight)
            item.weight += 5 * weight
        return [item.obj.host for item in sorted(
            weighed, key=lambda item: item.weight, reverse=True)]

    def orders(self, hosts, before=None, number=10):
        return [self.order(hosts, before, spec_id=1000 + place)
                for place in range(number)]

    def cold(self, number=20):
        return factories.hosts(number, text=factories.cold())

    def test_winner_that_leads_stays(self):
        hosts = [*self.cold(), factories.host('warm', text=factories.warm())]

        self.assertEqual(
            {'warm'}, {order[0] for order in self.orders(hosts)})

    def test_cold_host_never_wins_where_no_holder_can_be_raised(self):
        """Those weigh all that a host can, and fall the same each time."""
        hosts = [*self.cold(), *(
            factories.host(f'resized{number}', text=factories.resized())
            for number in range(3))]

        for place in range(50):
            order = self.order(
                hosts, spec_id=1000 + place, size=200 * factories.GIB)

            self.assertIn('resized', order[0])

    def test_alternates_differ_from_request_to_request(self):
        hosts = [*self.cold(), factories.host('warm', text=factories.warm())]

        found = collections.Counter(
            host for order in self.orders(hosts) for host in order[1:3])

        self.assertGreaterEqual(len(found), 12)

    def test_alternates_of_servers_without_an_id_differ(self):
        hosts = [*self.cold(), factories.host('warm', text=factories.warm())]

        found = {tuple(self.order(hosts)[1:3]) for _request in range(10)}

        self.assertGreaterEqual(len(found), 4)

    def test_ties_fall_differently(self):
        for before in (None, [number * 1e-4 for number in range(20)]):
            found = collections.Counter(
                order[0] for order in self.orders(self.cold(), before))

            self.assertLessEqual(max(found.values()), 2)

    def test_alternates_of_ties_differ(self):
        found = collections.Counter(
            host for order in self.orders(self.cold())
            for host in order[1:3])

        self.assertGreaterEqual(len(found), 12)

    def test_host_that_is_drawn_is_the_one_that_is_remembered(self):
        self.set(recent_placement_seconds=10)
        for place in range(5):
            order = self.order(self.cold(), spec_id=1000 + place,
                               image=factories.new_uuid())

            self.assertIn(f'host {order[0]} leads', self.decisions()[-1])
            self.assertIn(order[0], self.remembered())

    def test_same_request_gets_the_same_hosts_in_any_process(self):
        uuid = factories.new_uuid()

        orders = [self.order(self.cold(), instance_uuid=uuid)
                  for _process in range(3)]

        self.assertEqual([orders[0]] * 3, orders)

    def test_nothing_is_drawn_without_a_cap(self):
        """Then nothing sends servers on."""
        self.set(max_same_image_instances_per_host=0)
        names = [host.host for host in self.cold()]

        self.assertEqual([names] * 10, self.orders(self.cold()))

    def test_nothing_is_drawn_for_moves(self):
        """The late check does not send them on."""
        names = [host.host for host in self.cold()]

        self.assertEqual(names, self.order(
            self.cold(), destination=factories.move().requested_destination))

    def test_full_host_is_no_alternate(self):
        hosts = [factories.host('warm', text=factories.warm()),
                 *(factories.host(f'full{number}', 10, text=factories.warm())
                   for number in range(5)), *self.cold(4)]

        for order in self.orders(hosts):
            self.assertEqual([], [
                host for host in order[:3] if host.startswith('full')])

    def test_weights_of_others_are_left_alone(self):
        hosts = [factories.host('warm', text=factories.warm()),
                 *self.cold(6)]

        weighed = self.weigh(hosts, factories.spec(spec_id=7))

        self.assertEqual(4, list(weighed.values()).count(0.0))

    def test_negative_multiplier(self):
        self.set(image_cache_weight_multiplier=-5)
        hosts = [factories.host('warm', text=factories.warm()),
                 *self.cold(6)]

        weighed = self.weigh(hosts)

        self.assertLess(weighed['warm'], -4)
        self.assertEqual(6, list(weighed.values()).count(0.0))


class TestNotDrawing(WeigherTestCase):
    """As another than this weigher has the last word."""

    def setUp(self):
        super().setUp()
        self.set(max_same_image_instances_per_host=10,
                 image_cache_weight_multiplier=5)
        self.set_nova('scheduler', max_attempts=3)

    def behind_it(self, *names):
        self.set_nova('filter_scheduler', weight_classes=[
            'cache_aware_sched.scheduler.weights.ImageCacheWeigher', *names])

    def assert_nothing_is_drawn(self):
        self.weigher = weights.ImageCacheWeigher()
        hosts = [factories.host('warm', text=factories.warm()),
                 *factories.hosts(20, text=factories.cold())]

        for _request in range(5):
            weighed = self.weigh(hosts)

            self.assertAlmostEqual(5 * ALL * WARM, weighed.pop('warm'))
            self.assert_no_effect(weighed)
        self.assertFalse(self.counter.draws)

    def test_weigher_that_is_not_the_last(self):
        self.behind_it('nova.scheduler.weights.ram.RAMWeigher')

        self.assert_nothing_is_drawn()

        [line] = self.warnings()
        self.assertIn(
            'not the last of [filter_scheduler] weight_classes', line)

    def test_nova_picks_at_random(self):
        self.set_nova('filter_scheduler', host_subset_size=2)

        self.assert_nothing_is_drawn()

    def test_weigher_that_is_the_last_draws(self):
        self.behind_it()
        self.weigher = weights.ImageCacheWeigher()

        self.weigh()

        self.assertEqual([], self.warnings())
        self.assertTrue(self.counter.draws)


class TestFirstCopy(WeigherTestCase):

    def cold(self):
        return [factories.host(name, vcpus_used=used, text=factories.cold())
                for name, used in (('busy', 40), ('calm', 10), ('b', 20))]

    def test_goes_to_the_least_busy_host(self):
        weighed = self.weigh(self.cold())

        self.assertEqual('calm', max(weighed, key=weighed.get))
        self.assertEqual(0.0, weighed['busy'])

    def test_nothing_changes_where_a_host_holds_the_image(self):
        hosts = [*self.cold(), factories.host('warm', text=factories.warm())]

        self.assert_weights(
            {'busy': 0, 'calm': 0, 'b': 0, 'warm': ALL * WARM},
            self.weigh(hosts))

    def test_nothing_changes_where_vcpus_are_packed(self):
        self.set_nova('filter_scheduler', cpu_weight_multiplier=-1.0)

        self.assert_no_effect(self.weigh(self.cold()))


class TestWithTheFilter(WeigherTestCase):

    def setUp(self):
        super().setUp()
        from cache_aware_sched.scheduler import filters
        self.set(max_same_image_instances_per_host=2)
        self.filter = filters.ImageAntiAffinityFilter()

    def test_cells_are_asked_once_for_both(self):
        spec = factories.spec()
        hosts = [factories.host('a', 1, text=factories.warm(), building=1),
                 factories.host('b', 1, text=factories.warm(), building=1)]
        self.query.servers.return_value = {factories.CELL: [
            factories.server('a', server_uuid=next(iter(hosts[0].instances))),
            factories.server('b', server_uuid=next(iter(hosts[1].instances)))
        ]}

        passed = list(self.filter.filter_all(hosts, spec))
        self.weigh(passed, spec)

        self.assertEqual({'a', 'b'}, {host.host for host in passed})
        self.query.servers.assert_called_once()

    def test_multi_create_stays_below_the_cap(self):
        hosts = [factories.host('warm', text=factories.warm()),
                 *factories.hosts(3, text=factories.cold())]

        placed = collections.Counter(factories.schedule(
            factories.spec(number=8), hosts, 8, [self.filter],
            [self.weigher]))

        self.assertEqual({2}, set(placed.values()))


class TestRobustness(WeigherTestCase):

    def test_hosts_that_are_broken(self):
        for name, value in (
                ('stats', None), ('stats', {}), ('vcpus_total', None),
                ('vcpus_used', None), ('free_ram_mb', None),
                ('total_usable_ram_mb', None), ('cpu_allocation_ratio', None),
                ('ram_allocation_ratio', None), ('cell_uuid', None),
                ('instances', None), ('instances', {1: None}),
                ('num_instances', None),
                ('stats', {report.STATS_KEY: None}),
                ('stats', {report.STATS_KEY: {}}),
                ('stats', {report.STATS_KEY: 'v=1;' * 10})):
            hosts = [factories.host('broken', text=factories.warm()),
                     factories.host('fine', text=factories.warm())]
            setattr(hosts[0], name, value)

            self.assertEqual({'broken', 'fine'}, set(self.weigh(hosts)))

    def test_request_with_broken_hosts_ends(self):
        """Nobody could catch what is raised when nova lets it go."""
        hosts = [factories.host('broken', text=factories.warm()),
                 factories.host('fine', text=factories.warm())]
        hosts[0].num_instances = None
        with mock.patch('sys.unraisablehook') as hook:
            self.weigh(hosts)
            gc.collect()

        hook.assert_not_called()

    def test_request_that_is_broken(self):
        from nova import objects
        for spec in (objects.RequestSpec(), {}, object()):
            self.assert_no_effect(self.weigh(spec=spec))

    def test_error(self):
        """A preference is not worth a scheduler that places nothing."""
        with mock.patch.object(scoring, 'score', autospec=True,
                               side_effect=RuntimeError):
            self.assert_no_effect(self.weigh())

        self.assertEqual(1, len(self.errors()))

    def test_error_with_a_request_that_has_no_server(self):
        spec = factories.spec()
        del spec._obj_instance_uuid

        with mock.patch.object(scoring, 'score', autospec=True,
                               side_effect=RuntimeError):
            self.assert_no_effect(self.weigh(spec=spec))

    def test_10000_hosts(self):
        texts = factories.warm(), factories.cold(), None
        hosts = [factories.host(f'h{number}', text=texts[number % 3])
                 for number in range(10_000)]

        weighed = self.weigh(hosts)

        self.assertAlmostEqual(ALL * WARM, weighed['h0'])
        self.assertEqual(0.0, weighed['h1'])
        self.assertAlmostEqual(ALL * WARM / 2, weighed['h2'], places=3)

    def test_nova_finds_the_weigher(self):
        name = 'cache_aware_sched.scheduler.weights.ImageCacheWeigher'
        [found] = nova_weights.HostWeightHandler().get_matching_classes(
            [name])

        self.assertIs(weights.ImageCacheWeigher, found)

    def test_bad_option_stops_the_scheduler(self):
        with mock.patch('cache_aware_sched.config.checked',
                        side_effect=ValueError):
            self.assertRaises(ValueError, weights.ImageCacheWeigher)

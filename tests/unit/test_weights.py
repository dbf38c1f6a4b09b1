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
import time
from unittest import mock

from nova.scheduler import weights as nova_weights
from nova.scheduler.weights import cpu
from nova.scheduler.weights import ram

from cache_aware_sched import report
from cache_aware_sched.report import Holding
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import load
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler.same_image import query
from cache_aware_sched.scheduler import scoring
from cache_aware_sched.scheduler import weights
from tests.unit import base
from tests.unit import factories

MULTIPLIER = 'image_cache_weight_multiplier'
#: Of an image of 20 GB, at the default rate.
ALL = scoring.benefit(scoring.fetch_seconds(20 * factories.GIB, 0))
WARM = scoring.HOLDS[Holding.WARM]
ARRIVING = scoring.HOLDS[Holding.ARRIVING]


def wish(value):
    return {request_mod.HINT_IMAGE_CACHE: [value]}


class WeigherTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.set_nova('scheduler', max_placement_results=100_000)
        # For most tests each request is the first one.
        self.set(recent_placement_seconds=0, image_cache_weight_multiplier=1)
        self.weigher = weights.ImageCacheWeigher()
        self.query = mock.create_autospec(query.CellQuery, instance=True)
        self.query.servers.return_value = {}
        self.counter = count.shared()
        self.counter._query = self.query
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

    def assert_weights(self, expected, weighed):
        self.assertEqual(set(expected), set(weighed))
        for host, weight in expected.items():
            self.assertAlmostEqual(weight, weighed[host], msg=host)

    def assert_no_effect(self, weighed):
        self.assertEqual({0.0}, set(weighed.values()))


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
        with mock.patch.object(weights.reports, 'survey',
                               autospec=True) as survey:
            self.assert_no_effect(self.weigh())

        survey.assert_not_called()
        self.assertEqual({}, self.counter.placements.by_host())

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

    def test_size_that_the_hosts_tell(self):
        """Nothing but the image's id is in the request of some moves."""
        weighed = self.weigh(spec=factories.spec(size=0))

        self.assertAlmostEqual(
            ALL * WARM, weighed['warm'], places=3)

    def test_size_that_nobody_tells(self):
        self.assert_no_effect(self.weigh(
            [self.hosts[1], self.hosts[2]], factories.spec(size=0)))

    def test_hosts_that_fetch_fast_make_it_matter_less(self):
        spec = factories.spec(size=2 * factories.GIB)
        slow = [factories.host('warm', text=factories.warm(rate=16)),
                factories.host('cold', text=factories.cold(rate=16))]
        fast = [factories.host('warm', text=factories.warm(rate=1024)),
                factories.host('cold', text=factories.cold(rate=1024))]

        self.assertGreater(self.weigh(slow, spec)['warm'], 0.9)
        self.assertLess(self.weigh(fast, spec)['warm'], 0.2)


class TestGuards(WeigherTestCase):

    def test_host_near_its_cap_is_liked_less(self):
        self.set(max_same_image_instances_per_host=4)
        hosts = [factories.host(f'h{number}', number, text=factories.warm())
                 for number in range(6)]

        weighed = self.weigh(hosts)

        self.assert_weights(
            {f'h{number}': ALL * WARM * share for number, share
             in enumerate((1, 1, 1, 0.5, 0, 0))}, weighed)

    def test_busy_host_is_liked_less(self):
        hosts = [factories.host('busy', text=factories.warm(), vcpus_used=50),
                 factories.host('idle', text=factories.warm()),
                 factories.host('cold', text=factories.cold())]

        self.assert_weights(
            {'busy': 0, 'idle': ALL * WARM, 'cold': 0}, self.weigh(hosts))

    def test_host_without_memory_left_is_busy(self):
        hosts = [factories.host('busy', text=factories.warm(),
                                memory_used=50 * 1024),
                 factories.host('idle', text=factories.warm())]

        self.assertEqual(0.0, self.weigh(hosts)['busy'])

    def test_overcommit_counts_as_capacity(self):
        hosts = [factories.host(name, text=factories.warm(), vcpus_used=80)
                 for name in ('a', 'b')]
        hosts[0].cpu_allocation_ratio = 16.0

        weighed = self.weigh(hosts)

        self.assertAlmostEqual(ALL * WARM, weighed['a'])
        self.assertEqual(0.0, weighed['b'])

    def test_multi_create_does_not_pile_up(self):
        self.set(image_cache_weight_multiplier=10)
        hosts = [self.hosts[0], *factories.hosts(4, text=factories.cold())]

        placed = factories.schedule(
            factories.spec(number=30), hosts, 30,
            weighers=[cpu.CPUWeigher(), ram.RAMWeigher(), self.weigher])

        self.assertEqual('warm', placed[0])
        self.assertLessEqual(placed.count('warm'), 10)

    def test_requests_in_the_same_instant_do_not_pile_up(self):
        """Each sees where those before it were placed."""
        self.set(recent_placement_seconds=10,
                 image_cache_weight_multiplier=10,
                 max_same_image_instances_per_host=4)

        winners = []
        for _request in range(8):
            hosts = [factories.host('cold', text=factories.cold()),
                     factories.host('warm', text=factories.warm())]
            weighed = self.weigh(hosts)
            winners.append(max(weighed, key=weighed.get))

        self.assertEqual('warm', winners[0])
        self.assertEqual(4, winners.count('warm'))


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

    def test_odd_wish_has_no_effect_and_is_warned_of_once(self):
        expected = self.weigh()
        for _request in range(3):
            self.assertEqual(expected, self.weigh(
                spec=factories.spec(hints=wish('perfer'))))

        [line] = self.warnings()
        self.assertIn('perfer', line)
        self.assertIn(factories.PROJECT, line)

    def test_empty_hint(self):
        expected = self.weigh()

        self.assertEqual(expected, self.weigh(spec=factories.spec(
            hints={request_mod.HINT_IMAGE_CACHE: []})))


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

    def test_smallest_of_several_aggregates(self):
        self.hosts[0].aggregates = [
            self.aggregate('3'), factories.aggregate(),
            self.aggregate('0.5'), self.aggregate('4')]

        self.assertAlmostEqual(0.5 * ALL * WARM, self.weigh()['warm'])

    def test_garbage_has_no_effect_and_is_warned_of_once(self):
        values = ('x', '', 'nan', 'inf', '-inf', '1e9', '1,5', '0x2')
        for value in values:
            self.hosts[0].aggregates = [self.aggregate(value)]
            for _request in range(3):
                self.assertAlmostEqual(ALL * WARM, self.weigh()['warm'])

        self.assertEqual(len(values), len(self.warnings()))
        self.assertIn(MULTIPLIER, self.warnings()[0])

    def test_multiplier_of_a_host_on_its_own(self):
        self.hosts[0].aggregates = [self.aggregate('3')]

        self.assertEqual(
            3.0, self.weigher.weight_multiplier(self.hosts[0]))
        self.assertEqual(
            1.0, self.weigher.weight_multiplier(self.hosts[1]))


class TestWinner(WeigherTestCase):

    def setUp(self):
        super().setUp()
        self.set(recent_placement_seconds=10)

    def test_is_remembered(self):
        spec = factories.spec()

        self.weigh(spec=spec)

        [(host, placed)] = self.counter.placements.by_host().items()
        self.assertEqual('resized', host)
        self.assertEqual([spec.instance_uuid], list(placed))

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

        self.assertEqual(['resized'], list(
            self.counter.placements.by_host()))
        self.assertEqual(1, len([
            line for line in self.logged(logging.INFO) if 'leads' in line]))

    def test_each_server_of_a_request_is_remembered(self):
        spec = factories.spec(number=2)

        self.weigh(spec=spec)
        spec.instance_uuid = factories.new_uuid()
        self.weigh(spec=spec)

        self.assertEqual(2, sum(map(
            len, self.counter.placements.by_host().values())))

    def test_what_other_weighers_said_counts(self):
        spec = factories.spec()
        weighed = [nova_weights.WeighedHost(host, 0.0)
                   for host in self.hosts[:2]]
        weighed[1].weight = 5.0

        self.weigher.weigh_objects(weighed, spec)

        self.assertEqual(['cold'], list(self.counter.placements.by_host()))

    def test_is_remembered_if_the_image_is_nowhere(self):
        self.weigh([factories.host('a'), factories.host('b')])

        self.assertEqual(['a'], list(self.counter.placements.by_host()))

    def test_is_logged(self):
        spec = factories.spec()

        self.weigh(spec=spec)

        line = self.logged(logging.INFO)[-1]
        for part in (spec.instance_uuid, factories.IMAGE, 'host resized',
                     '5 candidates'):
            self.assertIn(part, line)

    def test_host_that_does_not_report_is_named_once(self):
        for _request in range(3):
            self.weigh()

        self.assertEqual(1, len([
            line for line in self.logged(logging.INFO)
            if 'does not report its image cache' in line]))

    def test_reasons_are_logged_for_debugging(self):
        self.log_debug()

        self.weigh()

        lines = ' '.join(self.logged(logging.DEBUG))
        for part in ("host='warm'", 'headroom=', 'gate=', 'benefit=',
                     'Holding.WARM'):
            self.assertIn(part, lines)


class TestWarnings(WeigherTestCase):

    def test_once_when_no_host_ever_reported(self):
        for _request in range(3):
            self.weigh([factories.host('a'), factories.host('b')])

        [line] = self.warnings()
        self.assertIn('none of 2 candidate hosts', line)
        self.assertIn('cache_aware.LibvirtDriver', line)

    def test_not_when_a_host_has_reported_before(self):
        self.weigh()

        self.weigh([factories.host('a'), factories.host('b')])

        self.assertEqual([], self.warnings())

    def test_once_when_the_candidates_are_cut(self):
        self.set_nova('scheduler', max_placement_results=5)

        for _request in range(3):
            self.weigh()

        [line] = self.warnings()
        self.assertIn('max_placement_results', line)

    def test_once_when_requests_had_more_candidates_than_one_can_have(self):
        self.set_nova('scheduler', max_placement_results=6)
        for number in range(3):
            self.counter.index.of_hosts([
                factories.host(f'{number}-{other}') for other in range(3)])

        for _request in range(2):
            self.weigh()

        [line] = self.warnings()
        self.assertIn('max_placement_results', line)

    def test_not_when_the_candidates_are_not_cut(self):
        self.set_nova('scheduler', max_placement_results=6)

        self.weigh()

        self.assertEqual([], self.warnings())


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

    def test_request_that_is_broken(self):
        from nova import objects
        for spec in (objects.RequestSpec(), {}, object()):
            self.assert_no_effect(self.weigh(spec=spec))

    def test_error(self):
        """A preference is not worth a scheduler that places nothing."""
        with mock.patch.object(weights.reports, 'survey', autospec=True,
                               side_effect=RuntimeError):
            self.assert_no_effect(self.weigh())

        self.assertEqual(1, len(self.errors()))

    def test_error_with_a_request_that_has_no_server(self):
        spec = factories.spec()
        del spec._obj_instance_uuid

        with mock.patch.object(weights.reports, 'survey', autospec=True,
                               side_effect=RuntimeError):
            self.assert_no_effect(self.weigh(spec=spec))

    def test_absurd_fetch_rate_of_one_host_does_not_matter(self):
        """It is a mistake of that host, or an image in its page cache."""
        hosts = [factories.host(f'h{number}', text=factories.warm(rate=64))
                 for number in range(50)]
        hosts.append(factories.host('fast', text=factories.warm(
            rate=2 ** 20)))

        self.assertGreater(self.weigh(hosts)['h0'], 0.9)

    def test_10000_hosts(self):
        texts = factories.warm(), factories.cold(), None
        hosts = [factories.host(f'h{number}', text=texts[number % 3])
                 for number in range(10_000)]

        start = time.monotonic()
        weighed = self.weigh(hosts)

        self.assertLess(time.monotonic() - start, 5)
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

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
import dataclasses

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cache_aware_sched.simulator.cloud import schedulers
from cache_aware_sched.simulator.cloud import simulation as simulation_mod
from cache_aware_sched.simulator import engine
from cache_aware_sched.simulator import policy
from tests.unit import base
from tests.unit import simulated
from tests.unit.simulated import boot
from tests.unit.simulated import ours
from tests.unit.simulated import simulate

A, B, C = simulated.A, simulated.B, simulated.C
DAY = 86400.0
CAP = 'max_same_image_instances_per_host'


def stacking(*lines):
    """Return stock nova that fills one host after the other."""
    return policy.stock('\n'.join((
        '[filter_scheduler]', 'cpu_weight_multiplier = -1',
        'ram_weight_multiplier = -1', 'disk_weight_multiplier = -1', *lines)))


class TestWaits(base.TestCase):
    """1000 MB take a host 10 s, a warm boot 2 s, 0.5 s of them to claim."""

    def waits(self, *boots, the_policy=None, **options):
        simulation, self.result = simulate(boots, the_policy, **options)
        return simulation.wait_seconds

    def test_three_boots_on_two_hosts(self):
        """Stock nova spreads, so the image is fetched twice."""
        self.assertEqual(
            [12.0, 12.0, 2.0],
            self.waits(boot(0.0), boot(100.0), boot(200.0)))
        self.assertEqual(2, self.result.cold_boots)
        self.assertEqual(2000 * simulated.MB, self.result.fetched_bytes)

    def test_preference_for_the_image(self):
        self.assertEqual(
            [12.0, 2.0, 2.0],
            self.waits(boot(0.0), boot(100.0), boot(200.0),
                       the_policy=policy.reference('binary', 10.0)))
        self.assertEqual(1, self.result.cold_boots)

    def test_two_servers_of_an_image_fetch_it_once(self):
        """The second one, 4 s later, waits for the first one's fetch."""
        self.assertEqual([12.0, 8.0],
                         self.waits(boot(0.0), boot(4.0), hosts=1))
        self.assertEqual((1, 1), (self.result.cold_boots,
                                  self.result.late_boots))

    def test_two_images_share_what_a_host_can_fetch(self):
        self.assertEqual([22.0, 22.0],
                         self.waits(boot(0.0), boot(0.0, B), hosts=1))

    def test_two_hosts_share_glance(self):
        """Both fetch from 1.5 s on; by then the first has 100 MB.

        At 50 MB/s each the first needs 18 s more. Then 100 MB of the second
        are left, at 100 MB/s.
        """
        self.assertEqual(
            [21.0, 21.0],
            self.waits(boot(0.0), boot(1.0, B), glance_mb_s=100.0))

    def test_builds_wait_for_those_before_them(self):
        """The second is claimed when the first runs, at 12 s."""
        self.assertEqual(
            [12.0, 23.5],
            self.waits(boot(0.0), boot(0.0, B), hosts=1,
                       max_concurrent_builds=1))

    def test_percentiles(self):
        self.waits(boot(0.0), boot(100.0), boot(200.0), boot(300.0), hosts=1)

        self.assertEqual(
            (4.5, 2.0, 12.0, 12.0),
            (self.result.wait_mean, self.result.wait_p50,
             self.result.wait_p95, self.result.wait_p99))


class TestStaleness(base.TestCase):

    def hosts(self, *boots, the_policy=None, **options):
        simulation, self.result = simulate(boots, the_policy, **options)
        return simulation.placements

    def test_requests_before_the_claim_do_not_see_each_other(self):
        first, second = self.hosts(boot(0.0), boot(0.4))

        self.assertEqual(first, second)

    def test_requests_after_the_claim_do(self):
        first, second = self.hosts(boot(0.0), boot(0.6))

        self.assertNotEqual(first, second)

    def test_builds_count_as_io_until_the_periodic_update(self):
        """It is over at 12 s, and one that stacks would join it."""
        boots = boot(0.0), boot(50.0)

        stale = self.hosts(*boots, the_policy=stacking(),
                           update_interval=1000.0)
        fresh = self.hosts(*boots, the_policy=stacking(), update_interval=1.0)

        self.assertNotEqual(*stale)
        self.assertEqual(*fresh)

    def test_cached_image_is_known_after_the_report(self):
        """It arrives at 10.5 s."""
        binary = policy.reference('binary', 10.0)

        before = self.hosts(boot(0.0), boot(12.0), the_policy=binary,
                            report_delay=2.0, update_interval=10 ** 6)
        after = self.hosts(boot(0.0), boot(12.6), the_policy=binary,
                           report_delay=2.0, update_interval=10 ** 6)

        self.assertNotEqual(*before)
        self.assertEqual(*after)

    def test_report_waits_for_the_periodic_update_if_it_is_told_so(self):
        lines = ('image_cache_weight_multiplier = 10',
                 'report_changes_at_once = false')
        boots = boot(0.0), boot(40.0)

        late = self.hosts(*boots, the_policy=ours(*lines),
                          update_interval=10 ** 6)
        at_once = self.hosts(*boots, the_policy=ours(*lines[:1]),
                             update_interval=10 ** 6)

        self.assertNotEqual(*late)
        self.assertEqual(*at_once)


class TestOurs(base.TestCase):
    """The filter and the weigher are the real ones."""

    def test_multiplier(self):
        """With two servers like them a host is still idle."""
        boots = boot(0.0), boot(100.0)

        cold = [simulate(boots, ours(
            f'image_cache_weight_multiplier = {multiplier}'))[1].cold_boots
            for multiplier in (0, 10, -10)]

        self.assertEqual([2, 1, 2], cold)

    def test_without_a_preference_and_a_cap_it_is_stock(self):
        load = synthetic_load()
        _, stock = simulate(load, hosts=4)

        _, result = simulate(load, ours(
            'image_cache_weight_multiplier = 0', f'{CAP} = 0',
            'report_changes_at_once = false'), hosts=4)

        same = {'policy': 'stock', 'kind': 'stock'}
        self.assertEqual({**simulated.findings(stock), **same},
                         {**simulated.findings(result), **same})
        self.assertGreater(stock.cold_boots, 0)

    def test_cap_of_one(self):
        boots = [boot(number / 10) for number in range(3)]

        simulation, result = simulate(boots, ours(f'{CAP} = 1'))

        self.assertEqual(1, result.max_same_image)
        self.assertEqual(1, result.refused)
        self.assertEqual([2, 1], [
            len(set(simulation.placements[:2])),
            simulation.placements.count(None)])

    def test_cap_of_each_project(self):
        boots = [boot(0.0), boot(0.1, project=simulated.OTHER_PROJECT)]

        _, result = simulate(boots, ours(
            f'{CAP} = 1', 'same_image_scope = project'), hosts=1)

        self.assertEqual((0, 2, 1), (
            result.refused, result.max_same_image,
            result.max_same_image_project))

    def test_soft_cap(self):
        _, result = simulate([boot(0.0), boot(0.1)], ours(
            f'{CAP} = 1', 'same_image_cap_policy = soft'), hosts=1)

        self.assertEqual((0, 2), (result.refused, result.max_same_image))

    def test_builds_are_looked_up_in_the_cells(self):
        """At 1 s the first is claimed, and not shown yet."""
        _, result = simulate([boot(0.0), boot(1.0)], ours(
            f'{CAP} = 1', 'recent_placement_seconds = 0',
            'same_image_late_check = false'), hosts=1)

        self.assertEqual(1, result.refused)

    def test_late_check_sends_a_server_to_another_host(self):
        """Without the memory of placements, both are sent to one host."""
        simulation, result = simulate([boot(0.0), boot(0.0)], ours(
            f'{CAP} = 1', 'recent_placement_seconds = 0'))

        self.assertEqual((1, 1, 0), (
            result.rescheduled, result.max_same_image, result.refused))
        self.assertNotEqual(*simulation.placements)
        # Claimed again half a second later.
        self.assertEqual([12.0, 12.5], simulation.wait_seconds)
        self.assertEqual(2, simulation.held().vcpus)

    def test_late_check_can_be_off(self):
        _, result = simulate([boot(0.0), boot(0.0)], ours(
            f'{CAP} = 1', 'recent_placement_seconds = 0',
            'same_image_late_check = false'))

        self.assertEqual((0, 2), (result.rescheduled, result.max_same_image))

    def test_late_check_without_another_host(self):
        simulation, result = simulate([boot(0.0), boot(0.0)], ours(
            f'{CAP} = 1', 'recent_placement_seconds = 0'), hosts=1)

        self.assertEqual((1, 1), (result.rescheduled, result.refused))
        self.assertEqual([12.0, None], simulation.wait_seconds)

    def test_schedulers_do_not_know_what_others_placed(self):
        """The first server makes all prefer the other host."""
        boots = [boot(0.0, B), boot(100.0), boot(100.0)]
        lines = f'{CAP} = 1', 'same_image_late_check = false'

        _, one = simulate(boots, ours(*lines))
        _, two = simulate(boots, ours(*lines), schedulers=2)

        self.assertEqual((1, 2), (one.max_same_image, two.max_same_image))

    def test_placement_may_hand_over_too_few(self):
        simulation, _ = simulate(
            [boot(0.0), boot(100.0)],
            policy.stock('[scheduler]\nmax_placement_results = 1'))

        self.assertEqual(['host0000'] * 2, simulation.placements)


class TestCaches(base.TestCase):

    boots = (boot(0.0, lifetime=100.0), boot(2 * DAY, lifetime=100.0))

    def cold(self, boots, **options):
        _, result = simulate(boots, hosts=1, **options)
        return result.cold_boots, result.evicted

    def test_unused_image_goes_in_time(self):
        self.assertEqual((2, 1), self.cold(self.boots))

    def test_unused_image_stays_with_another_manager(self):
        self.assertEqual(
            (1, 0), self.cold(self.boots, cache_manager='protected'))

    def test_used_image_stays(self):
        self.assertEqual(
            (1, 0), self.cold([boot(0.0), boot(2 * DAY)]))

    def test_protected_image_by_the_name_that_the_input_has(self):
        load = dataclasses.replace(
            simulated.load(*self.boots), names={'golden': A})

        for name, cold in (('golden', 1), (A.upper(), 1), ('other', 2)):
            self.assertEqual(
                (cold, cold - 1), self.cold(load, protected_images=(name,)))

    def test_policy_can_protect_images(self):
        load = dataclasses.replace(
            simulated.load(*self.boots), names={C.upper(): A})
        protect = ours(f'protected_images = {C.upper()}')

        _, result = simulate(load, protect, hosts=1)

        self.assertEqual(1, result.cold_boots)

    def test_limit(self):
        boots = [boot(100.0 * number, image, lifetime=50.0)
                 for number, image in enumerate((A, B, C, A))]

        self.assertEqual((4, 2), self.cold(
            boots, cache_manager='lru', image_cache_max_images=2))

    def test_policy_can_have_a_manager_of_its_own(self):
        _, result = simulate(
            self.boots, ours('image_cache_manager = protected'), hosts=1)

        self.assertEqual(1, result.cold_boots)

    def test_cache_takes_from_the_disk(self):
        """So the other host has the freer disk, however it stacks."""
        by_disk = policy.stock(
            '[filter_scheduler]\ncpu_weight_multiplier = 0\n'
            'ram_weight_multiplier = 0\nio_ops_weight_multiplier = 0')
        boots = [boot(0.0, lifetime=50.0), boot(1000.0, B)]

        there, _ = simulate(boots, by_disk)
        elsewhere, _ = simulate(boots, by_disk, image_disk=False)

        self.assertNotEqual(*there.placements)
        self.assertEqual(*elsewhere.placements)


class TestMultiCreate(base.TestCase):
    """Servers of a batch can be one request to nova."""

    def test_each_sees_those_before_it(self):
        """Of one request nova takes account at once, and of others later."""
        boots = [boot(0), boot(0), boot(0), boot(0)]

        together, _result = simulate(boots, hosts=4, multi_create=True)
        alone, _result = simulate(boots, hosts=4)

        self.assertEqual(4, len(set(together.placements)))
        self.assertEqual(1, len(set(alone.placements)))

    def test_package_knows_what_it_has_placed_of_a_request(self):
        """Each server has its own uuid, so the cap fills one after another."""
        simulation, result = simulate(
            [boot(0)] * 20, ours(f'{CAP} = 3'), hosts=10, multi_create=True)

        self.assertEqual(
            [3] * 6 + [2], sorted(collections.Counter(
                simulation.placements).values(), reverse=True))
        self.assertEqual((7, 0), (result.cold_boots, result.rescheduled))

    def test_all_or_none(self):
        boots = [boot(0, vcpus=4), boot(0, vcpus=4), boot(0, vcpus=4)]
        few = {'host_vcpus': 4, 'cpu_allocation_ratio': 1.0,
               'multi_create': True}

        simulation, result = simulate(boots, **few)

        self.assertEqual(3, result.refused)
        self.assertEqual(simulation_mod.Occupancy(*[0] * 10),
                         simulation.held())
        self.assertEqual(0, simulate(boots, **{**few, 'hosts': 3})[1].refused)

    def test_rows_are_as_the_database_has_them(self):
        simulation, _result = simulate(
            [boot(0), boot(0)], hosts=2, multi_create=True)

        held = simulation.held()

        self.assertEqual((2, 2), (held.row_vcpus, held.row_instances))

    def test_what_is_not_alike_is_asked_for_alone(self):
        for other in (boot(0, B), boot(0, vcpus=2), boot(1.5),
                      boot(0, project=simulated.OTHER_PROJECT)):
            self.assertEqual(
                [range(1), range(1, 2)], schedulers.requests(
                    [boot(0), other], multi_create=True))
        self.assertEqual([range(2)], schedulers.requests(
            [boot(0), boot(1)], multi_create=True))
        self.assertEqual([], schedulers.requests([], True))


class TestResources(base.TestCase):

    def test_server_that_fits_nowhere(self):
        simulation, result = simulate(
            [boot(0.0, vcpus=65), boot(1.0, ram_mb=256 * 1024),
             boot(2.0, disk_gb=9000), boot(3.0)])

        self.assertEqual(3, result.refused)
        self.assertEqual([None] * 3, simulation.placements[:3])
        self.assertEqual(1, len(simulation.recorder.spread.by_image()))

    def test_full_host(self):
        """Four servers of 64 vCPUs are all that 64 CPUs take fourfold."""
        boots = [boot(float(number), vcpus=64) for number in range(6)]

        _, result = simulate(boots, hosts=1)

        self.assertEqual(2, result.refused)

    def test_host_that_is_free_again(self):
        boots = [boot(float(number), vcpus=64, lifetime=50.0)
                 for number in range(4)] + [boot(100.0, vcpus=64)]

        _, result = simulate(boots, hosts=1)

        self.assertEqual(0, result.refused)

    def test_servers_without_an_end_stay(self):
        simulation, _ = simulate([
            boot(0.0, vcpus=2, ram_mb=100), boot(50.0, lifetime=10.0)])

        held = simulation.held()
        self.assertEqual(
            simulation_mod.Occupancy(
                servers=1, vcpus=2, ram_mb=100, disk_gb=20, row_vcpus=2,
                row_ram_mb=100, row_instances=1, shown_instances=1,
                busy_hosts=1, fetches=0), held)

    @settings(max_examples=40)
    @given(
        st.lists(st.tuples(
            st.floats(0, 60), st.sampled_from([A, B, C]), st.floats(0, 90),
            st.sampled_from([1, 30, 64]), st.booleans()),
            min_size=1, max_size=12),
        st.integers(1, 3), st.integers(0, 2), st.integers(0, 3),
        st.sampled_from(['hard', 'soft']), st.integers(1, 2),
        st.integers(0, 1), st.booleans())
    def test_nothing_is_lost(self, wanted, hosts, cap, builds, how,
                             schedulers, memory, multi_create):
        boots = sorted((
            boot(at, image, lifetime, vcpus=vcpus,
                 project=simulated.PROJECT if mine else 'c' * 32)
            for at, image, lifetime, vcpus, mine in wanted),
            key=lambda one: one.at)

        simulation, result = simulate(
            boots, ours(f'{CAP} = {cap}', f'same_image_cap_policy = {how}',
                        f'recent_placement_seconds = {memory}'),
            hosts=hosts, max_concurrent_builds=builds, schedulers=schedulers,
            cpu_allocation_ratio=1.5, glance_mb_s=150.0,
            multi_create=multi_create)

        self.assertEqual(simulation_mod.Occupancy(*[0] * 10),
                         simulation.held())
        waits = [wait for wait in simulation.wait_seconds if wait is not None]
        self.assertEqual(len(boots), len(waits) + result.refused)
        self.assertEqual(
            [host is None for host in simulation.placements],
            [wait is None for wait in simulation.wait_seconds])
        self.assertTrue(all(wait >= 2.0 - 1e-9 for wait in waits))
        self.assertEqual(result.cold_boots * 1000 * simulated.MB,
                         result.fetched_bytes)
        if cap and how == 'hard':
            self.assertLessEqual(result.max_same_image, cap)


def synthetic_load():
    """Return 60 servers of 5 images in bursts."""
    return simulated.load(*(
        boot(20.0 * (number // 3) + number % 3, (A, B, C)[number * 7 % 3],
             lifetime=50.0 + number * 13 % 170, vcpus=1 + number % 4,
             ram_mb=1024 * (1 + number % 5))
        for number in range(60)))


class TestRun(base.TestCase):

    def test_same_seed_same_result(self):
        load = synthetic_load()

        findings = [simulated.findings(simulate(
            load, ours(), seed, hosts=4)[1]) for seed in (1, 1, 2)]

        self.assertEqual(findings[0], findings[1])
        self.assertNotEqual(findings[0], findings[2])

    def test_plugins_that_are_left_out_make_no_difference(self):
        load = synthetic_load()

        lean, result = simulate(load, ours(), hosts=4)
        full, _ = simulate(load, ours(), hosts=4, every_plugin=True)

        self.assertEqual(lean.placements, full.placements)
        self.assertGreater(result.boots, result.cold_boots)

    def test_chosen_at_random_if_nova_is_told_so(self):
        """Each chooses among all hosts, so that they do not pile up."""
        simulation, _ = simulate(
            [boot(0.0) for _ in range(20)], policy.stock(
                '[filter_scheduler]\nhost_subset_size = 4'), hosts=4)

        self.assertEqual(4, len(set(simulation.placements)))

    def test_nothing_asked(self):
        _, result = simulate([])

        self.assertEqual((0, 0, 0.0, []), (
            result.boots, result.refused, result.wait_mean,
            result.hit_rate_over_time))

    def test_progress(self):
        told = []

        engine.run(simulated.load(*(boot(float(at)) for at in range(60))),
                   simulated.cloud(), policy.stock(), progress=told.append)

        self.assertEqual([0, 50, 60], told)

    def test_hit_rate_over_time(self):
        """50 bins of 2 s from 0 to 100 s."""
        boots = [boot(0.0), boot(50.0), boot(51.0, B), boot(100.0)]

        _, result = simulate(boots, hosts=1)

        self.assertEqual([(0.0, 0.0), (50.0, 0.5), (98.0, 1.0)],
                         result.hit_rate_over_time)

    def test_heat_map(self):
        """Of the moment when three servers run."""
        boots = [boot(0.0, lifetime=100.0), boot(50.0, B), boot(60.0, B),
                 boot(200.0)]

        _, result = simulate(boots, hosts=1)

        self.assertEqual(
            ([B, A], [[2, 1]], 62.0),
            (result.heat_map.images, result.heat_map.servers,
             result.heat_map.at))

    def test_imbalance(self):
        """(2, 0) for 10 s, (2, 2) for 10 s."""
        _, result = simulate([boot(0.0, vcpus=2), boot(10.0, vcpus=2),
                              boot(20.0)])

        self.assertEqual(0.5, result.vcpu_imbalance)

    def test_imbalance_of_requests_at_one_moment(self):
        """(4, 0): the second is placed before the first is claimed."""
        _, result = simulate([boot(0.0, vcpus=3), boot(0.0, vcpus=1)])

        self.assertEqual(1.0, result.vcpu_imbalance)

    def test_only_a_hard_cap_makes_the_least_larger(self):
        boots = [boot(100.0 * number) for number in range(3)]

        found = [
            simulate(boots, ours(f'{CAP} = 1',
                                 f'same_image_cap_policy = {cap_policy}'),
                     hosts=3)[1].floor_bytes
            for cap_policy in ('hard', 'soft')]

        self.assertEqual([3000 * simulated.MB, 1000 * simulated.MB], found)

    def test_columns_are_plain(self):
        _, result = simulate([boot(0.0)])

        columns = result.columns()

        self.assertEqual({str, int, float}, set(map(type, columns.values())))
        self.assertEqual((1.0, 0.001),
                         (columns['cold_share'], columns['fetched_tb']))

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

"""What the simulator makes of images that are fetched ahead of time."""

import dataclasses

from cache_aware_sched.simulator import workload
from tests.unit import base
from tests.unit import simulated
from tests.unit.simulated import boot
from tests.unit.simulated import ours
from tests.unit.simulated import simulate

A, B = simulated.A, simulated.B
MB = simulated.MB

#: One server each minute for an hour, of which the first ones end.
HOURLY = [boot(60.0 * number, lifetime=600.0) for number in range(60)]


def precached(*lines):
    """Return this package, with images fetched ahead of time."""
    return dataclasses.replace(ours(*lines), precache=True)


class PrecachingTests(base.TestCase):
    """An image takes a host 10 s; the scheduler here does not prefer it."""

    def simulate(self, boots, policy=None, **options):
        simulation, self.result = simulate(
            boots, policy or precached('image_cache_weight_multiplier = 0'),
            **{'precache_interval': 30.0, 'precache_half_life_hours': 1.0,
               **options})
        return simulation

    def ahead(self, boots, **options):
        self.simulate(boots, **options)
        return self.result.ahead_bytes // (1000 * MB)

    def test_image_is_there_before_the_server(self):
        """The plan at 30 s has the other host fetch it until 40 s."""
        boots = [boot(0.0), boot(60.0)]

        with_it = self.simulate(boots).wait_seconds
        without = self.simulate(
            boots, ours('image_cache_weight_multiplier = 0')).wait_seconds

        self.assertEqual([12.0, 2.0], with_it)
        self.assertEqual([12.0, 12.0], without)

    def test_server_waits_for_a_fetch_ahead_of_time(self):
        """It asks at 36 s; the image is there at 40 s."""
        simulation = self.simulate([boot(0.0), boot(36.0)])

        self.assertEqual([12.0, 5.5], simulation.wait_seconds)
        self.assertEqual((1, 1), (
            self.result.cold_boots, self.result.late_boots))

    def test_what_is_fetched_ahead_is_data_and_no_cold_boot(self):
        self.simulate([boot(0.0), boot(60.0)])

        self.assertEqual((1, 2000 * MB, 1000 * MB), (
            self.result.cold_boots, self.result.fetched_bytes,
            self.result.ahead_bytes))

    def test_controller_does_not_know_the_future(self):
        """No server of B was created when it plans."""
        self.assertEqual(0, self.ahead(
            [boot(0.0, B), boot(0.0), boot(1.0, B), boot(1.0),
             boot(29.0, simulated.C)], hosts=1))

    def test_controller_knows_only_what_hosts_report(self):
        """To it the image that arrived at 10.5 s is not there at 30 s."""
        early = self.simulate([boot(0.0), boot(60.0)], hosts=1)
        stale = self.simulate([boot(0.0), boot(60.0)], hosts=1,
                              report_delay=1000.0, update_interval=10 ** 6)

        self.assertEqual(early.wait_seconds, stale.wait_seconds)
        self.assertEqual(0, self.result.ahead_bytes)

    def test_concurrency(self):
        """Of four hosts three fetch, each alone or all at once."""
        boots = [boot(0.0), *(boot(100.0, vcpus=2) for _ in range(3))]

        for concurrency, last in ((3, 42.0), (1, 62.0)):
            simulation = self.simulate(
                [boot(0.0), boot(last - 2.5)], hosts=4,
                precache_concurrency=concurrency, precache_min_copies=4)
            self.assertEqual(2.0, simulation.wait_seconds[1], concurrency)
        self.assertEqual(3, self.ahead(
            boots, hosts=4, precache_min_copies=4))

    def test_private_images(self):
        load = simulated.load(boot(0.0), boot(60.0))
        load = dataclasses.replace(load, images={
            A: workload.Image(A, 1000 * MB, True)})

        self.assertEqual(0, self.ahead(load))
        self.assertEqual(1, self.ahead(load, precache_private=True))

    def test_min_copies(self):
        """Less than one a day is expected."""
        boots = [boot(0.0), boot(1000.0)]

        self.assertEqual([0, 2, 4], [
            self.ahead(boots, hosts=5, precache_min_copies=least,
                       precache_half_life_hours=24.0)
            for least in (1, 3, 9)])

    def test_interval(self):
        boots = [boot(0.0), boot(60.0)]

        self.assertEqual([1, 0], [
            self.ahead(boots, precache_interval=interval)
            for interval in (30.0, 90.0)])

    def test_half_life(self):
        """25 h after the last servers none is expected, or still some."""
        boots = [*(boot(0.0) for _ in range(4)), boot(100000.0)]

        self.assertEqual([0, 1], [
            self.ahead(boots, precache_half_life_hours=hours,
                       precache_interval=90000.0)
            for hours in (1.0, 24.0)])

    def test_image_that_does_not_fit(self):
        """Half of what is free is left to the disks of servers."""
        boots = [boot(0.0, disk_gb=1, lifetime=10.0), boot(60.0, disk_gb=1)]

        self.assertEqual([1, 0], [
            self.ahead(boots, host_disk_gb=size) for size in (2, 1)])

    def test_full_cache_keeps_what_is_asked_for(self):
        """One host has both, in use; the other has room for one, or both."""
        boots = [boot(0.0), boot(0.0, B), boot(60.0), boot(60.0, B)]

        self.assertEqual([1, 2], [
            self.ahead(boots, cache_manager='lru',
                       image_cache_max_size_gb=limit) for limit in (1, 0)])

    def test_same_result_again(self):
        boots = [boot(60.0 * number, image) for number in range(30)
                 for image in (A, B)]

        first, second = (simulated.findings(self.simulate(
            boots, hosts=4) and self.result) for _ in range(2))

        self.assertEqual(first, second)
        self.assertGreater(self.result.ahead_bytes, 0)

    def test_nothing_is_left_over(self):
        simulation = self.simulate(HOURLY, hosts=4)

        self.assertEqual(0, simulation.held().fetches)
        self.assertEqual(0, simulation.held().busy_hosts)


class MeasuresTests(base.TestCase):

    def result(self, **options):
        boots = [boot(0.0), boot(1000.0), boot(2000.0, B), boot(2001.0, B),
                 boot(4000.0, B)]
        return simulate(simulated.load(*boots), ours(), hosts=1, **options)[1]

    def test_whole_time(self):
        """The first server of each image waits, and the one after it."""
        found = self.result()

        self.assertEqual((3 / 5, 3 / 5, 2000 * MB), (
            found.waiting_share, found.public_waiting_share,
            found.settled_bytes))
        self.assertEqual((11.0, 12.0), (
            found.public_wait_p50, found.public_wait_p95))

    def test_after_the_warm_up(self):
        found = self.result(warm_up=0.25)

        self.assertEqual((2 / 4, 1000 * MB), (
            found.waiting_share, found.settled_bytes))

    def test_private_images_are_not_public(self):
        load = dataclasses.replace(
            simulated.load(boot(0.0), boot(100.0, B), boot(200.0, B)),
            images={A: workload.Image(A, 1000 * MB, True),
                    B: workload.Image(B, 1000 * MB, False)})

        _, found = simulate(load, ours(), hosts=1)

        self.assertEqual((2 / 3, 1 / 2), (
            found.waiting_share, found.public_waiting_share))

    def test_nothing_is_asked_for(self):
        _, found = simulate(simulated.load(), ours())

        self.assertEqual((0.0, 0.0), (
            found.waiting_share, found.public_waiting_share))

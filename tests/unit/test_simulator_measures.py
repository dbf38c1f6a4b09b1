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

from cache_aware_sched.simulator.results import measures
from tests.unit import base
from tests.unit import simulated

A, B = simulated.A, simulated.B
MB = simulated.MB


class TestImbalance(base.TestCase):

    def test_one_of_two_hosts(self):
        """(4, 0): mean 2, std 2."""
        imbalance = measures.Imbalance(2, 0.0, 10.0)
        imbalance.change(0.0, 0, 4)
        imbalance.until(10.0)

        self.assertEqual(1.0, imbalance.mean)

    def test_mean_over_time(self):
        """For 5 s (4, 0) with 1, for 15 s (4, 2) with 1/3: 10 / 20."""
        imbalance = measures.Imbalance(2, 0.0, 20.0)
        imbalance.change(0.0, 0, 4)
        imbalance.change(5.0, 0, 2)
        imbalance.until(20.0)

        self.assertAlmostEqual(0.5, imbalance.mean)

    def test_only_some_time_counts(self):
        """What is before 5 s and after 20 s does not."""
        imbalance = measures.Imbalance(2, 5.0, 20.0)
        imbalance.change(0.0, 0, 4)
        imbalance.change(5.0, 0, 2)
        imbalance.change(30.0, 2, 0)
        imbalance.until(40.0)

        self.assertAlmostEqual(1 / 3, imbalance.mean)

    def test_moments_without_anything_do_not_count(self):
        imbalance = measures.Imbalance(2, 0.0, 100.0)
        imbalance.change(0.0, 0, 4)
        imbalance.change(5.0, 4, 0)
        imbalance.until(100.0)

        self.assertEqual(1.0, imbalance.mean)

    def test_no_time_counts(self):
        """Of (4, 0), (4, 4) and (0, 4) the second one has the most."""
        imbalance = measures.Imbalance(2, 0.0, 0.0)
        imbalance.change(0.0, 0, 4)
        alone = imbalance.mean
        imbalance.change(0.0, 0, 4)
        imbalance.change(9.0, 4, 0)
        imbalance.until(10.0)

        self.assertEqual((1.0, 0.0), (alone, imbalance.mean))

    def test_nothing_at_all(self):
        self.assertEqual(0.0, measures.Imbalance(2, 0.0, 0.0).mean)


class TestSpread(base.TestCase):

    def test_most_servers_at_any_time(self):
        spread = measures.Spread()
        for project in ('p', 'p', 'q'):
            spread.add('h', A, project)
        spread.remove('h', A, 'p')
        spread.add('h', B, 'p')

        self.assertEqual((3, 2), (spread.max_image, spread.max_image_project))

    def test_share_of_the_worst_host(self):
        """6 of 10 servers on one host; q has too few to count."""
        spread = measures.Spread()
        for host in 'aaaaaabbbc':
            spread.add(host, A, 'p')
        spread.add('a', A, 'q')

        spread.look()

        self.assertEqual([0.6], spread.worst_shares)

    def test_projects_that_have_left(self):
        spread = measures.Spread()
        spread.add('a', A, 'p')
        spread.remove('a', A, 'p')

        spread.look()

        self.assertEqual([], spread.worst_shares)
        self.assertEqual({}, spread.by_image())


class TestNumbers(base.TestCase):

    def test_percentiles(self):
        values = [1.0, 2.0, 3.0, 4.0]

        self.assertEqual(
            [1.0, 2.0, 3.0, 4.0, 4.0],
            [measures.percentile(values, percent)
             for percent in (0, 50, 75, 95, 100)])
        self.assertEqual(0.0, measures.percentile([], 50))

    def test_mean(self):
        self.assertEqual(2.5, measures.mean([1.0, 4.0]))
        self.assertEqual(0.0, measures.mean([]))

    def test_busiest_moment(self):
        boots = [simulated.boot(at, lifetime=lifetime) for at, lifetime in (
            (0.0, 10.0), (5.0, None), (9.0, 1.0), (10.0, 1.0), (20.0, 1.0))]

        self.assertEqual(9.0, measures.busiest_moment(boots))


class TestFloor(base.TestCase):

    def floor(self, *boots, cap=0, project=False):
        load = simulated.load(*boots, mb=100)
        return measures.floor_bytes(
            load.boots, load.images, cap, project) / (100 * MB)

    def test_each_image_once(self):
        self.assertEqual(2, self.floor(
            simulated.boot(0.0), simulated.boot(1.0, B), simulated.boot(2.0)))

    def test_once_for_each_host_that_the_cap_makes_needed(self):
        """Five servers at a time and two a host: three hosts."""
        self.assertEqual(3, self.floor(
            *(simulated.boot(0.0) for _ in range(5)), cap=2))

    def test_servers_that_are_not_there_together(self):
        self.assertEqual(1, self.floor(
            *(simulated.boot(float(at), lifetime=1.0) for at in range(5)),
            cap=2))

    def test_cap_of_each_project(self):
        """Four and one: two hosts, which can do for the other as well."""
        boots = [simulated.boot(0.0) for _ in range(4)] + [
            simulated.boot(0.0, project=simulated.OTHER_PROJECT)]

        self.assertEqual(2, self.floor(*boots, cap=2, project=True))

    def test_peak(self):
        boots = [simulated.boot(0.0, lifetime=5.0), simulated.boot(4.0),
                 simulated.boot(5.0)]

        self.assertEqual({(A, ''): 2}, measures.peaks(boots, False))

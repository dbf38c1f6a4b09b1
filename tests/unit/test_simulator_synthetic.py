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
import math

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched import option
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator.input import sources
from cache_aware_sched.simulator.input import synthetic
from tests.unit import base


def used_share(servers, how):
    """Return the share of all vCPUs that servers have, as a mean."""
    length = how.hours * 3600
    return sum(
        server.vcpus * min(server.lifetime, max(length - server.at, 0))
        for server in servers) / (length * how.hosts * how.host_vcpus)


class TestServers(base.TestCase):

    @hypothesis.settings(max_examples=15)
    @hypothesis.given(st.integers(100, 300), st.floats(0.01, 0.9),
                      st.floats(1, 200), st.floats(0, 3), st.integers())
    def test_as_many_as_wanted_use_as_much(
            self, boots, share, hours, sigma, seed):
        how = options.Synthetic(
            hours=hours, hosts=1, host_vcpus=20, used_share=share,
            lifetime_sigma=sigma, max_batch=5)

        found = synthetic.make(how, boots, seed).servers

        self.assertEqual(boots, len(found))
        self.assertAlmostEqual(share, used_share(found, how), 6)

    def test_in_the_order_of_their_time(self):
        times = [server.at for server in synthetic.make(
            options.Synthetic(hosts=1, hours=0.1, used_share=0.1),
            500).servers]

        self.assertEqual(sorted(times), times)

    def test_so_few_cannot_use_so_much(self):
        error = self.assertRaises(
            option.BadOption, synthetic.make,
            options.Synthetic(used_share=0.9), 100)

        self.assertIn('used_share must be at most 0.', str(error))

    def test_what_it_says_is_possible_is(self):
        error = self.assertRaises(
            option.BadOption, synthetic.make,
            options.Synthetic(hosts=10, used_share=0.9), 200)
        share = float(str(error).split()[5])

        synthetic.make(options.Synthetic(hosts=10, used_share=share), 200)

    def test_the_seed_decides(self):
        first, same, other = (
            synthetic.make(options.Synthetic(hosts=1), 300, seed)
            for seed in (1, 1, 2))

        self.assertEqual(first, same)
        self.assertNotEqual(first, other)

    def test_flavors(self):
        found = synthetic.make(options.Synthetic(
            hosts=1, max_batch=1, flavors=((2, 100, 3), (4, 200, 1))),
            1000).servers

        counts = collections.Counter(
            (server.vcpus, server.ram_mb) for server in found)
        self.assertEqual({(2, 100), (4, 200)}, set(counts))
        self.assertTrue(700 < counts[2, 100] < 800, counts)

    def test_bad_flavors(self):
        for flavors in ((), ((0, 1, 1),), ((1, 1, 0),), ((1, 1, math.nan),)):
            self.assertRaises(option.BadOption, options.Synthetic,
                              flavors=flavors)

    def test_workload(self):
        found = sources.from_synthetic(options.Options(
            boots=300, limit=100, synthetic=options.Synthetic(hosts=1)))

        self.assertEqual(100, len(found.boots))
        self.assertIn('300 synthetic servers in 72 hours', found.notes[0])


class TestBatches(base.TestCase):

    def test_sizes_have_the_tail(self):
        for value, size in ((0, 1), (0.5, 2), (0.9, 10), (0.99, 50)):
            self.assertEqual(size, synthetic.batch_size(value, 1, 50))

    @hypothesis.given(st.floats(0, 1, exclude_max=True), st.floats(0.5, 20),
                      st.integers(1, 1000))
    def test_sizes_are_within_the_bounds(self, value, tail, largest):
        self.assertTrue(
            1 <= synthetic.batch_size(value, tail, largest) <= largest)

    def test_sizes_as_published(self):
        """With the defaults, as the help says."""
        sizes = [synthetic.batch_size(value / 1000, 1.15, 500)
                 for value in range(1000)]

        self.assertEqual((550, 873, 7), (
            sizes.count(1), sum(size <= 5 for size in sizes),
            sum(size > 73 for size in sizes)))

    def test_servers_follow_each_other(self):
        servers = synthetic.make(options.Synthetic(hosts=1), 200).servers
        by_batch = collections.defaultdict(list)
        for server in servers:
            by_batch[server.batch].append(server)

        for batch in by_batch.values():
            self.assertEqual(
                [batch[0].at + second for second in range(len(batch))],
                [server.at for server in batch])
            self.assertEqual(1, len({server.vcpus for server in batch}))

    def test_lifetimes_in_a_batch(self):
        def apart(alike):
            how = options.Synthetic(hosts=1, lifetime_alike=alike)
            servers = synthetic.make(how, 500).servers
            largest, number = collections.Counter(
                server.batch for server in servers).most_common(1)[0]
            self.assertTrue(number > 5)
            logs = [math.log(server.lifetime) for server in servers
                    if server.batch == largest]
            return max(logs) - min(logs)

        self.assertAlmostEqual(0, apart(1))
        self.assertTrue(0.5 < apart(0.8) < apart(0))


class TestWhen(base.TestCase):

    def test_more_is_asked_for_at_the_peak(self):
        how = options.Synthetic(hours=24, daily_wave=0.5, peak_hour=6)

        hours = collections.Counter(
            int(synthetic.when(value / 10000, how) // 3600)
            for value in range(10000))

        # 1 / 24 of them, half as many more and half as many less
        for hour, share in ((6, 1.5), (18, 0.5), (12, 0.93)):
            self.assertTrue(
                abs(hours[hour] / 10000 * 24 - share) < 0.03, hours[hour])

    def test_evenly_without_a_wave(self):
        how = options.Synthetic(hours=10, daily_wave=0)

        self.assertAlmostEqual(9000, synthetic.when(0.25, how), 3)

    @hypothesis.given(
        st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2),
        st.floats(0.01, 1000), st.floats(0, 1), st.floats(0, 24))
    def test_in_order_and_within_the_hours(self, values, hours, wave, peak):
        how = options.Synthetic(hours=hours, daily_wave=wave, peak_hour=peak)

        first, second = (synthetic.when(value, how)
                         for value in sorted(values))

        self.assertTrue(0 <= first <= second <= hours * 3600)

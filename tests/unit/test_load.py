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

from cache_aware_sched.scheduler import load
from tests.unit import base
from tests.unit import factories


class TestLoads(base.TestCase):

    def loads(self, *hosts, **flavor):
        return load.RecentLoads().loads(factories.request(**flavor), hosts)

    def shares(self, *hosts, **flavor):
        return tuple(one.shares for one in self.loads(*hosts, **flavor))

    def test_shares_with_the_server_on_the_host(self):
        host = factories.host(vcpus=100, vcpus_used=30, memory_mb=1000,
                              memory_used=700)

        self.assertEqual(([0.5], [0.8]), self.shares(
            host, vcpus=20, memory_mb=100))

    def test_overcommit(self):
        host = factories.host(vcpus=10, vcpus_used=70, memory_mb=100,
                              memory_used=100)
        host.cpu_allocation_ratio = 16.0
        host.ram_allocation_ratio = 2.0

        self.assertEqual(([0.5], [0.6]), self.shares(
            host, vcpus=10, memory_mb=20))

    def test_in_the_order_of_the_hosts(self):
        hosts = [factories.host(vcpus_used=used) for used in (9, 49, 19)]

        self.assertEqual([0.1, 0.5, 0.2], self.loads(*hosts).vcpus.shares)

    def test_capacities(self):
        host = factories.host(vcpus=40, memory_mb=16384)
        host.cpu_allocation_ratio = 10.0
        host.ram_allocation_ratio = 1.5

        self.assertEqual([[400.0], [24576.0]], [
            one.capacities for one in self.loads(host)])

    def test_idle_is_a_host_with_one_more_server_like_it(self):
        loads = self.loads(factories.host(), vcpus=2, memory_mb=1024)

        self.assertEqual([4, 512 + 2048], [one.idle for one in loads])

    def test_but_not_with_two_large_ones(self):
        loads = self.loads(factories.host(), vcpus=32, memory_mb=65536)

        self.assertEqual([4, 512 + 8192], [one.idle for one in loads])

    def test_idle_is_at_least_a_share_of_the_host(self):
        hosts = [factories.host(vcpus=vcpus) for vcpus in (10, 1000)]

        loads = self.loads(*hosts, vcpus=1)

        self.assertEqual([0.2, 0.015], [
            loads.vcpus.idle_share(place) for place in (0, 1)])

    def test_host_that_was_never_updated(self):
        host = factories.host()
        for name in ('vcpus_total', 'vcpus_used', 'free_ram_mb',
                     'total_usable_ram_mb', 'cpu_allocation_ratio',
                     'ram_allocation_ratio'):
            setattr(host, name, None)

        self.assertEqual(([0.0], [0.0]), self.shares(host))
        self.assertEqual([0.0, 0.0], [
            one.idle_share(0) for one in self.loads(host)])


class TestRecentPlacements(base.TestCase):
    """Hosts of 100 vCPUs; each server wants 10, and all but no memory."""

    def setUp(self):
        super().setUp()
        self.now = 0.0
        self.recent = load.RecentLoads(lambda: self.now)
        self.request = factories.request(vcpus=10, memory_mb=1)

    def place(self, host, times=1):
        for _ in range(times):
            self.recent.place(self.request, host, 10)

    def assert_loads(self, expected, *hosts):
        self.assertEqual(
            expected, self.recent.loads(self.request, hosts).vcpus.shares)

    def test_count_before_the_row_shows_them(self):
        busy, idle = factories.hosts(2)

        self.place(busy, times=2)

        self.assert_loads([0.3, 0.1], busy, idle)

    def test_count_in_memory(self):
        host = factories.host(memory_mb=1000)
        request = factories.request(vcpus=1, memory_mb=100)

        self.recent.place(request, host, 10)

        self.assertEqual(
            [0.2], self.recent.loads(request, [host]).memory.shares)

    def test_do_not_count_twice_once_the_row_shows_them(self):
        self.place(factories.host(), times=2)

        self.assert_loads([0.3], factories.host(vcpus_used=20))

    def test_count_with_what_else_the_row_shows(self):
        self.place(factories.host())

        self.assert_loads([0.6], factories.host(vcpus_used=50))

    def test_are_forgotten(self):
        host = factories.host()
        self.place(host)

        self.now = 10.0

        self.assert_loads([0.1], host)

    def test_servers_that_come_and_go_do_not_add_up(self):
        for _ in range(100):
            self.place(factories.host(vcpus_used=10))
            self.now += 5.0

        self.assert_loads([0.3], factories.host(vcpus_used=10))

    def test_placements_of_one_request_on_a_consumed_host(self):
        host = factories.host()
        self.place(host)
        # So nova notes what a multi-create has placed.
        host.vcpus_used += 10
        self.place(host)
        host.vcpus_used += 10

        self.assert_loads([0.3], host)

    def test_not_remembered(self):
        host = factories.host()

        self.recent.place(self.request, host, 0)

        self.assert_loads([0.1], host)

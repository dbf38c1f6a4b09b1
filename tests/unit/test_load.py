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

from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import candidates
from cache_aware_sched.scheduler import load
from cache_aware_sched.scheduler import reports
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image.servers import Spot
from cache_aware_sched.scheduler import settings
from tests.unit import base
from tests.unit import factories


def loads(request, host_states, pending=None):
    """Return candidates that know how busy they are."""
    found = [candidates.Candidate(
        state, reports.UNREADABLE, candidates.Setting())
        for state in host_states]
    load.set_loads(found, request, pending or {})
    return found


class TestLoads(base.TestCase):

    def load(self, host, **flavor):
        """Return the shares of vCPUs and memory that are in use."""
        [found] = loads(factories.request(**flavor), [host])
        return found.vcpus, found.memory

    def test_shares_with_the_server_on_the_host(self):
        host = factories.host(vcpus=100, vcpus_used=30, memory_mb=1000,
                              memory_used=700)

        self.assertEqual((0.5, 0.8), self.load(
            host, vcpus=20, memory_mb=100))

    def test_overcommit(self):
        host = factories.host(vcpus=10, vcpus_used=70, memory_mb=100,
                              memory_used=100)
        host.cpu_allocation_ratio = 16.0
        host.ram_allocation_ratio = 2.0

        self.assertEqual((0.5, 0.6), self.load(
            host, vcpus=10, memory_mb=20))

    def test_each_host_has_its_own(self):
        hosts = [factories.host(vcpus_used=used) for used in (9, 49, 19)]

        found = loads(factories.request(), hosts)

        self.assertEqual([0.1, 0.5, 0.2], [
            candidate.vcpus for candidate in found])

    def test_capacities(self):
        host = factories.host(vcpus=40, memory_mb=16384)
        host.cpu_allocation_ratio = 10.0
        host.ram_allocation_ratio = 1.5

        [found] = loads(factories.request(), [host])

        self.assertEqual((400.0, 24576.0), (
            found.vcpus_capacity, found.memory_capacity))

    def test_host_that_was_never_updated(self):
        host = factories.host()
        for name in ('vcpus_total', 'vcpus_used', 'free_ram_mb',
                     'total_usable_ram_mb', 'cpu_allocation_ratio',
                     'ram_allocation_ratio'):
            setattr(host, name, None)

        self.assertEqual((0.0, 0.0), self.load(host))


class TestIdle(base.TestCase):

    def test_host_with_one_more_server_like_it(self):
        idle = load.Idle.for_request(
            factories.request(vcpus=2, memory_mb=1024))

        self.assertEqual((4, 512 + 2048), idle)

    def test_but_not_with_two_large_ones(self):
        idle = load.Idle.for_request(
            factories.request(vcpus=32, memory_mb=65536))

        self.assertEqual((4, 512 + 8192), idle)

    def test_at_least_a_share_of_the_host(self):
        self.assertEqual([0.2, 0.015], [
            load.idle_share(2, capacity) for capacity in (10, 1000)])

    def test_host_without_anything(self):
        self.assertEqual(0.0, load.idle_share(2, 0))


class TestRecentPlacements(base.TestCase):
    """Hosts of 100 vCPUs; each server wants 10, and all but no memory."""

    def setUp(self):
        super().setUp()
        self.now = 0.0
        self.ledger = ledger.Ledger(lambda: self.now)
        self.request = factories.request(vcpus=10, memory_mb=1)

    def place(self, host, times=1, request=None):
        request = request or self.request
        for _ in range(times):
            self.ledger.record(ledger.Placement(
                factories.new_uuid(), Spot(host.host, host.nodename),
                factories.OTHER_IMAGE, None, False,
                ledger.Resources(request.vcpus, request.memory_mb),
                ledger.Resources(host.vcpus_used, (
                    host.total_usable_ram_mb - host.free_ram_mb)),
                0, self.now, self.now + 10))

    def assert_loads(self, expected, *hosts):
        self.assertEqual(expected, [candidate.vcpus for candidate in loads(
            self.request, hosts, self.ledger.by_spot())])

    def test_count_before_the_row_shows_them(self):
        busy, idle = factories.hosts(2)

        self.place(busy, times=2)

        self.assert_loads([0.3, 0.1], busy, idle)

    def test_count_on_their_node(self):
        busy, idle = (factories.host(node=node) for node in ('n1', 'n2'))

        self.place(busy)

        self.assert_loads([0.2, 0.1], busy, idle)

    def test_count_in_memory(self):
        host = factories.host(memory_mb=1000)
        request = factories.request(vcpus=1, memory_mb=100)

        self.place(host, request=request)

        [found] = loads(request, [host], self.ledger.by_spot())
        self.assertEqual(0.2, found.memory)

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

    def test_choice_that_is_learnt_counts_once(self):
        """nova's HostStates have what they were consumed of already."""
        counter = count.SameImageCounter(lambda: self.now)
        spec = factories.spec(vcpus=10, memory_mb=1, number=2)
        host = factories.host(vcpus_used=20)
        for _number in range(2):
            request = request_mod.Request.from_spec(spec)
            progress = counter.progress(spec, request, [host])
            counter.place(progress, request, counter.gather(
                progress, request, [host],
                settings.HostSettings(request, options=False)))
            host.consume_from_request(spec)
            spec.instance_uuid = factories.new_uuid()
        counter.progress(
            spec, request_mod.Request.from_spec(spec), [host])

        [found] = loads(self.request, [factories.host(vcpus_used=20)],
                        counter.ledger.by_spot())

        self.assertEqual(0.5, found.vcpus)

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

from cache_aware_sched import cap
from cache_aware_sched.scheduler import settings
from tests.unit import base
from tests.unit import factories

IMAGE_CACHE, VCPUS, MEMORY = (
    f'{name}_weight_multiplier' for name in ('image_cache', 'cpu', 'ram'))


def setting(*aggregates, request=None, options=True):
    """Return what is set for a host in these aggregates."""
    return settings.HostSettings(
        request or factories.request(), options).of(
            factories.host(aggregates=aggregates))


def aggregate(**metadata):
    return factories.aggregate(**metadata)


class TestCluster(base.TestCase):
    """A node that is many machines."""

    def cluster(self, **fields):
        host = factories.host(**fields)
        host.hypervisor_type = cap.CLUSTER
        return host

    def test_no_cap(self):
        self.set(max_same_image_instances_per_host=2,
                 max_same_image_share_per_host=0.1)
        capped = [aggregate(max_same_image_instances_per_host='1')]
        made = settings.HostSettings(factories.request(), True)

        for aggregates in ([], capped):
            self.assertFalse(made.of(self.cluster(aggregates=aggregates)).cap)
            self.assertTrue(made.of(factories.host(aggregates=aggregates)).cap)

    def test_no_cap_among_machines(self):
        self.set(max_same_image_instances_per_host=2)
        in_one = [aggregate(other='1')]
        hosts = [kind(aggregates=in_one) for kind in (
            factories.host, self.cluster, factories.host, self.cluster)]

        found = settings.HostSettings(
            factories.request(), True).of_all(hosts)

        self.assertEqual([True, False, True, False],
                         [bool(one.cap) for one in found])

    def test_multiplier_counts(self):
        self.set(image_cache_weight_multiplier=2.5)

        found = settings.HostSettings(factories.request(), True).of(
            self.cluster(aggregates=[aggregate(**{IMAGE_CACHE: 4})]))

        self.assertEqual(4, found.multiplier)


class TestMultiplier(base.TestCase):

    def multiplier(self, *values):
        return setting(*(
            aggregate(**{IMAGE_CACHE: value}) for value in values)).multiplier

    def setUp(self):
        super().setUp()
        self.set(image_cache_weight_multiplier=2.5)

    def test_option(self):
        self.assertEqual(2.5, self.multiplier())

    def test_aggregate_without_it(self):
        self.assertEqual(2.5, setting(aggregate(other='1')).multiplier)

    def test_aggregate_overrides_the_option(self):
        for value in (3.0, 0.0, -1.0):
            self.assertEqual(value, self.multiplier(value))

    def test_smallest_of_several_aggregates(self):
        self.assertEqual(0.5, self.multiplier(3, 0.5, 4))
        self.assertEqual(-2, self.multiplier(3, -2, 0))

    def test_garbage_has_no_effect_and_is_warned_of_once(self):
        values = ('x', '', 'nan', 'inf', '-inf', '1e9', '1,5', '0x2')
        for value in values:
            for _request in range(3):
                self.assertEqual(2.5, self.multiplier(value))

        self.assertEqual(len(values), len(self.warnings()))
        for line in self.warnings():
            self.assertIn(IMAGE_CACHE, line)

    def test_bounds_are_those_of_the_option(self):
        for value in (1_000_000, -1_000_000):
            self.assertEqual(value, self.multiplier(value))

        self.assertEqual(2.5, self.multiplier(1_000_001))

    def test_multiplier_of_aggregates(self):
        """As nova asks for it, without a request."""
        aggregates = [aggregate(**{IMAGE_CACHE: 3})]

        self.assertEqual(3, settings.multiplier(1.5, aggregates))
        self.assertEqual(1.5, settings.multiplier(1.5, []))


class TestPacking(base.TestCase):
    """Clouds that fill one host after the other, with nova's own weighers."""

    def packs(self, *aggregates):
        found = setting(*aggregates)
        return found.packs_vcpus, found.packs_memory

    def test_no(self):
        self.assertEqual((False, False), self.packs())

    def test_options(self):
        self.set_nova('filter_scheduler', cpu_weight_multiplier=-1.0)
        vcpus = self.packs()
        self.set_nova('filter_scheduler', cpu_weight_multiplier=1.0,
                      ram_weight_multiplier=-1.0)
        memory = self.packs()

        self.assertEqual(((True, False), (False, True)), (vcpus, memory))

    def test_weigher_that_is_switched_off_does_not_pack(self):
        self.set_nova('filter_scheduler', cpu_weight_multiplier=0.0,
                      ram_weight_multiplier=0.0)

        self.assertEqual((False, False), self.packs())

    def test_aggregate_overrides_the_option(self):
        self.assertEqual((True, False), self.packs(
            aggregate(**{VCPUS: -1}), aggregate(**{VCPUS: 2})))
        self.assertEqual(
            (False, True), self.packs(aggregate(**{MEMORY: '-0.5'})))

        self.set_nova('filter_scheduler', cpu_weight_multiplier=-1.0,
                      ram_weight_multiplier=-1.0)

        self.assertEqual(
            (False, False), self.packs(aggregate(**{VCPUS: 1, MEMORY: 0})))

    def test_garbage_is_left_to_nova_to_warn_of(self):
        self.assertEqual(
            (False, False), self.packs(aggregate(**{VCPUS: 'x'})))

        self.assertEqual([], self.warnings())


class TestCap(base.TestCase):

    def test_of_the_request_and_of_the_host(self):
        request = factories.request(
            hints={factories.CAP: ['7']})

        self.assertEqual(
            (20, 7), (setting(aggregate(**{factories.CAP: 20}),
                              request=request).cap.number,
                      setting(request=request).cap.limit(0, 0)))

    def test_option(self):
        self.set(max_same_image_instances_per_host=3)

        self.assertEqual(3, setting().cap.number)
        self.assertFalse(setting(options=False).cap)

    def test_share_of_an_aggregate(self):
        found = setting(aggregate(**{factories.SHARE: 0.25}))

        self.assertEqual(0.25, found.cap.share)


class TestHosts(base.TestCase):

    def test_each_has_its_own(self):
        one, other = (aggregate(**{IMAGE_CACHE: value}) for value in (1, 2))
        chosen = settings.HostSettings(factories.request(), options=True)

        found = [chosen.of(factories.host(aggregates=host)).multiplier
                 for host in ([one], [other], [], [other, one], [one])]

        self.assertEqual([1, 2, 5, 1, 1], found)

    def test_host_that_was_never_updated(self):
        host = factories.host()
        host.aggregates = None

        found = settings.HostSettings(
            factories.request(), options=True).of(host)

        self.assertEqual(5, found.multiplier)

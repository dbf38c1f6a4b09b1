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


import os
from unittest import mock

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.imagecache import limits
from cache_aware_sched import nova_release
from cache_aware_sched import report
from cache_aware_sched.virt import fake
from cache_aware_sched.virt import host_facts
from cache_aware_sched.virt import steady
from tests.unit import base
from tests.unit import factories
from tests.unit import rows

GIB = factories.GIB
HOST = 'host1'


class HostFactsTestCase(base.TestCase):
    """A driver with a manager, and a real directory."""

    def setUp(self):
        super().setUp()
        self.useFixture(rows.Rows())

    def driver(self):
        driver = fake.FakeDriver(mock.Mock(spec=()))
        driver.init_host(HOST)
        self.addCleanup(driver.cleanup_host, HOST)
        return driver

    def read(self, driver):
        resources = driver.get_available_resource(HOST)
        return report.Report(resources['stats'][report.STATS_KEY])


class TestFacts(HostFactsTestCase):

    def test_host_without_a_cap(self):
        facts = self.read(self.driver()).facts

        self.assertEqual((False, None), (facts.asks_for_cap, facts.cap))
        self.assertEqual(nova_release.installed(), facts.nova)
        self.assertNotEqual('', facts.package)
        self.assertEqual('age', facts.manager)
        self.assertEqual(0, facts.protected)

    def test_cap_of_the_late_check(self):
        self.set(max_same_image_instances_per_host=7, same_image_scope=(
            'project'), same_image_cap_policy='soft')

        facts = self.read(self.driver()).facts

        self.assertEqual(
            report.ReportedCap(7, 0.0, 'soft', 'project'), facts.cap)

    def test_protected_images_that_are_there(self):
        self.set(protected_images=[factories.IMAGE, factories.OTHER_IMAGE])
        fake.image_cache(HOST).put(factories.IMAGE, GIB)

        self.assertEqual(1, self.read(self.driver()).facts.protected)

    def test_file_system(self):
        driver = self.driver()
        before = self.read(driver).facts
        fake.image_cache(HOST).put(factories.IMAGE, GIB)

        facts = self.read(driver).facts

        self.assertIsNone(before.own_device)
        self.assertIs(False, facts.own_device)

    def test_report_stays_the_same(self):
        fake.image_cache(HOST).put(factories.IMAGE, GIB)
        driver = self.driver()

        one = driver.get_available_resource(HOST)['stats']
        other = driver.get_available_resource(HOST)['stats']

        self.assertEqual(one, other)

    def test_fact_that_cannot_be_told_costs_no_report(self):
        fake.image_cache(HOST).put(factories.IMAGE, GIB)
        driver = self.driver()
        with mock.patch.object(
                driver, 'cache_facts', autospec=True,
                side_effect=RuntimeError('broken')):
            read = self.read(driver)

        self.assertEqual(report.UNKNOWN_FACTS, read.facts)
        self.assertEqual(report.Holding.WARM, read.holding(
            report.image_key(factories.IMAGE)))

    def test_nothing_is_left_in_the_cache(self):
        driver = self.driver()
        fake.image_cache(HOST).put(factories.IMAGE, GIB)
        self.read(driver)

        self.assertEqual([report.image_sha1(factories.IMAGE)],
                         os.listdir(driver._cache_directory.cache_dir))


class TestFreeRoom(HostFactsTestCase):

    def free(self, *available):
        """Return what is reported of each, one after the other."""
        driver = self.driver()
        found = []
        for room in available:
            with mock.patch.object(
                    fake.FakeDirectory, 'disk', autospec=True,
                    return_value=limits.Disk(0, int(room))):
                found.append(self.read(driver).facts.free_gib)
        return found

    def test_disk_that_cannot_be_told(self):
        driver = self.driver()
        with mock.patch.object(
                fake.FakeDirectory, 'disk', autospec=True, return_value=None):
            self.assertIsNone(self.read(driver).facts.free_gib)

    def test_is_coarse(self):
        for gib, reported in ((0, 0), (0.4, 0), (1, 1), (100, 90),
                              (500, 512), (4096, 4096)):
            self.assertEqual([reported], self.free(gib * GIB))

    def test_a_little_does_not_change_it(self):
        self.assertEqual([90, 90, 90, 90],
                         self.free(*(gib * GIB for gib in (95, 80, 110, 72))))

    def test_much_does(self):
        self.assertEqual([90, 181, 22],
                         self.free(*(gib * GIB for gib in (95, 190, 20))))

    @hypothesis.settings(max_examples=30)
    @hypothesis.given(st.lists(st.integers(0, 2 ** 50), min_size=1,
                               max_size=5))
    def test_is_never_far_off(self, rooms):
        measure = steady.Steady()
        for room in rooms:
            reported = host_facts._coarse(measure, room)

            gib = max(room / GIB, 0.5)
            self.assertLess(reported, gib * 1.4)
            self.assertGreater(reported + 1, gib / 1.4)


class TestRoom(HostFactsTestCase):
    """What can be fetched without anything being evicted."""

    def room(self, available=None, **options):
        self.set(**options)
        disk = available if available is None else limits.Disk(
            0, int(available * GIB))
        with mock.patch.object(fake.FakeDirectory, 'disk', autospec=True,
                               return_value=disk):
            facts = self.read(self.driver()).facts
        return facts.room_gib, facts.evicts

    def test_nothing_bounds_it(self):
        self.assertEqual((None, None), self.room())

    def test_half_of_the_free_disk(self):
        self.assertEqual((90, False), self.room(200))

    def test_least_of_the_limits(self):
        for image_id in (factories.IMAGE, factories.OTHER_IMAGE):
            fake.image_cache(HOST).put(image_id, 10 * GIB)
        for gib, options in (
                (90, {'image_cache_max_size_gb': 120}),
                (90, {'image_cache_max_images': 3}),
                (0, {'image_cache_max_images': 2}),
                (32, {'image_cache_high_watermark_percent': 20}),
                (8, {'image_cache_min_free_gb': 188}),
                (0, {'image_cache_max_size_gb': 10})):
            self.assertEqual((gib, True), self.room(200, **options))
            self.set(**dict.fromkeys(options, 0))

    def test_manager_that_keeps_everything(self):
        self.assertEqual((90, False), self.room(
            200, image_cache_manager='protected', image_cache_max_images=3))

    def test_dry_run(self):
        self.assertEqual((90, False), self.room(
            200, image_cache_dry_run=True, image_cache_max_images=3))

    @hypothesis.settings(max_examples=30)
    @hypothesis.given(st.lists(st.integers(0, 2 ** 50), min_size=1,
                               max_size=5))
    def test_is_never_more_than_there_is(self, rooms):
        measure = steady.Steady()
        for room in rooms:
            reported = host_facts._coarse(measure, room, steady.STICKY)

            self.assertLessEqual(reported, room / GIB)
            self.assertGreater(reported + 1, room / GIB / 1.7)


class TestCritical(HostFactsTestCase):

    def test_wanted_and_missing(self):
        self.set(critical_images=[factories.IMAGE, factories.OTHER_IMAGE])
        fake.image_cache(HOST).put(factories.IMAGE, GIB)

        facts = self.read(self.driver()).facts

        self.assertEqual((2, 1, ''), (
            facts.critical, facts.critical_missing, facts.critical_trouble))
        self.assertEqual(1, facts.protected)

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

import threading
import types
from unittest import mock

import fixtures
from nova.compute import manager

from cache_aware_sched import nova_release
from cache_aware_sched.virt import refresh
from tests.unit import base


class RefresherTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.reports = []
        self.started = []
        self.useFixture(fixtures.MockPatchObject(
            nova_release, 'spawn', autospec=True,
            side_effect=lambda function, *args: self.started.append(
                lambda: function(*args))))
        self.compute = mock.create_autospec(
            manager.ComputeManager, instance=True)
        self.update = self.compute._update_available_resource_for_node
        self.update.side_effect = (
            lambda context, node: self.reports.append(node))
        self.driver = types.SimpleNamespace(
            virtapi=types.SimpleNamespace(_compute=self.compute),
            get_available_nodes=lambda: ['node1', 'node2'])
        self.refresher = refresh.Refresher(self.driver)

    def run_background(self):
        while self.started:
            self.started.pop(0)()


class TestRefresher(RefresherTestCase):

    def test_returns_at_once(self):
        self.refresher.request()

        self.assertEqual([], self.reports)

    def test_reports_every_node(self):
        self.refresher.request()
        self.run_background()

        self.assertEqual(['node1', 'node2'], self.reports)
        self.assertTrue(self.update.call_args.args[0].is_admin)

    def test_changes_before_a_report_make_one(self):
        for _change in range(5):
            self.refresher.request()
        self.assertEqual(1, len(self.started))

        self.run_background()

        self.assertEqual(2, len(self.reports))

    def test_changes_during_a_report_make_one_more(self):
        def update(context, node):
            self.reports.append(node)
            if len(self.reports) == 1:
                for _change in range(5):
                    self.refresher.request()

        self.update.side_effect = update
        self.refresher.request()
        self.run_background()

        self.assertEqual(['node1', 'node2'] * 2, self.reports)

    def test_change_after_a_report_makes_another(self):
        for _change in range(3):
            self.refresher.request()
            self.run_background()

        self.assertEqual(6, len(self.reports))

    def test_changes_from_many_threads(self):
        done = threading.Barrier(4)

        def change():
            for _change in range(50):
                self.refresher.request()
            done.wait(20)

        threads = [self.run_in_thread(change) for _ in range(4)]
        for thread in threads:
            thread.join(20)
        self.run_background()

        self.assertEqual(2, len(self.reports))


class SettlingTestCase(RefresherTestCase):
    """Time passes only while the refresher sleeps."""

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        clock = self.useFixture(fixtures.MockPatchObject(
            refresh, 'time', autospec=True)).mock
        clock.monotonic.side_effect = lambda: self.now
        clock.sleep.side_effect = self.sleep
        self.driver.get_available_nodes = lambda: ['node']
        self.update.side_effect = (
            lambda context, node: self.reports.append(self.now - 1000))
        self.changes = []

    def sleep(self, seconds):
        self.now += seconds
        while self.changes and self.changes[0] <= self.now - 1000:
            self.changes.pop(0)
            self.refresher.request(settles=True, at_once=False)

    def change_at(self, *seconds):
        """Have servers change at once, and after so many seconds."""
        self.changes = list(seconds)
        self.refresher.request(settles=True, at_once=False)
        self.run_background()


class TestOlderReport(SettlingTestCase):
    """A periodic update has read the cache before it changed."""

    def test_it_does_not_stay(self):
        written = []
        self.update.side_effect = lambda context, node: written.append('new')

        def sleep(seconds):
            if 'old' not in written:
                written.append('old')
            self.now += seconds

        refresh.time.sleep.side_effect = sleep
        self.refresher.request(settles=True)
        self.run_background()

        self.assertEqual(['new', 'old', 'new'], written)

    def test_changes_of_images_are_reported_without_waiting(self):
        self.changes = []
        self.refresher.request(settles=True, at_once=False)
        self.refresher.request(settles=True)
        self.update.side_effect = self.report_and_change

        self.run_background()

        self.assertEqual([0.0, 0.0], self.reports[:2])

    def report_and_change(self, context, node):
        self.reports.append(self.now - 1000)
        if len(self.reports) == 1:
            self.refresher.request(settles=True)


class TestSettling(SettlingTestCase):

    def test_change_is_reported_at_once_and_when_it_has_settled(self):
        self.change_at()

        self.assertEqual(2, len(self.reports))
        self.assertEqual(0, self.reports[0])
        self.assertGreaterEqual(self.reports[1], refresh.SETTLE_SECONDS)

    def test_many_changes_before_a_report_make_two(self):
        for _change in range(50):
            self.refresher.request(settles=True, at_once=False)
        self.run_background()

        self.assertEqual(2, len(self.reports))

    def test_many_changes_one_after_the_other_make_no_more_than_two(self):
        """Within the time in which they settle."""
        self.change_at(*(number / 10 * refresh.SETTLE_SECONDS
                         for number in range(100)))

        for start in self.reports:
            self.assertLessEqual(len([
                at for at in self.reports
                if start <= at < start + refresh.SETTLE_SECONDS]), 2)

    def test_changes_during_a_report_make_no_more(self):
        def update(context, node):
            self.reports.append(self.now)
            if len(self.reports) == 1:
                for _change in range(5):
                    self.refresher.request(settles=True, at_once=False)

        self.update.side_effect = update
        self.change_at()

        self.assertEqual(2, len(self.reports))

    def test_change_is_reported_when_it_has_settled_itself(self):
        """Not only when the one before has, which is a moment later."""
        last = 0.9 * refresh.SETTLE_SECONDS

        self.change_at(last)

        self.assertGreaterEqual(
            self.reports[-1], last + refresh.SETTLE_SECONDS)

    def test_change_after_another_has_settled_makes_two_more(self):
        self.change_at()
        self.now += 100

        self.change_at()

        self.assertEqual(4, len(self.reports))

    def test_change_of_the_cache_does_not_wait_for_servers_to_settle(self):
        def sleep(seconds):
            self.now += seconds
            if len(self.reports) == 1:
                self.refresher.request()

        refresh.time.sleep.side_effect = sleep
        self.change_at()

        self.assertEqual(3, len(self.reports))
        self.assertLess(self.reports[1], refresh.SETTLE_SECONDS)

    def test_change_of_the_cache_makes_one(self):
        self.refresher.request()
        self.run_background()

        self.assertEqual([0], self.reports)

    def test_it_is_never_raised(self):
        """Not where the private method is gone or no thread can start."""
        with mock.patch.object(
                nova_release, 'spawn', side_effect=RuntimeError):
            self.refresher.request(settles=True, at_once=False)
        self.driver.virtapi = None
        self.refresher.request(settles=True, at_once=False)

        self.assertEqual(2, len(self.warnings()))

    def test_thread_that_could_not_start_keeps_nothing_from_settling(self):
        with mock.patch.object(
                nova_release, 'spawn', side_effect=RuntimeError):
            self.refresher.request(settles=True, at_once=False)
        self.now += 100

        self.change_at()

        self.assertEqual(100, self.reports[0])
        self.assertGreaterEqual(
            self.reports[-1], 100 + refresh.SETTLE_SECONDS)

    def test_reports_that_fail_are_made_again_when_it_has_settled(self):
        self.update.side_effect = RuntimeError('database is down')

        self.change_at()

        self.assertEqual(2, self.update.call_count)


class TestTrouble(RefresherTestCase):

    def test_missing_private_method_is_warned_of_once(self):
        for compute in (None, object()):
            self.driver.virtapi = types.SimpleNamespace(_compute=compute)
            for _change in range(3):
                self.refresher.request()

        [line] = self.warnings()
        self.assertIn('_update_available_resource_for_node', line)
        self.assertEqual([], self.started)

    def test_missing_virtapi(self):
        self.driver.virtapi = None

        self.refresher.request()

        self.assertEqual(1, len(self.warnings()))

    def test_report_that_fails_is_warned_of_once_and_made_again(self):
        self.update.side_effect = RuntimeError('database is down')
        for _change in range(3):
            self.refresher.request()
            self.run_background()

        self.assertEqual(3, self.update.call_count)
        [line] = self.warnings()
        self.assertIn('database is down', line)

    def test_thread_that_cannot_start_is_tried_again(self):
        with mock.patch.object(
                nova_release, 'spawn', side_effect=RuntimeError):
            self.refresher.request()
        self.assertEqual(1, len(self.warnings()))

        self.refresher.request()
        self.run_background()

        self.assertEqual(2, len(self.reports))

    def test_driver_that_has_no_nodes_now(self):
        self.driver.get_available_nodes = mock.Mock(side_effect=OSError)

        self.refresher.request()
        self.run_background()

        self.assertEqual(1, len(self.warnings()))

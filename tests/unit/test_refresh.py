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
from nova import thread_pool_factory

from cache_aware_sched.virt import refresh
from tests.unit import base


class RefresherTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.reports = []
        self.started = []
        self.useFixture(fixtures.MockPatchObject(
            thread_pool_factory, 'spawn', autospec=True,
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
                thread_pool_factory, 'spawn', side_effect=RuntimeError):
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

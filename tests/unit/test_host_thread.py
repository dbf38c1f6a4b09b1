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


import queue
import threading

import fixtures

from cache_aware_sched.virt import host_thread
from tests.unit import base

THREAD = threading.Thread
BEGIN = host_thread.HostThread.begin


class TestHostThread(base.TestCase):
    """A thread that tells its event when it runs, and waits for its end."""

    def setUp(self):
        super().setUp()
        self.begun = queue.Queue()
        self.started = 0
        self.useFixture(fixtures.MockPatchObject(
            host_thread.threading, 'Thread', self.make_thread))
        self.thread = host_thread.HostThread(
            'watching', self.run_until_end, lambda: 'node1', 'sees nothing')
        self.addCleanup(self.thread.end)

    def make_thread(self, *args, **kwargs):
        self.started += 1
        return THREAD(*args, **kwargs)

    def run_until_end(self, ended):
        self.begun.put(ended)
        ended.wait(30)

    def begin(self):
        BEGIN(self.thread)

    def test_begins_once(self):
        for _time in range(3):
            self.begin()

        self.begun.get(timeout=30)
        self.assertEqual(1, self.started)

    def test_end(self):
        self.begin()
        ended = self.begun.get(timeout=30)

        self.thread.end()

        self.assertTrue(ended.is_set())

    def test_late_report_begins_nothing_after_the_end(self):
        self.begin()
        self.begun.get(timeout=30)
        self.thread.end()

        self.begin()

        self.assertEqual(1, self.started)

    def test_end_before_the_beginning(self):
        self.thread.end()

        self.begin()

        self.assertEqual(0, self.started)

    def test_nova_compute_starts_anew(self):
        self.begin()
        first = self.begun.get(timeout=30)
        self.thread.end()

        self.thread.ready()
        self.begin()

        second = self.begun.get(timeout=30)
        self.assertEqual((True, False), (first.is_set(), second.is_set()))

    def test_start_of_what_runs_begins_no_second_one(self):
        self.begin()
        self.begun.get(timeout=30)

        self.thread.ready()
        self.begin()

        self.assertEqual(1, self.started)

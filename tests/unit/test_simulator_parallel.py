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

import itertools
import multiprocessing
from multiprocessing import connection
import os
from unittest import mock

from cache_aware_sched.simulator import engine
from cache_aware_sched.simulator import parallel
from cache_aware_sched.simulator import policy
from tests.unit import base
from tests.unit import simulated
from tests.unit.test_simulator_engine import synthetic_load

BAD = policy.ours('mine', '[cache_aware_sched]\nmax_same = 1')


class Deadly:
    """Ends the process that is given it."""

    def __reduce__(self):
        return os._exit, (7,)


class TestParallel(base.TestCase):

    def run_all(self, *policies, workers=2, progress=None):
        return parallel.run_all(
            synthetic_load(), simulated.cloud(4), policies, 1, workers,
            progress)

    def test_result_is_that_of_any_process(self):
        """Also where strings have other hashes."""
        policies = policy.ours(), policy.reference('one-over-n', 2.0)
        told = {0: [], 1: []}

        results = self.run_all(
            *policies, progress=lambda job, boots: told[job].append(boots))

        self.assertEqual(
            [simulated.findings(engine.run(
                synthetic_load(), simulated.cloud(4), one, 1))
             for one in policies],
            [simulated.findings(result) for result in results])
        self.assertEqual({0: [0, 50, 60], 1: [0, 50, 60]}, told)

    def test_policy_that_fails_is_named_and_ends_the_others(self):
        error = self.assertRaises(
            parallel.PolicyFailed, self.run_all, BAD, workers=1)

        self.assertEqual(
            "policy 'mine': [cache_aware_sched] max_same is not an option of "
            'nova or of cache_aware_sched', str(error))
        self.assertEqual([], multiprocessing.active_children())

    def test_what_waits_is_checked_before_anything_is_simulated(self):
        told = []

        error = self.assertRaises(
            parallel.PolicyFailed, self.run_all, policy.stock(), BAD,
            workers=1, progress=lambda *what: told.append(what))

        self.assertIn("policy 'mine': [cache_aware_sched] max_same is not",
                      str(error))
        self.assertEqual([], told)

    def test_interrupt_ends_all(self):
        # Once: the end of a process is waited for in the same way.
        with mock.patch.object(
                connection, 'wait', autospec=True,
                side_effect=itertools.chain(
                    [KeyboardInterrupt], itertools.repeat([]))):
            self.assertRaises(
                KeyboardInterrupt, self.run_all, policy.stock())

        self.assertEqual([], multiprocessing.active_children())

    def test_process_that_ends(self):
        error = self.assertRaises(
            parallel.PolicyFailed, parallel.run_all, Deadly(),
            simulated.cloud(), [policy.stock()])

        self.assertEqual(
            "policy 'stock': its process ended with exit code 7", str(error))

    def test_nobody_to_do_it(self):
        self.assertRaises(ValueError, self.run_all, workers=0)

    def test_nothing_to_do(self):
        self.assertEqual([], self.run_all())

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

"""Rounds of the controllers, of which one acts."""

from cache_aware_sched.precache import plan as plan_mod
from cache_aware_sched.precache import watching
from tests.unit import base
from tests.unit.test_precache_fetching import copy
from tests.unit.test_precache_fetching import Locks


class _Ended(Exception):
    pass


def plan(*hosts, doubts=()):
    return plan_mod.PrecachePlan(tuple(map(copy, hosts)), (), 0.0, doubts)


class WatchTests(base.TestCase):

    def setUp(self):
        super().setUp()
        self.locks = Locks()
        self.plans = []
        self.carried = []
        self.said = []
        self.slept = []

    def make(self, once=False):
        def next_plan():
            found = self.plans.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        def sleep(seconds):
            self.slept.append(seconds)
            if not self.plans:
                raise _Ended
            if seconds < 60:
                self.locks.held.clear()

        return watching.Watch(
            next_plan, lambda found, active: self.carried.append(found),
            self.locks, watching.WatchOptions(5.0, once), self.said.append,
            OSError, sleep)

    def test_round_after_round(self):
        self.plans = [plan('a'), plan(), plan('b')]

        self.assertRaises(_Ended, self.make().run)

        self.assertEqual([plan('a'), plan('b')], self.carried)
        self.assertEqual([300.0] * 3, self.slept)
        self.assertEqual(set(), self.locks.held)

    def test_what_goes_wrong_ends_nothing(self):
        self.plans = [OSError('the API database is away'),
                      plan('a', doubts=('no hosts',)), plan('b')]

        self.assertRaises(_Ended, self.make().run)

        self.assertEqual([plan('b')], self.carried)
        self.assertEqual([
            'Nothing is done: the API database is away',
            'Nothing is done, because the inputs look wrong.'], self.said)

    def test_zone_that_has_no_hosts_any_more(self):
        """At first it is a wrong argument, later it is an outage."""
        gone = ValueError('no host is in the availability zone')
        self.plans = [plan('a'), gone, plan('b')]
        self.assertRaises(_Ended, self.make().run)
        self.assertEqual([plan('a'), plan('b')], self.carried)
        self.assertEqual(1, len(self.said))

        self.plans = [gone, plan('b')]
        self.assertRaises(ValueError, self.make().run)

    def test_another_is_active(self):
        self.locks.held.add('watch')
        self.plans = [plan('a')]

        self.assertRaises(_Ended, self.make().run)

        self.assertEqual([10.0, 300.0], self.slept)
        self.assertEqual(1, len(self.said))
        self.assertEqual([plan('a')], self.carried)

    def test_one_round(self):
        for found, done in ((plan('a'), True), (plan(), True), (
                plan('a', doubts=('no hosts',)), False)):
            self.plans = [found]
            self.assertEqual(done, self.make(once=True).run())
            self.assertEqual(set(), self.locks.held)

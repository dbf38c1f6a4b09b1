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

"""Which copies are renewed."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from cache_aware_sched.precache.plan import PlannedCopy
from cache_aware_sched.precache import planner
from cache_aware_sched.precache import renewing
from cache_aware_sched.precache.results import CopyResult
from cache_aware_sched.precache.results import FetchOutcome
from cache_aware_sched.precache.terms import CacheHost
from cache_aware_sched.precache.terms import Wish
from tests.unit import base

NOW = datetime.datetime(2026, 3, 1)
HOUR = datetime.timedelta(hours=1)


def host(name, *images, used=(), **more):
    return CacheHost(name, held=dict.fromkeys(images, 5),
                     in_use=frozenset(used), **more)


def renewed(hosts, *wishes):
    return [(one.image, one.host) for one in renewing.renewals(
        hosts, planner.plan(hosts, wishes).images)]


def wish(image='i', copies=2, zone=''):
    return Wish(image, zone, copies, 1.0, 5)


class RenewalTests(base.TestCase):

    def test_as_many_as_are_wanted(self):
        hosts = [host(name, 'i') for name in 'cab']

        self.assertEqual([('i', 'a'), ('i', 'b')], renewed(hosts, wish()))

    def test_those_in_use_count(self):
        hosts = [host('a', 'i'), host('b', 'i'), host('c', 'i', used='i')]

        self.assertEqual([('i', 'a')], renewed(hosts, wish()))
        self.assertEqual([], renewed(hosts, wish(copies=1)))

    def test_what_nobody_wants_ages(self):
        hosts = [host('a', 'i', 'j')]

        self.assertEqual([], renewed(hosts, wish('i', copies=0)))
        self.assertEqual([('j', 'a')], renewed(hosts, wish('j')))

    def test_of_its_zone_and_of_hosts_that_get_servers(self):
        hosts = [host('a', 'i', zone='east'), host('b', 'i', unfit='is down'),
                 host('c', 'i')]

        self.assertEqual([('i', 'c')], renewed(hosts, wish()))

    @given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=8),
           st.integers(0, 8))
    def test_never_more_than_are_wanted_and_only_what_is_there(
            self, states, copies):
        hosts = [host(str(number), *('i' if has else ''),
                      used='i' if has and used else '')
                 for number, (has, used) in enumerate(states)]
        by_name = {one.name: one for one in hosts}

        found = renewed(hosts, wish(copies=copies))

        self.assertLessEqual(len(found), copies)
        for image, name in found:
            self.assertIn(image, by_name[name].held)
            self.assertNotIn(image, by_name[name].in_use)


class RenewedCopiesTests(base.TestCase):

    def setUp(self):
        super().setUp()
        self.copies = [PlannedCopy('i', '', name, 5, renews=True)
                       for name in 'abcd']

    def test_each_once_in_a_while(self):
        renewals = renewing.RenewedCopies(8 * HOUR)
        for copy, outcome in zip(self.copies, (
                FetchOutcome.RENEWED, FetchOutcome.CACHED,
                FetchOutcome.FAILED, FetchOutcome.NOT_TRIED), strict=True):
            renewals.note(CopyResult(copy, outcome), NOW)

        self.assertEqual(tuple(self.copies[2:]),
                         renewals.due(self.copies, NOW + 7 * HOUR))
        self.assertEqual(tuple(self.copies),
                         renewals.due(self.copies, NOW + 8 * HOUR))

    def test_never(self):
        renewals = renewing.RenewedCopies(0 * HOUR)

        self.assertEqual((), renewals.due(self.copies, NOW))
        renewals.note(
            CopyResult(self.copies[0], FetchOutcome.CACHED), NOW)
        self.assertEqual({}, renewals._last)  # it would grow for ever

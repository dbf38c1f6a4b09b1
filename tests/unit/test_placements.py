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

import fixtures

from cache_aware_sched.scheduler.same_image import placements
from cache_aware_sched.scheduler.same_image import query
from tests.unit import base
from tests.unit import factories

IMAGE, PROJECT = factories.IMAGE, factories.PROJECT


class LedgerTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.useFixture(fixtures.MonkeyPatch(
            f'{placements.__name__}.MAX_PLACEMENTS', 1000))
        self.ledger = placements.RecentPlacements(lambda: self.now)

    def record(self, uuid, host='h', seconds=10):
        self.ledger.record(uuid, host, IMAGE, PROJECT, seconds)

    def remembered(self):
        return {host: list(placed)
                for host, placed in self.ledger.by_host().items()}


class TestRecentPlacements(LedgerTestCase):

    def test_remembers(self):
        self.record('u1', 'a')
        self.record('u2', 'b')
        self.record('u3', 'a')

        self.assertEqual({'a': ['u1', 'u3'], 'b': ['u2']}, self.remembered())
        placement = self.ledger.by_host()['b']['u2']
        self.assertEqual(('u2', 'b', IMAGE, PROJECT), (
            placement.uuid, placement.host, placement.image,
            placement.project))

    def test_nothing_at_first(self):
        self.assertEqual({}, self.remembered())

    def test_forgets_when_the_time_is_over(self):
        self.record('u1')
        self.now += 5
        self.record('u2')

        self.now += 4.9
        self.assertEqual({'h': ['u1', 'u2']}, self.remembered())
        self.now += 0.1
        self.assertEqual({'h': ['u2']}, self.remembered())
        self.now += 5
        self.assertEqual({}, self.remembered())

    def test_last_word_wins(self):
        self.record('u1', 'a')
        self.now += 6
        self.record('u1', 'b')

        self.now += 6
        self.assertEqual({'b': ['u1']}, self.remembered())

    def test_forgets_what_it_is_told_to(self):
        self.record('u1')
        self.record('u2')

        self.ledger.forget('u1')
        self.ledger.forget('unknown')

        self.assertEqual({'h': ['u2']}, self.remembered())

    def test_remembers_nothing_for_no_time(self):
        for seconds in (0, -1):
            self.record('u1', seconds=seconds)

        self.assertEqual({}, self.remembered())

    def test_memory_is_bounded(self):
        for number in range(placements.MAX_PLACEMENTS + 10):
            self.record(f'u{number}')

        remembered = self.remembered()['h']
        self.assertEqual(placements.MAX_PLACEMENTS, len(remembered))
        self.assertEqual('u10', remembered[0])

    def test_server_that_is_known_takes_no_more_room(self):
        for number in range(placements.MAX_PLACEMENTS):
            self.record(f'u{number}')

        self.record('u5', 'other')

        self.assertIn('u0', self.remembered()['h'])

    def test_threads(self):
        def work(name):
            for number in range(200):
                self.record(f'{name}-{number}', name)
                self.ledger.by_host()
                self.ledger.forget(f'{name}-{number}')

        threads = [self.run_in_thread(work, f't{number}')
                   for number in range(4)]
        for thread in threads:
            thread.join(20)

        self.assertEqual({}, self.remembered())


class TestCorrect(LedgerTestCase):
    """What the databases of the cells say is so."""

    def setUp(self):
        super().setUp()
        self.record('u1', 'a')

    def correct(self, servers, absent=(), image=IMAGE, building=True):
        self.ledger.correct(image, {
            uuid: query.Server(uuid, None, frozenset(hosts), building)
            for uuid, hosts in servers.items()}, absent)

    def test_server_that_is_there_stays(self):
        self.correct({'u1': ['a']})
        self.correct({'u1': ['b', 'a']})

        self.assertEqual({'a': ['u1']}, self.remembered())

    def test_server_that_is_elsewhere_is_forgotten(self):
        self.correct({'u1': ['b']})

        self.assertEqual({}, self.remembered())

    def test_server_that_is_about_to_move_there_stays(self):
        self.correct({'u1': ['b']}, building=False)
        self.assertEqual({'a': ['u1']}, self.remembered())

        self.now += placements.WRITTEN_AFTER + 0.1
        self.correct({'u1': ['b']}, building=False)
        self.assertEqual({}, self.remembered())

    def test_server_whose_build_failed_is_forgotten(self):
        self.correct({'u1': []}, building=False)

        self.assertEqual({}, self.remembered())

    def test_server_before_its_claim_stays(self):
        self.correct({'u1': []})

        self.assertEqual({'a': ['u1']}, self.remembered())

    def test_server_of_another_image_stays(self):
        self.correct({'u1': ['b']}, image=factories.OTHER_IMAGE)

        self.assertEqual({'a': ['u1']}, self.remembered())

    def test_server_that_nobody_was_asked_about_stays(self):
        self.now += 9

        self.correct({})

        self.assertEqual({'a': ['u1']}, self.remembered())

    def test_server_that_is_not_written_yet_stays(self):
        self.now += placements.WRITTEN_AFTER - 0.1

        self.correct({}, absent={'a'})

        self.assertEqual({'a': ['u1']}, self.remembered())

    def test_server_that_was_deleted_is_forgotten(self):
        self.now += placements.WRITTEN_AFTER + 0.1

        self.correct({}, absent={'a'})

        self.assertEqual({}, self.remembered())

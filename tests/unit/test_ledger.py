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

from cache_aware_sched.scheduler.same_image import ledger
from cache_aware_sched.scheduler.same_image.servers import Spot
from tests.unit import base
from tests.unit import factories

IMAGE, PROJECT = factories.IMAGE, factories.PROJECT
NOTHING = ledger.Resources(0, 0)


def spot(host):
    return Spot(host, host)


class LedgerTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.useFixture(fixtures.MonkeyPatch(
            f'{ledger.__name__}.MAX_PLACEMENTS', 1000))
        self.ledger = ledger.Ledger(lambda: self.now)

    def record(self, uuid, host='h', seconds=10, node=None, move=False):
        self.ledger.record(ledger.Placement(
            uuid, Spot(host, node or host), IMAGE, PROJECT, move,
            ledger.Resources(1, 512), NOTHING, 0, self.now,
            self.now + seconds))

    def remembered(self):
        return {where.host: list(placed)
                for where, placed in self.ledger.by_spot().items()}


class TestLedger(LedgerTestCase):

    def test_remembers(self):
        self.record('u1', 'a')
        self.record('u2', 'b')
        self.record('u3', 'a')

        self.assertEqual({'a': ['u1', 'u3'], 'b': ['u2']}, self.remembered())
        self.assertEqual(3, len(self.ledger))

    def test_nodes_of_a_host_are_told_apart(self):
        self.record('u1', node='n1')
        self.record('u2', node='n2')

        placed = self.ledger.by_spot()

        self.assertEqual({('h', 'n1'): ['u1'], ('h', 'n2'): ['u2']},
                         {where: list(placed[where]) for where in placed})

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

        self.assertEqual(0, len(self.ledger))

    def test_memory_is_bounded(self):
        for number in range(ledger.MAX_PLACEMENTS + 10):
            self.record(f'u{number}')

        remembered = self.remembered()['h']
        self.assertEqual(ledger.MAX_PLACEMENTS, len(remembered))
        self.assertEqual('u10', remembered[0])

    def test_server_that_is_known_takes_no_more_room(self):
        for number in range(ledger.MAX_PLACEMENTS):
            self.record(f'u{number}')

        self.record('u5', 'other')

        self.assertIn('u0', self.remembered()['h'])

    def test_threads(self):
        def work(name):
            for number in range(200):
                self.record(f'{name}-{number}', name)
                self.ledger.by_spot()
                self.ledger.correct(IMAGE, {}, [spot(name)])
                self.ledger.forget(f'{name}-{number}')

        threads = [self.run_in_thread(work, f't{number}')
                   for number in range(4)]
        for thread in threads:
            thread.join(20)

        self.assertEqual({}, self.remembered())


class TestCorrect(LedgerTestCase):
    """What the databases of the cells say is so."""

    def correct(self, *servers, absent=(), image=IMAGE):
        self.ledger.correct(
            image, {server.uuid: server for server in servers},
            {spot(host) for host in absent})

    def server(self, *hosts, building=True):
        return factories.server(*hosts, server_uuid='u1', building=building)

    def assert_stays(self):
        self.assertEqual({'a': ['u1']}, self.remembered())

    def assert_forgotten(self):
        self.assertEqual({}, self.remembered())

    def test_server_that_is_there_stays(self):
        self.record('u1', 'a')

        self.correct(self.server('a'))
        self.correct(self.server('b', 'a'))

        self.assert_stays()

    def test_server_that_is_there_on_a_node_not_yet_known_stays(self):
        self.record('u1', 'a', node='n1')
        somewhere = factories.servers_mod.Server(
            'u1', IMAGE, PROJECT, frozenset({Spot('a', '')}), True)

        self.correct(somewhere)

        self.assert_stays()

    def test_boot_on_another_host_is_forgotten(self):
        for building in (True, False):
            self.record('u1', 'a')

            self.correct(self.server('b', building=building))

            self.assert_forgotten()

    def test_boot_on_another_node_is_forgotten(self):
        self.record('u1', 'a', node='n1')

        self.correct(self.server('a'))

        self.assert_forgotten()

    def test_move_that_is_not_written_yet_stays(self):
        self.record('u1', 'a', move=True)
        self.now += ledger.WRITTEN_AFTER - 0.1

        self.correct(self.server('b', building=False))

        self.assert_stays()

    def test_move_that_went_elsewhere_is_forgotten(self):
        self.record('u1', 'a', move=True)
        self.now += ledger.WRITTEN_AFTER + 0.1

        self.correct(self.server('b', building=False))

        self.assert_forgotten()

    def test_server_whose_build_failed_is_forgotten(self):
        self.record('u1', 'a')

        self.correct(self.server(building=False))

        self.assert_forgotten()

    def test_server_before_its_claim_stays(self):
        self.record('u1', 'a')
        self.now += 9

        self.correct(self.server())

        self.assert_stays()

    def test_server_of_another_image_stays(self):
        self.record('u1', 'a')

        self.correct(self.server('b'), image=factories.OTHER_IMAGE)

        self.assert_stays()

    def test_server_that_nobody_was_asked_about_stays(self):
        self.record('u1', 'a')
        self.now += 9

        self.correct()

        self.assert_stays()

    def test_server_that_is_not_written_yet_stays(self):
        self.record('u1', 'a')
        self.now += ledger.WRITTEN_AFTER - 0.1

        self.correct(absent=['a'])

        self.assert_stays()

    def test_server_that_was_deleted_is_forgotten(self):
        self.record('u1', 'a')
        self.now += ledger.WRITTEN_AFTER + 0.1

        self.correct(absent=['a'])

        self.assert_forgotten()


class TestUsed(base.TestCase):

    def test_sum(self):
        self.assertEqual(ledger.Resources(5, 700),
                         ledger.Resources(2, 200) + ledger.Resources(3, 500))

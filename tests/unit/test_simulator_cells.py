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

from cache_aware_sched.scheduler.same_image.servers import Server
from cache_aware_sched.scheduler.same_image.servers import Spot
from cache_aware_sched.simulator.real_nova import cells as cells_mod
from tests.unit import base
from tests.unit import simulated

A, B = simulated.A, simulated.B


def server(uuid, *hosts, building=False):
    return Server(uuid, A, 'p', frozenset(Spot(host, host) for host in hosts),
                  building)


class TestCells(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cells = cells_mod.SimulatedCells()
        for uuid in ('one', 'two'):
            self.cells.created(A, uuid, 'p')

    def servers(self, image=A):
        answer = self.cells.servers(image, (), {cells_mod.CELL})
        self.assertEqual([cells_mod.CELL], list(answer))
        return answer[cells_mod.CELL]

    def test_server_before_the_claim(self):
        self.assertEqual([server('one', building=True),
                          server('two', building=True)], self.servers())

    def test_life_of_a_server(self):
        other = server('two', building=True)

        self.cells.placed(A, 'one', 'h')
        self.assertEqual([server('one', 'h', building=True), other],
                         self.servers())

        self.cells.started(A, 'one')
        self.assertEqual([server('one', 'h'), other], self.servers())

        self.cells.deleted(A, 'one')
        self.assertEqual([other], self.servers())
        self.assertEqual(1, len(self.cells))

    def test_server_that_is_given_back(self):
        self.cells.placed(A, 'one', 'h')

        self.cells.placed(A, 'one', None)

        self.assertIn(server('one', building=True), self.servers())
        self.assertEqual(2, len(self.servers()))

    def test_other_image(self):
        self.assertEqual([], self.servers(B))


class TestShareOf(base.TestCase):

    def share_of(self, *hosts):
        """Return what a share is reckoned with, of servers on hosts."""
        cells = cells_mod.SimulatedCells()
        for number, host in enumerate(hosts):
            cells.created(A, str(number), 'p')
            cells.placed(A, str(number), host)
        return cells.share_of(A)

    def test_without_the_server_that_is_placed(self):
        self.assertEqual((3, 2.0), self.share_of('a', 'a', 'a', 'b'))

    def test_server_before_the_claim(self):
        self.assertEqual((1, 2.0), self.share_of('a', None))

    def test_no_server(self):
        self.assertEqual((0, 0.0), self.share_of())

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

from cache_aware_sched.scheduler.same_image import query
from cache_aware_sched.simulator import cells as cells_mod
from tests.unit import base
from tests.unit import simulated

A, B = simulated.A, simulated.B


class TestCells(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cells = cells_mod.Cells()
        for uuid in ('one', 'two'):
            self.cells.created(A, uuid, 'p')

    def servers(self, image=A, hosts=None):
        answer = self.cells.servers(image, hosts, {cells_mod.CELL})
        self.assertEqual([cells_mod.CELL], list(answer))
        return answer[cells_mod.CELL]

    def test_server_before_the_claim(self):
        self.assertIn(query.Server('one', 'p', frozenset(), True),
                      self.servers())
        self.assertEqual([], self.servers(hosts=['h']))

    def test_life_of_a_server(self):
        self.cells.placed(A, 'one', 'h')
        self.assertEqual([query.Server('one', 'p', frozenset(['h']), True)],
                         self.servers(hosts=['h']))

        self.cells.started(A, 'one')
        self.assertEqual([query.Server('one', 'p', frozenset(['h']), False)],
                         self.servers(hosts=['h']))

        self.cells.deleted(A, 'one')
        self.assertEqual([], self.servers(hosts=['h']))
        self.assertEqual(1, len(self.cells))

    def test_server_that_is_given_back(self):
        self.cells.placed(A, 'one', 'h')

        self.cells.placed(A, 'one', None)

        self.assertEqual([], self.servers(hosts=['h']))
        self.assertEqual(2, len(self.servers()))

    def test_other_image(self):
        self.assertEqual([], self.servers(B))

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

from unittest import mock

from nova import context as nova_context
from nova import exception

from cache_aware_sched.scheduler.same_image import query
from tests.unit import database
from tests.unit import factories

CELL, OTHER_CELL = factories.CELL, factories.OTHER_CELL
IMAGE = factories.IMAGE


class TestQuery(database.DatabaseTestCase):

    def setUp(self):
        super().setUp()
        self.query = query.CellQuery()

    def ask(self, hosts=None, cells=(CELL,)):
        return self.query.servers(IMAGE, hosts, cells)

    def hosts_of(self, uuid, hosts=None):
        """Return the hosts of a server in the answer of its cell."""
        for server in self.ask(hosts)[CELL]:
            if server.uuid == uuid:
                return set(server.hosts)
        return None

    def test_servers_of_the_image(self):
        uuid = self.server('a')
        self.server('a', image=factories.OTHER_IMAGE)
        self.server('a', image='')

        self.assertEqual(
            {CELL: [query.Server(uuid, factories.PROJECT,
                                 frozenset({'a'}), False)]}, self.ask())

    def test_no_servers(self):
        self.assertEqual({CELL: []}, self.ask())

    def test_server_that_is_claimed_and_built(self):
        uuid = self.server('a', 'building')

        [server] = self.ask(['a'])[CELL]

        self.assertEqual((uuid, {'a'}, True),
                         (server.uuid, server.hosts, server.building))

    def test_server_before_its_claim(self):
        self.server(None, 'building')

        [server] = self.ask()[CELL]

        self.assertEqual((set(), True), (server.hosts, server.building))
        self.assertEqual([], self.ask(['a'])[CELL])

    def test_server_that_is_shelved(self):
        uuid = self.server(None, 'shelved_offloaded')

        self.assertEqual(set(), self.hosts_of(uuid))

    def test_deleted_server(self):
        self.load(self.server('a')).destroy()

        self.assertEqual({CELL: []}, self.ask())

    def test_only_named_hosts(self):
        uuid = self.server('a')
        self.server('b')
        self.server(None, 'building')

        [server] = self.ask(['a', 'c'])[CELL]

        self.assertEqual(uuid, server.uuid)

    def test_very_many_named_hosts(self):
        self.server('a')
        self.server('b')
        names = [f'h{number}' for number in range(40_000)]

        found = self.ask([*names, 'a'])[CELL]

        self.assertIn({'a'}, [server.hosts for server in found])

    def test_server_that_moves_is_on_both_hosts(self):
        for status in ('accepted', 'queued', 'preparing', 'running',
                       'pre-migrating', 'migrating', 'post-migrating',
                       'finished', 'confirming', 'reverting'):
            uuid = self.server('a')
            self.migration(uuid, status, 'a', 'b')

            self.assertEqual({'a', 'b'}, self.hosts_of(uuid), status)
            self.assertEqual({'a', 'b'}, self.hosts_of(uuid, ['a']), status)
            self.assertEqual({'a', 'b'}, self.hosts_of(uuid, ['b']), status)
            self.assertIsNone(self.hosts_of(uuid, ['c']), status)

    def test_server_that_moved_is_where_it_is(self):
        for status in ('confirmed', 'reverted', 'error', 'failed',
                       'completed', 'cancelled', 'done'):
            uuid = self.server('b')
            self.migration(uuid, status, 'a', 'b')

            self.assertEqual({'b'}, self.hosts_of(uuid), status)
            self.assertIsNone(self.hosts_of(uuid, ['a']), status)

    def test_ended_migrations_are_those_of_nova(self):
        """Whatever nova does not take for in progress has ended."""
        from nova.db.main import api
        host = 'a'
        for status in ('accepted', 'running', 'finished', *query._MOVE_ENDED):
            uuid = self.server(host)
            self.migration(uuid, status, host, 'b')
            with nova_context.target_cell(
                    self.admin, self.cells[CELL]) as context:
                moving = {move['instance_uuid'] for move in
                          api.migration_get_in_progress_by_host_and_node(
                              context, host, host)}
            self.assertEqual(uuid in moving,
                             self.hosts_of(uuid) == {'a', 'b'}, status)

    def test_server_with_a_history_of_moves(self):
        uuid = self.server('c')
        self.migration(uuid, 'confirmed', 'a', 'b')
        self.migration(uuid, 'running', 'c', 'd')
        self.migration(uuid, 'error', 'c', 'e')

        self.assertEqual({'c', 'd'}, self.hosts_of(uuid))
        self.assertEqual(1, len(self.ask()[CELL]))

    def test_resize_on_the_same_host(self):
        uuid = self.server('a')
        self.migration(uuid, 'finished', 'a', 'a')

        self.assertEqual({'a'}, self.hosts_of(uuid))

    def test_each_cell_answers_for_itself(self):
        one = self.server('a')
        other = self.server('b', cell=OTHER_CELL)

        answers = self.ask(cells={CELL, OTHER_CELL})

        self.assertEqual(
            {CELL: [one], OTHER_CELL: [other]},
            {cell: [server.uuid for server in servers]
             for cell, servers in answers.items()})

    def test_no_cells(self):
        self.assertEqual({}, self.ask(cells=()))

    def test_mapping_is_read_once(self):
        self.ask()
        with mock.patch.object(
                query.objects.CellMapping, 'get_by_uuid', autospec=True,
                side_effect=AssertionError):
            self.assertEqual({CELL: []}, self.ask())


class TestFailures(database.DatabaseTestCase):

    def setUp(self):
        super().setUp()
        self.query = query.CellQuery()
        self.server('a')
        self.server('b', cell=OTHER_CELL)

    def ask(self):
        return self.query.servers(IMAGE, None, {CELL, OTHER_CELL})

    def fail(self, result):
        """Let one of the cells give an odd result."""
        real = nova_context.scatter_gather_cells

        def scatter(*args):
            results = real(*args)
            results[CELL] = result
            return results

        return mock.patch.object(
            nova_context, 'scatter_gather_cells', autospec=True,
            side_effect=scatter)

    def test_cell_that_fails_is_warned_of_once_and_others_answer(self):
        for result in (nova_context.did_not_respond_sentinel,
                       exception.CellTimeout(), RuntimeError('down')):
            with self.fail(result):
                self.assertEqual({OTHER_CELL}, set(self.ask()))

        [line] = self.warnings()
        self.assertIn(CELL, line)

    def test_cell_that_fails_again_is_warned_of_again(self):
        for _again in range(2):
            with self.fail(RuntimeError('down')):
                self.ask()
            self.assertEqual({CELL, OTHER_CELL}, set(self.ask()))

        self.assertEqual(2, len(self.warnings()))

    def test_address_of_a_cell_that_failed_is_read_again(self):
        """The database may have moved."""
        with self.fail(RuntimeError('down')):
            self.ask()
        with mock.patch.object(
                query.objects.CellMapping, 'get_by_uuid', autospec=True,
                return_value=self.cells[CELL]) as get:
            self.ask()

        get.assert_called_once_with(mock.ANY, CELL)

    def test_cell_whose_table_is_gone(self):
        with mock.patch.object(query, '_statement', autospec=True,
                               side_effect=RuntimeError('no such table')):
            self.assertEqual({}, self.ask())

        self.assertEqual(2, len(self.warnings()))

    def test_unknown_cell_is_warned_of_once_and_others_answer(self):
        unknown = factories.new_uuid()
        for _again in range(3):
            answers = self.query.servers(IMAGE, None, {CELL, unknown})
            self.assertEqual({CELL}, set(answers))

        [line] = self.warnings()
        self.assertIn(unknown, line)

    def test_api_database_out_of_reach_is_warned_of_and_nothing_raised(self):
        with mock.patch.object(
                query.objects.CellMapping, 'get_by_uuid', autospec=True,
                side_effect=RuntimeError('down')):
            self.assertEqual({}, self.ask())

        self.assertEqual(2, len(self.warnings()))

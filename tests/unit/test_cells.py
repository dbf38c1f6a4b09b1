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

from nova.compute import task_states
from nova import context as nova_context
from nova.db.main import api as main_db
from nova import exception
from nova import objects

from cache_aware_sched import presence
from cache_aware_sched.scheduler.same_image import cells
from cache_aware_sched.scheduler.same_image.servers import Server
from cache_aware_sched.scheduler.same_image.servers import Spot
from tests.unit import database
from tests.unit import factories

CELL, OTHER_CELL = factories.CELL, factories.OTHER_CELL
IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
PROJECT = factories.PROJECT
RESIZE = task_states.RESIZE_MIGRATING


def spots(*hosts):
    return frozenset(Spot(host, host) for host in hosts)


def failing(result):
    """Let one of the cells give an odd result."""
    real = nova_context.scatter_gather_cells

    def scatter(*args):
        results = real(*args)
        results[CELL] = result
        return results

    return mock.patch.object(
        nova_context, 'scatter_gather_cells', autospec=True,
        side_effect=scatter)


class CellsTestCase(database.DatabaseTestCase):

    def setUp(self):
        super().setUp()
        self.query = cells.CellQuery()

    def ask(self, *uuids):
        """Return the servers that a cell names by uuid."""
        found = self.query.servers(IMAGE, uuids, [CELL])[CELL]
        servers = {server.uuid: server for server in found}
        self.assertEqual(len(servers), len(found))
        return servers

    def hosts_of(self, uuid):
        """Return the hosts of a server in the answer of its cell."""
        server = self.ask().get(uuid)
        return None if server is None else {
            spot.host for spot in server.spots}


class TestServers(CellsTestCase):

    def test_servers_of_the_image(self):
        uuid = self.server('a')
        self.server('a', image=OTHER_IMAGE)
        self.server('a', image='')

        answers = self.query.servers(IMAGE, (), [CELL])

        self.assertEqual({CELL: [Server(
            uuid, IMAGE, PROJECT, spots('a'), False)]}, answers)

    def test_no_servers(self):
        self.assertEqual({CELL: []}, self.query.servers(IMAGE, (), [CELL]))

    def test_other_spelling_of_the_image(self):
        uuid = self.server('a', image=IMAGE.upper())

        self.assertEqual(IMAGE, self.ask()[uuid].image)

    def test_host_and_node(self):
        uuid = self.server('a', node='n1')

        self.assertEqual({Spot('a', 'n1')}, self.ask()[uuid].spots)

    def test_server_that_is_claimed_and_built(self):
        uuid = self.server('a', 'building')

        server = self.ask()[uuid]

        self.assertEqual((spots('a'), True),
                         (server.spots, server.building))

    def test_server_before_its_claim(self):
        uuid = self.server(None, 'building')

        server = self.ask()[uuid]

        self.assertEqual((frozenset(), True),
                         (server.spots, server.building))

    def test_server_that_is_shelved(self):
        uuid = self.server(None, 'shelved_offloaded')

        self.assertEqual(set(), self.hosts_of(uuid))

    def test_deleted_server(self):
        self.load(self.server('a')).destroy()

        self.assertEqual({}, self.ask())

    def test_server_that_is_hidden_by_a_move_to_another_cell(self):
        self.server('a', hidden=True)
        shown = self.server('a', hidden=False)

        self.assertEqual({shown}, set(self.ask()))

    def test_evacuation(self):
        lost = self.server('a', task_state=task_states.REBUILDING)
        built = self.server('a', 'building')
        running = self.server('a')

        servers = self.ask()

        self.assertEqual([True, False, False], [
            servers[uuid].evacuated for uuid in (lost, built, running)])


class TestByUuid(CellsTestCase):

    def test_servers_that_are_asked_for_are_named_whatever_their_image(self):
        other = self.server('a', image=OTHER_IMAGE.upper(), project='p')
        volume = self.server('a', image='')
        self.server('a', image=OTHER_IMAGE)

        servers = self.ask(other, volume, factories.new_uuid())

        self.assertEqual({
            other: Server(other, OTHER_IMAGE, 'p', spots('a'), False),
            volume: Server(volume, '', PROJECT, spots('a'), False)}, servers)

    def test_server_without_an_image(self):
        uuid = self.server('a', image=None)

        self.assertEqual('', self.ask(uuid)[uuid].image)

    def test_server_of_the_image_is_named_once(self):
        uuid = self.server('a')

        self.assertEqual({uuid}, set(self.ask(uuid)))

    def test_as_many_as_may_be_asked_for(self):
        uuid = self.server('a', image=OTHER_IMAGE)
        others = [factories.new_uuid() for _ in range(cells.MAX_UUIDS - 1)]

        self.assertEqual({uuid}, set(self.ask(uuid, *others)))


class TestMoves(CellsTestCase):

    def test_server_that_moves_is_on_both_hosts(self):
        for status in presence.MIGRATION_IN_FLIGHT:
            uuid = self.server('a', task_state=RESIZE)
            self.migration(uuid, status, 'a', 'b')

            self.assertEqual({'a', 'b'}, self.hosts_of(uuid), status)

    def test_server_that_moved_is_where_it_is(self):
        for status in presence.MIGRATION_ENDED:
            uuid = self.server('b', task_state=RESIZE)
            self.migration(uuid, status, 'a', 'b')

            self.assertEqual({'b'}, self.hosts_of(uuid), status)

    def test_server_in_a_state_in_which_none_moves_is_where_it_is(self):
        """A migration can stay as it is for ever."""
        for vm_state, task_state in (
                ('active', None), ('active', 'powering-off'),
                ('error', RESIZE), ('stopped', None)):
            uuid = self.server('b', vm_state, task_state=task_state)
            self.migration(uuid, 'running', 'a', 'b')

            self.assertEqual({'b'}, self.hosts_of(uuid), vm_state)

    def test_live_migration(self):
        for vm_state in ('active', 'paused'):
            uuid = self.server('a', vm_state,
                               task_state=task_states.MIGRATING)
            self.migration(uuid, 'running', 'a', 'b',
                           migration_type='live-migration')

            self.assertEqual({'a', 'b'}, self.hosts_of(uuid), vm_state)

    def test_resize_that_waits_to_be_confirmed(self):
        uuid = self.server('b', 'resized')
        self.migration(uuid, 'finished', 'a', 'b')

        self.assertEqual({'a', 'b'}, self.hosts_of(uuid))

    def test_evacuated_server_is_on_both_hosts(self):
        uuid = self.server('a', task_state=task_states.REBUILD_SPAWNING)
        self.migration(uuid, 'pre-migrating', 'a', 'b',
                       migration_type='evacuation')

        self.assertEqual({'a', 'b'}, self.hosts_of(uuid))

    def test_migration_without_a_destination(self):
        uuid = self.server('a', task_state=task_states.MIGRATING)
        self.migration(uuid, 'queued', 'a', None)

        self.assertEqual({'a'}, self.hosts_of(uuid))

    def test_server_with_a_history_of_moves(self):
        uuid = self.server('c', task_state=RESIZE)
        self.migration(uuid, 'confirmed', 'a', 'b')
        self.migration(uuid, 'running', 'c', 'd')
        self.migration(uuid, 'error', 'c', 'e')

        self.assertEqual({'c', 'd'}, self.hosts_of(uuid))

    def test_server_with_two_moves_under_way(self):
        uuid = self.server('c', task_state=RESIZE)
        self.migration(uuid, 'accepted', 'a', 'b')
        self.migration(uuid, 'running', 'c', 'd')

        self.assertEqual({'a', 'b', 'c', 'd'}, self.hosts_of(uuid))

    def test_resize_on_the_same_host(self):
        uuid = self.server('a', 'resized')
        self.migration(uuid, 'finished', 'a', 'a')

        self.assertEqual({'a'}, self.hosts_of(uuid))

    def test_migrations_in_progress_are_those_of_nova(self):
        for status in (*presence.MIGRATION_IN_FLIGHT,
                       *presence.MIGRATION_ENDED, 'a state to come'):
            uuid = self.server('a', task_state=RESIZE)
            self.migration(uuid, status, 'a', 'b')
            with nova_context.target_cell(
                    self.admin, self.cells[CELL]) as context:
                moving = {move['instance_uuid'] for move in
                          main_db.migration_get_in_progress_by_host_and_node(
                              context, 'a', 'a')}

            found = self.hosts_of(uuid)

            self.assertEqual(uuid in moving, found == {'a', 'b'}, status)


class TestSpots(CellsTestCase):

    def test_server_is_on_its_node(self):
        server = Server('u', IMAGE, PROJECT, frozenset({Spot('a', 'n1')}),
                        False)

        self.assertEqual([True, False, False], [
            server.is_on(Spot(*spot))
            for spot in (('a', 'n1'), ('a', 'n2'), ('b', 'n1'))])

    def test_server_whose_node_is_not_known_may_be_on_any(self):
        server = Server('u', IMAGE, PROJECT, frozenset({Spot('a', '')}),
                        False)

        self.assertTrue(server.is_on(Spot('a', 'n1')))
        self.assertFalse(server.is_on(Spot('b', 'n1')))


class TestAllSpots(CellsTestCase):

    def setUp(self):
        super().setUp()
        self.compute('a')
        self.compute('b', cell=OTHER_CELL)

    def compute(self, host, *nodes, cell=CELL):
        """Create the nodes of a host in a cell; one of its name if none."""
        with nova_context.target_cell(
                self.admin, self.cells[cell]) as context:
            for node in nodes or (host,):
                objects.ComputeNode(
                    context, uuid=factories.new_uuid(), host=host,
                    hypervisor_hostname=node, vcpus=1, memory_mb=1,
                    local_gb=1, vcpus_used=0, memory_mb_used=0,
                    local_gb_used=0, hypervisor_type='fake',
                    hypervisor_version=1, cpu_info='').create()

    def forget(self, host):
        """Delete the nodes of a host, as nova does with its service."""
        with nova_context.target_cell(
                self.admin, self.cells[CELL]) as context:
            for node in objects.ComputeNodeList.get_all_by_host(
                    context, host):
                node.destroy()

    def test_of_one_cell(self):
        self.compute('c')

        self.assertEqual(spots('a', 'c'), self.query.spots([CELL]))

    def test_of_all_cells(self):
        self.assertEqual(
            spots('a', 'b'), self.query.spots([CELL, OTHER_CELL]))

    def test_nodes(self):
        self.compute('ironic', 'n1', 'n2')

        self.assertEqual(
            {Spot('a', 'a'), Spot('ironic', 'n1'), Spot('ironic', 'n2')},
            self.query.spots([CELL]))

    def test_host_that_was_deleted(self):
        self.compute('gone')
        self.forget('gone')

        self.assertEqual(spots('a'), self.query.spots([CELL]))

    def test_no_cells(self):
        self.assertEqual(set(), self.query.spots(()))

    def test_cell_that_does_not_answer(self):
        for result in (nova_context.did_not_respond_sentinel,
                       exception.CellTimeout(), RuntimeError('down')):
            with failing(result):
                self.assertEqual(
                    set(), self.query.spots([CELL, OTHER_CELL]))

    def test_cell_whose_table_is_gone(self):
        with mock.patch.object(
                cells.models, 'ComputeNode', autospec=True,
                side_effect=RuntimeError('no such table')):
            self.assertEqual(set(), self.query.spots([CELL]))

    def test_unknown_cell(self):
        self.assertEqual(
            set(), self.query.spots([CELL, factories.new_uuid()]))


class TestCells(CellsTestCase):

    def test_each_cell_answers_for_itself(self):
        one = self.server('a')
        other = self.server('b', cell=OTHER_CELL)

        answers = self.query.servers(IMAGE, (), {CELL, OTHER_CELL})

        self.assertEqual(
            {CELL: [one], OTHER_CELL: [other]},
            {cell: [server.uuid for server in servers]
             for cell, servers in answers.items()})

    def test_no_cells(self):
        self.assertEqual({}, self.query.servers(IMAGE, (), ()))

    def test_mapping_is_read_once(self):
        self.ask()

        with mock.patch.object(
                cells.objects.CellMapping, 'get_by_uuid', autospec=True,
                side_effect=AssertionError):
            self.assertEqual({}, self.ask())


class TestFailures(CellsTestCase):

    def setUp(self):
        super().setUp()
        self.server('a')
        self.server('b', cell=OTHER_CELL)

    def ask_both(self):
        return self.query.servers(IMAGE, (), {CELL, OTHER_CELL})

    def test_cell_that_fails_is_warned_of_once_and_others_answer(self):
        for result in (nova_context.did_not_respond_sentinel,
                       exception.CellTimeout(), RuntimeError('down')):
            with failing(result):
                self.assertEqual({OTHER_CELL}, set(self.ask_both()))

        [line] = self.warnings()
        self.assertIn(CELL, line)

    def test_cell_that_fails_again_is_warned_of_again(self):
        for _again in range(2):
            with failing(RuntimeError('down')):
                self.ask_both()
            self.assertEqual({CELL, OTHER_CELL}, set(self.ask_both()))

        self.assertEqual(2, len(self.warnings()))

    def test_address_of_a_cell_that_failed_is_read_again(self):
        """The database may have moved."""
        with failing(RuntimeError('down')):
            self.ask_both()

        with mock.patch.object(
                cells.objects.CellMapping, 'get_by_uuid', autospec=True,
                return_value=self.cells[CELL]) as get:
            self.ask_both()

        get.assert_called_once_with(mock.ANY, CELL)

    def test_cell_whose_table_is_gone(self):
        with mock.patch.object(cells, '_statement', autospec=True,
                               side_effect=RuntimeError('no such table')):
            self.assertEqual({}, self.ask_both())

        self.assertEqual(2, len(self.warnings()))

    def test_unknown_cell_is_warned_of_once_and_others_answer(self):
        unknown = factories.new_uuid()

        for _again in range(3):
            answers = self.query.servers(IMAGE, (), {CELL, unknown})
            self.assertEqual({CELL}, set(answers))

        [line] = self.warnings()
        self.assertIn(unknown, line)

    def test_api_database_out_of_reach_is_warned_of_and_nothing_raised(self):
        with mock.patch.object(
                cells.objects.CellMapping, 'get_by_uuid', autospec=True,
                side_effect=RuntimeError('down')):
            self.assertEqual({}, self.ask_both())

        self.assertEqual(2, len(self.warnings()))

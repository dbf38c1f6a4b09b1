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

import ast
import inspect
import itertools
import pathlib
import re
import textwrap

import nova
from nova.compute import resource_tracker
from nova.compute import task_states
from nova.compute import vm_states
from nova import context as nova_context
from nova.db.main import api as main_db
from nova import objects

from cache_aware_sched import presence
from tests.unit import base
from tests.unit import database

RESIZE = task_states.RESIZE_MIGRATING


def _values(module):
    """Return the states that a module of nova names, and none."""
    return [None, *sorted({
        value for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)})]


STATES = list(itertools.product(_values(vm_states), _values(task_states)))


class TestStates(base.TestCase):

    def test_all_states_of_nova_are_looked_at(self):
        self.assertIn((vm_states.RESIZED, None), STATES)
        self.assertIn((vm_states.PAUSED, task_states.MIGRATING), STATES)
        self.assertGreater(len(STATES), 400)

    def test_server_moves_where_nova_says_so(self):
        for vm_state, task_state in STATES:
            instance = objects.Instance(
                vm_state=vm_state, task_state=task_state)

            self.assertEqual(
                resource_tracker._instance_in_resize_state(instance)
                or resource_tracker._instance_is_live_migrating(instance),
                presence.is_moving(vm_state, task_state),
                (vm_state, task_state))

    def test_server_that_is_rebuilt_is_evacuated(self):
        evacuated = {state for state in STATES
                     if presence.is_evacuated(*state)}

        self.assertEqual(
            {(vm_state, task_state) for vm_state, task_state in STATES
             if vm_state != vm_states.BUILDING
             and task_state in task_states.rebuild_states}, evacuated)
        self.assertIn((vm_states.ERROR, task_states.REBUILDING), evacuated)


class TestMigrationStates(base.TestCase):

    def test_ended_are_those_that_nova_does_not_take_for_in_progress(self):
        source = textwrap.dedent(inspect.getsource(
            main_db.migration_get_in_progress_by_host_and_node))

        lists = [ast.literal_eval(node) for node in ast.walk(
            ast.parse(source)) if isinstance(node, ast.List)]

        self.assertEqual([sorted(presence.MIGRATION_ENDED)],
                         [sorted(names) for names in lists])

    def test_no_state_is_both(self):
        self.assertEqual(set(), set(presence.MIGRATION_ENDED) & set(
            presence.MIGRATION_IN_FLIGHT))

    def test_all_states_that_nova_gives_a_migration_are_known(self):
        given = re.compile(
            r'migration\.status = [\'"]([^\'"]+)'
            r'|_set_migration_status\(\s*migration, [\'"]([^\'"]+)')
        found = set()
        root = pathlib.Path(nova.__path__[0])
        for path in ('compute', 'conductor', 'virt/libvirt'):
            for file in sorted((root / path).rglob('*.py')):
                found.update(
                    one or other for one, other
                    in given.findall(file.read_text(encoding='utf-8')))

        self.assertIn('pre-migrating', found)
        self.assertEqual(set(), found - {
            *presence.MIGRATION_ENDED, *presence.MIGRATION_IN_FLIGHT})


class TestOnNode(database.DatabaseTestCase):

    def on_node(self, host='a', node=None):
        """Return the uuids of servers that are there, and of the others."""
        with nova_context.target_cell(
                self.admin, self.cells[database.CELL]) as context:
            there, others = presence.on_node(context, host, node or host)
        return tuple([server.uuid for server in servers]
                     for servers in (there, others))

    def test_servers_whose_row_names_the_host(self):
        uuid = self.server('a')
        self.server('b')

        self.assertEqual(([uuid], []), self.on_node())

    def test_servers_of_another_node(self):
        uuid = self.server('a', node='n1')
        self.server('a', node='n2')

        self.assertEqual(([uuid], []), self.on_node('a', 'n1'))

    def test_server_that_comes_and_server_that_may_come_back(self):
        coming = self.server('b', task_state=RESIZE)
        self.migration(coming, 'migrating', 'b', 'a')
        moved = self.server('b', 'resized')
        self.migration(moved, 'finished', 'a', 'b')

        there, others = self.on_node()

        self.assertEqual([], there)
        self.assertEqual({coming, moved}, set(others))

    def test_server_that_leaves_is_counted_once(self):
        uuid = self.server('a', task_state=RESIZE)
        self.migration(uuid, 'migrating', 'a', 'b')

        self.assertEqual(([uuid], []), self.on_node())

    def test_all_states_of_a_move_under_way(self):
        for status in presence.MIGRATION_IN_FLIGHT:
            uuid = self.server('b', task_state=RESIZE)
            self.migration(uuid, status, 'b', 'a')

            self.assertIn(uuid, self.on_node()[1], status)

    def test_move_that_ended(self):
        for status in presence.MIGRATION_ENDED:
            uuid = self.server('b', task_state=RESIZE)
            self.migration(uuid, status, 'b', 'a')

            self.assertEqual(([], []), self.on_node(), status)

    def test_server_that_does_not_move_whatever_its_migration_says(self):
        uuid = self.server('b')
        self.migration(uuid, 'running', 'b', 'a')

        self.assertEqual(([], []), self.on_node())

    def test_server_that_was_deleted_while_it_moved(self):
        uuid = self.server('b', task_state=RESIZE)
        self.migration(uuid, 'running', 'b', 'a')
        self.load(uuid).destroy()

        self.assertEqual(([], []), self.on_node())

    def test_move_between_other_hosts(self):
        uuid = self.server('b', task_state=RESIZE)
        self.migration(uuid, 'running', 'b', 'c')

        self.assertEqual(([], []), self.on_node())

    def test_move_to_another_node(self):
        uuid = self.server('b', task_state=RESIZE)
        self.migration(uuid, 'running', 'b', 'a')

        self.assertEqual(([], []), self.on_node('a', 'n1'))

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


def _lists(function):
    """Return the lists of texts in the source of a function, sorted."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return [sorted(ast.literal_eval(node)) for node in ast.walk(tree)
            if isinstance(node, ast.List)]


def _given(tree):
    """Return what may be the states that code gives migrations.

    It sets the field, makes a migration with it, or has a function set it.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            yield from (node.value for target in node.targets
                        if re.search(r'migration\.status$',
                                     ast.unparse(target)))
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.endswith('_set_migration_status'):
                yield from node.args[1:]
            yield from (keyword.value for keyword in node.keywords
                        if keyword.arg == 'migration_status' or (
                            keyword.arg == 'status'
                            and name.endswith('.Migration')))
        elif isinstance(node, ast.arguments):
            defaults = zip(reversed(node.args), reversed(node.defaults),
                           strict=False)
            yield from (default for argument, default in defaults
                        if argument.arg == 'migration_status')


class TestMigrationStates(base.TestCase):
    """nova has no list of them: its own comments call that nutty."""

    def assert_same(self, ours, novas, where):
        self.assertEqual(
            sorted(ours), sorted(novas),
            f'nova.{where} has other states of migrations than the nova that '
            f'cache_aware_sched.presence was written for. Read there what the '
            f'new ones mean, and add them to MIGRATION_ENDED or to '
            f'MIGRATION_IN_FLIGHT.')

    def test_ended_are_those_that_nova_does_not_take_for_in_progress(self):
        [ended] = _lists(main_db.migration_get_in_progress_by_host_and_node)

        self.assert_same(
            presence.MIGRATION_ENDED, ended,
            'db.main.api.migration_get_in_progress_by_host_and_node')

    def test_moves_that_failed_are_all_that_the_tracker_has_besides(self):
        """nova's resource tracker goes by these; here they have ended."""
        [ended] = _lists(
            main_db.migration_get_in_progress_and_error_by_host_and_node)

        self.assert_same(
            presence.MIGRATION_ENDED, [*ended, 'error'],
            'db.main.api.'
            'migration_get_in_progress_and_error_by_host_and_node')

    def test_live_migrations_that_nova_lists_are_in_flight(self):
        [live] = _lists(main_db.migration_get_in_progress_by_instance)

        self.assert_same(
            set(live) & set(presence.MIGRATION_IN_FLIGHT), live,
            'db.main.api.migration_get_in_progress_by_instance')

    def test_nova_s_objects_ask_these_functions(self):
        migrations = objects.MigrationList
        for function in (migrations.get_in_progress_by_host_and_node,
                         migrations.get_in_progress_and_error,
                         migrations.get_in_progress_by_instance):
            self.assertIn('migration_get_in_progress',
                          inspect.getsource(function))

    def test_no_state_is_both(self):
        self.assertEqual(set(), set(presence.MIGRATION_ENDED) & set(
            presence.MIGRATION_IN_FLIGHT))

    def test_states_are_those_that_nova_gives_a_migration(self):
        found = set()
        root = pathlib.Path(nova.__path__[0])
        for path in ('compute', 'conductor', 'virt/libvirt'):
            for file in sorted((root / path).rglob('*.py')):
                text = file.read_text(encoding='utf-8')
                if re.search(r'igration(\.status|_status|\()', text):
                    found.update(
                        value.value for value in _given(ast.parse(text))
                        if isinstance(value, ast.Constant))

        self.assert_same(
            {*presence.MIGRATION_ENDED, *presence.MIGRATION_IN_FLIGHT}, found,
            'compute, nova.conductor or nova.virt.libvirt')


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

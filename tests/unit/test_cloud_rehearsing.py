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

import contextlib
import io
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from unittest import mock

import fixtures
import hypothesis
from hypothesis import strategies as st

from tests.cloud import belongings
from tests.cloud import cloud as cloud_mod
from tests.cloud import conf
from tests.cloud import rehearsing
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod
from tests.cloud import showing
from tests.cloud import strays
from tests.cloud import taking_down
from tests.unit import base

WORDS = st.text('abcdefgh_', min_size=1)
VALUES = st.text('abc=:,.[]#', min_size=1).filter(
    lambda text: text[0] not in '"\'')


class RehearsingTestCase(base.TestCase):
    """A cloud of which nothing runs but what a test starts."""

    stock = False

    def setUp(self):
        super().setUp()
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.said = []
        self.cloud = cloud_mod.Cloud(settings_mod.Settings(
            state=str(path.resolve()), computes=0, fakes=1, schedulers=1,
            stock=self.stock), self.said.append)
        self.settings = self.cloud.settings
        taking_down.begin(self.cloud.tree, self.settings.run)
        self.processes = self.cloud.processes
        self.addCleanup(lambda: self.processes.kill(*self.processes.names()))
        for members in (self.cloud.computes, self.cloud.schedulers):
            for member in members:
                conf.write(members.config_file(member.name),
                           members.usual_conf(member))


class TestStock(RehearsingTestCase):

    stock = True

    def test_nothing_of_ours_is_configured(self):
        for members in (self.cloud.computes, self.cloud.schedulers):
            [name] = members.names
            self.assertNotIn(
                'cache_aware', members.config_file(name).read_text())

    def test_scenarios_find_ours_and_leave_stock(self):
        for ours in (True, False):
            self.cloud.computes.usually(ours)

            [member] = self.cloud.computes
            self.assertEqual(ours, 'cache_aware' in conf.render(
                self.cloud.computes.usual_conf(member)))


class TestServices(RehearsingTestCase):

    def test_each_is_found_by_its_names(self):
        for name in ('nova', 'api', 'conductor', 'scheduler1', 'glance',
                     'nova-fake1', 'fake1'):
            self.assertIn(name, rehearsing.find(self.cloud, name).names)

    def test_its_file_is_that_of_the_service(self):
        for one in rehearsing.services(self.cloud):
            if one.is_nova and 'nova' not in one.names:  # uwsgi
                self.assertEqual(str(one.conf), one.service.command[-1])

    def test_no_such_service(self):
        error = self.assertRaises(
            service_mod.Failed, rehearsing.find, self.cloud, 'mariadb')

        self.assertIn('there are keystone, placement', str(error))


class TestSql(RehearsingTestCase):

    def test_cell_by_its_name(self):
        command, environment = self.cloud.infra.client('cell1', 'select 1')

        self.assertEqual(['--table', '--execute=select 1', 'nova_cell1'],
                         command[-3:])
        # Others can see the words of a command.
        self.assertNotIn(self.settings.secret, ' '.join(command))
        self.assertEqual({'MYSQL_PWD': self.settings.secret}, environment)

    def test_no_such_database(self):
        error = self.assertRaises(
            service_mod.Failed, self.cloud.infra.client, 'select', None)

        self.assertIn('cell1', str(error))


class TestBelongings(RehearsingTestCase):

    def setUp(self):
        super().setUp()
        self.client = mock.Mock()
        self.client.servers.all.return_value = {}
        self.client.images.names.return_value = [cloud_mod.TRY]
        self.client.sdk.compute.aggregates.return_value = []
        self.cloud._client = self.client

    def edit(self):
        with self.cloud.computes.config_file('fake1').open('a') as file:
            file.write('# mine')

    def ask(self, answer=None):
        """Ask a user who is there only if there is an answer."""
        user = io.StringIO(answer)
        user.isatty = lambda: answer is not None
        self.useFixture(fixtures.MonkeyPatch('sys.stdin', user))
        belongings.ask(self.cloud)

    def test_new_cloud_has_none(self):
        self.ask()

        self.assertEqual([], belongings.found(self.cloud))

    def test_all_kinds(self):
        self.client.servers.all.return_value = {
            str(number): mock.Mock() for number in range(7)}
        for number, one in self.client.servers.all().items():
            one.name = f'server{number}'
        self.client.images.names.return_value = [cloud_mod.TRY, 'golden']
        friday = mock.Mock()
        friday.name = 'friday'
        self.client.sdk.compute.aggregates.return_value = [friday]
        self.edit()

        self.assertEqual([
            'servers: server0, server1, server2, server3, server4 and 2 more',
            'images: golden', 'aggregates: friday',
            'edits of nova.conf: fake1'], belongings.found(self.cloud))

    def test_api_that_does_not_answer(self):
        self.client.servers.all.side_effect = OSError('refused')

        [line] = belongings.found(self.cloud)

        self.assertIn('refused', line)

    def test_nobody_is_there_to_be_asked(self):
        self.edit()

        error = self.assertRaises(service_mod.Failed, self.ask)

        self.assertIn('edits of nova.conf: fake1', str(error))
        self.assertIn('--yes', str(error))

    def test_answers(self):
        self.edit()

        for no in ('', 'n\n', 'nay\n'):
            self.assertRaises(service_mod.Failed, self.ask, no)
        self.ask('Yes\n')


class TestByHand(RehearsingTestCase):
    """Somebody starts a service, and nothing records it."""

    def setUp(self):
        super().setUp()
        program = self.cloud.tree.venv / 'bin/nova-compute'
        program.parent.mkdir(parents=True)
        # As a script of Python it has its own path among its words.
        program.write_text(
            'import time\nprint("up", flush=True)\ntime.sleep(60)')
        self.program = program

    def start(self, program, config_file):
        child = subprocess.Popen(
            [sys.executable, str(program), '--config-file',
             str(config_file)], start_new_session=True,
            stdout=subprocess.PIPE)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        # Python has its command before it has read the program.
        self.assertEqual(b'up\n', child.stdout.readline())
        return child

    def find(self):
        return [one.pid for one in strays.find(
            self.processes, self.cloud.tree.venv)]

    def test_it_is_found_and_ended(self):
        path = self.cloud.computes.config_file('fake1')
        child = self.start(self.program, path)

        [found] = strays.find(self.processes, self.cloud.tree.venv)
        self.assertEqual((child.pid, 'nova-compute', path), (
            found.pid, found.program, found.conf))
        strays.end([found])

        self.assertEqual(-signal.SIGTERM, child.wait(60))
        self.assertEqual([], self.find())

    def test_workers_are_not_services_of_their_own(self):
        self.program.write_text(
            'import os, time\n'
            'parent = os.getpid()\n'
            'if os.fork():\n'
            '    time.sleep(60)\n'
            'print("up", flush=True)\n'
            'while os.getppid() == parent:\n'
            '    time.sleep(0.1)\n')
        child = self.start(
            self.program, self.cloud.computes.config_file('fake1'))

        self.assertEqual([child.pid], self.find())

    def test_down_ends_it(self):
        child = self.start(
            self.program, self.cloud.computes.config_file('fake1'))

        taking_down.take_down(self.cloud.tree, self.said.append)

        self.assertEqual(-signal.SIGTERM, child.wait(60))

    def test_restart_ends_it_first(self):
        path = self.cloud.computes.config_file('fake1')
        child = self.start(self.program, path)
        edited = path.read_text() + '# mine'
        path.write_text(edited)
        self.useFixture(fixtures.MockPatchObject(
            self.cloud.computes, '_joined', lambda name: True))
        self.processes.environment['PATH'] = os.environ['PATH']
        self.program.unlink()
        self.program.symlink_to(self.write_sleeper())

        rehearsing.restart(self.cloud, ['fake1'])

        self.assertEqual(-signal.SIGTERM, child.wait(60))
        self.assertTrue(self.processes.alive('nova-fake1'))
        self.assertEqual(edited, path.read_text())
        self.assertEqual([], self.find())

    def write_sleeper(self):
        path = self.settings.run / 'sleeper'
        path.write_text('#!/bin/sh\nexec sleep 60\n')
        path.chmod(0o755)
        return path

    def test_status_shows_it(self):
        child = self.start(
            self.program, self.cloud.computes.config_file('fake1'))
        out = io.StringIO()

        with contextlib.redirect_stdout(out):
            self.assertTrue(showing.status(self.cloud))

        [line] = [line for line in out.getvalue().splitlines()
                  if 'nova-fake1' in line]
        self.assertIn(f' {child.pid} ', line)
        self.assertIn('runs, started by hand', line)

    def test_what_is_to_be_tried_next_can_be_called(self):
        out = io.StringIO()

        with contextlib.redirect_stdout(out):
            showing.what_next(self.settings)

        first = next(line for line in out.getvalue().splitlines()
                     if line.startswith('  '))
        program, *rest = first.split()
        self.assertTrue(os.path.samefile(sys.executable, program))
        self.assertEqual(['-m', 'tests.cloud', 'status', '--state',
                          str(self.settings.tree.state)], rest)

    def test_status_tells_of_a_changed_file(self):
        path = self.cloud.computes.config_file('fake1')
        self.processes.environment['PATH'] = os.environ['PATH']
        self.processes.start(service_mod.Service(
            name='nova-fake1', command=['sleep', '60']))
        later = time.time() + 60
        os.utime(path, (later, later))
        out = io.StringIO()

        with contextlib.redirect_stdout(out):
            showing.status(self.cloud)

        self.assertIn('nova.conf was changed since', out.getvalue())

    def test_other_programs_and_other_clouds_are_let_be(self):
        other = self.settings.run.with_name('run-other') / 'etc/nova.conf'
        elsewhere = self.settings.run / 'nova-compute'
        shutil.copy(self.program, elsewhere)
        self.start(self.program, other)
        self.start(elsewhere, self.cloud.computes.config_file('fake1'))

        self.assertEqual([], self.find())

    def test_what_is_recorded_is_none(self):
        self.processes.environment['PATH'] = os.environ['PATH']
        self.processes.start(service_mod.Service(
            name='nova-fake1', command=[
                sys.executable, str(self.program), '--config-file',
                str(self.cloud.computes.config_file('fake1'))]))

        self.assertEqual([], self.find())

    def test_another_process_of_its_number_is_not_ended(self):
        child = self.start(
            self.program, self.cloud.computes.config_file('fake1'))
        [found] = strays.find(self.processes, self.cloud.tree.venv)

        strays.end([strays.Stray(
            found.pid, found.start - 1, found.program, found.conf)])

        self.assertIsNone(child.poll())


class TestRead(base.TestCase):

    @hypothesis.given(st.dictionaries(WORDS, st.dictionaries(
        WORDS, st.one_of(VALUES, st.lists(VALUES, min_size=2)))))
    def test_what_was_written(self, sections):
        path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'x.conf')
        conf.write(path, sections)

        self.assertEqual(sections, conf.read(path))

    def test_lines_of_one_value(self):
        path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'x.conf')
        path.write_text('[a]\nx = b,\n    c\nx = d\n')

        self.assertEqual({'a': {'x': ['b,c', 'd']}}, conf.read(path))

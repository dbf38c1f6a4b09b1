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

import os
import pathlib
import subprocess
import sys
from unittest import mock

import fixtures

from tests.cloud import processes as processes_mod
from tests.cloud import procfs
from tests.cloud import running
from tests.cloud import service as service_mod
from tests.unit import base

#: Prints its number, and a word before it ends.
POLITE = """
trap 'echo asked; exit' TERM
echo $$
for one in $(seq 3000); do sleep 0.02; done
"""


def runs(pid):
    found = procfs.stat(pid)
    return found is not None and found.running


class ProcessesTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        path = self.useFixture(fixtures.TempDir()).path
        self.path = pathlib.Path(path).resolve()
        self.processes = self.make()
        self.addCleanup(lambda: self.processes.kill(*self.processes.names()))

    def make(self, kind=processes_mod.Processes):
        return kind(self.path / 'run', self.path / 'log',
                    {'PATH': os.environ['PATH']})

    def start(self, script, name='one', **more):
        return self.processes.start(service_mod.Service(
            name=name, command=['/bin/sh', '-c', script], **more))

    def wait_for_end(self):
        running.wait_for('it does not end', lambda: not self.processes.alive(
            'one'), 60, poll=0.01)

    def printed_pid(self):
        """Return the number that the process prints."""
        running.wait_for('it prints nothing', lambda: self.processes.said(
            'one', '\n'), 60, poll=0.01)
        return int(self.processes.tail('one'))


class TestStart(ProcessesTestCase):

    def test_it_runs_in_a_session_of_its_own(self):
        self.assertTrue(self.start('exec sleep 60'))

        self.assertTrue(self.processes.alive('one'))
        self.assertEqual(['one'], self.processes.names())
        pid = self.processes.recorded('one').pid
        self.assertEqual(pid, os.getsid(pid))
        self.assertEqual({'one': [pid]}, self.processes.members(['one']))

    def test_what_runs_is_left_alone(self):
        self.start('sleep 60')
        before = self.processes.recorded('one')

        self.assertFalse(self.start('sleep 60'))

        self.assertEqual(before, self.processes.recorded('one'))

    def test_what_ended_is_started_again(self):
        self.start('true')
        self.wait_for_end()
        self.assertEqual(['one'], self.processes.names())

        self.assertTrue(self.start('sleep 60'))

        self.assertTrue(self.processes.alive('one'))

    def test_oldest_is_named_first(self):
        for second, name in enumerate(('b', 'c', 'a')):
            self.start('sleep 60', name)
            os.utime(self.processes.record(name), (second, second))

        self.assertEqual(['b', 'c', 'a'], self.processes.names())

    def test_environment(self):
        self.processes.environment['ALL'] = 'for all'

        self.start('echo "$ALL, $OWN, $HOME."', environment={'OWN': 'own'})
        self.wait_for_end()

        self.assertEqual('for all, own, .', self.processes.tail('one'))

    def test_said_since_the_last_start_only(self):
        self.start('echo first >&2')
        self.wait_for_end()
        self.assertTrue(self.processes.said('one', 'first'))

        self.start('echo second')
        self.wait_for_end()

        self.assertFalse(self.processes.said('one', 'first'))
        self.assertTrue(self.processes.said('one', 'second'))
        self.assertEqual('first\nsecond', self.processes.tail('one'))

    def test_what_ends_between_two_looks_was_started(self):
        begin, popen = self.path / 'begin', subprocess.Popen
        os.mkfifo(begin)

        def held(command, **how):
            child = popen(['/bin/sh', '-c', 'read -r _ <"$0"; exec "$@"',
                           begin, *command], **how)
            self.addCleanup(child.kill)
            return child

        class Slow(processes_mod.Processes):
            def recorded(self, name):
                found = super().recorded(name)
                if begin.exists() and self.log(name).exists():
                    begin.write_text('now')
                    begin.unlink()
                    running.wait_for('it does not end', self.ended, 60)
                return found

            def ended(self):
                found = super().recorded('one')
                return found is not None and not runs(found.pid)

        self.processes = self.make(Slow)

        with mock.patch('subprocess.Popen', held):
            self.assertTrue(self.start('true'))

    def test_what_cannot_be_recorded_does_not_run(self):
        """Nobody would know of it."""
        (self.path / 'log' / 'no').mkdir(parents=True)

        self.assertRaises(service_mod.Failed, self.start,
                          f'touch {self.path}/ran', 'no/directory')

        self.assertFalse((self.path / 'ran').exists())

    def test_what_an_earlier_start_left_is_not_lost(self):
        self.start('sleep 60 & echo $!')
        left = self.printed_pid()
        self.wait_for_end()

        self.start('sleep 60')
        self.processes.stop('one')

        self.assertFalse(runs(left))


class TestEnd(ProcessesTestCase):

    def test_only_what_is_named_is_stopped(self):
        self.start('sleep 60')
        self.start('sleep 60', 'other')

        self.processes.stop('one')

        self.assertEqual(['other'], self.processes.names())
        self.assertTrue(self.processes.alive('other'))

    def test_what_another_program_started_is_stopped(self):
        self.start('sleep 60')
        pid = self.processes.recorded('one').pid
        other = self.make()
        self.assertTrue(other.alive('one'))

        self.assertEqual([], other.stop('one'))

        self.assertFalse(runs(pid))
        self.assertEqual([], self.processes.names())

    def test_children_are_stopped_too(self):
        self.start('sleep 60 & echo $!; wait')
        child = self.printed_pid()

        self.assertEqual([], self.processes.stop('one'))

        self.assertFalse(runs(child))

    def test_children_of_what_ended_are_stopped(self):
        self.start('sleep 60 & echo $!')
        child = self.printed_pid()
        self.wait_for_end()
        self.assertEqual({'one': [child]}, self.processes.members(['one']))

        self.assertEqual([], self.processes.stop('one'))

        self.assertFalse(runs(child))

    def test_other_groups_of_the_session_are_killed(self):
        self.start(f"""exec '{sys.executable}' -ISc '
import subprocess
one = subprocess.Popen(["sleep", "60"], process_group=0)
print(one.pid, flush=True)
one.wait()'""")
        child = self.printed_pid()
        self.assertEqual(child, procfs.stat(child).group)

        self.assertEqual(['one'], self.processes.stop('one', patience=0))

        self.assertFalse(runs(child))

    def test_what_does_not_stop_is_killed(self):
        self.start('trap "" TERM; echo $$; sleep 60; sleep 60')
        pid = self.printed_pid()

        self.assertEqual(['one'], self.processes.stop('one', patience=0))

        self.assertFalse(runs(pid))
        self.assertEqual([], self.processes.names())

    def test_what_stops_by_itself_is_not_killed(self):
        self.start(POLITE)
        self.printed_pid()

        self.assertEqual([], self.processes.stop('one', patience=60))

        self.assertIn('asked', self.processes.tail('one'))

    def test_kill_does_not_ask(self):
        self.start(POLITE)
        pid = self.printed_pid()

        self.processes.kill('one')

        self.assertFalse(runs(pid))
        self.assertNotIn('asked', self.processes.tail('one'))
        self.assertEqual([], self.processes.names())


class TestNotOurs(ProcessesTestCase):
    """What has the number of a process of ours by chance."""

    def setUp(self):
        super().setUp()
        self.foreign = subprocess.Popen(
            ['/bin/sh', '-c', 'sleep 60 >/dev/null & echo $!; read -r line'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True)
        self.addCleanup(self.foreign.communicate)
        self.child = int(self.foreign.stdout.readline())
        self.addCleanup(os.kill, self.child, 9)

    def record(self, ticks_later):
        """Record one of that number that started at another time."""
        line = pathlib.Path('/proc', str(self.foreign.pid), 'stat').read_text()
        fields = line.split()
        fields[21] = str(int(fields[21]) + ticks_later)
        path = self.processes.record('one')
        path.parent.mkdir(parents=True)
        path.write_text(' '.join(fields))

    def test_process_of_the_recorded_start_is_ours(self):
        self.record(0)

        self.assertTrue(self.processes.alive('one'))
        self.assertCountEqual([self.foreign.pid, self.child],
                              self.processes.members(['one'])['one'])
        self.processes.record('one').unlink()

    def test_process_of_another_start_is_not_ours(self):
        self.record(-1)

        self.assertFalse(self.processes.alive('one'))
        self.assertEqual([], self.processes.stop('one', patience=0))

        self.assertTrue(runs(self.foreign.pid))
        self.assertTrue(runs(self.child))

    def test_session_of_another_process_that_ended_is_not_ours(self):
        self.record(-1)
        self.foreign.communicate()

        self.assertEqual([], self.processes.stop('one', patience=0))

        self.assertTrue(runs(self.child))

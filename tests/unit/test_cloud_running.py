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

import functools
import os
import pathlib
import signal
import threading

import fixtures

from tests.cloud import interrupts
from tests.cloud import processes as processes_mod
from tests.cloud import procfs
from tests.cloud import running
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod
from tests.cloud import taking_down
from tests.unit import base

#: So long that a test which waits for it fails.
EVER = 60.0


def never():
    return False


def fail():
    raise service_mod.Failed('this one')


def wait_in_vain():
    running.wait_for('it waited', never, EVER, poll=0.01)


class TestWaitFor(base.TestCase):

    def test_what_is_so_already(self):
        self.assertGreaterEqual(running.wait_for('it', lambda: True, 0), 0)

    def test_what_gets_so(self):
        answers = iter([False, False, True, False])

        running.wait_for('it', lambda: next(answers), EVER, poll=0.001)

        self.assertEqual([False], list(answers))

    def test_what_does_not(self):
        error = self.assertRaises(
            service_mod.Failed, running.wait_for, 'no answer', never, 0.01,
            poll=0.001)

        self.assertIn('no answer', str(error))


class TestTogether(base.TestCase):

    def test_at_the_same_time(self):
        met = threading.Barrier(3)

        def one():
            met.wait(EVER)

        running.together(one, one, one)

        self.assertFalse(met.broken)

    def test_one_fails_and_others_do_not_go_on_waiting(self):
        error = self.assertRaises(
            service_mod.Failed, running.together, wait_in_vain, fail)

        self.assertEqual('this one', str(error))

    def test_nor_do_others_further_down(self):
        ended = []

        def deepest():
            self.assertRaises(interrupts.Abandoned, wait_in_vain)
            ended.append(True)

        self.assertRaises(
            service_mod.Failed, running.together,
            lambda: running.together(deepest, deepest), fail)

        self.assertEqual([True, True], ended)

    def test_a_failure_ends_only_what_ran_with_it(self):
        def inner():
            self.assertRaises(
                service_mod.Failed, running.together, wait_in_vain, fail)
            running.wait_for('it', iter([False, True]).__next__, EVER,
                             poll=0.001)

        running.together(inner, inner)
        inner()


class TestDeaf(base.TestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch(
            'tests.cloud.interrupts._State.deaf', 0))
        self.addCleanup(interrupts.obey)
        abandoned = threading.Event()
        abandoned.set()
        interrupts.obey(abandoned)

    def test_nothing_ends_in_the_block(self):
        with interrupts.deaf():
            interrupts.check()

        self.assertRaises(interrupts.Abandoned, interrupts.check)

    def test_blocks_of_two_threads(self):
        both, one_is_out = threading.Event(), threading.Event()

        def first():
            with interrupts.deaf():
                second.start()
                both.wait(EVER)
            one_is_out.set()

        def last():
            with interrupts.deaf():
                both.set()
                one_is_out.wait(EVER)

        second = threading.Thread(target=last)
        first()
        second.join()

        self.assertRaises(interrupts.Abandoned, interrupts.check)


class CommandsTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.settings = settings_mod.Settings(
            state=str(path.resolve()), computes=0, fakes=0, schedulers=0)
        self.tree = self.settings.tree
        taking_down.begin(self.tree, self.settings.run)
        self.processes = processes_mod.Processes(
            self.settings.run, self.tree.logs, {'PATH': os.environ['PATH']})
        self.addCleanup(lambda: self.processes.kill(*self.processes.names()))

    def service(self, script, name='one', **more):
        return service_mod.Service(
            name=name, command=['/bin/sh', '-c', script], **more)

    def called(self, script, *arguments, **how):
        running.call(self.processes, 'one', [
            '/bin/sh', '-c', script, 'sh', *arguments], running.How(**how))
        return self.processes.tail('one')

    def failed(self, function, *args, **kwargs):
        return str(self.assertRaises(
            service_mod.Failed, function, *args, **kwargs))


class TestCall(CommandsTestCase):

    def test_its_output_is_logged(self):
        self.assertIn('"a b" and *', self.called(
            'echo "\\"$1\\" and $2"', 'a b', '*').splitlines())
        self.assertEqual([], self.processes.names())

    def test_its_environment(self):
        self.assertIn('mine', self.called(
            'echo "$MY"', environment={'MY': 'mine'}).splitlines())

    def test_failure_tells_the_end_of_the_log(self):
        self.assertIn('no such thing', self.failed(
            self.called, 'echo no such thing >&2; exit 3'))
        self.assertEqual([], self.processes.names())

    def test_earlier_call_does_not_count(self):
        self.called('true')

        self.failed(self.called, 'false')

    def test_status_that_is_as_good(self):
        self.called('exit 3', status=(2, 3))

        self.failed(self.called, 'exit 4', status=(2, 3))

    def test_command_that_takes_too_long(self):
        self.failed(self.called, 'sleep 60', within=0)

        self.assertEqual([], self.processes.names())

    def test_command_that_is_abandoned(self):
        def fail_later():
            running.wait_for('it says nothing', lambda: self.processes.said(
                'one', 'here'), EVER, poll=0.01)
            fail()

        script = """
            trap 'echo asked; exit' USR1
            echo here
            for one in $(seq 3000); do sleep 0.02; done
        """
        why = self.failed(running.together, lambda: self.called(
            script, number=signal.SIGUSR1), fail_later)

        self.assertEqual('this one', why)
        self.assertIn('asked', self.processes.tail('one'))
        self.assertEqual([], self.processes.names())


class TestLaunch(CommandsTestCase):

    def test_all_run_before_any_is_waited_for(self):
        def both():
            return self.processes.alive('one') and self.processes.alive('two')

        running.launch(self.processes,
                       self.service('sleep 60', ready=both, within=EVER),
                       self.service('sleep 60', 'two', ready=both,
                                    within=EVER))

        self.assertTrue(both())

    def test_it_waits_until_they_serve(self):
        running.launch(self.processes, self.service(
            'sleep 0.01; echo serving; sleep 60', ready=functools.partial(
                self.processes.said, 'one', 'serving')))

        self.assertTrue(self.processes.said('one', 'serving'))

    def test_what_runs_already_is_not_waited_for(self):
        self.processes.start(self.service('sleep 60'))

        running.launch(
            self.processes, self.service('sleep 60', ready=never, within=0))

        self.assertTrue(self.processes.alive('one'))

    def test_what_ends(self):
        why = self.failed(running.launch, self.processes, self.service(
            'echo I cannot', ready=never, within=EVER))

        self.assertIn('one: it ended', why)
        self.assertIn('I cannot', why)

    def test_what_does_not_serve_in_time(self):
        why = self.failed(running.launch, self.processes, self.service(
            'sleep 60', ready=never, within=0))

        self.assertIn('one: it does not serve', why)


class TestTakeDown(CommandsTestCase):

    def take_down(self):
        return taking_down.take_down(self.tree, lambda text: None)

    def start(self):
        self.processes.start(self.service('exec sleep 60'))
        pid = self.processes.recorded('one').pid
        # Nobody has its number, even if it ended: it is our child.
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        return pid

    def runs(self, pid):
        found = procfs.stat(pid)
        return found is not None and found.running

    def test_all_ends_and_the_logs_stay(self):
        pid = self.start()

        self.assertEqual(1, self.take_down())

        self.assertFalse(self.runs(pid))
        self.assertEqual([], self.tree.runs())
        self.assertTrue(self.processes.log('one').exists())
        self.assertEqual(0, self.take_down())

    def test_nothing_ends_if_the_machine_was_turned_off(self):
        pid = self.start()
        (self.settings.run / 'boot_id').write_text('another')

        self.assertEqual(1, self.take_down())

        self.assertTrue(self.runs(pid))
        self.assertEqual([], self.tree.runs())

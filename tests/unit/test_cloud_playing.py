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
import pathlib
import signal
from unittest import mock

import fixtures

from tests.cloud import __main__ as command_line
from tests.cloud import arguments
from tests.cloud import cloud as cloud_mod
from tests.cloud import interrupts
from tests.cloud import packages
from tests.cloud import playing
from tests.cloud import scenario as scenario_mod
from tests.cloud import scenarios
from tests.cloud import settings as settings_mod
from tests.unit import base

#: What a reset raises.
STUCK = RuntimeError('nova is stuck')


def good(cloud, facts):
    cloud.done.append('good')
    facts['seconds'] = 3


def bad(cloud, facts):
    facts['hosts'] = 2
    raise AssertionError('one is missing')


def interrupted(cloud, facts):
    raise interrupts.Interrupted(signal.SIGTERM)


def make(function=good, **more):
    return scenario_mod.Scenario(function.__name__, function, **more)


class PlayingTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def play(self, *scenarios, resets=()):
        """Play in a cloud that only remembers what is done to it.

        :param resets: what each reset raises; any further one works
        """
        errors = iter(resets)

        def reset():
            cloud.done.append('reset')
            error = next(errors, None)
            if error:
                raise error

        cloud = mock.create_autospec(cloud_mod.Cloud, instance=True)
        cloud.settings = settings_mod.Settings(
            state=str(self.path), computes=2, fakes=1, schedulers=1)
        cloud.tree = cloud.settings.tree
        cloud.say = lambda text: None
        cloud.done = []
        cloud.reset.side_effect = reset
        self.cloud = cloud
        return playing.play(cloud, scenarios)


class TestPlay(PlayingTestCase):

    def assert_outcomes(self, expected, results):
        self.assertEqual(expected, [one.outcome for one in results])

    def test_one_that_passes(self):
        result, = self.play(make(computes=2, fakes=1, schedulers=1))

        self.assertEqual(('good', 'passed', {'seconds': 3}, ''),
                         (result.name, result.outcome, result.facts,
                          result.why))
        self.assertEqual(['good', 'reset'], self.cloud.done)

    def test_one_that_fails_does_not_stop_the_next(self):
        results = self.play(make(bad), make())

        self.assert_outcomes(['failed', 'passed'], results)
        self.assertEqual({'hosts': 2}, results[0].facts)
        self.assertIn('one is missing', results[0].why)
        self.assertEqual(['reset', 'good', 'reset'], self.cloud.done)

    def test_one_that_needs_more_is_skipped(self):
        for more, why in (({'computes': 3}, '3 computes'),
                          ({'fakes': 2}, '2 fakes'),
                          ({'schedulers': 2}, '2 schedulers')):
            results = self.play(make(**more), make())

            self.assert_outcomes(['skipped', 'passed'], results)
            self.assertIn(why, results[0].why)
            self.assertEqual(['good', 'reset'], self.cloud.done)

    def test_servers_are_placed_on_what_it_needs(self):
        for more, computes, fakes in (({'computes': 1}, True, False),
                                      ({'fakes': 1}, False, True)):
            self.play(make(**more))

            self.cloud.offer.assert_called_once_with(
                computes=computes, fakes=fakes)

    def test_reset_that_fails_fails_the_rest(self):
        results = self.play(
            make(), make(), make(computes=3), resets=[STUCK])

        self.assert_outcomes(['passed', 'failed', 'failed'], results)
        for one in results[1:]:
            self.assertIn('nova is stuck', one.why)
        self.assertEqual(['good', 'reset'], self.cloud.done)

    def test_last_reset_that_fails_fails_the_last(self):
        results = self.play(make(), make(), resets=[None, STUCK])

        self.assert_outcomes(['passed', 'failed'], results)
        self.assertIn('nova is stuck', results[1].why)

    def test_what_failed_before_the_reset_did_says_why(self):
        result, = self.play(make(bad), resets=[STUCK])

        self.assertIn('one is missing', result.why)

    def test_interrupted(self):
        self.assertRaises(
            interrupts.Interrupted, self.play, make(interrupted), make())

        self.assertEqual([], self.cloud.done)


class TestCollect(PlayingTestCase):

    def test_all_that_tells_what_went_wrong(self):
        results = self.play(make(bad))
        run, host = self.cloud.settings.run, 'hosts/compute1'
        for path in (self.cloud.tree.logs / 'nova.log',
                     run / 'etc/nova/nova.conf',
                     run / f'{host}/log-libvirt/qemu/1.log',
                     run / f'{host}/instances/1/console.log',
                     run / f'{host}/instances/1/disk'):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

        target = playing.collect(self.cloud, results, 'in vain')

        self.assertEqual(
            ['etc/nova/nova.conf', f'{host}/instances/1/console.log',
             f'{host}/log-libvirt/qemu/1.log', 'log/nova.log',
             'results.txt'],
            sorted(str(path.relative_to(target))
                   for path in target.rglob('*') if path.is_file()))
        for text in ('in vain', 'bad: failed', 'one is missing'):
            self.assertIn(text, (target / 'results.txt').read_text())


class TestScenarios(base.TestCase):

    def setUp(self):
        super().setUp()
        # What is not loaded yet would be forgotten after the test.
        scenarios.load()
        registry = mock.patch.dict(scenario_mod.REGISTRY)
        registry.start()
        self.addCleanup(registry.stop)

    def test_function_is_registered_under_its_name(self):
        @scenario_mod.scenario(order=3, computes=1, fakes=2, schedulers=4)
        def some_name_of_a_test(cloud, facts):
            """Say one thing.

            Not another.
            """

        found = scenario_mod.REGISTRY['some-name-of-a-test']
        self.assertEqual(
            scenario_mod.Scenario('some-name-of-a-test', some_name_of_a_test,
                                  3, 1, 2, 4), found)
        self.assertEqual('Say one thing.', found.summary)

    def test_name_is_taken_once(self):
        register = scenario_mod.scenario(name='some-name-of-a-test')
        register(good)

        self.assertRaises(AssertionError, register, bad)

    def test_order(self):
        for name, order in (('b', -2), ('a', -1), ('c', -2)):
            scenario_mod.scenario(name=name, order=order)(good)

        found = [one.name for one in scenarios.load()]

        self.assertEqual(['b', 'c', 'a'], found[:3])

    def test_all_say_what_they_check(self):
        for one in scenarios.load():
            self.assertNotEqual(one.name, one.summary)


class TestCommandLine(PlayingTestCase):

    def setUp(self):
        super().setUp()
        for module, name in ((packages, 'check_machine'),
                             (interrupts, 'install')):
            patch = mock.patch.object(module, name, autospec=True)
            patch.start()
            self.addCleanup(patch.stop)

    def call(self, *words):
        """Return the exit status, and what is printed."""
        out = io.StringIO()
        with (contextlib.redirect_stdout(out), contextlib.redirect_stderr(out),
              mock.patch('sys.argv', ['cloud', *words])):
            status = command_line.main()
        return status, out.getvalue()

    def parse(self, *words):
        return arguments.parse(list(words))

    def assert_refused(self, *words):
        """Assert it without main(): what it took would be done."""
        out = io.StringIO()
        with contextlib.redirect_stderr(out):
            error = self.assertRaises(SystemExit, self.parse, 'up', *words)
        self.assertEqual(2, error.code, words)
        self.assertIn(words[0], out.getvalue())

    def test_all_scenarios_are_listed(self):
        status, out = self.call('--list')

        self.assertEqual(0, status)
        for one in scenarios.load():
            self.assertIn(one.name, out)

    def test_some_scenarios_are_listed(self):
        _status, out = self.call('run', 'smoke', '--list')

        self.assertIn('smoke', out)
        self.assertNotIn('hard-cap', out)

    def test_some_scenarios_are_left_out(self):
        _status, out = self.call('--list', '--without', 'smoke',
                                 '--without', 'known')

        self.assertIn('hard-cap', out)
        self.assertNotIn('smoke', out)
        self.assertNotIn('known', out)

    def test_no_such_scenario_to_leave_out(self):
        status, out = self.call('--list', '--without', 'nonsense')

        self.assertEqual(1, status)
        self.assertIn('There is no scenario nonsense', out)

    def test_all_scenarios_are_left_out(self):
        status, out = self.call('--list', 'smoke', '--without', 'smoke')

        self.assertEqual(1, status)
        self.assertIn('No scenario is left to play', out)

    def test_no_such_scenario(self):
        status, out = self.call('--list', 'smoke', 'nonsense')

        self.assertEqual(1, status)
        self.assertIn('There is no scenario nonsense', out)

    def test_no_cloud_is_up(self):
        for words in (('status',), ('shell',), ('restart',), ('conf',),
                      ('sql', 'cell1', 'select 1')):
            status, out = self.call(
                words[0], '--state', str(self.path), *words[1:])

            self.assertEqual(1, status)
            self.assertIn('no cloud is up', out.lower())

    def test_scenarios_are_played_by_default(self):
        self.assertEqual(('run', [], False), (
            self.parse().command, self.parse().scenarios, self.parse().keep))
        found = self.parse('smoke', '--keep', '--computes', '2')
        self.assertEqual(('run', ['smoke'], True, 2), (
            found.command, found.scenarios, found.keep, found.computes))

    def test_what_is_refused(self):
        for words in (('--computes', '51'), ('--fakes', '-1'),
                      ('--schedulers', 'x'), ('--virt-type', 'xen'),
                      ('--port', 'glance'), ('--port', 'glance=x'),
                      ('--port', 'cinder=1'), ('--port-base', 'x')):
            self.assert_refused(*words)

    def test_what_cannot_be_is_refused(self):
        for words in (('--port', 'glance=65536'), ('--port', 'glance=0'),
                      ('--port-base', '65530'), ('--state', 'a b')):
            self.assert_refused(*words)

    def test_state_directory_is_the_real_one(self):
        """Processes run elsewhere, and the links of /proc are resolved."""
        link = self.path / 'link'
        link.symlink_to(self.path / 'real')

        for given, real in ((link, self.path / 'real'),
                            ('relative', pathlib.Path.cwd() / 'relative')):
            found = self.parse('up', '--state', str(given)).state

            self.assertEqual(real.resolve(), found)

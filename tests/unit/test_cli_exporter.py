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

import importlib.util
import os
import socket
import stat

import fixtures

from cache_aware_sched.decision_log import record as record_mod
from tests.unit import command
from tests.unit import exported
from tests.unit.exported import decision
from tests.unit import test_cli_host
from tests.unit.test_fleet_hosts import reporting


class ExporterCommandTests(test_cli_host.HostCommandTestCase):

    def setUp(self):
        super().setUp()
        self.host('a', reporting())

    def execute(self, *argv):
        return command.execute('exporter', *argv)

    def test_once(self):
        status, out, err = self.execute('--once')

        self.assertEqual((0, ''), (status, err))
        self.assertIn('\ncache_aware_sched_host_images{cell="cell1",'
                      'hostname="a"} 0.0\n', out)
        self.assertNotIn('_created', out)

    def test_decision_log(self):
        path = os.path.join(self.path, 'log')
        with open(path, 'w') as file:
            file.write(record_mod.dump(decision()))

        _status, out, _err = self.execute('--once', '--decision-log', path)

        self.assertIn(
            '\ncache_aware_sched_boots_total{cache="warm"} 1.0\n', out)

    def test_output_replaces_the_file(self):
        path = os.path.join(self.path, 'textfiles', 'images.prom')
        os.mkdir(os.path.dirname(path))
        for _round in range(2):
            status, out, err = self.execute('--once', '--output', path)

        self.assertEqual((0, '', ''), (status, out, err))
        self.assertEqual(['images.prom'], os.listdir(os.path.dirname(path)))
        with open(path) as file:
            text = file.read()
        self.assertIn(exported.PREFIX + 'host_images{', text)
        self.assertIn(exported.PREFIX + 'read_timestamp_seconds', text)
        # Their rates would be wrong: the next process begins anew.
        self.assertNotIn('_total', text)
        self.assertNotIn('_bucket', text)
        self.assertEqual(0o644, stat.S_IMODE(os.stat(path).st_mode))

    def test_what_does_not_go_together(self):
        taken = self.useFixture(fixtures.MockPatch(
            'cache_aware_sched.exporter.serving.wait_for_signal')).mock
        bound = socket.socket()
        self.addCleanup(bound.close)
        bound.bind(('127.0.0.1', 0))
        bound.listen()
        address = f'127.0.0.1:{bound.getsockname()[1]}'
        for argv, why in (
                (['--output', 'x'], '--output needs --once'),
                (['--once', '--notifications'], 'leave --once out'),
                (['--once', '--output', '/nowhere/x.prom'],
                 '/nowhere/x.prom cannot be written: No such file'),
                (['--listen', 'here'], "must be HOST:PORT, not 'here'"),
                (['--listen', address], f'{address} cannot be listened on')):
            status, _out, err = self.execute(*argv)

            self.assertEqual(1, status, argv)
            self.assertIn(why, err)
            self.assertNotIn('Traceback', err)
        taken.assert_not_called()

    def test_without_prometheus_client(self):
        find = importlib.util.find_spec
        self.useFixture(fixtures.MockPatchObject(
            importlib.util, 'find_spec', autospec=True,
            side_effect=lambda name, package=None: None if name ==
            'prometheus_client' else find(name, package)))

        status, _out, err = self.execute('--once')

        self.assertEqual(1, status)
        self.assertIn("pip install 'cache-aware-sched[exporter]'", err)

    def test_cell_that_does_not_answer(self):
        os.unlink(os.path.join(self.path, 'cell2'))

        status, out, _err = self.execute('--once')

        self.assertEqual(0, status)
        self.assertIn('cell_up{cell="cell2"} 0.0', out)

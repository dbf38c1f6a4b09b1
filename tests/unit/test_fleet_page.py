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

"""Tests of the page that shows the image caches of a cloud."""

import datetime
import importlib.util
import os

import fixtures
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.fleet.hosts import ReportingHost
from cache_aware_sched.fleet.images import KnownImage
from cache_aware_sched.fleet_page import heat_map
from cache_aware_sched.fleet_page import page
from cache_aware_sched import report
from tests.unit import base
from tests.unit import command
from tests.unit.exported import decision
from tests.unit import factories
from tests.unit import test_cli_host
from tests.unit.test_fleet_hosts import reporting

FILE = report.BaseFile(report.image_sha1(factories.IMAGE),
                       3 * factories.GIB, users=2)


def cloud(holdings):
    """Return hosts and images.

    :param holdings: of each image, the numbers of the hosts that hold it
    """
    hosts = [ReportingHost(f'h{number}', f'h{number}', 'c', 'up', '', (),
                           None, None, '')
             for number in range(1 + max(map(max, filter(None, holdings)),
                                         default=0))]
    return hosts, [
        KnownImage(f'i{number}', holding=[hosts[host] for host in held])
        for number, held in enumerate(holdings)]


class HeatMapTests(base.TestCase):

    def test_few_hosts_and_images(self):
        """Each has a row or a column; an image that nobody holds has none."""
        hosts, images = cloud([{0}, {0, 1}, set()])

        made = heat_map.make(hosts, images)

        self.assertEqual((['h0', 'h1'], ['i1', 'i0']),
                         (made.rows, made.columns))
        self.assertEqual([[100, 100], [100, None]], made.percent)

    def test_many_hosts(self):
        hosts, images = cloud([set(range(399)), {0}])

        made = heat_map.make(hosts, images)

        self.assertEqual(200, len(made.rows))
        self.assertEqual('2 hosts, h0 to h1', made.rows[0])
        self.assertEqual([100, 50], made.percent[0])

    def test_many_images(self):
        """The most held keep columns of their own."""
        hosts, images = cloud([{0, 1}] * 120 + [{0}] * 4880)

        made = heat_map.make(hosts, images)

        self.assertEqual(200, len(made.columns))
        self.assertNotIn('images', made.columns[119])
        self.assertIn('61 images', made.columns[120])
        self.assertEqual(([100] * 200, [100] * 120 + [None] * 80),
                         tuple(made.percent))

    @settings(max_examples=30)
    @given(st.integers(1, 450), st.integers(1, 450), st.integers())
    def test_all_that_is_held_is_shown(self, number, images, seed):
        hosts, images = cloud([
            {(seed + image * 7919) % number, (image * 31) % number}
            for image in range(images)])

        made = heat_map.make(hosts, images)

        self.assertLessEqual(len(made.rows), heat_map.MAX_ROWS)
        self.assertLessEqual(len(made.columns), heat_map.MAX_COLUMNS)
        for column in zip(*made.percent, strict=True):
            self.assertTrue(any(column))
            self.assertTrue(all(value is None or 1 <= value <= 100
                                for value in column))


class DurationTests(base.TestCase):

    def test_examples(self):
        for seconds, text in (
                (0, '0 s'), (-0.2, '0 s'), (59.4, '59 s'), (60, '1 min'),
                (3599, '1 h 0 min'), (5400, '1 h 30 min'), (-90, '-2 min'),
                (4_000_000, '1,111 h 7 min')):
            self.assertEqual(text, page.duration(seconds))


class CommandTests(test_cli_host.HostCommandTestCase):

    def setUp(self):
        super().setUp()
        self.output = os.path.join(self.path, 'page.html')

    def execute(self, *argv):
        status, _out, err = command.execute(
            'report', '--output', self.output, *argv)
        self.assertNotIn('Traceback', err)
        if status:
            return status, err
        with open(self.output) as file:
            return file.read(), err

    def write_log(self, *decisions):
        path = os.path.join(self.path, 'decisions.log')
        with open(path, 'w') as file:
            file.writelines(map(record_mod.dump, decisions))
        return path

    def test_page(self):
        self.set(max_same_image_instances_per_host=10)
        self.host('a', reporting(FILE))
        self.host('b', '{}')
        for _server in range(3):
            self.server(factories.IMAGE)

        text, err = self.execute()

        self.assertEqual(f'Report: {self.output}\n', err)
        self.assertIn('1 of 2 hosts report; 1 image, 3 servers.', text)
        self.assertIn('Not reporting: b (its driver reports none', text)
        self.assertIn(
            f'<td class="words">a</td><td class="words"></td>'
            f'<td class="words">{factories.IMAGE}</td><td>3</td>'
            '<td>100%</td><td>7</td>', text)
        self.assertIn('set <code>decision_log_file</code>', text)

    def test_decision_log(self):
        now = datetime.datetime.now(datetime.UTC)
        path = self.write_log(
            decision('old', time=now - datetime.timedelta(days=9)),
            decision('a', time=now), decision('b', warm=False, time=now,
                                              cached='b'))

        text, _err = self.execute('--decision-log', path)

        self.assertIn('<td class="words">In all</td><td>2</td><td>50%</td>'
                      '<td>12 s</td><td>3.2</td><td>0</td>', text)
        self.assertNotIn('only\nobserved', text)

    def test_decision_log_in_observe_mode(self):
        path = self.write_log(decision(
            'a', time=datetime.datetime.now(datetime.UTC), observed=True))

        text, _err = self.execute('--decision-log', path)

        self.assertIn('it is what the weigher would have spared', text)

    def test_decision_log_without_a_boot(self):
        text, _err = self.execute('--decision-log', self.write_log())

        self.assertIn('no boot of the time that was asked for', text)

    def test_decision_log_that_is_not_there(self):
        text, err = self.execute('--decision-log', '/nowhere/log')

        self.assertIn('There is no decision log /nowhere/log', err)
        self.assertIn('set <code>decision_log_file</code>', text)

    def test_cell_that_does_not_answer(self):
        os.unlink(os.path.join(self.path, 'cell2'))

        text, err = self.execute()

        self.assertIn('what it has is missing', err)
        self.assertRegex(text, 'class="note">cell cell2 .* cannot be read')

    def test_without_plotly(self):
        find = importlib.util.find_spec
        self.useFixture(fixtures.MockPatchObject(
            importlib.util, 'find_spec', autospec=True,
            side_effect=lambda name, package=None: None if name == 'plotly'
            else find(name, package)))

        status, err = self.execute()

        self.assertEqual(1, status)
        self.assertIn("pip install 'cache-aware-sched[report]'", err)

    def test_page_that_cannot_be_written(self):
        self.output = '/nowhere/page.html'

        self.assertEqual(
            (1, '/nowhere/page.html cannot be written: No such file or '
             'directory\n'), self.execute())

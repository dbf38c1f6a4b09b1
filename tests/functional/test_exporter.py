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

"""The exporter as a process, with a real Prometheus that asks it."""

import datetime
import importlib.util
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import unittest

import fixtures
from nova.db.api import models as api_models
import sqlalchemy as sa

from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched import report
from tests.functional import prometheus
from tests.unit import exported
from tests.unit import factories
from tests.unit import test_fleet_hosts
from tests.unit.test_fleet_hosts import NODES
from tests.unit.test_fleet_hosts import NOW
from tests.unit.test_fleet_hosts import reporting

ROOT = pathlib.Path(__file__).parents[2]
RULES = ROOT / 'etc/prometheus/image_caches.rules.yml'
DASHBOARD = ROOT / 'etc/grafana/image_caches.json'
DASHBOARD_TOOL = ROOT / 'tools/dashboard.py'

CELL_MAPPINGS = api_models.CellMapping.__table__
GIB = factories.GIB
FILES = tuple(report.BaseFile(report.image_sha1(image), 3 * GIB, users=2)
              for image in (factories.IMAGE, factories.OTHER_IMAGE))

COMMAND = (
    sys.executable, '-W', 'ignore', '-c',
    'import sys; from cache_aware_sched.cli import app; sys.exit(app.main())')


def queries():
    """Return every expression of the dashboard, by the panel's title."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [(panel['title'], target['expr'])
            for panel in dashboard['panels']
            for target in panel.get('targets', ())]


class ExporterProcessTestCase(test_fleet_hosts.FleetTestCase):
    """A cloud in SQLite, whose time is now, and an exporter of it."""

    def setUp(self):
        super().setUp()
        self.now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        self.log = os.path.join(self.path, 'decisions.log')
        self.conf = os.path.join(self.path, 'nova.conf')
        with open(self.conf, 'w') as file:
            file.write(f'[api_database]\nconnection = {self.url("api")}\n'
                       '[cache_aware_sched]\n'
                       'max_same_image_instances_per_host = 5\n')
        for host in ('a', 'b'):
            self.host(host, reporting(*FILES, caches=True, rate=128),
                      seconds=(NOW - self.now).total_seconds(),
                      last_seen_up=self.now + datetime.timedelta(hours=1))

    def report(self, name, *files):
        """Have a host report something else."""
        self.run_in(self.cells['cell1'], sa.update(NODES).where(
            NODES.c.host == name).values(stats=reporting(
                *files, caches=True, rate=128)))

    def boot(self, uuid, warm):
        """Have a server decided about, and booted."""
        now = datetime.datetime.now(datetime.UTC)
        with open(self.log, 'a') as file:
            file.write(record_mod.dump(exported.decision(
                uuid, warm, time=now)))
        now = now.replace(tzinfo=None)
        self.server(
            factories.IMAGE, uuid=uuid, created_at=now, updated_at=now,
            launched_at=now + datetime.timedelta(seconds=2 if warm else 50))

    def start(self, *argv):
        """Start the exporter; return its address."""
        address = f'127.0.0.1:{prometheus.free_port()}'
        process = subprocess.Popen(
            [*COMMAND, 'exporter', '--config-file', self.conf, '--listen',
             address, '--decision-log', self.log, '--cache-seconds', '0',
             *argv], stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        self.process = process
        prometheus.wait_until(
            lambda: process.poll() is not None
            or prometheus.get(f'http://{address}/metrics'), 'it listens')
        return address

    def end(self, process):
        process.terminate()
        _out, err = process.communicate(timeout=90)
        return process.returncode, err


class ProcessTests(ExporterProcessTestCase):

    def test_it_answers_until_it_is_ended(self):
        address = self.start()
        self.boot('s1', True)
        text = prometheus.get(f'http://{address}/metrics')
        status, err = self.end(self.process)

        self.assertIn('cache_aware_sched_boots_total{cache="warm"} 1.0', text)
        self.assertEqual(
            (0, f'Listening on http://{address}/metrics\n'), (status, err))

    def test_it_listens_to_notifications(self):
        self.run_in(self.api, sa.update(CELL_MAPPINGS).values(
            transport_url='fake:///'))
        address = self.start('--notifications')
        self.boot('s1', True)

        text = prometheus.get(f'http://{address}/metrics')

        # A host would tell.
        self.assertIn('cache_aware_sched_boots_total{cache="warm"} 0.0', text)
        self.assertEqual((0, f'Listening on http://{address}/metrics\n'),
                         self.end(self.process))

    def test_it_outlives_its_databases(self):
        address = self.start()
        os.unlink(os.path.join(self.path, 'api'))
        text = prometheus.get(f'http://{address}/metrics')
        _status, err = self.end(self.process)

        self.assertIn('cache_aware_sched_databases_up 0.0', text)
        self.assertIn('the API database at sqlite', err)
        self.assertNotIn('Traceback', err)


@prometheus.needs_prometheus
class PromtoolTests(ExporterProcessTestCase):

    def test_metrics(self):
        done = subprocess.run(
            [*COMMAND, 'exporter', '--config-file', self.conf, '--once'],
            capture_output=True, text=True, check=True)

        with open(os.path.join(self.path, 'metrics'), 'w+') as file:
            file.write(done.stdout)
            file.seek(0)
            self.assertEqual((0, ''), prometheus.promtool(
                'check', 'metrics', stdin=file))

    def test_rules(self):
        status, said = prometheus.promtool('check', 'rules', str(RULES))
        self.assertEqual(0, status, said)

    def test_cases_of_the_rules(self):
        cases = str(RULES).replace('.rules.', '.tests.')
        status, said = prometheus.promtool('test', 'rules', cases)

        self.assertEqual(0, status, said)
        text = pathlib.Path(cases).read_text()
        for line in RULES.read_text().splitlines():
            if 'alert:' in line:
                # Once where it fires, and once where it does not.
                self.assertLess(1, text.count(f': {line.split()[-1]}\n'),
                                line)


@prometheus.needs_prometheus
class DashboardTests(ExporterProcessTestCase):

    def setUp(self):
        super().setUp()
        address = self.start()
        self.server_ = prometheus.Prometheus(
            self.useFixture(fixtures.TempDir()).path, address, RULES)
        self.addCleanup(self.server_.close)
        self.scraped('cache_aware_sched_boots_total', 3)
        # What happens is to come after the first scrape.
        for number in range(6):
            self.boot(f's{number}', number % 3 != 0)
        self.report('b', FILES[0])
        self.scraped('cache_aware_sched_evictions_total > 0', 1)
        self.report('b', *FILES)
        self.scraped('cache_aware_sched_evictions_regretted_total > 0', 1)
        self.scraped('cache_aware_sched_boot_seconds_count > 0', 2)

    def scraped(self, expression, number):
        return prometheus.wait_until(
            lambda: len(self.server_.ask(expression)) == number
            and self.server_.ask(expression), expression)

    def value(self, expression):
        [(_labels, value)] = self.server_.ask(expression)
        return value

    def test_all_that_is_asked_of_it(self):
        """In one test, because it takes a while to come to something."""
        self.every_query_has_an_answer()
        self.figures_are_right()
        self.no_name_is_spelt_wrong()

    def every_query_has_an_answer(self):
        asked = queries()
        self.assertLess(40, len(asked))

        def answer(expr):
            return self.server_.ask(expr.replace('$cell', '.*').replace(
                '$__range', '1h'))

        # Once two samples are in the range.
        prometheus.wait_until(
            lambda: answer('increase(cache_aware_sched_boots_total[$__range]) '
                           '> 0'), 'an increase')
        empty = [(title, expr) for title, expr in asked
                 if not any(math.isfinite(value)
                            for _labels, value in answer(expr))]

        self.assertEqual([], empty)

    def figures_are_right(self):
        self.scraped('cache_aware_sched:boots_warm:ratio_increase1h > 0', 1)

        self.assertAlmostEqual(4 / 6, self.value(
            'cache_aware_sched:boots_warm:ratio_increase1h'), 2)
        self.assertEqual(4, self.value(
            'cache_aware_sched_boots_total{cache="warm"}'))
        self.assertEqual(
            [({'hostname': 'a'}, 6 * GIB), ({'hostname': 'b'}, 6 * GIB)],
            sorted(self.server_.ask(
                'sum by (hostname) (cache_aware_sched_host_image_bytes)'),
                key=str))

    def no_name_is_spelt_wrong(self):
        """That would be an alert that never fires."""
        there = {labels['__name__'] for labels, _value in self.server_.ask(
            '{__name__=~"cache_aware_sched_.*"}')}
        text = RULES.read_text() + ' '.join(expr for _title, expr in queries())
        used = set(re.findall(r'\bcache_aware_sched_\w+', text))

        self.assertEqual(set(), used - there)


class DashboardFileTests(unittest.TestCase):

    @unittest.skipUnless(
        importlib.util.find_spec('grafana_foundation_sdk'),
        'no grafana-foundation-sdk, which makes the dashboard')
    def test_file_is_what_the_script_makes(self):
        made = subprocess.run(
            [sys.executable, DASHBOARD_TOOL], capture_output=True, text=True,
            check=True).stdout

        self.assertEqual(
            made, DASHBOARD.read_text(), 'run tools/dashboard.py > '
            'etc/grafana/image_caches.json')

    def test_no_share_is_wrong_below_a_boot_a_second(self):
        for _title, expr in queries():
            self.assertNotIn(' rate(', f' {expr}')
            self.assertNotRegex(expr, r'clamp_min\([^)]*_total')

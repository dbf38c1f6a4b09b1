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

"""Tests of what the exporter tells of the state of a cloud."""

import os
import pathlib
import re
import threading

import fixtures
from nova.db.api import models as api_models
import sqlalchemy as sa

from cache_aware_sched.exporter import gauges
from cache_aware_sched import nova_databases
from cache_aware_sched import report
from tests.unit import exported
from tests.unit import factories
from tests.unit.test_fleet_hosts import reporting

GIB = factories.GIB
SHA1 = report.image_sha1(factories.IMAGE)
OTHER_SHA1 = report.image_sha1(factories.OTHER_IMAGE)
Kind = report.FileKind


class HostGaugeTests(exported.ExporterTestCase):

    def test_what_a_host_reports(self):
        self.host('a', reporting(
            report.BaseFile('1' * 40, 3 * GIB, users=2),
            report.BaseFile('2' * 40, GIB),
            report.BaseFile('3' * 40, 0, Kind.ARRIVING), caches=True,
            rate=128, facts=report.HostFacts(
                critical=3, critical_missing=2)),
            node='a.example.org', seconds=40)
        self.make_exporter()

        for name, value in (
                ('host_images', 3), ('host_image_bytes', 4 * GIB),
                ('host_images_in_use', 1), ('host_images_arriving', 1),
                ('host_report_truncated', 0), ('host_up', 1),
                ('host_critical_images', 3),
                ('host_critical_images_missing', 2),
                ('host_fetch_bytes_per_second', 128_000_000),
                ('host_report_age_seconds', 40)):
            self.assertEqual({('a.example.org', 'cell1'): value}, self.values(
                name, 'hostname', 'cell'), name)

    def test_hosts_by_what_their_reports_are(self):
        many = [report.BaseFile(f'{number:04x}' * 10, GIB)
                for number in range(5000)]
        self.host('truncated', reporting(*many))
        self.host('complete', reporting())
        self.host('uncached', reporting(caches=False))
        self.host('stale', reporting(), forced_down=True)
        self.host('gone', reporting(), service=False)
        self.host('disabled', reporting(), disabled=True)
        self.host('none', '{}')
        self.host('unreadable', '{')
        self.make_exporter()

        numbers = self.values('hosts', 'cell', 'state')

        self.assertEqual(
            {'none': 1, 'unreadable': 1, 'stale': 2, 'uncached': 1,
             'truncated': 1, 'complete': 2},
            {state: numbers['cell1', state] for state in gauges.STATES})
        self.assertEqual(0, sum(numbers['cell2', state]
                                for state in gauges.STATES))

    def test_each_series_is_there_once(self):
        """Prometheus takes nothing of a scrape in which one is there twice."""
        self.run_in(self.api, sa.update(
            api_models.CellMapping.__table__).values(name='cell'))
        self.host('old', reporting(), node='node', seconds=9 ** 9,
                  forced_down=True)
        self.host('new', reporting(report.BaseFile(SHA1, GIB)), node='node')
        self.host('new', reporting(), node='node', cell='cell2')
        self.make_exporter()

        series = [line.rpartition(' ')[0] for line in
                  self.scrape().splitlines() if not line.startswith('#')]

        self.assertEqual(len(set(series)), len(series))
        self.assertEqual(1, self.values('host_images', 'cell')[factories.CELL])

    def test_host_without_a_report_has_no_values(self):
        self.host('a', '{}')
        self.make_exporter()

        self.assertEqual({}, self.values('host_images', 'hostname'))
        self.assertEqual({'a': 1}, self.values('host_up', 'hostname'))


class ImageGaugeTests(exported.ExporterTestCase):

    def test_image(self):
        self.set(max_same_image_instances_per_host=3)
        self.host('a', reporting(report.BaseFile(SHA1, 3 * GIB)))
        self.host('b', reporting(report.BaseFile(SHA1, 0, Kind.ARRIVING)))
        self.host('c', reporting())
        for number in range(4):
            self.create(f's{number}', host='a' if number else 'b')
        self.create('gone', deleted=7)
        self.make_exporter()

        for name, value in (
                ('image_copies', 1), ('image_copies_arriving', 1),
                ('image_copies_wanted', 3), ('image_servers', 4),
                ('image_servers_most_on_host', 3), ('image_recent_boots', 5),
                ('image_bytes', 3 * GIB), ('image_hosts_at_cap', 1),
                ('image_cap_headroom', 0)):
            found = self.values(name, 'image')
            self.assertEqual(value, found[factories.IMAGE], name)
        self.assertEqual({(): 3}, self.values(
            'same_image_servers_most_on_host'))
        self.assertEqual({(): 3}, self.values('same_image_cap'))

    def test_host_that_is_down_is_not_at_the_cap(self):
        self.set(max_same_image_instances_per_host=1)
        self.host('a', reporting(), forced_down=True)
        self.host('b', reporting())
        self.server(factories.IMAGE, host='a')
        self.make_exporter()

        self.assertEqual(0, self.values(
            'image_hosts_at_cap', 'image')[factories.IMAGE])

    def test_all_but_the_most_booted_are_summed_up(self):
        self.host('a', reporting(*(
            report.BaseFile(f'{number:02x}' * 20, GIB)
            for number in range(50))))
        for number in range(5):
            for _time in range(number):
                self.create(factories.new_uuid(), image=f'image{number}')
        self.make_exporter(top_images=2)

        for name, values in (('image_recent_boots', [4, 3, 3]),
                             ('image_copies', [0, 0, 50]),
                             ('image_servers_most_on_host', [4, 3, 2])):
            found = self.values(name, 'image')
            self.assertEqual(
                values, [found[key] for key in ('image4', 'image3', 'other')])
            self.assertEqual(3, len(found))
        self.assertEqual({(): 54}, self.values('images'))

    def test_number_of_series_does_not_grow_with_images(self):
        self.make_exporter(top_images=5)
        for number in range(100):
            self.create(factories.new_uuid(), image=f'image{number}')

        self.assertLess(self.scrape().count('image='), 70)

    def test_image_whose_servers_are_gone_keeps_its_id(self):
        self.host('a', reporting(report.BaseFile(SHA1, GIB)))
        self.create('s', deleted=7)
        self.make_exporter()

        self.assertEqual(1, self.values('image_copies', 'image')[
            factories.IMAGE])


class DocumentationTests(exported.ExporterTestCase):

    def test_page_names_every_metric_and_no_other(self):
        self.host('a', reporting(report.BaseFile(SHA1, GIB)))
        self.make_exporter()
        page = pathlib.Path(__file__).parents[2].joinpath(
            'doc/source/admin/monitoring.rst').read_text()
        table = page.partition('\nMetrics\n')[2].partition(
            '\nCopies wanted\n')[0]

        self.assertEqual(
            set(re.findall(r'^# HELP cache_aware_sched_(\w+)', self.scrape(),
                           re.MULTILINE)),
            set(re.findall(r'^   \* - ``(\w+)``', table, re.MULTILINE)))


class FailureTests(exported.ExporterTestCase):

    def test_cell_that_does_not_answer(self):
        self.host('a', reporting())
        self.host('b', reporting(), cell='cell2')
        os.unlink(os.path.join(self.path, 'cell2'))
        self.make_exporter()

        self.assertEqual({'cell1': 1, 'cell2': 0},
                         self.values('cell_up', 'cell'))
        self.assertEqual(['a'], list(self.values('host_images', 'hostname')))
        [warning] = self.warnings()
        self.assertIn('cell2', warning)

    def test_it_is_said_once_and_again_when_it_was_over(self):
        path = os.path.join(self.path, 'cell2')
        self.make_exporter()
        for _round in range(2):
            os.rename(path, path + '.away')
            self.scrape()
            self.scrape()
            os.rename(path + '.away', path)
            self.assertEqual(1, self.values('cell_up', 'cell')['cell2'])

        self.assertEqual(2, len(self.warnings()))

    def test_api_database_that_does_not_answer(self):
        """The counters are told nevertheless."""
        self.host('a', reporting())
        self.make_exporter()
        self.assertEqual({(): 1}, self.values('databases_up'))
        os.unlink(os.path.join(self.path, 'api'))
        self.decide(exported.decision())

        self.assertEqual({(): 0}, self.values('databases_up'))
        self.assertEqual({}, self.values('host_images', 'hostname'))
        self.assertEqual(1, self.values('boots_total', 'cache')['warm'])

    def test_error_that_nobody_thought_of(self):
        self.make_exporter()
        self.exporter._reader.read = lambda now: 1 / 0

        self.assertEqual({(): 0}, self.values('databases_up'))
        self.assertIn('division by zero', self.warnings()[0])

    def test_figures_that_cannot_be_made(self):
        self.host('a', reporting())
        self.make_exporter()
        self.scrape()
        self.useFixture(fixtures.MockPatchObject(
            gauges, 'of_reading', side_effect=ZeroDivisionError))
        self.wait(hours=1)

        self.assertEqual({(): 0}, self.values('databases_up'))
        self.assertEqual({}, self.values('host_up', 'hostname'))

    def test_databases_are_not_read_at_each_scrape(self):
        self.make_exporter(cache_seconds=30.0)
        self.scrape()
        self.host('a', reporting())

        self.wait(seconds=29)
        self.assertEqual({}, self.values('host_up', 'hostname'))
        self.wait(seconds=1)
        self.assertEqual({'a': 1}, self.values('host_up', 'hostname'))

    def test_clock_that_is_set_back(self):
        self.make_exporter(cache_seconds=60.0)
        self.scrape()
        self.host('a', reporting())

        self.wait(days=-1)

        self.assertEqual({'a': 1}, self.values('host_up', 'hostname'))

    def test_database_that_hangs(self):
        self.host('a', reporting())
        self.make_exporter()
        self.scrape()
        goes_on = threading.Event()
        read = self.exporter._reader.read

        def reads_slowly(now):
            goes_on.wait(60)
            return read(now)

        self.exporter._reader.read = reads_slowly
        self.useFixture(fixtures.MonkeyPatch(
            'cache_aware_sched.exporter.exporting.PATIENCE', 0.01))
        self.addCleanup(goes_on.set)

        # So far it may be slow.
        self.assertEqual({(): 1}, self.values('databases_up'))
        self.assertEqual({'a': 1}, self.values('host_up', 'hostname'))

        self.useFixture(fixtures.MonkeyPatch(
            'cache_aware_sched.exporter.exporting.HANGS', 0))
        self.assertEqual({(): 0}, self.values('databases_up'))
        self.assertEqual({'a': 1}, self.values('host_up', 'hostname'))

        goes_on.set()
        self.exporter._thread.join()
        self.useFixture(fixtures.MonkeyPatch(
            'cache_aware_sched.exporter.exporting.PATIENCE', 60))
        self.assertEqual({(): 1}, self.values('databases_up'))

    def test_cell_that_comes_later(self):
        mappings = api_models.CellMapping.__table__
        self.run_in(self.api, sa.delete(mappings).where(
            mappings.c.name == 'cell2'))
        self.host('b', reporting(), cell='cell2')
        self.make_exporter()
        self.assertEqual({}, self.values('host_up', 'hostname'))
        _api, [kept] = self.databases()

        self.map_cell('cell2', factories.OTHER_CELL, self.url('cell2'))

        self.assertEqual({'b': 1}, self.values('host_up', 'hostname'))
        # The connections to the other cell are not made anew.
        self.assertIs(kept, self.databases()[1][0])

    def test_three_statements_a_cell(self):
        statements = []
        select = nova_databases.Database.select

        def selected(database, statement):
            statements.append(database.cell)
            return select(database, statement)

        self.make_exporter()
        self.scrape()
        self.patch_select(selected)
        for number in range(20):
            self.host(f'host{number}', reporting(report.BaseFile(SHA1, GIB)))
            self.create(f'server{number}')
        self.scrape()

        self.assertEqual({'cell1': 3, 'cell2': 3, '': 4}, {
            cell: statements.count(cell) for cell in set(statements)})

    def patch_select(self, selected):
        select = nova_databases.Database.select
        nova_databases.Database.select = selected
        self.addCleanup(setattr, nova_databases.Database, 'select', select)


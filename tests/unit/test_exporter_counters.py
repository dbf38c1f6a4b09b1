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

"""Tests of what the exporter counts."""

import datetime

from cache_aware_sched import report
from tests.unit import exported
from tests.unit.exported import decision
from tests.unit import factories
from tests.unit.test_fleet_hosts import NODES
from tests.unit.test_fleet_hosts import reporting

GIB = factories.GIB
SHA1 = report.image_sha1(factories.IMAGE)
FILE = report.BaseFile(SHA1, GIB)


class CounterTests(exported.ExporterTestCase):

    def test_all_series_are_there_from_the_start(self):
        """So that increase() sees the first event."""
        self.make_exporter()

        self.assertEqual({'warm': 0, 'cold': 0, 'unknown': 0},
                         self.values('boots_total', 'cache'))
        self.assertEqual({'warm': 0, 'cold': 0, 'unknown': 0},
                         self.values('boot_seconds_count', 'cache'))
        self.assertEqual({'enforced': 0, 'observed': 0},
                         self.values('fetch_saved_bytes_total', 'mode'))
        self.assertEqual({'not_told': 0},
                         self.values('evictions_total', 'reason'))

    def test_decisions(self):
        self.make_exporter()
        self.decide(
            decision('warm'), decision('cold', warm=False, cached='b'),
            decision('moved', move=True),
            decision('refused', outcome='refused', winner='', hosts=()))

        self.assertEqual({'warm': 1, 'cold': 1, 'unknown': 0},
                         self.values('boots_total', 'cache'))
        self.assertEqual({(): 1}, self.values('boots_refused_total'))

    def test_decisions_before_the_start(self):
        """A counter that began with them would seem to have jumped."""
        self.decide(decision())
        self.make_exporter()

        self.assertEqual(0, self.values('boots_total', 'cache')['warm'])

    def test_each_server_boots_once(self):
        self.make_exporter()
        self.decide(decision('s'), decision('s'))
        self.scrape()
        self.decide(decision('s'))

        self.assertEqual(1, self.values('boots_total', 'cache')['warm'])

    def test_moves_fetch_too(self):
        self.make_exporter()
        self.decide(decision('moved', move=True))

        self.assertEqual(
            12.5, self.values('fetch_saved_seconds_total', 'mode')['enforced'])

    def test_savings(self):
        self.make_exporter()
        self.decide(
            decision('1'), decision('2'),
            decision('3', observed=True),
            decision('4', stock='a'),
            # Where stock nova would have found the image.
            decision('5', cached='b', stock='a', winner='b'))

        self.assertEqual({'enforced': 25, 'observed': 12.5}, self.values(
            'fetch_saved_seconds_total', 'mode'))
        self.assertEqual({'enforced': 6 * GIB, 'observed': 3 * GIB},
                         self.values('fetch_saved_bytes_total', 'mode'))
        self.assertEqual({'enforced': 12.5, 'observed': 0}, self.values(
            'fetch_added_seconds_total', 'mode'))

    def test_bad_lines(self):
        self.make_exporter()
        with open(self.log_path, 'w') as file:
            file.write('{\n')

        self.assertEqual({(): 1}, self.values('decision_log_bad_lines_total'))


class BootSecondsTests(exported.ExporterTestCase):

    def count(self):
        return {how: number for how, number in self.values(
            'boot_seconds_count', 'cache').items() if number}

    def test_warm_and_cold(self):
        self.make_exporter()
        self.decide(decision('w'), decision('c', warm=False))
        self.create('w', 2)
        self.create('c', 90)

        self.assertEqual({'warm': 1, 'cold': 1}, self.count())
        self.assertEqual({'warm': 2, 'cold': 90, 'unknown': 0},
                         self.values('boot_seconds_sum', 'cache'))

    def test_server_that_went_elsewhere(self):
        """To an alternate host, which did not hold the image."""
        self.make_exporter()
        self.decide(decision('s'))
        self.create('s', 90, host='b')

        self.assertEqual({'cold': 1}, self.count())

    def test_server_of_before_the_start(self):
        self.create('s', 3600)
        self.wait(seconds=1)
        self.make_exporter()
        self.decide(decision('s'))

        self.assertEqual({}, self.count())

    def test_once(self):
        """It is launched again when it is resized."""
        self.make_exporter()
        self.decide(decision('s'))
        self.create('s', 3)
        self.assertEqual({'warm': 1}, self.count())
        self.wait(minutes=1)

        self.assertEqual({'warm': 1}, self.count())

    def test_nobody_tells_how_it_booted(self):
        self.make_exporter()
        self.create('s', 3)

        self.assertEqual({}, self.count())
        self.wait(minutes=11)
        self.assertEqual({'unknown': 1}, self.count())

    def test_it_is_told_late(self):
        self.make_exporter()
        self.create('s', 3)
        self.scrape()
        self.wait(minutes=5)
        self.decide(decision('s'))

        self.scrape()
        self.assertEqual({'warm': 1}, self.count())


class EvictionTests(exported.ExporterTestCase):

    def report(self, *files, **how):
        self.run_in(self.cells['cell1'], NODES.delete())
        self.host('a', reporting(*files, **how), service=False)

    def evictions(self):
        self.scrape()
        return (self.values('evictions_total', 'reason'),
                self.values('evictions_regretted_total')[()])

    def test_file_that_is_reported_no_more(self):
        self.make_exporter(regret_hours=2.0)
        self.report(FILE)
        self.assertEqual(({'not_told': 0}, 0), self.evictions())
        self.report()
        self.assertEqual(({'not_told': 1}, 0), self.evictions())
        self.assertEqual({'not_told': GIB}, self.values(
            'evicted_bytes_total', 'reason'))

    def test_regret(self):
        self.make_exporter(regret_hours=2.0)
        for hours in (1, 3):
            self.report(FILE)
            self.evictions()
            self.report()
            self.evictions()
            self.wait(hours=hours)
        self.report(FILE)

        self.assertEqual(({'not_told': 2}, 1), self.evictions())
        self.assertEqual({(): 2}, self.values('fetches_total'))

    def test_report_that_cannot_be_read_tells_nothing(self):
        self.make_exporter()
        self.report(FILE)
        self.evictions()
        self.run_in(self.cells['cell1'], NODES.update().values(stats='{'))
        self.evictions()
        self.report(FILE)

        self.assertEqual(({'not_told': 0}, 0), self.evictions())

    def test_only_some_reasons_have_a_series(self):
        counters = self.make_exporter().counters
        for number in range(100):
            counters.evicted('a', '', GIB, f'reason{number}',
                             datetime.datetime.min)

        found, _regretted = self.evictions()
        self.assertEqual((22, 80), (len(found), found['other']))

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


import datetime
import os
import tempfile

from cache_aware_sched.decision_log import record
from cache_aware_sched import report
from tests.unit import factories
from tests.unit import test_cli_check
from tests.unit.test_decision_summary import boot
from tests.unit.test_fleet_hosts import reporting

GIB = factories.GIB
FACTS = report.HostFacts(manager='lru', asks_for_cap=True,
                         cap=report.ReportedCap(10, 0.0, 'hard', 'all'))


class TestStatus(test_cli_check.CheckCommandTestCase):

    NOUN = 'status'

    def test_one_screen(self):
        self.host('a', reporting(
            report.BaseFile('1' * 40, 3 * GIB),
            report.BaseFile('2' * 40, GIB), facts=FACTS))
        self.host('b', reporting(
            report.BaseFile('2' * 40, GIB), facts=FACTS))
        self.host('c')
        self.host('d', reporting(facts=FACTS))

        shown = self.read_json()

        self.assertEqual('3 of 4 hosts report.', shown['hosts'])
        self.assertIn('Not reporting: c (', shown['not_reporting'])
        self.assertEqual('2 images, 3 files on 2 of 3 reporting hosts, '
                         '5 GiB',
                         shown['caches'])
        self.assertEqual('3 lru', shown['managers'])
        self.assertEqual('enforce, multiplier 5', shown['weigher'])
        self.assertEqual('10 servers, hard, scope all', shown['cap'])
        self.assertEqual('', shown['other_caps'])

    def test_last_day(self):
        self.host('a', reporting(facts=FACTS))
        path = os.path.join(
            self.enterContext(tempfile.TemporaryDirectory()), 'log')
        with open(path, 'w', encoding='utf-8') as file:
            now = datetime.datetime.now(datetime.UTC)
            for time in (now, now - datetime.timedelta(hours=25)):
                file.write(record.dump(boot(time=time)))

        self.assertIn('1 of 1 server went to a host that held the image',
                      self.read_json('--decision-log', path)['last_day'])

    def test_last_day_without_a_decision_log(self):
        self.host('a', reporting(facts=FACTS))

        self.assertIn('not known: decision_log_file is not set',
                      self.read_json()['last_day'])

    def test_caps_that_differ(self):
        self.set(max_same_image_instances_per_host=20)
        self.host('a', reporting(facts=FACTS))
        self.host('b', reporting(facts=FACTS))
        self.host('c', reporting(facts=report.HostFacts(asks_for_cap=False)))
        self.host('d', reporting())

        self.assertEqual([
            '10 servers, hard, scope all, late check: a, b',
            'none asked for, so no late check: c',
        ], self.read_json()['other_caps'].splitlines())

    def test_aggregates_that_set_something_else(self):
        self.host('a', reporting(facts=FACTS))
        self.aggregate('friday', 'a', image_cache_weight_multiplier='1')
        self.aggregate('gold', 'a', max_same_image_instances_per_host='3',
                       max_same_image_share_per_host='0.5')

        shown = self.read_json()

        self.assertEqual('enforce, multiplier 5; of aggregates: friday 1',
                         shown['weigher'])
        self.assertEqual('10 servers, hard, scope all; of aggregates: gold 3; '
                         'share of aggregates: gold 0.5', shown['cap'])

    def test_policy_without_a_late_check(self):
        self.host('a', reporting(facts=report.HostFacts(asks_for_cap=False)))
        self.host('b', reporting(facts=FACTS))
        for policy in ('soft', 'observe'):
            self.set(same_image_cap_policy=policy)

            shown = self.read_json()

            self.assertEqual(f'10 servers, {policy}, scope all', shown['cap'])
            self.assertEqual('10 servers, hard, scope all, late check: b',
                             shown['other_caps'])

    def test_cell_that_does_not_answer(self):
        self.host('a', reporting())
        os.unlink(os.path.join(self.path, 'cell2'))

        shown = self.read_json()

        self.assertEqual('cell2', shown['cells_not_read'])
        self.assertEqual('1 of 1 host reports.', shown['hosts'])

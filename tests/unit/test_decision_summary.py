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


"""Tests of what the decision log is added up to."""

import dataclasses

from cache_aware_sched.decision_log import summary
from tests.unit import base
from tests.unit.test_decision_log import decision
from tests.unit.test_explanation import cold
from tests.unit.test_explanation import warm

GB = 10 ** 9


def boot(went='warm', stock='cold', **fields):
    return decision(**{
        'winner': went, 'cached': went, 'stock': stock,
        'hosts': (warm(aggregates=('ssd', 'east')), cold()), 'seconds': 10.0,
        'size': 2 * GB, **fields})


def of_servers(*records):
    """Return decisions that are each about a server of its own."""
    return [dataclasses.replace(record, server=f's{number}')
            for number, record in enumerate(records)]


class SummaryTests(base.TestCase):

    def total(self, *records):
        return summary.summary(of_servers(*records), 'image')[0]

    def test_what_is_saved(self):
        total = self.total(boot(), boot(), boot('cold'), boot('warm', 'warm'))

        self.assertEqual((4, 3, 1, 20.0, 4 * GB), (
            total.boots, total.warm, total.stock_warm, total.seconds,
            total.size))

    def test_a_fetch_more_is_counted_against_it(self):
        self.assertEqual(-10.0, self.total(boot('cold', 'warm')).seconds)

    def test_server_boots_once(self):
        total, _named = summary.summary([
            boot('cold', move=True, server='a'), boot(server='a'),
            boot('cold', server='a'), boot(server='b', move=True),
            boot(outcome='refused', winner='', server='c'),
            boot(server='c')], 'image')

        self.assertEqual((2, 3, 2, 0, 30.0, 1), (
            total.boots, total.moves, total.warm, total.stock_warm,
            total.seconds, total.refused))
        self.assertEqual(1, total.share)
        self.assertIn('2 of 2 servers went to a host that held the image',
                      summary.sentence(total))
        self.assertIn('That counts 3 moves, too.', summary.sentence(total))

    def test_moves_alone(self):
        total = self.total(boot(move=True))

        self.assertIsNone(total.share)
        self.assertIn('That saved 10 s', summary.sentence(total))

    def test_observed(self):
        total = self.total(boot('cold', 'cold', cached='warm', observed=True))

        self.assertEqual((0, 1, 10.0), (
            total.warm, total.observed, total.seconds))
        self.assertIn('Counted and not only observed, the image cache would '
                      'have saved 10 s', summary.sentence(total))

    def test_observed_and_enforced(self):
        total = self.total(
            boot(), boot('warm', 'warm', cached='warm'),
            boot('cold', 'cold', cached='warm', observed=True, seconds=7.0))

        self.assertEqual(
            '2 of 3 servers went to a host that held the image, instead of 1 '
            'without the image cache counted. That saved 10 s and 2.0 GB of '
            'fetches. Counted, too, where it was only observed (1 decision), '
            'the image cache would have saved 7 s and 2.0 GB of fetches.',
            summary.sentence(total))

    def test_refused(self):
        total = self.total(boot(outcome='refused', winner=''))

        self.assertEqual((0, 1), (total.boots, total.refused))
        self.assertIn('the cap refused 1', summary.sentence(total))

    def test_by(self):
        records = [boot(image='a', project='p'), boot(image='b'),
                   boot('cold', move=True)]
        for by, names in (
                ('image', {'a', 'b', 'i1'}), ('project', {'p', ''}),
                ('aggregate', {'ssd', 'east', summary.NO_AGGREGATE}),
                ('host', {'warm', 'cold'})):
            self.assertEqual(names, summary.summary(
                records, by)[1].keys(), by)

    def test_sentence(self):
        said = summary.sentence(self.total(*[boot()] * 800, boot('cold')))

        self.assertEqual(
            '800 of 801 servers went to a host that held the image, instead '
            'of 0 without the image cache counted. That saved 2.2 h and '
            '1,600.0 GB of fetches.', said)

    def test_nothing(self):
        self.assertEqual('No decision.', summary.sentence(self.total()))

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

from unittest import mock

from cache_aware_sched.report import Holding
from cache_aware_sched.scheduler import scoring
from tests.demo import reasons
from tests.demo import summary
from tests.demo import workload
from tests.unit import base

BIG = workload.Image('big', 20 * workload.GB)
SMALL = workload.Image('small', workload.GB)
FLAVOR = workload.Flavor('f', 2, 2048)


def step(*names, image=BIG, deletes=()):
    return workload.Step(tuple(
        workload.Request(name, image, FLAVOR) for name in names), deletes)


def work(*steps, cached=()):
    return workload.Workload(
        ('node1', 'node2'), (BIG, SMALL),
        {'node1': frozenset(cached), 'node2': frozenset()}, steps)


def figures(fetched=0, peak=1, failed=0, imbalance=0.1):
    return summary.Summary(
        placed=10, failed=failed, from_cache=5, fetched=fetched,
        peak=summary.Peak(peak, 'big', 'node1'), imbalance=imbalance)


class WorkloadTests(base.TestCase):

    def test_a_seed_always_makes_the_same(self):
        self.assertEqual(workload.make(48, 1), workload.make(48, 1))

    def test_another_seed_makes_another(self):
        self.assertNotEqual(workload.make(48, 1), workload.make(48, 2))

    def test_it_boots_as_many_servers_as_wanted(self):
        for number in (1, 2, 3, 48, 200):
            made = workload.make(number, 1)

            self.assertEqual(number, made.number)
            self.assertEqual(number, len(summary.requests_by_server(made)))

    def test_it_has_all_that_clouds_have(self):
        made = workload.make(48, 1)

        self.assertTrue(any(r.number > 1 for r in made.requests))
        self.assertTrue(any(len(s.requests) > 1 for s in made.steps))
        self.assertTrue(any(s.deletes for s in made.steps))

    def test_only_servers_of_earlier_steps_are_deleted_once(self):
        alive = set()
        for one in workload.make(200, 1).steps:
            for name in one.deletes:
                alive.remove(name)
            alive.update(name for request in one.requests
                         for name in request.servers)

    def test_popularity_falls(self):
        asked = [request.image for request in workload.make(200, 1).requests]

        self.assertGreater(asked.count(workload.IMAGES[0]),
                           asked.count(workload.IMAGES[3]))

    def test_servers_of_a_multi_create_are_numbered_as_nova_does(self):
        request = workload.Request('vm', BIG, FLAVOR, 2)

        self.assertEqual(('vm-1', 'vm-2'), request.servers)


class SummaryTests(base.TestCase):

    def test_hits_and_bytes(self):
        made = work(step('a', 'b', 'c'), step('d', image=SMALL))
        boots = {'a': summary.Boot('node1', fetched=True),
                 'b': summary.Boot('node1', fetched=False),
                 'c': summary.Boot(None, fetched=False),
                 'd': summary.Boot('node2', fetched=True)}

        result = summary.summarise(made, boots)

        self.assertEqual((3, 1, 1, 21 * workload.GB), (
            result.placed, result.failed, result.from_cache, result.fetched))

    def test_the_peak_counts_servers_that_are_deleted_later(self):
        made = work(step('a', 'b'), step('c', deletes=('a', 'b')))
        boots = dict.fromkeys('abc', summary.Boot('node2', fetched=False))

        self.assertEqual(summary.Peak(3, 'big', 'node2'),
                         summary.summarise(made, boots).peak)
        self.assertEqual(1, summary.running(made, boots)['node2', 'big'])

    def test_the_peak_is_of_one_host_and_image(self):
        made = work(step('a', 'b'), step('c', image=SMALL))
        boots = {'a': summary.Boot('node1', fetched=False),
                 'b': summary.Boot('node2', fetched=False),
                 'c': summary.Boot('node1', fetched=False)}

        self.assertEqual(1, summary.summarise(made, boots).peak.servers)

    def test_imbalance(self):
        made = work(step('a', 'b'))
        apart = {'a': summary.Boot('node1', fetched=False),
                 'b': summary.Boot('node2', fetched=False)}
        together = dict.fromkeys('ab', summary.Boot('node1', fetched=False))

        self.assertEqual(0, summary.summarise(made, apart).imbalance)
        self.assertEqual(1, summary.summarise(made, together).imbalance)

    def test_nothing_booted(self):
        result = summary.summarise(work(), {})

        self.assertEqual((0, 0, 0.0), (
            result.placed, result.peak.servers, result.imbalance))

    def test_what_hosts_hold(self):
        made = work(step('a'), cached=[SMALL])

        self.assertEqual(
            {'node1': {'small'}, 'node2': {'big'}}, summary.holding(
                made, {'a': summary.Boot('node2', fetched=True)}))


class VerdictTests(base.TestCase):

    def test_good(self):
        result = summary.verdict(
            figures(fetched=100 * workload.GB, peak=9),
            figures(fetched=25 * workload.GB, peak=6), cap=6)

        self.assertTrue(result.good)
        self.assertEqual('', result.price)
        self.assertIn('75 GB (75%) less', result.reasons[0][1])

    def test_price(self):
        result = summary.verdict(
            figures(fetched=10, imbalance=0.07),
            figures(fetched=5, imbalance=0.18), cap=6)

        self.assertTrue(result.good)
        self.assertIn('0.18 and not 0.07', result.price)

    def test_as_much_is_not_less(self):
        self.assertFalse(summary.verdict(
            figures(fetched=10), figures(fetched=10), cap=6).good)

    def test_more_is_not_less(self):
        result = summary.verdict(
            figures(), figures(fetched=workload.GB), cap=6)

        self.assertFalse(result.good)
        self.assertIn('more than stock nova', result.reasons[0][1])

    def test_the_cap_must_be_kept(self):
        self.assertFalse(summary.verdict(
            figures(fetched=10), figures(peak=7), cap=6).good)

    def test_no_server_may_be_refused_for_it(self):
        self.assertFalse(summary.verdict(
            figures(fetched=10), figures(failed=1), cap=6).good)


class TestReasons(base.TestCase):

    def score(self, host, **parts):
        candidate = mock.Mock(spec=('host',))
        candidate.host = host
        return scoring.Score(candidate, Holding.WARM, 1.0, 1.0, **parts)

    def test_no_host(self):
        self.assertEqual('no host was left', reasons.why(None, {}, 1))

    def test_small_image(self):
        self.assertEqual('image too small to matter',
                         reasons.why('a', None, 0))

    def test_host_that_has_it(self):
        self.assertEqual('its image is here', reasons.why(
            'a', {'a': self.score('a')}, 2))

    def test_nobody_has_it(self):
        self.assertEqual('its image is nowhere', reasons.why('a', {}, 0))

    def test_all_that_have_it_are_at_the_cap(self):
        """The filter has left them out, so the weigher saw none of them."""
        self.assertEqual('all 2 that have it are full',
                         reasons.why('a', {}, 2))

    def test_what_speaks_against_the_host_that_has_it(self):
        for parts, words in (
                ({'headroom': 0.2, 'gate': 0.5}, 'near cap'),
                ({'headroom': 0.7, 'gate': 0.5}, 'busier'), ({}, 'small')):
            self.assertIn(words, reasons.why(
                'a', {'b': self.score('b', **parts)}, 0))

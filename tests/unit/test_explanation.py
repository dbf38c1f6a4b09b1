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


"""Tests of explanations: what is said of a decision."""

import dataclasses
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.explain import explanation as explanation_mod
from cache_aware_sched.explain import past
from cache_aware_sched.explain import text
from cache_aware_sched.explain import why_not
from tests.unit import base
from tests.unit import test_decision_log
from tests.unit.test_decision_log import decision


def warm(name='warm', before=1.0, gate=1.0, headroom=1.0, multiplier=5.0,
         **fields):
    """Return a host that holds the image."""
    return record_mod.DecidedHost(
        name, name, 'warm', before=before, benefit=1.0, holds=0.95,
        headroom=headroom, gate=gate, weight=0.95 * headroom * gate,
        multiplier=multiplier, **{'cap': 10, **fields})


def cold(name='cold', before=2.0, multiplier=5.0, **fields):
    return record_mod.DecidedHost(
        name, name, 'cold', before=before, multiplier=multiplier,
        **{'cap': 10, **fields})


def explanation(*hosts, winner=None, refused=(), all_hosts=0, shares=None,
                stock='', busy=None, notes=(), **fields):
    winner = hosts[0].host if winner is None and hosts else winner or ''
    return explanation_mod.Explanation(
        decision(**{'hosts': hosts, 'winner': winner, 'cached': winner,
                    'candidates': len(hosts), 'seconds': 12.1, **fields}),
        all_hosts, tuple(refused), shares or {}, stock, busy or {}, notes)


def refused(by, reason, *hosts):
    return explanation_mod.HostsRefused(by, reason, hosts)


class SentencesTests(base.TestCase):

    def test_totals_are_a_sorted_histogram(self):
        found = explanation(all_hosts=6, outcome='refused', refused=[
            refused('placement', 'disabled', 'a', 'b'),
            refused('ImageAntiAffinityFilter', 'at the cap of 10', 'c', 'd',
                    'e'),
            refused('NUMATopologyFilter', '', 'f')])

        self.assertEqual(
            '0 of 6 hosts can take the server: 3 at the cap of 10, 2 '
            'disabled, 1 refused by NUMATopologyFilter.',
            explanation_mod.totals(found))

    def test_totals_of_the_decision_log(self):
        self.assertEqual(
            '1 of 4 hosts can take the server: 3 at the cap.',
            explanation_mod.totals(explanation(warm(), full=3)))
        self.assertEqual(
            '0 of 7 hosts can take the server: 7 at the cap.',
            explanation_mod.totals(explanation(
                outcome='refused', candidates=7, full=7)))

    def test_winner_that_holds_the_image(self):
        found = explanation(warm(), cold(), busy={
            'warm': 0.515, 'cold': 0.485})

        self.assertEqual(
            'warm wins by 3.75: it holds the image, which saves a fetch of '
            '12.1 s, and it is 3% busier than the average.',
            explanation_mod.verdict(found))

    def test_winner_that_must_fetch(self):
        self.assertIn('must fetch the image (12.1 s)',
                      explanation_mod.verdict(explanation(
                          cold(), cold('other', 1.0))))

    def test_winner_that_is_fetching_or_unknown(self):
        for holding, said in (('arriving', 'is fetching the image already'),
                              ('unknown', 'does not report whether')):
            found = explanation(
                dataclasses.replace(warm(), holding=holding), cold())
            self.assertIn(said, explanation_mod.verdict(found))

    def test_hosts_that_are_as_good(self):
        found = explanation(cold('a', drawn=True), cold('b', drawn=True))

        self.assertIn('a is drawn among hosts that are as good',
                      explanation_mod.verdict(found))
        self.assertEqual(['b'], found.alternates)

    def test_no_host(self):
        self.assertIn('NoValidHost', explanation_mod.verdict(
            explanation(outcome='refused')))

    def test_one_candidate(self):
        self.assertIn('only candidate', explanation_mod.verdict(
            explanation(warm(), outcome='only')))

    def test_what_stock_nova_would_choose(self):
        hosts = warm(), cold()

        for stock, said in (('cold', 'cold, which must fetch the image'),
                            ('warm', 'choose the same host'),
                            ('gone', 'would choose gone.')):
            self.assertIn(said, explanation_mod.instead(
                explanation(*hosts, stock=stock)))
        self.assertEqual('', explanation_mod.instead(explanation(*hosts)))

    def test_what_stock_nova_would_choose_is_not_known(self):
        """The decision log does not know the hosts that the cap ruled out."""
        hosts, below = (warm(), cold()), 'Among the hosts below the cap, '
        for stock, said in (('warm', 'the same host'), ('cold', 'cold,')):
            found = explanation_mod.instead(explanation_mod.Explanation(
                decision(hosts=hosts, winner='warm', cached='warm',
                         stock=stock, candidates=2, full=3)))
            self.assertTrue(found.startswith(below), found)
            self.assertIn(f'would choose {said}', found)
        only = decision(hosts=hosts[:1], winner='warm', stock='warm',
                        outcome='only', candidates=1, full=3)
        self.assertEqual('', explanation_mod.instead(
            explanation_mod.Explanation(only)))
        # A dry run knows them.
        self.assertIn('Without this package nova would choose cold.',
                      explanation_mod.instead(explanation_mod.Explanation(
                          only, stock='cold')))

    def test_above_the_cap(self):
        full = explanation(warm(count=10), cold(count=10))

        self.assertIn('It goes above the cap: warm 10 of 10.',
                      list(text.lines(full)))
        self.assertEqual(
            'It goes above the cap, as same_image_cap_policy is soft: warm '
            '10 of 10.', explanation_mod.above_the_cap(dataclasses.replace(
                full, let_through='same_image_cap_policy is soft')))
        for below in (warm(count=9), warm(count=99, cap=0)):
            self.assertEqual('', explanation_mod.above_the_cap(
                explanation(below)))

    def test_observed_only(self):
        found = explanation(cold(), warm(), observed=True, cached='warm',
                            stock='cold')

        self.assertIn('with the image cache counted it would be warm',
                      explanation_mod.instead(found))
        self.assertIn('cold wins by 1:', explanation_mod.verdict(found))
        self.assertIn('Image cache (observed)', text.columns(found))
        self.assertEqual(1.0, text.row(found, found.decision.host('warm'))[-1])


class WhyNotTests(base.TestCase):

    def said(self, wanted, *hosts, **fields):
        return ' '.join(why_not.why_not(
            explanation(*hosts, **fields), wanted))

    def test_refused(self):
        self.assertEqual(
            'b cannot take the server: ComputeFilter: is disabled.',
            self.said('b', warm(), refused=[
                refused('ComputeFilter', 'is disabled', 'a', 'b')]))

    def test_unknown(self):
        self.assertIn('no candidate that is known here', self.said(
            'b', warm()))

    def test_winner(self):
        self.assertEqual('warm wins.', self.said('warm', warm(), cold()))

    def test_busy(self):
        said = self.said('busy', warm(), warm('busy', before=1.5, gate=0.2))

        self.assertIn('busy is 3.3 behind warm', said)
        self.assertIn('no busier than the average: its gate is 0.20', said)

    def test_near_its_cap(self):
        said = self.said('full', warm(), warm(
            'full', before=1.5, headroom=0.1, count=9))

        self.assertIn('farther from its cap of 10: it runs 9', said)

    def test_cold(self):
        self.assertIn('if it held the image', self.said(
            'cold', warm(), cold(), seconds=100.0))

    @given(st.lists(st.tuples(
        st.floats(-3, 3), st.sampled_from(['warm', 'cold']),
        st.floats(0.05, 1)), min_size=2, max_size=5),
        st.floats(0.1, 3), st.floats(0, 1))
    def test_the_multiplier_that_it_names_is_right(self, some, multiplier,
                                                   first_copy):
        """Also where a first copy is placed."""
        def hosts(multiplier):
            made = [record_mod.DecidedHost(
                str(number), str(number), holding, before=before,
                weight=gate if holding == 'warm' else 0.0,
                multiplier=multiplier)
                for number, (before, holding, gate) in enumerate(some)]
            made.sort(key=lambda host: -host.total)
            if made[0].holding == 'cold':
                made = [dataclasses.replace(
                    host, weight=min(1.0, first_copy / multiplier))
                    if host.holding == 'cold' else host for host in made]
            return made

        listed = hosts(multiplier)
        for host in listed[1:]:
            found = re.search(r'above ([-.e\d]+) instead', self.said(
                host.host, *listed, seconds=100.0))
            if found and float(found[1]) > multiplier:
                self.assertEqual(
                    host.host, hosts(1.01 * float(found[1]) + 1e-6)[0].host)

    def test_a_larger_multiplier_wins_over_a_first_copy(self):
        said = self.said('w', cold('c', before=2.0, weight=1.0),
                         warm('w', before=0.0, gate=0.3))

        self.assertRegex(said, r'above [\d.]+ instead')

    def test_what_would_win_over_a_first_copy(self):
        first = cold('c', before=2.0, weight=0.4)

        self.assertIn('its gate is 0.00', self.said('w', first, warm(
            'w', before=-1.0, gate=0.0)))
        self.assertIn('farther from its cap', self.said('w', first, warm(
            'w', before=-1.0, headroom=0.0)))

    def test_cold_where_it_would_not_help(self):
        self.assertIn('No single change', self.said(
            'cold', warm(), cold(before=-1.0)))

    def test_multiplier(self):
        said = self.said('warm', cold(before=4.0, multiplier=1.0),
                         warm(before=1.0, multiplier=1.0))

        # 1 + 0.95 x > 4
        self.assertIn('image_cache_weight_multiplier above 3.16 instead of 1',
                      said)

    def test_stock(self):
        made = explanation(warm(), cold())
        made = dataclasses.replace(made, decision=dataclasses.replace(
            made.decision, stock='cold'))

        self.assertIn('if the image cache did not count',
                      ' '.join(why_not.why_not(made, 'cold')))

    def test_weighers_that_prefer_the_winner(self):
        share = explanation_mod.WeigherShare
        said = self.said('b', warm('a'), warm('b', before=0.0), shares={
            'a': {'RAMWeigher': share(9, 1.0, 1.0),
                  'CPUWeigher': share(9, 0.5, 1.0)},
            'b': {'RAMWeigher': share(1, 0.2, 1.0),
                  'CPUWeigher': share(9, 0.5, 1.0)}})

        self.assertIn('a is preferred: RAMWeigher by 0.8.', said)

    def test_weigher_that_has_drawn_the_host_next(self):
        share = explanation_mod.WeigherShare
        said = self.said('b', warm('a'), cold('b', 1.01, drawn=True), shares={
            'a': {'ImageCacheWeigher': share(0.95, 0.95, 5.0)},
            'b': {'ImageCacheWeigher': share(0.948, 0.948, 5.0)}})

        self.assertIn('b is 4.74 behind a.', said)
        self.assertIn('a is preferred: ImageCacheWeigher by 4.75.', said)

    def test_observed(self):
        self.assertIn('image_cache_weigher_mode = enforce', self.said(
            'warm', cold(), warm(), observed=True))


class TextTests(base.TestCase):

    def test_table_has_the_best_five(self):
        hosts = [warm(f'h{number}', before=-number) for number in range(9)]

        lines = list(text.lines(explanation(*hosts)))

        self.assertEqual(['Host', 'h0', 'h1', 'h2', 'h3', 'h4'], [
            line.split()[0] for line in lines[-6:]])

    def test_host_that_is_asked_for_is_in_the_table(self):
        hosts = [warm(f'h{number}', before=-number) for number in range(9)]

        lines = list(text.lines(explanation(*hosts), 'h8'))

        self.assertEqual('h8', lines[-1].split()[0])

    def test_weighers_that_differ_have_columns(self):
        share = explanation_mod.WeigherShare
        found = explanation(warm(), cold(), shares={
            'warm': {'RAMWeigher': share(1, 0.1, 1.0),
                     'DiskWeigher': share(1, 1, 1.0),
                     'ImageCacheWeigher': share(1, 0.95, 5.0)},
            'cold': {'RAMWeigher': share(9, 0.9, 1.0),
                     'DiskWeigher': share(1, 1, 1.0),
                     'ImageCacheWeigher': share(0, 0.0, 5.0)}})

        titles = text.columns(found)

        self.assertIn('RAM', titles)
        self.assertNotIn('Disk', titles)
        self.assertNotIn('ImageCache', titles)
        self.assertEqual(len(titles), len(text.row(found, found.winner)))

    def test_refused_hosts_are_counted_and_some_named(self):
        names = [f'h{number}' for number in range(8)]
        lines = '\n'.join(text.lines(explanation(refused=[
            refused('ComputeFilter', 'is disabled', *names)])))

        self.assertIn('8  ComputeFilter: is disabled: h0, h1, h2, h3, h4 and '
                      '3 more', lines)

    @given(st.lists(test_decision_log.hosts(), max_size=7).map(tuple),
           st.sampled_from(record_mod.OUTCOMES), st.booleans(), st.data())
    def test_every_record_of_a_log_can_be_told(self, listed, outcome,
                                               observed, data):
        names = ['', *(host.host for host in listed)]
        pick = st.sampled_from(names)
        found = explanation_mod.Explanation(decision(
            hosts=listed, outcome=outcome, observed=observed,
            winner=data.draw(pick), cached=data.draw(pick),
            stock=data.draw(pick), candidates=len(listed)))

        for wanted in names:
            list(text.lines(found, wanted))
            json.dumps(text.as_object(found, wanted))


class OutcomeTests(base.TestCase):

    def outcome(self, host, state='active', deleted=False, refused=()):
        return past.outcome(explanation(warm(), cold()),
                            past.NowOn(host, state, deleted, refused))

    def test_there(self):
        self.assertEqual('The server is there.', self.outcome('warm'))

    def test_claimed_for_another(self):
        self.assertIn('on cold. warm led, but did not take it',
                      self.outcome('cold'))

    def test_sent_on(self):
        self.assertIn('on cold. warm gave it back while building it',
                      self.outcome('cold', refused=('warm',)))

    def test_nowhere(self):
        self.assertIn('on no host (error)', self.outcome('', 'error'))

    def test_deleted(self):
        self.assertEqual('The server is deleted; it was on warm.',
                         self.outcome('warm', deleted=True))

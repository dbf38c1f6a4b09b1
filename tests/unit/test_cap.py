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

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched import cap
from cache_aware_sched import cap_sources
from cache_aware_sched import guards
from cache_aware_sched import request as request_mod
from tests.unit import base
from tests.unit import factories

CAPS = st.one_of(st.none(), st.integers(0, 100))
SHARES = st.floats(0, 1)
BAD = ('', 'x', '-1', 'nan', 'None', 'x' * 200)


def limit(value, name='agg'):
    return factories.aggregate(name, **{factories.CAP: value})


def share(value, name='agg'):
    return factories.aggregate(name, **{factories.SHARE: value})


def hint(*values):
    return {request_mod.HINT_CAP: list(values)}


def cap_for(request, *aggregates):
    return cap_sources.Caps(request).of(aggregates)


def number_for(request, *aggregates):
    """Return the cap where there is no share."""
    return cap_for(request, *aggregates).limit(0, 0)


class TestLimit(base.TestCase):
    """What a cap comes to, of how many servers there are."""

    def test_no_cap(self):
        for total in (0, 10, 10 ** 6):
            self.assertEqual(0, cap.Cap().limit(total, total))

    def test_number(self):
        for total in (0, 10, 10 ** 6):
            self.assertEqual(5, cap.Cap(5).limit(total, total))

    def test_share_lets_more_onto_a_host(self):
        self.assertEqual(20, cap.Cap(5, 0.2).limit(99, 1.0))

    def test_number_lets_more_onto_a_host(self):
        self.assertEqual(5, cap.Cap(5, 0.2).limit(9, 1.0))

    def test_share_counts_the_server_that_is_placed(self):
        self.assertEqual(2, cap.Cap(0, 0.5).limit(3, 0.0))
        self.assertEqual(3, cap.Cap(0, 0.5).limit(4, 0.0))

    def test_share_rounds_up(self):
        self.assertEqual(3, cap.Cap(0, 0.2).limit(10, 0.0))

    def test_share_does_not_round_up_what_floats_add(self):
        # In floats this is 3.0000000000000004.
        self.assertEqual(3, cap.Cap(0, 0.1).limit(29, 0.0))

    def test_share_alone_lets_the_first_server_onto_a_host(self):
        self.assertEqual(1, cap.Cap(0, 0.001).limit(0, 0.0))

    def test_share_refuses_no_host_that_is_not_above_the_average(self):
        """Two hosts cannot have a tenth of the servers each."""
        for servers in range(50):
            self.assertGreater(
                cap.Cap(0, 0.1).limit(servers, (servers + 1) / 2),
                servers // 2)

    def test_average_does_not_raise_a_number(self):
        self.assertEqual(5, cap.Cap(5).limit(100, 50.0))

    def test_hint_is_a_cap(self):
        self.assertEqual(3, cap.Cap(hint=3).limit(100, 50.0))

    def test_hint_tightens_number_and_share(self):
        self.assertEqual(3, cap.Cap(5, hint=3).limit(0, 0.0))
        self.assertEqual(3, cap.Cap(1, 0.5, hint=3).limit(100, 0.0))

    def test_hint_does_not_widen(self):
        self.assertEqual(5, cap.Cap(5, hint=50).limit(0, 0.0))
        self.assertEqual(51, cap.Cap(5, 0.5, hint=80).limit(100, 0.0))

    def test_there_is_a_cap_if_anything_is_set(self):
        self.assertFalse(cap.Cap())
        for one in (cap.Cap(1), cap.Cap(share=0.1), cap.Cap(hint=1)):
            self.assertTrue(one)

    @hypothesis.given(st.integers(0, 100), SHARES, st.integers(0, 100),
                      st.integers(0, 10 ** 6), st.floats(0, 10 ** 4))
    def test_hint_never_widens(self, number, of_all, hinted, total, average):
        without = cap.Cap(number, of_all).limit(total, average)

        with_hint = cap.Cap(number, of_all, hinted).limit(total, average)

        if without:
            self.assertTrue(0 < with_hint <= without)

    @hypothesis.given(st.integers(1, 100), SHARES, st.integers(0, 10 ** 6),
                      st.floats(0, 10 ** 4))
    def test_share_never_takes_from_the_number(
            self, number, of_all, total, average):
        self.assertGreaterEqual(
            cap.Cap(number, of_all).limit(total, average), number)

    @hypothesis.given(SHARES, st.lists(
        st.integers(0, 50), min_size=1, max_size=20))
    def test_share_alone_never_refuses_the_emptiest_host(
            self, of_all, servers):
        limited = cap.Cap(0, of_all).limit(
            sum(servers), (sum(servers) + 1) / len(servers))

        if of_all:
            self.assertLess(min(servers), limited)


class TestPrecedence(base.TestCase):

    def test_option(self):
        self.set(max_same_image_instances_per_host=7)

        self.assertEqual(7, number_for(factories.request()))

    def test_aggregate_over_option(self):
        for option in (0, 3, 100):
            self.set(max_same_image_instances_per_host=option)

            self.assertEqual(5, number_for(factories.request(), limit(5)))

    def test_flavor_over_aggregate(self):
        for aggregate in (0, 3, 100):
            request = factories.request(cap=5)

            self.assertEqual(5, number_for(request, limit(aggregate)))

    def test_flavor_over_option(self):
        self.set(max_same_image_instances_per_host=3)

        self.assertEqual(5, number_for(factories.request(cap=5)))

    def test_smallest_of_several_aggregates(self):
        aggregates = (limit(9), limit(4), factories.aggregate(), limit(6))

        self.assertEqual(4, number_for(factories.request(), *aggregates))

    def test_each_host_has_its_own(self):
        self.set(max_same_image_instances_per_host=10)
        few = limit(2)

        caps = cap_sources.Caps(factories.request())

        self.assertEqual([2, 10, 20, 2], [
            caps.of(aggregates).number for aggregates in (
                [few], [], [limit(20)], [few, limit(20)])])

    def test_without_the_options(self):
        """As where nobody has asked for a cap; but who asks gets one."""
        self.set(max_same_image_instances_per_host=3,
                 max_same_image_share_per_host=0.5)

        caps = cap_sources.Caps(factories.request(), options=False)
        none, aggregate = caps.of([]), caps.of([limit(5)])
        flavor = cap_sources.Caps(
            factories.request(cap=1), options=False).of([])

        self.assertFalse(none)
        self.assertEqual((5, 0.0), (aggregate.number, aggregate.share))
        self.assertEqual((1, 0.0), (flavor.number, flavor.share))

    @hypothesis.given(st.integers(0, 100), CAPS, CAPS)
    def test_most_special_wins(self, option, aggregate, flavor):
        self.set(max_same_image_instances_per_host=option)
        expected = (flavor if flavor is not None
                    else aggregate if aggregate is not None else option)

        found = number_for(
            factories.request(cap=flavor),
            *([] if aggregate is None else [limit(aggregate)]))

        self.assertEqual(expected, found)


class TestSource(base.TestCase):
    """Who set a cap, for the log."""

    def setUp(self):
        super().setUp()
        self.set(max_same_image_instances_per_host=3)

    def source(self, request, *aggregates):
        return cap_for(request, *aggregates).source

    def test_option(self):
        self.assertEqual(
            'option max_same_image_instances_per_host: 3',
            self.source(factories.request()))

    def test_aggregate(self):
        self.assertEqual(
            'aggregate: 5', self.source(factories.request(), limit(5)))

    def test_flavor(self):
        self.assertEqual('flavor m1.db: 1', self.source(
            factories.request(cap=1, name='m1.db'), limit(5)))

    def test_hint(self):
        self.assertEqual(
            'hint: 2', self.source(factories.request(hints=hint('2'))))
        self.assertEqual('hint: 2', self.source(
            factories.request(hints=hint('2')), limit(5)))
        self.assertEqual('hint: 2', self.source(
            factories.request(hints=hint('2'), cap=0), limit(5)))

    def test_hint_that_changes_nothing(self):
        request = factories.request(hints=hint('4'))

        self.assertEqual('option max_same_image_instances_per_host: 3',
                         self.source(request))
        self.assertEqual('aggregate: 1', self.source(request, limit(1)))


class TestShare(base.TestCase):

    def share_for(self, request, *aggregates):
        return cap_for(request, *aggregates).share

    def test_option(self):
        self.set(max_same_image_share_per_host=0.25)

        self.assertEqual(0.25, self.share_for(factories.request()))

    def test_aggregate_over_option(self):
        self.set(max_same_image_share_per_host=0.25)

        for value in (0.0, 0.1, 1.0):
            self.assertEqual(value, self.share_for(
                factories.request(), share(value)))

    def test_flavor_over_aggregate(self):
        for value in (0.0, 0.1, 1.0):
            self.assertEqual(value, self.share_for(
                factories.request(share=value), share(0.5)))

    def test_smallest_of_several_aggregates(self):
        """And none is the largest."""
        request = factories.request()

        self.assertEqual(
            0.2, self.share_for(request, share(0), share(0.3), share(0.2)))
        self.assertEqual(0.0, self.share_for(request, share(0), share(0)))

    def test_number_and_share_of_different_sources(self):
        self.set(max_same_image_instances_per_host=3)
        of_flavor, of_aggregate = (
            cap_for(factories.request(share=0.5), limit(7)),
            cap_for(factories.request(cap=7), share(0.5)))

        for found in (of_flavor, of_aggregate):
            self.assertEqual((7, 0.5), (found.number, found.share))

    def test_bad_values_have_no_effect_and_are_warned_of_once(self):
        self.set(max_same_image_share_per_host=0.25)
        values = (*BAD, '1.1', 'inf')
        for value in values:
            for _again in range(3):
                self.assertEqual(0.25, self.share_for(
                    factories.request(share=value), share(value)))

        self.assertEqual(2 * len(values), len(self.warnings()))
        for key in (factories.SHARE, request_mod.EXTRA_SPEC_SHARE):
            self.assertTrue(any(key in line for line in self.warnings()))

    @hypothesis.given(st.text(max_size=20), st.text(max_size=20))
    def test_any_text_makes_a_share(self, aggregate, flavor):
        for request, aggregates in (
                (factories.request(), [share(aggregate)]),
                (factories.request(share=flavor), [])):
            self.assertTrue(0 <= self.share_for(request, *aggregates) <= 1)


class TestHint(base.TestCase):

    def test_tightens(self):
        for request in (factories.request(hints=hint('2')),
                        factories.request(hints=hint('2'), cap=5)):
            self.assertEqual(2, number_for(request))

    def test_does_not_widen(self):
        self.set(max_same_image_instances_per_host=3)

        self.assertEqual(3, number_for(factories.request(hints=hint('50'))))

    def test_tightens_where_there_is_no_cap(self):
        self.set(max_same_image_instances_per_host=0)

        self.assertEqual(4, number_for(factories.request(hints=hint('4'))))

    def test_0_does_not_lift_the_cap(self):
        self.set(max_same_image_instances_per_host=3)

        self.assertEqual(3, number_for(factories.request(hints=hint('0'))))

    def test_0_leaves_no_cap_where_there_is_none(self):
        self.set(max_same_image_instances_per_host=0)

        self.assertEqual(0, number_for(factories.request(hints=hint('0'))))

    def test_smallest_of_several(self):
        request = factories.request(hints=hint('0', '8', '6', 'x', '7'))

        self.assertEqual(6, number_for(request))

    def test_tightens_an_aggregate(self):
        request = factories.request(hints=hint('2'))

        self.assertEqual(2, number_for(request, limit(5)))
        self.assertEqual(2, number_for(request, limit(0)))
        self.assertEqual(1, number_for(request, limit(1)))

    def test_does_not_bind_moves(self):
        """It stays with a server for ever; its hosts may all be full."""
        request = request_mod.Request.from_spec(
            factories.move(hints=hint('2')))

        self.assertEqual(5, number_for(request, limit(5)))


class TestZero(base.TestCase):

    def test_option_0_is_no_cap(self):
        self.set(max_same_image_instances_per_host=0)

        self.assertFalse(cap_for(factories.request()))

    def test_aggregate_0_lifts_the_cap(self):
        self.assertFalse(cap_for(factories.request(), limit(0)))

    def test_flavor_0_lifts_the_cap(self):
        self.assertFalse(cap_for(factories.request(cap=0), limit(3)))

    def test_0_is_the_largest_of_several_aggregates(self):
        aggregates = (limit(0), limit(4), limit(0))

        self.assertEqual(4, number_for(factories.request(), *aggregates))


class TestBadValues(base.TestCase):

    BAD = (*BAD, '1.5', '1e3')

    def test_bad_aggregate_has_no_effect_and_is_warned_of_once(self):
        for value in self.BAD:
            for _again in range(3):
                self.assertEqual(
                    10, number_for(factories.request(), limit(value)))

        self.assertEqual(len(self.BAD), len(self.warnings()))
        self.assertIn('agg', self.warnings()[0])
        self.assertIn(factories.CAP, self.warnings()[0])

    def test_bad_aggregate_beside_a_good_one(self):
        self.assertEqual(
            4, number_for(factories.request(), limit('x'), limit(4)))

    def test_bad_flavor_has_no_effect_and_is_warned_of_once(self):
        for value in self.BAD:
            for _again in range(3):
                self.assertEqual(
                    5, number_for(factories.request(cap=value), limit(5)))

        self.assertEqual(len(self.BAD), len(self.warnings()))
        self.assertIn(request_mod.EXTRA_SPEC_CAP, self.warnings()[0])

    def test_bad_hint_has_no_effect(self):
        for value in self.BAD:
            request = factories.request(hints=hint(value))

            self.assertEqual(5, number_for(request, limit(5)))

    def test_bad_hint_is_warned_of_once_for_its_project(self):
        """A user may send any number of them."""
        for number in range(8000):
            number_for(factories.request(hints=hint(f'bad {number}')))

        [line] = self.warnings()
        self.assertIn(request_mod.HINT_CAP, line)
        self.assertIn(factories.PROJECT, line)
        self.assertNotIn('bad', line)

    def test_bad_hint_of_another_project_is_warned_of_too(self):
        for project in (factories.PROJECT, factories.OTHER_PROJECT):
            number_for(factories.request(hints=hint('x'), project=project))

        self.assertEqual(2, len(self.warnings()))

    def test_long_hint_is_warned_of_and_not_read(self):
        number = '0' * 1000 + '3'

        self.assertEqual(
            5, number_for(factories.request(hints=hint(number)), limit(5)))

        self.assertEqual(1, len(self.warnings()))

    def test_no_hint_is_not_warned_of(self):
        number_for(factories.request())
        number_for(factories.request(hints={}))
        number_for(factories.request(hints=hint()))
        number_for(factories.request(hints=hint('0')))

        self.assertEqual([], self.warnings())

    @hypothesis.given(st.text(max_size=20), st.text(max_size=20))
    def test_any_text_makes_a_cap(self, aggregate, hinted):
        request = factories.request(hints=hint(hinted))

        self.assertGreaterEqual(number_for(request, limit(aggregate)), 0)

    @hypothesis.given(st.integers(10, 2 ** 40))
    @hypothesis.example(2 ** 31)
    @hypothesis.example(2 ** 31 + 5)
    def test_huge_cap_is_no_small_one(self, value):
        """A cap that nobody can reach works like none."""
        for request, aggregates in (
                (factories.request(), [limit(value)]),
                (factories.request(cap=value), []),
                (factories.request(hints=hint(str(value))), [])):
            self.assertGreater(
                guards.headroom(9, number_for(request, *aggregates)), 0)


class TestIsSetHere(base.TestCase):

    def setUp(self):
        super().setUp()
        self.set_nova('filter_scheduler', enabled_filters=['ComputeFilter'])

    def test_defaults_ask_for_no_cap(self):
        self.assertFalse(cap_sources.is_set_here())

    def test_filter_does(self):
        self.set_nova('filter_scheduler', enabled_filters=[
            'ComputeFilter', 'ImageAntiAffinityFilter'])

        self.assertTrue(cap_sources.is_set_here())

    def assert_asks_for_a_cap(self, **options):
        self.assertFalse(cap_sources.is_set_here())

        self.set(**options)

        self.assertTrue(cap_sources.is_set_here())

    def test_number_does(self):
        self.assert_asks_for_a_cap(max_same_image_instances_per_host=10)

    def test_share_does(self):
        self.assert_asks_for_a_cap(max_same_image_share_per_host=0.1)

    def test_policy_does(self):
        self.assert_asks_for_a_cap(same_image_cap_policy='hard')

    def test_other_options_do_not(self):
        self.set(same_image_scope='project', image_cache_weight_multiplier=2)

        self.assertFalse(cap_sources.is_set_here())

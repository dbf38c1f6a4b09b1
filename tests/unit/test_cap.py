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
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import scoring
from tests.unit import base
from tests.unit import factories

CAPS = st.one_of(st.none(), st.integers(0, 100))


def limit(value, name='agg'):
    return factories.aggregate(name, **{factories.CAP: value})


def hint(*values):
    return {request_mod.HINT_CAP: list(values)}


def cap_for(request, *aggregates):
    return cap.caps(request, [aggregates])[0]


class TestPrecedence(base.TestCase):

    def test_option(self):
        self.set(max_same_image_instances_per_host=7)

        self.assertEqual(7, cap_for(factories.request()))

    def test_aggregate_over_option(self):
        for option in (0, 3, 100):
            self.set(max_same_image_instances_per_host=option)

            self.assertEqual(5, cap_for(factories.request(), limit(5)))

    def test_flavor_over_aggregate(self):
        for aggregate in (0, 3, 100):
            request = factories.request(cap=5)

            self.assertEqual(5, cap_for(request, limit(aggregate)))

    def test_flavor_over_option(self):
        self.set(max_same_image_instances_per_host=3)

        self.assertEqual(5, cap_for(factories.request(cap=5)))

    def test_smallest_of_several_aggregates(self):
        aggregates = (limit(9), limit(4), factories.aggregate(), limit(6))

        self.assertEqual(4, cap_for(factories.request(), *aggregates))

    def test_each_host_has_its_own(self):
        self.set(max_same_image_instances_per_host=10)
        few = limit(2)

        caps = cap.caps(factories.request(), [
            [few], [], [limit(20)], [few, limit(20)]])

        self.assertEqual([2, 10, 20, 2], caps)

    def test_no_hosts(self):
        self.assertEqual([], cap.caps(factories.request(), []))
        self.assertEqual([], cap.caps(factories.request(cap=1), []))


class TestHint(base.TestCase):

    def test_tightens(self):
        for request in (factories.request(hints=hint('2')),
                        factories.request(hints=hint('2'), cap=5)):
            self.assertEqual(2, cap_for(request))

    def test_does_not_widen(self):
        self.set(max_same_image_instances_per_host=3)

        self.assertEqual(3, cap_for(factories.request(hints=hint('50'))))

    def test_tightens_where_there_is_no_cap(self):
        self.set(max_same_image_instances_per_host=0)

        self.assertEqual(4, cap_for(factories.request(hints=hint('4'))))

    def test_0_does_not_lift_the_cap(self):
        self.set(max_same_image_instances_per_host=3)

        self.assertEqual(3, cap_for(factories.request(hints=hint('0'))))

    def test_0_leaves_no_cap_where_there_is_none(self):
        self.set(max_same_image_instances_per_host=0)

        self.assertEqual(0, cap_for(factories.request(hints=hint('0'))))

    def test_smallest_of_several(self):
        request = factories.request(hints=hint('0', '8', '6', 'x', '7'))

        self.assertEqual(6, cap_for(request))

    def test_tightens_an_aggregate(self):
        request = factories.request(hints=hint('2'))

        self.assertEqual(2, cap_for(request, limit(5)))
        self.assertEqual(2, cap_for(request, limit(0)))
        self.assertEqual(1, cap_for(request, limit(1)))


class TestZero(base.TestCase):

    def test_option_0_is_no_cap(self):
        self.set(max_same_image_instances_per_host=0)

        self.assertEqual(0, cap_for(factories.request()))

    def test_aggregate_0_lifts_the_cap(self):
        self.assertEqual(0, cap_for(factories.request(), limit(0)))

    def test_flavor_0_lifts_the_cap(self):
        request = factories.request(cap=0)

        self.assertEqual(0, cap_for(request, limit(3)))

    def test_0_is_the_largest_of_several_aggregates(self):
        aggregates = (limit(0), limit(4), limit(0))

        self.assertEqual(4, cap_for(factories.request(), *aggregates))


class TestBadValues(base.TestCase):

    BAD = ('', 'x', '-1', '1.5', 'nan', '1e3', 'None', 'x' * 200)

    def test_bad_aggregate_has_no_effect_and_is_warned_of_once(self):
        for value in self.BAD:
            for _again in range(3):
                self.assertEqual(
                    10, cap_for(factories.request(), limit(value)))

        self.assertEqual(len(self.BAD), len(self.warnings()))
        self.assertIn('agg', self.warnings()[0])
        self.assertIn(factories.CAP, self.warnings()[0])

    def test_bad_aggregate_beside_a_good_one(self):
        self.assertEqual(
            4, cap_for(factories.request(), limit('x'), limit(4)))

    def test_bad_flavor_has_no_effect_and_is_warned_of_once(self):
        for value in self.BAD:
            for _again in range(3):
                self.assertEqual(
                    5, cap_for(factories.request(cap=value), limit(5)))

        self.assertEqual(len(self.BAD), len(self.warnings()))
        self.assertIn(request_mod.EXTRA_SPEC_CAP, self.warnings()[0])

    def test_bad_hint_has_no_effect_and_is_warned_of_once(self):
        for value in self.BAD:
            for _again in range(3):
                self.assertEqual(
                    5, cap_for(factories.request(hints=hint(value)),
                               limit(5)))

        self.assertEqual(len(self.BAD), len(self.warnings()))
        self.assertIn(request_mod.HINT_CAP, self.warnings()[0])
        self.assertIn(factories.PROJECT, self.warnings()[0])
        self.assertNotIn('x' * 100, ''.join(self.warnings()))

    @hypothesis.given(st.text(max_size=20), st.text(max_size=20))
    def test_any_text_makes_a_cap(self, aggregate, hinted):
        request = factories.request(hints=hint(hinted))

        self.assertGreaterEqual(cap_for(request, limit(aggregate)), 0)

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
                scoring.headroom(9, cap_for(request, *aggregates)), 0)


class TestCombine(base.TestCase):

    @hypothesis.given(st.integers(0, 100), CAPS, CAPS, CAPS)
    def test_hint_never_widens(self, option, aggregate, flavor, hinted):
        without = cap.combine(option, aggregate, flavor, None)

        with_hint = cap.combine(option, aggregate, flavor, hinted)

        if without:
            self.assertTrue(0 < with_hint <= without)

    @hypothesis.given(st.integers(0, 100), CAPS, CAPS)
    def test_most_special_wins(self, option, aggregate, flavor):
        expected = (flavor if flavor is not None
                    else aggregate if aggregate is not None else option)

        self.assertEqual(
            expected, cap.combine(option, aggregate, flavor, None))

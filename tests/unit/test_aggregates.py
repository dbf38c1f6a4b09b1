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

import fixtures

from cache_aware_sched import aggregates
from tests.unit import base
from tests.unit import factories

KEY = 'some_number'


def parse(text):
    if not text.isdigit():
        raise ValueError('digits are wanted')
    return int(text)


def with_value(value, name='agg'):
    return factories.aggregate(name, **{KEY: value})


class TestSmallest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.numbers = aggregates.Numbers(KEY, parse)

    def smallest(self, *aggregates_of_host):
        return self.numbers.smallest(aggregates_of_host)

    def test_no_aggregates(self):
        self.assertIsNone(self.numbers.smallest([]))
        self.assertIsNone(self.numbers.smallest(()))

    def test_aggregate_without_the_key(self):
        self.assertIsNone(self.smallest(factories.aggregate(other='5')))

    def test_each_host_has_the_smallest_of_its_own(self):
        one, five, none = with_value(1), with_value(5), factories.aggregate()

        self.assertEqual([1, 5, None, 1, 5, 1], [
            self.smallest(*host) for host in (
                [one], [five], [none], [one, five], [none, five],
                [five, none, one])])

    def test_0_is_a_value(self):
        self.assertEqual(0, self.smallest(with_value(3), with_value(0)))

    def test_text_is_read_once_for_all_hosts_of_an_aggregate(self):
        read = mock.Mock(side_effect=int)
        numbers = aggregates.Numbers(KEY, read)
        shared = with_value(5)

        found = {numbers.smallest([shared]) for _host in range(100)}

        self.assertEqual({5}, found)
        read.assert_called_once_with('5')

    def test_aggregate_that_was_changed_is_read_anew(self):
        """nova's scheduler gets another object then."""
        before, after = with_value(5), with_value(7)
        after.id = before.id

        self.assertEqual([5, 7, 5], [
            self.smallest(one) for one in (before, after, before)])

    def test_objects_that_come_and_go(self):
        """A new object can be where one that is gone was."""
        for value in range(1000):
            self.assertEqual(value, self.smallest(with_value(value)))

    def test_memory_is_bounded(self):
        self.useFixture(fixtures.MonkeyPatch(
            f'{aggregates.__name__}.MAX_SETS', 10))
        some = [with_value(value) for value in range(35)]

        for value, one in [*enumerate(some), *enumerate(some)]:
            self.assertEqual(value, self.smallest(one))

        self.assertLessEqual(len(self.numbers._known), 10)


class TestBadValues(base.TestCase):

    def test_have_no_effect(self):
        numbers = aggregates.Numbers(KEY, parse)

        self.assertIsNone(numbers.smallest([with_value('x')]))
        self.assertEqual(
            4, numbers.smallest([with_value('x'), with_value(4)]))

    def test_are_warned_of_once(self):
        for _again in range(3):
            aggregates.Numbers(KEY, parse).smallest(
                [with_value('x', 'rack-1')])

        [line] = self.warnings()
        for part in (KEY, 'rack-1', "'x'", 'digits are wanted'):
            self.assertIn(part, line)

    def test_each_is_warned_of(self):
        numbers = aggregates.Numbers(KEY, parse)

        numbers.smallest([with_value('x', 'a'), with_value('x', 'b')])
        numbers.smallest([with_value('y', 'a')])

        self.assertEqual(3, len(self.warnings()))

    def test_somebody_else_warns_of_them(self):
        numbers = aggregates.Numbers(KEY, parse, quiet=True)

        self.assertEqual(
            4, numbers.smallest([with_value('x'), with_value(4)]))
        self.assertEqual([], self.warnings())

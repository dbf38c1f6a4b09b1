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

    def smallest(self, *hosts):
        return aggregates.smallest(hosts, KEY, parse)

    def test_no_hosts(self):
        self.assertEqual([], self.smallest())

    def test_no_aggregates(self):
        self.assertEqual([None, None], self.smallest([], ()))

    def test_aggregate_without_the_key(self):
        self.assertEqual(
            [None], self.smallest([factories.aggregate(other='5')]))

    def test_each_host_has_the_smallest_of_its_own(self):
        one, five, none = with_value(1), with_value(5), factories.aggregate()

        self.assertEqual(
            [1, 5, None, 1, 5, 1],
            self.smallest([one], [five], [none], [one, five], [none, five],
                          [five, none, one]))

    def test_0_is_a_value(self):
        self.assertEqual([0], self.smallest([with_value(3), with_value(0)]))

    def test_value_of_an_aggregate_is_read_once(self):
        read = []
        shared = with_value(5)

        aggregates.smallest([[shared]] * 100, KEY, read.append)

        self.assertEqual(['5'], read)

    def test_bad_value_has_no_effect(self):
        self.assertEqual([None, 4], self.smallest(
            [with_value('x')], [with_value('x'), with_value(4)]))

    def test_bad_value_is_warned_of_once(self):
        for _again in range(3):
            self.smallest([with_value('x', 'rack-1')])

        [line] = self.warnings()
        for part in (KEY, 'rack-1', "'x'", 'digits are wanted'):
            self.assertIn(part, line)

    def test_each_bad_value_is_warned_of(self):
        self.smallest([with_value('x', 'a'), with_value('x', 'b')])
        self.smallest([with_value('y', 'a')])

        self.assertEqual(3, len(self.warnings()))

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

from cache_aware_sched.simulator import policy
from cache_aware_sched.simulator.report import figures
from cache_aware_sched.simulator.results.result import Finding
from tests import simulator_results
from tests.unit import base

TB = 10 ** 12


def entry(the_policy, **fields):
    return Finding(the_policy,
                   simulator_results.of_policy(the_policy, **fields))


class FloorTests(base.TestCase):

    def floors(self, *of_ours):
        """Return the lines of the least possible, in TB, and their texts."""
        found = figures.frontier([entry(
            policy.ours(f'p{number}'), floor_bytes=tb * TB, cap=cap)
            for number, (tb, cap) in enumerate(of_ours)])['layout']
        return [(line['y0'], note['text']) for line, note in zip(
            found['shapes'], found['annotations'], strict=True)]

    def test_without_a_cap(self):
        self.assertEqual(
            [(5, 'least possible without a cap: every image once')],
            self.floors((5, 0), (5, 0)))

    def test_each_cap_has_its_own(self):
        self.assertEqual(
            [(5, 'least possible without a cap: every image once'),
             (6, 'least possible with a cap of 20:<br>every image once for '
                 'so many servers at a time'),
             (9, 'least possible with a cap of 1,000:<br>every image once '
                 'for so many servers at a time')],
            self.floors((9, 1000), (5, 0), (6, 20), (9, 1000)))

    def test_cap_that_nothing_reaches(self):
        self.assertEqual(
            [(5, 'least possible without a cap or with one of 10 or 40: '
                 'every image once')],
            self.floors((5, 40), (5, 0), (5, 10)))

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

from cache_aware_sched.cinder import scoring
from cache_aware_sched.cinder.scoring import Fullness
from cache_aware_sched.cinder.scoring import Holds
from tests.unit import base

EMPTY = Fullness(0.0, 0.0)


class TestScores(base.TestCase):

    def score(self, holds, counts=None, pools=None, size=20, spreads=True):
        found = scoring.scores(
            holds, size, counts or [0] * len(holds),
            pools or [EMPTY] * len(holds), spreads=spreads)
        return [score.weight for score in found]

    def test_what_a_pool_holds(self):
        all_ = scoring.benefit(20)

        found = self.score([Holds.COLD, Holds.FILLING, Holds.WARM])

        self.assertEqual([0, 0.9 * all_, all_], found)

    def test_small_image_counts_less(self):
        sizes = [1, 2, 5, 20, 1000]

        found = [self.score([Holds.WARM], size=size)[0] for size in sizes]

        self.assertEqual(sorted(found), found)
        self.assertAlmostEqual(0.37, found[0], places=2)
        self.assertEqual(1.0, found[-1])

    def test_unknown_size_brings_nothing(self):
        self.assertEqual([0.0], self.score([Holds.WARM], size=0))

    def test_pool_that_was_just_given_many(self):
        counts = [0, scoring.MAX_RECENT // 2, scoring.MAX_RECENT - 2,
                  scoring.MAX_RECENT, 100]

        found = self.score([Holds.WARM] * 5, counts, size=1000)

        self.assertEqual([1.0, 1.0, 2 / 3, 0.0, 0.0], found)

    def test_fuller_pool(self):
        pools = [Fullness(share, 0.0) for share in (0.4, 0.5, 0.525, 0.6)]
        pools.append(Fullness(0.475, 0.0))

        found = self.score([Holds.WARM] * 5, pools=pools, size=1000)

        self.assertEqual([1.0, 1.0], found[:2])
        self.assertAlmostEqual(0.5, found[2])
        self.assertEqual(0.0, found[3])

    def test_pool_that_is_almost_empty(self):
        pools = [Fullness(0.04, 0.04), Fullness(0.05, 0.04), EMPTY, EMPTY]

        found = self.score([Holds.WARM] * 4, pools=pools, size=1000)

        self.assertEqual(1.0, found[0])
        self.assertEqual(0.0, found[1])

    def test_pool_that_does_not_tell(self):
        found = self.score(
            [Holds.WARM] * 3, pools=[None, EMPTY, Fullness(1.0, 0.0)],
            size=1000)

        self.assertEqual([1.0, 1.0, 0.0], found)

    def test_no_pool(self):
        self.assertEqual([], self.score([]))

    def test_clouds_that_do_not_spread(self):
        found = self.score(
            [Holds.WARM] * 2, [100, 0], [Fullness(0.9, 0.0), EMPTY],
            size=1000, spreads=False)

        self.assertEqual([1.0, 1.0], found)

    @hypothesis.given(st.lists(st.tuples(
        st.sampled_from(Holds), st.integers(0, 20),
        st.one_of(st.none(), st.builds(
            Fullness, st.floats(0, 2), st.floats(0, 2))))),
        st.integers(0, 10_000), st.booleans())
    def test_is_a_share(self, pools, size, spreads):
        found = scoring.scores(
            [pool[0] for pool in pools], size, [pool[1] for pool in pools],
            [pool[2] for pool in pools], spreads=spreads)

        self.assertTrue(all(0 <= score.weight <= 1 for score in found))
        for score in found:
            self.assertIn(score.holds.name.lower(), str(score))

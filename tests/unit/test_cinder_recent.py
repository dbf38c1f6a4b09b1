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

from cache_aware_sched.cinder import recent
from tests.unit import base

SECONDS = 300
X, Y = ('x@b#p', 'x@b#p'), ('y@b#p', 'y@b#p')


class TestRecentVolumes(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.recent = recent.RecentVolumes(clock=lambda: self.now)

    def look(self, *pools, image='i', warm=()):
        found = self.recent.look(image, pools or (X, Y), warm, SECONDS)
        return list(found.counts), set(found.filling)

    def test_nothing(self):
        self.assertEqual(([0, 0], set()), self.look())

    def test_first_volume_fills_a_pool(self):
        self.recent.record('v', 'i', X[0], X[1])

        self.assertEqual(([1, 0], {X[1]}), self.look())

    def test_other_image(self):
        self.recent.record('v', 'i', X[0], X[1])

        self.assertEqual(([0, 0], set()), self.look(image='j'))

    def test_volume_of_a_pool_that_holds_the_image(self):
        self.recent.record('v', 'i', X[0], None)

        self.assertEqual(([1, 0], set()), self.look())

    def test_time_is_over(self):
        self.recent.record('v', 'i', X[0], X[1])
        self.now += SECONDS

        self.assertEqual(([0, 0], set()), self.look())
        self.assertEqual(0, len(self.recent))

    def test_later_volumes_do_not_make_it_longer(self):
        """A pool that caches nothing would be preferred for ever."""
        self.recent.record('v', 'i', X[0], X[1])
        self.now += SECONDS - 1
        self.recent.record('w', 'i', X[0], X[1])
        self.now += 1

        self.assertEqual(([1, 0], set()), self.look())

    def test_pool_that_made_no_cached_volume_is_not_believed_again(self):
        self.recent.record('v', 'i', X[0], X[1])
        self.now += SECONDS

        self.recent.record('w', 'i', X[0], X[1])

        self.assertEqual(([1, 0], set()), self.look())

    def test_cached_volume_restores_the_belief(self):
        """It was there once, and is evicted now."""
        self.recent.record('v', 'i', X[0], X[1])
        self.now += SECONDS
        self.look(warm=[X[1]])

        self.recent.record('w', 'i', X[0], X[1])

        self.assertEqual(([1, 0], {X[1]}), self.look())

    def test_volume_that_goes_elsewhere_after_a_failure(self):
        self.recent.record('v', 'i', X[0], X[1])

        self.recent.record('v', 'i', Y[0], Y[1])

        self.assertEqual(([0, 1], {Y[1]}), self.look())
        self.assertEqual(1, len(self.recent))

    def test_other_volume_that_goes_elsewhere(self):
        self.recent.record('v', 'i', X[0], X[1])
        self.recent.record('w', 'i', X[0], X[1])

        self.recent.record('w', 'i', Y[0], Y[1])

        self.assertEqual(([1, 1], {X[1], Y[1]}), self.look())

    def test_pools_of_one_place(self):
        p, q = ('x@b#p', 'x@b'), ('x@b#q', 'x@b')

        self.recent.record('v', 'i', *p)

        self.assertEqual(([1, 0], {'x@b'}), self.look(p, q))

    def test_nothing_is_remembered_for_no_time(self):
        self.recent.record('v', 'i', X[0], X[1])

        found = self.recent.look('i', (X, Y), (), 0)

        self.assertEqual(([0, 0], set()),
                         (list(found.counts), set(found.filling)))

    def test_memory_is_bounded(self):
        for number in range(recent.MAX_VOLUMES + 5):
            self.recent.record(str(number), str(number), X[0], X[1])

        self.assertEqual(recent.MAX_VOLUMES, len(self.recent))
        self.assertEqual(recent.MAX_VOLUMES, len(self.recent._first))
        self.assertEqual(recent.MAX_VOLUMES, len(self.recent._counts))
        self.assertEqual(([0, 0], set()), self.look(image='0'))

    @hypothesis.given(st.lists(st.tuples(
        st.integers(0, 5), st.sampled_from(['i', 'j']),
        st.sampled_from([X, Y]), st.booleans(), st.integers(0, 200))))
    def test_counts_are_those_of_the_volumes(self, volumes):
        memory = recent.RecentVolumes(clock=lambda: self.now)
        expected = {}
        for volume, image, pool, fills, passed in volumes:
            self.now += passed
            memory.record(str(volume), image, pool[0],
                          pool[1] if fills else None)
            expected.pop(volume, None)
            expected[volume] = image, pool, self.now

        for image in 'ij':
            found = memory.look(image, (X, Y), (), SECONDS)
            self.assertEqual(
                [sum(1 for sent in expected.values() if sent[:2] == (
                    image, pool) and sent[2] > self.now - SECONDS)
                 for pool in (X, Y)], list(found.counts))


class TestShared(base.TestCase):

    def test_a_process_has_one(self):
        self.addCleanup(recent.forget)

        self.assertIs(recent.shared(), recent.shared())

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

import logging

import hypothesis
from hypothesis import strategies as st
from oslo_config import cfg

from cache_aware_sched.cinder import pools
from cache_aware_sched.cinder import scoring
from tests.cinder import candidates
from tests.cinder.candidates import IMAGE
from tests.cinder.candidates import NEW
from tests.cinder.candidates import OLD

CONF = cfg.CONF
A, B, C, D = (f'{name}@files#p' for name in 'abcd')
ALL = 5.0 * scoring.benefit(20)


class TestPlaces(candidates.CandidatesTestCase):
    """In which pools a cached volume is used."""

    def test_other_pool_of_the_backend_holds_nothing(self):
        other = self.add('a@files', pool='q')
        self.cache(A)

        found = self.weigh()

        self.assertEqual((ALL, 0), (found[A], found[other]))

    def test_all_pools_of_a_backend_that_clones_across_them(self):
        for says in (True, 'True', '<is> True'):
            one = self.add('e@files', clone_across_pools=says)
            other = self.add('e@files', pool='q', clone_across_pools=says)
            self.cache(one)

            found = self.weigh()

            self.assertEqual((ALL, ALL), (found[one], found[other]))

    def test_cloning_across_pools_ends_at_the_backend(self):
        """Cinder would try, and fail where it is another array."""
        one = self.add('e@files', clone_across_pools=True)
        self.cache(A)

        found = self.weigh()

        self.assertEqual((ALL, 0), (found[A], found[one]))

    def test_cluster(self):
        """Whichever host of it made the cached volume."""
        pool = self.add('f1@files', cluster='c@files')
        self.cache('f2@files#p', cluster='c@files#p')

        found = self.weigh()

        self.assertEqual('c@files#p', pool)
        self.assertEqual(ALL, found[pool])

    def test_other_cluster(self):
        pool = self.add('f1@files', cluster='c@files')
        self.cache('f1@files#p', cluster='other@files#p')

        self.assertEqual(0, self.weigh()[pool])

    def test_host_that_left_its_cluster(self):
        """Cinder looks for its host alone then."""
        self.cache(A, cluster='c@files#p')

        self.assertEqual(ALL, self.weigh()[A])

    def test_host_that_joined_a_cluster(self):
        pool = self.add('f1@files', cluster='c@files')
        self.cache('f1@files#p')

        self.assertEqual(0, self.weigh()[pool])


class TestEntries(candidates.CandidatesTestCase):
    """Which cached volumes count."""

    def test_outdated_one(self):
        self.cache(A, updated=OLD)
        self.cache(B, updated=NEW)

        found = self.weigh()

        self.assertEqual((0, ALL), (found[A], found[B]))

    def test_outdated_and_renewed_one_of_a_pool(self):
        self.cache(A, updated=OLD)
        self.cache(A, updated=NEW)

        self.assertEqual(ALL, self.weigh()[A])

    def test_one_without_a_time(self):
        self.cache(A, updated=None)

        self.assertEqual(0, self.weigh()[A])

    def test_pool_that_says_that_it_caches_nothing(self):
        """As extra_capabilities of its backend can say."""
        for says in (False, 'False', 'false', 0):
            pool = self.add('e@files', image_volume_cache_enabled=says)
            self.cache(pool)

            self.assertEqual(0, self.weigh()[pool])

    def test_pool_that_says_that_it_caches(self):
        pool = self.add('e@files', image_volume_cache_enabled='<is> True')
        self.cache(pool)

        self.assertEqual(ALL, self.weigh()[pool])


class TestBackendsThatNeedNoCache(candidates.CandidatesTestCase):

    def setUp(self):
        super().setUp()
        self.pools.clear()
        for name in 'abcd':
            self.add(f'{name}@files', storage_protocol='ceph')

    def test_weigh_nothing(self):
        found = [self.place() for _ in range(8)]

        self.assertEqual([A, B, C, D] * 2, found)
        self.assertEqual({0}, set(self.weigh().values()))

    def test_cached_volume_counts(self):
        """The driver could not clone the image itself, so there is one."""
        self.cache(C)

        self.assertEqual(ALL, self.weigh()[C])


class TestCapacity(candidates.CandidatesTestCase):

    def test_full_pool_is_not_preferred(self):
        for pool, gib in ((A, 510), (B, 400), (C, 400), (D, 400)):
            self.fill(pool, gib)
        self.cache(A)

        self.assertEqual(0, self.weigh()[A])

    def test_eight_volumes_do_not_all_go_to_one_pool(self):
        for pool in (A, B, C, D):
            self.fill(pool, 500)
        self.cache(A)

        found = [self.place(size=1) for _ in range(8)]

        self.assertEqual(6, found.count(A))
        self.assertEqual(2, len(set(found)))

    def test_pool_that_is_a_little_fuller(self):
        for pool, gib in ((A, 420), (B, 400), (C, 400), (D, 400)):
            self.fill(pool, gib)
        self.cache(A)

        found = self.weigh()[A]

        self.assertGreater(found, 0)
        self.assertLess(found, ALL)

    def test_share_counts_and_not_what_is_free(self):
        small = self.add('e@files', total=100, used=40)
        for pool in (A, B, C, D):
            self.fill(pool, 450)
        self.cache(small)

        self.assertEqual(ALL, self.weigh(size=1)[small])

    def test_pools_that_do_not_tell(self):
        for total in ('unknown', 'infinite'):
            pool = self.add('e@files', total=total)
            self.cache(pool)

            self.assertEqual(ALL, self.weigh()[pool])

    def test_one_that_tells_nonsense_says_nothing_of_others(self):
        self.add('e@files', total=1000, provisioned_capacity_gb=float('nan'),
                 thin_provisioning_support=True)
        self.cache(A)

        self.assertEqual(ALL, self.weigh()[A])

    def test_one_that_tells_a_number_that_none_is(self):
        """Each is JSON that Python reads."""
        self.cache(A)
        for name, value in (
                ('reserved_percentage', float('inf')),
                ('free_capacity_gb', 10 ** 400),
                ('max_over_subscription_ratio', -10 ** 400)):
            pool = self.add('e@files')
            setattr(self.pools[pool], name, value)

            self.assertEqual(ALL, self.weigh()[A])

        self.assertEqual([], self.logged(logging.ERROR))

    def test_pool_without_capacity(self):
        pool = self.add('e@files', total=0)
        self.cache(pool)

        self.assertEqual(ALL, self.weigh()[pool])

    def test_clouds_that_fill_one_pool_after_the_other(self):
        self.fill(A, 900)
        self.cache(A)
        CONF.set_override('capacity_weight_multiplier', -1.0)

        self.assertEqual(ALL, self.weigh()[A])

        self.enable('CapacityWeigher', 'AllocatedCapacityWeigher')
        CONF.set_override('capacity_weight_multiplier', 1.0)
        self.assertEqual(0, self.weigh()[A])
        CONF.set_override('allocated_capacity_weight_multiplier', 1.0)
        self.assertEqual(ALL, self.weigh()[A])

    def test_thick_type(self):
        """It takes the space that thin volumes only may take."""
        pool = self.add('e@files', total=1000, used=0,
                        thin_provisioning_support=True,
                        max_over_subscription_ratio='10',
                        provisioned_capacity_gb=800)
        found = pools.Pool.of(self.pools[pool])

        self.assertAlmostEqual(0.081, found.load(10, thick=False)[0])
        self.assertAlmostEqual(0.81, found.load(10, thick=True)[0])


class TestNothingRaises(candidates.CandidatesTestCase):

    @hypothesis.settings(max_examples=60, deadline=None)
    @hypothesis.given(
        says=st.dictionaries(
            st.sampled_from([
                'image_volume_cache_enabled', 'clone_across_pools',
                'storage_protocol', 'total_capacity_gb', 'free_capacity_gb',
                'provisioned_capacity_gb', 'reserved_percentage',
                'thin_provisioning_support']),
            st.one_of(st.none(), st.booleans(), st.integers(-10, 10 ** 6),
                      st.floats(), st.text(max_size=9),
                      st.lists(st.text(max_size=3), max_size=2))),
        size=st.integers(0, 10 ** 6))
    def test_whatever_a_pool_says(self, says, size):
        self.pools.clear()
        pool = self.add('e@files')
        for name, value in says.items():
            setattr(self.pools[pool], name, value)
        self.pools[pool].update_capabilities(says)
        if not self.entries:
            self.cache(pool)

        [found] = self.weigh(size=size).values()

        self.assertTrue(0 <= found <= ALL, found)

    @property
    def entries(self):
        return self.query(self.context, image_id=IMAGE)

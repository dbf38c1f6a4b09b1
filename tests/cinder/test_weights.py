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
import uuid

from cinder import objects
from cinder.scheduler import weights as cinder_weights
from oslo_serialization import jsonutils

from cache_aware_sched.cinder import scoring
from cache_aware_sched.cinder import weights
from tests.cinder import candidates
from tests.cinder.candidates import IMAGE
from tests.cinder.candidates import OTHER

A, B, C, D = (f'{name}@files#p' for name in 'abcd')
#: Of an image of 20 GiB.
ALL = 5.0 * scoring.benefit(20)


class TestWeights(candidates.CandidatesTestCase):

    def test_pool_that_holds_the_image_weighs_most(self):
        self.cache(C)

        found = self.weigh()

        self.assertEqual({A: 0, B: 0, C: ALL, D: 0}, found)

    def test_weight_is_absolute(self):
        """Cinder would stretch it over the pools otherwise."""
        self.cache(C, size=1)

        found = self.weigh()

        self.assertEqual(5.0 * scoring.benefit(1), found[C])
        self.assertLess(found[C], ALL / 2)

    def test_default_outweighs_all_that_capacity_says(self):
        self.fill(A, 30)
        for pool in (B, C, D):
            self.fill(pool, 29)
        self.cache(A)

        found = self.place()

        self.assertEqual(A, found)

    def test_other_image(self):
        self.cache(C, image=OTHER)

        found = self.weigh()

        self.assertEqual({0}, set(found.values()))

    def test_no_image_asks_nothing(self):
        self.weigh(image=None)

        self.assertEqual(0, self.queries)

    def test_one_query_for_a_request(self):
        for pool in (A, B):
            self.cache(pool)

        self.weigh()

        self.assertEqual(1, self.queries)

    def test_multiplier_of_0_does_nothing(self):
        self.set(image_volume_cache_weight_multiplier=0.0)
        self.cache(C)

        found = self.weigh()

        self.assertEqual({0}, set(found.values()))
        self.assertEqual(0, self.queries)

    def test_negative_multiplier_prefers_the_others(self):
        self.set(image_volume_cache_weight_multiplier=-5.0)
        self.cache(C)
        self.fill(C, 500)

        found = self.weigh()

        self.assertEqual({A: 0, B: 0, C: -ALL, D: 0}, found)

    def test_snapshot_or_volume_asks_nothing(self):
        """Cinder makes them on the backend of their source."""
        self.cache(C)

        found = self.place(image=None, resource_backend=A,
                           source_volid=str(uuid.uuid4()))

        self.assertEqual(A, found)
        self.assertEqual(0, self.queries)

    def test_volume_of_a_group_stays_on_its_backend(self):
        other = self.add('a@files', pool='q')
        self.cache(C)
        self.cache(other)

        found = self.place(resource_backend='a@files')

        self.assertEqual(other, found)

    def test_volume_of_a_group_is_expected_where_it_goes(self):
        for pool in (A, B, C, D):
            self.fill(pool, 500)
        self.cache(C)

        self.place(resource_backend='b@files')

        found = self.weigh()
        self.assertGreater(found[B], 0)
        self.assertEqual(0, found[A])

    def test_other_requests(self):
        """What groups, retypes and migrations hand over."""
        for properties in (
                {}, {'request_spec': None}, {'request_spec': {}},
                {'request_spec': {'volume_properties': None}},
                {'group_type': {}, 'request_spec': {
                    'volume_properties': {'size': 0}, 'group_type': None}}):
            weigher = weights.ImageVolumeCacheWeigher()
            pools = [cinder_weights.WeighedHost(state, 0.0)
                     for state in self.pools.values()]

            self.assertEqual(
                [0.0] * 4, weigher.weigh_objects(pools, properties))

        self.assertEqual([], self.logged(logging.ERROR))

    def test_pool_in_which_the_volume_failed(self):
        self.cache(B)
        self.cache(C)

        found = self.weigh(retry={'num_attempts': 2, 'backends': [C]})

        self.assertEqual((ALL, 0), (found[B], found[C]))

    def test_one_pool(self):
        self.cache(C)
        weigher = weights.ImageVolumeCacheWeigher()

        found = weigher._weigh_object(self.pools[C], {
            'request_spec': self.spec(), 'context': self.context})

        self.assertEqual(scoring.benefit(20), found)


class TestEncryption(candidates.CandidatesTestCase):

    def test_encrypted_volume_is_made_from_no_cached_one(self):
        self.cache(C)

        found = self.weigh(volume_properties={
            'size': 10, 'encryption_key_id': str(uuid.uuid4())})

        self.assertEqual({0}, set(found.values()))
        self.assertEqual(0, self.queries)

    def test_request_spec_as_the_scheduler_hands_it_over(self):
        """An object, made plain: FilterScheduler._get_weighted_candidates."""
        self.cache(C)
        spec = objects.RequestSpec(
            volume_id=str(uuid.uuid4()), image_id=IMAGE, volume=None,
            volume_properties=objects.VolumeProperties(size=10))
        found = self.weigh(**jsonutils.to_primitive(spec))
        self.assertEqual(ALL, found[C])

        spec.volume_properties.encryption_key_id = str(uuid.uuid4())

        found = self.weigh(**jsonutils.to_primitive(spec))
        self.assertEqual(0, found[C])

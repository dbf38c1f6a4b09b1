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

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from nova.scheduler import weights

from cache_aware_sched.simulator import policy
from cache_aware_sched.simulator.real_nova import references
from tests.unit import base
from tests.unit import factories

MIB = 2 ** 20
GIB = 2 ** 30


class TestFormulas(base.TestCase):
    """Against numbers worked out on paper."""

    def test_one_over_n(self):
        self.assertEqual(
            [0.0, 1.0, 0.5, 0.25],
            [references.one_over_n(number) for number in (0, 1, 2, 4)])

    def test_image_locality_between_its_bounds(self):
        """(2048 * 1/4 - 23) / 977 = 489 / 977."""
        self.assertAlmostEqual(
            0.500512, references.image_locality(2 * GIB, 1, 4), places=6)

    def test_image_locality_everywhere(self):
        """(500 * 10/10 - 23) / 977 = 477 / 977."""
        self.assertAlmostEqual(
            0.488229, references.image_locality(500 * MIB, 10, 10), places=6)

    def test_image_locality_of_a_small_image(self):
        self.assertEqual(0.0, references.image_locality(23 * MIB, 1, 1))
        self.assertEqual(0.0, references.image_locality(900 * MIB, 1, 100))

    def test_image_locality_of_a_large_image(self):
        self.assertEqual(1.0, references.image_locality(1000 * MIB, 1, 1))
        self.assertEqual(1.0, references.image_locality(20 * GIB, 3, 4))

    def test_image_locality_of_one_node_of_a_thousand(self):
        """32 GiB make one point of a hundred: (32.768 - 23) / 977."""
        self.assertAlmostEqual(
            0.009998, references.image_locality(32 * GIB, 1, 1000), places=6)

    @settings(max_examples=25)
    @given(st.integers(0, 2 ** 45), st.integers(0, 1000),
           st.integers(1, 1000))
    def test_image_locality_is_a_share(self, size, holders, more):
        score = references.image_locality(size, holders, holders + more)

        self.assertBetween(0.0, 1.0, score)

    def assertBetween(self, low, high, value):  # noqa: N802
        self.assertTrue(low <= value <= high, value)


class TestWeighers(base.TestCase):

    def weights(self, name, hosts, multiplier=2.0, **spec):
        weigher = references.WEIGHERS[name](multiplier)
        weighed = weights.HostWeightHandler().get_weighed_objects(
            [weigher], hosts, factories.spec(**spec))
        return {one.obj.host: one.weight for one in weighed}

    def test_all_names_have_one(self):
        self.assertEqual(set(policy.REFERENCES), set(references.WEIGHERS))

    def test_binary(self):
        hosts = [factories.host('warm', text=factories.warm()),
                 factories.host('cold', text=factories.cold()),
                 factories.host('arriving', text=factories.arriving()),
                 factories.host('silent')]

        self.assertEqual(
            {'warm': 2.0, 'cold': 0.0, 'arriving': 0.0, 'silent': 0.0},
            self.weights(policy.BINARY, hosts))

    def test_one_over_n(self):
        hosts = [
            factories.host('empty'), factories.host('one', servers=1),
            factories.host('four', servers=4),
            factories.host('other', servers=3, image=factories.OTHER_IMAGE)]

        self.assertEqual(
            {'empty': 0.0, 'one': 2.0, 'four': 0.5, 'other': 0.0},
            self.weights(policy.ONE_OVER_N, hosts))

    def test_image_locality(self):
        """On one of two: (1000/2 - 23) / 977 = 477 / 977."""
        hosts = [factories.host('warm', text=factories.warm()),
                 factories.host('cold', text=factories.cold())]

        found = self.weights(
            policy.IMAGE_LOCALITY, hosts, 1.0, size=1000 * MIB)

        self.assertAlmostEqual(477 / 977, found['warm'])
        self.assertEqual(0.0, found['cold'])

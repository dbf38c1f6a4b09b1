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


import collections
import dataclasses
import math

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched import option
from cache_aware_sched.simulator.input.arrivals import Arrivals
from cache_aware_sched.simulator.input.chance import chance
from cache_aware_sched.simulator.input.chance import weighted
from cache_aware_sched.simulator.input.chance import zipf
from cache_aware_sched.simulator.input import images
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator.workload import Boot
from tests.unit import base
from tests.unit import factories

GIB = factories.GIB


def batches(number, size=1, **kwargs):
    """Return batches of servers, one a second."""
    return [Boot(float(batch), batch, 1, 512, None, **kwargs)
            for batch in range(number) for _server in range(size)]


def assign(servers, seed=0, sizes=None, **mix):
    return images.assign(
        Arrivals(servers, sizes or {}), options.Images(**mix), seed)


def uses(workload):
    """Return how many servers each image has, the most used first."""
    counts = collections.Counter(boot.image for boot in workload.boots)
    return [count for _image, count in counts.most_common()]


class TestImages(base.TestCase):

    def test_a_batch_has_one_image_and_one_project(self):
        found = assign(batches(20, size=3))

        self.assertEqual(20, len({
            (boot.batch, boot.image, boot.project) for boot in found.boots}))

    def test_share_of_private_images(self):
        found = assign(batches(1000), private_share=0.3)

        private = [image for image in found.images.values() if image.private]
        self.assertTrue(250 < len(private) < 350, len(private))

    def test_a_private_image_is_of_one_batch(self):
        found = assign(batches(50, size=2), private_share=1, projects=1)

        self.assertEqual([2] * 50, uses(found))

    def test_public_images_are_shared(self):
        found = assign(batches(1000), private_share=0, public_images=10)

        self.assertEqual(10, len(found.images))
        self.assertFalse(any(
            image.private for image in found.images.values()))

    def test_popularity(self):
        found = uses(assign(batches(6000), private_share=0, public_images=3,
                            zipf_exponent=1))

        # 6 : 3 : 2 of 11
        for count, share in zip(found, (6, 3, 2), strict=True):
            self.assertTrue(abs(count / 6000 - share / 11) < 0.02, found)

    def test_all_are_as_popular(self):
        found = uses(assign(batches(3000), private_share=0, public_images=3,
                            zipf_exponent=0))

        self.assertTrue(all(900 < count < 1100 for count in found), found)

    def test_what_else_there_is_makes_no_difference(self):
        servers = batches(100)

        self.assertEqual(assign(servers).boots[50:],
                         assign(servers[50:]).boots)

    def test_more_private_images_change_no_others(self):
        few, many = (assign(batches(300), private_share=share)
                     for share in (0.2, 0.6))

        for before, after in zip(few.boots, many.boots, strict=True):
            if not many.images[after.image].private:
                self.assertEqual(before, after)

    def test_the_seed_decides(self):
        first, same, other = (assign(batches(50), seed) for seed in (1, 1, 2))

        self.assertEqual(first, same)
        self.assertNotEqual(first, other)

    def test_images_that_are_named_stay(self):
        found = assign(batches(3, image=factories.IMAGE), sizes={
            factories.IMAGE: 7 * GIB})

        self.assertEqual([3], uses(found))
        self.assertEqual(7 * GIB, found.images[factories.IMAGE].size)

    def test_a_named_image_of_unknown_size_gets_one(self):
        found = assign(batches(1, image=factories.IMAGE), image_min_gb=1)

        self.assertTrue(found.images[factories.IMAGE].size >= GIB)

    def test_a_named_image_is_private_if_one_project_uses_it(self):
        of_one, of_two = factories.IMAGE, factories.OTHER_IMAGE
        servers = [
            Boot(0, 0, 1, 512, None, image=image, project=project)
            for image, project in (
                (of_one, 'a' * 32), (of_two, 'a' * 32), (of_two, 'b' * 32),
                (of_two, 'a' * 32), (of_one, 'a' * 32))]

        found = assign(servers)

        self.assertEqual((True, False), (found.images[of_one].private,
                                         found.images[of_two].private))


class TestProjects(base.TestCase):

    def test_one_for_each_batch(self):
        found = assign(batches(20, size=2))

        self.assertEqual(20, len({boot.project for boot in found.boots}))

    def test_a_number_of_them(self):
        found = assign(batches(200), projects=3)

        self.assertEqual(3, len({boot.project for boot in found.boots}))

    def test_those_that_are_named_stay(self):
        found = assign(batches(2, project=factories.PROJECT), projects=3)

        self.assertEqual({factories.PROJECT},
                         {boot.project for boot in found.boots})

    def test_ids_are_as_keystone_makes_them(self):
        project = assign(batches(1)).boots[0].project

        self.assertTrue(len(project) == 32 and int(project, 16))


class TestSizes(base.TestCase):

    @hypothesis.given(
        st.floats(0, 1, exclude_max=True), st.floats(0.01, 100),
        st.floats(0, 5), st.floats(1, 1000), st.floats(1, 1000))
    def test_within_the_bounds(self, value, median, sigma, down, up):
        low, high = max(median / down, 0.001), median * up

        size = images.size(value, options.Images(
            image_median_gb=median, image_sigma=sigma, image_min_gb=low,
            image_max_gb=min(high, 10000)))

        self.assertTrue(round(low * GIB) <= size <= round(high * GIB), size)

    @hypothesis.given(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2))
    def test_larger_for_a_larger_chance(self, values):
        small, large = (images.size(value, options.Images())
                        for value in sorted(values))

        self.assertTrue(small <= large)

    def test_median_and_spread(self):
        mix = options.Images(image_median_gb=4, image_sigma=1,
                             image_min_gb=0.001, image_max_gb=10000)

        # Of a normal distribution 15.87 % are below -1.
        for value, gib in ((0.5, 4), (0.158655, 4 / math.e),
                           (0.841345, 4 * math.e)):
            self.assertAlmostEqual(gib, images.size(value, mix) / GIB, 3)

    def test_a_disk_has_room_for_its_image(self):
        for size, flavor, disk in (
                (20 * GIB, 20, 20), (20 * GIB + 1, 20, 21), (1, 0, 1)):
            self.assertEqual(disk, images.disk_gb(size, flavor))

    def test_a_known_disk_is_taken(self):
        found = assign(batches(1, image=factories.IMAGE, disk_gb=80),
                       sizes={factories.IMAGE: GIB})

        self.assertEqual(80, found.boots[0].disk_gb)


class TestChance(base.TestCase):

    def test_even(self):
        values = [chance(0, 'x', number) for number in range(1000)]

        self.assertTrue(min(values) >= 0 and max(values) < 1)
        tenths = collections.Counter(int(10 * value) for value in values)
        self.assertTrue(all(60 < count < 140 for count in tenths.values()),
                        tenths)

    def test_always_the_same(self):
        self.assertEqual(0.15336597074803238, chance(1, 'image', 2))

    @hypothesis.given(
        st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20),
        st.floats(0, 1, exclude_max=True))
    def test_weighted_is_one_of_them(self, weights, value):
        self.assertIn(weighted(weights)(value), range(len(weights)))

    def test_zipf_counts_from_one(self):
        rank = zipf(2, 1.0)

        self.assertEqual([1, 1, 2, 2],
                         [rank(value) for value in (0, 0.66, 0.67, 0.999)])


class TestOptions(base.TestCase):

    def test_bounds(self):
        for name, value in (
                ('public_images', 0), ('private_share', 1.1),
                ('zipf_exponent', -1), ('image_sigma', math.nan),
                ('image_max_gb', math.inf)):
            error = self.assertRaises(
                option.BadOption, options.Images, **{name: value})
            self.assertIn(name, str(error))

    def test_median_between_the_bounds(self):
        error = self.assertRaises(option.BadOption, options.Images,
                                  image_median_gb=60)

        self.assertIn('image_median_gb', str(error))

    def test_every_option_says_what_it_is(self):
        for section in (options.Options, options.Images, options.Trace,
                        options.Synthetic, options.History):
            for field in dataclasses.fields(section):
                if not dataclasses.is_dataclass(field.default):
                    self.assertTrue(field.metadata['help'].endswith('.'),
                                    field.name)

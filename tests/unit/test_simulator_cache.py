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

from cache_aware_sched.simulator.cloud import cache
from cache_aware_sched.simulator.settings import Settings
from tests.unit import base
from tests.unit import simulated

A, B, C = simulated.A, simulated.B, simulated.C
GIB = simulated.GIB
DAY = 86400.0


class CacheTestCase(base.TestCase):

    def cache(self, manager='age', disk_used=0, **options):
        return cache.Cache(
            Settings(cache_manager=manager, **options), lambda: disk_used)

    def fetch(self, the_cache, image, now, gib=1, in_use=()):
        gone = the_cache.expect(image, gib * GIB, now, in_use)
        the_cache.arrived(image, gib * GIB, now)
        return gone


class TestAge(CacheTestCase):

    def test_old_images_go(self):
        held = self.cache()
        self.fetch(held, A, 0.0)
        self.fetch(held, B, 1.0)

        gone = held.look_through(DAY, ())

        self.assertEqual([A], gone)
        self.assertIn(B, held)
        self.assertEqual(GIB, held.bytes)

    def test_used_images_stay_and_are_as_new(self):
        held = self.cache()
        self.fetch(held, A, 0.0)

        self.assertEqual([], held.look_through(DAY, {A}))
        self.assertEqual([], held.look_through(1.9 * DAY, ()))
        self.assertEqual([A], held.look_through(2 * DAY, ()))

    def test_boot_makes_an_image_as_new(self):
        held = self.cache()
        self.fetch(held, A, 0.0)

        held.use(A, 1000.0)

        self.assertEqual([], held.look_through(DAY, ()))

    def test_protected_images_stay(self):
        held = self.cache(protected_images=(A,))
        self.fetch(held, A, 0.0)

        self.assertEqual([], held.look_through(2 * DAY, ()))

    def test_nothing_goes_if_it_is_told_so(self):
        held = self.cache(remove_unused_base_images=False)
        self.fetch(held, A, 0.0)

        self.assertEqual([], held.look_through(2 * DAY, ()))


class TestOtherManagers(CacheTestCase):

    def test_lru(self):
        held = self.cache('lru', image_cache_max_images=2)
        self.fetch(held, A, 0.0)
        self.fetch(held, B, 1.0)
        held.use(A, 2.0)

        self.assertEqual([B], self.fetch(held, C, 3.0))

    def test_popularity(self):
        held = self.cache('popularity', image_cache_max_images=2)
        self.fetch(held, A, 0.0)
        self.fetch(held, B, 1.0)
        for now in (2.0, 3.0):
            held.booted(A, now)
        held.booted(B, 4.0)

        self.assertEqual([B], self.fetch(held, C, 5.0))

    def test_popularity_fades(self):
        """After three half-lives the two boots of A count a quarter."""
        held = self.cache('popularity', image_cache_max_images=2,
                          image_cache_popularity_half_life_hours=1.0)
        self.fetch(held, A, 0.0)
        self.fetch(held, B, 1.0)
        for now in (2.0, 3.0):
            held.booted(A, now)
        held.booted(B, 3 * 3600.0)

        self.assertEqual([A], self.fetch(held, C, 3 * 3600.0))

    def test_protected(self):
        held = self.cache('protected', image_cache_max_images=1)
        self.fetch(held, A, 0.0)

        self.assertEqual([], self.fetch(held, B, 1.0))
        self.assertEqual([], held.look_through(9 * DAY, ()))

    def test_none(self):
        held = self.cache('none')
        self.fetch(held, A, 0.0)
        self.fetch(held, B, 0.0)

        self.assertEqual([B], held.look_through(0.0, {A}))


class TestLimits(CacheTestCase):

    def test_room_is_made_before_a_fetch(self):
        held = self.cache('lru', image_cache_max_size_gb=3)
        self.fetch(held, A, 0.0, gib=2)
        self.fetch(held, B, 1.0)

        self.assertEqual([A], held.expect(C, GIB, 2.0, ()))

    def test_what_is_used_stays(self):
        held = self.cache('lru', image_cache_max_size_gb=2)
        self.fetch(held, A, 0.0)
        self.fetch(held, B, 1.0)

        self.assertEqual([B], self.fetch(held, C, 2.0, in_use={A}))

    def test_too_large_an_image_evicts_nothing(self):
        held = self.cache('lru', image_cache_max_size_gb=2)
        self.fetch(held, A, 0.0)

        self.assertEqual([], self.fetch(held, B, 1.0, gib=3))
        self.assertEqual(4 * GIB, held.bytes)

    def test_too_large_an_image_goes_first(self):
        held = self.cache('lru', image_cache_max_size_gb=2)
        self.fetch(held, A, 0.0)
        self.fetch(held, B, 1.0, gib=3)

        self.assertEqual([B], held.look_through(2.0, ()))

    def test_other_fetches_count(self):
        held = self.cache('lru', image_cache_max_size_gb=2)
        self.fetch(held, A, 0.0)
        held.expect(B, GIB, 1.0, ())

        self.assertEqual([A], held.expect(C, GIB, 1.0, ()))

    def test_watermarks(self):
        """At 9 of 10 GiB used: down to 70 percent, two of 1 GiB go."""
        held = self.cache('lru', disk_used=6 * GIB, host_disk_gb=10,
                          image_cache_high_watermark_percent=80,
                          image_cache_low_watermark_percent=70)
        for number, image in enumerate((A, B, C)):
            self.fetch(held, image, float(number), in_use={A, B, C})

        self.assertEqual([A, B], held.look_through(9.0, ()))

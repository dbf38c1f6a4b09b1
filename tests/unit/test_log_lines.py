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

from cache_aware_sched.imagecache import loading
from tests.unit import base
from tests.unit import factories


class TestStart(base.TestCase):

    def start(self, manager, **options):
        self.set(image_cache_manager=manager, **options)
        loading.load(manager).init_host('host1')

    def test_what_is_set(self):
        self.start('lru', image_cache_max_size_gb=25,
                   image_cache_high_watermark_percent=80,
                   image_cache_low_watermark_percent=70,
                   protected_images=[factories.IMAGE])

        self.assertEqual(
            ['Image cache of host host1: image_cache_manager = lru, '
             'image_cache_max_size_gb = 25, '
             'image_cache_high_watermark_percent = 80; '
             'protected: 1 image.'], self.logged())
        self.assertEqual([], self.warnings())

    def test_nothing_is_set(self):
        self.start('age')

        self.assertEqual(
            ['Image cache of host host1: image_cache_manager = age, '
             'no limits; protected: 0 images.'], self.logged())

    def test_dry_run(self):
        self.start('age', image_cache_dry_run=True)

        [line] = self.logged()
        self.assertIn('dry run, nothing is evicted', line)

    def test_manager_that_waits_for_a_limit(self):
        for manager in ('lru', 'popularity'):
            self.start(manager)

            warning = self.warnings()[-1]
            self.assertIn(f'image_cache_manager = {manager} waits', warning)
            self.assertIn('image_cache_max_size_gb', warning)

    def test_any_limit_will_do(self):
        for limit in ('image_cache_max_images', 'image_cache_min_free_gb',
                      'image_cache_high_watermark_percent'):
            self.start('lru', **{limit: 1})
            self.set(**{limit: 0})

        self.assertEqual([], self.warnings())

    def test_managers_that_do_not_wait(self):
        for manager in ('age', 'none', 'protected'):
            self.start(manager)

        self.assertEqual([], self.warnings())

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


"""What is critical stays, whoever says so."""

import os

from cache_aware_sched.imagecache import fetches
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import image
from tests.unit.managers import sha1


class CriticalSuite:

    def test_critical_by_option(self):
        self.set(critical_images=[image(1).upper()])

        self.assert_stays(*self.put_images(1))

    def test_critical_by_file(self):
        self.list_critical(image(1))

        self.assert_stays(*self.put_images(1))

    def test_critical_by_aggregate(self):
        self.database.aggregates = {'gold': {'critical_images': image(1)}}
        # A host learns it in its first pass, before anything is evicted.
        self.run_pass()

        self.assert_stays(*self.put_images(1))

    def test_resized_copy_of_a_critical_image(self):
        self.set(critical_images=[image(1)])

        self.assert_stays(self.put(f'{sha1(1)}_20'))

    def test_aggregates_that_nobody_tells_any_more(self):
        """Also after a restart of nova-compute."""
        self.database.aggregates = {'gold': {'critical_images': image(901)}}
        unused = self.squeeze()
        self.run_pass()

        self.database.aggregates = None
        self.run_pass(self.start())

        self.assert_left(*(unused[:1] if self.evicts else unused))
        self.assertEqual(1, len(self.warnings()))
        self.assertIn('aggregates', self.warnings()[0])

    def test_no_longer_critical(self):
        self.database.aggregates = {'gold': {'critical_images': image(901)}}
        unused = self.squeeze()
        manager = self.run_pass()
        self.assertIn(sha1(901), self.names())

        self.database.aggregates = {}
        self.run_pass(manager)

        self.assert_left(*(() if self.evicts else unused))

    def test_critical_file_that_is_not_there_at_the_start(self):
        self.set(critical_images_file=os.path.join(self.path, 'critical'))
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*unused)
        [warning] = [line for line in self.warnings()
                     if 'evicts nothing' in line]
        self.assertIn('critical_images_file', warning)
        self.assertIn(HOST, warning)

    def test_critical_image_that_is_being_fetched(self):
        self.set(critical_images=[image(1)])
        self.glance.add(1, GIB)
        self.set(image_cache_max_size_gb=2)
        manager = self.start()

        with manager.cache.fetching(self.context, image(1), ahead=True):
            part = self.put(f'{sha1(1)}.part', 2 ** 20, 0)
            self.run_pass(manager)
            self.assertIn(part, self.names())
            os.rename(os.path.join(self.cache, part),
                      os.path.join(self.cache, sha1(1)))
            self.set_age(os.path.join(self.cache, sha1(1)), 9 * DAY)
            self.run_pass(manager)
        self.run_pass(manager)

        self.assert_left(sha1(1))

    def test_fetch_of_a_critical_image_evicts_others(self):
        self.set(critical_images=[image(4)], image_cache_max_images=3)
        names = self.put_images(1, 2, 3)
        self.glance.add(4, GIB)

        self.assert_fetched_ahead(names, 1)

    def test_critical_images_do_not_evict_each_other(self):
        self.set(critical_images=[image(1), image(2)],
                 image_cache_max_images=1)
        names = self.put_images(1, age=9 * DAY)
        self.glance.add(2, GIB)
        manager = self.start()

        error = self.assertRaises(
            fetches.NoRoom, self.fetch, manager, 2, ahead=True)

        self.assertIn(f'it takes {GIB} bytes', str(error))
        self.assertIn('image_cache_max_images = 1', str(error))
        # One that a server waits for is fetched, and evicts none either.
        self.fetch(manager, 2)
        self.assert_left(*names)

    def test_critical_image_that_the_disk_cannot_hold(self):
        self.set(critical_images=[image(2)])
        self.limit_disk(10)
        names = self.put_images(1, size=8 * GIB)
        self.glance.add(2, 3 * GIB)

        error = self.assertRaises(
            fetches.NoRoom, self.fetch, self.start(), 2, ahead=True)

        self.assertIn(f'{3 * GIB} bytes', str(error))
        self.assertIn(f'{2 * GIB} bytes are free', str(error))
        self.assert_left(*names)

    def list_critical(self, *lines):
        path = os.path.join(self.path, 'critical')
        with open(f'{path}.new', 'w') as file:
            file.write('\n'.join(lines) + '\n')
        os.replace(f'{path}.new', path)
        self.set(critical_images_file=path)

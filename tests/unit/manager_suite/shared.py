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

"""Two hosts share their storage."""

import os

from cache_aware_sched.imagecache import directory
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import OTHER_HOST
from tests.unit.managers import sha1


class SharedSuite:
    """Two hosts on one storage."""

    def test_each_keeps_what_the_other_uses(self):
        self.share_storage(HOST, OTHER_HOST)
        self.boot(1, host=HOST)
        self.boot(2, host=OTHER_HOST)
        needed = self.put_images(1, 2)
        unused = self.squeeze()

        self.run_pass(self.start())
        self.run_pass(self.start(host=OTHER_HOST))

        self.assert_left(*needed, *(() if self.evicts else unused))

    def test_fetch_of_one_keeps_what_the_other_uses(self):
        self.share_storage(HOST, OTHER_HOST)
        self.boot(1, host=OTHER_HOST)
        needed = self.put_images(1)
        unused = self.squeeze()
        self.glance.add(4, GIB)

        left = self.fetch(self.start(), 4)

        self.assertEqual(
            {*needed, *(() if self.evicts else unused)}, left)

    def test_what_moves_between_others(self):
        self.share_storage(HOST, OTHER_HOST)
        self.migrate(self.boot(1, host='host3'), 'finished', OTHER_HOST,
                     'host3')

        self.assert_stays(*self.put_images(1))

    def test_lock_file_goes_with_the_image(self):
        self.squeeze()
        locks = self.lock_files()

        self.run_pass()

        self.assertEqual(not self.evicts,
                         locks[0] in os.listdir(directory.lock_path()))

    def test_lock_file_stays_when_others_may_wait_for_it(self):
        self.share_storage(HOST, OTHER_HOST)
        self.squeeze()
        locks = self.lock_files()

        self.run_pass()

        self.assertLessEqual(
            set(locks), set(os.listdir(directory.lock_path())))

    def test_lock_files_of_others_stay(self):
        self.squeeze()
        os.makedirs(directory.lock_path(), exist_ok=True)
        for name in ('nova-storage-registry-lock', f'nova-{sha1(1)}'):
            with open(os.path.join(directory.lock_path(), name), 'w'):
                pass

        self.run_pass()

        self.assertLessEqual(
            {'nova-storage-registry-lock', f'nova-{sha1(1)}'},
            set(os.listdir(directory.lock_path())))

    def test_each_has_a_history_of_its_own(self):
        self.boot(1)
        self.share_storage(HOST, OTHER_HOST)

        self.run_pass(self.start())
        self.run_pass(self.start(host=OTHER_HOST))

        self.assertLessEqual(
            {f'image-cache-{HOST}.json', f'image-cache-{OTHER_HOST}.json'},
            set(os.listdir(self.path)))

    def lock_files(self):
        names = [f'nova-{sha1(number)}' for number in (901, 902)]
        os.makedirs(directory.lock_path(), exist_ok=True)
        for name in names:
            with open(os.path.join(directory.lock_path(), name), 'w'):
                pass
        return names

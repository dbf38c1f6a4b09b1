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

import errno
import os
import shutil
import time
from unittest import mock

import fixtures
from nova.virt import storage_users

from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import image
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
                         locks[0] in os.listdir(self.lock_path()))

    def test_file_that_was_touched_a_moment_ago(self):
        """Another host takes it to rescue a server, which no row tells."""
        self.share_storage(HOST, OTHER_HOST)
        self.set(image_cache_max_images=1)
        names = self.put_images(1, 2, age=0, step=1)
        old = self.put_images(3, age=100)

        self.run_pass()

        self.assert_left(*names, *(() if self.evicts else old))

    def test_image_is_looked_for_at_the_file_server(self):
        """That leaves nothing behind, whether it is there or not."""
        self.share_storage(HOST, OTHER_HOST)
        [there] = self.put_images(1)
        manager = self.start()

        with manager.cache.using(image(1), image(2)):
            self.assert_left(there)

        self.assertFalse(os.path.islink(os.path.join(self.cache, there)))
        self.assertEqual(GIB, os.stat(
            os.path.join(self.cache, there)).st_size)

    def test_no_lock_file_of_what_another_has_removed(self):
        self.squeeze()
        manager = self.meddle(lambda entry: os.unlink(
            os.path.join(self.cache, entry.name)))

        self.run_pass(manager)

        self.assertEqual([], [
            name for name in os.listdir(self.lock_path())
            if name[5:] in (sha1(901), sha1(902))] if self.evicts and
            os.path.exists(self.lock_path()) else [])

    def test_no_lock_file_is_left_behind(self):
        """Not of a resized copy, nor of the remains of a fetch."""
        self.set(image_cache_max_size_gb=1)
        self.put(f'{sha1(1)}_20', age=10 * DAY)
        self.put(f'{sha1(2)}.part', age=10 * DAY)
        self.put_images(3, age=10 * DAY)

        self.run_pass()

        left = [name for name in os.listdir(self.lock_path())
                if name.startswith('nova-')
                and not os.path.exists(os.path.join(self.cache, name[5:]))]
        self.assertEqual(
            [], [name for name in left if name[5:45] in (sha1(1), sha1(2))])

    def test_lock_file_stays_when_others_may_wait_for_it(self):
        self.share_storage(HOST, OTHER_HOST)
        self.squeeze()
        locks = self.lock_files()

        self.run_pass()

        self.assertLessEqual(
            set(locks), set(os.listdir(self.lock_path())))

    def test_lock_files_of_others_stay(self):
        self.squeeze()
        os.makedirs(self.lock_path(), exist_ok=True)
        for name in ('nova-storage-registry-lock', f'nova-{sha1(1)}'):
            with open(os.path.join(self.lock_path(), name), 'w'):
                pass

        self.run_pass()

        self.assertLessEqual(
            {'nova-storage-registry-lock', f'nova-{sha1(1)}'},
            set(os.listdir(self.lock_path())))

    def test_host_is_known_to_the_others_from_the_start(self):
        self.share_storage(OTHER_HOST)

        self.start()

        self.assert_known(HOST, OTHER_HOST)

    def test_host_says_that_it_is_there_every_hour(self):
        now = time.monotonic()
        clock = self.useFixture(fixtures.MockPatch(
            'time.monotonic', return_value=now)).mock
        store = self.start().store
        os.unlink(self.known())

        for seconds, users in ((1, ()), (3540, ()), (3660, (HOST,))):
            clock.return_value = now + seconds
            store.register()

            self.assert_known(*users)

    def test_nobody_is_forgotten_when_the_disk_is_full(self):
        """nova empties the file before it writes it."""
        self.share_storage(OTHER_HOST)
        with open(self.known(), 'rb') as file:
            before = file.read()
        self.useFixture(fixtures.MonkeyPatch(
            'shutil.disk_usage', lambda path: shutil._ntuple_diskusage(
                10 * GIB, 10 * GIB, 0)))

        self.start()

        with open(self.known(), 'rb') as file:
            self.assertEqual(before, file.read())
        [warning] = self.warnings()
        self.assertIn(HOST, warning)
        self.assertIn(self.path, warning)

    def test_host_that_cannot_say_that_it_is_there(self):
        unused = self.squeeze()
        with mock.patch.object(
                storage_users, 'register_storage_use',
                side_effect=PermissionError(errno.EACCES, 'Not ours')):
            manager = self.start()
        [warning] = self.warnings()

        self.run_pass(manager)

        self.assert_left(*(() if self.evicts else unused))
        self.assertIn(HOST, warning)
        self.assertIn('Not ours', warning)
        self.assertEqual([], self.errors())

    def known(self):
        """Return the file in which nova notes who shares the storage."""
        return os.path.join(self.path, 'compute_nodes')

    def assert_known(self, *hosts):
        self.assertEqual(
            set(hosts), set(storage_users.get_storage_users(self.path)))

    def test_each_has_a_history_of_its_own(self):
        self.boot(1)
        self.share_storage(HOST, OTHER_HOST)

        self.run_pass(self.start())
        self.run_pass(self.start(host=OTHER_HOST))

        self.assertLessEqual(
            {f'image-cache-{HOST}.json', f'image-cache-{OTHER_HOST}.json'},
            set(os.listdir(self.path)))

    def lock_path(self):
        return os.path.join(self.path, 'locks')

    def lock_files(self):
        names = [f'nova-{sha1(number)}' for number in (901, 902)]
        os.makedirs(self.lock_path(), exist_ok=True)
        for name in names:
            with open(os.path.join(self.lock_path(), name), 'w'):
                pass
        return names

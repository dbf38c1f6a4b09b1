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

"""What goes wrong harms nothing."""

import errno
import logging
import os
import shutil
import signal
from unittest import mock

import fixtures
from nova.virt import storage_users

from cache_aware_sched.imagecache import directory
from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import image
from tests.unit.managers import sha1


class TroubleSuite:
    """A pass always comes to its end."""

    def test_locked_by_another_process(self):
        unused = self.squeeze()

        with self.locked_elsewhere(sha1(901)):
            self.run_pass()

        self.assert_left(*(unused[:1] if self.evicts else unused))

    def test_resized_copy_of_an_image_that_is_locked(self):
        unused = self.squeeze()
        resized = self.put(f'{sha1(901)}_20', 2 * GIB, 9 * DAY)

        with self.locked_elsewhere(sha1(901)):
            self.run_pass()

        self.assert_left(resized, *(unused[:1] if self.evicts else unused))

    def test_used_between_look_and_removal(self):
        def use(entry):
            os.utime(os.path.join(self.cache, entry.name))

        manager = self.meddle(use)

        self.run_pass(manager)

        self.assert_left(sha1(901), sha1(902))

    def test_replaced_between_look_and_removal(self):
        replaced = set()

        def replace(entry):
            # The second time it could get the inode that it had at first.
            if entry.name in replaced:
                return
            replaced.add(entry.name)
            path = os.path.join(self.cache, entry.name)
            with open(f'{path}.new', 'wb'):
                pass
            os.utime(f'{path}.new', ns=(entry.used_ns, entry.used_ns))
            os.replace(f'{path}.new', path)

        manager = self.meddle(replace)

        self.run_pass(manager)

        self.assert_left(sha1(901), sha1(902))

    def test_protected_between_look_and_removal(self):
        self.protect('# nothing yet')
        manager = self.meddle(
            lambda entry: self.protect(image(901), image(902)))

        self.run_pass(manager)

        self.assert_left(sha1(901), sha1(902))

    def test_file_that_cannot_be_removed_is_tried_once(self):
        """In a pass: what is too old may exceed a limit, too."""
        self.squeeze()
        manager = self.start()
        self.useFixture(fixtures.MockPatchObject(
            directory.os, 'unlink', autospec=True,
            side_effect=PermissionError(errno.EPERM, 'Not permitted')))

        self.run_pass(manager)

        self.assertEqual(2 if self.evicts else 0, len(self.errors()))

    def test_file_that_vanishes(self):
        def vanish(entry):
            os.unlink(os.path.join(self.cache, entry.name))

        notifier = self.listen()
        manager = self.meddle(vanish)

        self.run_pass(manager)

        self.assert_left(*(() if self.evicts else (sha1(901), sha1(902))))
        self.assertEqual([], self.errors() + self.evictions(notifier))

    def test_directory_that_vanishes(self):
        """As when the storage is unmounted."""
        manager = self.meddle(
            lambda entry: shutil.rmtree(self.cache, ignore_errors=True))

        self.run_pass(manager)

        self.assertEqual([], self.errors())

    def test_file_that_cannot_be_removed(self):
        for number in (errno.EPERM, errno.EROFS, errno.EIO):
            unused = self.squeeze()
            unlink = os.unlink

            def fail(path, unlink=unlink, number=number):
                if path.endswith(sha1(901)):
                    raise OSError(number, os.strerror(number), path)
                unlink(path)

            with mock.patch('os.unlink', fail):
                self.run_pass()

            self.assert_left(*(unused[:1] if self.evicts else unused))
            if self.evicts:
                error = self.errors()[-1]
                self.assertIn(HOST, error)
                self.assertIn(os.path.join(self.cache, sha1(901)), error)
                self.assertIn(os.strerror(number), error)

    def test_directory_that_is_not_ours(self):
        unused = self.squeeze()
        os.chmod(self.cache, 0o555)
        self.addCleanup(os.chmod, self.cache, 0o755)

        errors = self.run_pass_as_nobody(logging.ERROR)

        self.assert_left(*unused)
        for name in unused:
            self.assertEqual(
                self.evicts, any(name in error for error in errors))

    def test_disk_that_is_full(self):
        """Only the history needs any of it."""
        unused = self.squeeze()
        manager = self.start()

        def full(path, *args, **kwargs):
            if str(path).endswith('.json.new'):
                raise OSError(errno.ENOSPC, 'No space left on device')
            return open(path, *args, **kwargs)

        self.boot(1)
        self.boot(2)
        with mock.patch('cache_aware_sched.imagecache.history.open', full,
                        create=True):
            for _ in range(2):
                self.run_pass(manager)
                manager.cache.booted(self.context, image(2), True, 1,
                                     self.database.servers[1].uuid)

        self.assert_left(*(() if self.evicts else unused))
        [warning] = self.warnings()
        self.assertIn(f'image-cache-{HOST}.json', warning)

    def test_killed_in_the_middle_of_a_pass(self):
        self.boot(1)
        self.put_images(1)
        self.squeeze()
        more = self.put_images(3, 4, 5, size=2 * GIB, age=9 * DAY)
        manager = self.start()

        def child():
            unlink, removed = os.unlink, []

            def die(path):
                if len(removed) == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                removed.append(path)
                unlink(path)

            with mock.patch('os.unlink', die):
                self.run_pass(manager)

        code, _answer = self.run_in_child(child)
        if not self.evicts:
            self.assert_left(sha1(1), sha1(901), sha1(902), *more)
            return
        self.assertEqual(-signal.SIGKILL, code)
        self.assertEqual(4, len(self.names()))

        self.run_pass()

        self.assert_left(sha1(1))

    def test_database_that_fails(self):
        for owner, name in (
                (managers.objects.InstanceList, 'get_by_filters'),
                (managers.objects.BlockDeviceMappingList,
                 'bdms_by_instance_uuid'),
                (storage_users, 'get_storage_users')):
            unused = self.squeeze()
            self.glance.add(900, GIB)
            manager = self.start()

            with mock.patch.object(
                    owner, name, side_effect=RuntimeError('no database')):
                manager.update(self.context, managers.objects.InstanceList(
                    objects=[self.boot(1)]))
                self.assert_left(*unused)
                error = self.errors()[-1]
                left = self.fetch(manager)

            self.assertEqual(set(unused), left)
            self.assertIn(HOST, error)
            self.assertIn(self.cache, error)

    def test_database_that_fails_for_a_while(self):
        unused = self.squeeze()
        manager = self.start()
        with mock.patch.object(
                managers.objects.InstanceList, 'get_by_filters',
                side_effect=RuntimeError('no database')):
            manager.update(self.context, managers.objects.InstanceList(
                objects=[]))
        self.assertEqual(1, len(self.errors()))

        self.run_pass(manager)

        self.assert_left(*(() if self.evicts else unused))
        self.assertEqual(1, len(self.errors()))

    def test_migrations_that_cannot_be_told(self):
        self.boot(1)
        self.put_images(1)
        unused = self.squeeze()
        self.useFixture(fixtures.MockPatchObject(
            managers.objects.MigrationList, 'get_by_filters',
            side_effect=RuntimeError('no database')))

        manager = self.run_pass()
        self.run_pass(manager)

        self.assert_left(sha1(1), *(() if self.evicts else unused))
        self.assertEqual(1, len(self.warnings()))

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

"""What disks are made on top of stays."""

import logging
import os

from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import sha1

NOBODY = 65534


class DiskSuite:
    """Disks tell what they are made on top of, whoever they are of."""

    def test_flat_disk_needs_nothing(self):
        self.put_images(1, size=2 * GIB, age=10 * DAY)
        folder = os.path.join(self.path, 'aaaaaaaa-flat')
        os.mkdir(folder)
        with open(os.path.join(folder, 'disk'), 'wb') as disk:
            disk.truncate(GIB)
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else (sha1(1), *unused)))

    def test_flat_disk_of_a_server(self):
        booted = self.boot(1)
        folder = os.path.join(self.path, booted.uuid)
        os.mkdir(folder)
        with open(os.path.join(folder, 'disk'), 'wb') as disk:
            disk.truncate(GIB)

        self.assert_stays(*self.put_images(1))

    def test_directory_that_the_database_does_not_know(self):
        self.put_images(1)
        self.make_disk(sha1(1))

        self.assert_stays(sha1(1))

    def test_directory_of_a_resize(self):
        self.put_images(1)
        self.make_disk(sha1(1), of=f'{self.boot(2).uuid}_resize')

        self.assert_stays(sha1(1))

    def test_old_name_of_a_directory(self):
        self.put_images(1)
        self.make_disk(sha1(1), of='instance-00000001')

        self.assert_stays(sha1(1))

    def test_image_that_the_server_was_rebuilt_from(self):
        self.put_images(1)
        self.make_disk(sha1(1), of=self.boot(2).uuid)

        self.assert_stays(sha1(1))

    def test_resized_copy(self):
        self.put_images(1, size=2 ** 20)
        resized = self.put(f'{sha1(1)}_20', 2 ** 20)
        self.make_disk(resized)
        self.set(image_cache_max_size_gb=0)

        # The original is of no use to the disk, nor is it in the way: one
        # image is one image.
        manager = self.start()
        self.run_pass(manager)

        self.assertIn(resized, self.names())

    def test_chain_of_three_within_the_cache(self):
        self.put_images(1, size=GIB // 2)
        managers.make_qcow2(os.path.join(self.cache, f'{sha1(1)}_1'),
                            os.path.join(self.cache, sha1(1)))
        self.make_disk(f'{sha1(1)}_1')

        self.assert_stays(sha1(1), f'{sha1(1)}_1')

    def test_chain_of_three_beside_the_cache(self):
        self.put_images(1)
        middle = self.make_disk(sha1(1), name='middle', of='aaaaaaaa-server')
        self.make_disk(middle, of='aaaaaaaa-server')

        self.assert_stays(sha1(1))

    def test_disk_of_another_name(self):
        self.put_images(1)
        self.make_disk(sha1(1), name='disk.eph0')

        self.assert_stays(sha1(1))

    def test_disk_that_was_moved_here(self):
        self.put_images(1)
        path = self.make_disk(sha1(1))
        managers.make_qcow2(path, f'/elsewhere/_base/{sha1(1)}')

        self.assert_stays(sha1(1))

    def test_disk_that_cannot_be_read(self):
        # Given a disk that is a link in a circle.
        folder = os.path.join(self.path, 'aaaaaaaa-circle')
        os.mkdir(folder)
        os.symlink('disk', os.path.join(folder, 'disk'))
        unused = self.squeeze()

        manager = self.run_pass()
        self.run_pass(manager)

        self.assert_left(*unused)
        [warning] = self.warnings()
        self.assertIn(os.path.join(folder, 'disk'), warning)
        self.assertIn(HOST, warning)

    def test_disk_that_can_be_read_again(self):
        folder = os.path.join(self.path, 'aaaaaaaa-circle')
        os.mkdir(folder)
        os.symlink('disk', os.path.join(folder, 'disk'))
        unused = self.squeeze()
        manager = self.run_pass()

        os.unlink(os.path.join(folder, 'disk'))
        self.run_pass(manager)

        self.assert_left(*(() if self.evicts else unused))

    def test_directory_of_a_server_that_cannot_be_read(self):
        unused = self.squeeze()
        self.make_disk(unused[0], of='aaaaaaaa-secret')
        secret = os.path.join(self.path, 'aaaaaaaa-secret')
        os.chmod(secret, 0)
        self.addCleanup(os.chmod, secret, 0o700)

        warnings = self.run_pass_as_nobody()

        self.assert_left(*unused)
        self.assertEqual(1, len(warnings))
        self.assertIn('aaaaaaaa-secret', warnings[0])

    def run_pass_as_nobody(self, level=logging.WARNING):
        """Start and make a pass in a process not root's; return its log."""
        locks = os.path.join(self.path, 'locks')
        os.makedirs(locks, exist_ok=True)
        for path in (os.path.dirname(self.path), self.path, locks):
            os.chmod(path, 0o777)

        def child():
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            self.run_pass()
            return self.logged(level)

        code, lines = self.run_in_child(child)
        self.assertEqual(0, code)
        return lines

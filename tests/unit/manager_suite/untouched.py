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

"""What is no entry is not there."""

import os

import fixtures

from tests.unit.managers import GIB
from tests.unit.managers import HOST
from tests.unit.managers import sha1


class UntouchedSuite:
    """What is no entry of the cache is not there for a manager."""

    def test_other_names(self):
        self.assert_stays(*[self.put(name, 2 * GIB) for name in (
            'notes', 'x' * 40, 'A' * 40, f'{sha1(1)}.bak', f'{sha1(1)}_x',
            f'{sha1(1)}_', f'.{sha1(1)}', f'{sha1(1)}_20.part', 'swap_x',
            'ephemeral_1_abc', 'ephemeral_x_abcdef0', sha1(1)[1:])])

    def test_directories(self):
        os.mkdir(os.path.join(self.cache, sha1(1)))
        os.mkdir(os.path.join(self.cache, 'swap_512'))

        self.assert_stays(sha1(1), 'swap_512')

    def test_what_does_not_count(self):
        self.set(image_cache_max_images=1, image_cache_max_size_gb=1)
        os.mkdir(os.path.join(self.cache, sha1(1)))
        target = os.path.join(self.path, 'large')
        with open(target, 'wb') as file:
            file.truncate(9 * GIB)
        os.symlink(target, os.path.join(self.cache, sha1(2)))
        self.put('x' * 40)
        names = self.put_images(3)

        self.run_pass()

        self.assert_left(sha1(1), sha1(2), 'x' * 40,
                         *(names if self.keeps_unused else ()))

    def test_pipe(self):
        os.mkfifo(os.path.join(self.cache, sha1(1)))

        self.assert_stays(sha1(1))

    def test_symlink_to_a_file_outside(self):
        target = os.path.join(self.path, 'precious')
        with open(target, 'w') as file:
            file.write('x')
        os.symlink(target, os.path.join(self.cache, sha1(1)))

        self.assert_stays(sha1(1))

        self.assertTrue(os.path.exists(target))

    def test_symlink_to_a_file_inside(self):
        self.boot(1)
        self.put_images(1)
        os.symlink(sha1(1), os.path.join(self.cache, sha1(2)))
        os.symlink('nowhere', os.path.join(self.cache, sha1(3)))
        self.squeeze()

        self.run_pass()

        self.assertLessEqual({sha1(1), sha1(2), sha1(3)}, self.names())

    def test_file_that_becomes_a_symlink(self):
        target = os.path.join(self.path, 'precious')
        with open(target, 'w') as file:
            file.write('x')

        def swap_it(entry):
            path = os.path.join(self.cache, entry.name)
            status = os.lstat(path)
            os.unlink(path)
            os.symlink(target, path)
            os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns),
                     follow_symlinks=False)

        manager = self.meddle(swap_it)

        self.run_pass(manager)

        self.assert_left(sha1(901), sha1(902))
        self.assertTrue(os.path.exists(target))

    def test_nothing_beside_the_cache(self):
        self.squeeze()
        os.mkdir(os.path.join(self.path, 'aaaaaaaa-server'))
        for path in (sha1(1), f'aaaaaaaa-server/{sha1(2)}'):
            with open(os.path.join(self.path, path), 'w'):
                pass

        self.run_pass()

        self.assertTrue(os.path.exists(os.path.join(self.path, sha1(1))))
        self.assertTrue(os.path.exists(
            os.path.join(self.path, 'aaaaaaaa-server', sha1(2))))

    def test_directory_that_is_not_there(self):
        os.rmdir(self.cache)

        self.run_pass()

        self.assertEqual([], self.warnings() + self.errors())
        os.mkdir(self.cache)

    def test_directory_that_cannot_be_read(self):
        self.squeeze()
        os.rename(self.cache, f'{self.cache}.away')
        with open(self.cache, 'w'):
            pass

        self.run_pass()

        [warning] = self.warnings()
        self.assertIn(HOST, warning)
        self.assertIn(self.cache, warning)

    def test_directory_that_is_a_symlink(self):
        """Operators put the cache on a disk of its own."""
        elsewhere = self.useFixture(fixtures.TempDir()).path
        os.rmdir(self.cache)
        os.symlink(elsewhere, self.cache)
        unused = self.squeeze()

        self.run_pass()

        self.assert_left(*(() if self.evicts else unused))

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

"""Two hosts whose kernels remember what the file server said.

Needs root and bindfs, which mounts a directory as a file server would be.
"""

import os
import shutil
import subprocess

import fixtures

from cache_aware_sched.imagecache import file_server
from tests.unit import base

#: Seconds for which a kernel answers from its memory.
REMEMBERS = 60


class TestTwoHosts(base.TestCase):

    def setUp(self):
        super().setUp()
        if shutil.which('bindfs') is None or os.geteuid():
            self.skipTest('needs root and bindfs: install bindfs and fuse3')
        self.server = self.useFixture(fixtures.TempDir()).path
        self.one, self.other = (self.mount() for _host in range(2))
        self.write('image')

    def mount(self):
        path = self.useFixture(fixtures.TempDir()).path
        done = subprocess.run(
            ['bindfs', '-o', f'attr_timeout={REMEMBERS},'
             f'entry_timeout={REMEMBERS},ac_attr_timeout={REMEMBERS}',
             self.server, path], capture_output=True, check=False)
        if done.returncode:
            self.skipTest('nothing can be mounted here')
        self.addCleanup(subprocess.run, ['umount', path], check=True)
        return path

    def write(self, name):
        with open(os.path.join(self.server, name), 'wb') as file:
            file.write(b'x' * 4096)

    def test_file_that_the_other_host_has_just_touched(self):
        path = os.path.join(self.one, 'image')
        before = os.stat(path).st_mtime_ns
        os.utime(os.path.join(self.other, 'image'), ns=(10 ** 18, 10 ** 18))
        # Given that a look is answered from memory
        self.assertEqual(before, os.stat(path).st_mtime_ns)

        found = file_server.found(path)

        self.assertEqual(10 ** 18, found[1])

    def test_file_that_the_other_host_has_evicted(self):
        path = os.path.join(self.one, 'image')
        os.stat(path)
        os.unlink(os.path.join(self.other, 'image'))
        self.assertTrue(os.path.exists(path))

        file_server.look_up_anew(path)

        self.assertFalse(os.path.exists(path))

    def test_file_that_is_there(self):
        path = os.path.join(self.one, 'image')

        file_server.look_up_anew(path)

        self.assertEqual(4096, os.stat(path).st_size)
        self.assertEqual(['image'], os.listdir(self.server))

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

"""What an eviction frees where files share blocks, without such files."""

import os
import subprocess
import sys

import fixtures

from cache_aware_sched.imagecache import evictor
from cache_aware_sched.testing import directories
from tests.unit import base


class TestPatience(directories.DirectoryStage, base.TestCase):
    """A boot may wait for what the kernel tells of each file."""

    def setUp(self):
        super().setUp()
        self.asked = []
        self.patch_object(
            directories.SparseDirectory, 'shared',
            lambda _store, entry: self.asked.append(entry) or entry.size)
        self.configure(image_cache_min_free_gb=9)
        self.limit_disk(10)
        self.put_images(1, 2, 3)

    def test_what_frees_nothing_stays(self):
        self.run_pass()

        self.assertEqual(3, len(self.asked))
        self.assert_left(1, 2, 3)

    def test_what_was_not_asked_about_counts_as_free(self):
        self.patch_object(evictor, '_SHARED_SECONDS', 0)

        self.run_pass()

        self.assertEqual([], self.asked)
        self.assert_left(3)


class TestBlocks(base.TestCase):

    def test_what_is_no_file_keeps_nobody_waiting(self):
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'disk')
        os.mkfifo(path)

        result = subprocess.run(
            [sys.executable, '-c', 'import sys\n'
             'from cache_aware_sched.imagecache import shared_blocks\n'
             'print(shared_blocks.of(sys.argv[1]))', path],
            capture_output=True, text=True, timeout=60, check=True)

        self.assertEqual('None\n', result.stdout)

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

"""Raw disks that share blocks with the image cache, on real file systems.

Skipped where none can be mounted; see tests/loop_mount.py.
"""

# isort: off
from tests.functional import test_image_cache
# isort: on

import hashlib
import os
import pathlib

import fixtures

from cache_aware_sched.cli import raw_disks
from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import shared_blocks
from cache_aware_sched import report
from tests import loop_mount

MIB = test_image_cache.MIB

#: Of an image: much beside what else nova-compute writes.
BYTES = 32 * MIB

_SIZE_OF = directory.Directory.__dict__['size_of']


class RawDisksTestCase(test_image_cache.ImageCacheTestCase):
    """``images_type = raw``, and a file system for the instances.

    :cvar KIND: of file system
    :cvar MKFS: what mkfs is told besides
    """

    KIND = 'xfs'
    MKFS = ()
    OPTIONS = {'image_cache_manager': 'lru'}

    def setUp(self):
        super().setUp()
        self.need_qemu_img()
        self.mount = loop_mount.mount(self, self.KIND, *self.MKFS)
        self.instances = os.path.join(self.mount, 'instances')
        self.flags(instances_path=self.instances)
        self.directory = directory.cache_dir()
        self.flags(group='libvirt', images_type='raw')
        # As it is, and not by the length of sparse files.
        self.useFixture(fixtures.MockPatchObject(
            directory.Directory, 'size_of', _SIZE_OF))

    def image(self, data=None, size=None):
        return super().image(data or os.urandom(BYTES), size)

    def base(self, image_id):
        return os.path.join(self.directory, report.image_sha1(image_id))

    def disk(self, server):
        return os.path.join(self.instances, server['id'], 'disk')

    def used(self):
        """Return the bytes that are used of the file system."""
        os.sync()
        found = os.statvfs(self.mount)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def digest(self, path):
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()

    def make_old(self, *image_ids):
        for image_id in image_ids:
            os.utime(self.base(image_id), (0, 0))

    def unshelved(self):
        """Return a server, and the image that its disk is a copy of.

        No instance names that image any more: it was the server's snapshot.
        """
        image_id = self.image()
        server = self._shelve_server(self.boot_to_shelve(image_id))
        [snapshot] = [one['id'] for one in self.glance.images.values()
                      if one['name'].endswith('shelved')]
        return self._unshelve_server(server), snapshot

    def hold_old(self):
        """Let the host hold an image that nothing shares."""
        image_id = self.image()
        self.pre_cache(image_id)
        self.make_old(image_id)
        return image_id


class XfsTests(RawDisksTestCase):

    def test_boot_copies_nothing(self):
        image_id = self.image()
        self.boot(image_id)
        before = self.used()

        server = self.boot(image_id)

        self.assertLess(self.used() - before, BYTES / 4)
        blocks = shared_blocks.of(self.disk(server), sync=True)
        self.assertLessEqual(BYTES, blocks.mapped)
        self.assertEqual(blocks.mapped, blocks.shared)

    def test_report(self):
        """An image has the size that is fetched, however many share it."""
        image_id = self.image()
        self.boot(image_id)
        self.boot(image_id)

        self.report_now()

        found = self.report()
        self.assertIs(True, found.facts.reflinks)
        self.assertEqual(
            report.size_code(BYTES),
            report.size_code(found.look_up(report.image_key(image_id)).size))

    def test_image_that_frees_nothing_stays(self):
        """Its disk has all of its blocks: the disk stays as full."""
        _server, snapshot = self.unshelved()
        other = self.hold_old()
        self.make_old(snapshot)
        self.restart(image_cache_min_free_gb=1000)

        self.run_pass()

        self.assertEqual([snapshot], self.held(snapshot, other))
        self.assertEqual([], [image_id for action, image_id in self.told()
                              if (action, image_id) == ('evict', snapshot)])

    def test_image_that_frees_what_was_written_since(self):
        server, snapshot = self.unshelved()
        self.make_old(snapshot)
        with open(self.disk(server), 'r+b') as disk:
            disk.write(os.urandom(8 * MIB))
            os.fsync(disk.fileno())
        self.restart(image_cache_min_free_gb=1000)

        self.run_pass()

        self.assertEqual([], self.held(snapshot))
        self.assertIn(f'{BYTES} bytes, {BYTES - 8 * MIB} of them shared with '
                      'disks and not free', self.log())

    def test_other_limits_count_the_whole_file(self):
        """And a disk stays whole when the image is gone."""
        server, snapshot = self.unshelved()
        before = self.digest(self.disk(server))
        self.make_old(snapshot)
        self.restart(image_cache_max_images=1)

        self.run_pass()

        self.assertEqual([], self.held(snapshot))
        self.assertEqual(before, self.digest(self.disk(server)))

    def test_check(self):
        self.boot(self.image())
        self.boot(self.image())

        found = raw_disks.try_copy()

        self.assertEqual((True, True, False, ''), (
            found.shares, found.reflinks, found.own_device, found.error))
        self.assertEqual(self.KIND, found.kind)
        self.assertEqual(2, found.disks)
        self.assertLessEqual(2 * BYTES, found.shared_bytes)
        self.assertEqual([], list(pathlib.Path(self.mount).rglob(
            '.cache-aware-sched-*')))


class BtrfsTests(RawDisksTestCase):

    KIND = 'btrfs'

    test_boot_copies_nothing = XfsTests.test_boot_copies_nothing
    test_image_that_frees_nothing_stays = (
        XfsTests.test_image_that_frees_nothing_stays)


class NoReflinksTests(RawDisksTestCase):
    """Each disk is a copy."""

    MKFS = ('-m', 'reflink=0')

    def test_boot(self):
        image_id = self.image()
        self.boot(image_id)
        before = self.used()

        self.boot(image_id)

        self.assertLess(BYTES / 2, self.used() - before)
        found = raw_disks.try_copy()
        self.assertEqual((False, False, ''), (
            found.shares, found.reflinks, found.error))

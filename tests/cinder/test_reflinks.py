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

"""Cached volumes whose clones share their blocks, on a real file system.

Skipped where none can be mounted; see tests/loop_mount.py.
"""

import os

from cache_aware_sched.imagecache import shared_blocks
from tests.cinder import services
from tests import loop_mount

#: Of the image: much beside what else the services write.
MIB = 16


class TestReflinks(services.ServicesTestCase):

    def storage(self):
        self.mount = loop_mount.mount(self, 'xfs')
        return self.mount

    def setUp(self):
        super().setUp()
        self.add_image(services.IMAGE, mib=MIB)

    def test_eight_volumes_take_the_blocks_of_two_images(self):
        before = self.used()

        volumes = [self.ready(self.post()) for _ in range(8)]

        image = MIB * services.MIB
        self.assertEqual(2, len(self.fleet.fetched))
        self.assertLess(self.used() - before, 2.5 * image)
        cached = [entry.volume_id for entry in self.entries()]
        for volume in (*volumes, *cached):
            blocks = shared_blocks.of(self.path(volume), sync=True)
            self.assertGreaterEqual(blocks.shared, image, volume)

    def path(self, volume):
        return os.path.join(self.fleet.directory, self.pool(volume),
                            f'volume-{volume}')

    def used(self):
        os.sync()
        told = os.statvfs(self.directory)
        return (told.f_blocks - told.f_bfree) * told.f_frsize

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

"""What nova's own manager has."""

import os

from nova.virt.libvirt import imagecache as nova_imagecache

from tests.unit import managers
from tests.unit.managers import sha1

MIB = 2 ** 20


class NovaSuite:
    """A manager is one of nova's."""

    def test_disk_usage(self):
        for number, size in ((1, 5000), (2, MIB)):
            with open(self.put_path(sha1(number)), 'wb') as file:
                file.write(b'x' * size)
        with open(self.put_path('notes'), 'wb') as file:
            file.write(b'x' * 70000)
        self.put_images(3)
        os.symlink(sha1(1), self.put_path(sha1(4)))
        os.mkdir(self.put_path(sha1(5)))

        usage = self.start().get_disk_usage()

        self.assertEqual(
            nova_imagecache.ImageCacheManager().get_disk_usage(), usage)
        self.assertGreater(usage, MIB)

    def test_disk_usage_of_a_missing_directory(self):
        os.rmdir(self.cache)

        self.assertEqual(0, self.start().get_disk_usage())
        os.mkdir(self.cache)

    def test_directory(self):
        manager = self.start()

        self.assertEqual(self.cache, manager.cache_dir)
        self.assertEqual(self.cache, manager._get_base())
        os.rmdir(self.cache)
        self.assertIsNone(manager._get_base())
        os.mkdir(self.cache)

    def test_other_subdirectory(self):
        self.set_nova('image_cache', subdirectory_name='elsewhere')
        nova_s = nova_imagecache.ImageCacheManager()

        self.assertEqual(nova_s.cache_dir, self.start().cache_dir)

    def test_steps_of_a_pass(self):
        unused = self.squeeze()
        manager = self.start()

        manager._scan_base_images(manager._get_base())
        manager._age_and_verify_cached_images(
            self.context, managers.objects.InstanceList(objects=[]),
            manager._get_base())

        self.assert_left(*(() if self.evicts else unused))

    def put_path(self, name):
        return os.path.join(self.cache, name)

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

"""``image evict`` and ``image protect`` where images are logical volumes."""

import contextlib
import json
import os

import fixtures
from oslo_privsep import priv_context

from cache_aware_sched.cli import compute_access
from cache_aware_sched.lvm import volumes
from cache_aware_sched import nova_databases
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import image
from cache_aware_sched.testing.stage import sha1
from tests.unit import base
from tests.unit import command
from tests.unit import lvm

VOLUME = volumes.volume_name(sha1(1))


class TestImageVolumes(lvm.ThinStage, base.TestCase):

    def setUp(self):
        super().setUp()
        self.configure(lvm_image_store='thin', lvm_thin_pool=lvm.POOL)
        self.configure('libvirt', volume_clear='none')
        self.set_nova(compute_driver=compute_access.DRIVER, host=HOST)
        for owner, name, value in (
                (nova_databases, 'configure', lambda files: None),
                (compute_access, 'asking_conductor', contextlib.nullcontext),
                (compute_access, 'check_host', lambda: None),
                (priv_context, 'init', lambda root_helper: None)):
            self.useFixture(fixtures.MockPatchObject(owner, name, value))
        os.makedirs(self.store.cache_dir, exist_ok=True)
        self.put_images(1, 2)

    def read(self, *argv, status=0):
        got, out, err = command.execute('image', *argv, '-f', 'json')
        self.assertEqual(status, got, err)
        return json.loads(out), err

    def test_evicted(self):
        [row], _err = self.read('evict', HOST, image(1))

        self.assertEqual((VOLUME, 'yes'), (row['File'], row['Evicted']))
        self.assertNotIn(VOLUME, self.lvm.rows)

    def test_disk_that_is_a_snapshot(self):
        self.use_image(image(1))

        [row], _err = self.read('evict', HOST, image(1), status=1)

        self.assertIn('made on top of it', row['Why not'])
        self.assertIn(VOLUME, self.lvm.rows)

    def test_not_in_the_group(self):
        _status, _out, err = command.execute('image', 'evict', HOST, image(9))

        self.assertIn(f'volume group {lvm.GROUP}', err)

    def test_protected(self):
        self.configure(protected_images=[image(1)])

        [row], err = self.read('protect')

        self.assertEqual(1, row['Files'])
        self.assertIn(f'1 in volume group {lvm.GROUP}', err)

    def test_group_that_is_gone(self):
        self.break_store()

        status, _out, err = command.execute('image', 'evict', HOST, image(1))

        self.assertEqual(1, status)
        self.assertIn('Volume group not found', err)
        self.assertNotIn('Traceback', err)

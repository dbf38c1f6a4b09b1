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

"""An operator's command beside a compute that runs, with the real nova."""

# isort: off
from tests.functional import test_libvirt
# isort: on

import contextlib
import json
import os
import time

import fixtures

from cache_aware_sched.cli import compute_access
from cache_aware_sched.imagecache import evictable
from cache_aware_sched import nova_databases
from cache_aware_sched import report
from tests.unit import command


class TestImageEvict(test_libvirt.LibvirtTestCase):

    def setUp(self):
        super().setUp()
        # nova's own configuration is read already, and asks its database.
        self.useFixture(fixtures.MockPatchObject(nova_databases, 'configure'))
        self.useFixture(fixtures.MockPatchObject(
            compute_access, 'asking_conductor', contextlib.nullcontext))
        self.flags(compute_driver=compute_access.DRIVER, host='host1')

    def evict(self, image_id):
        """Run the command; return its status, and the answer for a file."""
        status, out, err = command.execute(
            'image', 'evict', 'host1', image_id, '-f', 'json')
        [row] = json.loads(out or f'[{{"Why not": "{err}"}}]')
        return status, row['Why not']

    def path_of(self, image_id):
        return os.path.join(self.directory, report.image_sha1(image_id))

    def let_time_pass(self, image_id):
        """Have an image as it is when it was not used lately."""
        then = time.time() - 2 * evictable.GRACE_SECONDS
        os.utime(self.path_of(image_id), (then, then))

    def test_image_of_a_server(self):
        image_id = self.image()
        server = self.boot(image_id)
        self.let_time_pass(image_id)

        status, why = self.evict(image_id)

        self.assertEqual(1, status)
        self.assertIn(server['id'], why)
        self.assertTrue(os.path.exists(self.path_of(image_id)))

    def test_host_that_nova_does_not_know(self):
        """As with the nova.conf of another service: no server is told."""
        image_id = self.image()
        self.boot(image_id)
        self.let_time_pass(image_id)
        self.flags(host='host1.example.org')

        status, _out, err = command.execute(
            'image', 'evict', 'host1.example.org', image_id)

        self.assertEqual(1, status)
        self.assertIn('Compute host host1.example.org could not be found', err)
        self.assertTrue(os.path.exists(self.path_of(image_id)))

    def test_image_of_no_server(self):
        image_id = self.image()
        self._delete_server(self.boot(image_id))
        self.let_time_pass(image_id)

        self.assertEqual((0, ''), self.evict(image_id))

        self.assertFalse(os.path.exists(self.path_of(image_id)))
        # Its server boots again, and the report has what is there.
        self.boot(image_id)
        self.report_now()
        self.assertTrue(os.path.exists(self.path_of(image_id)))

    def test_image_that_a_server_is_rescued_from(self):
        """No row tells of it; the disk does."""
        image_id, rescue = self.image(), self.image()
        server = self.boot(image_id)
        self.api.post_server_action(server['id'], {
            'rescue': {'rescue_image_ref': rescue}})
        self._wait_for_state_change(server, 'RESCUE')
        self.let_time_pass(rescue)

        status, why = self.evict(rescue)

        self.assertEqual(1, status)
        self.assertIn('a disk, or another file of the cache, is made on', why)

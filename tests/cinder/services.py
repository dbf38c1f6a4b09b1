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

"""Cinder's API, scheduler and volume services in one process."""

import os
import shutil
import sys
import threading
import time

from cinder import context
import cinder.coordination
from cinder.db import api as db
import cinder.image.glance
import cinder.privsep
import cinder.scheduler.host_manager
from cinder.tests.functional import functional_helpers
from cinder.tests.unit import fake_constants
from cinder.tests.unit.image import fake as fake_image
from cinder.volume import configuration
import cinder.volume.manager
import fixtures
import os_brick.privileged
from oslo_config import cfg

from cache_aware_sched.cinder import recent
from cache_aware_sched import once
from tests.cinder import file_driver

CONF = cfg.CONF
SHARED = configuration.SHARED_CONF_GROUP
SECONDS = 60
MIB = 2 ** 20
IMAGE = fake_constants.IMAGE_ID

#: Cinder's own weighers, and with ours.
STOCK = ['CapacityWeigher']
OURS = [*STOCK, 'ImageVolumeCacheWeigher']


class ServicesTestCase(functional_helpers._FunctionalTestBase):
    """Four backends that cache, with real files."""

    # Its mock would let several volumes fetch the image at a time.
    MOCK_TOOZ = False
    TYPE = 'files'
    weighers = OURS
    backends = ('a@files', 'b@files', 'c@files', 'd@files')
    pools = ('p',)

    def _get_flags(self):
        flags = super()._get_flags()
        shared = {
            'volume_driver': 'tests.cinder.file_driver.FileDriver',
            'image_volume_cache_enabled': True,
        }
        own = {
            'default_volume_type': self.TYPE,
            'cinder_internal_tenant_project_id': fake_constants.PROJECT2_ID,
            'cinder_internal_tenant_user_id': fake_constants.USER2_ID,
            'scheduler_default_weighers': self.weighers,
            'image_conversion_dir': os.path.join(self.directory, 'convert'),
            'auth_strategy': 'noauth',
            # What backends report by themselves, at some time of the first
            # minute, has the cached volumes as well: the pool looks fuller
            # than to the scheduler alone.
            'periodic_interval': 0,
        }
        flags |= {name: {'v': value} for name, value in own.items()}
        flags |= {name: {'v': value, 'g': SHARED}
                  for name, value in shared.items()}
        return flags

    def setUp(self):
        if shutil.which('qemu-img') is None:
            self.skipTest('qemu-img is missing: install qemu-utils, or what '
                          'bindep.txt lists for other systems')
        once.forget_all()
        recent.forget()
        self.directory = self.storage()
        self.fleet = file_driver.fleet = file_driver.Fleet(
            os.path.join(self.directory, 'pools'))
        self.fleet.pools = self.pools
        self.prepare()
        fake_image.mock_image_service(self)
        for privileged in (cinder.privsep.sys_admin_pctxt,
                           os_brick.privileged.default):
            privileged.set_client_mode(False)
        # Nothing here needs root; sudo may not be there.
        self.patch('cinder.utils.get_root_helper', return_value='env')
        CONF.set_override('backend_url', f'file://{self.directory}/locks',
                          'coordination')
        super().setUp()
        self.api.create_type(self.TYPE)
        self.add_image(IMAGE)
        self.wait(self.knows_all, 'the scheduler knows all backends')

    def storage(self):
        """Return the directory of all data."""
        return self.useFixture(fixtures.TempDir()).path

    def prepare(self):
        """Set what must be set before the services start."""

    def start_service(self, name, host=None, **kwargs):
        """Start one service of a name, and all backends for the volumes."""
        if name != 'volume':
            return super().start_service(name, host=host, **kwargs)
        self.services = {
            backend: self.start_backend(backend) for backend in self.backends}
        return self.services[self.backends[0]]

    def start_backend(self, backend, **kwargs):
        """Start the service of one backend."""
        return super().start_service('volume', host=backend, **kwargs)

    def _start_api_service(self):
        # Of the wheel, not of a checkout.
        paste = os.path.join(sys.prefix, 'etc/cinder/api-paste.ini')
        absolute = os.path.abspath

        def found(path):
            return paste if str(path).endswith('api-paste.ini') else (
                absolute(path))

        self.mock_object(functional_helpers.os.path, 'abspath', found)
        super()._start_api_service()

    # Given.

    def add_image(self, image, mib=1, **fields):
        """Have Glance hold an image, with real data."""
        images = fake_image.FakeImageService()
        images.update(None, image, {
            'size': mib * MIB, 'container_format': 'bare', 'min_disk': 0,
            'disk_format': 'raw', 'min_ram': 0, **fields})
        images.temp_images = {}
        self.data = os.urandom(mib * MIB)
        self.mock_object(
            fake_image._FakeImageService, 'download',
            lambda service, ctxt, image_id, data: data.write(self.data))

    # When.

    def post(self, size=1, image=IMAGE, **fields):
        """Ask for a volume, and return its id."""
        body = {'size': size, 'imageRef': image, **fields}
        return self.api.post_volume({'volume': body})['id']

    def create(self, number=1, **fields):
        """Ask for volumes, one after the other; return their pools."""
        return [self.pool(self.ready(self.post(**fields)))
                for _ in range(number)]

    def create_at_once(self, number, **fields):
        """Ask for volumes at a time; return their pools."""
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(self.post(**fields)))
            for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [self.pool(self.ready(volume)) for volume in found]

    # Then.

    def row(self, volume):
        """Return the row of a volume."""
        return db.volume_get(context.get_admin_context(), volume)

    def ready(self, volume):
        """Wait until a volume can be used, and return its id."""
        self.wait(lambda: self.row(volume).status not in (
            'creating', 'downloading'), 'the volume is made')
        self.assertEqual('available', self.row(volume).status)
        return volume

    def pool(self, volume):
        """Return where a volume is."""
        return self.row(volume).host

    def entries(self, **filters):
        """Return the table of cached volumes."""
        return db.image_volume_cache_get_all(
            context.get_admin_context(), **filters)

    def knows_all(self):
        manager = self.scheduler.manager.driver.host_manager
        manager._update_backend_state_map(context.get_admin_context())
        return not manager._no_capabilities_backends

    def wait(self, condition, what):
        """Wait for something that other threads do."""
        end = time.monotonic() + SECONDS
        while not condition():
            if time.monotonic() > end:
                self.fail(f'not within {SECONDS} s: {what}')
            time.sleep(0.05)

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

"""A driver whose volumes are files: data is copied, or shared by reflink.

Cinder's own drivers with real data need storage that a test cannot bring.
"""

import collections
import os
import subprocess

from cinder import exception
from cinder.image import image_utils
from cinder.volume import driver
from cinder.volume import volume_utils

GIB = 2 ** 30


class Fleet:
    """What a test decides about all backends, and what they did.

    :ivar pools: the names of the pools of each backend
    :ivar capacity: GiB of each pool
    :ivar says: what backends say of themselves, by ``host@backend``
    :ivar clone_limit: clones of one volume that a backend makes; 0 for all
    :ivar clones_images: the backends that need no cached volume
    :ivar fetching: called with the pool before an image is fetched
    """

    def __init__(self, directory):
        self.directory = directory
        self.pools = ('p',)
        self.capacity = 100
        self.says = {}
        self.clone_limit = 0
        self.clones_images = set()
        self.fetching = lambda pool: None
        self.fetched = []
        self.cloned = []
        self.clones = collections.Counter()


#: Cinder makes the drivers; a test replaces it.
fleet = Fleet('')


class FileDriver(driver.VolumeDriver):
    """Volumes are sparse files below a directory of each pool."""

    VERSION = '1'
    SUPPORTS_ACTIVE_ACTIVE = True

    def do_setup(self, context):
        for pool in fleet.pools:
            os.makedirs(self._directory(f'{self.host}#{pool}'), exist_ok=True)

    def check_for_setup_error(self):
        pass

    def _directory(self, host):
        return os.path.join(fleet.directory, host.replace('/', '_'))

    def local_path(self, volume):
        return os.path.join(self._directory(volume.host), volume.name)

    def create_volume(self, volume):
        with open(self.local_path(volume), 'wb') as file:
            file.truncate(volume.size * GIB)

    def delete_volume(self, volume):
        path = self.local_path(volume)
        if os.path.exists(path):
            os.unlink(path)

    def extend_volume(self, volume, new_size):
        os.truncate(self.local_path(volume), new_size * GIB)

    def create_cloned_volume(self, volume, src_vref):
        if fleet.clone_limit and (
                fleet.clones[src_vref.id] >= fleet.clone_limit):
            raise exception.SnapshotLimitReached(set_limit=fleet.clone_limit)
        fleet.clones[src_vref.id] += 1
        subprocess.run(
            ['cp', '--sparse=always', '--reflink=auto',
             self.local_path(src_vref), self.local_path(volume)], check=True)
        os.truncate(self.local_path(volume), volume.size * GIB)
        fleet.cloned.append(volume.host)

    def clone_image(self, context, volume, image_location, image_meta,
                    image_service):
        if volume_utils.extract_host(
                volume.host, 'backend') not in fleet.clones_images:
            return None, False
        self.create_volume(volume)
        return {}, True

    def copy_image_to_volume(self, context, volume, image_service, image_id,
                             disable_sparse=False):
        fleet.fetched.append(volume.host)
        fleet.fetching(volume.host)
        image_utils.fetch_to_raw(
            context, image_service, image_id, self.local_path(volume),
            self.configuration.volume_dd_blocksize, size=volume.size)
        os.truncate(self.local_path(volume), volume.size * GIB)

    def copy_image_to_encrypted_volume(self, context, volume, image_service,
                                       image_id, disable_sparse=False):
        # What encrypts it is cryptsetup, which is nothing to a scheduler.
        self.copy_image_to_volume(context, volume, image_service, image_id)

    def create_snapshot(self, snapshot):
        pass

    def delete_snapshot(self, snapshot):
        pass

    def create_volume_from_snapshot(self, volume, snapshot):
        self.create_volume(volume)

    def create_export(self, context, volume, connector):
        pass

    def ensure_export(self, context, volume):
        pass

    def remove_export(self, context, volume):
        pass

    def initialize_connection(self, volume, connector):
        return {'driver_volume_type': 'local', 'data': {}}

    def terminate_connection(self, volume, connector, **kwargs):
        pass

    def _update_volume_stats(self):
        says = fleet.says.get(self.host, {})
        self._stats = {
            'volume_backend_name': 'files', 'vendor_name': 'tests',
            'driver_version': self.VERSION, 'storage_protocol': 'file',
            'pools': [self._pool(name) | says for name in fleet.pools],
            **says}

    def _pool(self, name):
        directory = self._directory(f'{self.host}#{name}')
        used = sum(entry.stat().st_size for entry in os.scandir(directory))
        return {'pool_name': name, 'total_capacity_gb': fleet.capacity,
                'free_capacity_gb': fleet.capacity - used / GIB,
                'thin_provisioning_support': True,
                'thick_provisioning_support': False,
                'max_over_subscription_ratio': 1.0,
                'reserved_percentage': 0}

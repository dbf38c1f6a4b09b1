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

"""The stage of the datastores: nova's own fakes of vCenter, with sizes."""

import contextlib
import fnmatch
import os
import time
from unittest import mock
import uuid

import fixtures
import nova.conf
from nova.tests.unit.virt.vmwareapi import fake
from nova.tests.unit.virt.vmwareapi import stubs
from nova.virt.vmwareapi import driver as nova_driver
from nova.virt.vmwareapi import ds_util
from nova.virt.vmwareapi import vm_util
from nova.virt.vmwareapi import vmops
from oslo_vmware import exceptions as vexc

from cache_aware_sched.testing import stage
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import SETTLED
from cache_aware_sched.virt.vmware import datastores
from cache_aware_sched.virt.vmware import folders
from cache_aware_sched.virt.vmware import vcenter

CONF = nova.conf.CONF
BASE = 'mine_base'


class FakeDatastores:
    """What nova's fake of vCenter keeps in memory, with what it lacks.

    It knows files by their paths, each of 1024 bytes, and a datastore whose
    free space never changes.

    :ivar asked: the methods of vCenter that were called
    """

    def __init__(self):
        self.sizes = {}
        self.asked = []
        self.broken = False
        self._capacity = None

    def install(self, test):
        """Replace the methods of nova's fake until the end of a test."""
        for name in ('_search_ds', '_delete_file'):
            test.useFixture(fixtures.MonkeyPatch(
                f'nova.tests.unit.virt.vmwareapi.fake.FakeVim.{name}',
                getattr(self, name)(getattr(fake.FakeVim, name))))
        get = fake.FakeVim.__getattr__

        def ask(vim, name):
            if name.endswith('_Task') or name in (
                    'RetrievePropertiesEx', 'MakeDirectory'):
                self.asked.append(name)
                if self.broken:
                    raise vexc.VimFaultException(
                        [vexc.NO_PERMISSION], 'no vCenter')
            return get(vim, name)

        test.useFixture(fixtures.MockPatchObject(
            fake.FakeVim, '__getattr__', ask))

    def _search_ds(self, _search):
        """Find by patterns, and tell sizes."""
        def search_ds(vim, method, *args, **kwargs):
            root = f"{kwargs['datastorePath']}/"
            below = [file.removeprefix(root)
                     for file in fake._db_content['files']
                     if file.startswith(root)]
            if not below:
                return fake.create_task(
                    method, 'error', error_fault=fake.FileNotFound()).obj
            [pattern] = getattr(
                kwargs.get('searchSpec'), 'matchPattern', None) or ['*']
            result = fake.DataObject()
            result.path, result.file = root, []
            for name in sorted({file.split('/')[0] for file in below}):
                if name and fnmatch.fnmatch(name, pattern):
                    found = fake.DataObject()
                    found.path = name
                    found.fileSize = self.sizes.get(root + name, 0)
                    result.file.append(found)
            return fake.create_task(method, 'success', result=result).obj

        return search_ds

    def _delete_file(self, delete):
        def delete_file(vim, *args, **kwargs):
            path = kwargs['name']
            if not any(file.startswith(path)
                       for file in fake._db_content['files']):
                raise vexc.FileNotFoundException(path)
            answer = delete(vim, *args, **kwargs)
            for file in [file for file in self.sizes if file.startswith(path)]:
                del self.sizes[file]
            self.fill()
            return answer

        return delete_file

    def put(self, path, size):
        """Have a file, or a folder if its path ends so."""
        fake._add_file(path)
        if not path.endswith('/'):
            self.sizes[path] = size
        self.fill()

    def limit(self, gib):
        self._capacity = int(gib * GIB)
        self.fill()

    def fill(self):
        """Have the free space right; all is on the first datastore."""
        if self._capacity is None:
            return
        for place, one in enumerate(fake.get_objects('Datastore')):
            one.set('summary.capacity', 0 if place else self._capacity)
            one.set('summary.freeSpace', 0 if place else (
                self._capacity - sum(self.sizes.values())))


def put_image(datastores_, image_id, size, age, datastore='ds1', copies=(),
              file_type='vmdk'):
    """Have an image in the folder of a datastore, as nova puts it there.

    :param age: seconds since nobody uses it; 0 if somebody does
    :param copies: GB of the copies for linked clones
    """
    folder = f'[{datastore}] {BASE}/{image_id}'
    for file in (f'[{datastore}] {BASE}/', f'{folder}/'):
        if file not in fake._db_content['files']:
            datastores_.put(file, 0)
    datastores_.put(f'{folder}/{image_id}.{file_type}', size)
    for gigabytes in copies:
        datastores_.put(f'{folder}/{image_id}.{gigabytes}.vmdk', size)
    if age:
        datastores_.put(
            f'{folder}/{folders.timestamp(time.time() - age)}/', 0)


class DatastoreStage(stage.StoreStage):
    """A cluster with two datastores, of which one holds the images."""

    def prepare_store(self):
        self.configure(
            'vmware', cluster_name='test_cluster', host_ip='vcenter',
            host_username='user', host_password='password',
            api_retry_count=1, cache_prefix='mine')
        self.configure('vnc', enabled=False)
        self.configure('oslo_concurrency', lock_path=os.path.join(
            self.instances_path, 'locks'))
        ds_util.dc_cache_reset()
        vm_util.vm_refs_cache_reset()
        fake.reset()
        self.addCleanup(fake.cleanup)
        cluster, *_others = fake.get_objects('ClusterComputeResource')
        cluster._add_datastore(list(fake.get_object_refs('Datastore'))[1])
        self.datastores = FakeDatastores()
        stubs.set_stubs(self)
        self.datastores.install(self)
        # nova's driver asks the conductor for nothing that matters here.
        self.patch_object(vmops.compute, 'API', mock.Mock())
        self.driver = self.make_driver()

    def make_driver(self):
        """Return nova's own driver."""
        with mock.patch.object(
                nova_driver.VMwareVCDriver, '_register_openstack_extension'):
            return nova_driver.VMwareVCDriver(None, False)

    def stub_out(self, name, value):
        """Stand for the method of nova's test case, which nova's stubs use."""
        self.useFixture(fixtures.MonkeyPatch(name, value))

    def make_store(self):
        return datastores.Datastores(
            vcenter.VCenter(self.driver._vmops), lambda: HOST)

    def put_image(self, image_id, size=GIB, age=SETTLED):
        put_image(self.datastores, image_id, size, age)

    def use_image(self, image_id):
        """Have a virtual machine that nova does not know made on top of it."""
        disk = fake.VirtualDisk()
        disk.backing = fake.DataObject()
        disk.backing.fileName = '[ds1] other/other.vmdk'
        disk.backing.parent = fake.DataObject()
        disk.backing.parent.fileName = (
            f'[ds1] {BASE}/{image_id}/{image_id}.20.vmdk')
        self.add_machine(disk)

    def add_machine(self, *devices):
        machine = fake.VirtualMachine(
            name=str(uuid.uuid4()), virtual_device=list(devices))
        fake._create_object(machine)
        fake.get_object(self.driver._vmops._root_resource_pool).get(
            'vm').ManagedObjectReference.append(machine.obj)

    def limit_disk(self, gib):
        self.datastores.limit(gib)

    def break_store(self):
        self.datastores.broken = True

    @contextlib.contextmanager
    def locked(self, image_id):
        """Hold the lock that nova holds."""
        where = self.store.listing.where(f'[ds1] {BASE}/{image_id}')
        if where is None:
            self.store.entries(0)
            where = self.store.listing.where(f'[ds1] {BASE}/{image_id}')
        with vcenter.VCenter(self.driver._vmops).locked(where, image_id):
            yield

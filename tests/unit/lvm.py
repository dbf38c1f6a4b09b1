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

"""A volume group for tests, in memory or of real LVM without device mapper."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from unittest import mock

import nova.privsep
from nova.virt.cache_aware import privileged
from nova.virt.libvirt.storage import lvm as nova_lvm
from oslo_concurrency import processutils

from cache_aware_sched.imagecache import limits
from cache_aware_sched.lvm import group as group_mod
from cache_aware_sched.lvm import image_volumes
from cache_aware_sched.lvm import store
from cache_aware_sched.lvm import volumes
from cache_aware_sched import report
from cache_aware_sched.testing import stage
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import SETTLED

GROUP, POOL = 'vg0', 'pool0'

#: Bytes that the pool hands out at once.
CHUNK = 65536

#: Of the group, and of the pool in it, unless a test says otherwise.
SIZE = 1000 * GIB


class FakeLvm:
    """LVM's commands on a group in memory; test_real_lvm does the same.

    :ivar rows: what LVM reports of each volume, by its name
    :ivar commands: the names of the functions that were called
    :ivar broken: whether each of them fails
    """

    def __init__(self, case):
        self.size = SIZE
        self.broken = False
        self.commands = []
        self.rows = {}
        self.pool_metadata = 1.0
        for name in ('lvm_report', 'lvm_create', 'lvm_create_thin',
                     'lvm_snapshot', 'lvm_extend', 'lvm_tag', 'lvm_activate',
                     'lvm_remove'):
            case.patch_object(
                privileged, name, mock.create_autospec(
                    getattr(privileged, name).args[0],
                    side_effect=self._command(name)))
        case.patch_object(nova_lvm, 'remove_volumes', self._remove_cleared)

    def _command(self, name):
        function = getattr(self, name.removeprefix('lvm_'))

        def call(group, *args):
            self.commands.append(name)
            if self.broken or group != GROUP:
                raise processutils.ProcessExecutionError(
                    stderr='  WARNING: whatever\n  Volume group not found\n')
            return function(*args)
        return call

    def _remove_cleared(self, paths):
        self._command('lvm_remove')(GROUP, os.path.basename(paths[0]))

    def _used(self):
        return sum(int(row['lv_size']) for row in self.rows.values())

    def report(self):
        rows, seg = list(self.rows.values()), []
        thin = [row for row in rows if row['pool_lv']]
        free = self.size - (0 if thin else self._used())
        if thin:
            rows.append(self._row(
                POOL, self.size, data=100 * self._used() / self.size,
                metadata=self.pool_metadata))
            seg.append({'lv_name': POOL, 'zero': 'zero',
                        'chunk_size': str(CHUNK)})
        return json.dumps({'report': [{
            'vg': [{'vg_name': GROUP, 'vg_size': str(self.size),
                    'vg_free': str(free)}], 'lv': rows, 'seg': seg}]})

    def _row(self, name, size, tags=(), pool='', origin='', data='',
             metadata=''):
        return {'lv_name': name, 'lv_size': str(size), 'pool_lv': pool,
                'origin': origin, 'data_percent': str(data),
                'metadata_percent': str(metadata), 'lv_tags': ','.join(tags)}

    def _add(self, name, *args, **kwargs):
        if name in self.rows:
            raise processutils.ProcessExecutionError(stderr='already exists')
        self.rows[name] = self._row(name, *args, **kwargs)

    def create(self, name, size, tags):
        self._add(name, size, tags)

    def create_thin(self, pool, name, size, tags):
        self._add(name, size, tags, pool, data='100.00')

    def snapshot(self, origin, name):
        self._add(name, 0, (), POOL, origin, data='100.00')

    def extend(self, name, size):
        self.rows[name]['lv_size'] = str(size)

    def tag(self, names, remove, add):
        for name in names:
            row = self.rows[name]
            row['lv_tags'] = ','.join(sorted(
                set(row['lv_tags'].split(',')) - set(remove) | set(add)))

    def activate(self, name):
        """As LVM does, silently."""

    def remove(self, name):
        if name not in self.rows:
            raise processutils.ProcessExecutionError(stderr='not found')
        del self.rows[name]


class CopiedStage(stage.StoreStage):
    """Images that are copied into disks."""

    def prepare_store(self):
        self.configure('libvirt', images_type='lvm',
                       images_volume_group=GROUP)
        self.lvm = FakeLvm(self)

    def make_images(self):
        return image_volumes.CopiedVolumes(group_mod.Group(GROUP))

    def make_store(self):
        return store.VolumeStore(lambda: HOST, self.make_images())

    def put_image(self, image_id, size=GIB, age=SETTLED):
        self._put(image_id, size, age, volumes.COMPLETE)

    def put_part(self, image_id, age=0):
        self._put(image_id, GIB, age, volumes.INCOMPLETE)

    def _put(self, image_id, size, age, state):
        tags = volumes.tags(image_id, size, int((time.time() - age) * 1000))
        images = self.store.images
        images.create(volumes.volume_name(report.image_sha1(image_id)), size,
                      [state, *(set(tags) - {volumes.INCOMPLETE})])

    def break_store(self):
        self.lvm.broken = True
        self.store.images.group.changed()

    def limit_disk(self, gib):
        self.lvm.size = int(gib * GIB)
        self.store.images.group.changed()

    def locked(self, image_id):
        return self.store.lock(report.image_sha1(image_id))


class ThinStage(CopiedStage):
    """Images of which disks are snapshots."""

    def make_images(self):
        return image_volumes.ThinVolumes(group_mod.Group(GROUP), POOL)

    def use_image(self, image_id):
        self.store.images.group.change(
            'lvm_snapshot', volumes.volume_name(report.image_sha1(image_id)),
            'a_disk')


class RealStage(CopiedStage):
    """LVM itself on a file, where it can only change its own metadata."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.device, cls.why = None, 'LVM is missing: install lvm2'
        if os.geteuid() or shutil.which('lvm') is None:
            return
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        home = cls.stack.enter_context(tempfile.TemporaryDirectory())
        disk = os.path.join(home, 'disk')
        with open(disk, 'wb') as file:
            file.truncate(64 * GIB)
        try:
            cls.device = subprocess.run(
                ['losetup', '--find', '--show', disk], check=True,
                capture_output=True, text=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError) as error:
            cls.why = f'no loop device: {error}'
            return
        cls.stack.callback(subprocess.run, ['losetup', '-d', cls.device],
                           check=False)
        with open(os.path.join(home, 'lvm.conf'), 'w') as file:
            file.write(
                'global { activation=0 }\n'
                f'devices {{ filter=["a|^{cls.device}$|", "r|.*|"]\n'
                'use_devicesfile=0 }\nbackup { backup=0\narchive=0 }\n')
        cls.environment = {**os.environ, 'LVM_SYSTEM_DIR': home,
                           'LVM_SUPPRESS_FD_WARNINGS': '1'}
        cls.run_lvm('vgcreate', '-q', '--yes', GROUP, cls.device)

    def prepare_store(self):
        if os.geteuid():
            self.skipTest('LVM needs root')
        if not self.device:
            self.skipTest(self.why)
        self.configure('libvirt', images_type='lvm', volume_clear='none',
                       images_volume_group=GROUP)
        patcher = mock.patch.dict(os.environ, self.environment)
        patcher.start()
        self.addCleanup(patcher.stop)
        self.patch_object(nova.privsep.sys_admin_pctxt, 'client_mode', False)
        self.addCleanup(self.run_lvm, 'lvremove', '-q', '--force', GROUP)

    @classmethod
    def run_lvm(cls, *command):
        subprocess.run(command, check=True, capture_output=True,
                       env=cls.environment)

    def break_store(self):
        self.run_lvm('vgrename', '-q', GROUP, 'away')
        self.addCleanup(self.run_lvm, 'vgrename', '-q', 'away', GROUP)
        self.store.images.group.changed()

    def limit_disk(self, gib):
        group = self.store.images.group
        group.change('lvm_create', 'filler',
                     group.look().free - int(gib * GIB), [])
        assert self.store.disk() == limits.Disk(
            group.look().size - int(gib * GIB), int(gib * GIB))

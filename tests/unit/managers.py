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

"""What tests of image cache managers have in common."""

import contextlib
import functools
import json
import logging
import os
import shutil
import tempfile
import time
import traceback
from unittest import mock

import fixtures
from nova.compute import task_states
from nova.image import glance
from nova import objects
from nova.privsep import fs as nova_fs
from nova import rpc
from nova.virt import storage_users
from oslo_concurrency import lockutils
import oslo_messaging

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import loading
from cache_aware_sched.imagecache import log_lines
from cache_aware_sched.imagecache import manager as manager_mod
from cache_aware_sched.testing.directories import make_qcow2
from cache_aware_sched.testing import fakes
from cache_aware_sched.testing.stage import DAY
from cache_aware_sched.testing.stage import GIB
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing.stage import HOUR
from cache_aware_sched.testing.stage import image
from cache_aware_sched.testing.stage import OTHER_HOST
from cache_aware_sched.testing.stage import server
from cache_aware_sched.testing.stage import SETTLED
from cache_aware_sched.testing.stage import sha1
from tests.unit import base
from tests.unit import factories

# What the tests of managers take from here.
__all__ = ['DAY', 'GIB', 'HOST', 'HOUR', 'OTHER_HOST', 'SETTLED', 'image',
           'make_qcow2', 'server', 'sha1']

#: Where Linux has a file system in memory.
MEMORY = '/dev/shm'


class LargestFirst(manager_mod.BaseImageCacheManager):
    """A manager as another project would write one."""

    def order(self, entries, now):
        """Return the entries, the largest and oldest first."""
        return sorted(
            entries, key=lambda entry: (-entry.size, entry.used_ns))


def swap_disk(mib):
    return _blank_disk(mib, guest_format='swap')


def ephemeral_disk(gib):
    return _blank_disk(gib, guest_format=None)


def ephemeral_name(gib):
    """Return the name of the base file of an ephemeral disk."""
    ending = nova_fs.get_file_extension_for_os_type('default', None)
    return f'ephemeral_{gib}_{ending}'


def _blank_disk(size, guest_format):
    return objects.BlockDeviceMapping(
        source_type='blank', destination_type='local', volume_size=size,
        guest_format=guest_format, device_name='/dev/vdb', disk_bus=None,
        device_type=None, boot_index=-1, no_device=False, encrypted=False,
        encryption_secret_uuid=None, encryption_format=None,
        encryption_options=None)


@functools.cache
def head_of_disk(backing):
    """Return the first bytes of a qcow2 disk."""
    with tempfile.TemporaryDirectory() as home:
        disk = make_qcow2(os.path.join(home, 'disk'), backing)
        with open(disk, 'rb') as file:
            return file.read(2048)


class Glance(fakes.FakeGlance):

    def add(self, number, size, disk_format='raw'):
        """Have an image of so many bytes."""
        self.put(image(number), size, disk_format)


class MeddlingStore(directory.Directory):
    """A directory in which something happens just before each removal."""

    def __init__(self, host, meddle):
        super().__init__(lambda: host)
        self._meddle = meddle

    def remove(self, entry, still_free):
        self._meddle(entry)
        return super().remove(entry, still_free)


class ManagerTestCase(base.TestCase):
    """A host with an empty image cache."""

    #: The entry point, or a class, of the manager.
    manager = 'lru'

    def setUp(self):
        super().setUp()
        self.set_nova(host=HOST)
        self.path = base.nova.conf.CONF.instances_path
        self.cache = os.path.join(self.path, '_base')
        os.mkdir(self.cache)
        self.database = fakes.FakeDatabase()
        self.glance = Glance()
        for owner, name, answer in (
                *self.database.stand_ins(),
                (glance, 'get_remote_image_service',
                 lambda context, image_id: (self.glance, image_id))):
            self.useFixture(fixtures.MockPatchObject(owner, name, answer))
        # Sparse files stand for images: they are as large as they say.
        self.useFixture(fixtures.MockPatchObject(
            directory.Directory, 'size_of',
            staticmethod(lambda status: status.st_size)))
        self.changes = 0
        self._started = {}

    # Given.

    def start(self, manager=None, host=HOST, store=None):
        """Return a manager as it is after a start of nova-compute.

        The one that the host had before has come to its end.

        :param store: what it uses instead of a directory
        """
        manager = manager or self.manager
        if host in self._started:
            self._started[host].cache.save()
        started = (loading.load(manager) if isinstance(manager, str)
                   else manager())
        started.on_change = self.count_change
        started.store = store or started.store
        with self.starting():
            started.init_host(host)
        self._started[host] = started
        return started

    @contextlib.contextmanager
    def starting(self):
        """Keep what the log says of each start out of the tests' way."""
        logger = logging.getLogger(log_lines.__name__)
        logger.disabled = True
        try:
            yield
        finally:
            logger.disabled = False

    def count_change(self):
        self.changes += 1

    def put(self, name, size=GIB, age=SETTLED):
        """Put a file without content into the cache.

        :param age: seconds since it was last used
        """
        path = os.path.join(self.cache, name)
        with open(path, 'wb') as file:
            file.truncate(size)
        self.set_age(path, age)
        return name

    def write(self, name, size):
        """Fill a file of the cache, and keep its time."""
        path = os.path.join(self.cache, name)
        used_ns = os.stat(path).st_mtime_ns
        with open(path, 'wb') as file:
            file.write(b'x' * size)
        os.utime(path, ns=(used_ns, used_ns))

    def put_images(self, *numbers, size=GIB, age=SETTLED, step=60):
        """Put images into the cache, the first least recently used.

        :returns: the names of the files
        """
        return [self.put(sha1(number), size,
                         age + step * (len(numbers) - place))
                for place, number in enumerate(numbers)]

    def set_age(self, path, age):
        then = time.time() - age
        os.utime(path, (then, then))

    def boot(self, number=None, disks=(), **fields):
        """Have a server of an image in the database."""
        booted = server(number, **fields)
        self.database.servers.append(booted)
        if disks:
            self.database.disks[booted.uuid] = list(disks)
        return booted

    def migrate(self, booted, status, source=HOST, destination=OTHER_HOST,
                task_state=task_states.RESIZE_MIGRATING):
        """Have a server move.

        :param task_state: None if it does not, whatever its migration says
        """
        booted.task_state = task_state
        self.database.migrations.append(objects.Migration(
            instance_uuid=booted.uuid, status=status, source_compute=source,
            dest_compute=destination))

    def make_disk(self, backing=None, name='disk', of=None, size=GIB):
        """Make a qcow2 disk of a server.

        :param backing: the path of its backing file, or the name of one in
            the cache
        :param of: the directory of the server, a new one by default
        :returns: the path
        """
        folder = os.path.join(self.path, of or factories.new_uuid())
        os.makedirs(folder, exist_ok=True)
        return make_qcow2(os.path.join(folder, name),
                          backing and os.path.join(self.cache, backing), size)

    def write_disk(self, folder, backing, name='disk'):
        """Write the head of a disk, which is all that is ever read of it.

        :param folder: of the server
        :param backing: the name of a file of the cache, or of none
        """
        folder = os.path.join(self.path, folder)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(head_of_disk(backing))

    def share_storage(self, *hosts):
        """Have hosts note that they use this storage, as nova does."""
        for host in hosts:
            storage_users.register_storage_use(self.path, host)

    def prepare_for_many_cases(self):
        """Log nothing: hypothesis tells what matters.

        :returns: a directory, in memory if that can be had
        """
        self.addCleanup(logging.disable, logging.NOTSET)
        logging.disable(logging.CRITICAL)
        return self.useFixture(fixtures.TempDir(
            MEMORY if os.access(MEMORY, os.W_OK) else None)).path

    def limit_disk(self, gib, other=0):
        """Pretend that the cache is on a disk of some GiB.

        The files are taken for as large as they are long.

        :param other: bytes of what else is on it
        """
        def usage(path):
            used = other + sum(os.lstat(os.path.join(path, name)).st_size
                               for name in os.listdir(path))
            total = int(gib * GIB)
            return shutil._ntuple_diskusage(total, used, total - used)

        self.useFixture(fixtures.MonkeyPatch('shutil.disk_usage', usage))

    def listen(self):
        """Return a mock that nova's notifiers are replaced with."""
        notifier = mock.create_autospec(oslo_messaging.Notifier, instance=True)
        notifier.prepare.return_value = notifier
        for name in ('LEGACY_NOTIFIER', 'NOTIFIER'):
            self.useFixture(fixtures.MockPatchObject(rpc, name, notifier))
        return notifier

    # When.

    def run_pass(self, manager=None):
        """Make a pass, with the servers that nova hands over."""
        manager = manager or self.start()
        hosts = {manager.host, *storage_users.get_storage_users(self.path)}
        manager.update(self.context, objects.InstanceList(objects=[
            one for one in self.database.servers if one.host in hosts]))
        return manager

    def run_in_child(self, function):
        """Run a function in a process of its own.

        :returns: the exit code, and what it returned
        """
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            code = 1
            try:
                os.write(writing, json.dumps(function()).encode())
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(writing)
        with open(reading, 'rb') as pipe:
            answer = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return code, json.loads(answer) if answer else None

    @contextlib.contextmanager
    def locked_elsewhere(self, name):
        """Have another process hold nova's lock of a file."""
        held, let_go = os.pipe(), os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(let_go[1])
                with lockutils.lock(name, 'nova-', external=True,
                                    lock_path=os.path.join(
                                        self.path, 'locks')):
                    os.write(held[1], b'x')
                    os.read(let_go[0], 1)
            finally:
                os._exit(0)
        try:
            os.close(held[1])
            self.assertEqual(b'x', os.read(held[0], 1))
            yield
        finally:
            for descriptor in (held[0], *let_go):
                os.close(descriptor)
            os.waitpid(child, 0)

    # Then.

    def names(self):
        """Return what is in the cache."""
        return set(os.listdir(self.cache))

    def assert_left(self, *names):
        self.assertEqual(set(names), self.names())

    def evictions(self, notifier):
        """Return the payloads of the unversioned notifications."""
        return [payload for _context, event, payload in (
            call.args for call in notifier.info.call_args_list)
            if event == 'image_cache.evict' and 'file' in payload]

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

"""What it costs a boot to make room for its image at a limit.

The cache has as many images as it may, so each that is fetched has another one
evicted first. What is asked of Glance and of the database is answered at once.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import statistics
import struct
import tempfile
import time
from unittest import mock
import uuid

import nova.conf
from nova import context as nova_context
from nova.image import glance
from nova import objects

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import evictable
from cache_aware_sched.imagecache import manager as manager_mod
from cache_aware_sched.imagecache import managers
from cache_aware_sched import report
from tests.bench import cloud
from tests.bench import slow
from tests.bench import timing

CONF = nova.conf.CONF

#: Starts of which the first fetch is measured.
STARTS = 3
#: Fetches after a pass.
ROUNDS = 15
#: Base files that nothing uses; so many are evicted at most.
UNUSED = 50
#: The image that is fetched first; no other has its number.
COMES = 1_000_000
#: How old everything is, in seconds: nothing was just used.
AGE = 12 * evictable.GRACE_SECONDS
#: The head of a qcow2 file, as far as it tells of the backing file: magic,
#: version, offset and length of its name (QEMU, docs/interop/qcow2.rst).
_HEAD = struct.Struct('>4sIQI')
#: Where qemu-img puts the name.
_NAME_AT = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """What is measured.

    :param servers: each with a disk on top of a base file
    :param used: base files that they have
    :param slow: whether a file server answers late (:mod:`tests.bench.slow`)
    """

    servers: int
    used: int = 100
    slow: bool = False

    @property
    def images(self) -> int:
        """How many images there may be, and are."""
        return self.used + UNUSED


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """Medians, in seconds.

    :param cold: of the first fetch after a start, when no disk is known; it
        makes no room if that takes long
    :param warm: of a fetch after a pass
    """

    case: Case
    cold: float
    warm: float


def measure(case: Case) -> Cost:
    """Return what it costs to make room for an image."""
    with host(case) as instances:
        comes = iter(range(COMES, COMES + STARTS + ROUNDS))
        cold = [seconds(start(), next(comes))[0] for _start in range(STARTS)]
        manager = start()
        manager.update(nova_context.get_admin_context(), instances)
        warm, left = zip(*[seconds(manager, next(comes))
                           for _round in range(ROUNDS)], strict=True)
        if {*left} != {case.images - 1}:
            raise RuntimeError('not one image was evicted for each: this '
                               'would measure another thing')
    return Cost(case, statistics.median(cold), statistics.median(warm))


def start() -> manager_mod.BaseImageCacheManager:
    """Return a manager as it is after a start."""
    manager = managers.LRUImageCacheManager()
    manager.init_host(CONF.host)
    return manager


def seconds(manager: manager_mod.BaseImageCacheManager, number: int
            ) -> tuple[float, int]:
    """Return how long room is made for an image; then it comes.

    :returns: that, and how many images are left
    """
    context = nova_context.get_admin_context()
    image_id = cloud.image_id(number)
    time.sleep(timing.PAUSE)
    with manager.cache.using(image_id), contextlib.ExitStack() as stack:
        fetching = manager.cache.fetching(context, image_id)
        taken = timing.seconds(lambda: stack.enter_context(fetching))
        left = len(os.listdir(directory.cache_dir()))
        _put(number)
    return taken, left


@contextlib.contextmanager
def host(case: Case) -> Iterator['objects.InstanceList']:
    """Be a compute host whose cache is full; give its instances."""
    images = mock.create_autospec(glance.GlanceImageServiceV2, instance=True)
    images.show.return_value = {'size': cloud.GIB, 'disk_format': 'raw'}
    instances = objects.InstanceList(objects=[
        _instance(case, number) for number in range(case.servers)])
    with (slow.mounted() if case.slow else tempfile.TemporaryDirectory()
          as path,
          mock.patch.object(glance, 'get_remote_image_service',
                            lambda context, image_id: (images, image_id)),
          mock.patch.object(objects.InstanceList, 'get_by_filters',
                            return_value=instances),
          mock.patch.object(objects.BlockDeviceMappingList,
                            'bdms_by_instance_uuid', return_value={}),
          mock.patch.object(objects.MigrationList, 'get_by_filters',
                            return_value=objects.MigrationList(objects=[]))):
        options = (('instances_path', path, None),
                   ('image_cache_max_images', case.images,
                    'cache_aware_sched'))
        for name, value, group in options:
            CONF.set_override(name, value, group)
        try:
            _fill(case, instances)
            yield instances
        finally:
            for name, _value, group in options:
                CONF.clear_override(name, group)


def _instance(case: Case, number: int) -> 'objects.Instance':
    return objects.Instance(
        id=1 + number, uuid=str(uuid.UUID(int=1 + number)), host=CONF.host,
        image_ref=cloud.image_id(number % case.used), kernel_id='',
        ramdisk_id='', vm_state='active', task_state=None, os_type=None)


def _fill(case: Case, instances: 'objects.InstanceList') -> None:
    """Make the files of the host, as old as they have to be."""
    os.mkdir(directory.cache_dir())
    for number in range(case.images):
        _age(_put(number))
    for number, instance in enumerate(instances):
        where = os.path.join(CONF.instances_path, instance.uuid)
        os.mkdir(where)
        name = os.fsencode(_base_file(number % case.used))
        with open(os.path.join(where, 'disk'), 'xb') as file:
            file.write(_HEAD.pack(b'QFI\xfb', 3, _NAME_AT, len(name)).ljust(
                _NAME_AT, b'\0') + name)
        _age(where)


def _put(number: int) -> str:
    """Put an image into the cache; return the path."""
    path = _base_file(number)
    with open(path, 'xb') as file:
        os.truncate(file.fileno(), (1 + number % 20) * cloud.GIB)
    return path


def _base_file(number: int) -> str:
    return os.path.join(directory.cache_dir(),
                        report.image_sha1(cloud.image_id(number)))


def _age(path: str) -> None:
    then = time.time() - AGE
    os.utime(path, (then, then))

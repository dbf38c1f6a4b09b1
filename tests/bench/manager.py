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

"""What a pass of the image cache manager costs, ours beside nova's own.

Both get the same directory and the same instances. What no instance uses is
too young to go, so that every pass finds what the one before found. What they
ask the database is answered at once, with nothing.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import os
import shutil
import subprocess
import tempfile
import tracemalloc
from typing import Any
from unittest import mock
import uuid

import nova.conf
from nova import context as nova_context
from nova import objects
import nova.privsep
from nova.virt.libvirt import imagecache

from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache import managers
from cache_aware_sched import report
from tests.bench import cloud
from tests.bench import timing

CONF = nova.conf.CONF

#: For so many base files that an instance uses there is one that none does.
USED = 10
#: Passes of ours; nova's are as many as the case says.
ROUNDS = 5
#: Bytes; the smallest, so that many disks take little room. A pass reads only
#: the head of a disk.
CLUSTER = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """What is measured.

    :param files: base files in use, and as many instances
    :param disks: whether each instance has a disk on top of its base file
    :param rounds: passes of nova's own manager; 0 to leave it out
    """

    files: int
    disks: bool
    rounds: int

    @property
    def all_files(self) -> int:
        """How many base files there are, with those that nothing uses."""
        return self.files + self.files // USED


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """What a pass costs; the times are medians.

    :param first: seconds of the first pass of ours after a start
    :param seconds: of any other
    :param peak: bytes of memory that a pass of ours takes
    :param nova: seconds of a pass of nova's; None if it was left out
    :param nova_peak: bytes of one of nova's
    """

    case: Case
    first: float
    seconds: float
    peak: int
    nova: float | None = None
    nova_peak: int | None = None

    @property
    def ratio(self) -> float | None:
        """nova's time over ours."""
        return None if self.nova is None else self.nova / self.seconds


def possible(case: Case) -> bool:
    """Return whether it can be measured here."""
    return not case.disks or shutil.which('qemu-img') is not None


def measure(case: Case) -> Cost:
    """Return what it costs to look through such a cache."""
    with _host():
        instances = _fill(case)
        start = os.stat(_base_file(0)).st_mtime + 1e-3
        ours = _pass(managers.AgeImageCacheManager, instances)
        cost = Cost(case, first=timing.seconds(ours),
                    seconds=timing.median(ours, ROUNDS), peak=_peak(ours))
        if case.rounds:
            novas = _pass(imagecache.ImageCacheManager, instances)
            cost = dataclasses.replace(
                cost, nova=timing.median(novas, case.rounds),
                nova_peak=_peak(novas))
        if len(os.listdir(directory.cache_dir())) != case.all_files:
            raise RuntimeError('a base file is gone: this would measure '
                               'another thing')
        if os.stat(_base_file(0)).st_mtime < start:
            raise RuntimeError('no pass has marked a file in use')
    return cost


def _pass(manager: Callable[[], Any], instances: Any) -> timing.Call:
    """Return a pass of a manager as it is after a start."""
    return functools.partial(
        manager().update, nova_context.get_admin_context(), instances)


def _peak(call: timing.Call) -> int:
    """Return how many bytes more than before a call takes at most."""
    tracemalloc.start()
    try:
        before, _peak_before = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        _after, peak = tracemalloc.get_traced_memory()
        return peak - before
    finally:
        tracemalloc.stop()


@contextlib.contextmanager
def _host() -> Iterator[None]:
    """Be a compute host, with a directory for instances of its own."""
    privsep = nova.privsep.sys_admin_pctxt
    with (tempfile.TemporaryDirectory() as path,
          # What nova has its root helper do is done here, and is faster.
          mock.patch.object(privsep, 'client_mode', False),
          mock.patch.object(objects.BlockDeviceMappingList,
                            'bdms_by_instance_uuid', return_value={}),
          mock.patch.object(objects.MigrationList, 'get_by_filters',
                            return_value=objects.MigrationList(objects=[])),
          mock.patch.object(objects.InstanceList, 'get_by_filters',
                            return_value=objects.InstanceList(objects=[]))):
        CONF.set_override('instances_path', path)
        try:
            yield
        finally:
            CONF.clear_override('instances_path')


def _fill(case: Case) -> 'objects.InstanceList':
    """Make the files of a host; return its instances."""
    os.mkdir(directory.cache_dir())
    for number in range(case.all_files):
        with open(_base_file(number), 'xb') as file:
            os.truncate(file.fileno(), (1 + number % 20) * cloud.GIB)
    instances = [_instance(number) for number in range(case.files)]
    if case.disks:
        head = _disk()
        for number, instance in enumerate(instances):
            where = os.path.join(CONF.instances_path, instance.uuid)
            os.mkdir(where)
            with open(os.path.join(where, 'disk'), 'xb') as file:
                file.write(head.replace(_base_file(0).encode(),
                                        _base_file(number).encode()))
    return objects.InstanceList(objects=instances)


def _base_file(number: int) -> str:
    return os.path.join(directory.cache_dir(),
                        report.image_sha1(cloud.image_id(number)))


def _instance(number: int) -> 'objects.Instance':
    return objects.Instance(
        id=1 + number, uuid=str(uuid.UUID(int=1 + number)), host=CONF.host,
        image_ref=cloud.image_id(number), kernel_id='', ramdisk_id='',
        vm_state='active', task_state=None, os_type=None)


def _disk() -> bytes:
    """Return an empty disk on top of the first base file.

    The paths of all base files are equally long.
    """
    path = os.path.join(CONF.instances_path, 'template.qcow2')
    subprocess.run(
        ['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-u',
         '-b', _base_file(0), '-o', f'cluster_size={CLUSTER}', path, '1M'],
        check=True)
    with open(path, 'rb') as file:
        return file.read()

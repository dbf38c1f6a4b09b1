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

"""What instances use, as the database of nova tells it."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
from typing import Any

from nova import block_device
from nova import context as nova_context
from nova import objects
from oslo_log import log as logging

from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched import once
from cache_aware_sched import presence
from cache_aware_sched import report

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Used:
    """What must stay for the sake of an instance.

    :param image_ids: images, kernels and ramdisks
    :param blank: names of swap and ephemeral disks, the latter up to the size
    """

    image_ids: frozenset[str]
    blank: frozenset[str]

    def sha1s(self) -> set[str]:
        """Return the sha1 of each image id."""
        return {report.image_sha1(image_id) for image_id in self.image_ids}

    def entries(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return those of the entries that are used.

        The files of a fetch are not: whoever fetches knows that it does.
        """
        sha1s = self.sha1s()
        return [entry for entry in entries
                if entry.kind is not Kind.TEMPORARY
                and (entry.sha1 in sha1s or _blank(entry) in self.blank)]


def by_instances(context: nova_context.RequestContext,
                 instances: Iterable[Any]) -> Used:
    """Return what instances use.

    As nova's ImageCacheManager._list_running_instances tells (nova 34.0.0),
    and all ephemeral disks of an instance instead of the first.

    :param instances: of all hosts that use this cache, and those that move to
        or from them
    """
    by_uuid = {instance.uuid: instance for instance in instances}
    devices = objects.BlockDeviceMappingList.bdms_by_instance_uuid(
        context, list(by_uuid))
    return Used(
        frozenset(image for instance in by_uuid.values()
                  for image in _images(instance)),
        frozenset(name for bdms in devices.values() for bdm in bdms
                  if (name := _blank_of(bdm))))


def users(instances: Iterable[Any], sha1: str) -> list[str]:
    """Return the uuids of the instances that use an image.

    :param sha1: of the id of the image
    """
    return sorted({
        instance.uuid for instance in instances
        for image in _images(instance) if report.image_sha1(image) == sha1})


def _images(instance: 'objects.Instance') -> Iterator[str]:
    for name in ('image_ref', 'kernel_id', 'ramdisk_id'):
        image = getattr(instance, name)
        if image:
            yield image


def _blank_of(bdm: 'objects.BlockDeviceMapping') -> str | None:
    """Return the name of the empty disk that a block device is made of."""
    if block_device.new_format_is_swap(bdm):
        return f'swap_{bdm.volume_size}'
    if block_device.new_format_is_ephemeral(bdm):
        return f'ephemeral_{bdm.volume_size}'
    return None


def _blank(entry: Entry) -> str:
    """Return what an empty disk is known by.

    What follows the size of an ephemeral disk is made of the file system that
    its instance asked for; it is kept whichever that was.
    """
    if entry.kind is Kind.EPHEMERAL:
        return entry.name.rpartition('_')[0]
    return entry.name


def moving(hosts: Collection[str]) -> list[Any]:
    """Return the instances that move to or from some hosts."""
    try:
        return [instance for _migration, instance in presence.moving(
            nova_context.get_admin_context(), hosts)]
    except Exception as error:
        # The disks themselves still tell what they need.
        once.warning(
            LOG, (type(error),),
            'Cannot tell which instances move to or from %(hosts)s: '
            '%(error)s. The images of those without a disk here may be '
            'evicted, and are fetched again when they arrive.',
            {'hosts': ', '.join(hosts), 'error': error})
        return []


def instances_of(hosts: Collection[str]) -> Any:
    """Return the instances of some hosts, as nova's own pass gets them.

    From nova.compute.manager, _run_image_cache_manager_pass, nova 34.0.0; but
    not of a replica, which may not know yet who has just been claimed here.
    """
    return objects.InstanceList.get_by_filters(
        nova_context.get_admin_context(),
        {'deleted': False, 'soft_deleted': True, 'host': list(hosts)},
        expected_attrs=[])

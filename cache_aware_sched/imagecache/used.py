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

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
import dataclasses
from typing import Any

from nova import context as nova_context
from nova import objects
from oslo_log import log as logging

from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched import once
from cache_aware_sched import presence
from cache_aware_sched import report

LOG = logging.getLogger(__name__)
_ONCE = once.Once(LOG)

@dataclasses.dataclass(frozen=True, slots=True)
class Used:
    """What must stay for the sake of an instance.

    :param image_ids: images, kernels and ramdisks
    :param names: of swap and ephemeral disks
    """

    image_ids: frozenset[str]
    names: frozenset[str]

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
                and (entry.sha1 in sha1s or entry.name in self.names)]


def by_instances(list_running: Callable[..., dict[str, Any]],
                 context: nova_context.RequestContext,
                 instances: Any, hosts: Collection[str]) -> Used:
    """Return what the instances use, and those that move to or from here.

    :param list_running: nova's ImageCacheManager._list_running_instances
    :param instances: of all hosts that use this cache
    :param hosts: that use it
    """
    running = list_running(context, instances)
    images = set(running['used_images'])
    images |= _moving(hosts)
    images.discard('')
    return Used(frozenset(images), frozenset(
        running['used_swap_images'] | running['used_ephemeral_images']))


def _moving(hosts: Collection[str]) -> set[str]:
    """Return the images of the instances that move to or from a host."""
    context = nova_context.get_admin_context()
    try:
        return {image for _migration, instance
                in presence.moving(context, hosts)
                for image in (instance.image_ref, instance.kernel_id,
                              instance.ramdisk_id) if image}
    except Exception as error:
        # The disks themselves still tell what they need.
        _ONCE.warning(
            (type(error),),
            'Cannot tell which instances move to or from %(hosts)s: '
            '%(error)s. The images of those without a disk here may be '
            'evicted, and are fetched again when they arrive.',
            {'hosts': ', '.join(hosts), 'error': error})
        return set()


def instances_of(hosts: Collection[str]) -> Any:
    """Return the instances of some hosts, as nova's own pass gets them.

    From nova.compute.manager, _run_image_cache_manager_pass, nova 34.0.0.
    """
    return objects.InstanceList.get_by_filters(
        nova_context.get_admin_context(),
        {'deleted': False, 'soft_deleted': True, 'host': list(hosts)},
        expected_attrs=[], use_slave=True)

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

"""What the simulated cloud is made of; every number with its source."""

import dataclasses

from cache_aware_sched.conf import imagecache
from cache_aware_sched.simulator.bounds import BadOption
from cache_aware_sched.simulator.bounds import Name

#: Megabytes are 10**6 bytes here, as fetch rates are reported.
MB = 10 ** 6
GIB = 2 ** 30

_POSITIVE = ('hosts', 'host_vcpus', 'host_ram_mb', 'host_disk_gb',
             'cpu_allocation_ratio', 'ram_allocation_ratio',
             'disk_allocation_ratio', 'fetch_mb_s', 'schedulers',
             'update_interval', 'cache_manager_interval', 'max_attempts',
             'image_cache_popularity_half_life_hours')

#: As many hosts as a synthetic workload can be for; the others are whole.
_AT_MOST = {'hosts': 100000, 'image_cache_high_watermark_percent': 100,
            'image_cache_low_watermark_percent': 100}


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The simulated cloud.

    What nova.conf has an option for, a policy's fragment can set differently.

    :param hosts: compute hosts, all alike
    :param host_vcpus: CPUs of a host, without overcommit. The default is that
        of a common two-socket machine
    :param host_ram_mb: memory of a host, MiB. The default is 4 GiB for each
        CPU, as common machines have
    :param host_disk_gb: disk of a host, GiB, for the disks of servers and the
        image cache
    :param cpu_allocation_ratio: how often each CPU counts; nova's
        initial_cpu_allocation_ratio
    :param ram_allocation_ratio: the same for memory; nova's
        initial_ram_allocation_ratio
    :param disk_allocation_ratio: the same for the disk; nova's
        initial_disk_allocation_ratio
    :param reserved_host_memory_mb: memory of a host that servers do not get,
        MiB; nova's option of that name, and its default
    :param image_disk: whether cached images take from the disk that nova's
        DiskWeigher sees, as they do if the cache is below instances_path
    :param cache_manager: what decides which images leave the cache of a host:
        image_cache_manager of ``[cache_aware_sched]``. Stock nova too is
        simulated with it; ``age`` does as nova's own
    :param image_cache_max_size_gb: GiB of images that a host keeps at most, 0
        for no limit
    :param image_cache_max_images: images that a host keeps at most, 0 for no
        limit
    :param image_cache_high_watermark_percent: percent of its disk in use above
        which a host removes images, 0 for no limit
    :param image_cache_low_watermark_percent: percent of its disk in use down
        to which it then goes, 0 for the high watermark
    :param image_cache_min_free_gb: GiB of its disk that a host keeps free by
        removing images, 0 for no limit
    :param image_cache_popularity_half_life_hours: hours after which a boot
        counts half for --cache-manager popularity
    :param protected_images: id of an image that never leaves a cache, as the
        trace or nova has it
    :param cache_manager_interval: seconds from one pass of the cache manager
        to the next; ``[image_cache] manager_interval``, and nova's default
    :param remove_unused_base_images: whether --cache-manager age removes
        anything; ``[image_cache] remove_unused_base_images``
    :param minimum_age: seconds for which --cache-manager age keeps an
        image that no server uses; ``[image_cache]
        remove_unused_original_minimum_age_seconds``, and nova's default
    :param fetch_mb_s: how fast a host can fetch images, MB/s. The default is
        from nova 34 and a file store on one machine, where an image of 2 GiB
        took 11.3 s longer than one that was there
    :param glance_mb_s: how fast Glance can send images to all hosts together,
        MB/s, 0 for no limit. The default is that of a 10 Gbit/s link
    :param boot_seconds: seconds from the request to ACTIVE if the host has the
        image. The default was measured with nova 34 and libvirt
    :param claim_delay: seconds, of --boot-seconds, from the decision of
        the scheduler until others see it in the row of the host. With nova 34
        requests within 0.3 to 0.6 s of each other did not see one another
    :param report_delay: seconds from a change of the image cache until the
        scheduler sees it in the row of the host. 0.2 to 0.9 s were measured
    :param update_interval: seconds from one periodic update of a host's row
        to the next, after which builds that ended no longer count as I/O;
        nova's update_resources_interval, and its default
    :param max_concurrent_builds: servers that a host builds at a time, 0 for
        no limit; nova's option of that name, and its default
    :param max_attempts: hosts that are tried for a server; ``[scheduler]
        max_attempts``, and nova's default
    :param schedulers: nova-scheduler processes, which take turns, each with a
        memory of its own
    :param warm_up: share of the time from the first to the last request,
        from its start, in which the imbalance does not count: hosts start
        empty, and as long as there is little on them any server makes them
        uneven. On a trace of 3.5 days stock nova's imbalance fell from 1.1 to
        0.1 in a fifth of the time
    :param every_plugin: whether to run also those filters and weighers of nova
        that cannot tell the simulated hosts apart: it takes longer, for the
        same result
    """

    hosts: int = 100
    host_vcpus: int = 64
    host_ram_mb: int = 256 * 1024
    host_disk_gb: int = 8000
    cpu_allocation_ratio: float = 4.0
    ram_allocation_ratio: float = 1.0
    disk_allocation_ratio: float = 1.0
    reserved_host_memory_mb: int = 512
    image_disk: bool = True
    cache_manager: str = 'age'
    image_cache_max_size_gb: int = 0
    image_cache_max_images: int = 0
    image_cache_high_watermark_percent: int = 0
    image_cache_low_watermark_percent: int = 0
    image_cache_min_free_gb: int = 0
    image_cache_popularity_half_life_hours: float = 168.0
    protected_images: tuple[str, ...] = dataclasses.field(
        default=(), metadata={'metavar': 'ID'})
    cache_manager_interval: float = 2400.0
    remove_unused_base_images: bool = True
    minimum_age: float = 86400.0
    fetch_mb_s: float = 190.0
    glance_mb_s: float = 1250.0
    boot_seconds: float = 1.3
    claim_delay: float = 0.5
    report_delay: float = 0.2
    update_interval: float = 60.0
    max_concurrent_builds: int = 10
    max_attempts: int = 3
    schedulers: int = 1
    warm_up: float = 0.2
    every_plugin: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no cloud.

        :raises BadOption: naming the field
        """
        for field in dataclasses.fields(self):
            name, value = Name(field.name), getattr(self, field.name)
            if name in _POSITIVE and not value > 0:
                raise BadOption('{} must be more than 0, not {}', name, value)
            if isinstance(value, int | float) and not value >= 0:
                raise BadOption('{} must be at least 0, not {}', name, value)
            if field.name in _AT_MOST and value > _AT_MOST[field.name]:
                raise BadOption('{} must be at most {}, not {}', name,
                                _AT_MOST[field.name], value)
        if self.cache_manager not in imagecache.installed():
            raise BadOption(
                '{} must be one of {}, not {!r}', Name('cache_manager'),
                ', '.join(imagecache.installed()), self.cache_manager)
        if (self.image_cache_low_watermark_percent
                > self.image_cache_high_watermark_percent):
            raise BadOption('{} must not be above {}',
                            Name('image_cache_low_watermark_percent'),
                            Name('image_cache_high_watermark_percent'))
        if self.warm_up > 1:
            raise BadOption('{} must be a share from 0 to 1, not {}',
                            Name('warm_up'), self.warm_up)
        if self.claim_delay > self.boot_seconds:
            raise BadOption(
                '{} is a part of {} and cannot be longer',
                Name('claim_delay'), Name('boot_seconds'))

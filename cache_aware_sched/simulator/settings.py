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

#: Megabytes are 10**6 bytes here, as fetch rates are reported.
MB = 10 ** 6
GIB = 2 ** 30

#: The image cache managers of this package.
CACHE_MANAGERS = ('age', 'lru', 'popularity', 'protected', 'none')

_POSITIVE = ('hosts', 'host_vcpus', 'host_ram_mb', 'host_disk_gb',
             'cpu_allocation_ratio', 'ram_allocation_ratio',
             'disk_allocation_ratio', 'fetch_mb_s', 'schedulers',
             'update_interval', 'cache_manager_interval', 'max_attempts',
             'image_cache_popularity_half_life_hours')


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The simulated cloud.

    What nova.conf has an option for, a policy's fragment can set differently.

    :param hosts: how many, all alike
    :param host_vcpus: CPUs of a host, without overcommit. The default is that
        of a common two-socket machine
    :param host_ram_mb: MiB; 4 GiB a CPU, as in common machines
    :param host_disk_gb: GiB of the disk with the servers and the cache
    :param cpu_allocation_ratio: nova's initial_cpu_allocation_ratio
    :param ram_allocation_ratio: nova's initial_ram_allocation_ratio
    :param disk_allocation_ratio: nova's initial_disk_allocation_ratio
    :param reserved_host_memory_mb: MiB; nova's default
    :param image_disk: whether cached images take from the disk that nova's
        DiskWeigher sees, as they do below instances_path
    :param cache_manager: image_cache_manager of all hosts; nova has ``age``
    :param image_cache_max_size_gb: GiB of images that a host keeps at most, 0
        for no limit
    :param image_cache_max_images: images that a host keeps at most, 0 for no
        limit
    :param image_cache_high_watermark_percent: percent of the disk; when it is
        fuller, images go. 0 for no limit
    :param image_cache_low_watermark_percent: percent of the disk; where that
        ends. 0 for the high one
    :param image_cache_min_free_gb: GiB of the disk that are kept free, 0 for
        no limit
    :param image_cache_popularity_half_life_hours: hours in which a boot comes
        to count half for ``popularity``
    :param protected_images: ids of images that never go
    :param cache_manager_interval: seconds from pass to pass;
        ``[image_cache] manager_interval``, nova's default
    :param remove_unused_base_images: of ``[image_cache]``
    :param minimum_age: seconds for which ``age`` keeps what is not used;
        ``remove_unused_original_minimum_age_seconds``, nova's default
    :param fetch_mb_s: MB/s that a host can fetch with. 2 GiB took 11.3 s
        longer than none, with nova 34 and a file store on one machine
    :param glance_mb_s: MB/s that Glance can send to all hosts together, 0 for
        no limit. The default is that of a 10 Gbit/s link
    :param boot_seconds: from the request to ACTIVE if the image is there;
        measured with nova 34 and libvirt
    :param claim_delay: seconds from the scheduler's decision to the claim and
        the row of the host. Requests within 0.3 to 0.6 s of each other did
        not see one another in nova 34
    :param report_delay: seconds from a change of the cache to the row of the
        host. 0.2 to 0.9 s were measured
    :param update_interval: seconds from one periodic update of a host's row
        to the next, after which builds that ended no longer count as I/O;
        nova's default
    :param max_concurrent_builds: of a host, 0 for no limit; nova's default
    :param max_attempts: hosts that are tried for a server; nova's default
    :param schedulers: nova-scheduler processes that take turns, each with a
        memory of its own
    :param warm_up: share of the time from the first to the last request of
        which the imbalance does not count: hosts start empty, and as long as
        there is little on them any server makes them uneven. On a trace of
        3.5 days stock nova's std / mean fell from 1.1 to 0.1 in a fifth
    :param every_plugin: run also those filters and weighers of nova that
        cannot tell simulated hosts apart; the result is the same, later
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
    protected_images: tuple[str, ...] = ()
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

        :raises ValueError: naming the field
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float)
            if field.name in _POSITIVE and not value > 0:
                raise ValueError(f'{field.name} is {value}: a number above 0 '
                                 f'is wanted')
            if number and not value >= 0:
                raise ValueError(f'{field.name} is {value}: no negative '
                                 f'number is wanted')
        if self.cache_manager not in CACHE_MANAGERS:
            raise ValueError(
                f'cache_manager is {self.cache_manager!r}: one of '
                f'{", ".join(CACHE_MANAGERS)} is wanted')
        if (self.image_cache_low_watermark_percent
                > self.image_cache_high_watermark_percent):
            raise ValueError('image_cache_low_watermark_percent is above '
                             'image_cache_high_watermark_percent')
        if self.warm_up > 1:
            raise ValueError(f'warm_up is {self.warm_up}: a share from 0 to 1 '
                             f'is wanted')
        if self.claim_delay > self.boot_seconds:
            raise ValueError('claim_delay is a part of boot_seconds and '
                             'cannot be longer')

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
from cache_aware_sched.option import BadOption
from cache_aware_sched.option import Checked
from cache_aware_sched.option import Name
from cache_aware_sched.option import option
from cache_aware_sched.precache import demand

#: Megabytes are 10**6 bytes here, as fetch rates are reported.
MB = 10 ** 6
GIB = 2 ** 30


@dataclasses.dataclass(frozen=True, slots=True)
class Settings(Checked):
    """The simulated cloud.

    What nova.conf has an option for, a policy's fragment can set differently.
    """

    hosts: int = option(
        100, 'Compute hosts, all alike.',
        low=1, high=100000)
    host_vcpus: int = option(
        64, 'CPUs of a host, without overcommit. The default is that of a '
        'common two-socket machine.', low=1)
    host_ram_mb: int = option(
        256 * 1024, 'Memory of a host, MiB. The default is 4 GiB for each '
        'CPU, as common machines have.', low=1)
    host_disk_gb: int = option(
        8000, 'Disk of a host, GiB, for the disks of servers and the image '
        'cache.', low=1)
    cpu_allocation_ratio: float = option(
        4.0, "How often each CPU of a host counts, as nova's "
        'initial_cpu_allocation_ratio.', above=0, high=10000)
    ram_allocation_ratio: float = option(
        1.0, "How often the memory of a host counts, as nova's "
        'initial_ram_allocation_ratio.', above=0, high=10000)
    disk_allocation_ratio: float = option(
        1.0, "How often the disk of a host counts, as nova's "
        'initial_disk_allocation_ratio.', above=0, high=10000)
    reserved_host_memory_mb: int = option(
        512, 'Memory of a host that servers do not get, MiB. The default is '
        "that of nova's option of that name.",
        low=0)
    image_disk: bool = option(
        True, "Whether cached images take from the disk that nova's "
        'DiskWeigher sees, as they do if the cache is below '
        'instances_path.')
    cache_manager: str = option(
        'age', 'What decides which images leave the cache of a host. Stock '
        'nova too is simulated with it; "age" does as nova\'s own.',
        nova=('cache_aware_sched', 'image_cache_manager'))
    image_cache_max_size_gb: int = option(
        0, 'GiB of images that a host keeps at most, 0 for no limit.',
        low=0, nova=('cache_aware_sched', 'image_cache_max_size_gb'))
    image_cache_max_images: int = option(
        0, 'Images that a host keeps at most, 0 for no limit.',
        low=0, nova=('cache_aware_sched', 'image_cache_max_images'))
    image_cache_high_watermark_percent: int = option(
        0, 'Percent of its disk in use above which a host removes images, '
        '0 for no limit.',
        low=0, high=100,
        nova=('cache_aware_sched', 'image_cache_high_watermark_percent'))
    image_cache_low_watermark_percent: int = option(
        0, 'Percent of its disk in use down to which it then goes, 0 for '
        'the high watermark.',
        low=0, high=100,
        nova=('cache_aware_sched', 'image_cache_low_watermark_percent'))
    image_cache_min_free_gb: int = option(
        0, 'GiB of its disk that a host keeps free by removing images, 0 '
        'for no limit.',
        low=0, nova=('cache_aware_sched', 'image_cache_min_free_gb'))
    image_cache_popularity_half_life_hours: float = option(
        168.0, 'Hours after which a boot counts half for --cache-manager '
        'popularity.',
        above=0, nova=('cache_aware_sched',
                       'image_cache_popularity_half_life_hours'))
    protected_images: tuple[str, ...] = option(
        (), 'Id of an image that never leaves a cache, as the trace or '
        'nova has it.',
        metavar='ID', nova=('cache_aware_sched', 'protected_images'))
    cache_manager_interval: float = option(
        2400.0, 'Seconds from one pass of the cache manager to the next; '
        "nova's default.",
        above=0, nova=('image_cache', 'manager_interval'))
    remove_unused_base_images: bool = option(
        True, 'Whether --cache-manager age removes anything.',
        nova=('image_cache', 'remove_unused_base_images'))
    minimum_age: float = option(
        86400.0, 'Seconds for which --cache-manager age keeps an image that '
        "no server uses; nova's default.",
        low=0, nova=('image_cache',
                     'remove_unused_original_minimum_age_seconds'))
    fetch_mb_s: float = option(
        190.0, 'How fast a host can fetch images, MB/s. The default is from '
        'nova 34 and a file store on one machine, where an image of 2 '
        'GiB took 11.3 s longer than one that was there.', above=0)
    glance_mb_s: float = option(
        1250.0, 'How fast Glance can send images to all hosts together, MB/s, '
        '0 for no limit. The default is that of a 10 Gbit/s link.', low=0)
    boot_seconds: float = option(
        1.3, 'Seconds from the request to ACTIVE if the host has the image. '
        'The default was measured with nova 34 and libvirt.', low=0)
    claim_delay: float = option(
        0.5, 'Seconds, of --boot-seconds, from the decision of the '
        'scheduler until others see it in the row of the host. With '
        'nova 34 requests within 0.3 to 0.6 s of each other did not '
        'see one another.', low=0)
    report_delay: float = option(
        0.2, 'Seconds from a change of the image cache until the scheduler '
        'sees it in the row of the host. 0.2 to 0.9 s were measured.', low=0)
    update_interval: float = option(
        60.0, "Seconds from one periodic update of a host's row to the next, "
        "after which builds that ended no longer count as I/O; nova's "
        'default.',
        above=0, nova=('DEFAULT', 'update_resources_interval'))
    max_concurrent_builds: int = option(
        10, "Servers that a host builds at a time, 0 for no limit; nova's "
        'default.',
        low=0, nova=('DEFAULT', 'max_concurrent_builds'))
    max_attempts: int = option(
        3, "Hosts that are tried for a server; nova's default.",
        low=1, nova=('scheduler', 'max_attempts'))
    schedulers: int = option(
        1, 'nova-scheduler processes, which take turns, each with a '
        'memory of its own.', low=1)
    multi_create: bool = option(
        False, 'Whether servers of one batch are one request to nova, as with '
        'its min_count: those with the same flavor, image and project of '
        'which each is asked for within 1 s of the one before. nova places '
        'all of them or none.')
    warm_up: float = option(
        0.2, 'Share of the time from the first to the last request, from '
        'its start, in which the imbalance does not count: hosts start '
        'empty, and as long as there is little on them any server '
        "makes them uneven. On a trace of 3.5 days stock nova's "
        'imbalance fell from 1.1 to 0.1 in a fifth of the time.',
        low=0, high=1)
    precache_interval: float = option(
        600.0, 'Seconds from one plan of what is fetched ahead of time to the '
        'next, with --precache. Judgement: in replays of a trace 60 s fetched '
        'more and 1800 s less, and as many more or fewer servers found their '
        'image.', low=1)
    precache_concurrency: int = option(
        4, 'Images that are fetched ahead of time at once, one a host. '
        'Judgement: with the other defaults they take 60 % of what Glance can '
        'send.', low=1)
    precache_half_life_hours: float = option(
        demand.HALF_LIFE.total_seconds() / 3600, 'Hours after which a server '
        'counts half for the demand of its image. The default is that of the '
        'command; of an input of a few days, in which nothing is known of the '
        'weeks before, less than its length tells the demand better.',
        above=0, high=87_600)
    precache_min_copies: int = option(
        demand.LEAST_COPIES, 'Hosts that are to hold an image of which '
        'servers are asked for at least every other day. The default is that '
        'of the command.', low=1, high=100_000)
    precache_private: bool = option(
        False, 'Whether private images are fetched ahead of time too. '
        'The default is the advice for the option precache_owners of '
        'nova.conf.')
    every_plugin: bool = option(
        False, 'Whether to run also those filters and weighers of nova that '
        'cannot tell the simulated hosts apart: it takes longer, for '
        'the same result.')

    def __post_init__(self) -> None:
        """Refuse what makes no cloud.

        :raises BadOption: naming the field
        """
        Checked.__post_init__(self)
        if self.cache_manager not in imagecache.installed():
            raise BadOption(
                '{} must be one of {}, not {!r}', Name('cache_manager'),
                ', '.join(imagecache.installed()), self.cache_manager)
        if (self.image_cache_low_watermark_percent
                > self.image_cache_high_watermark_percent):
            raise BadOption('{} must not be above {}',
                            Name('image_cache_low_watermark_percent'),
                            Name('image_cache_high_watermark_percent'))
        if self.claim_delay > self.boot_seconds:
            raise BadOption(
                '{} is a part of {} and cannot be longer',
                Name('claim_delay'), Name('boot_seconds'))

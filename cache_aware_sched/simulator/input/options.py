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


"""The options of a workload: each with its unit, its bounds and its reason."""

import dataclasses
import datetime
import math

from cache_aware_sched.fleet.access import Access
from cache_aware_sched.option import BadOption
from cache_aware_sched.option import Checked
from cache_aware_sched.option import Name
from cache_aware_sched.option import option

#: Servers of a synthetic workload if nothing else is said: 160 for each host.
SYNTHETIC_BOOTS = 16000


@dataclasses.dataclass(frozen=True, slots=True)
class Images(Checked):
    """The images of servers that name none.

    There is no published distribution of the images of OpenStack clouds.
    Atkinson et al. (NSDI 2014) found few images with most of the loads and a
    long tail of rare ones in a testbed of four years, which is why popularity
    is Zipf. The numbers are assumptions: vary them.
    """

    public_images: int = option(
        300, 'Images that every project may use.', 1, 1000000)
    private_share: float = option(
        0.3, 'Share of the batches that have an image of their own, which '
        'nothing else uses: 0 to 1.', 0, 1)
    zipf_exponent: float = option(
        1.0, 'How unequally the public images are used: the one in place r is '
        'chosen with a probability in proportion to 1 / r ** X. With 0 all '
        'are used alike.', 0, 10)
    image_median_gb: float = option(
        2.5, 'Median size of the images, GiB. With the default spread nine of '
        'ten are from 0.5 to 13 GiB, from a small Linux to a Windows.',
        0.001, 10000)
    image_sigma: float = option(
        1.0, 'How much the sizes differ: standard deviation of their natural '
        'logarithm. With 0 every image has the median.', 0, 5)
    image_min_gb: float = option(
        0.02, 'Smallest size of an image, GiB. CirrOS has 0.02.', 0.001, 10000)
    image_max_gb: float = option(
        50.0, 'Largest size of an image, GiB.', 0.001, 10000)
    projects: int = option(
        0, 'Projects that the batches belong to. 0 gives every batch a '
        'project of its own.', 0, 1000000)
    project_zipf_exponent: float = option(
        1.0, 'How unequally active the projects are, as --zipf-exponent.',
        0, 10)
    flavor_disk_gb: int = option(
        20, 'Root disk of a server, GiB, where the input has none. It is made '
        'as large as the image if that is larger, which nova would refuse. '
        "The default is that of nova's m1.small of old.", 0, 100000)

    def __post_init__(self) -> None:
        """Check the bounds, also against each other."""
        # Not super(): with slots the class is made anew.
        Checked.__post_init__(self)
        if not (self.image_min_gb <= self.image_median_gb
                <= self.image_max_gb):
            raise BadOption(
                '{} must be from {} to {}, not {}', Name('image_median_gb'),
                Name('image_min_gb'), Name('image_max_gb'),
                self.image_median_gb)


@dataclasses.dataclass(frozen=True, slots=True)
class Trace(Checked):
    """How a trace is read."""

    bin_seconds: float | None = option(
        None, 'Seconds that the arrivals were rounded down to a multiple of: '
        'each batch then starts at a random moment of its bin. 0 takes the '
        'arrivals as they are. Default: found in the arrivals.', 0, 86400)
    gap_seconds: float = option(
        1.0, 'Seconds between the servers of a batch, where the arrivals are '
        'in bins.', 0, 3600)


@dataclasses.dataclass(frozen=True, slots=True)
class Synthetic(Checked):
    """Arrivals without a trace.

    The shapes are those of Cortez et al., "Resource Central" (SOSP 2017), of
    which the numbers were read from the arrivals that its authors published
    (AzurePublicDatasetV1, CC BY 4.0): 259,000 servers of one region in 3.5
    days. The lifetimes are scaled so that the hosts are used as asked for: an
    operator knows how full a cloud is, and Little's law gives the rest.
    """

    hours: float = option(
        72.0, 'For how long servers are asked for.', 0.01, 24 * 366)
    hosts: int = option(
        100, 'Hosts that the servers are for.', 1, 100000, derived=True)
    host_vcpus: float = option(
        64.0, 'vCPUs of one host that count for the used share.', 1, 1000000,
        derived=True)
    used_share: float = option(
        0.5, 'How full the hosts are, as a mean over the hours: share of '
        'their CPUs that servers have, each counted once whatever '
        '--cpu-allocation-ratio is, or of their memory where that is used up '
        'first. Hosts start empty, so they are fuller at the end.', 0.001, 1)
    batch_tail: float = option(
        1.15, 'How rare large batches are: one has n or more servers with the '
        'probability 1 / n ** X. With 1.15, 55 % have one server, 87 % at '
        'most five, 0.7 % more than 73; in the published arrivals it is '
        '58 %, 89 % and 1 %.', 0.5, 20)
    max_batch: int = option(
        500, 'Most servers in a batch. The largest published has 587.',
        1, 100000)
    daily_wave: float = option(
        0.45, 'How much more than on average is asked for at the busiest '
        'moment of the day, and how much less 12 hours later, as a share of '
        'the average. The published arrivals go from 0.45 below to 0.7 '
        'above.', 0, 1)
    peak_hour: float = option(
        14.0, 'The busiest moment, hours after the start.', 0, 24)
    lifetime_sigma: float = option(
        2.0, 'How much the lifetimes differ: standard deviation of their '
        'natural logarithm. The published lifetimes have 1.9, from 0.9 below '
        'the median to 2.6 above it.', 0, 5)
    lifetime_alike: float = option(
        0.8, 'How alike the lifetimes in a batch are, from 0 to 1: '
        'correlation of their logarithms. The published ones have 0.83.',
        0, 1)
    flavors: tuple[tuple[int, int, float], ...] = option(
        ((1, 2048, 0.62), (2, 4096, 0.19), (4, 8192, 0.10),
         (8, 16384, 0.09)),
        'A flavor: its vCPUs, its memory in MiB, and how often it is asked '
        'for in proportion to the others. Any that is given goes instead of '
        'all default ones: these have the published shares of vCPUs, and '
        "2 GiB for each, as nova's m1 flavors of old.")

    def __post_init__(self) -> None:
        """Check the bounds, and the flavors."""
        Checked.__post_init__(self)
        if not self.flavors or any(
                vcpus < 1 or ram_mb < 1 or not 0 < weight < math.inf
                for vcpus, ram_mb, weight in self.flavors):
            raise BadOption(
                '{} must be vCPUs, MiB of RAM and a weight, all of them more '
                'than 0, not {}', Name('flavors'), ', '.join(
                    ':'.join(map(str, flavor)) for flavor in self.flavors))


@dataclasses.dataclass(frozen=True, slots=True)
class History(Access):
    """What is read of nova's databases."""

    since: datetime.datetime | None = option(  # noqa: RUF009
        None, 'Start of the period, as 2026-01-31T12:00; UTC unless it has a '
        'zone. Default: 7 days before its end.')
    until: datetime.datetime | None = option(  # noqa: RUF009
        None, 'End of the period; UTC unless it has a zone. Default: now.')
    archived: bool = option(
        False, 'Whether to read also the servers that "nova-manage db '
        'archive_deleted_rows" moved to the shadow tables.')
    chunk: int = option(
        5000, 'Most rows that one statement looks at.', 1, 1000000)


@dataclasses.dataclass(frozen=True, slots=True)
class Options(Checked):
    """All options of a workload, whatever it is made from.

    :param images: for all of them
    :param trace: for one from a trace
    :param synthetic: for one without any input
    :param history: for one from nova's databases
    """

    seed: int = option(
        0, 'Chance: the same number gives the same result again, another one '
        'draws everything that is random anew.')
    boots: int = option(
        0, 'Servers to simulate. Of a trace or a history about as many, whole '
        'batches at random from all of its time, and 0 takes all. Of '
        '--synthetic exactly as many, and 0 makes 160 for each host.',
        0, 10000000)
    limit: int = option(
        0, 'Of those, simulate only the first so many; 0 takes all.',
        0, 10000000)
    images: Images = Images()
    trace: Trace = Trace()
    synthetic: Synthetic = Synthetic()
    history: History = History()

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


"""The options of a workload: each with its unit, its bounds and its reason.

The command makes its arguments of these fields: ``metadata`` has ``help``, and
``low`` and ``high``, both of them allowed values, or None without a bound.
"""

import dataclasses
import datetime
import math
from typing import Any
from typing import TypeVar

T = TypeVar('T')

#: Servers of a synthetic workload if nothing else is said: 160 for each host.
SYNTHETIC_BOOTS = 16000


class BadOption(ValueError):
    """An option is out of its bounds; the message names it."""


def _option(default: T, help_: str, low: float | None = None,
            high: float | None = None) -> T:
    field: T = dataclasses.field(
        default=default, metadata={'help': help_, 'low': low, 'high': high})
    return field


class _Checked:
    """Keeps its fields within their bounds.

    :raises BadOption: when one is not
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(
            self)  # type: ignore[arg-type]
        for field in fields:
            value = getattr(self, field.name)
            low = field.metadata.get('low')
            high = field.metadata.get('high')
            if value is None or (low is None and high is None):
                continue
            if not math.isfinite(value):
                raise BadOption(f'{field.name} must be a number, not {value}')
            if low is not None and value < low:
                raise BadOption(
                    f'{field.name} must be at least {low}, not {value}')
            if high is not None and value > high:
                raise BadOption(
                    f'{field.name} must be at most {high}, not {value}')


@dataclasses.dataclass(frozen=True, slots=True)
class Images(_Checked):
    """The images of servers that name none.

    There is no published distribution of the images of OpenStack clouds.
    Atkinson et al. (NSDI 2014) found few images with most of the loads and a
    long tail of rare ones in a testbed of four years, which is why popularity
    is Zipf. The numbers are assumptions: vary them.
    """

    public_images: int = _option(
        300, 'Images that every project may use.', 1, 1000000)
    private_share: float = _option(
        0.3, 'Share of the batches that have an image of their own, which '
        'nothing else uses.', 0, 1)
    zipf_exponent: float = _option(
        1.0, 'How unequally the public images are used: image number r is '
        'chosen with a probability in proportion to r ** -EXPONENT. 0 is '
        'evenly.', 0, 10)
    image_median_gb: float = _option(
        2.5, 'Median size of the images, GiB. With the default spread nine of '
        'ten are from 0.5 to 13 GiB, from a small Linux to a Windows.',
        0.001, 10000)
    image_sigma: float = _option(
        1.0, 'Standard deviation of the natural logarithm of the sizes. 0 '
        'gives every image the median.', 0, 5)
    image_min_gb: float = _option(
        0.02, 'No image is smaller, GiB. CirrOS has 0.02.', 0.001, 10000)
    image_max_gb: float = _option(
        50.0, 'No image is larger, GiB.', 0.001, 10000)
    projects: int = _option(
        0, 'Projects that the batches are of, where the input names none. 0 '
        'gives every batch a project of its own.', 0, 1000000)
    project_zipf_exponent: float = _option(
        1.0, 'How unequally active the projects are, as --zipf-exponent.',
        0, 10)
    flavor_disk_gb: int = _option(
        20, 'Root disk of a server, GiB; at least the size of its image, '
        "which nova refuses otherwise. 20 has nova's m1.small of old.",
        0, 100000)

    def __post_init__(self) -> None:
        """Check the bounds, also against each other."""
        # Not super(): with slots the class is made anew.
        _Checked.__post_init__(self)
        if not (self.image_min_gb <= self.image_median_gb
                <= self.image_max_gb):
            raise BadOption(
                'image_median_gb must be from image_min_gb to image_max_gb, '
                f'not {self.image_median_gb}')


@dataclasses.dataclass(frozen=True, slots=True)
class Trace(_Checked):
    """How a trace is read."""

    bin_seconds: float | None = _option(
        None, 'Width of the bins that the arrivals are rounded down to: each '
        'batch starts at a random moment of its bin. 0 takes the arrivals as '
        'they are. Without it the width is found in the data.', 0, 86400)
    gap_seconds: float = _option(
        1.0, 'Seconds between the servers of a batch in one bin. Not used '
        'where the arrivals are taken as they are.', 0, 3600)


@dataclasses.dataclass(frozen=True, slots=True)
class Synthetic(_Checked):
    """Arrivals without a trace.

    The shapes are those of Cortez et al., "Resource Central" (SOSP 2017), of
    which the numbers were read from the arrivals that its authors published
    (AzurePublicDatasetV1, CC BY 4.0): 259,000 servers of one region in 3.5
    days. The lifetimes are scaled so that the hosts are used as asked for: an
    operator knows how full a cloud is, and Little's law gives the rest.
    """

    hours: float = _option(
        72.0, 'How long servers are asked for.', 0.01, 24 * 366)
    hosts: int = _option(
        100, 'Hosts that the servers are for.', 1, 100000)
    host_vcpus: float = _option(
        64.0, 'vCPUs that one host has for servers, allocation ratio '
        'included.', 1, 1000000)
    used_share: float = _option(
        0.5, 'Share of all vCPUs that servers have, as a mean over the '
        'hours. It starts from nothing, so the end is fuller.', 0.001, 1)
    batch_tail: float = _option(
        1.15, 'Of the sizes of the batches: n or more servers has a batch '
        'with the probability n ** -TAIL. In the published arrivals 58 % '
        'have one server, 89 % at most five, 1 % more than 73; 1.15 gives '
        '55 %, 87 % and 0.7 %.', 0.5, 20)
    max_batch: int = _option(
        500, 'No batch is larger. The largest published has 587.', 1, 100000)
    daily_wave: float = _option(
        0.45, 'How much more than on average is asked for in the busiest '
        'moment of the day, 12 hours after the quietest, as a share of the '
        'average. The published arrivals: from 0.45 below to 0.7 above.',
        0, 1)
    peak_hour: float = _option(
        14.0, 'The busiest moment, hours after the start.', 0, 24)
    lifetime_sigma: float = _option(
        2.0, 'Standard deviation of the natural logarithm of the lifetimes. '
        'The published lifetimes have 1.9, from 0.9 below the median to 2.6 '
        'above it.',
        0, 5)
    lifetime_alike: float = _option(
        0.8, 'How alike the lifetimes in a batch are: correlation of their '
        'logarithms. 0.83 in the published arrivals.', 0, 1)
    flavors: tuple[tuple[int, int, float], ...] = _option(
        ((1, 2048, 0.62), (2, 4096, 0.19), (4, 8192, 0.10),
         (8, 16384, 0.09)),
        'vCPUs, MiB of RAM, and how often. The published shares of vCPUs, '
        "with 2 GiB of RAM a vCPU, as nova's m1 flavors of old have, for the "
        '1.75 GiB that nearly all published servers have.')

    def __post_init__(self) -> None:
        """Check the bounds, and the flavors."""
        _Checked.__post_init__(self)
        if not self.flavors or any(
                vcpus < 1 or ram_mb < 1 or not 0 < weight < math.inf
                for vcpus, ram_mb, weight in self.flavors):
            raise BadOption(
                'flavors must be vCPUs, MiB of RAM and a weight, all of them '
                f'more than 0, not {self.flavors}')


@dataclasses.dataclass(frozen=True, slots=True)
class History(_Checked):
    """What is read of nova's databases."""

    config_files: tuple[str, ...] = _option(
        (), "nova's configuration files; without any, those that nova itself "
        'finds, as /etc/nova/nova.conf.')
    since: datetime.datetime | None = _option(  # noqa: RUF009
        None, 'First moment of the period; UTC if it has no zone. Without '
        'it, 7 days before its end.')
    until: datetime.datetime | None = _option(  # noqa: RUF009
        None, 'End of the period; UTC if it has no zone. Without it, now.')
    archived: bool = _option(
        False, 'Also read the servers that "nova-manage db '
        'archive_deleted_rows" moved to the shadow tables.')
    cell_databases: tuple[tuple[str, str], ...] = _option(
        (), 'Name or uuid of a cell, and the database to read instead of the '
        'one that its mapping has: a replica.')
    chunk: int = _option(
        5000, 'Rows that one statement looks at.', 1, 1000000)


@dataclasses.dataclass(frozen=True, slots=True)
class Options(_Checked):
    """All options of a workload, whatever it is made from.

    :param images: for all of them
    :param trace: for one from a trace
    :param synthetic: for one without any input
    :param history: for one from nova's databases
    """

    seed: int = _option(
        0, 'Whatever is random is the same again with the same number.')
    boots: int = _option(
        0, 'About how many servers: of a trace or of a history, whole '
        'batches at random from all of its time; 0 takes all. Of a synthetic '
        'workload exactly so many; 0 makes 160 for each host.', 0, 10000000)
    limit: int = _option(
        0, 'Only the first servers, so many; 0 takes all.', 0, 10000000)
    images: Images = Images()
    trace: Trace = Trace()
    synthetic: Synthetic = Synthetic()
    history: History = History()

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


"""The images and projects of servers that name none."""

from collections.abc import Iterable
import dataclasses
import functools
import math
import statistics
import uuid

from cache_aware_sched.simulator.input.arrivals import Arrivals
from cache_aware_sched.simulator.input.arrivals import made_id
from cache_aware_sched.simulator.input.chance import chance
from cache_aware_sched.simulator.input.chance import inner
from cache_aware_sched.simulator.input.chance import zipf
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator.workload import Boot
from cache_aware_sched.simulator.workload import GIB
from cache_aware_sched.simulator.workload import Image
from cache_aware_sched.simulator.workload import Workload

_NORMAL = statistics.NormalDist()


def size(value: float, mix: options.Images) -> int:
    """Return the size of an image in bytes.

    Log-normal within the bounds: what would be beyond them is spread over
    all that is within, so that nothing piles up at the bounds.

    :param value: from 0 to below 1; the larger, the larger the image
    """
    if not mix.image_sigma:
        return round(mix.image_median_gb * GIB)
    low, high = (
        _NORMAL.cdf(math.log(bound / mix.image_median_gb) / mix.image_sigma)
        for bound in (mix.image_min_gb, mix.image_max_gb))
    if low >= high:  # as near to each other as floats are
        return round(mix.image_min_gb * GIB)
    share = min(max(low + value * (high - low), inner(0)), 1 - inner(0))
    gib = mix.image_median_gb * math.exp(
        mix.image_sigma * _NORMAL.inv_cdf(share))
    return round(min(max(gib, mix.image_min_gb), mix.image_max_gb) * GIB)


def disk_gb(image_size: int, flavor: int) -> int:
    """Return the GiB of a server's root disk.

    nova refuses an image that is larger than the disk
    (FlavorDiskSmallerThanImage), so a flavor with too little is taken to be
    another one.

    :param image_size: bytes
    :param flavor: GiB that the flavor has
    """
    return max(flavor, -(-image_size // GIB))


@dataclasses.dataclass(frozen=True, slots=True)
class _Assigner:
    """Gives each batch what it lacks, whatever other batches there are."""

    mix: options.Images
    seed: int

    def image(self, batch: int) -> tuple[str, bool]:
        """Return the id of a batch's image and whether it is private."""
        if chance(self.seed, 'private', batch) < self.mix.private_share:
            return made_id('private image', batch), True
        rank = zipf(self.mix.public_images, self.mix.zipf_exponent)(
            chance(self.seed, 'image', batch))
        return made_id('public image', rank), False

    def project(self, batch: int) -> str:
        """Return the id of a batch's project."""
        if not self.mix.projects:
            return _hex(made_id('project of batch', batch))
        rank = zipf(self.mix.projects, self.mix.project_zipf_exponent)(
            chance(self.seed, 'project', batch))
        return _hex(made_id('project', rank))

    def size(self, image: str) -> int:
        """Return the bytes of an image of unknown size."""
        return size(chance(self.seed, 'size', image), self.mix)


def _hex(identifier: str) -> str:
    return uuid.UUID(identifier).hex


def assign(arrivals: Arrivals, mix: options.Images, seed: int = 0) -> Workload:
    """Give every server an image and a project.

    What the arrivals name stays. An image that they name without a size gets
    one as all others do, and is private if one project alone uses it.
    """
    assigner = _Assigner(mix, seed)
    image_of = functools.lru_cache(maxsize=None)(assigner.image)
    project_of = functools.lru_cache(maxsize=None)(assigner.project)
    private: dict[str, bool] = {}
    complete: list[Boot] = []
    for boot in arrivals.servers:
        image = boot.image
        if not image:
            image, private[image] = image_of(boot.batch)
        complete.append(boot._replace(
            image=image, project=boot.project or project_of(boot.batch)))
    private = {**_of_one_project(complete), **private}
    images = {
        image: Image(image, arrivals.sizes[image] if image in arrivals.sizes
                     else assigner.size(image), private[image])
        for image in dict.fromkeys(boot.image for boot in complete)}
    return Workload(
        [boot._replace(disk_gb=disk_gb(
            images[boot.image].size, boot.disk_gb or mix.flavor_disk_gb))
         for boot in complete], images, tuple(arrivals.notes), arrivals.names)


def _of_one_project(boots: Iterable[Boot]) -> dict[str, bool]:
    """Return of each image whether only one project uses it."""
    first: dict[str, str] = {}
    alone: dict[str, bool] = {}
    for boot in boots:
        owner = first.setdefault(boot.image, boot.project)
        alone[boot.image] = (
            alone.get(boot.image, True) and owner == boot.project)
    return alone



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

"""The scores of peers that policies are compared with, by their formulas.

Each is absolute: minval and maxval are set, so nova does not stretch it over
the candidates. They read the same reports as this package's weigher does, and
so know of an image as soon as it arrived: more than their own have.
"""

from collections.abc import Sequence
from typing import Any

from nova.scheduler import weights

from cache_aware_sched import report
from cache_aware_sched.simulator import policy

MIB = 2 ** 20

#: Kubernetes, pkg/scheduler/framework/plugins/imagelocality: below the first
#: an image counts nothing, from the second on everything.
MIN_THRESHOLD = 23 * MIB
MAX_CONTAINER_THRESHOLD = 1000 * MIB


def one_over_n(instances: int) -> float:
    """Return the score of a host by Rackspace's weigher of 2014.

    :param instances: that run the image there; it is taken for held if any do
    """
    return 1 / instances if instances else 0.0


def image_locality(size: int, holders: int, nodes: int) -> float:
    """Return the score of a host that holds an image by Kubernetes.

    100 * (size * holders / nodes - 23 MiB) / (1000 MiB - 23 MiB), within 0
    and 100; here within 0 and 1. Kubernetes rounds down to whole points of
    100, which only loses what is known.

    :param size: of the image, in bytes
    :param holders: nodes that hold it
    :param nodes: in all
    """
    scaled = size * holders / nodes
    bounded = min(max(scaled, MIN_THRESHOLD), MAX_CONTAINER_THRESHOLD)
    return (bounded - MIN_THRESHOLD) / (
        MAX_CONTAINER_THRESHOLD - MIN_THRESHOLD)


def _holds(host: Any, key: str) -> bool:
    text = host.stats.get(report.STATS_KEY)
    return (text is not None
            and report.Report(text).holding(key) >= report.Holding.WARM)


class ReferenceWeigher(weights.BaseHostWeigher):
    """A peer's score.

    :param multiplier: of the score
    """

    minval = 0.0
    maxval = 1.0

    def __init__(self, multiplier: float) -> None:
        self._multiplier = multiplier

    def weight_multiplier(self, host_state: Any) -> float:
        """Return the same for every host, whatever its aggregates say."""
        return self._multiplier

    def _weigh_object(self, obj: Any, weight_properties: Any) -> float:
        raise NotImplementedError


class BinaryWeigher(ReferenceWeigher):
    """CSIC, 2015: 1 if the host holds the image, 0 if not."""

    def _weigh_object(self, obj: Any, weight_properties: Any) -> float:
        return float(_holds(obj, report.image_key(
            weight_properties.image.id)))


class OneOverNWeigher(ReferenceWeigher):
    """Rackspace, 2014: 1 / same-image instances on the host."""

    def _weigh_object(self, obj: Any, weight_properties: Any) -> float:
        image = weight_properties.image.id
        return one_over_n(sum(
            vars(instance).get('_obj_image_ref') == image
            for instance in obj.instances.values()))


class ImageLocalityWeigher(ReferenceWeigher):
    """Kubernetes: the size of the image, damped by how few nodes have it.

    Its nodes are the candidates of the request.
    """

    def weigh_objects(self, weighed_obj_list: Sequence[Any],
                      weight_properties: Any) -> list[float]:
        """Return the scores of all hosts; see :mod:`nova.weights`."""
        key = report.image_key(weight_properties.image.id)
        held = [_holds(item.obj, key) for item in weighed_obj_list]
        score = image_locality(
            weight_properties.image.size, sum(held), len(held))
        return [score * there for there in held]


WEIGHERS: dict[str, type[ReferenceWeigher]] = {
    policy.BINARY: BinaryWeigher,
    policy.ONE_OVER_N: OneOverNWeigher,
    policy.IMAGE_LOCALITY: ImageLocalityWeigher,
}

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

"""What is known of one pool that could take the volume."""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from cinder.common import constants
from cinder.scheduler import sched_utils

#: What operators can add to what a pool says of itself, with
#: ``extra_capabilities`` of the backend: Cinder tells the scheduler nothing of
#: the option of that name.
CACHE_ENABLED = 'image_volume_cache_enabled'

#: Whether a cached volume serves all pools of its backend. Drivers that report
#: it for the backend alone do not show it here.
CLONE_ACROSS_POOLS = 'clone_across_pools'


@dataclasses.dataclass(slots=True)
class Pool:
    """A candidate.

    :ivar id: ``host@backend#pool``, or ``cluster@backend#pool``
    :ivar place: what a cached volume must be in to serve it: the pool itself,
        or its backend
    :ivar state: its PoolState
    :ivar cache_enabled: whether its cached volumes are used, if it has any
    :ivar fills: whether a volume of an image leaves a cached volume there
    """

    id: str
    place: str
    state: Any
    cache_enabled: bool
    fills: bool

    @classmethod
    def of(cls, state: Any) -> 'Pool':
        """Return what a PoolState says."""
        # The dictionary below: the one around it is slow for absent keys.
        says = getattr(state.capabilities, 'data', state.capabilities) or {}
        pool_id = place = str(state.backend_id)
        if not state.cluster_name and _is_true(says.get(CLONE_ACROSS_POOLS)):
            place = backend_of(pool_id)
        enabled = _is_true(says.get(CACHE_ENABLED, True))
        return cls(pool_id, place, state, enabled,
                   enabled and not clones_images(state))

    def load(self, size: int, thick: bool) -> tuple[float, float] | None:
        """Return how full it is with a volume in it, and its capacity.

        As CapacityFilter and CapacityWeigher reckon it.

        :param size: of the volume, in GiB
        :returns: a share, and GiB; None if the pool does not tell
        """
        state = self.state
        try:
            factors = sched_utils.calculate_capacity_factors(
                float(state.total_capacity_gb), float(state.free_capacity_gb),
                state.provisioned_capacity_gb,
                state.thin_provisioning_support,
                state.max_over_subscription_ratio,
                state.reserved_percentage, not thick)
        # 'unknown', 'infinite'; a number that no float or int can be.
        except (TypeError, ValueError, ArithmeticError):
            return None
        capacity = factors['total_available_capacity']
        used = capacity - factors['virtual_free_capacity']
        if not (capacity > 0 and math.isfinite(capacity)
                and math.isfinite(used)):
            return None
        return (used + size) / capacity, capacity


def backend_of(host: str) -> str:
    """Return ``host@backend`` of a pool."""
    return host.partition('#')[0]


def clones_images(state: Any) -> bool:
    """Return whether its driver makes volumes of images without a cache.

    A volume in Ceph is a clone of the image where that is raw and in the same
    Ceph, which the scheduler cannot see (``RBDDriver.clone_image``, cinder
    29.0.0). Where it is not, a cached volume is made as elsewhere.
    """
    protocol = state.storage_protocol
    return bool(protocol == constants.CEPH or (
        isinstance(protocol, (list, tuple)) and constants.CEPH in protocol))


def _is_true(value: Any) -> bool:
    """Return what a capability means: JSON, or text of a driver."""
    return str(value).strip().lower().removeprefix('<is> ') in (
        'true', '1', 'yes', 'on')


class CachedVolumes:
    """The cached volumes of one image.

    :param entries: as ``image_volume_cache_get_all`` returns them
    """

    def __init__(self, entries: Iterable[Any]) -> None:
        self._entries = fresh(list(entries))
        self._hosts = {entry['host'] for entry in self._entries}
        self._clusters = {entry['cluster_name'] for entry in self._entries}
        self._backends = {backend_of(host) for host in self._hosts}

    @property
    def size(self) -> int:
        """Return the size of the largest in GiB, 0 if there is none."""
        return max((entry['size'] or 0 for entry in self._entries), default=0)

    def serve(self, pool: Pool) -> bool:
        """Return whether Cinder would make a volume of one in a pool.

        As ``ImageVolumeCache._get_query_filters`` of cinder/image/cache.py
        (cinder 29.0.0) looks for it; but where any pool would do, only those
        of the same backend: it takes those of other arrays too, and fails.
        """
        if not self._entries or not pool.cache_enabled:
            return False
        if pool.state.cluster_name:
            return pool.state.cluster_name in self._clusters
        if pool.place != pool.id:
            return pool.place in self._backends
        return pool.id in self._hosts


def fresh(entries: Sequence[Any]) -> list[Any]:
    """Return the entries that can be of the image as it is now.

    Cinder deletes one of another time than the image's, and fetches the image
    again (``ImageVolumeCache._should_update_entry``). Only Glance knows that
    time; but of two times the earlier one is not it.
    """
    times = [entry['image_updated_at'] for entry in entries
             if entry['image_updated_at']]
    newest = max(times, default=None)
    return [entry for entry in entries
            if newest and entry['image_updated_at'] == newest]

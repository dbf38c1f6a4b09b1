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

"""What a request wants, as far as the image-volume cache goes. No Cinder."""

from collections.abc import Mapping
import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeRequest:
    """A volume that is to be made.

    :param volume: its id, '' if the request has none
    :param image: id of the image, None if it is not made from one, or if no
        cache serves it
    :param size: GiB
    :param backend: what a group, a snapshot or another volume binds it to:
        ``host@backend``, with or without ``#pool``; None for anything
    :param thick: whether its type wants all its space at once
    :param tried: the pools in which its creation has failed
    """

    volume: str
    image: str | None
    size: int
    backend: str | None = None
    thick: bool = False
    tried: frozenset[str] = frozenset()

    @classmethod
    def read(cls, properties: Mapping[str, Any]) -> 'VolumeRequest':
        """Return what the properties of a scheduling say.

        Groups, retypes and migrations have other request specs than volumes;
        none of them has an image.
        """
        spec = properties.get('request_spec')
        if not isinstance(spec, Mapping):
            spec = {}
        wanted = spec.get('volume_properties')
        if not isinstance(wanted, Mapping):
            wanted = {}
        image = spec.get('image_id') or None
        if is_encrypted(spec, wanted):
            image = None
        return cls(str(spec.get('volume_id') or ''), image,
                   int(wanted.get('size') or 0),
                   spec.get('resource_backend') or None,
                   _is_thick(properties.get('volume_type')),
                   _tried(properties.get('retry')))

    def may_go_to(self, pool_id: str) -> bool:
        """Return whether the scheduler would take a pool.

        It weighs all pools and drops the others afterwards
        (``FilterScheduler._schedule``, cinder 29.0.0).

        :param pool_id: ``host@backend#pool``, or of a cluster
        """
        if self.backend is None:
            return True
        if '#' not in self.backend:
            pool_id = pool_id.partition('#')[0]
        return pool_id == self.backend


def is_encrypted(spec: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether the volume has a key of its own.

    Cinder neither makes such a volume from a cached one nor caches it
    (``_create_from_image`` of cinder/volume/flows/manager/create_volume.py,
    cinder 29.0.0).
    """
    volume = spec.get('volume')
    return bool(wanted.get('encryption_key_id') or (
        isinstance(volume, Mapping) and volume.get('encryption_key_id')))


def _tried(retry: Any) -> frozenset[str]:
    """Return what ``_add_retry_backend`` of FilterScheduler has noted."""
    backends = retry.get('backends') if isinstance(retry, Mapping) else None
    return frozenset(map(str, backends or ()))


def _is_thick(volume_type: Any) -> bool:
    """Return what CapacityWeigher makes of a type, cinder 29.0.0."""
    if not volume_type:
        return False
    specs = volume_type.get('extra_specs') or {}
    return bool(specs.get('provisioning:type') == 'thick')

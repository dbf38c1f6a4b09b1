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

"""Requests to nova-api for which Glance is asked, and what they ask for.

No nova.
"""

import dataclasses
import enum
import json
import re
from typing import Any

from cache_aware_sched import image_ids

HINT, REQUIRE = 'image_cache', 'require'

#: What users may call the hints (nova.api.openstack.compute.schemas.servers,
#: nova 31.3.1 to 34.0.0); the second one is the older.
HINTS = ('os:scheduler_hints', 'OS-SCH-HNT:scheduler_hints')

#: Some clients have the id of their project before it, which nova-api allows.
_PATHS = r'/(?:[^/]+/)?'
#: A boot by its older name is one too.
_CREATE = re.compile(rf'{_PATHS}(?:servers|os-volumes_boot)/?(?:\.json)?')
_ACTION = re.compile(rf'{_PATHS}servers/[^/]+/action/?(?:\.json)?')
_PRECACHE = re.compile(rf'{_PATHS}os-aggregates/[^/]+/images/?(?:\.json)?')


class RequestKind(enum.Enum):
    """What a request is for."""

    BOOT = 'boot'
    REBUILD = 'rebuild'
    PRECACHE = 'precache'


@dataclasses.dataclass(slots=True)
class ApiRequest:
    """A request for which nova-api asks Glance.

    :param image: that the server is to have, '' for none
    :param from_volume: whether the server is to have no image on its host
    :param volume_images: images that Cinder is to make volumes from
    :ivar from_records: whether Glance is not asked any more for it
    :ivar is_copied: whether hosts without its image copy it from others
    :ivar outage: why it cannot be answered; set where that is noticed
    """

    kind: RequestKind
    image: str = ''
    from_volume: bool = False
    volume_images: frozenset[str] = frozenset()
    from_records: bool = False
    is_copied: bool = False
    outage: str = ''

    def may_use_records(self, image_id: str) -> bool:
        """Return whether an image may be answered from memory for it.

        What somebody else asks Glance for later fails then, and is better
        refused now: as Cinder for a volume, or nova-compute for a rebuild
        (ComputeManager.rebuild_instance, nova 31.3.1 to 34.0.0).
        """
        return (self.kind is RequestKind.BOOT and not self.from_volume
                and image_ids.canonical(image_id) not in self.volume_images)


def kind_of(method: str, path: str) -> RequestKind | None:
    """Return what a request may be for, None if Glance need not be asked.

    :param path: below that of the version of the API
    """
    if method != 'POST':
        return None
    if _CREATE.fullmatch(path):
        return RequestKind.BOOT
    if _ACTION.fullmatch(path):
        return RequestKind.REBUILD
    return RequestKind.PRECACHE if _PRECACHE.fullmatch(path) else None


def read(kind: RequestKind, body: bytes) -> ApiRequest | None:
    """Return what is asked for, None if Glance need not be asked.

    Never raises: nova-api itself refuses what nobody can read.
    """
    if kind is RequestKind.PRECACHE:
        return ApiRequest(kind)
    if kind is RequestKind.REBUILD and b'"rebuild"' not in body:
        return None  # any other action
    asked = _object(_parsed(body)).get(
        'server' if kind is RequestKind.BOOT else 'rebuild')
    if not isinstance(asked, dict):
        return None
    image = asked.get('imageRef')
    disks = asked.get('block_device_mapping_v2')
    disks = [one for one in disks if isinstance(one, dict)] if isinstance(
        disks, list) else []
    return ApiRequest(
        kind, image=image if isinstance(image, str) else '',
        from_volume=kind is RequestKind.BOOT and (
            not image or any(_is_root_volume(one) for one in disks)
            or bool(asked.get('block_device_mapping'))),
        volume_images=frozenset(
            image_ids.canonical(str(one.get('uuid'))) for one in disks
            if one.get('source_type') == 'image'
            and one.get('destination_type') == 'volume'))


def with_hint(body: bytes) -> bytes:
    """Return a request for servers that only go where their image is.

    As it is if its user has said what the image cache is to do.
    """
    asked = _object(_parsed(body))
    name = next((name for name in HINTS if name in asked), HINTS[0])
    hints = asked.get(name, {})
    if not asked or not isinstance(hints, dict) or any(
            HINT in _object(asked.get(one)) for one in HINTS):
        return body
    return json.dumps(
        {**asked, name: {**hints, HINT: REQUIRE}}).encode()


def _is_root_volume(disk: dict[str, Any]) -> bool:
    return (str(disk.get('boot_index')) == '0'
            and disk.get('destination_type') == 'volume')


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

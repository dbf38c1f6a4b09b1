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

"""What is asked for, read from nova's RequestSpec without ever raising."""

import dataclasses
from typing import Any
from typing import NamedTuple
import zlib

from cache_aware_sched import image_ids

HINT_IMAGE_CACHE = 'image_cache'
HINT_CAP = 'max_same_image_instances_per_host'
EXTRA_SPEC_CAP = 'cache_aware_sched:max_same_image_instances_per_host'
EXTRA_SPEC_SHARE = 'cache_aware_sched:max_same_image_share_per_host'

#: nova's own, with which it asks whether a host is good for a rebuild
#: (nova.scheduler.utils, request_is_rebuild, nova 34.0.0).
HINT_CHECK_TYPE = '_nova_check_type'

#: Values of a hint that are read, and their characters. Users send them, as
#: many and as long as the API takes.
MAX_HINT_VALUES, MAX_HINT_CHARS = 8, 255

AFFINITY, ANTI_AFFINITY = 'affinity', 'anti-affinity'


class Hint(NamedTuple):
    """What a user gave for a scheduler hint.

    :param values: that were read
    :param unread: whether there was more: too many values, one that is too
        long, or one that is no text
    """

    values: tuple[str, ...] = ()
    unread: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """The parts of a RequestSpec that matter here.

    :param image: id of the image that the host's cache is used for; None when
        there is none, as for a server that boots from a volume
    :param image_size: bytes; 0 when not known
    :param instance: uuid of the server that is placed now
    :param project: id of its project
    :param flavor: its name
    :param vcpus: wanted
    :param memory_mb: wanted
    :param disk_gb: size of the root disk; 0 means as large as the image
    :param count: servers in the request
    :param extra_specs: of the flavor
    :param image_cache: the hint of this name
    :param hinted_cap: the hint for the cap; nothing for a move, as a hint
        stays with a server for ever
    :param group_policy: of the server group, None without one
    :param group_has_host: whether a member of the group has a host
    :param rebuild: whether the host is given and only asked for its opinion
    :param move: whether the server is there and gets another host
    :param named_host: that an administrator asked for, and that the filters
        look at
    :param forced: whether an administrator named the host (az:host), for which
        nova skips all filters
    :param sequence: tells requests apart; of requests that come one after the
        other it counts up, with gaps
    :param fits_finely: whether it asks for NUMA nodes or PCI devices, of which
        nova's filters see for each server what the ones before have taken
    """

    image: str | None
    image_size: int
    instance: str | None
    project: str | None
    flavor: str | None
    vcpus: int
    memory_mb: int
    disk_gb: int
    count: int
    extra_specs: dict[str, str]
    image_cache: Hint
    hinted_cap: Hint
    group_policy: str | None
    group_has_host: bool
    rebuild: bool
    move: bool
    named_host: str | None
    forced: bool
    sequence: int
    fits_finely: bool = False

    @classmethod
    def from_spec(cls, spec: Any) -> 'Request':
        """Read a RequestSpec; what is not set or odd is as if absent."""
        image = _get(spec, 'image')
        flavor = _get(spec, 'flavor')
        group = _get(spec, 'instance_group')
        destination = _get(spec, 'requested_destination')
        hints = _get(spec, 'scheduler_hints')
        hints = hints if isinstance(hints, dict) else {}
        extra_specs = _get(flavor, 'extra_specs')
        # Conductor names the cell of a server that is there (nova.conductor,
        # nova 34.0.0); CrossCellWeigher goes by the same.
        move = _is_set(destination, 'cell')
        uuid = _get(spec, 'instance_uuid')
        return cls(
            image=_image(spec, image),
            image_size=_number(_get(image, 'size')),
            instance=uuid,
            project=_get(spec, 'project_id'),
            flavor=_get(flavor, 'name'),
            vcpus=_number(_get(flavor, 'vcpus')),
            memory_mb=_number(_get(flavor, 'memory_mb')),
            disk_gb=_number(_get(flavor, 'root_gb')),
            # A moved server's request still says with how many it was booted.
            count=1 if move else _number(_get(spec, 'num_instances')) or 1,
            extra_specs=extra_specs if isinstance(extra_specs, dict) else {},
            image_cache=_hint(hints, HINT_IMAGE_CACHE),
            hinted_cap=Hint() if move else _hint(hints, HINT_CAP),
            group_policy=_get(group, 'policy'),
            group_has_host=bool(_get(group, 'hosts')),
            rebuild='rebuild' in _hint(hints, HINT_CHECK_TYPE).values,
            move=move,
            named_host=_get(destination, 'host'),
            forced=bool(_get(spec, 'force_hosts')
                        or _get(spec, 'force_nodes')),
            sequence=(_number(_get(spec, 'id'))
                      or zlib.crc32(str(uuid).encode())),
            fits_finely=bool(
                _get(spec, 'numa_topology') is not None
                or _get(_get(spec, 'pci_requests'), 'requests')),
        )


def server_of(spec: Any) -> str | None:
    """Return the uuid of the server that a RequestSpec is for, for a log."""
    uuid: str | None = _get(spec, 'instance_uuid')
    return uuid


def _image(spec: Any, image: Any) -> str | None:
    image_id = _get(image, 'id')
    if not image_id or _get(spec, 'is_bfv'):
        return None
    return image_ids.canonical(str(image_id))


def _get(thing: Any, name: str) -> Any:
    """Return a field, None if it is not set.

    Asking nova's objects for a field that is not set loads it, or raises one
    of several errors where it cannot.
    """
    if thing is None:
        return None
    try:
        is_set = getattr(thing, 'obj_attr_is_set', None)
        if is_set is not None and not is_set(name):
            return None
        return getattr(thing, name, None)
    except Exception:  # an object that does not know the field, or is broken
        return None


def _is_set(thing: Any, name: str) -> bool:
    try:
        return thing is not None and bool(thing.obj_attr_is_set(name))
    except Exception:  # as above
        return False


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _hint(hints: dict[str, Any], name: str) -> Hint:
    given = hints.get(name)
    if given is None:
        return Hint()
    items = given if isinstance(given, list) else [given]
    read = [str(item) for item in items[:MAX_HINT_VALUES]
            if isinstance(item, (str, int, float))
            and len(str(item)) <= MAX_HINT_CHARS]
    return Hint(tuple(read), unread=len(read) < len(items))

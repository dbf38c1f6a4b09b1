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

HINT_IMAGE_CACHE = 'image_cache'
HINT_CAP = 'max_same_image_instances_per_host'
EXTRA_SPEC_CAP = 'cache_aware_sched:max_same_image_instances_per_host'


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """The parts of a RequestSpec that matter here.

    :param image: id of the image that the host's cache is used for; None when
        there is none, as for a server that boots from a volume
    :param image_size: bytes; 0 when not known
    :param instance: uuid of the server that is placed now
    :param project: id of its project
    :param vcpus: wanted
    :param memory_mb: wanted
    :param disk_gb: size of the root disk; 0 means as large as the image
    :param count: servers in the request
    :param extra_specs: of the flavor
    :param hints: scheduler hints, each a list of values
    :param grouped: whether the server belongs to a server group
    :param rebuild: whether the host is given and only asked for its opinion
    :param forced: whether an administrator named the host (az:host), for which
        nova skips all filters
    """

    image: str | None
    image_size: int
    instance: str | None
    project: str | None
    vcpus: int
    memory_mb: int
    disk_gb: int
    count: int
    extra_specs: dict[str, str]
    hints: dict[str, list[str]]
    grouped: bool
    rebuild: bool
    forced: bool

    @classmethod
    def from_spec(cls, spec: Any) -> 'Request':
        """Read a RequestSpec; what is not set or odd is as if absent."""
        image = _get(spec, 'image')
        flavor = _get(spec, 'flavor')
        hints = _hints(_get(spec, 'scheduler_hints'))
        from_volume = bool(_get(spec, 'is_bfv'))
        extra_specs = _get(flavor, 'extra_specs')
        return cls(
            image=None if from_volume else _get(image, 'id') or None,
            image_size=_number(_get(image, 'size')),
            instance=_get(spec, 'instance_uuid'),
            project=_get(spec, 'project_id'),
            vcpus=_number(_get(flavor, 'vcpus')),
            memory_mb=_number(_get(flavor, 'memory_mb')),
            disk_gb=_number(_get(flavor, 'root_gb')),
            count=_number(_get(spec, 'num_instances')) or 1,
            extra_specs=extra_specs if isinstance(extra_specs, dict) else {},
            hints=hints,
            grouped=_get(spec, 'instance_group') is not None,
            # nova.scheduler.utils.request_is_rebuild reads the same hint
            # (nova 34.0.0), and raises when there are no hints at all.
            rebuild='rebuild' in hints.get('_nova_check_type', ()),
            forced=bool(_get(spec, 'force_hosts')
                        or _get(spec, 'force_nodes')),
        )


def server_of(spec: Any) -> str | None:
    """Return the uuid of the server that a RequestSpec is for, for a log."""
    uuid: str | None = _get(spec, 'instance_uuid')
    return uuid


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


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _hints(value: Any) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        return {}
    return {str(name): [str(item) for item in items]
            if isinstance(items, list) else [str(items)]
            for name, items in value.items()}

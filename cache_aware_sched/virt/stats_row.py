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

"""How much room the other statistics of a host leave for the report.

``compute_nodes.stats`` is a column of 65,535 bytes that holds all of them as
JSON. One byte more and, with MariaDB in its strict mode, the host's row is
never written again and boots on the host fail.
"""

from collections.abc import Iterable
from collections.abc import Mapping

from oslo_serialization import jsonutils

COLUMN_BYTES = 65_535

#: nova.compute.stats.Stats (nova 34.0.0) writes num_instances, io_workload and
#: failed_builds, a counter a vm state and one a task state: 13 and 44 of them,
#: none longer than 64 characters with its value.
_NOVA_FIXED = (13 + 44 + 8) * 64

#: It also writes a counter a project and one an operating system type, such
#: as '"num_proj_5f705155e88a4d26a4a5f8a26f9d1b2a": "12", '.
_NOVA_COUNTER = len('"num_os_type_": "1000000", ')

#: Left for what is claimed before the next report: about 150 projects that
#: were not on the host before.
_RESERVE = 12 * 1024


def room(stats: Mapping[str, object], names: Iterable[str | None]) -> int:
    """Return the bytes that a report may have, the quotes around it included.

    :param stats: what the driver reports besides
    :param names: the project ids and operating system types of the instances
        on this host
    """
    counters = sum(_NOVA_COUNTER + _json_bytes(name) for name in set(names))
    driver = sum(_json_bytes(key) + _json_bytes(value) + len(': , ')
                 for key, value in stats.items())
    return max(0, COLUMN_BYTES - driver - counters - _NOVA_FIXED - _RESERVE)


def _json_bytes(value: object) -> int:
    return len(jsonutils.dump_as_bytes(value))

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

"""The policies: which entries are the least worth keeping.

Pure functions of entries that may go; what may not is never shown to them.
"""

from collections.abc import Iterable
import math

from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind

#: nova takes a file for a resized copy if more than one character follows the
#: underscore (nova.virt.libvirt.imagecache, _scan_base_images, nova 34.0.0).
#: It never removes a copy of less than 10 GiB.
_SHORTEST_RESIZED = len('a' * 40 + '_') + 2


def least_recently_used(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries, the one not used for longest first."""
    return sorted(entries, key=lambda entry: (entry.used_ns, entry.name))


def least_popular(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries, the one with fewest recent boots first.

    Boots are compared as whole numbers, or the decay of a minute would always
    decide. Of equally many the one goes first that takes most bytes a boot.
    """
    def key(entry: Entry) -> tuple[int, float, int, str]:
        boots = math.floor(entry.boots + 0.5)
        # Half a boot is the least that is not forgotten: it counts as one.
        bytes_a_boot = entry.size / max(entry.boots, 0.5)
        return boots, -bytes_a_boot, entry.used_ns, entry.name

    return sorted(entries, key=key)


def unused_for(entries: Iterable[Entry], now: float, seconds: float,
               resized_seconds: float) -> list[Entry]:
    """Return the entries that nova's own manager removes.

    :param now: seconds since the epoch
    :param seconds: how long the others must not have been used
    :param resized_seconds: how long resized copies must not have been used
    """
    def old(entry: Entry) -> bool:
        age = now - entry.last_used
        if entry.kind is Kind.RESIZED:
            return (len(entry.name) >= _SHORTEST_RESIZED
                    and age >= resized_seconds)
        return entry.kind is not Kind.TEMPORARY and age >= seconds

    return [entry for entry in entries if old(entry)]

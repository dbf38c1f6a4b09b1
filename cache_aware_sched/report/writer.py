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

"""Writes the report, on the compute host.

:mod:`cache_aware_sched.report` has its format.
"""

from collections.abc import Iterable

from cache_aware_sched.report import facts as facts_mod
from cache_aware_sched.report.records import BaseFile
from cache_aware_sched.report.records import FileKind
from cache_aware_sched.report.records import record
from cache_aware_sched.report.records import RECORD_CHARS
from cache_aware_sched.report.records import VERSION


def _worth(file: BaseFile) -> tuple[bool, int, str, int, int]:
    """Sort key for what stays when not everything fits; the smallest stays.

    A resized copy is worth less than any image. Otherwise what saves the most
    time is worth the most: the fetch takes as long as the file is large, and
    an image that is in use is booted more often; that this is worth a doubled
    size is a guess.
    """
    in_use = 2 if file.users else 1
    return (file.kind is FileKind.RESIZED, -file.size * in_use, file.sha1,
            file.kind, -file.users)


def encode(
    files: Iterable[BaseFile], *, caches: bool = True, rate: int = 0,
    servers: int | None = None,
    facts: facts_mod.HostFacts = facts_mod.UNKNOWN_FACTS, max_bytes: int,
) -> str:
    """Return the report of a host.

    :param files: the files of the cache, in any order
    :param caches: False if this host keeps no images (rbd)
    :param rate: of the fetches, in MB/s; 0 if nothing is known
    :param servers: on the host, whatever they were made of
    :param facts: what else the host says; left out if there is no room
    :param max_bytes: the report is at most as long; nothing is listed in one
        that is shorter than the header
    """
    files = list(files)
    images = sum(file.kind not in (FileKind.RESIZED, FileKind.ABSENT)
                 for file in files)
    about = f'r={rate}' + ('' if servers is None else f';i={servers}')
    more = facts_mod.write(facts)
    if len(_header(caches, images, len(files), True, about + more)) <= (
            max_bytes):
        about += more
    room = max(0, max_bytes - len(
        _header(caches, images, len(files), True, about))) // RECORD_CHARS
    listed = (files if len(files) <= room
              else sorted(files, key=_worth)[:room])
    records = sorted(record(file) for file in listed)
    truncated = len(listed) < len(files)
    return (_header(caches, images, len(records), truncated, about)
            + ''.join(records))


def _header(caches: bool, images: int, records: int, truncated: bool,
            about: str) -> str:
    return (f'v={VERSION};w={RECORD_CHARS};c={int(caches)};n={images};'
            f'k={records};t={int(truncated)};{about}|')

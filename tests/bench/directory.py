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

"""What it costs to see what is in a libvirt host's cache directory."""

import dataclasses
import os
import statistics
import tempfile

import nova.conf

from cache_aware_sched.imagecache import directory
from cache_aware_sched import report
from cache_aware_sched.virt import cached_files
from tests.bench import cloud
from tests.bench import timing

CONF = nova.conf.CONF

ROUNDS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """Medians, in seconds.

    :param first: by a CachedFiles that is new, as after a start
    :param repeated: by one that was asked before
    """

    files: int
    first: float
    repeated: float


def measure(files: int) -> Cost:
    """Return what it costs to list a directory of so many sparse files."""
    with tempfile.TemporaryDirectory() as path:
        CONF.set_override('instances_path', path)
        try:
            where = directory.Directory(lambda: CONF.host)
            os.mkdir(where.cache_dir)
            for number in range(files):
                name = report.image_sha1(cloud.image_id(number))
                with open(os.path.join(where.cache_dir, name), 'xb') as file:
                    os.truncate(file.fileno(), (1 + number % 20) * 2 ** 30)
            seen = cached_files.CachedFiles(where)
            if len(seen.files()) != files:
                raise RuntimeError('not all files were found')
            first, repeated = timing.in_turn([
                lambda: cached_files.CachedFiles(where).files,
                lambda: seen.files], ROUNDS)
        finally:
            CONF.clear_override('instances_path')
    return Cost(files, statistics.median(first), statistics.median(repeated))

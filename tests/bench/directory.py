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

from cache_aware_sched import report
from cache_aware_sched.virt import cache_directory
from tests.bench import cloud
from tests.bench import timing

ROUNDS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """Medians, in seconds.

    :param first: by a CacheDirectory that is new, as after a start
    :param repeated: by one that was asked before
    """

    files: int
    first: float
    repeated: float


def measure(files: int) -> Cost:
    """Return what it costs to list a directory of so many sparse files."""
    with tempfile.TemporaryDirectory() as path:
        for number in range(files):
            name = report.image_sha1(cloud.image_id(number))
            with open(os.path.join(path, name), 'xb') as file:
                os.truncate(file.fileno(), (1 + number % 20) * 2 ** 30)
        seen = cache_directory.CacheDirectory(path)
        if len(seen.files()) != files:
            raise RuntimeError('not all files were found')
        first, repeated = timing.in_turn([
            lambda: cache_directory.CacheDirectory(path).files,
            lambda: seen.files], ROUNDS)
    return Cost(files, statistics.median(first), statistics.median(repeated))

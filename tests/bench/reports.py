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

"""What a report costs: its size, and the time to write and to read it."""

import dataclasses
import random

from cache_aware_sched import report
from tests.bench import cloud
from tests.bench import timing

ROUNDS = 7


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """Medians of one size of report.

    :param encode: seconds
    :param held: seconds to look up an image that is there; missing likewise
    """

    images: int
    size: int
    bytes_an_image: float
    encode: float
    held: float
    missing: float


def measure(images: int) -> Cost:
    """Return what a report of so many images costs."""
    files = cloud.files(images, True, random.Random(images))

    def encode() -> str:
        return report.encode(files, rate=128, max_bytes=48 * 1024)

    text = encode()
    header = text.index('|') + 1

    def look_up(id_: str) -> float:
        key = report.image_key(id_)
        return timing.median(
            lambda: report.Report(text).holding(key), ROUNDS, 200)

    return Cost(
        len(files), len(text), (len(text) - header) / len(files),
        timing.median(encode, ROUNDS, 5),
        held=look_up(cloud.WANTED), missing=look_up(cloud.image_id(-1)))

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

"""The metadata keys of aggregates that the package reads. No nova."""

from collections.abc import Callable
import math

from cache_aware_sched import cap
from cache_aware_sched.conf.scheduler import MULTIPLIER_BOUND
from cache_aware_sched import image_ids

#: Ours, each named as the option that it overrides.
IMAGE_CACHE = 'image_cache_weight_multiplier'
CAP = 'max_same_image_instances_per_host'
SHARE = 'max_same_image_share_per_host'
#: Ids, separated by commas. nova takes 255 characters for a value, which are
#: six ids (nova.db.api.models, nova 34.0.0).
CRITICAL = 'critical_images'

#: Those of nova's own weighers (CPUWeigher, RAMWeigher; nova 34.0.0).
VCPUS = 'cpu_weight_multiplier'
MEMORY = 'ram_weight_multiplier'


def parse_multiplier(text: str) -> float:
    """Return a multiplier of this package's weigher.

    :raises ValueError: saying what is wanted
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= MULTIPLIER_BOUND:
        raise ValueError(
            f'a number between -{MULTIPLIER_BOUND} and {MULTIPLIER_BOUND} is '
            f'wanted')
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError('a number is wanted')
    return value


#: What parses the value of each key, and raises ValueError if it cannot.
PARSERS: dict[str, Callable[[str], object]] = {
    IMAGE_CACHE: parse_multiplier,
    CAP: cap.parse,
    SHARE: cap.parse_share,
    VCPUS: _finite,
    MEMORY: _finite,
    CRITICAL: image_ids.parse,
}

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

"""Results as a simulation has them, made by hand."""

import random

from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.results.result import HeatMap
from cache_aware_sched.simulator.results.result import Result

HOUR = 3600.0
GB = 10 ** 9


def heat_map(hosts=4, images=3, seed=0):
    chance = random.Random(seed)
    return HeatMap(
        at=40 * HOUR, hosts=[f'host{number:04}' for number in range(hosts)],
        images=[f'image-{number}' for number in range(images)],
        servers=[[chance.randrange(4) for _image in range(images)]
                 for _host in range(hosts)])


def result(policy='stock', kind=policy_mod.STOCK, **fields):
    """Return a result of 1,000 boots."""
    return Result(**{
        'policy': policy, 'kind': kind, 'multiplier': 0.0, 'boots': 1000,
        'cold_boots': 579, 'late_boots': 7, 'refused': 3, 'rescheduled': 0,
        'evicted': 20, 'fetched_bytes': 38100 * GB,
        'floor_bytes': 5000 * GB, 'wait_mean': 14.25, 'wait_p50': 6.5,
        'wait_p95': 66.4, 'wait_p99': 76.9, 'max_same_image': 12,
        'max_same_image_project': 9, 'worst_host_share': 0.163,
        'worst_host_share_p95': 0.4, 'vcpu_imbalance': 0.14,
        'ram_imbalance': 0.15, 'heat_map': heat_map(), 'seconds': 2.5,
        'hit_rate_over_time': [
            (number * HOUR, 0.42) for number in range(50)],
        **fields})


def of_policy(policy, **fields):
    """Return what a policy made of the boots."""
    return result(policy.name, policy.kind, multiplier=policy.multiplier,
                  **fields)

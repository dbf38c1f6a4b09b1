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

"""What the weigher costs cinder-scheduler, through Cinder's own handler."""

import time
import uuid

from cinder import context
from cinder.db import api as db
from cinder.scheduler import host_manager
from oslo_config import cfg
from oslo_utils import timeutils

from cache_aware_sched.cinder import recent
from tests.cinder import database

CONF = cfg.CONF
ENTRIES = 5_000
POOLS = (100, 1_000)
ROUNDS = 31
STOCK = ['CapacityWeigher', 'AllocatedCapacityWeigher']
OURS = 'ImageVolumeCacheWeigher'


def states(number):
    """Return so many pools, each a little fuller than the one before."""
    result = []
    for index in range(number):
        state = host_manager.PoolState(f'h{index:04}@b#p', None, None, 'p')
        state.host = f'h{index:04}@b#p'
        state.update_from_volume_capability({
            'timestamp': timeutils.utcnow(), 'total_capacity_gb': 20_000,
            'free_capacity_gb': 10_000 - index,
            'allocated_capacity_gb': 10_000 + index,
            'storage_protocol': 'iSCSI'})
        result.append(state)
    return result


def fill(pools, image, holders):
    """Have 5,000 cached volumes in the table, some of them of the image."""
    admin = context.get_admin_context()
    for index in range(ENTRIES):
        db.image_volume_cache_create(
            admin, pools[index % len(pools)].host, None,
            image if index < holders else str(uuid.UUID(int=index % 500)),
            timeutils.utcnow().replace(year=2026, month=1, day=1, hour=0,
                                       minute=0, second=0, microsecond=0),
            str(uuid.uuid4()), 10)


def seconds(manager, pools, weighers, image):
    """Return how long pools are weighed for a volume."""
    properties = {
        'context': context.get_admin_context(),
        'request_spec': {
            'image_id': image, 'volume_id': str(uuid.uuid4()),
            'volume_properties': {'size': 20}}}
    start = time.perf_counter()
    manager.get_weighed_backends(pools, properties, weighers)
    return time.perf_counter() - start


def in_turn(manager, pools, cases, rounds=ROUNDS):
    """Return the fastest rounds of several cases in milliseconds.

    In turn, so that a busy machine is busy for all of them; the fastest, as
    each is long enough for something else to come in between.

    :param cases: weighers and image of each
    """
    times = [[seconds(manager, pools, *case) for case in cases]
             for _round in range(rounds)]
    return [1000 * min(column) for column in zip(*times, strict=True)]


def main():
    """Print what Cinder's two weighers of capacity cost, and ours."""
    print(f'Milliseconds a request, {ENTRIES:,} cached volumes in SQLite')
    print(f'{"pools":>6}{"hold it":>9}{"Cinder":>9}{"ours":>9}{"ratio":>7}'
          f'{"no image":>10}')
    for number in POOLS:
        for holders in (0, number // 10, number):
            with database.ready():
                recent.forget()
                CONF.set_override('scheduler_default_weighers',
                                  [*STOCK, OURS])
                manager, image = host_manager.HostManager(), str(uuid.uuid4())
                pools = states(number)
                fill(pools, image, holders)
                stock, ours, without = in_turn(manager, pools, (
                    (STOCK, image), ([OURS], image), ([OURS], None)))
                print(f'{number:>6,}{holders:>9,}{stock:>9.2f}{ours:>9.2f}'
                      f'{ours / stock:>7.2f}{without:>10.2f}', flush=True)

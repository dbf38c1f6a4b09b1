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

"""Cinder's own pools, weighers and table of cached volumes, without services.
"""

import datetime
import logging
import uuid

from cinder import context
from cinder.db import api as db
from cinder.scheduler import filter_scheduler
from cinder.scheduler import host_manager
from cinder.tests.unit import test
from oslo_config import cfg
from oslo_utils import timeutils

from cache_aware_sched.cinder import recent
from cache_aware_sched.cinder import weights
from cache_aware_sched import once

CONF = cfg.CONF
PACKAGE = 'cache_aware_sched'
IMAGE, OTHER = (str(uuid.UUID(int=number)) for number in (1, 2))
NEW = datetime.datetime(2026, 5, 2)
OLD = datetime.datetime(2026, 5, 1)


class LogRecords(logging.Handler):
    """Keeps what the package logs; a wrong format raises."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.lines = []

    def emit(self, record):
        self.lines.append((record.levelno, record.getMessage()))


class CandidatesTestCase(test.TestCase):
    """Four pools of 1,000 GiB, none of them used."""

    def setUp(self):
        super().setUp()
        once.forget_all()
        recent.forget()
        self.now = 0.0
        recent._shared = recent.RecentVolumes(clock=lambda: self.now)
        self.log = LogRecords()
        logger = logging.getLogger(PACKAGE)
        self.addCleanup(logger.setLevel, logger.level)
        logger.setLevel(logging.INFO)
        logger.addHandler(self.log)
        self.addCleanup(logger.removeHandler, self.log)
        self.enable('CapacityWeigher', 'ImageVolumeCacheWeigher')
        self.context = context.RequestContext('user', 'project')
        self.manager = host_manager.HostManager()
        self.pools = {}
        for name in 'abcd':
            self.add(f'{name}@files')
        self.queries = 0
        get_all = db.image_volume_cache_get_all

        def counted(*args, **kwargs):
            self.queries += 1
            return get_all(*args, **kwargs)

        self.query = self.mock_object(
            weights.db, 'image_volume_cache_get_all', side_effect=counted)

    # Given.

    def enable(self, *weighers):
        CONF.set_override('scheduler_default_weighers', list(weighers))

    def set(self, **options):
        for name, value in options.items():
            CONF.set_override(name, value, PACKAGE)

    def add(self, host, pool='p', cluster=None, used=0, total=1000, **says):
        """Add a backend with a pool, or a pool to a backend; return its id."""
        backend = host_manager.BackendState(host, cluster)
        backend.update_from_volume_capability({
            'timestamp': timeutils.utcnow(), 'storage_protocol': 'iSCSI',
            'pools': [{
                'pool_name': pool, 'total_capacity_gb': total,
                'free_capacity_gb': total - used if isinstance(
                    total, int) else total,
                'allocated_capacity_gb': used, **says}]})
        [state] = backend.pools.values()
        self.pools[state.backend_id] = state
        return state.backend_id

    def cache(self, host, image=IMAGE, cluster=None, updated=NEW, size=20):
        """Have a pool hold a cached volume."""
        db.image_volume_cache_create(
            self.context, host, cluster, image, updated, str(uuid.uuid4()),
            size)

    def fill(self, pool, gib):
        """Have other volumes in a pool."""
        self.pools[pool].consume_from_volume({'size': gib})

    # When.

    def spec(self, volume=None, image=IMAGE, size=10, **spec):
        return {'volume_id': volume or str(uuid.uuid4()), 'image_id': image,
                'volume_properties': {'size': size}, **spec}

    def weigh(self, weighers=('ImageVolumeCacheWeigher',), volume_type=None,
              retry=None, **spec):
        """Return the weights of all pools by their ids, the best first."""
        weighed = self.manager.get_weighed_backends(
            list(self.pools.values()), {
                'request_spec': self.spec(**spec), 'context': self.context,
                'volume_type': volume_type, 'retry': retry}, list(weighers))
        return {item.obj.backend_id: item.weight for item in weighed}

    def place(self, **spec):
        """Return the pool that FilterScheduler takes, and fill it."""
        scheduler = filter_scheduler.FilterScheduler()
        states = dict(self.pools.items())
        scheduler.host_manager.get_all_backend_states = (
            lambda ctxt: states.values())
        scheduler.host_manager.get_filtered_backends = (
            lambda backends, properties: list(backends))
        best = scheduler._schedule(self.context, self.spec(**spec), {})
        return best.obj.backend_id if best else None

    # Then.

    def logged(self, level):
        return [line for number, line in self.log.lines if number == level]

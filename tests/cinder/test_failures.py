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

"""What goes wrong around the weigher, and what the log says."""

import logging
import os
import sqlite3
import uuid

from cinder.db import api as db
from cinder.scheduler import host_manager
from cinder.tests.unit import fake_constants
import fixtures
from oslo_config import cfg
from oslo_db import exception as db_exception
from sqlalchemy import event

from cache_aware_sched.cinder import pools
from cache_aware_sched.cinder import scoring
from tests.cinder import candidates
from tests.cinder.candidates import IMAGE

CONF = cfg.CONF
A, B, C, D = (f'{name}@files#p' for name in 'abcd')
#: Of an image of 20 GiB.
ALL = 5.0 * scoring.benefit(20)


class TestFailures(candidates.CandidatesTestCase):

    def fail(self, error):
        self.query.side_effect = error

    def test_database_is_down(self):
        self.cache(C)
        self.fail(db_exception.DBConnectionError())

        found = [self.place() for _ in range(8)]

        self.assertEqual([A, B, C, D] * 2, found)
        [line] = self.logged(logging.ERROR)
        self.assertIn('DBConnectionError', line)

    def test_database_fails_in_the_middle_of_a_request(self):
        """What Cinder asks afterwards, in the same context, is answered."""
        self.cache(C)
        engine = db.get_engine()

        def fail(conn, cursor, statement, *rest):
            if 'FROM image_volume_cache_entries' in statement:
                raise sqlite3.OperationalError('disk I/O error')

        event.listen(engine, 'before_cursor_execute', fail)
        self.addCleanup(event.remove, engine, 'before_cursor_execute', fail)

        with db.main_context_manager.writer.using(self.context):
            self.assertEqual({0}, set(self.weigh().values()))
            volume = db.volume_create(self.context, {
                'project_id': self.context.project_id,
                'volume_type_id': fake_constants.VOLUME_TYPE_ID})

        self.assertEqual(
            volume.id, db.volume_get(self.context, volume.id).id)
        [line] = self.logged(logging.ERROR)
        self.assertIn('OperationalError: disk I/O error', line)

    def test_database_is_back(self):
        self.cache(C)
        works = self.query.side_effect
        for _ in range(2):
            self.fail(db_exception.DBConnectionError())
            self.place()
            self.query.side_effect = works

            self.assertEqual(ALL, self.weigh()[C])

        self.assertEqual(2, len(self.logged(logging.ERROR)))

    def test_what_fails_after_the_query_is_said_once(self):
        self.cache(C)
        self.mock_object(pools.Pool, 'load', side_effect=KeyError('load'))

        for _ in range(3):
            self.assertEqual({0}, set(self.weigh().values()))

        self.assertEqual(1, len(self.logged(logging.ERROR)))

    def test_long_error_is_cut(self):
        self.fail(ValueError('x' * 10_000 + '\nand more'))

        self.place()

        [line] = self.logged(logging.ERROR)
        self.assertLess(len(line), 500)

    def test_bad_option_is_named(self):
        path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'cinder.conf')
        with open(path, 'w') as file:
            file.write('[cache_aware_sched]\n'
                       'image_volume_cache_weight_multiplier = much\n')
        CONF(['--config-file', path], project='cinder')

        found = [self.weigh() for _ in range(3)][-1]

        self.assertEqual({0}, set(found.values()))
        [line] = self.logged(logging.ERROR)
        self.assertIn('image_volume_cache_weight_multiplier', line)


class TestLog(candidates.CandidatesTestCase):

    def test_decision(self):
        self.cache(C)
        volume = str(uuid.uuid4())

        self.place(volume=volume)

        [line] = self.logged(logging.INFO)
        self.assertEqual(
            f'Volume {volume} of image {IMAGE} is expected in {C} (warm, '
            'benefit 1.00, headroom 1.00, gate 1.00); of 4 pools 1 hold the '
            'image and 0 fetch it.', line)

    def test_every_pool_in_debug(self):
        logging.getLogger(candidates.PACKAGE).setLevel(logging.DEBUG)

        self.place()

        self.assertEqual(4, len(self.logged(logging.DEBUG)))

    def test_warns_if_it_is_not_last(self):
        self.enable('ImageVolumeCacheWeigher', 'CapacityWeigher')

        for _ in range(2):
            self.place()

        [line] = self.logged(logging.WARNING)
        self.assertIn('scheduler_default_weighers', line)

    def test_warns_of_pools_that_are_drawn_by_lot(self):
        CONF.set_override(
            'scheduler_weight_handler', 'cinder.scheduler.weights.stochastic.'
            'StochasticHostWeightHandler')
        self.manager = host_manager.HostManager()

        for _ in range(2):
            self.weigh()

        [line] = self.logged(logging.WARNING)
        self.assertIn('scheduler_weight_handler', line)

    def test_last_is_right(self):
        self.place()

        self.assertEqual([], self.logged(logging.WARNING))

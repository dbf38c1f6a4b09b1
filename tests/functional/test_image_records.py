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
"""Servers that are asked for while Glance is down."""

from tests.functional import base

# isort: off
# After nova's own fixtures.
import os
import threading
import time

import fixtures
import glanceclient.exc
from nova import exception
from nova.tests.functional.api import client as api_client
from nova.tests.functional import fixtures as func_fixtures

from cache_aware_sched.api import glance_seam
from cache_aware_sched.virt import fake
# isort: on

FILTER = 'cache_aware_sched.scheduler.filters.ImageCacheFilter'
OUTAGE = exception.GlanceConnectionFailed(
    server='http://glance:9292', reason='refused')
PIPELINE = 'authtoken keystonecontext'
PASTE = """
[filter:image_records]
paste.filter_factory = cache_aware_sched.api.image_records:filter_factory
"""


class ImageRecordsTestCase(base.CloudTestCase):
    """Of two hosts host2 holds an image."""

    HOSTS = ('host1', 'host2')
    MULTIPLIER = -100.0

    def configure(self):
        super().configure()
        self.flags(group='filter_scheduler',
                   available_filters=[base.ALL_FILTERS, base.FILTER, FILTER],
                   enabled_filters=[*base.STOCK_FILTERS, 'ImageCacheFilter',
                                    'ImageAntiAffinityFilter'])
        with open(base.api_paste()) as file:
            paste = file.read().replace(
                PIPELINE, f'{PIPELINE} image_records') + PASTE
        path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'api-paste.ini')
        with open(path, 'w') as file:
            file.write(paste)
        self.flags(group='wsgi', api_paste_config=path)
        self.set(image_record_timeout=0.5)

    def setUp(self):
        super().setUp()
        self.start(*self.HOSTS)
        self.warm = self.image()
        self.cache('host2', self.warm)

    def fail(self, error=OUTAGE):
        """Have Glance fail from now on; return the fixture."""
        return self.useFixture(fixtures.MockPatchObject(
            self.glance, 'show', side_effect=error))


class OutageTests(ImageRecordsTestCase):

    def test_a_remembered_image(self):
        self.boot(self.warm)
        self.fail()

        server = self.boot(self.warm)

        self.assertEqual('host2', server['OS-EXT-SRV-ATTR:host'])


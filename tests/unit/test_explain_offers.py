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

"""Tests of what is asked of placement."""

from unittest import mock

from nova import conf as nova_conf

from cache_aware_sched.explain import offers
from tests.unit import base

CONF = nova_conf.CONF


class ClientTests(base.TestCase):
    """nova's client reads [placement] timeout when it is made."""

    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.object(
            offers.placement, 'report_client_singleton', autospec=True,
            side_effect=lambda: CONF.placement.timeout))

    def test_does_not_wait_for_ever(self):
        self.assertEqual(offers.SECONDS, offers.client())
        self.assertIsNone(CONF.placement.timeout)

    def test_waits_as_nova_is_told(self):
        CONF.set_override('timeout', 7, 'placement')
        self.addCleanup(CONF.clear_override, 'timeout', 'placement')

        self.assertEqual(7, offers.client())

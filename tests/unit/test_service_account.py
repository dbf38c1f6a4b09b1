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

"""nova's own account, as Glance gets to see it."""

from unittest import mock

from keystoneauth1 import access
from keystoneauth1 import fixture
from keystoneauth1 import loading

from cache_aware_sched import service_account
from tests.unit import base


class ServiceAccountTests(base.TestCase):

    def account(self, group='placement', **values):
        loading.register_auth_conf_options(service_account.CONF, group)
        self.set_nova(group=group, auth_type='none', **values)

    def test_no_account(self):
        error = self.assertRaises(
            service_account.NoAccount, service_account.session)

        self.assertIn('[service_user] or [placement]', str(error))

    def test_that_of_service_tokens_is_first(self):
        self.account('placement')
        self.account('service_user')
        asked = []
        load = loading.load_auth_from_conf_options

        with mock.patch.object(
                loading, 'load_auth_from_conf_options',
                lambda conf, group: asked.append(group) or load(conf, group)):
            service_account.session()

        self.assertEqual(['service_user'], asked)

    def test_local_context_asks_for_its_token_itself(self):
        self.account()

        context = service_account.local_context()

        self.assertIsNotNone(context.user_auth_plugin)
        self.assertIs(context.user_auth_plugin, context.get_auth_plugin())
        self.assertTrue(context.is_admin)

    def test_context_that_is_sent_has_token_and_endpoints(self):
        self.account()
        token = fixture.V3Token(user_id='nova', project_id='service')
        token.add_service('image', 'glance').add_standard_endpoints(
            public='http://public.test', internal='http://internal.test',
            region='one')
        with mock.patch('keystoneauth1.noauth.NoAuth.get_access', create=True,
                        return_value=access.create(
                            body=token, auth_token='secret')):
            context = service_account.sent_context(
                service_account.session())

        received = type(context).from_dict(context.to_dict())
        plugin = received.get_auth_plugin()
        self.assertEqual('secret', plugin.get_token(None))
        self.assertEqual('http://internal.test', plugin.get_endpoint(
            None, service_type='image', interface='internal',
            region_name='one'))
        self.assertEqual(('nova', 'service', True), (
            received.user_id, received.project_id, received.is_admin))

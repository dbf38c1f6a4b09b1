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

"""Which requests to nova-api need Glance, and what is made of them."""

import json

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.api import api_requests
from tests.unit import base
from tests.unit import factories

RequestKind = api_requests.RequestKind
IMAGE = factories.IMAGE


def body(hints=None, key='os:scheduler_hints', **server):
    asked = {'server': {'imageRef': IMAGE, 'name': 'x', **server}}
    return json.dumps(
        asked if hints is None else {**asked, key: hints}).encode()


class TestKind(base.TestCase):

    def test_what_may_need_glance(self):
        for path, kind in (
                ('/servers', RequestKind.BOOT),
                ('/servers/', RequestKind.BOOT),
                ('/os-volumes_boot', RequestKind.BOOT),
                ('/0f3a/servers', RequestKind.BOOT),
                ('/servers/5c2e/action', RequestKind.REBUILD),
                ('/0f3a/servers/5c2e/action', RequestKind.REBUILD),
                ('/os-aggregates/7/images', RequestKind.PRECACHE)):
            self.assertEqual(kind, api_requests.kind_of('POST', path))

    def test_what_does_not(self):
        for method, path in (
                ('GET', '/servers'), ('POST', '/servers/5c2e/metadata'),
                ('POST', '/os-aggregates'), ('GET', '/images'),
                ('POST', '/a/b/servers'), ('DELETE', '/images/5c2e')):
            self.assertIsNone(api_requests.kind_of(method, path))


class TestRead(base.TestCase):

    def read(self, **server):
        return api_requests.read(RequestKind.BOOT, body(**server))

    def test_a_boot_from_an_image(self):
        asked = self.read()

        self.assertEqual(IMAGE, asked.image)
        self.assertTrue(asked.may_use_records(IMAGE))
        # As of its kernel
        self.assertTrue(asked.may_use_records('another'))

    def test_a_boot_from_a_volume(self):
        for server in (
                {'imageRef': ''},
                {'block_device_mapping_v2': [{
                    'boot_index': 0, 'destination_type': 'volume'}]},
                {'block_device_mapping_v2': [{
                    'boot_index': '0', 'destination_type': 'volume'}]},
                {'block_device_mapping': [{'volume_id': 'x'}]}):
            asked = self.read(**server)

            self.assertTrue(asked.from_volume, server)
            self.assertFalse(asked.may_use_records(IMAGE))

    def test_a_second_disk_that_cinder_makes_of_an_image(self):
        asked = self.read(block_device_mapping_v2=[
            {'boot_index': 0, 'source_type': 'image', 'uuid': IMAGE,
             'destination_type': 'local'},
            {'boot_index': -1, 'source_type': 'image', 'uuid': 'DATA',
             'destination_type': 'volume'}])

        self.assertTrue(asked.may_use_records(IMAGE))
        self.assertFalse(asked.may_use_records('data'))

    def test_actions(self):
        self.assertEqual('i', api_requests.read(
            RequestKind.REBUILD, b'{"rebuild": {"imageRef": "i"}}').image)
        self.assertIsNone(api_requests.read(
            RequestKind.REBUILD, b'{"reboot": {"type": "SOFT"}}'))

    def test_what_others_ask_glance_for_later(self):
        for kind, sent in (
                (RequestKind.PRECACHE, b''),
                (RequestKind.REBUILD, b'{"rebuild": {"imageRef": "i"}}')):
            self.assertFalse(
                api_requests.read(kind, sent).may_use_records('i'))

    @hypothesis.given(
        st.sampled_from((RequestKind.BOOT, RequestKind.REBUILD)),
        st.one_of(st.binary(), st.recursive(
            st.none() | st.text() | st.integers(), lambda inner: st.lists(
                inner) | st.dictionaries(st.sampled_from((
                    'server', 'rebuild', 'imageRef', 'os:scheduler_hints',
                    'block_device_mapping_v2')), inner)).map(
                        lambda value: json.dumps(value).encode())))
    def test_whatever_is_sent(self, kind, sent):
        api_requests.read(kind, sent)
        api_requests.with_hint(sent)


class TestWithHint(base.TestCase):

    def hints(self, sent, key='os:scheduler_hints'):
        return json.loads(api_requests.with_hint(sent))[key]

    def test_it_is_added(self):
        self.assertEqual({'image_cache': 'require'}, self.hints(body()))
        for key in api_requests.HINTS:
            self.assertEqual(
                {'group': 'x', 'image_cache': 'require'},
                self.hints(body({'group': 'x'}, key), key))

    def test_the_rest_stays(self):
        sent = body(name='ü')

        self.assertEqual(
            json.loads(sent)['server'],
            json.loads(api_requests.with_hint(sent))['server'])

    def test_a_wish_of_the_user_stays(self):
        for key in api_requests.HINTS:
            for wish in ('ignore', 'prefer', ['avoid'], None):
                sent = body({'image_cache': wish}, key)

                self.assertEqual(sent, api_requests.with_hint(sent))

    def test_what_nova_refuses_stays(self):
        for sent in (b'', b'[]', b'{', body('x')):
            self.assertEqual(sent, api_requests.with_hint(sent))

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

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.cinder.volume_request import VolumeRequest
from tests.unit import base


def read(volume_type=None, **spec):
    return VolumeRequest.read(
        {'request_spec': spec, 'volume_type': volume_type})


class TestVolumeRequest(base.TestCase):

    def test_volume_of_an_image(self):
        found = read(volume_id='v', image_id='i',
                     volume_properties={'size': 7})

        self.assertEqual(VolumeRequest('v', 'i', 7), found)

    def test_key_of_the_volume_itself(self):
        found = read(image_id='i', volume={'encryption_key_id': 'k'})

        self.assertIsNone(found.image)

    def test_no_key(self):
        found = read(image_id='i', volume={'encryption_key_id': None},
                     volume_properties={'encryption_key_id': None})

        self.assertEqual('i', found.image)

    def test_thick_type(self):
        for specs, thick in (
                ({'provisioning:type': 'thick'}, True),
                ({'provisioning:type': 'thin'}, False), ({}, False),
                (None, False)):
            found = read(volume_type={'extra_specs': specs})

            self.assertEqual(thick, found.thick)

    def test_bound_to_nothing(self):
        self.assertTrue(read().may_go_to('h@b#p'))

    def test_bound_to_a_backend(self):
        found = read(resource_backend='h@b')

        self.assertTrue(found.may_go_to('h@b#p'))
        self.assertFalse(found.may_go_to('h@c#p'))

    def test_bound_to_a_pool(self):
        found = read(resource_backend='h@b#p')

        self.assertTrue(found.may_go_to('h@b#p'))
        self.assertFalse(found.may_go_to('h@b#q'))

    @hypothesis.given(st.dictionaries(
        st.sampled_from(['request_spec', 'volume_type']), st.one_of(
            st.none(), st.dictionaries(
                st.sampled_from(['volume_properties', 'volume', 'image_id',
                                 'extra_specs']),
                st.one_of(st.none(), st.dictionaries(
                    st.text(max_size=3), st.none()))))))
    def test_other_requests(self, properties):
        self.assertEqual(0, VolumeRequest.read(properties).size)

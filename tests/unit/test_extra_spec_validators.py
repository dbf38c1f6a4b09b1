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

from nova.api.validation import extra_specs
from nova.api.validation.extra_specs import base as validators
from nova import exception

from cache_aware_sched.api import extra_spec_validators
from cache_aware_sched import cap
from cache_aware_sched import request
from tests.unit import base

CAP, SHARE = request.EXTRA_SPEC_CAP, request.EXTRA_SPEC_SHARE


class TestValidators(base.TestCase):

    def validate(self, value, name):
        [validator] = [one for one in extra_spec_validators.register()
                       if one.name == name]
        validator.validate(name, value)

    def assert_refused(self, name, *values):
        for value in values:
            self.assertRaises(
                exception.ValidationError, self.validate, value, name)

    def test_what_nova_loads(self):
        for one in extra_spec_validators.register():
            self.assertIsInstance(one, validators.ExtraSpecValidator)
            self.assertGreater(len(one.description), 40)

    def test_every_extra_spec_that_is_read_has_one(self):
        self.assertEqual(
            {CAP, SHARE},
            {one.name for one in extra_spec_validators.register()})

    def test_bounds_of_the_cap_are_those_of_the_option(self):
        for value in ('0', '1', '10', '100000'):
            self.validate(value, CAP)

    def test_bad_caps_are_refused(self):
        self.assert_refused(
            CAP, '-1', '100001', 'x', '', '1.5', 'nan')

    def test_shares(self):
        for value in ('0', '0.0', '0.2', '0.25', '.5', '1', '1.0'):
            self.validate(value, SHARE)

            self.assertTrue(0 <= cap.parse_share(value) <= 1)

    def test_bad_shares_are_refused(self):
        self.assert_refused(
            SHARE, '-0.1', '1.1', '2', 'x', '', 'nan', '20%', '1,0', '0.2x',
            '1e-1', '0.')

    def test_nova_finds_them(self):
        from nova.api.validation.extra_specs import validators as loaded

        for name in (CAP, SHARE):
            self.assertIn(name, loaded.VALIDATORS)
            self.assertRaises(
                exception.ValidationError, loaded.validate, name, '-1')
        self.assertIsNotNone(extra_specs)

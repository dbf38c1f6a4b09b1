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
from cache_aware_sched import request
from tests.unit import base

NAME = request.EXTRA_SPEC_CAP


class TestValidators(base.TestCase):

    def validate(self, value, name=NAME):
        [validator] = [one for one in extra_spec_validators.register()
                       if one.name == name]
        validator.validate(name, value)

    def test_what_nova_loads(self):
        for one in extra_spec_validators.register():
            self.assertIsInstance(one, validators.ExtraSpecValidator)
            self.assertGreater(len(one.description), 40)

    def test_bounds_are_those_of_the_option(self):
        for value in ('0', '1', '10', '100000'):
            self.validate(value)

    def test_bad_values_are_refused(self):
        for value in ('-1', '100001', 'x', '', '1.5', 'nan'):
            self.assertRaises(
                exception.ValidationError, self.validate, value)

    def test_nova_finds_them(self):
        from nova.api.validation.extra_specs import validators as loaded

        self.assertIn(NAME, loaded.VALIDATORS)
        self.assertRaises(
            exception.ValidationError, loaded.validate, NAME, '-1')
        self.assertIsNotNone(extra_specs)

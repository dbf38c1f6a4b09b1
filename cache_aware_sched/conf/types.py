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

"""Types of options that oslo.config does not have."""

import math

from oslo_config import types

#: As Glance writes the id of an image.
IMAGE_ID = r'[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}'


class Finite(types.Float):
    """A float that is a number: ``nan`` passes every comparison."""

    def __call__(self, value: object) -> float:
        number = super().__call__(value)
        if number is None or math.isnan(number):
            raise ValueError('Should be a number')
        return float(number)

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

"""Validators of this package's flavor extra specs.

nova-api loads them from the entry points ``nova.api.extra_spec_validators``
and answers 400 to a value that they refuse (API microversion 2.86 and later).
"""

from nova.api.validation.extra_specs import base

from cache_aware_sched.conf import scheduler
from cache_aware_sched import request

EXTRA_SPEC_VALIDATORS = [
    base.ExtraSpecValidator(
        name=request.EXTRA_SPEC_CAP,
        description=(
            'How many servers of one image a host may run when another one '
            'with this flavor is added; 0 for any number. Overrides the '
            'option and the aggregate metadata of the same name. Requires the '
            '``ImageAntiAffinityFilter`` scheduler filter.'),
        value={'type': int, 'min': scheduler.MIN_CAP,
               'max': scheduler.MAX_CAP},
    ),
    base.ExtraSpecValidator(
        name=request.EXTRA_SPEC_SHARE,
        description=(
            'Which share of all servers of one image a host may run when '
            'another one with this flavor is added, from 0 to 1; 0 for none. '
            'Overrides the option and the aggregate metadata of the same '
            'name. Requires the ``ImageAntiAffinityFilter`` scheduler '
            'filter.'),
        value={'type': str, 'pattern': r'(0(\.[0-9]+)?|1(\.0+)?|\.[0-9]+)'},
    ),
]


def register() -> list[base.ExtraSpecValidator]:
    """Return the validators to nova's loader."""
    return EXTRA_SPEC_VALIDATORS

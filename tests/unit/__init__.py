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

"""Tests of one module each, in one process, without services."""

import os

# What nova logs is shown for tests that fail, and no more of it than that.
os.environ.setdefault('OS_LOG_CAPTURE', '1')
os.environ.setdefault('OS_DEBUG', 'WARNING')

# As nova's own unit tests do, before anything else of nova is imported.
from nova import monkey_patch

if hasattr(monkey_patch, 'patch'):  # nova 31 does it when it is imported
    monkey_patch.patch()

import hypothesis
from nova import objects

objects.register_all()

# The same examples in each run: what fails here fails again.
hypothesis.settings.register_profile(
    'unit', database=None, deadline=None, derandomize=True, max_examples=100,
    suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile('unit')

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

"""Cinder's own tables, in memory, for what runs without services."""

import contextlib

from cinder import objects
from cinder.tests.unit import test
import fixtures
from oslo_config import cfg
from oslo_config import fixture as config_fixture

CONF = cfg.CONF


@contextlib.contextmanager
def ready():
    """Have a configuration with defaults, and empty tables."""
    objects.register_all()
    with contextlib.ExitStack() as stack:
        # Some defaults are paths below it.
        stack.enter_context(fixtures.NestedTempfile())
        config = stack.enter_context(config_fixture.Config(CONF))
        config.conf([], default_config_files=[])
        CONF.set_default('connection', 'sqlite://', 'database')
        CONF.set_default('sqlite_synchronous', False, 'database')
        stack.enter_context(test.Database())
        yield

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

"""What of nova's own test fixtures differs between its releases."""

from nova import context as nova_context
from nova.tests import fixtures as nova_fixtures


def isolated_threads(test_id):
    """Return a fixture that gives a test threads of its own."""
    fixture = getattr(nova_fixtures, 'IsolatedExecutorFixture', None)
    # Before nova 32 they are green.
    return (fixture or nova_fixtures.IsolatedGreenPoolFixture)(test_id)


def forget_cells():
    """Have nova forget what it knows of cells."""
    if hasattr(nova_context, 'reset_globals'):  # since nova 33
        nova_context.reset_globals()
    else:
        nova_context.CELL_CACHE.clear()
        nova_context.CELLS.clear()

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

import json

import hypothesis
from hypothesis import strategies as st
from nova.compute import stats
from nova.compute import task_states
from nova.compute import vm_states

from cache_aware_sched import report
from cache_aware_sched.virt import host_report
from tests.unit import base
from tests.unit import factories

VM_STATES = sorted(value for name, value in vars(vm_states).items()
                   if name.isupper() and isinstance(value, str))
TASK_STATES = sorted(value for name, value in vars(task_states).items()
                     if name.isupper() and isinstance(value, str))
NAMES = st.one_of(st.none(), st.text(max_size=64),
                  st.uuids().map(lambda value: value.hex))
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(),
                   st.text(max_size=200))


def row_bytes(driver_stats, instances, text):
    """Return the size of the row that nova writes."""
    row = stats.Stats()
    row.digest_stats({**driver_stats, report.STATS_KEY: text})
    for number, (project, os_type, index) in enumerate(instances):
        row.update_stats_for_instance({
            'uuid': str(number), 'project_id': project, 'os_type': os_type,
            'vm_state': VM_STATES[index % len(VM_STATES)],
            'task_state': [None, *TASK_STATES][index % len(TASK_STATES)]})
    row['failed_builds'] = 10 ** 6
    # The field of the object makes texts of them.
    texts = {key: None if value is None else str(value)
             for key, value in row.items()}
    return len(json.dumps(texts).encode())


def room(driver_stats, instances):
    return host_report.room(driver_stats, [
        name for project, os_type, _index in instances
        for name in (project, os_type)])


class TestRoom(base.TestCase):

    @hypothesis.given(
        st.dictionaries(st.text(max_size=50), VALUES, max_size=100),
        st.lists(st.tuples(NAMES, NAMES, st.integers(0, 1000)),
                 max_size=100))
    def test_row_always_fits(self, driver_stats, instances):
        text = 'x' * room(driver_stats, instances)

        self.assertLess(row_bytes(driver_stats, instances, text),
                        host_report.COLUMN_BYTES)

    def test_row_fits_with_every_state_and_many_projects(self):
        instances = [(factories.new_uuid().replace('-', ''), 'linux', index)
                     for index in range(500)]

        text = 'x' * room({}, instances)

        self.assertLess(row_bytes({}, instances, text),
                        host_report.COLUMN_BYTES)

    def test_row_fits_when_a_hundred_projects_come_before_the_next(self):
        text = 'x' * room({}, [])
        instances = [(factories.new_uuid().replace('-', ''), 'linux', 0)
                     for _ in range(100)]

        self.assertLess(row_bytes({}, instances, text),
                        host_report.COLUMN_BYTES)

    def test_default_report_fits_beside_many_projects(self):
        instances = [(factories.new_uuid().replace('-', ''), 'linux', 0)
                     for _ in range(200)]

        self.assertGreater(room({}, instances), 16 * 1024)

    def test_no_room(self):
        self.assertEqual(0, room({'big': 'x' * 70_000}, []))

    def test_project_counts_once(self):
        one = [('p', 'linux', 0)]

        self.assertEqual(room({}, one), room({}, one * 50))

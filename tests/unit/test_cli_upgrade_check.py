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


import contextlib
import io
import json
import os

from cache_aware_sched.checks import catalog
from cache_aware_sched.cli import upgrade_check
from tests.unit import test_cli_check
from tests.unit.test_fleet_hosts import reporting


class TestUpgradeCheck(test_cli_check.CheckCommandTestCase):

    def upgrade_check(self, *argv):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = upgrade_check.main(['upgrade', 'check', *argv])
        self.assertNotIn('Traceback', out.getvalue() + err.getvalue())
        return int(status), out.getvalue(), err.getvalue()

    def test_all_is_well(self):
        self.host('a', reporting())

        status, out, _err = self.upgrade_check()

        self.assertEqual(0, status, out)
        self.assertIn('Check: CAS104 The weigher is listed', out)

    def test_warning(self):
        self.host('a', reporting())
        self.host('b')

        status, out, _err = self.upgrade_check()

        self.assertEqual(1, status)
        self.assertIn('admin/checks.html#cas202', out)

    def test_failure(self):
        self.configure(host_subset_size=10)
        self.host('a', reporting())
        self.host('b', reporting())

        status, out, _err = self.upgrade_check('--json')

        found = json.loads(out)
        self.assertEqual(2, status)
        self.assertEqual(len(catalog.ALL), len(found['checks']))
        self.assertEqual([2], [
            one['result'] for one in found['checks']
            if one['check'].startswith('CAS112')])

    def test_database_that_does_not_answer(self):
        os.unlink(os.path.join(self.path, 'api'))

        status, _out, err = self.upgrade_check()

        self.assertEqual(255, status)
        self.assertIn('the API database at sqlite', err)

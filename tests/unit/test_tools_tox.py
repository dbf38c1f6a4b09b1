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

"""Tests of the call of tox."""

import contextlib
import importlib.util
import io
import pathlib
from unittest import mock

import fixtures

from tests.unit import base

ROOT = pathlib.Path(__file__).parents[2]


class LockTests(base.TestCase):

    def setUp(self):
        super().setUp()
        spec = importlib.util.spec_from_file_location(
            'tools_tox', ROOT / 'tools' / 'tox.py')
        self.tox = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.tox)
        self.tox.LOCK = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path) / 'lock'

    def wait(self, *argv, taken=False):
        """Wait for other calls, of which one has the lock; return the text."""
        out = io.StringIO()
        answers = [BlockingIOError, None] if taken else [None]
        with contextlib.redirect_stdout(out), mock.patch.object(
                self.tox.fcntl, 'flock', side_effect=answers), (
                    mock.patch.object(self.tox.sys, 'argv', ['x', *argv])):
            self.tox.wait_for_others()
        return out.getvalue()

    def test_says_what_it_waits_for(self):
        self.assertEqual('', self.wait('-e', 'cloud', '--', 'shell'))

        self.assertRegex(self.wait('-e', 'py3', taken=True),
                         r'another call ends, process \d+: '
                         r'tox.py -e cloud -- shell\n')

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

import os
import pathlib
import subprocess
import sys
import tempfile

import fixtures

from cache_aware_sched import files
from tests.unit import base


class TestOutput(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.path = self.directory / 'page.html'

    def test_file_is_replaced(self):
        self.path.write_text('old')
        opened = self.enterContext(self.path.open())

        files.output(str(self.path), 'ü')

        self.assertEqual('ü', self.path.read_text(encoding='utf-8'))
        self.assertEqual('old', opened.read())
        self.assertEqual(['page.html'], os.listdir(self.directory))

    def test_link_of_somebody_else_is_not_followed(self):
        other = self.directory / 'other'
        other.write_text('old')
        self.path.symlink_to(other)

        files.output(str(self.path), 'new')

        self.assertEqual(('old', 'new'), (
            other.read_text(), self.path.read_text()))

    def test_pipe_is_written_to(self):
        os.mkfifo(self.path)
        reader = subprocess.Popen(
            ['cat', self.path], stdout=subprocess.PIPE, text=True)
        self.addCleanup(reader.kill)

        files.output(str(self.path), 'new')

        self.assertEqual('new', reader.communicate(timeout=60)[0])
        self.assertTrue(self.path.is_fifo())

    def test_open_file_is_written_to(self):
        out = self.directory / 'out'
        with out.open('w') as stdout:
            done = subprocess.run(
                [sys.executable, '-c', 'from cache_aware_sched import files; '
                 'files.output("/proc/self/fd/1", "new")'],
                stdout=stdout, timeout=60, check=False)

        self.assertEqual((0, 'new'), (done.returncode, out.read_text()))

    def test_what_an_open_file_has_stays(self):
        """As with ``>>`` of a shell."""
        out = self.directory / 'out'
        out.write_text('old\n')
        with out.open('a') as stdout:
            subprocess.run(
                [sys.executable, '-c', 'from cache_aware_sched import files; '
                 'files.output("/proc/self/fd/1", "new")'],
                stdout=stdout, timeout=60, check=True)

        self.assertEqual('old\nnew', out.read_text())

    def test_device_is_not_replaced(self):
        # Of the root user this would take the devices away.
        replace = self.useFixture(fixtures.MockPatchObject(
            files, 'replace', autospec=True)).mock
        for path in (os.devnull, '/dev/../dev/null'):
            files.output(path, 'new')

        replace.assert_not_called()

    def test_what_cannot_be_written_is_named(self):
        for path in (self.directory, self.directory / 'no' / 'page.html',
                     pathlib.Path('/proc/no/page.html')):
            with self.subTest(path=path):
                error = self.assertRaises(
                    files.CannotWrite, files.output, str(path), 'new')

                self.assertIn(f'{path} cannot be written: ', str(error))

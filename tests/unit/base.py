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

import logging
import shutil
import threading

import fixtures
import nova.conf
from nova import context as nova_context
from oslo_config import fixture as config_fixture
from oslotest import base

from tests import process

PACKAGE = 'cache_aware_sched'


class LogRecords(logging.Handler):
    """Keeps what the package logs; a wrong format raises."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.lines = []

    def emit(self, record):
        self.lines.append((record.levelno, record.getMessage()))


class TestCase(base.BaseTestCase):
    """Nothing that a process remembers outlives a test."""

    def setUp(self):
        super().setUp()
        self._config = self.useFixture(
            config_fixture.Config(nova.conf.CONF))
        self.set_nova(
            instances_path=self.useFixture(fixtures.TempDir()).path)
        # Its thread would outlive the test; the tests of it call its steps.
        self.useFixture(fixtures.MonkeyPatch(
            'cache_aware_sched.virt.host_thread.HostThread.begin',
            lambda thread: None))
        self._capture_log()
        self._forget()
        self.context = nova_context.RequestContext(
            'user', 'project', is_admin=False)

    def need_qemu_img(self):
        """Skip a test of what the tool itself does where it is missing."""
        if shutil.which('qemu-img') is None:
            self.skipTest('qemu-img is missing: install qemu-utils, or what '
                          'bindep.txt lists for other systems')

    def _capture_log(self):
        self._log = LogRecords()
        logger = logging.getLogger(PACKAGE)
        self.addCleanup(logger.setLevel, logger.level)
        logger.setLevel(logging.INFO)
        logger.addHandler(self._log)
        self.addCleanup(logger.removeHandler, self._log)

    def _forget(self):
        process.forget()
        # oslo.config keeps where an option was set when it is reset.
        for option in nova.conf.CONF._groups[PACKAGE]._opts.values():
            option.pop('location', None)

    # Given.

    def set(self, **options):
        """Set options of this package."""
        self._config.config(group=PACKAGE, **options)

    def set_nova(self, group=None, **options):
        """Set options of nova."""
        self._config.config(group=group, **options)

    def log_debug(self):
        """Have debug lines written."""
        logging.getLogger(PACKAGE).setLevel(logging.DEBUG)

    # Then.

    def logged(self, level=logging.INFO):
        """Return the lines that were logged at a level."""
        return [line for number, line in self._log.lines if number == level]

    def warnings(self):
        """Return the warnings that were logged."""
        return self.logged(logging.WARNING)

    def errors(self):
        """Return the errors that were logged."""
        return self.logged(logging.ERROR)

    def run_in_thread(self, function, *args):
        """Start a thread that does not outlive the process."""
        thread = threading.Thread(target=function, args=args, daemon=True)
        thread.start()
        return thread

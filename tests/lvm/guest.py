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

"""What runs in the guest: makes the volume group, and plays the cases.

``python -m tests.lvm.guest [REGEX]``, as root in the guest and nowhere else:
it takes /dev/vda for the volumes, and /dev/vdb for the results.
"""

import json
import pathlib
import re
import subprocess
import sys
import time
import traceback
import unittest

_LVM_CONF = """
activation { udev_sync=0
udev_rules=0
verify_udev_operations=0
monitoring=0 }
devices { use_devicesfile=0
obtain_device_list_from_udev=0
filter=["a|^/dev/vda$|", "r|.*|"] }
"""

GROUP, POOL = 'vg0', 'pool0'


class Results(unittest.TestResult):
    """Keeps of each case what becomes of it, and what it measured."""

    def __init__(self):
        super().__init__()
        self.cases = []

    def startTest(self, test):  # noqa: N802
        super().startTest(test)
        self.started = time.monotonic()
        self.why, self.outcome = '', 'passed'

    def stopTest(self, test):  # noqa: N802
        super().stopTest(test)
        seconds = round(time.monotonic() - self.started, 2)
        self.cases.append({
            'name': test.id(), 'outcome': self.outcome, 'seconds': seconds,
            'why': self.why, 'figures': getattr(test, 'figures', {})})
        print(f'{self.outcome} {test.id()} {seconds} s {self.why}',
              flush=True)

    def addError(self, test, error):  # noqa: N802
        self.outcome = 'failed'
        self.why += ''.join(traceback.format_exception(*error))

    addFailure = addError  # noqa: N815

    def addSkip(self, test, reason):  # noqa: N802
        self.outcome, self.why = 'skipped', reason


def run(*command):
    """Run a command; return its output."""
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout


def make_group():
    """Make the volume group and a thin pool on an empty disk."""
    pathlib.Path('/etc/lvm').mkdir(exist_ok=True)
    pathlib.Path('/etc/lvm/lvmlocal.conf').write_text(_LVM_CONF)
    run('pvcreate', '-q', '/dev/vda')
    run('vgcreate', '-q', GROUP, '/dev/vda')
    run('lvcreate', '-q', '--type', 'thin-pool', '-L', '1G', '-n', POOL,
        GROUP)


def tests_in(suite, wanted):
    """Return the tests whose names a regular expression finds.

    The loader finds every class; by default those are wanted whose names
    begin with Test.
    """
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from tests_in(one, wanted)
        elif re.search(wanted, one.id()):
            yield one


def main():
    start = time.monotonic()
    make_group()
    print(f'the group is there after {time.monotonic() - start:.1f} s',
          flush=True)
    # Only now: it takes some time.
    from tests.lvm import cases
    print(f'nova is there after {time.monotonic() - start:.1f} s', flush=True)
    results = Results()
    unittest.TestSuite(tests_in(
        unittest.defaultTestLoader.loadTestsFromModule(cases),
        sys.argv[1] if sys.argv[1:] else '.')).run(results)
    with open('/dev/vdb', 'r+b') as disk:
        disk.write(json.dumps(results.cases).encode())
    print(f'all is done after {time.monotonic() - start:.1f} s', flush=True)


if __name__ == '__main__':
    main()

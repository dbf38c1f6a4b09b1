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

"""A file system of a chosen kind in a file, mounted for a test."""

import os
import shutil
import subprocess

import fixtures

#: What mkfs needs at least, and the tests too.
BYTES = 384 * 2 ** 20


def mount(test, kind, *options):
    """Mount a new file system for a test; return the directory.

    Skips the test where this machine, or this user, mounts none.

    :param kind: for ``mkfs``: xfs, btrfs
    :param options: of mkfs
    """
    if os.geteuid():
        test.skipTest('only root can mount a file system')
    if shutil.which(f'mkfs.{kind}') is None:
        test.skipTest(f'mkfs.{kind} is missing: install what bindep.txt lists')
    path = test.useFixture(fixtures.TempDir()).path
    image = os.path.join(path, 'image')
    with open(image, 'wb') as file:
        file.truncate(BYTES)
    mounted = os.path.join(path, 'mounted')
    os.mkdir(mounted)
    _run(f'mkfs.{kind}', '-q', *options, image)
    try:
        _run('mount', '-o', 'loop', image, mounted)
    except subprocess.CalledProcessError as error:
        test.skipTest(f'this machine mounts no {kind}: {error.stderr.strip()}')
    # What still writes at the end of a test does not keep it.
    test.addCleanup(_run, 'umount', '--lazy', mounted)
    return mounted


def _run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)

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


class CannotMount(Exception):
    """This machine, or this user, mounts no such file system."""


class LoopMount(fixtures.Fixture):
    """Mounts a new file system.

    :param kind: for ``mkfs``: xfs, btrfs
    :param options: of mkfs
    :ivar path: the directory that it is mounted on
    """

    def __init__(self, kind, *options):
        super().__init__()
        self.kind = kind
        self.options = options
        self.path = None

    def _setUp(self):  # noqa: N802  # as fixtures has it
        if os.geteuid():
            raise CannotMount('only root can mount a file system')
        if shutil.which(f'mkfs.{self.kind}') is None:
            raise CannotMount(f'mkfs.{self.kind} is missing: install what '
                              'bindep.txt lists')
        path = self.useFixture(fixtures.TempDir()).path
        image = os.path.join(path, 'image')
        with open(image, 'wb') as file:
            file.truncate(BYTES)
        self.path = os.path.join(path, 'mounted')
        os.mkdir(self.path)
        _run(f'mkfs.{self.kind}', '-q', *self.options, image)
        try:
            _run('mount', '-o', 'loop', image, self.path)
        except subprocess.CalledProcessError as error:
            raise CannotMount(f'this machine mounts no {self.kind}: '
                              f'{error.stderr.strip()}') from None
        # What still writes at the end of a test does not keep it.
        self.addCleanup(_run, 'umount', '--lazy', self.path)


def _run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)

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

"""The Python environment of the cloud: pinned packages, and our wheel."""

import hashlib
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys

from tests.cloud import processes as processes_mod
from tests.cloud import running
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod

DISTRIBUTION = 'cache-aware-sched'
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
CONSTRAINTS = pathlib.Path(__file__).with_name('constraints.txt')

#: What our wheel is made of.
SOURCES = ('cache_aware_sched', 'nova', 'setup.cfg', 'setup.py',
           'pyproject.toml', 'requirements.txt', 'README.rst', 'LICENSE')

#: Needed to build what comes without a wheel.
_FIRST = ('setuptools', 'pbr')

#: Linked to the libpython of the Python that builds it. From pip's cache it
#: could be that of another Python of the same version on this machine, and
#: would then look for modules in the wrong place.
_LINKED = 'uWSGI'


class Environment:
    """The virtual environment below a state directory."""

    def __init__(self, tree: settings_mod.Tree,
                 processes: processes_mod.Processes,
                 say: running.Say) -> None:
        self._venv = tree.venv
        self._python = tree.venv / 'bin/python'
        #: Written last: an interrupted installation leaves none.
        self._stamp = tree.venv / 'installed'
        self._our_stamp = tree.venv / 'installed-ours'
        self._source = tree.state / 'source'
        self._processes = processes
        self._say = say

    def install(self) -> bool:
        """Install what is missing, or is not as it should be.

        :returns: whether our own package changed
        """
        wanted = self._wanted()
        if _read(self._stamp) != wanted:
            self._create()
            self._stamp.write_text(wanted)
        sources = _digest(_files(CHECKOUT))
        if _read(self._our_stamp) == sources:
            return False
        self._install_ours()
        self._our_stamp.write_text(sources)
        return True

    def _wanted(self) -> str:
        return ' '.join((sys.version.split()[0], sys.base_prefix,
                         _libvirt_version(), _digest([CONSTRAINTS])))

    def _create(self) -> None:
        self._say(f'installing nova and the others into {self._venv}')
        if self._venv.exists():
            shutil.rmtree(self._venv)
        running.call(self._processes, 'setup-venv', [
            sys.executable, '-m', 'venv', '--without-pip', str(self._venv)])
        pinned = {line.partition('==')[0]: line
                  for line in CONSTRAINTS.read_text().splitlines()
                  if line and not line.startswith('#')}
        self._pip('install', *(pinned[name] for name in _FIRST))
        self._pip('install', '--no-build-isolation', '--no-cache-dir',
                  pinned.pop(_LINKED))
        self._pip('install', '--no-build-isolation', *pinned.values(),
                  f'libvirt-python=={_libvirt_version()}')

    def _install_ours(self) -> None:
        self._say(f'building and installing {DISTRIBUTION} from {CHECKOUT}')
        # Of a copy: the checkout keeps what earlier builds left in it.
        shutil.rmtree(self._source, ignore_errors=True)
        self._source.mkdir(parents=True)
        for path in _files(CHECKOUT):
            target = self._source / path.relative_to(CHECKOUT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        dist = self._source / 'dist'
        self._pip('wheel', '--no-build-isolation', '--wheel-dir', str(dist),
                  str(self._source))
        self._pip('install', '--force-reinstall', *map(
            str, dist.glob('*.whl')))

    def _pip(self, command: str, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith('PYTHON')}
        running.call(
            self._processes, 'setup-pip',
            [sys.executable, '-m', 'pip', '--python', str(self._python),
             '--disable-pip-version-check', command, '--no-deps', *arguments],
            running.How(within=1800, environment={
                **environment, 'PBR_VERSION': _version()}))


def _read(path: pathlib.Path) -> str:
    return path.read_text() if path.exists() else ''


def _digest(paths: list[pathlib.Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f'{path}\0'.encode() + path.read_bytes() + b'\0')
    return digest.hexdigest()


def _files(checkout: pathlib.Path) -> list[pathlib.Path]:
    """Return the files of which our wheel is made."""
    found = []
    for name in SOURCES:
        path = checkout / name
        found += [path] if path.is_file() else [
            one for one in path.rglob('*') if one.is_file()
            and '__pycache__' not in one.parts]
    return sorted(found)


def _version() -> str:
    """Return a version for our wheel: there is no git where it is built."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return '0.0.0'


def _libvirt_version() -> str:
    done = subprocess.run(['pkg-config', '--modversion', 'libvirt'],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise service_mod.Failed(
            f'pkg-config knows no libvirt: {done.stderr.strip()}')
    return done.stdout.strip()

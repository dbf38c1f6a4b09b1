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

"""Who may work on a state directory: one program at a time."""

from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib

from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod

#: What a path to a socket may have besides the state directory.
_MAX = 107 - len('/run-0123456789ab/mariadb/socket')


@contextlib.contextmanager
def locked(tree: settings_mod.Tree) -> Iterator[None]:
    """Keep other programs away from a state directory.

    However this program ends, the directory is free again then.

    :raises service.Failed: if another program works on it, or if it is no
        directory for us
    """
    _prepare(tree)
    with tree.lock.open('a+') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise service_mod.Failed(
                f'Process {tree.lock.read_text().strip()} works on '
                f'{tree.state}. Wait for it, or interrupt it.') from None
        lock.truncate(0)
        lock.write(f'{os.getpid()}\n')
        lock.flush()
        yield


def _prepare(tree: settings_mod.Tree) -> None:
    state = tree.state
    if state.exists() and not tree.lock.exists() and any(state.iterdir()):
        raise service_mod.Failed(
            f'{state} has files of something else in it. Choose an empty '
            f'directory, or one that is not there.')
    state.mkdir(parents=True, exist_ok=True)
    if state.stat().st_uid:
        raise service_mod.Failed(f'{state} is not root\'s.')
    if len(str(state)) > _MAX:
        raise service_mod.Failed(
            f'{state} is too long a path: at most {_MAX} characters.')
    for path in (state, *state.parents):
        _check_way(path)
    tree.lock.touch()


def _check_way(path: pathlib.Path) -> None:
    if not path.stat().st_mode & 0o001:
        raise service_mod.Failed(
            f'MariaDB and RabbitMQ do not run as root, and cannot get past '
            f'{path}. Choose another directory with --state.')

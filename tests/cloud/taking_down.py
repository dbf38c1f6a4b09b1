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

"""Ending a cloud: this program's own, or what a killed one has left.

All that is needed for it is in the directory of the cloud, so it does not
matter how far the cloud had come up.
"""

import pathlib
import shutil
import time

from tests.cloud import interrupts
from tests.cloud import namespace
from tests.cloud import processes as processes_mod
from tests.cloud import procfs
from tests.cloud import running
from tests.cloud import settings as settings_mod
from tests.cloud import strays

_BOOT_ID = 'boot_id'

#: Ended last.
_INFRA = ('mariadb', 'memcached', 'rabbitmq')
_EPMD = 'epmd'

#: Ended with all that runs on the hosts, guests too.
_HOSTS = ('host-', 'libvirtd-')

#: Seconds for a process to end by itself: nothing of it is needed again.
PATIENCE = 3.0


def begin(tree: settings_mod.Tree, run: pathlib.Path) -> None:
    """Make the directory of a cloud, and forget the logs of the last one."""
    shutil.rmtree(tree.logs, ignore_errors=True)
    tree.logs.mkdir(parents=True)
    run.mkdir()
    (run / _BOOT_ID).write_text(procfs.boot_id())


def is_of_this_boot(tree: settings_mod.Tree) -> bool:
    """Return whether there is a cloud that the machine was not turned off."""
    return any(_is_of_this_boot(run) for run in tree.runs())


def take_down(tree: settings_mod.Tree, say: running.Say) -> int:
    """End all processes of all clouds of a state directory.

    What is left of them is deleted; the Python environment and the logs stay.

    :returns: how many clouds there were
    """
    runs = tree.runs()
    with interrupts.deaf():
        for run in runs:
            start = time.monotonic()
            say('taking everything down')
            if _is_of_this_boot(run):
                _end(processes_mod.Processes(run, tree.logs), tree.venv)
            shutil.rmtree(run)
            say(f'everything is down after {time.monotonic() - start:.1f} s')
        tree.record.unlink(missing_ok=True)
    return len(runs)


def _is_of_this_boot(run: pathlib.Path) -> bool:
    # Else each of its process ids may be somebody else's by now.
    path = run / _BOOT_ID
    return path.exists() and path.read_text() == procfs.boot_id()


def _end(processes: processes_mod.Processes, venv: pathlib.Path) -> None:
    strays.end(strays.find(processes, venv), PATIENCE)
    names = processes.names()
    last = [name for name in names if name in _INFRA]
    hosts = [name for name in names if name.startswith(_HOSTS)]
    processes.stop(*(name for name in names if name not in (
        *hosts, *last, _EPMD)), patience=PATIENCE)
    namespace.clear(processes.run)
    processes.stop(*hosts, *last, patience=PATIENCE)
    processes.stop(_EPMD)

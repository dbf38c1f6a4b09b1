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

"""Services of a cloud that somebody has started by hand.

Nothing has recorded them, so they are known by their command: a program of
the cloud's own virtual environment, with a configuration file of the cloud.
"""

from collections.abc import Sequence
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import time

from tests.cloud import processes as processes_mod
from tests.cloud import procfs


@dataclasses.dataclass(frozen=True, slots=True)
class Stray:
    """A process that no record is of.

    :param start: when it started, see :class:`.procfs.Stat`
    :param program: as nova-compute
    """

    pid: int
    start: int
    program: str
    conf: pathlib.Path


def find(processes: processes_mod.Processes,
         venv: pathlib.Path) -> list[Stray]:
    """Return the services of nova that were started by hand.

    Their workers are not among them: these have the same command, and end
    with the process that has forked them.

    :param venv: of the cloud
    """
    # Some programs change their command into a title that has it in it.
    command = re.compile(
        rf'{re.escape(str(venv))}/bin/(nova-(?:compute|conductor|scheduler))'
        rf' --config-file[ =]({re.escape(str(processes.run))}/etc/[^] ]+)')
    recorded = {pid for pids in processes.members(processes.names()).values()
                for pid in pids}
    found = {}
    for one in procfs.processes():
        match = command.search(procfs.command(one.pid))
        if match and one.pid not in recorded:
            found[one.pid] = one.parent, Stray(
                one.pid, one.start, match[1], pathlib.Path(match[2]))
    return [stray for parent, stray in found.values() if parent not in found]


def end(found: Sequence[Stray],
        patience: float = processes_mod.PATIENCE) -> None:
    """End processes that were started by hand, and wait until they are gone.

    :param patience: seconds after which they are killed
    """
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        left = [one for one in found if _runs(one)]
        for one in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, number)
        until = time.monotonic() + seconds
        while any(map(_runs, left)) and time.monotonic() < until:
            time.sleep(processes_mod.POLL)


def _runs(one: Stray) -> bool:
    now = procfs.stat(one.pid)
    return now is not None and now.running and now.start == one.start

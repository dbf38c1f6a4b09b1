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

"""A volume group, looked at and changed through LVM's commands."""

import threading
import time
from typing import Any

from nova.virt.cache_aware import privileged

from cache_aware_sched.lvm import volumes

#: Seconds for which it is believed what LVM has told, unless this process has
#: changed something: all questions of one report, or of one pass, are one
#: command. So is that it does not tell. What is to be removed is looked at
#: anew. Judgement.
LISTING_SECONDS = 10.0


class LvmFailed(OSError):
    """A command of LVM failed; the message says which."""


class Group:
    """The volume group with the disks of the servers.

    :param name: of the group
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._listing: volumes.VolumeGroup | None = None
        self._failure: str | None = None
        self._until = 0.0

    def look(self, anew: bool = False) -> volumes.VolumeGroup:
        """Return what is in the group.

        :param anew: whether it must be what is there now
        :raises LvmFailed: if LVM does not tell
        """
        with self._lock:
            if not anew and time.monotonic() <= self._until:
                if self._listing is not None:
                    return self._listing
                # Each boot asks several times, and LVM may hang.
                if self._failure is not None:
                    raise LvmFailed(self._failure)
            self._listing = self._failure = None
            try:
                self._listing = volumes.parse(
                    self._run('lvm_report'), self.name)
            except (LvmFailed, ValueError) as error:
                self._failure = str(error)
                raise LvmFailed(self._failure) from error
            finally:
                self._until = time.monotonic() + LISTING_SECONDS
            return self._listing

    def change(self, command: str, *args: Any) -> None:
        """Run a command that changes the group.

        :param command: a function of :mod:`nova.virt.cache_aware.privileged`
            that takes the group first
        :raises LvmFailed: if it fails, or takes too long; then it may have its
            effect later
        """
        try:
            self._run(command, *args)
        finally:
            self.changed()

    def changed(self) -> None:
        """Look anew the next time: something has changed the group."""
        with self._lock:
            self._listing = None

    def device(self, name: str) -> str:
        """Return the path of a volume."""
        return f'/dev/{self.name}/{name}'

    def _run(self, command: str, *args: Any) -> Any:
        try:
            return getattr(privileged, command)(self.name, *args)
        # Under eventlet oslo.concurrency has a TimeoutExpired of its own, and
        # oslo.privsep raises whatever its daemon did.
        except Exception as error:
            told = str(getattr(error, 'stderr', '') or error)
            raise LvmFailed(
                f'LVM cannot do "{command.removeprefix("lvm_")}" in volume '
                f'group {self.name}: {_reason(told)}') from error


#: How lines of LVM begin that only say that there is a reason, or what to read
#: (2.03.16).
_NO_REASON = ('Run `', 'Cannot process volume group', 'Consider ')


def _reason(told: str) -> str:
    """Return what of LVM's words explains a failure: its last line mostly."""
    lines = [line.strip() for line in told.splitlines()]
    return next((line for line in reversed(lines) if line and not (
        line.startswith(_NO_REASON) or 'WARNING' in line)), told.strip())

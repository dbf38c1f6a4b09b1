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

"""What is in the image folders, as it was seen last.

vCenter takes a task for each folder, and nova asks twice a second whether one
is done (``[vmware] task_poll_interval``). So the names are listed each time,
with one task a datastore, and a folder is looked into when it is new, when
something was done with it, and once an hour.
"""

import threading
import time
from typing import NamedTuple

from oslo_vmware import exceptions as vexc

from cache_aware_sched import report
from cache_aware_sched.virt.vmware import folders
from cache_aware_sched.virt.vmware import vcenter

#: Seconds for which it is believed what was in a folder. Judgement: only this
#: host writes there, but for operators and hosts that share its folder; the
#: folder is looked into again before it is deleted.
KNOWN_SECONDS = 3600.0


class FoundFolder(NamedTuple):
    """A folder, and where it is.

    :param at: when it was looked into, monotonic seconds
    """

    where: vcenter.Datastore
    folder: folders.Folder
    at: float


class FolderListing:
    """The image folders on all datastores, by the names of their entries.

    :param center: the vCenter
    """

    def __init__(self, center: vcenter.VCenter) -> None:
        self._center = center
        self._lock = threading.Lock()
        self._where: dict[str, vcenter.Datastore] = {}
        self._known: dict[str, FoundFolder] = {}
        #: Whether it was ever told what is there.
        self.is_known = False

    def look(self, sha1: str | None = None) -> dict[str, folders.Folder]:
        """Return all that are there.

        :param sha1: of an image, to look into its folders only, which takes
            one task a datastore instead of one a folder
        :raises OSError: if vCenter does not tell
        """
        where: dict[str, vcenter.Datastore] = {}
        images: dict[str, str] = {}
        for datastore in self._center.datastores():
            for image_id in self._center.folders(datastore):
                if folders.is_image_id(image_id):
                    name = self._center.path(datastore, image_id)
                    where[name], images[name] = datastore, image_id
        with self._lock:
            self._where = where
            self._known = {name: found for name, found in self._known.items()
                           if name in where}
        there = {}
        for name, datastore in where.items():
            if sha1 not in (None, report.image_sha1(images[name])):
                continue
            folder = self.folder(name, datastore, images[name])
            if folder is not None:
                there[name] = folder
        self.is_known = self.is_known or sha1 is None
        return there

    def folder(self, name: str, where: vcenter.Datastore, image_id: str,
               anew: bool = False) -> folders.Folder | None:
        """Return what is in a folder; None if it is not there.

        :param anew: whether to look, whatever is known
        :raises OSError: if vCenter does not tell
        """
        known = self._known.get(name)
        now = time.monotonic()
        if known and not anew and now - known.at < KNOWN_SECONDS:
            return known.folder
        try:
            folder = folders.parse(
                image_id, self._center.files(where, image_id))
        except vexc.FileNotFoundException:
            self.forget(name)
            return None
        with self._lock:
            self._known[name] = FoundFolder(where, folder, now)
        return folder

    def known(self, name: str) -> FoundFolder | None:
        """Return a folder as it was seen last, None if it was not."""
        return self._known.get(name)

    def where(self, name: str) -> vcenter.Datastore | None:
        """Return the datastore of a folder, None if it is not there."""
        return self._where.get(name)

    def names_of(self, sha1: str) -> list[str]:
        """Return the names of the known folders of an image."""
        with self._lock:
            return [name for name, found in self._known.items()
                    if found.folder.sha1 == sha1]

    def forget(self, *names: str) -> None:
        """Have folders looked into the next time."""
        with self._lock:
            for name in names:
                self._known.pop(name, None)

    def gone(self, name: str) -> None:
        """Take note that a folder was deleted."""
        with self._lock:
            self._where.pop(name, None)
            self._known.pop(name, None)

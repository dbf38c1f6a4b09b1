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

"""The image cache of a cluster: folders on its datastores.

nova notes in a folder of an image since when nobody uses it, and nothing while
somebody does. So what nobody has noted counts as used now; each pass notes it
of what is not in use, as nova's own manager does.

What is in a folder is remembered (:mod:`.listing`), and looked at again before
the folder is deleted.
"""

from collections.abc import Callable
from collections.abc import Collection
import os
import time

import nova.conf
from oslo_concurrency import lockutils
from oslo_log import log as logging
from oslo_vmware import exceptions as vexc

from cache_aware_sched.imagecache import backing as backing_mod
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache import sharing
from cache_aware_sched.imagecache import store
from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched.virt.vmware import folders
from cache_aware_sched.virt.vmware import listing
from cache_aware_sched.virt.vmware import vcenter

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class Datastores(store.Store):
    """The folders of the images on the datastores of a cluster.

    An entry is the folder of an image on one datastore, with all that is in
    it. Other folders are not there for it.

    :param center: the vCenter
    :param host: returns the name of the host
    """

    def __init__(self, center: vcenter.VCenter,
                 host: Callable[[], str]) -> None:
        self._center = center
        self._host = host
        self._sharing = sharing.Sharing(host, lambda: self.instances_path)
        self.listing = listing.FolderListing(center)
        self._look_took = 0.0

    @property
    def instances_path(self) -> str:
        """The directory in which nova notes the hosts, and we the history."""
        return str(CONF.instances_path)

    def path(self) -> str:
        """Return the name of the folder, which is on each datastore."""
        return f'[*] {self._center.base_folder}'

    def entries(self, now: float) -> list[Entry]:
        """Return an entry for each image on each datastore."""
        now_ns = int(now * 1e9)
        return [folder.entry(name, now_ns)
                for name, folder in self.listing.look().items()]

    def backing(self, entries: Collection[Entry], known: Collection[str],
                settled: float, patience: float, anew: bool) -> set[str]:
        """Look at the virtual machines of the cluster.

        That of a linked clone is made on top of a file in the folder, and one
        that boots from an ISO image has it in its drive.
        """
        names = {entry.name for entry in entries}
        if not self._is_ours():
            return names
        if self._look_took > patience:
            raise backing_mod.TooManyDisks(patience)
        start = time.monotonic()
        try:
            files = self._center.files_of_machines()
        except OSError as error:
            raise backing_mod.UnreadableDisk(
                self.path(), error) from error
        self._look_took = time.monotonic() - start
        folders_used = {os.path.dirname(file) for file in files}
        return names & (folders_used | set(known))

    def _is_ours(self) -> bool:
        """Return whether it can be told who uses the folder.

        nova names it by the host, unless it is to remove nothing from it: then
        other hosts, of which this one knows nothing, may use it too
        (nova.virt.vmwareapi.vmops, _get_base_folder, nova 34.0.0).
        """
        if (CONF.vmware.cache_prefix
                or CONF.image_cache.remove_unused_base_images):
            return True
        once.warning(
            LOG, ('ours',),
            'Host %(host)s evicts nothing from its image cache %(path)s: '
            'other hosts may use that folder. Set [vmware] cache_prefix, or '
            '[image_cache] remove_unused_base_images.',
            {'host': self._host(), 'path': self.path()})
        return False

    def disk(self) -> limits.Disk | None:
        """Return how full all datastores are together."""
        try:
            found = self._center.datastores()
        except OSError as error:
            LOG.debug('Host %(host)s cannot tell how full its datastores '
                      'are: %(error)s', {'host': self._host(), 'error': error})
            return None
        if not found:
            return None
        free = sum(one.free for one in found)
        return limits.Disk(sum(one.capacity for one in found) - free, free)

    # What is used.

    def touch(self, *names: str) -> None:
        """Note that entries are used now: nova's timestamp goes."""
        for name in names:
            found = self.listing.known(name)
            if found and found.folder.unused_ns is not None:
                self._stamp(name, found, unused=False)

    def unused(self, *names: str) -> None:
        """Note since when entries are not used, if that is not noted yet."""
        for name in names:
            found = self.listing.known(name)
            if found and found.folder.unused_ns is None:
                self._stamp(name, found, unused=True)

    def _stamp(self, name: str, found: listing.FoundFolder,
               unused: bool) -> None:
        """Have a timestamp in a folder, or none; a failure harms nothing.

        Without one the image counts as used, which keeps it.
        """
        where, image_id = found.where, found.folder.image_id
        try:
            with self._center.locked(where, image_id):
                stamps = folders.timestamps(
                    self._center.files(where, image_id))
                if unused and not stamps:
                    self._center.make_folder(
                        where, image_id, folders.timestamp(self.now()))
                for stamp in () if unused else stamps:
                    self._center.delete(where, image_id, stamp)
        except Exception as error:
            LOG.debug('Host %(host)s cannot note in %(path)s whether it is '
                      'used: %(error)s', {'host': self._host(), 'path': name,
                                          'error': error})
        finally:
            self.listing.forget(name)

    def claim(self, sha1: str) -> None:
        """Touch the folders of an image that are noted as unused.

        nova does so too, a moment later, on the datastore that it chooses.
        """
        if not self.listing.is_known:  # nova-compute has just started
            try:
                self.listing.look(sha1)
            except OSError as error:
                LOG.debug('Host %(host)s does not touch %(image)s: %(error)s',
                          {'host': self._host(), 'image': sha1,
                           'error': error})
        self.touch(*self.listing.names_of(sha1))

    def changed(self, image_id: str) -> None:
        """Have the folders of an image looked into the next time."""
        self.listing.forget(*self.listing.names_of(
            report.image_sha1(image_id)))

    # What is removed.

    def remove(self, entry: Entry,
               still_free: Callable[[], bool]) -> store.Removal:
        """Delete a folder with nova's locks of it held, as nova does."""
        where, image_id = (self.listing.where(entry.name),
                           os.path.basename(entry.name))
        if where is None:
            return store.Removal.GONE
        try:
            with self._center.locked(where, image_id, blocking=False,
                                     fetch=True):
                return self._remove(entry, where, image_id, still_free)
        except (lockutils.AcquireLockFailedException,
                vexc.FileLockedException):
            return store.Removal.IN_USE
        except vexc.FileNotFoundException:
            return store.Removal.GONE
        except Exception as error:
            LOG.error(
                'Host %(host)s cannot evict %(path)s (image %(image)s): '
                '%(error)s. Look at the datastore in vCenter.',
                {'host': self._host(), 'path': entry.name, 'image': image_id,
                 'error': error})
            return store.Removal.FAILED

    def _remove(self, entry: Entry, where: vcenter.Datastore, image_id: str,
                still_free: Callable[[], bool]) -> store.Removal:
        folder = self.listing.folder(entry.name, where, image_id, anew=True)
        if folder is None:
            return store.Removal.GONE
        # Who is about to use it has removed the timestamp. Another host may
        # have done so although there was none.
        if (folder.unused_ns or 0) != entry.modified_ns or (
                folder.size != entry.size or not still_free()
                or (not entry.modified_ns and self._sharing.is_shared())):
            return store.Removal.IN_USE
        self._center.delete(where, image_id)
        self.listing.gone(entry.name)
        return store.Removal.REMOVED

    # The host.

    def register(self) -> None:
        """Have the host among those that share the directory of nova."""
        self._sharing.register()

    def hosts(self) -> list[str]:
        """Return the hosts that share it, as nova's own pass tells them."""
        return self._sharing.hosts()

    def disk_usage(self) -> int:
        """Return 0: nova does not ask for it with this driver."""
        return 0

    def history_path(self) -> str:
        """Return a file beside the one in which nova notes the hosts."""
        return os.path.join(self.instances_path,
                            f'image-cache-{self._host()}.json')

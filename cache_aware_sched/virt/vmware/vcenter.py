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

"""Asks vCenter, by what nova's VMware driver has for that.

Here are all of nova's private names that the store needs; read in nova 34.0.0,
and the same in 31 to 33, which a test looks at.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any

from nova.virt.vmwareapi import ds_util
from nova.virt.vmwareapi import vim_util
from oslo_concurrency import lockutils
from oslo_vmware import exceptions as vexc
from oslo_vmware import vim_util as vutil

#: Of the locks with which nova touches and deletes the folder of an image
#: (nova.virt.vmwareapi.imagecache), and fetches one (vmops).
_TIMESTAMP_LOCK = 'nova-vmware-ts'
_FETCH_LOCK = 'nova-vmware-fetch_image'
#: What an image is cached as.
_FILE_TYPES = ('vmdk', 'iso')


class NotAnswered(OSError):
    """vCenter does not tell what was asked, or does not do it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore of the cluster.

    :param name: as vCenter has it
    :param capacity: bytes
    :param free: bytes
    :param handle: nova's own object
    """

    name: str
    capacity: int
    free: int
    handle: Any


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except (NotAnswered, vexc.FileNotFoundException,
            vexc.FileLockedException, vexc.FileAlreadyExistsException):
        raise
    except Exception as error:
        raise NotAnswered(
            f'vCenter: {type(error).__name__}: {error}') from error


class VCenter:
    """The vCenter of one compute, as far as images are concerned.

    Every method may take seconds.

    :param vmops: of nova's driver
    """

    def __init__(self, vmops: Any) -> None:
        self._vmops = vmops

    @property
    def base_folder(self) -> str:
        """The folder of the images on each datastore."""
        return str(self._vmops._base_folder)

    @property
    def _session(self) -> Any:
        return self._vmops._session

    def datastores(self) -> list[Datastore]:
        """Return the datastores of the cluster that nova may use.

        :raises NotAnswered: if that cannot be told
        """
        with _asking():
            return [Datastore(one.name, one.capacity, one.freespace, one)
                    for one in ds_util.get_available_datastores(
                        self._session, self._vmops._cluster,
                        self._vmops._datastore_regex)]

    def folders(self, where: Datastore) -> set[str]:
        """Return the names of what is in the folder of the images.

        :raises NotAnswered: if that cannot be told
        """
        with _asking():
            names: set[str] = ds_util.get_sub_folders(
                self._session, self._browser(where), self._root(where))
            return names

    def files(self, where: Datastore, image_id: str) -> dict[str, int]:
        """Return the bytes of what is in the folder of an image, by name.

        nova has no function that tells names and sizes at once.

        :raises NotAnswered: if that cannot be told
        :raises oslo_vmware.exceptions.FileNotFoundException: if it is not
            there
        """
        with _asking():
            session = self._session
            task = session._call_method(
                session.vim, 'SearchDatastore_Task', self._browser(where),
                datastorePath=str(self._path(where, image_id)),
                searchSpec=ds_util.search_datastore_spec(
                    session.vim.client.factory, '*'))
            result = session._wait_for_task(task).result
            # What is not set, the answer does not have.
            return {one.path: int(getattr(one, 'fileSize', 0) or 0)
                    for one in getattr(result, 'file', None) or ()}

    def path(self, where: Datastore, image_id: str) -> str:
        """Return the path of the folder of an image."""
        return str(self._path(where, image_id))

    def make_folder(self, where: Datastore, image_id: str, name: str) -> None:
        """Make a folder in that of an image, if it is not there.

        :raises NotAnswered: if that fails
        """
        with _asking(), contextlib.suppress(vexc.FileAlreadyExistsException):
            ds_util.mkdir(self._session, self._path(where, image_id).join(
                name), self._datacenter(where))

    def delete(self, where: Datastore, image_id: str, *name: str) -> None:
        """Delete the folder of an image, or one in it.

        :raises NotAnswered: if that fails
        :raises oslo_vmware.exceptions.FileNotFoundException: if it is not
            there
        :raises oslo_vmware.exceptions.FileLockedException: if somebody uses it
        """
        with _asking():
            path = self._path(where, image_id)
            ds_util.file_delete(
                self._session, path.join(*name) if name else path,
                self._datacenter(where))

    @contextlib.contextmanager
    def locked(self, where: Datastore, image_id: str, blocking: bool = True,
               fetch: bool = False) -> Iterator[None]:
        """Hold nova's lock of the folder of an image.

        :param fetch: whether to hold those of a fetch as well
        :raises oslo_concurrency.lockutils.AcquireLockFailedException: if one
            is held and ``blocking`` is not set
        """
        path = self._path(where, image_id)
        with contextlib.ExitStack() as stack:
            stack.enter_context(lockutils.lock(
                str(path), _TIMESTAMP_LOCK, external=True, do_log=False,
                blocking=blocking))
            for file_type in _FILE_TYPES if fetch else ():
                stack.enter_context(lockutils.lock(
                    str(path.join(f'{image_id}.{file_type}')), _FETCH_LOCK,
                    do_log=False, blocking=blocking))
            yield

    def files_of_machines(self) -> set[str]:
        """Return the files that virtual machines of the cluster are made of.

        Of all in its root resource pool, also those that are not nova's.

        :raises NotAnswered: if that cannot be told
        """
        pool = self._vmops._root_resource_pool
        found: set[str] = set()
        if not pool:
            return found
        with _asking():
            session = self._session
            answer = session._call_method(
                vim_util, 'get_inner_objects', pool, 'vm', 'VirtualMachine',
                ['config.hardware.device'])
            with vutil.WithRetrieval(session.vim, answer) as machines:
                for machine in machines:
                    for value in getattr(machine, 'propSet', None) or ():
                        found.update(_files_of(value.val))
        return found

    def _root(self, where: Datastore) -> Any:
        return where.handle.build_path(self.base_folder)

    def _path(self, where: Datastore, image_id: str) -> Any:
        return where.handle.build_path(self.base_folder, image_id)

    def _browser(self, where: Datastore) -> Any:
        return self._vmops._get_ds_browser(where.handle.ref)

    def _datacenter(self, where: Datastore) -> Any:
        return self._vmops.get_datacenter_ref_and_name(where.handle.ref).ref


def _files_of(devices: Any) -> Iterator[str]:
    """Return the paths of the files of devices, and of all below them."""
    for device in getattr(devices, 'VirtualDevice', devices) or ():
        backing = getattr(device, 'backing', None)
        while backing is not None:
            name = getattr(backing, 'fileName', None)
            if name:
                yield str(name)
            backing = getattr(backing, 'parent', None)

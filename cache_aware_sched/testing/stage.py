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

"""The stage of the tests: a host with an empty store."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import shutil
import tempfile
from typing import Any, NoReturn, TYPE_CHECKING
import unittest
from unittest import mock
import uuid

import nova.conf
from nova import context as nova_context
from nova.image import glance
from nova import objects
from nova import rpc
import oslo_messaging

from cache_aware_sched.imagecache import entry as entry_mod
from cache_aware_sched.imagecache import evictable
from cache_aware_sched.imagecache import loading
from cache_aware_sched.imagecache import manager as manager_mod
from cache_aware_sched.imagecache import store as store_mod
from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched.testing import fakes

CONF = nova.conf.CONF

GIB = 2 ** 30
MIB = 2 ** 20
HOST, OTHER_HOST = 'host1', 'host2'
HOUR = 3600
DAY = 24 * HOUR
#: Seconds after which nothing was just used any more.
SETTLED = 2 * evictable.GRACE_SECONDS

if TYPE_CHECKING:
    # A mixin has the methods of a test case, and is none.
    Case = unittest.TestCase
else:
    Case = object


def image(number: int) -> str:
    """Return the id of an image."""
    return f'aaaaaaaa-0000-4000-8000-{number:012d}'


def sha1(number: int) -> str:
    """Return what an entry of an image is known by."""
    return report.image_sha1(image(number))


def server(number: int | None = None, host: str = HOST, **fields: Any) -> Any:
    """Return a server of an image, or of none."""
    fields = {'id': 1, 'vm_state': 'active', 'task_state': None,
              'kernel_id': None, 'ramdisk_id': None, 'os_type': None,
              'deleted': False, **fields}
    return objects.Instance(
        uuid=str(uuid.uuid4()), host=host,
        image_ref=None if number is None else image(number), **fields)


class StoreStage(Case):
    """A host with an empty store, with what its tests can do to it.

    Goes before the suite and the test case in the list of base classes. The
    first two methods are needed; without one of the others the tests that use
    it are skipped.

    :ivar instances_path: a directory of the test's own, also in nova.conf
    :ivar database: what nova tells of servers
    :ivar glance: what Glance tells of images
    :ivar changes: how often the scheduler would have been told of evictions
    """

    #: The entry point of the manager, or a class.
    manager: str | type[manager_mod.BaseImageCacheManager] = 'lru'
    #: Seconds by which the store may be wrong about the time of a use.
    accuracy = 2.0

    # What the store brings.

    def make_store(self) -> store_mod.Store:
        """Return the store, as nova-compute makes it when it starts.

        Called again when it starts again: the entries are still there.
        """
        raise NotImplementedError

    def put_image(self, image_id: str, size: int = GIB,
                  age: float = SETTLED) -> None:
        """Put an image into the store, as if it had been fetched.

        :param size: bytes for which the store is to take it
        :param age: seconds since it was last used
        """
        raise NotImplementedError

    def put_part(self, image_id: str, age: float = 0) -> None:
        """Put in what is there of an image that is being fetched.

        :param age: seconds since it was last written to
        """
        self.lacks('put_part')

    def use_image(self, image_id: str) -> None:
        """Make use of an image in a way that only the store can see."""
        self.lacks('use_image')

    def limit_disk(self, gib: float) -> None:
        """Have what the entries are on hold that many GiB, and no others."""
        self.lacks('limit_disk')

    def break_store(self) -> None:
        """Have the store fail to tell what is there, and to remove it."""
        self.lacks('break_store')

    def locked(self, image_id: str) -> contextlib.AbstractContextManager[
            object]:
        """Have somebody else hold the lock with which an image is removed."""
        self.lacks('locked')

    def lacks(self, method: str) -> NoReturn:
        """Skip the test."""
        raise unittest.SkipTest(
            f'the stage of this store has no {method}')

    # Before and after.

    def setUp(self) -> None:
        """Make the host."""
        super().setUp()
        objects.register_all()
        once.forget_all()
        self.instances_path = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.instances_path, True)
        self.configure(None, instances_path=self.instances_path, host=HOST)
        self.context = nova_context.RequestContext(
            'user', 'project', is_admin=False)
        self.database = fakes.FakeDatabase()
        self.glance = fakes.FakeGlance()
        self.changes = 0
        self._started: manager_mod.BaseImageCacheManager | None = None
        for owner, name, answer in (
                *self.database.stand_ins(),
                (glance, 'get_remote_image_service',
                 lambda context, image_id: (self.glance, image_id))):
            self.patch_object(owner, name, answer)
        self.prepare_store()
        self.store = self.make_store()

    def prepare_store(self) -> None:
        """Prepare what :meth:`make_store` needs; cleanups undo it."""

    def patch_object(self, owner: Any, name: str, value: Any) -> None:
        """Replace an attribute until the end of the test."""
        patcher = mock.patch.object(owner, name, value)
        patcher.start()
        self.addCleanup(patcher.stop)

    def configure(self, group: str | None = 'cache_aware_sched',
                  **options: Any) -> None:
        """Set options until the end of the test."""
        for name, value in options.items():
            CONF.set_override(name, value, group)
            self.addCleanup(CONF.clear_override, name, group)

    # Given.

    def put_images(self, *numbers: int, size: int = GIB,
                   age: float = SETTLED, step: float = 60) -> set[str]:
        """Put images into the store, the first least recently used.

        :param step: seconds between two of them
        :returns: the sha1s of their ids
        """
        for place, number in enumerate(numbers):
            self.put_image(image(number), size,
                           age + step * (len(numbers) - place))
        return {sha1(number) for number in numbers}

    def boot(self, number: int | None = None, **fields: Any) -> Any:
        """Have a server of an image in the database."""
        booted = server(number, **fields)
        self.database.servers.append(booted)
        return booted

    def start(self) -> manager_mod.BaseImageCacheManager:
        """Return the manager as it is when nova-compute has started.

        The one before it has come to its end.
        """
        if self._started:
            self._started.cache.save()
        started = (loading.load(self.manager)
                   if isinstance(self.manager, str) else self.manager())
        started.on_change = self._count_change
        self.store = started.store = self.make_store()
        started.init_host(HOST)
        self._started = started
        return started

    def _count_change(self) -> None:
        self.changes += 1

    def listen(self) -> Callable[[str], list[dict[str, Any]]]:
        """Return a function that tells what was notified of an event."""
        notifier = mock.create_autospec(oslo_messaging.Notifier, instance=True)
        notifier.prepare.return_value = notifier
        for name in ('LEGACY_NOTIFIER', 'NOTIFIER'):
            self.patch_object(rpc, name, notifier)
        return lambda event: [
            payload for _context, said, payload in (
                call.args for call in notifier.info.call_args_list)
            if said == f'image_cache.{event}' and 'file' in payload]

    # When.

    def run_pass(self, manager: manager_mod.BaseImageCacheManager | None = None
                 ) -> manager_mod.BaseImageCacheManager:
        """Make a pass, with the servers that nova hands over."""
        manager = manager or self.start()
        hosts = {HOST, *manager.store.hosts()}
        manager.update(self.context, objects.InstanceList(objects=[
            one for one in self.database.servers if one.host in hosts]))
        return manager

    @contextlib.contextmanager
    def fetching(self, number: int, size: int = GIB, ahead: bool = False,
                 manager: manager_mod.BaseImageCacheManager | None = None,
                 ) -> Iterator[manager_mod.BaseImageCacheManager]:
        """Fetch an image while the block runs."""
        self.glance.put(image(number), size)
        manager = manager or self.start()
        with manager.cache.fetching(self.context, image(number), ahead):
            yield manager

    # Then.

    def entry(self, number: int) -> entry_mod.Entry:
        """Return the entry of an image."""
        [found] = [entry for entry in self.store.entries(self.store.now())
                   if entry.sha1 == sha1(number)]
        return found

    def left(self) -> set[str | None]:
        """Return the sha1s of the ids of the images that are there."""
        return {entry.sha1 for entry in self.store.entries(self.store.now())
                if entry.kind is entry_mod.Kind.IMAGE}

    def assert_left(self, *numbers: int) -> None:
        """See that these images are there, and no others."""
        self.assertEqual({sha1(number) for number in numbers}, self.left())

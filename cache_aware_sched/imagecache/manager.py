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

"""The image cache manager, and what a plug-in has to bring.

A manager of your own is a class and an entry point in the namespace
``cache_aware_sched.image_cache_managers``::

    class LargestFirst(manager.BaseImageCacheManager):

        def order(self, entries, now):
            return sorted(entries, key=lambda entry: -entry.size)
"""

import abc
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import functools
import threading
from typing import Any

from nova import context as nova_context
from nova.virt import imagecache as nova_imagecache
from oslo_config import cfg
from oslo_log import log as logging

from cache_aware_sched import config
from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache.entry import Entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache import history
from cache_aware_sched.imagecache import keeper
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache import notification
from cache_aware_sched.imagecache import protected
from cache_aware_sched.imagecache import room
from cache_aware_sched.imagecache import store as store_mod
from cache_aware_sched.imagecache import telling
from cache_aware_sched.imagecache import used
from cache_aware_sched import report

CONF = config.CONF
LOG = logging.getLogger(__name__)


class BaseImageCacheManager(nova_imagecache.ImageCacheManager, abc.ABC):
    """Keeps the image cache of a host; a subclass says what goes first.

    A subclass gets to see only what may go. It cannot make anything go that is
    in use or protected, whatever it returns, and if it raises, the traceback
    is logged and nothing goes. It is created once, without arguments, when
    nova-compute starts; an exception then stops nova-compute. Its methods are
    called in one thread at a time.

    :cvar reason: why entries go that :meth:`expired` returned, for logs and
        notifications
    :cvar needs_limit: whether it is of no use as long as no limit is set;
        nova-compute then warns of that when it starts
    """

    reason = 'expired'
    needs_limit = False

    # What a plug-in brings.

    @abc.abstractmethod
    def order(self, entries: Sequence[Entry], now: float) -> Iterable[Entry]:
        """Return the entries in the order in which they go.

        Called when a limit asks for room; only as many go as must. An entry
        that is left out stays.

        :param entries: all that may go
        :param now: seconds since the epoch
        """

    def expired(self, entries: Sequence[Entry], now: float
                ) -> Iterable[Entry]:
        """Return the entries that go although nobody asks for room.

        Called in every pass; none by default.

        :param entries: all that may go
        :param now: seconds since the epoch
        """
        return ()

    # What the driver calls.

    def __init__(self) -> None:
        super().__init__()
        self._options = config.checked()
        #: The host that the cache is of.
        self.host: str = CONF.host
        #: Called when something was evicted; the driver sets it.
        self.on_change: Callable[[], None] = lambda: None
        #: Where the images are; a driver without a directory sets it.
        self.store: store_mod.Store = directory.Directory(lambda: self.host)
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def init_host(self, host: str) -> None:
        """Begin to work, before any server is started.

        Reads what is protected, so that a mistake is told at the start.
        """
        self.host = host
        self.store.register()
        telling.of_the_start(
            host, self._options, len(self._keeper.protected()),
            self.needs_limit)

    def close(self) -> None:
        """Keep what is known for the next start."""
        self._history.save()

    @contextlib.contextmanager
    def using(self, *image_ids: str | None) -> Iterator[None]:
        """Keep images while servers are made from them."""
        known = [image_id for image_id in image_ids if image_id]
        self._history.add_ids(*known)
        sha1s = {report.image_sha1(image_id) for image_id in known}
        with self._keeper.busy.using(sha1s):
            for sha1 in sha1s:
                self.store.claim(sha1)
            yield

    def fetching(self, context: nova_context.RequestContext, image_id: str,
                 ahead: bool = False
                 ) -> contextlib.AbstractContextManager[None]:
        """Make room for an image, and keep it while the block fetches it.

        :param ahead: whether no server waits for the image
        :raises cache_aware_sched.imagecache.room.NoRoom: only if no server
            waits for it
        """
        return room.Room(self._keeper, self._lock, self.host, self._used_here,
                         self._tell).fetching(context, image_id, ahead)

    def booted(self, context: nova_context.RequestContext, image_id: str,
               hit: bool, size: int | None, instance_uuid: str) -> None:
        """Take note of a server that was made from an image.

        :param hit: whether the image was in the cache
        :param size: bytes of the image; None if it did not arrive
        """
        if size is not None:
            self._history.add_boot(image_id)
        notification.send(notification.Event(
            'hit' if hit else 'miss', image_id, self.host, size=size,
            file=report.image_sha1(image_id), instance_uuid=instance_uuid),
            context)

    # What nova calls.

    def update(self, context: nova_context.RequestContext,
               all_instances: Any) -> None:
        """Make a pass: remove what is not to be kept.

        :param all_instances: of all hosts that use this cache
        """
        base_dir = self._get_base()
        if not base_dir:
            return
        try:
            self._scan_base_images(base_dir)
            self._age_and_verify_cached_images(
                context, all_instances, base_dir)
        except OSError as error:
            LOG.warning(
                'Host %(host)s cannot look through its image cache %(path)s, '
                'and evicts nothing: %(error)s',
                {'host': self.host, 'path': base_dir, 'error': error})
        except Exception:
            LOG.exception(
                'Host %(host)s cannot tell what is needed of its image cache '
                '%(path)s, and evicts nothing.',
                {'host': self.host, 'path': base_dir})

    def _get_base(self) -> str | None:
        """Return the directory; None if it is not there yet."""
        return self.store.path()

    def _scan_base_images(self, base_dir: str) -> None:
        """Look what is there.

        :raises OSError: if the directory cannot be read
        """
        self._entries = self._keeper.entries()

    def _age_and_verify_cached_images(
            self, context: nova_context.RequestContext, all_instances: Any,
            base_dir: str) -> None:
        """Mark what is used, and remove what is not to be kept."""
        uses = self._used_by(context, all_instances)
        self._history.add_ids(
            *uses.image_ids, *self._keeper.protected().values())
        outcome = keeper.Outcome()
        with self._lock:
            view = self._keeper.view(self._entries, uses, anew=True)
            self._keeper.expire(view, outcome)
            self._keeper.make_fit(view, outcome)
        self._history.save()
        # What is dated in the future would be used now for ever.
        names = {entry.name for entry in self._entries
                 if entry.modified_ns > entry.used_ns
                 and entry.kind is not Kind.TEMPORARY}
        names.update(entry.name for entry in uses.entries(self._entries))
        for name in names:
            self.store.touch(name)
        telling.of_a_pass(self.host, view, outcome,
                          self._options.image_cache_dry_run)
        self._tell(outcome)

    def get_disk_usage(self) -> int:
        """Return the bytes that the cache takes of the instances' disk."""
        return self.store.disk_usage()

    @property
    def cache_dir(self) -> str:
        """The directory of the cache."""
        return directory.cache_dir()

    def _tell(self, outcome: keeper.Outcome) -> None:
        """Tell the scheduler and the bus of what was evicted."""
        if not outcome.evicted or self._options.image_cache_dry_run:
            return
        self.on_change()
        for entry, reason in outcome.evicted:
            notification.send(notification.Event(
                'evict', entry.image_id, self.host, size=entry.size,
                reason=reason, file=entry.name))

    # What it is made of.

    @functools.cached_property
    def _keeper(self) -> keeper.Keeper:
        """Made when the name of the host is known."""
        options = self._options
        return keeper.Keeper(
            self.host, self.store, self, limits_of(options),
            protected.ProtectedImages(options.protected_images,
                                      options.protected_images_file),
            self._history, options.image_cache_dry_run)

    @functools.cached_property
    def _history(self) -> history.ImageHistory:
        return history.ImageHistory(
            self.store.history_path(),
            self._options.image_cache_popularity_half_life_hours * 3600)

    def _used_here(self) -> used.Used:
        """Ask the database what instances use, outside of a pass."""
        return self._used_by(nova_context.get_admin_context(), ())

    def _used_by(self, context: nova_context.RequestContext,
                 listed: Iterable[Any]) -> used.Used:
        """Return what instances use.

        Asked after the entries were looked at: what was claimed between nova's
        list and that look may have touched its image before it.

        :param listed: instances that nova has listed already
        """
        hosts = self.store.hosts()
        return used.by_instances(
            context, [*listed, *used.instances_of(hosts)], hosts)


def limits_of(options: cfg.ConfigOpts.GroupAttr) -> limits.Limits:
    """Return the limits that the options set."""
    return limits.Limits(
        max_bytes=options.image_cache_max_size_gb * limits.GIB,
        max_images=options.image_cache_max_images,
        high=options.image_cache_high_watermark_percent,
        low=options.image_cache_low_watermark_percent,
        min_free=options.image_cache_min_free_gb * limits.GIB)

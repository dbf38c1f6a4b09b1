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

A manager of your own is a policy, a class that inherits it, and an entry point
in the namespace ``cache_aware_sched.image_cache_managers``::

    class LargestFirst(policies.Policy):

        def order(self, entries, now):
            return sorted(entries, key=lambda entry: -entry.size)

    class LargestFirstManager(LargestFirst, manager.BaseImageCacheManager):
        pass
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
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
from cache_aware_sched.imagecache.evictable import Listing
from cache_aware_sched.imagecache import evictor
from cache_aware_sched.imagecache import fetches
from cache_aware_sched.imagecache import history
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache import notification
from cache_aware_sched.imagecache import policies
from cache_aware_sched.imagecache import protected
from cache_aware_sched.imagecache import store as store_mod
from cache_aware_sched.imagecache import telling
from cache_aware_sched.imagecache import used
from cache_aware_sched import report

CONF = config.CONF
LOG = logging.getLogger(__name__)


class BaseImageCacheManager(nova_imagecache.ImageCacheManager,
                            policies.Policy):
    """Keeps the image cache of a host; a subclass says what is evicted first.

    A subclass gets to see only what may be evicted. It cannot have anything
    evicted that is in use or protected, whatever it returns, and if it raises,
    the traceback is logged and nothing is evicted. It is created once, without
    arguments, when nova-compute starts; an exception then stops nova-compute.
    Its methods are called in one thread at a time.
    """

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
        self.ages = ages_of(CONF.image_cache)
        self._listing: Listing | None = None
        self._lock = threading.Lock()

    def init_host(self, host: str) -> None:
        """Begin to work, before any server is started.

        Reads what is protected, so that a mistake is told at the start.
        """
        self.host = host
        self.store.register()
        telling.of_the_start(
            host, self._options, len(self._protected.by_sha1()),
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
        with self._evictor.evictable.busy.using(sha1s):
            for sha1 in sha1s:
                self.store.claim(sha1)
            yield

    def fetching(self, context: nova_context.RequestContext, image_id: str,
                 ahead: bool = False, disk_bytes: int | None = None,
                 clones: bool = False
                 ) -> contextlib.AbstractContextManager[None]:
        """Make room for an image, and keep it while the block fetches it.

        :param ahead: whether no server waits for the image
        :param disk_bytes: of the root disk of its server; None if it has no
            bounds
        :param clones: whether nothing is fetched of an image that Ceph can
            clone
        :raises cache_aware_sched.imagecache.fetches.NoRoom: only if no server
            waits for it
        """
        return self._fetches.fetching(
            context, image_id, fetches.Purpose(ahead, disk_bytes, clones))

    def fetched(self, image_id: str) -> None:
        """Keep the limits with an image that has come.

        To be called when nobody holds a lock of the image; never raises.
        """
        self._fetches.fit(image_id)

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
        """Make a pass: evict what is not to be kept.

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
        self._listing = self._evictor.look()

    def _age_and_verify_cached_images(
            self, context: nova_context.RequestContext, all_instances: Any,
            base_dir: str) -> None:
        """Mark what is used, and evict what is not to be kept."""
        listing = self._listing or self._evictor.look()
        uses = self._used_by(context, all_instances)
        self._history.add_ids(
            *uses.image_ids, *self._protected.by_sha1().values())
        outcome = evictor.Outcome()
        with self._lock:
            view = self._evictor.evictable.view(listing, uses, anew=True)
            self._evictor.evict_expired(view, outcome)
            self._evictor.evict_to_limits(view, outcome)
        self._history.save()
        # What is dated in the future would be used now for ever.
        names = {entry.name for entry in listing.entries
                 if entry.modified_ns > entry.used_ns}
        names.update(entry.name for entry in uses.entries(listing.entries))
        self.store.touch(*names)
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

    def _tell(self, outcome: evictor.Outcome) -> None:
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
    def _evictor(self) -> evictor.Evictor:
        """Made when the name of the host is known."""
        return evictor.Evictor(
            self.host, self.store, self, limits_of(self._options),
            self._protected, self._history, self._options.image_cache_dry_run)

    @functools.cached_property
    def _fetches(self) -> fetches.Fetches:
        return fetches.Fetches(self._evictor, self._lock, self.host,
                               self._used_here, self._tell)

    @functools.cached_property
    def _protected(self) -> protected.ProtectedImages:
        return protected.ProtectedImages(
            self._options.protected_images,
            self._options.protected_images_file)

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


def ages_of(options: cfg.ConfigOpts.GroupAttr) -> policies.Ages:
    """Return for how long nova is told to keep what is not used.

    :param options: of ``[image_cache]``
    """
    if not options.remove_unused_base_images:
        return policies.Ages()
    return policies.Ages(options.remove_unused_original_minimum_age_seconds,
                         options.remove_unused_resized_minimum_age_seconds)

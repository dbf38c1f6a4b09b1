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

"""The image cache of a host: everything that keeps it, put together."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import threading
from typing import Any

from nova import context as nova_context
from oslo_config import cfg

from cache_aware_sched.imagecache import critical
from cache_aware_sched.imagecache import critical_aggregates
from cache_aware_sched.imagecache.evictable import Listing
from cache_aware_sched.imagecache import evictor
from cache_aware_sched.imagecache import fetches
from cache_aware_sched.imagecache import history
from cache_aware_sched.imagecache import limits
from cache_aware_sched.imagecache import log_lines
from cache_aware_sched.imagecache import notification
from cache_aware_sched.imagecache import on_request
from cache_aware_sched.imagecache import policies
from cache_aware_sched.imagecache import protected
from cache_aware_sched.imagecache import store as store_mod
from cache_aware_sched.imagecache import used
from cache_aware_sched import report


class ImageCache:
    """The image cache of a host.

    :param host: that the cache is of
    :param where: the images
    :param policy: what decides
    :param options: of ``[cache_aware_sched]``
    :param on_change: called when something was evicted
    """

    def __init__(self, host: str, where: store_mod.Store,
                 policy: policies.EvictionPolicy,
                 options: cfg.ConfigOpts.GroupAttr,
                 on_change: Callable[[], None]) -> None:
        self._host = host
        self._store = where
        self._policy = policy
        self._options = options
        self._on_change = on_change
        self._protected = protected.ProtectedImages(
            options.protected_images, options.protected_images_file,
            critical.CriticalImages(
                options.critical_images, options.critical_images_file,
                critical.memory_path(where.history_path())))
        self._history = history.ImageHistory(
            where.history_path(),
            options.image_cache_popularity_half_life_hours * 3600)
        self._evictor = evictor.Evictor(
            host, where, policy, limits_of(options), self._protected,
            self._history, options.image_cache_dry_run)
        # Held by whoever evicts anything.
        self._lock = threading.Lock()
        self._fetches = fetches.Fetches(
            self._evictor, self._lock, host, self._used_here, self._tell)

    def start(self) -> None:
        """Begin, before any server is started.

        Reads what is protected, so that a mistake is told at the start.
        """
        self._store.register()
        log_lines.log_start(
            self._host, self._options, len(self._protected.by_sha1()),
            len(self.critical_images.by_sha1()), self._policy.needs_limit)

    def save(self) -> None:
        """Keep what is known for the next start."""
        self._history.save()

    @contextlib.contextmanager
    def using(self, *image_ids: str | None) -> Iterator[None]:
        """Keep images while servers are made from them."""
        known = [image_id for image_id in image_ids if image_id]
        self._history.add_ids(*known)
        sha1s = {report.image_sha1(image_id) for image_id in known}
        with self._evictor.evictable.in_progress.using(sha1s):
            for sha1 in sha1s:
                self._store.claim(sha1)
            yield

    def fetching(self, context: nova_context.RequestContext, image_id: str,
                 ahead: bool = False, disk_bytes: int | None = None,
                 clones: bool = False, converts: bool = True,
                 size_of: Callable[[], int] | None = None
                 ) -> contextlib.AbstractContextManager[None]:
        """Make room for an image, and keep it while the block fetches it.

        :param ahead: whether no server waits for the image
        :param disk_bytes: of the root disk of its server; None if it has no
            bounds
        :param clones: whether nothing is fetched of an image that Ceph can
            clone
        :param converts: whether nova makes a raw image of it, as of all but
            kernels and ramdisks
        :param size_of: returns the bytes of an image that Glance does not
            send, but another host
        :raises cache_aware_sched.imagecache.fetches.NoRoom: only if no server
            waits for it
        """
        return self._fetches.fetching(context, image_id, fetches.Purpose(
            ahead, disk_bytes, clones, converts, size_of))

    def fetched(self, image_id: str, in_vain: bool = False) -> None:
        """Keep the limits with an image that has come.

        To be called when nobody holds a lock of the image; never raises.

        :param in_vain: whether no server was made of it
        """
        self._fetches.fit(image_id, in_vain)

    def booted(self, context: nova_context.RequestContext, image_id: str,
               hit: bool, size: int | None, instance_uuid: str) -> None:
        """Take note of a server that was started from an image.

        :param hit: whether the image was in the cache, as the driver saw it
            (``virt/managed.py``, ``ImageUse``)
        :param size: bytes of the image; None if they cannot be told
        """
        self._history.add_boot(image_id)
        notification.send(notification.Event(
            'hit' if hit else 'miss', image_id, self._host, size=size,
            file=report.image_sha1(image_id), instance_uuid=instance_uuid),
            context)

    def protected_among(self, sha1s: Collection[str]) -> int:
        """Return how many of some images are protected.

        :param sha1s: of the image ids
        """
        return len(self._protected.by_sha1().keys() & set(sha1s))

    @property
    def is_dry_run(self) -> bool:
        """Whether everything stays."""
        return self._evictor.is_dry_run

    @property
    def protected_images(self) -> protected.ProtectedImages:
        """The protected images."""
        return self._protected

    @property
    def critical_images(self) -> critical.CriticalImages:
        """The images that this host must hold; they are protected too."""
        return self._protected.critical

    @property
    def evicts(self) -> bool:
        """Whether it ever evicts anything to make room."""
        return (bool(self._evictor.limits) and not self.is_dry_run
                and type(self._policy).order is not policies.Everything.order)

    def room(self) -> int | None:
        """Return the bytes for which nothing need be evicted.

        :returns: None if the disk has no bounds, and no limit is set
        :raises OSError: if it cannot be told what is there
        """
        allowed = self._evictor.limits
        # Asked each minute: without need no directory is listed for it.
        listing = (self.look() if allowed.max_bytes or allowed.max_images
                   else Listing([], {}, self._store.disk(), 0.0))
        return listing.budget(allowed).room()

    def ask_aggregates(self, context: nova_context.RequestContext) -> bool:
        """Ask which images the aggregates of the host make critical.

        :returns: whether there was an answer; never raises
        """
        return critical_aggregates.ask(
            context, self._host, self.critical_images)

    def look(self) -> Listing:
        """Return what is there.

        :raises OSError: if it cannot be told
        """
        return self._evictor.look()

    def evict(self, context: nova_context.RequestContext, listing: Listing,
              instances: Iterable[Any]) -> None:
        """Mark what is used, and evict what is not to be kept.

        :param instances: that nova has listed
        """
        self.ask_aggregates(context)
        uses = self._used_by(context, instances)
        self._history.add_ids(
            *uses.image_ids, *self._protected.by_sha1().values())
        outcome = evictor.EvictionResult()
        with self._lock:
            view = self._evictor.evictable.view(listing, uses, anew=True)
            self._evictor.evict_expired(view, outcome)
            self._evictor.evict_to_limits(view, outcome)
        self._evictor.note_too_large(view, outcome)
        self._history.save()
        # What is dated in the future would be used now for ever.
        names = {entry.name for entry in listing.entries
                 if entry.modified_ns > entry.used_ns}
        names.update(entry.name for entry in uses.entries(listing.entries))
        self._store.touch(*names)
        self._store.unused(*(
            entry.name for entry in listing.entries if entry.name not in (
                view.in_use | outcome.absent)))
        log_lines.log_pass(self._host, view, outcome,
                           self._options.image_cache_dry_run)
        self._tell(outcome)

    def evict_image(self, image: str, dry_run: bool = False,
                    ) -> list[on_request.EvictionAnswer]:
        """Evict an image as an operator asks, unless something keeps it.

        For a process of its own; see :mod:`.on_request`.

        :param image: see :func:`.on_request.entries_of`
        :param dry_run: whether everything stays
        :returns: an answer for each file, none if there is none
        :raises OSError: if the cache cannot be looked at
        :raises Exception: if nova does not tell who uses the image
        """
        self._evictor.is_dry_run |= dry_run
        outcome = evictor.EvictionResult()
        with self._lock:
            listing = self._evictor.look()
            context = nova_context.get_admin_context()
            self.ask_aggregates(context)
            instances = self._instances(())
            view = self._evictor.evictable.view(
                listing, used.by_instances(context, instances), anew=True)
            answers = on_request.OnRequest(
                self._evictor, self._protected).evict(
                    image, view, instances, outcome)
        self._tell(outcome)
        return answers

    def _tell(self, outcome: evictor.EvictionResult) -> None:
        """Tell the scheduler and the bus of what was evicted."""
        if not outcome.evicted or self._evictor.is_dry_run:
            return
        self._on_change()
        for entry, reason in outcome.evicted:
            notification.send(notification.Event(
                'evict', entry.image_id, self._host, size=entry.size,
                reason=reason, file=entry.name))

    def _used_here(self) -> used.Used:
        """Ask the database what instances use, outside of a pass."""
        return self._used_by(nova_context.get_admin_context(), ())

    def _used_by(self, context: nova_context.RequestContext,
                 listed: Iterable[Any]) -> used.Used:
        """Return what instances use; see :meth:`_instances`."""
        return used.by_instances(context, self._instances(listed))

    def _instances(self, listed: Iterable[Any]) -> list[Any]:
        """Return the instances that may use the cache.

        Asked after the entries were looked at: what was claimed between nova's
        list and that look may have touched its image before it.

        :param listed: instances that nova has listed already
        """
        hosts = self._store.hosts()
        # A move that ends in between is in one of the two answers.
        moving = used.moving(hosts)
        return [*listed, *moving, *used.instances_of(hosts)]


def limits_of(options: cfg.ConfigOpts.GroupAttr) -> limits.Limits:
    """Return the limits that the options set."""
    return limits.Limits(
        max_bytes=options.image_cache_max_size_gb * limits.GIB,
        max_images=options.image_cache_max_images,
        high=options.image_cache_high_watermark_percent,
        low=options.image_cache_low_watermark_percent,
        min_free=options.image_cache_min_free_gb * limits.GIB)

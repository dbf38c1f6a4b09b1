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

    class LargestFirst(policies.EvictionPolicy):

        def order(self, entries, now):
            return sorted(entries, key=lambda entry: -entry.size)

    class LargestFirstManager(LargestFirst, manager.BaseImageCacheManager):
        pass
"""

from collections.abc import Callable
import functools
from typing import Any

from nova import context as nova_context
from nova.virt import imagecache as nova_imagecache
from oslo_config import cfg
from oslo_log import log as logging

from cache_aware_sched import config
from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache.evictable import Listing
from cache_aware_sched.imagecache import image_cache
from cache_aware_sched.imagecache import policies
from cache_aware_sched.imagecache import store as store_mod

CONF = config.CONF
LOG = logging.getLogger(__name__)


class BaseImageCacheManager(nova_imagecache.ImageCacheManager,
                            policies.EvictionPolicy):
    """Keeps the image cache of a host; a subclass says what is evicted first.

    A subclass gets to see only what may be evicted. It cannot have anything
    evicted that is in use or protected, whatever it returns, and if it raises,
    the traceback is logged and nothing is evicted. It is created once, without
    arguments, when nova-compute starts; an exception then stops nova-compute.
    Its methods are called in one thread at a time.
    """

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

    def init_host(self, host: str) -> None:
        """Begin to work, before any server is started.

        The cache is made here, in the only thread that there is: since Python
        3.12 a cached property can be made twice.
        """
        self.host = host
        self.cache.start()

    @functools.cached_property
    def cache(self) -> image_cache.ImageCache:
        """The cache, made when host and store are known."""
        return image_cache.ImageCache(
            self.host, self.store, self, self._options, self._changed)

    def _changed(self) -> None:
        self.on_change()

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
        self._listing = self.cache.look()

    def _age_and_verify_cached_images(
            self, context: nova_context.RequestContext, all_instances: Any,
            base_dir: str) -> None:
        """Mark what is used, and evict what is not to be kept."""
        self.cache.evict(context, self._listing or self.cache.look(),
                         all_instances)

    def get_disk_usage(self) -> int:
        """Return the bytes that the cache takes of the instances' disk."""
        return self.store.disk_usage()

    @property
    def cache_dir(self) -> str:
        """The directory of the cache."""
        return directory.cache_dir()


def ages_of(options: cfg.ConfigOpts.GroupAttr) -> policies.Ages:
    """Return for how long nova is told to keep what is not used.

    :param options: of ``[image_cache]``
    """
    if not options.remove_unused_base_images:
        return policies.Ages()
    return policies.Ages(options.remove_unused_original_minimum_age_seconds,
                         options.remove_unused_resized_minimum_age_seconds)

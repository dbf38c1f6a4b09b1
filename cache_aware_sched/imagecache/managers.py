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

"""The managers that come with the package: each is its policy.

To add one: a policy (:mod:`.policies`), a class as those below, and an entry
point in ``cache_aware_sched.image_cache_managers``. The page "Writing an image
cache manager" has a complete example.
"""

from cache_aware_sched.imagecache import manager
from cache_aware_sched.imagecache import policies


class AgeImageCacheManager(
        policies.UnusedForLong, manager.BaseImageCacheManager):
    """``age``: evicts what nova's own manager removes."""


class LRUImageCacheManager(
        policies.LeastRecentlyUsed, manager.BaseImageCacheManager):
    """``lru``: keeps what it can, and what was used last."""


class PopularityImageCacheManager(
        policies.LeastPopular, manager.BaseImageCacheManager):
    """``popularity``: keeps what it can, and what is booted most."""


class ProtectedImageCacheManager(
        policies.Everything, manager.BaseImageCacheManager):
    """``protected``: keeps everything."""


class NoneImageCacheManager(
        policies.Unused, manager.BaseImageCacheManager):
    """``none``: keeps nothing that no instance uses."""

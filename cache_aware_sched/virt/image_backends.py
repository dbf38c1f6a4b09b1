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

"""nova's image backends, whose fetches are watched.

What makes the files of a server from images; private, read in nova 31.3.1 to
34.0.0.
"""

from collections.abc import Callable
import functools
from typing import Any

from cache_aware_sched.imagecache import image_cache

#: Of a server's files, also of those to rescue it (_create_image of nova's
#: libvirt driver).
_KERNELS = ('kernel', 'ramdisk')

_Cache = Callable[[], image_cache.ImageCache]

#: Calls nova's function that fetches, or does something in its stead.
_Fetch = Callable[..., bool]


class WatchedBackend:
    """An image backend of nova whose every fetch is watched.

    :param backend: a nova.virt.libvirt.imagebackend.Image
    :param watch: called with the function that fetches and its arguments
    :ivar was_asked: whether nova has asked for an image by its cache
    """

    def __init__(self, backend: Any, watch: Callable[..., Any]) -> None:
        self._backend = backend
        self._watch = watch
        self.was_asked = False

    def cache(self, fetch_func: Callable[..., Any], *args: Any,
              **kwargs: Any) -> Any:
        self.was_asked = True
        return self._backend.cache(
            functools.partial(self._watch, fetch_func), *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


class _KernelBackend(WatchedBackend):
    """Keeps a kernel or a ramdisk, and has room made if it is fetched."""

    def __init__(self, backend: Any, cache: _Cache, call: _Fetch) -> None:
        super().__init__(backend, self._fetch)
        self._cache = cache
        self._call = call

    def cache(self, fetch_func: Callable[..., Any], *args: Any,
              **kwargs: Any) -> Any:
        with self._cache().using(kwargs.get('image_id')):
            return super().cache(fetch_func, *args, **kwargs)

    def _fetch(self, fetch: Callable[..., Any], *args: Any,
               **kwargs: Any) -> Any:
        context, image_id = kwargs.get('context'), kwargs.get('image_id')
        if not context or not image_id:  # of another nova
            return fetch(*args, **kwargs)
        with self._cache().fetching(context, image_id, converts=False):
            return self._call(functools.partial(fetch, *args, **kwargs),
                              converts=False)


class ImageBackends:
    """The image backends of nova, with those of kernels and ramdisks watched.

    nova calls no method of its driver for the images of these.

    :param backends: a nova.virt.libvirt.imagebackend.Backend
    :param cache: returns the image cache of the host
    :param call: takes nova's function that fetches a kernel, with all its
        arguments, and whether the file is converted
    """

    def __init__(self, backends: Any, cache: _Cache, call: _Fetch) -> None:
        self._backends = backends
        self._cache = cache
        self._call = call

    def by_name(self, instance: Any, name: str, *args: Any,
                **kwargs: Any) -> Any:
        backend = self._backends.by_name(instance, name, *args, **kwargs)
        if name.startswith(_KERNELS):
            return _KernelBackend(backend, self._cache, self._call)
        return backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backends, name)

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

"""Loads the image cache manager that nova.conf names."""

from importlib import metadata
from typing import Any

from nova import exception
from stevedore import driver
from stevedore import exception as stevedore_exception

from cache_aware_sched.conf import imagecache as conf
from cache_aware_sched.imagecache import manager


def load(name: str) -> manager.BaseImageCacheManager:
    """Return a new image cache manager.

    :param name: of an entry point
    :raises nova.exception.InvalidConfiguration: which names those that are
        installed, or tells what is wrong with this one
    """
    try:
        loaded: Any = driver.DriverManager(
            conf.MANAGERS, name, invoke_on_load=True,
            on_load_failure_callback=_raise).driver
    except stevedore_exception.NoMatches:
        raise exception.InvalidConfiguration(
            f'[cache_aware_sched] image_cache_manager is {name!r}, which is '
            f'not installed. Installed are: {", ".join(conf.installed())}.'
        ) from None
    except stevedore_exception.MultipleMatches as error:
        raise exception.InvalidConfiguration(
            f'[cache_aware_sched] image_cache_manager is {name!r}, which '
            f'several packages install: {error}') from error
    except exception.InvalidConfiguration:
        raise
    except Exception as error:
        raise exception.InvalidConfiguration(
            f'[cache_aware_sched] image_cache_manager {name!r} cannot be '
            f'loaded: {type(error).__name__}: {error}') from error
    if not isinstance(loaded, manager.BaseImageCacheManager):
        raise exception.InvalidConfiguration(
            f'[cache_aware_sched] image_cache_manager {name!r} is a '
            f'{type(loaded).__name__}, not a subclass of '
            f'{manager.__name__}.BaseImageCacheManager.')
    if not hasattr(loaded, 'store'):
        raise exception.InvalidConfiguration(
            f'[cache_aware_sched] image_cache_manager {name!r}: the __init__ '
            f'of {type(loaded).__name__}, or of its policy, does not call '
            f'super().__init__().')
    return loaded


def _raise(_manager: Any, _entry_point: metadata.EntryPoint,
           error: BaseException) -> None:
    raise error

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

"""Which store of images a libvirt host has, as nova.conf says."""

from collections.abc import Callable

from nova import exception
from oslo_log import log as logging

from cache_aware_sched import config
from cache_aware_sched.imagecache import directory
from cache_aware_sched.lvm import group as group_mod
from cache_aware_sched.lvm import image_volumes
from cache_aware_sched.lvm import settings
from cache_aware_sched.lvm import store
from cache_aware_sched import once

CONF = config.CONF
LOG = logging.getLogger(__name__)


def store_of(host: Callable[[], str]) -> directory.Directory:
    """Return the store of a host.

    :param host: returns its name
    :raises nova.exception.InvalidConfiguration: if options do not go together
    """
    options = config.checked()
    if options.lvm_image_store == 'file':
        return directory.Directory(host)
    wrong = settings.contradiction(CONF)
    if wrong:
        raise exception.InvalidConfiguration(wrong)
    group = group_mod.Group(CONF.libvirt.images_volume_group)
    return store.VolumeStore(
        host, image_volumes.ThinVolumes(group, options.lvm_thin_pool)
        if options.lvm_image_store == 'thin'
        else image_volumes.CopiedVolumes(group))


def warn_of_no_limit() -> None:
    """Warn once if nothing has room made before the group is full."""
    options = CONF.cache_aware_sched
    if not (options.image_cache_high_watermark_percent
            or options.image_cache_min_free_gb):
        once.warning(
            LOG, ('limit',),
            '[cache_aware_sched] lvm_image_store is %(kind)r, and no limit '
            'has images evicted before volume group %(group)s is full: set '
            'image_cache_high_watermark_percent or image_cache_min_free_gb.',
            {'kind': options.lvm_image_store,
             'group': CONF.libvirt.images_volume_group})

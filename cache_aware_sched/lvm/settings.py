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

"""What of nova's options goes with images in a volume group."""

from typing import Any


def contradiction(conf: Any) -> str:
    """Return which options do not go together, '' if all do.

    :param conf: nova's configuration, with the options of this package
    """
    kind = conf.cache_aware_sched.lvm_image_store
    if kind == 'file':
        return ''
    wrong = ''
    if conf.libvirt.images_type != 'lvm':
        wrong = (f'[libvirt] images_type is {conf.libvirt.images_type!r}: set '
                 f"it to 'lvm'")
    elif not conf.libvirt.images_volume_group:
        wrong = '[libvirt] images_volume_group is not set: name the group'
    elif conf.ephemeral_storage_encryption.enabled:
        wrong = ('[ephemeral_storage_encryption] enabled is set, and each '
                 'disk then has a key of its own: unset it')
    elif kind == 'thin' and conf.libvirt.volume_clear != 'none':
        wrong = (f'[libvirt] volume_clear is {conf.libvirt.volume_clear!r}, '
                 f'and to clear a snapshot fills the pool: set it to '
                 f"'none', as a thin pool hands out zeroed blocks only")
    return wrong and (
        f'[cache_aware_sched] lvm_image_store is {kind!r}, but {wrong}; or '
        f"set lvm_image_store to 'file'.")

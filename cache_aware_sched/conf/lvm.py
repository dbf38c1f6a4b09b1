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

"""Options of images that are kept as logical volumes."""

from oslo_config import cfg

#: What LVM allows in the name of a volume (lvm(8)).
_VOLUME = r'^[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}$'

OPTIONS = [
    cfg.StrOpt(
        'lvm_image_store',
        default='file',
        choices=['file', 'copy', 'thin'],
        help="""
How a compute host keeps images whose disks are logical volumes.

Read by ``nova-compute``, with ``[libvirt] images_type = lvm`` only.

Possible values:

* ``file``: as nova does. An image is a file of the cache directory.
* ``copy``: an image is a volume of ``[libvirt] images_volume_group``, named
  ``i_`` and the SHA-1 of its id, and is copied into each disk.
* ``thin``: an image is a thin volume of the pool that ``lvm_thin_pool``
  names, and each disk is a snapshot of it. Nothing is copied. Swap and
  ephemeral disks are in the pool too.

With ``copy`` and ``thin`` the limits of the image cache, such as
``image_cache_max_size_gb`` and ``image_cache_high_watermark_percent``, are
those of the volume group, or of the pool. Disks can then not be encrypted.

Related options:

* ``lvm_thin_pool``
* ``[libvirt] images_type``
* ``[libvirt] images_volume_group``
* ``[libvirt] volume_clear``: must be ``none`` with ``thin``.
* ``[ephemeral_storage_encryption] enabled``
"""),
    cfg.StrOpt(
        'lvm_thin_pool',
        regex=_VOLUME,
        help="""
The thin pool that holds images and disks.

Read by ``nova-compute``, with ``lvm_image_store = thin`` only.

It is a volume of ``[libvirt] images_volume_group``. Above
``image_cache_high_watermark_percent``, of its data or its metadata, no image
is fetched into it; without that, and for disks, above 95 %.

Possible values:

* The name of a thin pool, without its volume group.

Related options:

* ``lvm_image_store``
* ``image_cache_high_watermark_percent``
"""),
]


def check(options: cfg.ConfigOpts.GroupAttr) -> None:
    """Refuse values that are good each and make no sense together.

    :raises oslo_config.cfg.ConfigFileValueError: naming the options
    """
    if options.lvm_image_store == 'thin' and not options.lvm_thin_pool:
        raise cfg.ConfigFileValueError(
            "[cache_aware_sched] lvm_image_store is 'thin', but "
            'lvm_thin_pool is not set: name the thin pool.')

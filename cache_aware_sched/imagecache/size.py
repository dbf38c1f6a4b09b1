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

"""What an image will take in the cache before it is there."""

from typing import Any

import nova.conf
from nova import context as nova_context
from nova.image import glance
from oslo_log import log as logging

from cache_aware_sched.imagecache.limits import GIB
from cache_aware_sched.imagecache.limits import Need

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: What nova keeps as it is (nova.virt.images.do_image_deep_inspection, nova
#: 34.0.0): to QEMU all of them are raw.
_RAW = ('raw', 'iso', 'ami', 'aki', 'ari')


def need(context: nova_context.RequestContext, image_id: str) -> Need:
    """Ask Glance what it takes to fetch an image.

    :raises Exception: whatever keeps Glance from answering
    """
    service, image_id = glance.get_remote_image_service(context, image_id)
    image = service.show(context, image_id)
    size = int(image.get('size') or 0)
    if image.get('disk_format') in _RAW or not CONF.force_raw_images:
        return Need(peak=size, final=size, images=1)
    virtual = int(image.get('virtual_size')
                  or _virtual_size(service, context, image_id)
                  or max(size, int(image.get('min_disk') or 0) * GIB))
    return Need(peak=size + virtual, final=virtual, images=1)


def _virtual_size(service: Any, context: nova_context.RequestContext,
                  image_id: str) -> int | None:
    """Return the bytes of the disk in an image, None if nobody knows.

    nova's image service leaves them out of what it returns; its client is
    private (nova.image.glance, nova 34.0.0). Without it, or where Glance has
    not looked into the image, the image is taken for as large as it must be.
    """
    try:
        image = service._client.call(
            context, 2, 'get', args=(image_id,))
        return int(image['virtual_size'] or 0) or None
    except Exception as error:
        LOG.debug('Glance does not tell the virtual size of image %(image)s: '
                  '%(error)s', {'image': image_id, 'error': error})
        return None

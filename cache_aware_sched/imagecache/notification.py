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

"""The notifications ``image_cache.hit``, ``.miss`` and ``.evict``.

Both forms that nova knows are sent; ``[notifications] notification_format``
says which of them leave the host.
"""

import dataclasses

from nova import context as nova_context
from nova.notifications.objects import base as notification_base
from nova.objects import base as nova_base
from nova.objects import fields
from nova import rpc
from oslo_log import log as logging

from cache_aware_sched import once

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an image in the cache of a host.

    :param action: ``hit``, ``miss`` or ``evict``
    :param image_id: None if nobody has told it since the file was fetched
    :param size: bytes of the file; None if it is not known
    :param reason: why it was evicted
    :param file: the name of the file
    :param instance_uuid: the server that was booted
    """

    action: str
    image_id: str | None
    host: str
    size: int | None = None
    reason: str | None = None
    file: str | None = None
    instance_uuid: str | None = None

    def payload(self) -> dict[str, str | int | None]:
        """Return the payload of the unversioned notification."""
        payload = dataclasses.asdict(self)
        del payload['action']
        return payload


@nova_base.NovaObjectRegistry.register_notification
class ImageCachePayload(notification_base.NotificationPayloadBase):
    """The payload of the versioned notifications."""

    OBJ_PROJECT_NAMESPACE = 'cache_aware_sched'

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'image_id': fields.StringField(nullable=True),
        'host': fields.StringField(),
        'size': fields.IntegerField(nullable=True),
        'reason': fields.StringField(nullable=True),
        'file': fields.StringField(nullable=True),
        'instance_uuid': fields.UUIDField(nullable=True),
    }

    def __init__(self, event: Event) -> None:
        super().__init__()
        for name, value in event.payload().items():
            setattr(self, name, value)
        self.obj_reset_changes()


def send(event: Event,
         context: nova_context.RequestContext | None = None) -> None:
    """Send a notification; a failure is logged once and harms nothing.

    Not through nova.rpc.get_notifier, which warns of every event that is not
    one of nova's own (nova 34.0.0).
    """
    context = context or nova_context.get_admin_context()
    event_type = f'image_cache.{event.action}'
    try:
        if rpc.LEGACY_NOTIFIER is not None:
            rpc.LEGACY_NOTIFIER.prepare(
                publisher_id=f'compute.{event.host}').info(
                    context, event_type, event.payload())
        if rpc.NOTIFIER is not None:
            rpc.get_versioned_notifier(f'nova-compute:{event.host}').info(
                context, event_type,
                ImageCachePayload(event).obj_to_primitive())
    except Exception as error:
        once.warning(
            LOG, (type(error),),
            'Host %(host)s cannot send the notification %(event)s: %(error)s. '
            'Check [oslo_messaging_notifications].',
            {'host': event.host, 'event': event_type, 'error': error})

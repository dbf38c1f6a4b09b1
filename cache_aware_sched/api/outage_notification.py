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

"""Tells others of an outage of Glance that nova-api has seen."""

from nova import context as nova_context
from nova import rpc
from oslo_log import log as logging

from cache_aware_sched.config import CONF

LOG = logging.getLogger(__name__)


def send(what: str, seconds: float) -> None:
    """Send the notification ``glance_outage.begin`` or ``glance_outage.end``.

    In the unversioned form only; ``[notifications] notification_format`` says
    whether it leaves the host.

    :param what: ``begin`` or ``end``
    :param seconds: that the outage took; 0 at its begin
    """
    try:
        # None before nova.rpc is set up (nova 31.3.1 to 34.0.0).
        if rpc.LEGACY_NOTIFIER is not None:
            rpc.LEGACY_NOTIFIER.prepare(publisher_id=f'api.{CONF.host}').info(
                nova_context.get_admin_context(), f'glance_outage.{what}',
                {'host': CONF.host, 'seconds': round(seconds, 3)})
    except Exception as error:
        LOG.warning('Notification glance_outage.%(what)s cannot be sent: '
                    '%(error)s', {'what': what, 'error': error})

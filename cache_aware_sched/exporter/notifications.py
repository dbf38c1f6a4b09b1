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

"""Listens to ``image_cache.hit``, ``.miss`` and ``.evict`` of all cells.

And to ``glance_outage.begin`` and ``.end`` of nova-api.

In a pool of its own: oslo.messaging gives each pool a copy of all messages,
so nobody else loses any, as Ceilometer. The queue of the pool stays when the
exporter ends, so what hosts send meanwhile is counted later.
"""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import datetime
import math
from typing import Any

from nova.objects import cell_mapping
from oslo_log import log as logging
import oslo_messaging
from oslo_messaging import opts
import sqlalchemy as sa

from cache_aware_sched.config import CONF
from cache_aware_sched.exporter.counters import EventCounters
from cache_aware_sched import nova_databases
from cache_aware_sched import report

LOG = logging.getLogger(__name__)

#: What nova-api tells (api/outage_notification.py).
OUTAGE = 'glance_outage'

POOL = 'cache-aware-sched-exporter'

#: The default of [DEFAULT] transport_url (oslo.messaging 17).
NO_URL = 'rabbit://'

#: Where nova sends notifications to (nova.rpc and nova.conf.rpc, nova
#: 34.0.0).
EXCHANGE = 'nova'

#: Messages that are remembered, and how soon after another one a message of
#: the same is its other form: [notifications] notification_format = both sends
#: the two in a row. Judgement.
MAX_REMEMBERED = 10_000
TWICE = datetime.timedelta(seconds=10)

#: Characters of a reason: more than any of ours has.
MAX_LABEL = 64

_CELL_MAPPINGS = sa.table(
    'cell_mappings', sa.column('transport_url'), sa.column('disabled'))

Seen = tuple[str, ...]


class ImageCacheEvents:
    """Counts what hosts tell; oslo.messaging calls it.

    :ivar received: messages so far
    """

    filter_rule = oslo_messaging.NotificationFilter(
        event_type=r'^(image_cache|glance_outage)\.')

    def __init__(self, counters: EventCounters) -> None:
        self._counters = counters
        self._seen: collections.OrderedDict[Seen, datetime.datetime] = (
            collections.OrderedDict())
        self.received = 0

    def info(self, context: Any, publisher_id: str, event_type: str,
             payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Count a notification, in either form."""
        what, _dot, action = event_type.rpartition('.')
        try:
            if what == OUTAGE:
                self._count_outage(action, payload)
                return
            self._count(action,
                        payload.get('nova_object.data', payload),
                        _time(metadata.get('timestamp')))
        except Exception as error:
            # One that cannot be read must not come again for ever.
            LOG.warning('Notification %(event)s of %(publisher)s cannot be '
                        'read: %(error)r', {
                            'event': event_type, 'publisher': publisher_id,
                            'error': error})

    def _count(self, action: str, data: Mapping[str, Any],
               at: datetime.datetime) -> None:
        self.received += 1
        # Of an eviction there is no server, and of a boot no other file.
        if self._is_second((action, data['host'], data['file'] or '',
                            data['instance_uuid'] or ''), at):
            return
        image = report.image_key(data['image_id']) if data['image_id'] else ''
        if action == 'evict':
            self._counters.evicted(
                data['host'], image, _size(data['size']),
                _label(data['reason']), at)
        elif action in ('hit', 'miss'):
            self._counters.booted(data['instance_uuid'] or '', data['host'],
                                  image, action == 'hit', at)

    def _count_outage(self, action: str, data: Mapping[str, Any]) -> None:
        self.received += 1
        if action == 'begin':
            self._counters.outage(None)
        elif action == 'end':
            seconds = float(data['seconds'])
            self._counters.outage(seconds if math.isfinite(seconds) else 0.0)

    def _is_second(self, key: Seen, at: datetime.datetime) -> bool:
        before = self._seen.get(key)
        if before is not None and abs(at - before) < TWICE:
            return True
        self._seen[key] = at
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        return False


def _time(text: Any) -> datetime.datetime:
    """Return when a message was sent, UTC, without a zone."""
    try:
        time = datetime.datetime.fromisoformat(text)
        return (time if time.tzinfo is None else time.astimezone(
            datetime.UTC).replace(tzinfo=None))
    except (TypeError, ValueError, OverflowError):
        return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _size(value: Any) -> int:
    """Return bytes; 0 if a message has none that a disk can have."""
    return value if type(value) is int and 0 <= value < 2 ** 63 else 0


def _label(value: Any) -> str:
    """Return a text that is short enough, and that Prometheus can read."""
    return str(value or '')[:MAX_LABEL].encode(errors='replace').decode()


def _register_options() -> None:
    """Register what only a service has registered when it starts."""
    for group, options in opts.list_opts():
        if group in (None, 'oslo_messaging_notifications'):
            CONF.register_opts(options, group)


def transport_urls(api: nova_databases.Database) -> Sequence[str | None]:
    """Return where the cells and nova-api send notifications to.

    :returns: None stands for what nova.conf has; with secrets
    :raises nova_databases.Unreadable: if the API database does not answer
    """
    _register_options()
    if CONF.oslo_messaging_notifications.transport_url:
        return [None]
    urls = (cell_mapping.CellMapping.format_mq_url(row.transport_url)
            for row in api.select(sa.select(_CELL_MAPPINGS)))
    # nova-api sends to what this nova.conf has. cell0 has no nova-compute, and
    # its transport is none:///.
    return list(dict.fromkeys(
        url for url in (*urls, CONF.transport_url)
        if url and url != NO_URL and not url.startswith('none:')))


def listeners(urls: Iterable[str | None],
              endpoint: ImageCacheEvents) -> list[Any]:
    """Return what listens to some transports, not started yet.

    :raises oslo_messaging.MessagingException: if a transport cannot be used
    """
    topics = dict.fromkeys((*CONF.oslo_messaging_notifications.topics,
                            *CONF.notifications.versioned_notifications_topics
                            ))
    targets = [oslo_messaging.Target(exchange=EXCHANGE, topic=topic)
               for topic in topics]
    return [oslo_messaging.get_notification_listener(
        oslo_messaging.get_notification_transport(CONF, url=url), targets,
        [endpoint], executor='threading', pool=POOL) for url in urls]

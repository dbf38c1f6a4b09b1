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

"""Asks nova which images the aggregates of a host make critical."""

from nova import context as nova_context
from nova import objects
from oslo_log import log as logging

from cache_aware_sched import aggregate_keys
from cache_aware_sched.imagecache import critical
from cache_aware_sched import once

LOG = logging.getLogger(__name__)


def ask(context: nova_context.RequestContext, host: str,
        images: critical.CriticalImages) -> bool:
    """Have the critical images of a host learn what its aggregates say.

    If nobody answers, what they said last goes on to count. Never raises.

    :returns: whether there was an answer
    """
    try:
        key = aggregate_keys.CRITICAL
        images.learn({
            aggregate.name: aggregate.metadata.get(key) or ''
            for aggregate in objects.AggregateList.get_by_host(
                context, host, key=key)})
    except Exception as error:
        # The conductor of a cell may have no access to nova's API database.
        once.warning(
            LOG, ('aggregates', type(error).__name__),
            'Host %(host)s cannot read which images its aggregates make '
            'critical: %(error)s. What they said last goes on to count.',
            {'host': host, 'error': error})
        return False
    return True

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

"""What the log says of an image cache: at the start, and of each pass."""

import collections

from oslo_config import cfg
from oslo_log import log as logging

from cache_aware_sched.imagecache.evictable import View
from cache_aware_sched.imagecache import evictor
from cache_aware_sched.imagecache import limits
from cache_aware_sched import wording

LOG = logging.getLogger(__name__)


def log_start(host: str, options: cfg.ConfigOpts.GroupAttr,
              protected: int, critical: int, needs_limit: bool) -> None:
    """Log how the cache of a host is kept.

    :param protected: how many images are
    :param critical: how many of these are
    :param needs_limit: whether the manager does nothing without a limit
    """
    allowed = [f'{limit.value} = {getattr(options, limit.value)}'
               for limit in limits.Limit if getattr(options, limit.value)]
    LOG.info(
        'Image cache of host %(host)s: image_cache_manager = %(manager)s, '
        '%(limits)s; protected: %(protected)s%(critical)s%(dry_run)s.',
        {'host': host, 'manager': options.image_cache_manager,
         'limits': ', '.join(allowed) or 'no limits',
         'protected': wording.counted(protected, 'image'),
         'critical': f', {critical:,} of them critical' if critical else '',
         'dry_run': '; dry run, nothing is evicted'
         if options.image_cache_dry_run else ''})
    if needs_limit and not allowed:
        LOG.warning(
            'Host %(host)s never evicts anything from its image cache: '
            '[cache_aware_sched] image_cache_manager = %(manager)s waits for '
            'a limit to ask for room, and there is none. Set '
            'image_cache_max_size_gb or another limit.',
            {'host': host, 'manager': options.image_cache_manager})


def log_pass(host: str, view: View, outcome: evictor.EvictionResult,
             dry_run: bool) -> None:
    """Log in one line what a pass found and did."""
    why = collections.Counter(reason for _entry, reason in outcome.evicted)
    LOG.info(
        'Image cache of host %(host)s: %(files)s, %(bytes)d bytes; '
        'in use %(used)d, protected %(protected)d, %(evicted)s '
        '%(number)d (%(freed)d bytes%(why)s)%(exceeded)s',
        {'host': host, 'files': wording.counted(len(view.entries), 'file'),
         'bytes': sum(entry.size for entry in view.entries),
         'used': len(view.in_use), 'protected': len(view.protected),
         'evicted': 'would evict' if dry_run else 'evicted',
         'number': len(outcome.evicted),
         'freed': sum(entry.size for entry, _reason in outcome.evicted),
         'why': ''.join(f', {reason} {number}'
                        for reason, number in sorted(why.items())),
         'exceeded': '; still exceeded: ' + ', '.join(
             limit.value for limit in outcome.exceeded)
            if outcome.exceeded else ''})

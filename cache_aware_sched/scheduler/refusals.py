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

"""What the filters log of hosts that are full, or without the image.

nova sees of a refusal that a filter returns no host (:mod:`.filters`):
NoValidHost. If nova-compute refuses a server it sees SameImageCapReached
(``virt/late_check.py``), and tries the next host.
"""

import collections
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from oslo_log import log as logging

from cache_aware_sched.config import CONF
from cache_aware_sched import once
from cache_aware_sched.report import Holding
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.candidates import Candidate
from cache_aware_sched.scheduler import reports
from cache_aware_sched.scheduler.same_image import count as count_mod
from cache_aware_sched.scheduler.same_image import progress as progress_mod
from cache_aware_sched import wording

LOG = logging.getLogger(__name__)

MAX_LOGGED_HOSTS = 10

#: Why a host does not have an image that is required.
_WITHOUT = {
    Holding.COLD: 'does not hold the image',
    Holding.ARRIVING: 'is still fetching the image',
    Holding.UNKNOWN: 'does not report whether it holds the image',
}


def _listed(candidates: Sequence[Candidate]) -> str:
    """Return how full some hosts are."""
    more = len(candidates) - MAX_LOGGED_HOSTS
    return ', '.join(
        candidate.full() for candidate in candidates[:MAX_LOGGED_HOSTS]) + (
            f' and {more} more' if more > 0 else '')


def _sources(candidates: Iterable[Candidate]) -> str:
    """Return who set the caps of some hosts."""
    return ', '.join(sorted(set(map(_source, candidates))))


def _source(candidate: Candidate) -> str:
    cap = candidate.setting.cap
    if candidate.limit == cap.number:
        return cap.source
    if candidate.limit == cap.hint:
        return f'hint: {cap.hint}'
    return f'share: {cap.share:g}'


def log_full(request: request_mod.Request,
             candidates: Sequence[Candidate]) -> None:
    """Say which hosts are full."""
    if not LOG.isEnabledFor(logging.DEBUG):
        return
    for candidate in candidates:
        if not candidate.has_room:
            LOG.debug(
                'Server %(server)s, image %(image)s: host %(host)s runs '
                '%(servers)s of the image, the cap is %(cap)d '
                '(%(source)s).',
                {'server': request.instance, 'image': request.image,
                 'host': candidate.host,
                 'servers': wording.counted(candidate.count, 'server'),
                 'cap': candidate.limit, 'source': _source(candidate)})


def log(request: request_mod.Request,
        candidates: Sequence[Candidate]) -> None:
    """Say that a request is refused, and why."""
    LOG.info(
        'No host is left for server %(server)s: all %(number)d candidates '
        'that the other filters passed run as many servers of image %(image)s '
        '(scope %(scope)s) as the cap allows: %(hosts)s. The cap is set by '
        '%(source)s. Raise it, or set same_image_cap_policy = soft.',
        {'server': request.instance, 'number': len(candidates),
         'image': request.image, 'source': _sources(candidates),
         'scope': CONF.cache_aware_sched.same_image_scope,
         'hosts': _listed(candidates)})


def log_let_through(request: request_mod.Request,
                    passing: Sequence[Candidate], reason: str) -> None:
    """Say that a server goes to a host above its cap, and why."""
    LOG.info(
        'Server %(server)s, image %(image)s, goes above the cap (%(source)s), '
        'as %(reason)s: %(hosts)s.',
        {'server': request.instance, 'image': request.image,
         'source': _sources(passing), 'reason': reason,
         'hosts': _listed(passing)})


def log_observed(request: request_mod.Request,
                 candidates: Sequence[Candidate],
                 passing: Sequence[Candidate]) -> None:
    """Say which hosts the cap would have kept from a server."""
    full = [candidate for candidate in candidates
            if not candidate.has_room]
    if full:
        LOG.info(
            'Server %(server)s, image %(image)s: observed only, the cap '
            '(%(source)s) would have %(what)s: %(hosts)s.',
            {'server': request.instance, 'image': request.image,
             'source': _sources(full), 'hosts': _listed(full),
             'what': 'ruled out hosts' if passing else
             'refused it, as no host has room'})


def warn_if_everywhere(
    request: request_mod.Request, candidates: Sequence[Candidate],
    counter: count_mod.SameImageCounter, progress: progress_mod.Progress,
) -> None:
    """Say once if not only the candidates are full, but all hosts there are.

    As after the first start of the filter in a cloud that boots everything
    from one golden image.
    """
    # What the request has placed before it was refused is dropped.
    if progress.placed or not all(
            candidate.setting.cap.for_all for candidate in candidates):
        return
    counts = counter.cell_lookup.counts_everywhere(progress, candidates)
    limit = max(candidate.limit for candidate in candidates)
    if counts and min(counts) >= limit:
        once.warning(
            LOG, ('everywhere', request.image),
            'Every host is at the same-image cap: %(servers)s of '
            'image %(image)s on %(hosts)s: %(average).0f on average, '
            'cap %(cap)d (%(source)s). No more servers of this image can be '
            'placed. Raise max_same_image_instances_per_host, set '
            'max_same_image_share_per_host, or same_image_cap_policy = soft.',
            {'servers': wording.counted(sum(counts), 'server'),
             'image': request.image,
             'hosts': wording.counted(len(counts), 'host'),
             'average': sum(counts) / len(counts),
             'cap': limit, 'source': _sources(candidates)})


def log_without_image(request: request_mod.Request, host_states: Sequence[Any],
                      answers: Sequence[reports.Answer]) -> None:
    """Say which hosts do not have an image that a request requires.

    Nothing where all have it: nova asks again for each server of a
    multi-create, and for alternates, and then only offers those that passed.
    """
    found = collections.Counter(
        min(answer.holding, Holding.WARM) for answer in answers)
    if found[Holding.WARM] == len(answers):
        return
    if LOG.isEnabledFor(logging.DEBUG):
        for state, answer in zip(host_states, answers, strict=True):
            if answer.holding in _WITHOUT:
                LOG.debug(
                    'Server %(server)s, image %(image)s: host %(host)s '
                    '%(without)s, which the hint image_cache = require asks '
                    'for.',
                    {'server': request.instance, 'image': request.image,
                     'host': state.host, 'without': _WITHOUT[answer.holding]})
    LOG.info(
        '%(left)s for server %(server)s: its hint image_cache = require asks '
        'for a host that holds image %(image)s. Of %(candidates)s from the '
        'filters before, %(holding)d hold it; %(cold)d are cold, %(arriving)d '
        'arriving, %(unknown)d unknown.',
        {'left': 'Fewer hosts are left' if found[Holding.WARM]
         else 'No host is left', 'server': request.instance,
         'image': request.image,
         'candidates': wording.counted(len(answers), 'candidate'),
         'holding': found[Holding.WARM], 'cold': found[Holding.COLD],
         'arriving': found[Holding.ARRIVING],
         'unknown': found[Holding.UNKNOWN]})

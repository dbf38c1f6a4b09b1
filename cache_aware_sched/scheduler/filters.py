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

"""Image anti-affinity filter. Cap the servers of one image on a host.

A host that holds an image attracts its servers; this keeps them from all being
lost with that one host. See ``max_same_image_instances_per_host`` for where
the cap is set, and :mod:`cache_aware_sched.scheduler.same_image.count` for
what is counted.

Rebuilds are let through: they cannot go elsewhere, and nova would put the
server into ERROR.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
import weakref

from nova.scheduler import filters
from oslo_log import log as logging

from cache_aware_sched import cap as cap_mod
from cache_aware_sched import config
from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler.same_image import count as count_mod

LOG = logging.getLogger(__name__)

#: Hosts named in the line that says why no host is left.
MAX_LOGGED_HOSTS = 10


class ImageAntiAffinityFilter(filters.BaseHostFilter):
    """Only pass hosts that run fewer servers of the image than the cap."""

    RUN_ON_REBUILD = False

    def __init__(self) -> None:
        config.checked()
        self._counter = count_mod.shared()
        self._passed: weakref.WeakKeyDictionary[Any, str | None] = (
            weakref.WeakKeyDictionary())
        self._set_aside: weakref.WeakKeyDictionary[Any, list[Any]] = (
            weakref.WeakKeyDictionary())

    def filter_all(self, filter_obj_list: Iterable[Any],
                   spec_obj: Any) -> list[Any]:
        """Return the hosts that pass; see :mod:`nova.filters`."""
        host_states = list(filter_obj_list)
        try:
            return self._passing(host_states, spec_obj)
        except Exception:
            # A cap is not worth a scheduler that places nothing.
            LOG.exception(
                'The same-image cap was not applied to a request for server '
                '%s.', request_mod.server_of(spec_obj))
            return host_states

    def host_passes(self, host_state: Any, filter_properties: Any) -> bool:
        """Return whether a host passes; see :mod:`nova.scheduler.filters`."""
        return bool(self.filter_all([host_state], filter_properties))

    def _passing(self, host_states: list[Any], spec: Any) -> list[Any]:
        request = request_mod.Request.from_spec(spec)
        if not host_states or request.image is None or request.rebuild:
            return host_states
        soft = config.CONF.cache_aware_sched.same_image_cap_policy == 'soft'
        # A group has its own idea of which hosts are left.
        come_back = soft and request.count > 1 and not request.grouped
        if come_back:
            host_states = self._with_those_set_aside(host_states, spec)
        caps = cap_mod.caps(
            request, [host.aggregates for host in host_states])
        counts = self._counter.count(spec, request, host_states, caps)
        passing = [host for host, cap, count
                   in zip(host_states, caps, counts, strict=True)
                   if not cap or count < cap]
        self._log_full(request, host_states, caps, counts)
        if not passing and soft:
            fewest = min(counts)
            passing = [host for host, count
                       in zip(host_states, counts, strict=True)
                       if count == fewest]
        if come_back:
            passed = set(passing)
            self._set_aside[spec] = [
                host for host in host_states if host not in passed]
        if self._is_for_alternates(spec, request, passing):
            return passing
        if not passing:
            self._counter.refused(spec)
            _log_refusal(request, host_states, caps, counts)
        elif len(passing) == 1:
            # nova weighs nothing then, so no weigher sees the placement.
            self._counter.place(spec, request, passing[0].host)
        return passing

    def _is_for_alternates(self, spec: Any, request: request_mod.Request,
                           passing: list[Any]) -> bool:
        """Return whether hosts have passed for this very server before.

        After the last server of a multi-create nova filters once more, for
        alternates; that none is left then is no refusal.
        """
        again = (request.count > 1 and request.instance is not None
                 and self._passed.get(spec) == request.instance)
        if passing:
            self._passed[spec] = request.instance
        return again

    def _with_those_set_aside(self, host_states: list[Any],
                              spec: Any) -> list[Any]:
        """Return the hosts with those left out for the servers before.

        For the next server of a multi-create nova only offers the hosts that
        passed for the one before. With the soft policy a host that was passed
        over then can be the emptiest now.
        """
        offered = set(host_states)
        return host_states + [
            host for host in self._set_aside.pop(spec, ())
            if host not in offered]

    def _log_full(
        self, request: request_mod.Request, host_states: Sequence[Any],
        caps: Sequence[int], counts: Sequence[int],
    ) -> None:
        if not LOG.isEnabledFor(logging.DEBUG):
            return
        for host, cap, count in zip(host_states, caps, counts, strict=True):
            if cap and count >= cap:
                LOG.debug(
                    'Host %(host)s runs %(count)d servers of image %(image)s, '
                    'the cap is %(cap)d.',
                    {'host': host.host, 'count': count,
                     'image': request.image, 'cap': cap})


def _log_refusal(
    request: request_mod.Request, host_states: Sequence[Any],
    caps: Sequence[int], counts: Sequence[int],
) -> None:
    hosts = [f'{host.host} {count} of {cap}' for host, cap, count
             in zip(host_states, caps, counts, strict=True)]
    more = len(hosts) - MAX_LOGGED_HOSTS
    LOG.info(
        'No host is left for server %(server)s: all %(number)d candidates '
        'that the other filters passed run as many servers of image %(image)s '
        '(scope %(scope)s) as the cap allows: %(hosts)s%(more)s. Raise '
        'max_same_image_instances_per_host, or set same_image_cap_policy = '
        'soft.',
        {'server': request.instance, 'number': len(hosts),
         'image': request.image,
         'scope': config.CONF.cache_aware_sched.same_image_scope,
         'hosts': ', '.join(hosts[:MAX_LOGGED_HOSTS]),
         'more': f' and {more} more' if more > 0 else ''})

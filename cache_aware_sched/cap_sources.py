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

"""Who sets the cap of a host: options, aggregates, flavors and users."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from cache_aware_sched import aggregate_keys
from cache_aware_sched import aggregates
from cache_aware_sched import cap
from cache_aware_sched.conf.scheduler import MAX_CAP
from cache_aware_sched.config import CONF
from cache_aware_sched import once
from cache_aware_sched import request as request_mod

LOG = logging.getLogger(__name__)

OPTION = 'max_same_image_instances_per_host'
SHARE_OPTION = 'max_same_image_share_per_host'
FILTER = 'ImageAntiAffinityFilter'
_NO_CAP = MAX_CAP + 1


def _parse_limit(text: str) -> int:
    """Return a number of which the largest stands for no cap."""
    return cap.parse(text) or _NO_CAP


def _parse_share_limit(text: str) -> float:
    return cap.parse_share(text) or 2.0


#: Of several aggregates the smallest counts, and no cap is the largest.
_NUMBERS = aggregates.Numbers(aggregate_keys.CAP, _parse_limit)
_SHARES = aggregates.Numbers(aggregate_keys.SHARE, _parse_share_limit)


def is_set_here() -> bool:
    """Return whether this nova.conf is meant to cap servers.

    The default of the option caps only where the filter is enabled: a weigher
    or a driver alone must not bring a cap that nobody asked for.
    """
    return FILTER in CONF.filter_scheduler.enabled_filters or any(
        _is_set(name)
        for name in (OPTION, SHARE_OPTION, 'same_image_cap_policy'))


def _is_set(name: str) -> bool:
    """Return whether somebody has set an option, if to its default."""
    location = CONF.get_location(name, 'cache_aware_sched').location
    if location is cfg.Locations.set_override:
        # oslo.config 10.0 tells this also of an override that was cleared.
        # Only tests and simulations override options.
        return 'override' in CONF._get_opt_info(name, 'cache_aware_sched')
    return bool(location.is_user_controlled)


class Caps:
    """The caps of one request.

    What is set for less than everything wins: the flavor over the aggregate
    over the option.

    :param request: a boot, or a move
    :param options: whether the options count
    :param instead: of the number that the option has; None for that
    """

    def __init__(self, request: request_mod.Request, options: bool = True,
                 instead: int | None = None) -> None:
        ours = CONF.cache_aware_sched
        number = ours[OPTION] if options else 0
        number = number if instead is None else instead
        share = ours[SHARE_OPTION] if options else 0.0
        source = f'option {OPTION}: {number}'
        flavor = _of_flavor(request, request_mod.EXTRA_SPEC_CAP, cap.parse)
        flavor_share = _of_flavor(
            request, request_mod.EXTRA_SPEC_SHARE, cap.parse_share)
        if flavor is not None:
            number, source = flavor, f'flavor {request.flavor}: {flavor}'
        if flavor_share is not None:
            share = flavor_share
        hint = _of_hint(request)
        if hint and not 0 < number <= hint:
            source = f'hint: {hint}'
        self._default = cap.Cap(
            number, share, hint, source,
            for_all=not hint and flavor is None and flavor_share is None)
        self._number_is_set = flavor is not None
        self._share_is_set = flavor_share is not None

    def of(self, host_aggregates: Sequence[Any]) -> cap.Cap:
        """Return the cap of a host in these aggregates."""
        result = self._default
        number = None if self._number_is_set else (
            _NUMBERS.smallest(host_aggregates))
        if number is not None:
            number %= _NO_CAP
            hinted = result.hint and not 0 < number <= result.hint
            result = dataclasses.replace(
                result, number=number, source=result.source if hinted
                else f'aggregate: {number}')
        share = None if self._share_is_set else (
            _SHARES.smallest(host_aggregates))
        if share is not None:
            result = dataclasses.replace(
                result, share=share if share <= 1 else 0.0)
        return result


def _of_flavor(request: request_mod.Request, key: str, parse: Any) -> Any:
    text = request.extra_specs.get(key)
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        once.warning(
            LOG, ('flavor', key, text),
            'Extra spec %(key)s of flavor %(flavor)s is %(text)r: %(error)s. '
            'It has no effect; correct the flavor.',
            {'key': key, 'flavor': request.flavor, 'text': text,
             'error': error})
        return None


def _of_hint(request: request_mod.Request) -> int:
    """Return what the user wants at most, 0 for any number."""
    values, bad = [], request.hinted_cap.unread
    for text in request.hinted_cap.values:
        try:
            values.append(cap.parse(text) or _NO_CAP)
        except ValueError:
            bad = True
    if bad:
        # Without the user's text: it would make each request a new cause.
        once.warning(
            LOG, ('hint', request.project),
            'A scheduler hint %(key)s of project %(project)s cannot be read. '
            'It has no effect; a whole number from 1 up is wanted. This is '
            'logged once for the project.',
            {'key': request_mod.HINT_CAP, 'project': request.project})
    return min(values, default=0) % _NO_CAP

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

"""How many servers of one image a host may run."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from oslo_log import log as logging

from cache_aware_sched import aggregates
from cache_aware_sched.conf.scheduler import MAX_CAP
from cache_aware_sched.config import CONF
from cache_aware_sched import once
from cache_aware_sched import request as request_mod

LOG = logging.getLogger(__name__)
_ONCE = once.Once(LOG)

AGGREGATE_KEY = 'max_same_image_instances_per_host'
#: Stands for no cap where the smallest of several is looked for.
_NO_CAP = MAX_CAP + 1


def parse(text: str) -> int:
    """Return a cap.

    :raises ValueError: saying what is wanted
    """
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise ValueError('a whole number from 0 up is wanted, 0 for no cap')
    return min(value, MAX_CAP)


def _parse_limit(text: str) -> int:
    return parse(text) or _NO_CAP


def combine(
    option: int, aggregate: int | None, flavor: int | None, hint: int | None,
) -> int:
    """Return the cap that results; 0 stands for none throughout.

    What is set for less than everything wins: the flavor over the aggregate
    over the option. The hint is the user's and can only make it smaller.
    """
    cap = next(value for value in (flavor, aggregate, option)
               if value is not None)
    if hint:
        return min(cap, hint) if cap else hint
    return cap


def caps(request: request_mod.Request, hosts: Iterable[Sequence[Any]],
         option: int | None = None) -> list[int]:
    """Return the cap of each host for a request; 0 for none.

    :param hosts: the Aggregate objects of each host
    :param option: taken for the value of the option, if given
    """
    if option is None:
        option = CONF.cache_aware_sched.max_same_image_instances_per_host
    flavor = _of_flavor(request)
    hint = _of_hint(request)
    if flavor is not None:
        return [combine(option, None, flavor, hint) for _host in hosts]
    default = combine(option, None, None, hint)
    return [
        default if aggregate is None
        else combine(option, aggregate % _NO_CAP, None, hint)
        for aggregate in aggregates.smallest(
            hosts, AGGREGATE_KEY, _parse_limit)]


def _of_flavor(request: request_mod.Request) -> int | None:
    text = request.extra_specs.get(request_mod.EXTRA_SPEC_CAP)
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        _ONCE.warning(
            ('flavor', text),
            'Flavor extra spec %(key)s is %(text)r: %(error)s. It has no '
            'effect; correct the flavor.',
            {'key': request_mod.EXTRA_SPEC_CAP, 'text': text, 'error': error})
        return None


def _of_hint(request: request_mod.Request) -> int | None:
    values = []
    for text in request.hints.get(request_mod.HINT_CAP, ()):
        try:
            values.append(parse(text) or _NO_CAP)
        except ValueError as error:
            _ONCE.warning(
                ('hint', text),
                'Scheduler hint %(key)s of project %(project)s is %(text)r: '
                '%(error)s. It has no effect.',
                {'key': request_mod.HINT_CAP, 'project': request.project,
                 'text': text[:64], 'error': error})
    return min(values, default=0) % _NO_CAP or None

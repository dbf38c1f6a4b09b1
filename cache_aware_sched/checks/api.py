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

"""Checks of what nova-api remembers of images. No nova."""

from collections.abc import Callable

from cache_aware_sched.api import values
from cache_aware_sched.checks import check
from cache_aware_sched.checks.check import fail
from cache_aware_sched.checks.check import ok
from cache_aware_sched.checks.check import Outcome
from cache_aware_sched.checks.check import SetUpCheck
from cache_aware_sched.checks.check import skipped
from cache_aware_sched.checks.check import warn
from cache_aware_sched.checks.state import ApiConf
from cache_aware_sched.checks.state import SetUp

#: The filter, as the documentation calls it, and what has to be before it: it
#: has to know whose request it is.
FILTER, CONTEXT = 'image_records', 'keystonecontext'


def _pipelines(api: ApiConf) -> Outcome:
    names = [api.filter_names(line) for line in api.pipelines]
    having = [one for one in names if FILTER in one]
    mend = ('Put image_records directly after keystonecontext in both '
            f'pipelines of {api.paste}, and restart nova-api: '
            'admin/outage.html#image-records.')
    if not having:
        return skipped(f'{FILTER} is in no pipeline of {api.paste}')
    if api.bad:
        return fail(f'nova-api does not start: {check.listed(api.bad)}',
                    'Mend these values in the nova.conf of nova-api.')
    if not api.has_filter:
        return fail(
            f'{api.paste} has no section [filter:{FILTER}]',
            'Add it, with paste.filter_factory = '
            'cache_aware_sched.api.image_records:filter_factory.')
    if any(CONTEXT not in one or one.index(FILTER) < one.index(CONTEXT)
           for one in having):
        return fail(f'{FILTER} is before {CONTEXT}', mend)
    if len(having) < len(names):
        return warn(f'{FILTER} is in {len(having)} of {len(names)} pipelines',
                    mend)
    return ok(f'{FILTER} is in all {len(names)} pipelines')


def _shared(api: ApiConf) -> Outcome:
    if not api.remembers:
        return skipped(f'{FILTER} is in no pipeline of {api.paste}')
    mend = ('Set [cache_aware_sched] image_record_secret to the same 64 '
            'random characters on all hosts of nova-api, [cache] enabled = '
            'true, backend = oslo_cache.memcache_pool and memcache_servers, '
            'and restart nova-api.')
    if api.each_process:
        return warn('each process of nova-api remembers images on its own: '
                    f'{api.each_process}', mend)
    if api.backend == values.BOUNDLESS_BACKEND:
        return warn(f'[cache] backend = {api.backend} waits without a bound '
                    'for a server that hangs, and each boot with it', mend)
    if api.backend_seconds is not None and (
            api.backend_seconds < api.max_age):
        return warn(
            'the servers of [cache] forget records after '
            f'{api.backend_seconds:,} seconds, before image_record_max_age',
            'Leave [cache] backend_expiration_time unset, or set it to '
            f'{api.max_age} at least, and restart nova-api.')
    return ok(f'records are kept by {api.backend}')


def _check(code: str, title: str, why: str,
           look: Callable[[ApiConf], Outcome]) -> SetUpCheck:
    def guarded(set_up: SetUp) -> Outcome:
        if set_up.api is None:
            return skipped('no nova.conf of nova-api was given')
        if not set_up.api.paste:
            return skipped('no api-paste.ini was found')
        return look(set_up.api)

    return SetUpCheck(code, 'nova-api', title, why, guarded)


CHECKS = (
    _check('CAS401', 'Image records are in the pipeline',
           'Requests that do not pass the filter fail while Glance is down; '
           'before keystonecontext it does not know whose they are.',
           _pipelines),
    _check('CAS402', 'Image records are shared and last',
           'What one process remembers is lost with it, and unknown to the '
           'others.', _shared),
)

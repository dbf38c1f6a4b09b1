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

"""Checks of which filters and weighers nova-scheduler loads. No nova."""

from collections.abc import Sequence

from cache_aware_sched.checks import check
from cache_aware_sched.checks.check import fail
from cache_aware_sched.checks.check import ok
from cache_aware_sched.checks.check import Outcome
from cache_aware_sched.checks.check import warn
from cache_aware_sched.checks.state import SchedulerConf
from cache_aware_sched.checks.state import SetUp

WEIGHER = 'ImageCacheWeigher'
WEIGHER_PATH = f'cache_aware_sched.scheduler.weights.{WEIGHER}'
FILTER = 'ImageAntiAffinityFilter'
FILTER_PATH = f'cache_aware_sched.scheduler.filters.{FILTER}'
REQUIRING = 'ImageCacheFilter'

#: Ends what mends a nova.conf of nova-scheduler.
RESTART = 'and restart nova-scheduler'
_WEIGHERS = ('[filter_scheduler] weight_classes = '
             f'nova.scheduler.weights.all_weighers,{WEIGHER_PATH}')
_FILTERS = ('[filter_scheduler] available_filters = '
            'nova.scheduler.filters.all_filters, and on a line of its own '
            f'available_filters = {FILTER_PATH}')


def _repeated(conf: SchedulerConf, _: SetUp) -> Outcome:
    if conf.repeated:
        return fail(
            f'{conf.source} has several lines of '
            f'{check.listed(conf.repeated)}: only the last one counts',
            'Write one line with commas.')
    return ok('each list is written once')


def _loadable(conf: SchedulerConf, _: SetUp) -> Outcome:
    if conf.unloadable:
        return fail(
            f'cannot be loaded here: {check.listed(conf.unloadable)}',
            'Install what brings it where nova-scheduler runs, or correct '
            'the name. If this is not that machine, run the check there.')
    return ok('every filter and weigher that is named can be loaded')


def _listed(conf: SchedulerConf, _: SetUp) -> Outcome:
    times = conf.weighers.count(WEIGHER)
    if not times:
        return fail(
            f'{conf.source} does not list {WEIGHER} in weight_classes',
            f'Set {_WEIGHERS} {RESTART}. If nova-scheduler reads another '
            'file, name it: --config-file FILE.')
    if times > 1:
        return fail(f'{WEIGHER} is listed {times} times, and counts as often',
                    f'Set {_WEIGHERS} {RESTART}.')
    return ok(f'{WEIGHER} is listed in weight_classes')


def _last(conf: SchedulerConf, _: SetUp) -> Outcome | None:
    return _is_last(WEIGHER, conf.weighers, 'weight_classes',
                    f'Set {_WEIGHERS} {RESTART}.')


def _novas(conf: SchedulerConf, _: SetUp) -> Outcome | None:
    if WEIGHER not in conf.weighers:
        return None
    if set(conf.weighers) == {WEIGHER}:
        return warn(
            f'{WEIGHER} is the only weigher: hosts are not compared by their '
            'load', f'Set {_WEIGHERS} {RESTART}.')
    return ok(f'nova has {len(set(conf.weighers)) - 1} other weighers')


def _available(conf: SchedulerConf, _: SetUp) -> Outcome:
    missing = [name for name in conf.enabled if name not in conf.filters]
    if missing and not conf.unloadable:
        return fail(
            f'enabled_filters has {check.listed(missing)}, which '
            'available_filters does not bring: nova-scheduler does not start',
            f'Set {_FILTERS} {RESTART}.')
    return ok('available_filters brings each of enabled_filters')


def _enabled(conf: SchedulerConf, _: SetUp) -> Outcome:
    if FILTER in conf.enabled:
        return ok(f'{FILTER} is enabled')
    state = ('is available, but not enabled' if FILTER in conf.filters
             else 'is neither available nor enabled')
    return warn(
        f'{FILTER} {state}: no host refuses a server for the cap',
        f'Set {_FILTERS}; append {FILTER} to enabled_filters {RESTART}. If '
        'no cap is wanted, mute this.')


def _filter_last(conf: SchedulerConf, _: SetUp) -> Outcome | None:
    return _is_last(FILTER, conf.enabled, 'enabled_filters',
                    f'Put {FILTER} last in enabled_filters {RESTART}.')


def _requiring(conf: SchedulerConf, set_up: SetUp) -> Outcome:
    if REQUIRING in conf.enabled:
        return ok(f'{REQUIRING} is enabled')
    if set_up.api is not None and set_up.api.remembers:
        return warn(
            f'nova-api asks for it in an outage of Glance, and {REQUIRING} is '
            'not enabled: servers also go to hosts without their image',
            f'Put {REQUIRING} before {FILTER} in enabled_filters {RESTART}.')
    if REQUIRING in conf.filters:
        return warn(
            f'{REQUIRING} is available, but not enabled: the hint '
            'image_cache = require only prefers',
            f'Put {REQUIRING} before {FILTER} in enabled_filters {RESTART}.')
    return ok(f'{REQUIRING} is not wanted: the hint image_cache = require '
              'only prefers')


def _is_last(name: str, names: Sequence[str], option: str,
             mend: str) -> Outcome | None:
    if name not in names:
        return None
    behind = names[names.index(name) + 1:]
    if behind:
        return warn(f'behind {name} there is {check.listed(behind)}', mend)
    return ok(f'{name} is the last of {option}')


_check = check.scheduler_check

CHECKS = (
    _check('CAS102', 'Lists are written once',
           'Of an option that is not multi-valued the last line counts. What '
           'an earlier line lists silently has no effect.', _repeated),
    _check('CAS103', 'Filters and weighers load',
           'nova-scheduler does not start with a class that is not there.',
           _loadable),
    _check('CAS104', 'The weigher is listed',
           "all_weighers is nova's own only: without its name the weigher "
           'has no effect, and nothing says so.', _listed),
    _check('CAS105', 'The weigher is last',
           'It does not see the weights of those behind it. Requests that '
           'come at once may then all choose the same hosts.', _last),
    _check('CAS106', "nova's weighers are there",
           'Without them only the image cache decides, and busy hosts fill '
           'up.', _novas),
    _check('CAS107', 'The filters are available',
           'nova-scheduler does not start if a filter is enabled that is not '
           'available. A file that replaces available_filters replaces all '
           'its values.', _available),
    _check('CAS108', 'The filter is enabled',
           'A host that holds an image attracts its servers. Without a cap '
           'all of them can be lost with one host.', _enabled),
    _check('CAS109', 'The filter is last',
           'A filter behind it can refuse the hosts that it has chosen.',
           _filter_last),
    _check('CAS118', 'The hint require is heeded',
           'Without its filter, a server that asks for a host with its image '
           'may go to one without.', _requiring),
)

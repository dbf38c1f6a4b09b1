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

"""Checks of the nova.conf of nova-scheduler. No nova."""

from cache_aware_sched.checks import check
from cache_aware_sched.checks.check import fail
from cache_aware_sched.checks.check import ok
from cache_aware_sched.checks.check import Outcome
from cache_aware_sched.checks.check import skipped
from cache_aware_sched.checks.check import warn
from cache_aware_sched.checks.plug_ins import FILTER
from cache_aware_sched.checks.plug_ins import RESTART
from cache_aware_sched.checks.plug_ins import WEIGHER
from cache_aware_sched.checks.state import SchedulerConf
from cache_aware_sched.checks.state import SetUp


def _options(conf: SchedulerConf, _: SetUp) -> Outcome:
    if conf.bad:
        return fail(f'{conf.source}: {check.listed(conf.bad)}',
                    f'Correct the value in {conf.source}.')
    return ok(f'every option of {conf.source} can be read')


def _multiplier(conf: SchedulerConf, _: SetUp) -> Outcome | None:
    if WEIGHER not in conf.weighers:
        return None
    mend = ('Set [cache_aware_sched] image_cache_weight_multiplier = 5.0 '
            f'{RESTART}.')
    if not conf.multiplier:
        return warn('image_cache_weight_multiplier is 0: the weigher does '
                    'nothing but where an aggregate sets another', mend)
    if conf.multiplier < 0:
        return warn(
            f'image_cache_weight_multiplier is {conf.multiplier:g}: hosts '
            'without the image are preferred', mend)
    return ok(f'image_cache_weight_multiplier is {conf.multiplier:g}')


def _mode(conf: SchedulerConf, _: SetUp) -> Outcome | None:
    if WEIGHER not in conf.weighers:
        return None
    if conf.mode == 'observe':
        return warn('image_cache_weigher_mode is observe: servers go where '
                    'they would go without the weigher',
                    'Set [cache_aware_sched] image_cache_weigher_mode = '
                    f'enforce {RESTART}, when what the log says suits you.')
    return ok(f'image_cache_weigher_mode is {conf.mode}')


def _subset(conf: SchedulerConf, set_up: SetUp) -> Outcome:
    number = len(set_up.cloud.hosts) if set_up.cloud else conf.host_subset_size
    chosen = min(conf.host_subset_size, number)
    if chosen > 1:
        return fail(
            f'host_subset_size is {conf.host_subset_size}: with one host that '
            f'holds the image, 1 server in {chosen} goes there',
            f'Set [filter_scheduler] host_subset_size = 1 {RESTART}.')
    return ok('nova takes the best host')


def _shuffle(conf: SchedulerConf, _: SetUp) -> Outcome:
    if conf.shuffles:
        return warn(
            'shuffle_best_same_weighed_hosts is true: nova reorders equal '
            'hosts after the weigher has drawn among them',
            'Set [filter_scheduler] shuffle_best_same_weighed_hosts = false '
            f'{RESTART}.')
    return ok('nova keeps the order of equal hosts')


def _results(conf: SchedulerConf, set_up: SetUp) -> Outcome:
    if set_up.cloud is None:
        return skipped("nova's databases were not read")
    number, limit = len(set_up.cloud.hosts), conf.max_placement_results
    if number >= limit:
        return warn(
            f'max_placement_results is {limit:,}, and there are {number:,} '
            'compute nodes: hosts that hold the image may be no candidates',
            f'Set [scheduler] max_placement_results = {2 * number} '
            f'{RESTART}.')
    return ok(f'max_placement_results, {limit:,}, is above the number of '
              f'compute nodes, {number:,}')


def _tracks(conf: SchedulerConf, _: SetUp) -> Outcome:
    if not conf.tracks_instances:
        return warn(
            'track_instance_changes is false: nova-scheduler asks the cells '
            'for the servers of hosts at each request',
            'Set [filter_scheduler] track_instance_changes = true '
            f'{RESTART}.')
    return ok('nova-scheduler follows which servers hosts run')


def _workers(conf: SchedulerConf, set_up: SetUp) -> Outcome:
    if set_up.cloud is None:
        return skipped("nova's databases were not read")
    if not set_up.cloud.schedulers:
        return skipped('no nova-scheduler is up, as far as can be seen')
    each = conf.workers or conf.processors
    number = len(set_up.cloud.schedulers) * each
    text = '1 process of nova-scheduler' if number == 1 else (
        f'{number} processes of nova-scheduler: {each} on each of '
        f'{len(set_up.cloud.schedulers)}')
    if not conf.workers:
        text += ' (a guess by the processors here; workers is not set)'
    without = [host.name for host in set_up.cloud.hosts
               if host.reported is not None and _checks_late(host.facts)
               is False]
    if number > 1 and FILTER in conf.enabled and without and (
            conf.cap.policy == 'hard'):
        return warn(
            f'{text}; no late check on {check.listed(without)}: requests of '
            'the same instant can exceed the cap there',
            'Set max_same_image_instances_per_host in the nova.conf of these '
            'hosts as in that of nova-scheduler, same_image_late_check = '
            'true, and restart nova-compute.')
    return ok(text)


def _checks_late(facts: object) -> bool | None:
    """Return whether a host checks the cap; None if it does not say."""
    asks = getattr(facts, 'asks_for_cap', None)
    cap = getattr(facts, 'cap', None)
    if asks is None or cap is None:
        return asks
    return bool(cap.checks and cap.policy == 'hard')


def _packing(conf: SchedulerConf, _: SetUp) -> Outcome:
    packed = [name for name, value in (
        ('cpu_weight_multiplier', conf.cpu_multiplier),
        ('ram_weight_multiplier', conf.ram_multiplier)) if value < 0]
    if packed:
        return warn(
            f'{check.listed(packed)} below 0: nova packs servers, and the '
            'weigher does not keep hosts from becoming busy',
            f'If that is not meant, set it to 1.0 {RESTART}; else mute '
            'this.')
    return ok('nova spreads servers by vCPUs and memory')


_check = check.scheduler_check

CHECKS = (
    _check('CAS101', 'Options can be read',
           'nova-scheduler does not start with a value out of its bounds.',
           _options),
    _check('CAS110', 'The multiplier has an effect',
           'With 0 the weigher does no work.', _multiplier),
    _check('CAS111', 'The weigher enforces',
           'observe is meant for the time in which the weigher is new.',
           _mode),
    _check('CAS112', 'nova takes the best host',
           'nova picks at random among as many of the best hosts, whatever '
           'the multiplier is. Some deployment tools set up to 10.', _subset),
    _check('CAS113', 'Equal hosts keep their order',
           'The weigher draws among equal hosts, so that schedulers do not '
           'all take the same. nova then chooses another one.', _shuffle),
    _check('CAS114', 'All hosts are candidates',
           'placement cuts its answer at this number, without regard to who '
           'holds an image.', _results),
    _check('CAS115', 'nova-scheduler knows the servers',
           'The cap counts what nova-scheduler remembers of hosts. Without '
           'that each request reads servers from the databases of cells.',
           _tracks),
    _check('CAS116', 'Several schedulers keep the cap',
           'Each process knows only its own latest placements. The late '
           'check on the hosts is what keeps the cap across processes.',
           _workers),
    _check('CAS117', 'Servers are spread',
           'Where nova packs a resource, that resource shuts no gate: hosts '
           'with the image fill up.', _packing),
)

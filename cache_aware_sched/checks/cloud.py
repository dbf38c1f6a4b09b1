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

"""Checks of what must agree across the cloud. No nova."""

import collections
from collections.abc import Callable
import datetime
import math
import re

from cache_aware_sched import aggregate_keys
from cache_aware_sched.checks import check
from cache_aware_sched.checks.check import fail
from cache_aware_sched.checks.check import ok
from cache_aware_sched.checks.check import Outcome
from cache_aware_sched.checks.check import SetUpCheck
from cache_aware_sched.checks.check import skipped
from cache_aware_sched.checks.check import warn
from cache_aware_sched.checks import computes
from cache_aware_sched.checks.state import CheckedHost
from cache_aware_sched.checks.state import CloudState
from cache_aware_sched.checks.state import SchedulerConf
from cache_aware_sched.checks.state import SetUp
from cache_aware_sched import report
from cache_aware_sched import wording

#: Seconds that a clock may be off. nova takes a service for down after 60.
#: Judgement.
CLOCK_SECONDS = 10

#: Local times differ from UTC by multiples of so many seconds.
_ZONE_SECONDS = 900

#: Seconds from the call of uptime to the row in the database: nova calls it
#: every minute, and a claim in between writes the row with the older answer
#: ([DEFAULT] update_resources_interval; nova 34.0.0).
_WRITE_SECONDS = 90

#: With what the answer of uptime(1) begins.
_TIME = re.compile(r'\s*([01]\d|2[0-3]):([0-5]\d):([0-5]\d) ')


def _agree(scheduler: SchedulerConf, hosts: list[tuple[
        str, bool | None, report.ReportedCap | None]]) -> Outcome:
    """Compare the caps of hosts with that of nova-scheduler."""
    stricter: list[str] = []
    other: list[str] = []
    off = [name for name, asks, _cap in hosts if asks is False]
    for name, _asks, cap in hosts:
        found = cap_differences(cap, scheduler.cap) if cap else []
        if cap and found:
            (stricter if _is_stricter(cap, scheduler.cap)
             else other).append(f'{name} ({", ".join(found)})')
    mend = ('Copy max_same_image_instances_per_host, '
            'max_same_image_share_per_host, same_image_scope and '
            'same_image_cap_policy from the nova.conf of nova-scheduler to '
            'that of each host, and restart nova-compute.')
    if stricter:
        return fail('stricter than nova-scheduler, so servers are sent on '
                    f'and may fail: {check.listed(stricter)}', mend)
    if other:
        return warn(f'other than nova-scheduler: {check.listed(other)}', mend)
    if wants_late_check(scheduler):
        if off:
            return warn(f'no late check of the cap on {check.listed(off)}',
                        mend)
    elif len(off) == len(hosts):
        return ok('hosts ask for no cap, and need not: '
                  + ('same_image_cap_policy of nova-scheduler is '
                     f'{scheduler.cap.policy}' if scheduler.asks_for_cap
                     else 'nova-scheduler asks for none'))
    return ok('hosts that ask for a cap have that of nova-scheduler' if off
              else 'hosts have the cap that nova-scheduler has')


def wants_late_check(scheduler: SchedulerConf) -> bool:
    """Return whether hosts are to check the cap of nova-scheduler again.

    A late check refuses servers, so there is none with another policy
    (``virt/late_check.py``).
    """
    return scheduler.asks_for_cap and scheduler.cap.policy == 'hard'


def cap_differences(here: report.ReportedCap,
                    there: report.ReportedCap) -> list[str]:
    """Return in what a cap differs from another one, in words."""
    return [f'{what} {mine} instead of {theirs}'
            for what, mine, theirs in (
                ('cap', here.number, there.number),
                ('share', here.share, there.share),
                ('policy', here.policy, there.policy),
                ('scope', here.scope, there.scope))
            if mine != theirs]


def _is_stricter(here: report.ReportedCap, there: report.ReportedCap) -> bool:
    """Return whether a host refuses what nova-scheduler sends to it."""
    if here.policy != 'hard' or not here.checks:
        return False
    return (there.policy != 'hard'
            or 0 < here.number < (there.number or math.inf)
            or (here.scope, there.scope) == ('all', 'project'))


def _caps(set_up: SetUp) -> Outcome | None:
    if set_up.scheduler is None:
        return skipped('no nova.conf of nova-scheduler was given')
    hosts: list[tuple[str, bool | None, report.ReportedCap | None]] = []
    if set_up.compute is not None and (
            set_up.compute.driver != computes.CLUSTER_DRIVER):
        hosts.append((set_up.compute.source, set_up.compute.asks_for_cap,
                      set_up.compute.cap if set_up.compute.asks_for_cap
                      else None))
    for host in (set_up.cloud.hosts if set_up.cloud else ()):
        hosts.append((host.node, host.facts.asks_for_cap, host.facts.cap))
    known = [one for one in hosts if one[1] is not None]
    if not known:
        return skipped('no host says which cap it has')
    return _agree(set_up.scheduler, known)


def _overfull(cloud: CloudState) -> Outcome | None:
    if cloud.overfull is None:
        return skipped('the servers could not be read')
    if cloud.overfull:
        nodes = {one.node for one in cloud.overfull}
        return warn(
            f'{wording.counted(len(nodes), "host")} '
            f'{"runs" if len(nodes) == 1 else "run"} more of an image than '
            'the cap: ' + check.listed([
                f'{one.node} {one.servers:,} of {one.image} (cap {one.cap})'
                for one in cloud.overfull]),
            'See "cache-aware-sched cap status". Raise '
            'max_same_image_instances_per_host, or live-migrate servers '
            'away; "cache-aware-sched cap try N" shows what N would mean.')
    return ok('no host runs more servers of an image than the cap')


def _aggregates(cloud: CloudState) -> Outcome:
    bad, mends, number = [], [], 0
    for aggregate in cloud.aggregates:
        for key, parse in aggregate_keys.PARSERS.items():
            text = aggregate.metadata.get(key)
            if text is None:
                continue
            number += 1
            try:
                parse(text)
            except ValueError:
                bad.append(f'{aggregate.name}: {key} = {text[:40]!r}')
                mends.append(f'openstack aggregate unset --property {key} '
                             f'{aggregate.name}')
    if bad:
        return fail(f'cannot be read: {check.listed(bad)}', mends[0])
    if not number:
        return ok('no aggregate sets an option of this package')
    return ok(f'{wording.counted(number, "value")} of aggregates can be read')


def _clocks(cloud: CloudState) -> Outcome | None:
    """Compare nova's clocks with this one, and those of hosts with nova's."""
    mend = 'Have chrony or another NTP client run on it: chronyc tracking.'
    if cloud.newest is not None:
        ahead = (cloud.newest - cloud.now).total_seconds()
        if ahead > CLOCK_SECONDS:
            return warn(
                f'a nova service has noted a time that is {ahead:,.0f} s '
                'ahead of this machine: one of the two clocks is wrong', mend)
    off = [(seconds, host.node) for host in cloud.hosts
           if (seconds := _clock_off(host)) is not None
           and not -CLOCK_SECONDS <= seconds <= (
               CLOCK_SECONDS + _WRITE_SECONDS)]
    if off:
        return warn('off: ' + check.listed([
            f'{node} by {abs(seconds):.0f} s'
            for seconds, node in sorted(off, key=lambda one: -abs(one[0]))]),
            mend)
    return ok('no clock is seen to be off')


def _clock_off(host: CheckedHost) -> float | None:
    """Return how late a host is against the database, in seconds.

    By the time of day in its uptime. It is local, so whole quarters of an hour
    cannot be told; nor can a day.
    """
    found = _TIME.match(host.uptime)
    if not found or host.updated is None:
        return None
    hours, minutes, seconds = map(int, found.groups())
    updated = host.updated
    noted = updated.replace(hour=0, minute=0, second=0, microsecond=0
                            ) + datetime.timedelta(
        hours=hours, minutes=minutes, seconds=seconds)
    late = (updated - noted).total_seconds() % _ZONE_SECONDS
    return late if late <= _ZONE_SECONDS / 2 else late - _ZONE_SECONDS


def _cells(cloud: CloudState) -> Outcome:
    if cloud.unread:
        return warn(
            'not read, so nothing is known of it: '
            + '; '.join(cloud.unread.values()),
            'Check that the database answers, and the GRANTs of its account.')
    cells = collections.Counter(
        getattr(host, 'cell', '') for host in cloud.hosts)
    return ok(f'{wording.counted(len(cells), "cell")} with '
              f'{wording.counted(len(cloud.hosts), "compute node")}')


def _check(code: str, title: str, why: str,
           look: Callable[[CloudState], Outcome | None]) -> SetUpCheck:
    return check.cloud_check(code, 'The cloud', title, why,
                             lambda cloud, _: look(cloud))


CHECKS = (
    SetUpCheck('CAS301', 'The cloud', 'Hosts and schedulers agree on the cap',
               'nova-compute checks the cap of its own nova.conf once more. '
               'A stricter one sends servers on, until no host is left.',
               _caps),
    _check('CAS302', 'The cap fits what runs',
           'A host above the cap keeps its servers. It gets no more of the '
           'image, and they do not move back to it.', _overfull),
    _check('CAS303', 'Aggregate values can be read',
           'A value that cannot be read has no effect: the hosts go by the '
           'option.', _aggregates),
    _check('CAS304', 'Clocks agree',
           'nova-scheduler passes over a row that seems older than what it '
           'knows. So it can miss reports for as long as the clocks are '
           'apart. On shared storage images seem unused for too long.',
           _clocks),
    _check('CAS305', 'Every cell answers',
           'The checks do not see what they cannot read.', _cells),
)

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

"""Checks of the critical images of compute hosts. No nova."""

from collections.abc import Sequence

from cache_aware_sched import cap
from cache_aware_sched.checks import check
from cache_aware_sched.checks.check import fail
from cache_aware_sched.checks.check import ok
from cache_aware_sched.checks.check import Outcome
from cache_aware_sched.checks.check import warn
from cache_aware_sched.checks import computes
from cache_aware_sched.checks.state import CheckedHost
from cache_aware_sched.checks.state import CloudState
from cache_aware_sched import report
from cache_aware_sched import wording


def _critical(cloud: CloudState) -> Outcome:
    # Of those that keep none CAS212 tells.
    wanting = [host for host in cloud.hosts if host.facts.critical
               and host.facts.critical_trouble != report.NOT_KEPT]
    lacking = [host for host in wanting if host.facts.critical_missing]
    full = [host for host in lacking
            if host.facts.critical_trouble == report.NO_ROOM]
    if full:
        return fail(
            f'no room for all on {check.listed(_numbers(full))}',
            'Raise the limits of these hosts ([cache_aware_sched] '
            'image_cache_max_size_gb and others) or add room, or take '
            'images off critical_images; the log of nova-compute has the '
            'numbers.')
    if lacking:
        return warn(
            f'not yet on {check.listed(_numbers(lacking))}',
            'Wait for [cache_aware_sched] critical_image_spread_seconds and '
            'the fetches. If they do not come, the log of nova-compute says '
            'why: "cannot fetch critical image".')
    if not wanting:
        return ok('no host has critical images to keep')
    return ok('all of theirs are on '
              + wording.counted(len(wanting), 'host'))


def _numbers(hosts: Sequence[CheckedHost]) -> list[str]:
    return [f'{host.node} ({host.facts.critical_missing} of '
            f'{host.facts.critical} missing)'
            for host in sorted(hosts, key=lambda host: host.node)]


def _kept(cloud: CloudState) -> Outcome:
    not_kept = [host for host in cloud.hosts
                if host.facts.critical_trouble == report.NOT_KEPT]
    if not not_kept:
        return ok('no host is asked for what it cannot keep')
    clusters = [host for host in not_kept if host.hypervisor == cap.CLUSTER]
    others = [host for host in not_kept if host not in clusters]
    text = '; '.join(
        f'not kept on {check.listed(computes.nodes(found))}, {why}'
        for found, why in (
            (others, 'which make disks from images in Ceph'),
            (clusters, 'to which nova fetches nothing ahead of time: '
             'clusters of VMware')) if found)
    mend = ('Take critical_images out of the nova.conf of these hosts, or '
            'these hosts out of the aggregate.')
    if others:
        mend += ' In an outage of Glance, see that Ceph has the images.'
    if clusters:
        mend += (' Boot a server of each image on each cluster, and set '
                 'protected_images there.')
    return warn(text, mend)


CHECKS = (
    computes.across(
        'CAS211', 'Hosts hold their critical images',
        'An image that is not there when Glance fails cannot be fetched.',
        _critical),
    computes.across(
        'CAS212', 'Critical images can be kept',
        'A host that makes disks from images in Ceph has no image cache for '
        'them. To a cluster of VMware nova fetches nothing ahead of time.',
        _kept),
)

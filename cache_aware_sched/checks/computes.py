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

"""Checks of the compute hosts, by what they report. No nova."""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence

from cache_aware_sched import cap
from cache_aware_sched.checks import check
from cache_aware_sched.checks.check import fail
from cache_aware_sched.checks.check import ok
from cache_aware_sched.checks.check import Outcome
from cache_aware_sched.checks.check import SetUpCheck
from cache_aware_sched.checks.check import skipped
from cache_aware_sched.checks.check import warn
from cache_aware_sched.checks.state import CheckedHost
from cache_aware_sched.checks.state import CloudState
from cache_aware_sched.checks.state import ComputeConf
from cache_aware_sched.checks.state import SetUp
from cache_aware_sched import report

#: Hypervisors for which this package has a driver, as nova's drivers name
#: them (nova.virt.libvirt: the type that libvirt tells; nova 34.0.0).
DRIVEN = frozenset(('QEMU', 'KVM', 'fake', cap.CLUSTER))

#: The drivers for machines, and for clusters.
DRIVER = 'compute_driver = cache_aware.LibvirtDriver'
CLUSTER_DRIVER = 'cache_aware.VMwareVCDriver'
_DRIVERS = ('cache_aware.LibvirtDriver', 'cache_aware.FakeDriver',
            CLUSTER_DRIVER)

#: Before the names of nova's own drivers for clusters.
_VMWARE = 'vmwareapi.'

#: Seconds after which a row is old: with libvirt nova writes it each minute,
#: and [DEFAULT] update_resources_interval can only delay that. Judgement.
OLD_SECONDS = 300

#: compute_nodes.stats holds 65,535 bytes (TEXT); the report leaves 12 KiB
#: (virt/host_report.py), so a row that has less left than half of that has
#: something in it that grows.
COLUMN_BYTES = 65_535
NEAR_BYTES = 6 * 1024

#: GiB as hosts report them, coarsely: room for less than one usual image.
LITTLE_GIB = 8


def _conf(set_up: SetUp) -> Outcome | None:
    conf = set_up.compute
    if conf is None:
        return skipped('no nova.conf of nova-compute was given')
    if conf.bad:
        return fail(f'{conf.source}: {check.listed(conf.bad)}',
                    f'Correct the value in {conf.source}.')
    return _conf_driver(conf)


def _conf_driver(conf: ComputeConf) -> Outcome:
    if conf.driver not in _DRIVERS:
        ours = (f'compute_driver = {CLUSTER_DRIVER}'
                if conf.driver.startswith(_VMWARE) else DRIVER)
        return fail(
            f'{conf.source} has compute_driver = {conf.driver or "nothing"}: '
            'the host does not report its image cache',
            f'Set [DEFAULT] {ours} and restart nova-compute.')
    if conf.manager not in conf.available_managers:
        return fail(
            f'{conf.source} has image_cache_manager = {conf.manager}, which '
            'is not installed here; there is '
            + check.listed(conf.available_managers),
            'Correct the name, or install the plug-in.')
    return ok(f'{conf.source} has compute_driver = {conf.driver}')


def _report(cloud: CloudState) -> Outcome:
    driven = [host for host in cloud.hosts if host.hypervisor in DRIVEN]
    others = collections.Counter(
        host.hypervisor or 'unknown' for host in cloud.hosts
        if host.hypervisor not in DRIVEN and host.reported is None)
    beside = ''.join(f'; {number:,} with {kind} cannot'
                     for kind, number in sorted(others.items()))
    if not cloud.hosts and cloud.unread:
        return skipped('no compute node could be read')
    if not driven and not any(host.reported for host in cloud.hosts):
        return fail('no compute node of a driver of this package was found'
                    + beside, f'Set [DEFAULT] {DRIVER} on the hosts.')
    silent = [host for host in driven if host.reported is None]
    text = (f'{len(driven) - len(silent):,} of {len(driven):,} compute nodes '
            f'report{beside}')
    if not silent:
        return ok(text)
    text += f'; not reporting: {check.listed(nodes(silent))}'
    clusters = sum(host.hypervisor == cap.CLUSTER for host in silent)
    names = [DRIVER] * (clusters < len(silent)) + [
        f'compute_driver = {CLUSTER_DRIVER}'] * bool(clusters)
    mend = (f'Set [DEFAULT] {" or ".join(names)} in the nova.conf of these '
            'hosts and restart nova-compute; "cache-aware-sched host list" '
            'says why each does not report.')
    return (warn if len(silent) < len(driven) else fail)(text, mend)


def _readable(cloud: CloudState) -> Outcome:
    bad = [host for host in cloud.hosts
           if host.reported is None and host.hypervisor in DRIVEN
           and host.why != report.NO_REPORT]
    if bad:
        return fail(
            f'unreadable: {check.listed(nodes(bad))}; of {bad[0].name}: '
            f'{bad[0].why}',
            'Install the release of cache-aware-sched of these hosts where '
            'nova-scheduler runs, or the other way round.')
    return ok('every report can be read')


def _fresh(cloud: CloudState) -> Outcome:
    old = [host for host in cloud.hosts
           if host.reported is not None and host.state == 'up'
           and (host.age(cloud.now) or 0) > OLD_SECONDS]
    if old:
        worst = max(host.age(cloud.now) or 0 for host in old)
        return warn(
            f'older than {OLD_SECONDS // 60} minutes: '
            f'{check.listed(nodes(old))}, up to {worst / 60:,.0f} minutes',
            'Look into the log of nova-compute on these hosts for "Error '
            'updating resources"; check [DEFAULT] update_resources_interval.')
    return ok('no report of a host that is up is old')


def _whole(cloud: CloudState) -> Outcome:
    cut = [host for host in cloud.hosts
           if host.reported is not None and host.reported.header.truncated]
    if cut:
        return warn(
            f'truncated: {check.listed(nodes(cut))}',
            'Raise [cache_aware_sched] report_max_bytes on these hosts, or '
            'keep fewer images: image_cache_max_images.')
    return ok('every report has room for all images')


def _rows(cloud: CloudState) -> Outcome:
    largest = max((host.stats_bytes for host in cloud.hosts), default=0)
    near = [host for host in cloud.hosts
            if host.stats_bytes > COLUMN_BYTES - NEAR_BYTES]
    if near:
        return warn(
            f'near {COLUMN_BYTES:,} bytes: {check.listed(nodes(near))}, up '
            f'to {largest:,}',
            'Lower [cache_aware_sched] report_max_bytes on these hosts, and '
            'restart nova-compute.')
    return ok(f'the largest row takes {largest:,} of {COLUMN_BYTES:,} bytes')


def _file_systems(cloud: CloudState) -> Outcome | None:
    known = [host.facts for host in cloud.hosts if host.reported is not None]
    if not known:
        return None
    return ok(
        f'reflinks: {_truths(facts.reflinks for facts in known)}; a device '
        f'of its own: {_truths(facts.own_device for facts in known)}')


def _truths(truths: Iterable[bool | None]) -> str:
    counts = collections.Counter(truths)
    return ', '.join(f'{counts[value]:,} {word}' for value, word in (
        (True, 'yes'), (False, 'no'), (None, 'unknown')) if counts[value])


def _room(cloud: CloudState) -> Outcome:
    little = [host for host in cloud.hosts
              if host.facts.free_gib is not None
              and host.facts.free_gib < LITTLE_GIB]
    if little:
        return warn(
            f'below {LITTLE_GIB} GiB: {check.listed(nodes(little))}',
            'Set [cache_aware_sched] image_cache_min_free_gb on these hosts '
            'with a manager that evicts, as lru; or add room.')
    return ok('every cache has room for another image')


def _versions(cloud: CloudState, set_up: SetUp) -> Outcome | None:
    by_version = collections.defaultdict(list)
    for host in cloud.hosts:
        if host.facts.package:
            by_version[host.facts.package].append(host.node)
    if set_up.package:
        by_version[set_up.package].append('this machine')
    if not by_version:
        return None
    text = '; '.join(
        f'{version} on {check.listed(names)}' for version, names in sorted(
            by_version.items(), key=lambda one: (-len(one[1]), one[0])))
    if len(by_version) > 1:
        return warn(f'{len(by_version)} versions: {text}',
                    'Finish the upgrade; each version reads the reports of '
                    'the others, so there is no hurry.')
    return ok(f'all have version {next(iter(by_version))}')


def _releases(cloud: CloudState | None, set_up: SetUp) -> Outcome:
    releases = collections.defaultdict(list)
    for host in (cloud.hosts if cloud else ()):
        if host.facts.nova:
            releases[host.facts.nova].append(host.node)
    releases[set_up.nova].append('this machine')
    untried = {release: names for release, names in releases.items()
               if release.partition('.')[0] not in set_up.tried}
    if untried:
        return warn(
            'not tried with nova ' + '; '.join(
                f'{release} ({check.listed(names)})'
                for release, names in sorted(untried.items())),
            'Install a release of cache-aware-sched that was made for it. '
            f'This one was tried with {", ".join(set_up.tried)}.')
    return ok(f'tried with nova {", ".join(sorted(releases))}')


def nodes(hosts: Sequence[CheckedHost]) -> list[str]:
    """Return the names of compute nodes."""
    return sorted(host.node for host in hosts)


def across(code: str, title: str, why: str,
           look: Callable[[CloudState], Outcome | None]) -> SetUpCheck:
    """Return a check of all compute hosts; see :class:`.check.SetUpCheck`."""
    return _mixed(code, title, why, lambda cloud, _: look(cloud))


def _mixed(code: str, title: str, why: str, look: Callable[
        [CloudState, SetUp], Outcome | None]) -> SetUpCheck:
    return check.cloud_check(code, 'Compute hosts', title, why, look)


CHECKS = (
    SetUpCheck('CAS201', 'Compute hosts', 'nova-compute has the driver',
               'Only a driver of this package reports the image cache.',
               _conf),
    across('CAS202', 'Hosts report',
           'Of a host without a report the weigher does not know what it '
           'holds. If no host reports, the weigher has no effect.', _report),
    across('CAS203', 'Reports can be read',
           'A report of a version that nova-scheduler does not know counts '
           'as none.', _readable),
    across('CAS204', 'Reports are fresh',
           'nova-scheduler goes by what the row of the host says: by images '
           'that are gone, and without those that have come.', _fresh),
    across('CAS205', 'Reports are whole',
           'Whether a host holds an image that its truncated report does not '
           'list is unknown.', _whole),
    across('CAS206', 'Rows are below their limit',
           'With one byte more than the column holds, the row of the host is '
           'never written again, and boots on the host fail.', _rows),
    across('CAS207', 'The file systems are known',
           'With reflinks a disk can share blocks with its image. A cache '
           'with a device of its own cannot fill the disks of servers.',
           _file_systems),
    across('CAS208', 'Caches have room',
           'A fetch that fills the disk fails, and with a shared device '
           'stops the servers of the host.', _room),
    _mixed('CAS209', 'There is one version',
           'Hosts with an older version may not know what newer options '
           'mean.', _versions),
    SetUpCheck('CAS210', 'Compute hosts', 'The release of nova was tried',
               'The package uses private names of nova, which change '
               'between releases.',
               lambda set_up: _releases(set_up.cloud, set_up)),
)

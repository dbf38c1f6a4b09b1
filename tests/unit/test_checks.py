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


import dataclasses
import datetime
import importlib.util
import pathlib
import re

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched import aggregate_keys
from cache_aware_sched import cap
from cache_aware_sched.checks import catalog
from cache_aware_sched.checks import check
from cache_aware_sched.checks.check import Level
from cache_aware_sched.checks import computes
from cache_aware_sched.checks import configuration
from cache_aware_sched.checks import plug_ins
from cache_aware_sched.checks import state
from cache_aware_sched.fleet import hosts as fleet_hosts
from cache_aware_sched import report
from tests.unit import base

NOW = datetime.datetime(2026, 1, 1, 12)
OK, SKIPPED, WARN, FAIL = Level
CHECKS = {one.code: one for one in catalog.ALL}
PAGE = pathlib.Path(__file__).parents[2] / 'doc/source/admin/checks.rst'

#: A nova.conf in which all is well.
SCHEDULER = state.SchedulerConf(
    source='sched.conf',
    filters=('ComputeFilter', plug_ins.FILTER),
    enabled=('ComputeFilter', plug_ins.FILTER),
    weighers=('RAMWeigher', plug_ins.WEIGHER),
    multiplier=5.0, cap=report.ReportedCap(10, 0.0, 'hard', 'all'),
    asks_for_cap=True, workers=2)
COMPUTE = state.ComputeConf(
    source='compute.conf', driver='cache_aware.LibvirtDriver',
    cap=SCHEDULER.cap, asks_for_cap=True, manager='lru',
    available_managers=('age', 'lru'))
FACTS = report.HostFacts(
    free_gib=64, manager='lru', cap=SCHEDULER.cap, asks_for_cap=True,
    package='1.0', nova='34.0.0', reflinks=False, own_device=False)


def host(name='a', facts=FACTS, why='', seconds=30, **fields):
    """Return a host that is well, but for what is given."""
    reported = None if why else report.Report(report.encode(
        fields.pop('files', ()), facts=facts,
        max_bytes=fields.pop('max_bytes', 1024)))
    return fleet_hosts.ReportingHost(**{
        'name': name, 'node': name, 'cell': 'cell1', 'state': 'up',
        'zone': '', 'aggregates': (), 'hypervisor': 'QEMU',
        'updated': NOW - datetime.timedelta(seconds=seconds),
        'reported': reported, 'why': why, 'stats_bytes': 1000, **fields})


def of_cloud(*hosts, **fields):
    return state.CloudState(hosts=hosts, now=NOW, **fields)


class ChecksTestCase(base.TestCase):

    def look(self, code, **set_up):
        """Return what a check finds."""
        return check.run([CHECKS[code]], state.SetUp(**{
            'nova': '34.0.0', 'tried': ('33', '34'), **set_up}))[0].outcome

    def assert_finds(self, level, text, code, **set_up):
        outcome = self.look(code, **set_up)

        self.assertEqual((level, True), (
            outcome.level, text in outcome.text), outcome)
        # What is wrong can be mended.
        self.assertEqual(level >= WARN, bool(outcome.mend))

    def conf(self, level, text, code, **fields):
        self.assert_finds(level, text, code, scheduler=dataclasses.replace(
            SCHEDULER, **fields))

    def hosts(self, level, text, code, *hosts, **fields):
        self.assert_finds(level, text, code, cloud=of_cloud(
            *hosts, **fields))


class TestCatalog(ChecksTestCase):

    def test_codes_are_stable(self):
        """Each is there once, and none is used again."""
        codes = [one.code for one in catalog.ALL]

        self.assertEqual(len(codes), len(set(codes)))
        self.assertEqual(set(), set(codes) & catalog.RETIRED)
        for code in codes:
            self.assertRegex(code, r'^CAS[1234]\d\d$')

    def test_each_code_has_its_anchor_and_each_anchor_its_code(self):
        anchors = re.findall(r'^\.\. _(cas\d+):$', PAGE.read_text(), re.M)

        self.assertEqual(
            sorted({one.code.lower() for one in catalog.ALL}
                   | {code.lower() for code in catalog.RETIRED}),
            sorted(anchors))
        self.assertEqual(len(anchors), len(set(anchors)))

    def test_page_says_why_in_the_words_of_the_check(self):
        page = ' '.join(PAGE.read_text().replace('``', '').split())
        for one in catalog.ALL:
            self.assertIn(f'{one.code}: {one.title}', page)
            self.assertIn(one.why, page)

    def test_all_is_well(self):
        filters = 'ComputeFilter', plug_ins.REQUIRING, plug_ins.FILTER
        scheduler = dataclasses.replace(
            SCHEDULER, filters=filters, enabled=filters)
        found = check.run(catalog.ALL, state.SetUp(
            scheduler, COMPUTE, of_cloud(
                host(), schedulers=('ctl',)), '34.0.0', ('34',), '1.0',
            TestApiChecks.CONF))

        self.assertEqual([], [one for one in found
                              if one.outcome.level is not OK])

    def test_nothing_was_gathered(self):
        found = check.run(catalog.ALL, state.SetUp(
            nova='34.0.0', tried=('34',)))

        self.assertEqual(
            {SKIPPED}, {one.outcome.level for one in found
                        if one.check.code != 'CAS210'})

    def test_check_that_raises_hides_no_other(self):
        def broken(_set_up):
            raise KeyError('x')

        found = check.run([
            check.SetUpCheck('CAS999', 'g', 't', 'w', broken),
            CHECKS['CAS104']], state.SetUp(SCHEDULER))

        self.assertEqual([WARN, OK], [one.outcome.level for one in found])

    @hypothesis.given(st.builds(
        state.SchedulerConf, source=st.text(max_size=9),
        enabled=st.tuples(st.text(max_size=9)),
        weighers=st.sampled_from([(), ('x',), (plug_ins.WEIGHER,) * 2]),
        multiplier=st.floats(), host_subset_size=st.integers(-1, 9),
        workers=st.none() | st.integers(0, 9)))
    def test_no_check_raises(self, conf):
        found = check.run(catalog.ALL, state.SetUp(
            conf, None, of_cloud(host(), host('b', why='x')),
            '34.0.0', ('34',)))

        self.assertEqual([], [one for one in found
                              if 'itself failed' in one.outcome.text])


class TestSchedulerChecks(ChecksTestCase):

    def test_options(self):
        self.conf(OK, 'sched.conf', 'CAS101')
        self.conf(FAIL, 'x: y', 'CAS101', bad=('x: y',))

    def test_lists(self):
        self.conf(OK, '', 'CAS102')
        self.conf(FAIL, 'only the last one counts', 'CAS102',
                  repeated=('[filter_scheduler] weight_classes',))

    def test_loading(self):
        self.conf(OK, '', 'CAS103')
        self.conf(FAIL, 'no.such', 'CAS103', unloadable=('no.such (why)',))

    def test_weigher(self):
        self.conf(OK, '', 'CAS104')
        self.conf(FAIL, 'sched.conf does not list', 'CAS104', weighers=('x',))
        self.conf(FAIL, 'listed 2 times', 'CAS104',
                  weighers=(plug_ins.WEIGHER,) * 2)

    def test_order_of_weighers(self):
        self.conf(OK, '', 'CAS105')
        self.conf(WARN, 'there is RAMWeigher', 'CAS105',
                  weighers=(plug_ins.WEIGHER, 'RAMWeigher'))
        self.conf(SKIPPED, '', 'CAS105', weighers=())

    def test_other_weighers(self):
        self.conf(OK, '1 other', 'CAS106')
        self.conf(WARN, 'the only weigher', 'CAS106',
                  weighers=(plug_ins.WEIGHER,))
        self.conf(SKIPPED, '', 'CAS106', weighers=('x',))

    def test_available_filters(self):
        self.conf(OK, '', 'CAS107')
        self.conf(FAIL, 'has ComputeFilter, which', 'CAS107',
                  filters=(plug_ins.FILTER,))

    def test_filter(self):
        self.conf(OK, '', 'CAS108')
        self.conf(WARN, 'is available, but not', 'CAS108', enabled=())
        self.conf(WARN, 'is neither', 'CAS108', enabled=(), filters=())

    def test_order_of_filters(self):
        self.conf(OK, '', 'CAS109')
        self.conf(WARN, 'there is ComputeFilter', 'CAS109',
                  enabled=(plug_ins.FILTER, 'ComputeFilter'))

    def test_multiplier(self):
        self.conf(OK, '5', 'CAS110')
        self.conf(WARN, 'is 0', 'CAS110', multiplier=0.0)
        self.conf(WARN, 'without the image are preferred', 'CAS110',
                  multiplier=-1.0)

    def test_mode(self):
        self.conf(OK, 'enforce', 'CAS111')
        self.conf(WARN, 'observe', 'CAS111', mode='observe')

    def test_subset(self):
        self.conf(OK, '', 'CAS112')
        self.conf(FAIL, '1 server in 10', 'CAS112', host_subset_size=10)

    def test_subset_of_a_small_cloud(self):
        wide = dataclasses.replace(SCHEDULER, host_subset_size=10)

        self.assert_finds(FAIL, '1 server in 2', 'CAS112', scheduler=wide,
                          cloud=of_cloud(host('a'), host('b')))
        self.assert_finds(OK, '', 'CAS112', scheduler=wide,
                          cloud=of_cloud(host()))

    def test_shuffle(self):
        self.conf(OK, '', 'CAS113')
        self.conf(WARN, 'shuffle_best_same_weighed_hosts', 'CAS113',
                  shuffles=True)

    def test_placement_results(self):
        for limit, level in ((3, OK), (2, WARN), (1, WARN)):
            self.assert_finds(
                level, f'{limit}', 'CAS114', scheduler=dataclasses.replace(
                    SCHEDULER, max_placement_results=limit),
                cloud=of_cloud(host('a'), host('b')))
        self.conf(SKIPPED, '', 'CAS114')

    def test_instances(self):
        self.conf(OK, '', 'CAS115')
        self.conf(WARN, 'track_instance_changes', 'CAS115',
                  tracks_instances=False)

    def test_processes(self):
        late = dataclasses.replace(FACTS, cap=dataclasses.replace(
            SCHEDULER.cap, checks=False))
        for facts, schedulers, level in (
                (FACTS, ('c1', 'c2'), OK), (late, ('c1',), WARN),
                (dataclasses.replace(FACTS, cap=None, asks_for_cap=False),
                 ('c1',), WARN), (report.UNKNOWN_FACTS, ('c1',), OK)):
            self.assert_finds(
                level, f'{2 * len(schedulers)} processes', 'CAS116',
                scheduler=SCHEDULER, cloud=of_cloud(
                    host(facts=facts), schedulers=schedulers))
        self.assert_finds(
            OK, '1 process of', 'CAS116', scheduler=dataclasses.replace(
                SCHEDULER, workers=1),
            cloud=of_cloud(host(facts=late), schedulers=('c1',)))

    def test_filter_of_the_hint_require(self):
        filters = (*SCHEDULER.filters, plug_ins.REQUIRING)
        self.conf(OK, 'is not wanted', 'CAS118')
        self.conf(WARN, 'available, but not enabled', 'CAS118',
                  filters=filters)
        for names, level in (('app', OK), ('image_records app', WARN)):
            self.assert_finds(
                level, 'hosts without' if level is WARN else 'not wanted',
                'CAS118', scheduler=SCHEDULER,
                api=state.ApiConf(pipelines=(names,)))
        self.conf(OK, 'is enabled', 'CAS118', filters=filters, enabled=(
            'ComputeFilter', plug_ins.REQUIRING, plug_ins.FILTER))
        self.conf(WARN, plug_ins.REQUIRING, 'CAS109', filters=filters,
                  enabled=('ComputeFilter', plug_ins.FILTER,
                           plug_ins.REQUIRING))

    def test_packing(self):
        self.conf(OK, '', 'CAS117')
        self.conf(WARN, 'ram_weight_multiplier', 'CAS117',
                  ram_multiplier=-1.0)
        self.conf(WARN, 'cpu_weight_multiplier', 'CAS117',
                  cpu_multiplier=-0.5)


class TestComputeChecks(ChecksTestCase):

    def compute(self, level, text, **fields):
        self.assert_finds(level, text, 'CAS201', compute=dataclasses.replace(
            COMPUTE, **fields))

    def test_configuration(self):
        self.compute(OK, 'cache_aware.LibvirtDriver')
        self.compute(FAIL, 'compute_driver = libvirt.LibvirtDriver',
                     driver='libvirt.LibvirtDriver')
        self.compute(FAIL, 'compute_driver = nothing', driver='')
        self.compute(FAIL, 'image_cache_manager = x', manager='x')
        self.compute(FAIL, 'out of bounds', bad=('out of bounds',))

    def test_reports(self):
        silent = host('b', why='its driver reports none: see compute_driver')

        self.hosts(OK, '1 of 1', 'CAS202', host())
        self.hosts(WARN, '1 of 2 compute nodes report; not reporting: b',
                   'CAS202', host(), silent)
        self.hosts(FAIL, '0 of 1', 'CAS202', silent)

    def test_clusters_report(self):
        cluster = host('vc', hypervisor=cap.CLUSTER)
        silent = host('vc2', why='its driver reports none',
                      hypervisor=cap.CLUSTER)

        self.compute(OK, 'VMwareVCDriver', driver='cache_aware.VMwareVCDriver')
        self.assertIn('cache_aware.VMwareVCDriver', self.look(
            'CAS201', compute=dataclasses.replace(
                COMPUTE, driver='vmwareapi.VMwareVCDriver')).mend)
        self.hosts(OK, '1 of 1', 'CAS202', cluster)
        self.hosts(WARN, '1 of 2 compute nodes report; not reporting: vc2',
                   'CAS202', cluster, silent)
        mend = self.look('CAS202', cloud=of_cloud(cluster, silent)).mend
        self.assertIn('cache_aware.VMwareVCDriver', mend)
        self.assertNotIn('LibvirtDriver', mend)

    def test_machines_that_cannot_report(self):
        metal = host('m', why='its driver reports none', hypervisor='ironic')

        self.hosts(OK, '1 of 1 compute nodes report; 1 with ironic cannot',
                   'CAS202', host(), metal)
        self.hosts(FAIL, 'no compute node', 'CAS202', metal)
        self.hosts(FAIL, 'no compute node', 'CAS202')
        self.hosts(SKIPPED, 'no compute node could be read', 'CAS202',
                   unread={'cell1': 'cell1 at x cannot be read'})

    def test_unreadable_reports(self):
        self.hosts(OK, '', 'CAS203', host(),
                   host('b', why=report.NO_REPORT))
        self.hosts(FAIL, "version '9' is not known", 'CAS203',
                   host('b', why="version '9' is not known"))

    def test_old_reports(self):
        self.hosts(OK, '', 'CAS204', host(seconds=290))
        self.hosts(WARN, 'a, up to 10 minutes', 'CAS204', host(seconds=600))
        self.hosts(OK, '', 'CAS204', host(seconds=600, state='down'))

    def test_truncated_reports(self):
        files = [report.BaseFile(f'{number:040x}', 2 ** 30)
                 for number in range(99)]

        self.hosts(OK, '', 'CAS205', host(files=files, max_bytes=9999))
        self.hosts(WARN, 'truncated: a', 'CAS205', host(files=files))

    def test_rows(self):
        self.hosts(OK, '1,000 of 65,535', 'CAS206', host())
        self.hosts(WARN, 'up to 64,000', 'CAS206', host(stats_bytes=64_000))

    def test_file_systems(self):
        self.hosts(
            OK, 'reflinks: 1 yes, 1 no; a device of its own: 1 no, 1 unknown',
            'CAS207', host(), host('b', facts=dataclasses.replace(
                FACTS, reflinks=True, own_device=None)))
        self.hosts(SKIPPED, '', 'CAS207', host(why='x'))

    def test_room(self):
        self.hosts(OK, '', 'CAS208', host(), host(
            'b', facts=report.UNKNOWN_FACTS))
        self.hosts(WARN, 'below 8 GiB: a', 'CAS208', host(
            facts=dataclasses.replace(FACTS, free_gib=5)))

    def test_versions(self):
        other = host('b', facts=dataclasses.replace(FACTS, package='1.1'))

        self.hosts(OK, 'version 1.0', 'CAS209', host(), host('c'))
        self.hosts(WARN, '2 versions: 1.0 on a; 1.1 on b', 'CAS209',
                   host(), other)
        self.assert_finds(WARN, 'this machine', 'CAS209', package='2.0',
                          cloud=of_cloud(host()))

    def test_releases(self):
        self.hosts(OK, '34.0.0', 'CAS210', host())
        self.hosts(WARN, '35.0.0 (b)', 'CAS210', host(), host(
            'b', facts=dataclasses.replace(FACTS, nova='35.0.0')))
        self.assert_finds(WARN, '30.1 (this machine)', 'CAS210', nova='30.1')

    def critical(self, level, text, *facts, code='CAS211'):
        self.hosts(level, text, code, *(host(
            name, facts=dataclasses.replace(FACTS, critical=4, **fields))
            for name, fields in zip('abc', facts, strict=False)))

    def test_critical_images(self):
        self.hosts(OK, 'no host has', 'CAS211', host(), host('b', facts=(
            dataclasses.replace(FACTS, critical=0, critical_missing=0))))
        self.critical(OK, 'all of theirs are on 2 hosts',
                      {'critical_missing': 0}, {'critical_missing': 0})
        self.critical(WARN, 'not yet on b (2 of 4 missing)',
                      {'critical_missing': 0}, {'critical_missing': 2})
        self.critical(FAIL, 'no room for all on a (1 of 4 missing)', {
            'critical_missing': 1, 'critical_trouble': report.NO_ROOM},
            {'critical_missing': 2})

    def test_critical_images_that_are_not_kept(self):
        not_kept = {'critical_missing': 4,
                    'critical_trouble': report.NOT_KEPT}

        self.critical(OK, '', {'critical_missing': 2}, code='CAS212')
        self.critical(WARN, 'not kept on a', not_kept, code='CAS212')
        self.hosts(
            WARN, 'not kept on b, which make disks from images in Ceph; not '
            'kept on a, to which nova fetches nothing ahead', 'CAS212',
            *(host(name, hypervisor=hypervisor, facts=dataclasses.replace(
                FACTS, critical=4, **not_kept))
              for name, hypervisor in (('a', cap.CLUSTER), ('b', 'QEMU'))))
        # The other check does not wait for them.
        self.critical(OK, 'no host has critical images to keep', not_kept)
        self.critical(OK, 'on 1 host', {'critical_missing': 0}, not_kept)

    def test_raw_disks_share_blocks(self):
        raw = dataclasses.replace(COMPUTE, has_raw_disks=True)
        tried = state.TriedCopy('/i', kind='xfs')
        for level, text, compute, copied in (
                (SKIPPED, 'no nova.conf', None, None),
                (OK, 'does not have images_type = raw', COMPUTE, None),
                (SKIPPED, 'use --try-copy', raw, None),
                (FAIL, 'nothing could be copied to /i: it is full', raw,
                 dataclasses.replace(tried, error='it is full')),
                (OK, '/i (xfs): a raw disk shares all blocks', raw,
                 dataclasses.replace(tried, shares=True)),
                (OK, '2 disks share 1.5 of 4.0 GiB', raw,
                 dataclasses.replace(
                     tried, shares=True, disks=2, disk_bytes=2 ** 32,
                     shared_bytes=3 * 2 ** 29)),
                (WARN, 'is on another file system', raw,
                 dataclasses.replace(tried, reflinks=True, own_device=True)),
                (WARN, 'cp does not use the reflinks', raw,
                 dataclasses.replace(tried, reflinks=True)),
                (WARN, 'has no reflinks', raw,
                 dataclasses.replace(tried, reflinks=False)),
                (SKIPPED, 'nobody tells', raw, tried)):
            found = CHECKS['CAS214'].look(state.SetUp(
                compute=compute, copied=copied))

            self.assertIs(level, found.level)
            self.assertIn(text, found.text)

    def test_other_hosts_can_be_reached(self):
        outage = dataclasses.replace(COMPUTE, fetches_from_hosts=True)
        for level, text, compute, reached in (
                (SKIPPED, 'no nova.conf', None, None),
                (OK, 'does not have fetch_from_hosts', COMPUTE, None),
                (WARN, 'no effect with [libvirt] images_type = rbd',
                 dataclasses.replace(outage, images_type='rbd'), None),
                (SKIPPED, 'use --reach-hosts', outage, None),
                (SKIPPED, 'no other host that is up', outage,
                 state.ReachedHost('nova')),
                (SKIPPED, 'the conductor is gone', outage,
                 state.ReachedHost('nova', error='the conductor is gone')),
                (FAIL, 'user nova cannot copy from host b: refused', outage,
                 state.ReachedHost('nova', 'b', 'refused')),
                (OK, 'user nova can log in on host b', outage,
                 state.ReachedHost('nova', 'b'))):
            found = CHECKS['CAS213'].look(state.SetUp(
                compute=compute, reached=reached))

            self.assertIs(level, found.level)
            self.assertIn(text, found.text)


class TestCloudChecks(ChecksTestCase):

    def caps(self, level, text, facts=FACTS, conf=SCHEDULER):
        self.assert_finds(level, text, 'CAS301', scheduler=conf,
                          cloud=of_cloud(host(facts=facts)))

    def with_cap(self, **fields):
        return dataclasses.replace(FACTS, cap=dataclasses.replace(
            SCHEDULER.cap, **fields))

    def test_same_cap(self):
        self.caps(OK, '')
        self.caps(SKIPPED, '', report.UNKNOWN_FACTS)

    def test_stricter_cap(self):
        self.caps(FAIL, 'a (cap 5 instead of 10)', self.with_cap(number=5))
        self.caps(FAIL, 'policy hard instead of soft',
                  conf=dataclasses.replace(
                      SCHEDULER, cap=dataclasses.replace(
                          SCHEDULER.cap, policy='soft')))
        self.caps(FAIL, 'scope all instead of project',
                  conf=dataclasses.replace(
                      SCHEDULER, cap=dataclasses.replace(
                          SCHEDULER.cap, scope='project')))

    def test_looser_cap(self):
        self.caps(WARN, 'cap 20 instead of 10', self.with_cap(number=20))
        self.caps(WARN, 'policy soft instead of hard',
                  self.with_cap(policy='soft'))
        self.caps(WARN, 'share 0.5', self.with_cap(share=0.5))
        # It is not kept, however small.
        self.caps(WARN, 'cap 5', self.with_cap(number=5, checks=False))

    def test_host_that_asks_for_no_cap(self):
        none = dataclasses.replace(FACTS, cap=None, asks_for_cap=False)

        self.caps(WARN, 'no late check of the cap on a', none)
        self.caps(OK, 'hosts ask for no cap, and need not: nova-scheduler '
                  'asks for none', none, dataclasses.replace(
                      SCHEDULER, asks_for_cap=False))
        for policy in ('soft', 'observe'):
            soft = dataclasses.replace(SCHEDULER, cap=dataclasses.replace(
                SCHEDULER.cap, policy=policy))
            self.caps(OK, 'hosts ask for no cap, and need not: '
                      'same_image_cap_policy of nova-scheduler is ' + policy,
                      none, soft)
            self.assert_finds(
                OK, 'hosts that ask for a cap have that of nova-scheduler',
                'CAS301', scheduler=soft, cloud=of_cloud(
                    host(facts=none), host('b', facts=self.with_cap(
                        policy=policy))))

    def test_caps_of_two_files(self):
        self.assert_finds(OK, '', 'CAS301', scheduler=SCHEDULER,
                          compute=COMPUTE)
        self.assert_finds(
            FAIL, 'compute.conf (cap 3', 'CAS301', scheduler=SCHEDULER,
            compute=dataclasses.replace(COMPUTE, cap=dataclasses.replace(
                SCHEDULER.cap, number=3)))

    def test_cap_in_the_file_of_a_cluster(self):
        self.assert_finds(
            SKIPPED, 'no host says', 'CAS301', scheduler=SCHEDULER,
            compute=dataclasses.replace(
                COMPUTE, driver='cache_aware.VMwareVCDriver',
                cap=dataclasses.replace(SCHEDULER.cap, number=3)))

    def test_more_than_the_cap(self):
        self.hosts(OK, '', 'CAS302', host())
        over = [state.Overfull('i', 'a', 12, 10),
                state.Overfull('j', 'a', 11, 10),
                state.Overfull('i', 'b', 11, 10)]
        self.hosts(WARN, '1 host runs more of an image than the cap: a 12 of '
                   'i (cap 10)', 'CAS302', host(), overfull=over[:1])
        self.hosts(WARN, '2 hosts run more of an image than the cap: a 12 of '
                   'i (cap 10), a 11 of j (cap 10), b 11 of i (cap 10)',
                   'CAS302', host(), overfull=over)
        self.hosts(SKIPPED, '', 'CAS302', host(), overfull=None)

    def aggregate(self, **metadata):
        return fleet_hosts.FleetAggregate('east', ('a',), metadata)

    def test_aggregate_values(self):
        self.hosts(OK, 'no aggregate sets', 'CAS303')
        self.hosts(OK, '2 values', 'CAS303', aggregates=[self.aggregate(
            image_cache_weight_multiplier='2.5',
            max_same_image_instances_per_host='0', other='x')])
        for key, text in (
                ('image_cache_weight_multiplier', 'nan'),
                ('image_cache_weight_multiplier', '1e99'),
                ('max_same_image_instances_per_host', '1.5'),
                ('max_same_image_share_per_host', '20%'),
                ('ram_weight_multiplier', 'x')):
            self.hosts(FAIL, f'east: {key} = {text!r}', 'CAS303',
                       aggregates=[self.aggregate(**{key: text})])

    def test_command_that_mends_an_aggregate(self):
        outcome = self.look('CAS303', cloud=of_cloud(aggregates=[
            self.aggregate(max_same_image_instances_per_host='ten')]))

        self.assertEqual('openstack aggregate unset --property '
                         'max_same_image_instances_per_host east',
                         outcome.mend)

    def test_clock_of_a_service(self):
        for seconds, level in ((-3600, OK), (9, OK), (60, WARN)):
            self.hosts(level, '', 'CAS304', host(), newest=(
                NOW + datetime.timedelta(seconds=seconds)))

    def test_clock_of_a_host(self):
        """Its time of day is local; nova's is UTC."""
        for uptime, level in (
                ('', OK), ('nonsense', OK), (' 11:59:28 up 5 days', OK),
                (' 17:29:28 up 1 day', OK), (' 11:59:50 up 1 min', WARN),
                (' 11:58:00 up 5 days', OK), (' 11:57:00 up 5 days', WARN),
                ('24:61:99 up', OK)):
            self.hosts(level, '', 'CAS304', host(uptime=uptime))

    def test_clock_that_is_off_is_named(self):
        self.hosts(WARN, 'off: a by 150 s', 'CAS304',
                   host(uptime=' 13:57:00 up 5 days,  2:03,  0 users'))

    def test_cells(self):
        self.hosts(OK, '1 cell with 1 compute node', 'CAS305', host())
        self.hosts(WARN, 'cell2 at', 'CAS305', unread={
            'cell2': 'cell cell2 at mysql://db cannot be read: no'})


class TestSources(base.TestCase):

    def test_libvirt_hosts_say_what_time_it_is(self):
        """The driver is not loaded for it: libvirt may not be there."""
        path = importlib.util.find_spec('nova.virt.libvirt.driver').origin
        source = pathlib.Path(path).read_text()

        self.assertIn("data['stats'] = {'uptime': self.get_host_uptime()}",
                      source)
        self.assertIn("processutils.execute('env', 'LANG=C', 'uptime')",
                      source)

    def test_constants_are_those_of_the_package(self):
        from cache_aware_sched.scheduler import filters
        from cache_aware_sched.scheduler import weights
        from cache_aware_sched.virt import host_report

        self.assertEqual(filters.ImageAntiAffinityFilter.__name__,
                         plug_ins.FILTER)
        self.assertEqual(filters.ImageCacheFilter.__name__,
                         plug_ins.REQUIRING)
        self.assertEqual(weights.ImageCacheWeigher.__name__,
                         plug_ins.WEIGHER)
        self.assertEqual(host_report.COLUMN_BYTES, computes.COLUMN_BYTES)

    def test_keys_that_override_options_have_their_names(self):
        from cache_aware_sched.config import CONF

        for key in (aggregate_keys.IMAGE_CACHE, aggregate_keys.CAP,
                    aggregate_keys.SHARE):
            self.assertIn(key, CONF.cache_aware_sched)
        for key in (aggregate_keys.VCPUS, aggregate_keys.MEMORY):
            self.assertIn(key, CONF.filter_scheduler)


class TestApiChecks(ChecksTestCase):

    PIPELINE = 'cors authtoken keystonecontext image_records app'
    CONF = state.ApiConf(paste='api-paste.ini', pipelines=(
        PIPELINE, PIPELINE), backend='oslo_cache.memcache_pool', max_age=600)

    def api(self, level, text, code, **fields):
        self.assert_finds(level, text, code, api=dataclasses.replace(
            self.CONF, **fields))

    def test_pipelines(self):
        self.api(OK, 'in all 2 pipelines', 'CAS401')
        self.api(WARN, 'in 1 of 2', 'CAS401', pipelines=(
            self.PIPELINE, 'authtoken keystonecontext app'))
        self.api(FAIL, 'before keystonecontext', 'CAS401', pipelines=(
            'image_records authtoken keystonecontext app',))
        self.api(SKIPPED, 'in no pipeline', 'CAS401', pipelines=('app',))
        self.api(SKIPPED, 'no api-paste.ini', 'CAS401', paste='')
        self.api(FAIL, 'no section [filter:image_records]', 'CAS401',
                 has_filter=False)
        self.api(FAIL, 'does not start: max_age', 'CAS401', bad=('max_age',))
        self.assert_finds(SKIPPED, 'no nova.conf', 'CAS401', api=None)

    def test_shared(self):
        self.api(OK, 'kept by oslo_cache.memcache_pool', 'CAS402')
        self.api(OK, '', 'CAS402', backend_seconds=600)
        self.api(WARN, 'forget records after 599', 'CAS402',
                 backend_seconds=599)
        self.api(WARN, 'on its own: why', 'CAS402', each_process='why')
        self.api(WARN, 'without a bound', 'CAS402',
                 backend='dogpile.cache.pymemcache')
        self.api(SKIPPED, 'in no pipeline', 'CAS402', pipelines=('app',))


class TestApiConfiguration(base.TestCase):
    """What is read of nova.conf and api-paste.ini."""

    PASTE = """
[composite:openstack_compute_api_v21]
use = call:nova.api.auth:pipeline_factory_v21
keystone = authtoken keystonecontext image_records app

[composite:openstack_compute_api_v21_legacy_v2_compatible]
use = call:nova.api.auth:pipeline_factory_v21
keystone = authtoken keystonecontext legacy app

[filter:x]
keystone = none
value = %(no)s $not
"""

    def read(self, paste):
        path = self.create_tempfiles([('api-paste', paste)], '.ini')[0]
        self.set_nova('wsgi', api_paste_config=path)
        return path, configuration.api()

    def test_pipelines(self):
        path, found = self.read(self.PASTE)

        self.assertEqual((path, (
            'authtoken keystonecontext image_records app',
            'authtoken keystonecontext legacy app')),
            (found.paste, found.pipelines))

    def test_what_cannot_be_read(self):
        self.assertEqual((), self.read('no section')[1].pipelines)
        self.set_nova('wsgi', api_paste_config='/no/such/file')
        self.assertEqual('', configuration.api().paste)

    def test_where_records_are(self):
        self.assertIn('is not set', configuration.api().each_process)
        self.set(image_record_secret='x' * 32)
        self.set_nova('cache', enabled=True,
                      backend='oslo_cache.memcache_pool',
                      backend_expiration_time=700)

        found = configuration.api()

        self.assertEqual(('', 'oslo_cache.memcache_pool', 700, 604_800), (
            found.each_process, found.backend, found.backend_seconds,
            found.max_age))

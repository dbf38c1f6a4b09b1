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


import json
import os
import subprocess
import sys

import fixtures
from nova.db.main import models
import sqlalchemy as sa

from cache_aware_sched.checks import configuration
from cache_aware_sched.checks import gathering
from cache_aware_sched import nova_databases
from cache_aware_sched import report
from tests.unit import base
from tests.unit import factories
from tests.unit import test_cli_host
from tests.unit import test_fleet_hosts
from tests.unit.test_fleet_hosts import reporting

WEIGHER = 'cache_aware_sched.scheduler.weights.ImageCacheWeigher'
FILTER = 'cache_aware_sched.scheduler.filters.ImageAntiAffinityFilter'
NOVAS = 'nova.scheduler.{}.all_{}'
SERVICES = models.Service.__table__
RUN = 'import sys; from cache_aware_sched.cli import app; sys.exit(app.main())'


class ConfiguredTestCase(base.TestCase):

    def configure(self, **options):
        self.set_nova(group='filter_scheduler', **{
            'weight_classes': [NOVAS.format('weights', 'weighers'), WEIGHER],
            'available_filters': [NOVAS.format('filters', 'filters'), FILTER],
            'enabled_filters': ['ComputeFilter', 'ImageAntiAffinityFilter'],
            **options})


class TestConfiguration(ConfiguredTestCase):
    """What is read of nova.conf, with nova's own loaders."""

    def test_scheduler(self):
        self.configure(host_subset_size=3, ram_weight_multiplier=-1.0)
        self.set(max_same_image_instances_per_host=7)

        conf = configuration.scheduler()

        self.assertEqual('ImageCacheWeigher', conf.weighers[-1])
        self.assertIn('RAMWeigher', conf.weighers)
        self.assertLessEqual({'ComputeFilter', 'ImageAntiAffinityFilter'},
                             set(conf.filters))
        self.assertEqual(
            (3, -1.0, 5.0, report.ReportedCap(7, 0.0, 'hard', 'all'), True),
            (conf.host_subset_size, conf.ram_multiplier, conf.multiplier,
             conf.cap, conf.asks_for_cap))
        self.assertEqual(((), ()), (conf.bad, conf.unloadable))

    def test_class_that_is_not_there(self):
        self.configure(weight_classes=[WEIGHER, 'no.such.Weigher'],
                       available_filters=['nova.no_such'])

        conf = configuration.scheduler()

        self.assertEqual(('ImageCacheWeigher',), conf.weighers)
        self.assertEqual(2, len(conf.unloadable))
        self.assertIn('no.such.Weigher (', conf.unloadable[0])

    def test_values_that_make_no_sense_together(self):
        self.set(image_cache_low_watermark_percent=50)

        [bad] = configuration.scheduler().bad

        self.assertIn('image_cache_low_watermark_percent is 50', bad)

    def test_compute(self):
        self.set_nova(compute_driver='cache_aware.LibvirtDriver')
        self.set(same_image_cap_policy='soft')

        conf = configuration.compute()

        self.assertEqual(('cache_aware.LibvirtDriver', 'age', 'soft'), (
            conf.driver, conf.manager, conf.cap.policy))
        self.assertLessEqual({'age', 'lru'}, set(conf.available_managers))
        self.assertEqual((), conf.bad)

    def test_compute_whose_disks_are_no_volumes(self):
        self.set_nova(compute_driver='cache_aware.LibvirtDriver')
        self.set(lvm_image_store='copy')

        [bad] = configuration.compute().bad

        self.assertIn('images_type', bad)


class CheckCommandTestCase(test_cli_host.HostCommandTestCase,
                           ConfiguredTestCase):
    """Runs the command on real tables; nova.conf is not read."""

    NOUN = 'check'

    def setUp(self):
        super().setUp()
        self.configure()
        self.useFixture(fixtures.EnvironmentVariable(
            'XDG_STATE_HOME', self.path))

    def check(self, *argv):
        """Return the status, and the findings by their codes."""
        status, out, err = self.execute(*argv, '-o', 'json')
        self.assertNotIn('Traceback', err)
        return status, {one['code']: one for one in json.loads(out)}


class TestCheck(CheckCommandTestCase):

    def test_marks_and_what_mends(self):
        self.host('a', reporting())
        self.host('b')

        status, out, _err = self.execute()

        self.assertEqual(0, status)
        self.assertIn('[ok] CAS104 The weigher is listed: ', out)
        self.assertIn('[!!] CAS202 Hosts report: 1 of 2 ', out)
        self.assertIn('see  admin/checks.html#cas202', out)
        self.assertLess(out.index('nova-scheduler\n---'),
                        out.index('The cloud\n---'))

    def test_failure(self):
        self.configure(host_subset_size=10)
        self.host('a', reporting())
        self.host('b', reporting())

        status, found = self.check()

        self.assertEqual((2, 'fail'), (status, found['CAS112']['level']))
        self.assertIn('host_subset_size = 1', found['CAS112']['mend'])

    def test_short_has_a_line_for_what_is_not_well(self):
        self.host('b')

        _status, out, _err = self.execute('-o', 'short')

        lines = out.splitlines()
        self.assertNotIn('[ok]', out)
        self.assertTrue(any(
            line.startswith('[XX] CAS202') for line in lines))
        self.assertIn('failed', lines[-1])

    def test_cell_that_does_not_answer(self):
        """The rest is looked at."""
        self.host('a', reporting())
        os.unlink(os.path.join(self.path, 'cell2'))

        status, found = self.check()

        self.assertEqual((1, 'warn'), (status, found['CAS305']['level']))
        self.assertEqual('ok', found['CAS202']['level'])

    def test_api_database_that_does_not_answer(self):
        os.unlink(os.path.join(self.path, 'api'))

        status, out, err = self.execute()

        self.assertEqual((255, ''), (status, out))
        self.assertIn('the API database at sqlite', err)

    def test_host_above_the_cap(self):
        self.set(max_same_image_instances_per_host=2)
        self.host('a', reporting())
        for _ in range(3):
            self.server(factories.IMAGE, 'a')

        _status, found = self.check()

        self.assertEqual('warn', found['CAS302']['level'])
        self.assertIn(f'a 3 of {factories.IMAGE} (cap 2)',
                      found['CAS302']['text'])

    def test_aggregate_value_that_is_none(self):
        self.aggregate('east', max_same_image_share_per_host='half')

        status, found = self.check()

        self.assertEqual((2, 'fail'), (status, found['CAS303']['level']))

    def test_scheduler_services_of_cell0(self):
        self.set_nova(group='scheduler', workers=2)
        self.host('a', reporting())
        zero = self.make('cell0', SERVICES)
        self.map_cell('cell0', '00000000-0000-0000-0000-000000000000',
                      self.url('cell0'))
        now = sa.func.current_timestamp()
        for name, seen in (('c1', now), ('c2', now), ('old', sa.null())):
            self.run_in(zero, sa.insert(SERVICES).values(
                host=name, binary='nova-scheduler', deleted=0,
                disabled=False, forced_down=False, last_seen_up=seen,
                created_at=None,
                topic='scheduler', report_count=1))

        _status, found = self.check()

        self.assertIn('4 processes of nova-scheduler: 2 on each of 2',
                      found['CAS116']['text'])

    def test_account_that_may_not_read_servers(self):
        self.host('a', reporting())
        for cell in self.cells.values():
            self.run_in(cell, sa.text('DROP TABLE instances'))

        status, found = self.check()

        self.assertEqual((1, 'skipped', 'ok'), (
            status, found['CAS302']['level'], found['CAS202']['level']))


class TestMuting(CheckCommandTestCase):

    def test_muted_check_does_not_count(self):
        self.configure(host_subset_size=10)
        self.host('a', reporting())
        self.host('b', reporting())

        status, found = self.check('--mute', 'cas112', '--for', '1d')
        again, _found = self.check()
        _status, text, _err = self.execute()
        unmuted, _found = self.check('--unmute', 'CAS112')

        self.assertEqual([0, 0, 2], [status, again, unmuted])
        self.assertIsNotNone(found['CAS112']['muted_until'])
        self.assertIn('[~~] CAS112', text)
        self.assertIn('1 muted', text)

    def test_code_that_is_none(self):
        status, _out, err = self.execute('--mute', 'CAS999')

        self.assertEqual(2, status)
        self.assertIn('CAS101 to CAS4', err)

    def test_damaged_file(self):
        path = os.path.join(self.path, 'mutes')
        with open(path, 'w') as file:
            file.write('{')

        status, _out, err = self.execute('--mute-file', path)

        self.assertEqual(255, status)
        self.assertIn(path, err)


class TestFiles(base.TestCase):
    """In a process of its own, as nova.conf is read."""

    def check(self, *argv, **files):
        path = self.useFixture(fixtures.TempDir()).path
        for name, text in files.items():
            with open(os.path.join(path, name), 'w') as file:
                file.write(text)
        result = subprocess.run(
            [sys.executable, '-c', RUN, 'check', *argv, '-o', 'json'],
            cwd=path, capture_output=True, text=True,
            env={**os.environ, 'XDG_STATE_HOME': path}, check=False)
        self.assertNotIn('Traceback', result.stderr)
        return result

    def test_two_files(self):
        result = self.check(
            '--scheduler', 's.conf', '--compute', 'c.conf', **{
                's.conf': f'[filter_scheduler]\nweight_classes = {WEIGHER}\n'
                'weight_classes = nova.scheduler.weights.all_weighers\n'
                '[cache_aware_sched]\nsame_image_scope = galaxy\n',
                'c.conf': '[DEFAULT]\ncompute_driver = fake.FakeDriver\n'})

        found = {one['code']: one for one in json.loads(result.stdout)}
        self.assertEqual(2, result.returncode, result.stderr)
        for code, text in (
                ('CAS101', 'same_image_scope'),
                ('CAS102', 'weight_classes'),
                ('CAS104', 's.conf does not list ImageCacheWeigher'),
                ('CAS201', 'compute_driver = fake.FakeDriver')):
            self.assertEqual('fail', found[code]['level'])
            self.assertIn(text, found[code]['text'])
        self.assertEqual('skipped', found['CAS202']['level'])

    def test_conductor_that_does_not_answer(self):
        """It is the one that the file names."""
        result = self.check('--compute', 'c.conf', '--reach-hosts', **{
            'c.conf': '[DEFAULT]\ncompute_driver = cache_aware.LibvirtDriver\n'
            'transport_url = fake:/\nrpc_response_timeout = 1\n'
            '[cache_aware_sched]\nfetch_from_hosts = outage\n'})

        [found] = [one for one in json.loads(result.stdout)
                   if one['code'] == 'CAS213']
        self.assertEqual('skipped', found['level'])
        self.assertIn('the conductor does not tell', found['text'])
        self.assertIn('No reply on topic conductor', found['text'])

    def test_copy_that_is_tried(self):
        path = self.useFixture(fixtures.TempDir()).path
        text = ('[DEFAULT]\ncompute_driver = cache_aware.LibvirtDriver\n'
                'instances_path = {}\n[libvirt]\nimages_type = raw\n')
        for where, expected in ((path, ''),
                                (f'{path}/no', 'nothing could be copied')):
            result = self.check('--compute', 'c.conf', '--try-copy',
                                **{'c.conf': text.format(where)})

            [found] = [one for one in json.loads(result.stdout)
                       if one['code'] == 'CAS214']
            self.assertNotEqual('skipped', found['level'])
            self.assertIn(expected, found['text'])
            self.assertIn(where, found['text'])
        self.assertEqual([], os.listdir(path))

    def test_raw_disks_without_images_type(self):
        result = self.check('--compute', 'c.conf', **{
            'c.conf': '[DEFAULT]\nuse_cow_images = false\n'})

        [found] = [one for one in json.loads(result.stdout)
                   if one['code'] == 'CAS214']
        self.assertIn('not tried: use --try-copy', found['text'])

    def test_values_of_the_cap_that_cannot_be_read(self):
        text = ('[cache_aware_sched]\n'
                'max_same_image_instances_per_host = -1\n')

        result = self.check('--scheduler', 's.conf', '--compute', 'c.conf',
                            **{'s.conf': text, 'c.conf': text})

        found = {one['code']: one for one in json.loads(result.stdout)}
        for code in ('CAS101', 'CAS201'):
            self.assertEqual('fail', found[code]['level'])
            self.assertIn('max_same_image_instances_per_host',
                          found[code]['text'])
            self.assertNotIn('LocationInfo', found[code]['text'])

    def test_files_of_another_kind(self):
        for name in ('.', sys.executable):
            result = self.check('--scheduler', name)
            self.assertEqual(255, result.returncode)
            self.assertIn("nova's configuration cannot be read",
                          result.stderr)

    def test_file_that_is_not_there(self):
        result = self.check('--scheduler', 'no.conf')

        self.assertEqual((255, ''), (result.returncode, result.stdout))
        self.assertIn('no.conf', result.stderr)


class TestGathering(test_fleet_hosts.FleetTestCase):

    def test_clock_of_the_newest_service(self):
        self.useFixture(fixtures.MockPatchObject(
            nova_databases, 'configure', autospec=True))
        self.useFixture(fixtures.MockPatchObject(
            nova_databases, 'api_database', autospec=True,
            side_effect=self.database))
        self.host('a', reporting())
        self.host('b', last_seen_up=None, created_at=None)

        set_up = gathering.from_cloud((), (), test_fleet_hosts.NOW)

        self.assertEqual(test_fleet_hosts.NOW, set_up.cloud.newest)
        self.assertEqual([], set_up.cloud.schedulers)

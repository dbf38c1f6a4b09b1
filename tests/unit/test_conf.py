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

import os

from unittest import mock

import fixtures
from oslo_config import cfg
from oslo_config import generator

from cache_aware_sched import conf
from cache_aware_sched.conf import compute as conf_compute
from cache_aware_sched.conf import decision_log as conf_decision_log
from cache_aware_sched.conf import fake as conf_fake
from cache_aware_sched.conf import image_records as conf_image_records
from cache_aware_sched.conf import imagecache as conf_imagecache
from cache_aware_sched.conf import lvm as conf_lvm
from cache_aware_sched.conf import opts
from cache_aware_sched.conf import outage as conf_outage
from cache_aware_sched.conf import precache as conf_precache
from cache_aware_sched.conf import scheduler as conf_scheduler
from cache_aware_sched import config
from cache_aware_sched import nova_release
from tests.unit import base

GROUP = 'cache_aware_sched'


class OptionsTestCase(base.TestCase):

    def load(self, **options):
        """Return the options of a configuration file, unread."""
        path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'nova.conf')
        with open(path, 'w') as file:
            file.write(f'[{GROUP}]\n')
            file.writelines(f'{name} = {value}\n'
                            for name, value in options.items())
        loaded = cfg.ConfigOpts()
        conf.register_opts(loaded)
        loaded(['--config-file', path], project='nova')
        return loaded

    def assert_default(self, name, value):
        loaded = self.load()
        conf.check(loaded)
        self.assertEqual(value, loaded[GROUP][name])

    def assert_taken(self, name, text, value=None):
        loaded = self.load(**{name: text})
        conf.check(loaded)
        self.assertEqual(text if value is None else value,
                         loaded[GROUP][name])

    def assert_refused(self, name, *texts):
        for text in texts:
            loaded = self.load(**{name: text})
            error = self.assertRaises(
                cfg.ConfigFileValueError, conf.check, loaded)
            self.assertIn(name, str(error))

    def assert_bounds(self, name, low, high, step=1):
        self.assert_taken(name, low)
        self.assert_taken(name, high)
        self.assert_refused(name, low - step, high + step, 'x')


class TestSchedulerOptions(OptionsTestCase):

    def test_image_cache_weight_multiplier(self):
        name = 'image_cache_weight_multiplier'
        self.assert_default(name, 5.0)
        self.assert_bounds(name, -1e6, 1e6)
        self.assert_taken(name, '0', 0.0)
        self.assert_taken(name, '-2.5', -2.5)
        self.assert_refused(name, 'nan', 'inf', '-inf')

    def test_max_same_image_instances_per_host(self):
        name = 'max_same_image_instances_per_host'
        self.assert_default(name, 10)
        self.assert_bounds(name, 0, 100_000)
        self.assert_refused(name, '1.5')

    def test_image_cache_weigher_mode(self):
        name = 'image_cache_weigher_mode'
        self.assert_default(name, 'enforce')
        self.assert_taken(name, 'enforce')
        self.assert_taken(name, 'observe')
        self.assert_refused(name, 'off', '')

    def test_max_same_image_share_per_host(self):
        name = 'max_same_image_share_per_host'
        self.assert_default(name, 0.0)
        self.assert_bounds(name, 0.0, 1.0, step=0.001)
        self.assert_taken(name, '0.2', 0.2)
        self.assert_refused(name, 'inf', '-inf')

    def test_same_image_scope(self):
        name = 'same_image_scope'
        self.assert_default(name, 'all')
        self.assert_taken(name, 'all')
        self.assert_taken(name, 'project')
        self.assert_refused(name, 'host', '')

    def test_same_image_cap_policy(self):
        name = 'same_image_cap_policy'
        self.assert_default(name, 'hard')
        self.assert_taken(name, 'hard')
        self.assert_taken(name, 'soft')
        self.assert_taken(name, 'observe')
        self.assert_refused(name, 'harder', '')

    def test_same_image_late_check(self):
        name = 'same_image_late_check'
        self.assert_default(name, True)
        self.assert_taken(name, 'False', False)
        self.assert_refused(name, 'perhaps')

    def test_recent_placement_seconds(self):
        name = 'recent_placement_seconds'
        self.assert_default(name, 10)
        self.assert_bounds(name, 0, 600)

    def test_decision_log_file(self):
        name = 'decision_log_file'
        self.assert_default(name, None)
        self.assert_taken(name, '/var/log/nova/decisions.json')

    def test_decision_log_max_size_mb(self):
        name = 'decision_log_max_size_mb'
        self.assert_default(name, 100)
        self.assert_bounds(name, 1, 100_000)

    def test_decision_log_max_files(self):
        name = 'decision_log_max_files'
        self.assert_default(name, 10)
        self.assert_bounds(name, 1, 1000)


class TestImageRecordOptions(OptionsTestCase):

    def test_image_record_max_age(self):
        name = 'image_record_max_age'
        self.assert_default(name, 604_800)
        self.assert_bounds(name, 60, 31_536_000)

    def test_image_record_timeout(self):
        name = 'image_record_timeout'
        self.assert_default(name, 4.0)
        self.assert_bounds(name, 0.5, 60.0, step=0.1)
        self.assert_refused(name, 'nan')

    def test_image_record_secret(self):
        name = 'image_record_secret'
        self.assert_default(name, None)
        self.assert_taken(name, 'of-32-characters')


class TestComputeOptions(OptionsTestCase):

    def test_report_max_bytes(self):
        name = 'report_max_bytes'
        self.assert_default(name, 16 * 1024)
        self.assert_bounds(name, 1024, 48 * 1024)

    def test_report_changes_at_once(self):
        name = 'report_changes_at_once'
        self.assert_default(name, True)
        self.assert_taken(name, 'False', False)
        self.assert_refused(name, 'perhaps')

    def test_fake_image_fetch_seconds(self):
        name = 'fake_image_fetch_seconds'
        self.assert_default(name, 0.0)
        self.assert_bounds(name, 0.0, 3600.0, step=0.001)


class TestImageCacheOptions(OptionsTestCase):

    IMAGE = 'aaaaaaaa-0000-4000-8000-000000000001'

    def assert_impossible(self, *names, **options):
        error = self.assertRaises(
            cfg.ConfigFileValueError, conf.check, self.load(**options))
        for name in names:
            self.assertIn(name, str(error))

    def test_image_cache_manager(self):
        name = 'image_cache_manager'
        self.assert_default(name, 'age')
        self.assert_taken(name, 'lru')
        self.assert_taken(name, 'of_a_third_party')

    def test_image_cache_max_size_gb(self):
        name = 'image_cache_max_size_gb'
        self.assert_default(name, 0)
        self.assert_bounds(name, 0, 1_000_000)

    def test_image_cache_max_images(self):
        name = 'image_cache_max_images'
        self.assert_default(name, 0)
        self.assert_bounds(name, 0, 1_000_000)

    def test_image_cache_high_watermark_percent(self):
        name = 'image_cache_high_watermark_percent'
        self.assert_default(name, 0)
        self.assert_bounds(name, 0, 100)

    def test_image_cache_low_watermark_percent(self):
        low, high = ('image_cache_low_watermark_percent',
                     'image_cache_high_watermark_percent')
        self.assert_default(low, 0)
        self.assert_refused(low, -1, 101)
        conf.check(self.load(**{low: 80, high: 80}))
        conf.check(self.load(**{low: 1, high: 100}))
        self.assert_impossible(low, high, **{low: 81, high: 80})
        self.assert_impossible(low, high, **{low: 80})

    def test_image_cache_min_free_gb(self):
        name = 'image_cache_min_free_gb'
        self.assert_default(name, 0)
        self.assert_bounds(name, 0, 1_000_000)

    def test_protected_images(self):
        name = 'protected_images'
        self.assert_default(name, [])
        self.assert_taken(name, self.IMAGE, [self.IMAGE])
        self.assert_taken(name, f'{self.IMAGE}, {self.IMAGE.upper()}',
                          [self.IMAGE, self.IMAGE.upper()])
        self.assert_refused(name, 'ubuntu', f'{self.IMAGE},ubuntu',
                            f'{self.IMAGE}0')

    def test_protected_images_file(self):
        name = 'protected_images_file'
        self.assert_default(name, None)
        self.assert_taken(name, '/etc/nova/protected')

    def test_image_cache_popularity_half_life_hours(self):
        name = 'image_cache_popularity_half_life_hours'
        self.assert_default(name, 168.0)
        self.assert_bounds(name, 0.01, 87_600.0, step=0.001)

    def test_image_cache_dry_run(self):
        name = 'image_cache_dry_run'
        self.assert_default(name, False)
        self.assert_taken(name, 'true', True)
        self.assert_refused(name, 'perhaps')


class TestPrecacheOptions(OptionsTestCase):

    IMAGE = '5c29ddc1-cfee-4f5f-9d1b-a1d3ca6b4ef4'
    PROJECT = '5f705155e88a4d26a4a5f8a26f9d1b2a'

    def test_critical_images(self):
        self.assert_images('critical_images')

    def test_critical_images_file(self):
        name = 'critical_images_file'
        self.assert_default(name, None)
        self.assert_taken(name, '/etc/nova/critical_images')

    def test_critical_image_spread_seconds(self):
        name = 'critical_image_spread_seconds'
        self.assert_default(name, 600)
        self.assert_bounds(name, 0, 86_400)

    def test_precache_owners(self):
        name = 'precache_owners'
        self.assert_default(name, [])
        self.assert_taken(name, f'{self.PROJECT},admin', [
            self.PROJECT, 'admin'])
        self.assert_taken(name, '*', ['*'])
        self.assert_refused(name, '**', 'my project', f'{self.PROJECT};x')

    def test_precache_images(self):
        self.assert_images('precache_images')

    def test_precache_exclude(self):
        self.assert_images('precache_exclude')

    def assert_images(self, name):
        self.assert_default(name, [])
        self.assert_taken(name, f'{self.IMAGE},{self.IMAGE.upper()}', [
            self.IMAGE, self.IMAGE.upper()])
        self.assert_refused(name, 'ubuntu', f'{self.IMAGE}0')

    def test_precache_coordination_url(self):
        name = 'precache_coordination_url'
        self.assert_default(name, None)
        self.assert_taken(name, 'etcd3+http://controller:2379')


class TestOutageOptions(OptionsTestCase):

    def test_fetch_from_hosts(self):
        name = 'fetch_from_hosts'
        self.assert_default(name, 'never')
        self.assert_taken(name, 'outage')
        self.assert_refused(name, 'always', '')

    def test_fetch_from_hosts_concurrency(self):
        name = 'fetch_from_hosts_concurrency'
        self.assert_default(name, 2)
        self.assert_bounds(name, 1, 64)


class TestLvmOptions(OptionsTestCase):

    def test_lvm_image_store(self):
        name = 'lvm_image_store'
        self.assert_default(name, 'file')
        self.assert_taken(name, 'file')
        self.assert_taken(name, 'copy')
        self.assert_refused(name, 'snapshot', '')

    def test_lvm_thin_pool(self):
        name = 'lvm_thin_pool'
        self.assert_default(name, None)
        self.assert_taken(name, 'pool-0')
        self.assert_refused(name, '', '-x', 'vg/pool', 'x' * 128, 'a b')

    def test_thin_needs_a_pool(self):
        conf.check(self.load(lvm_image_store='thin', lvm_thin_pool='pool'))

        error = self.assertRaises(
            cfg.ConfigFileValueError, conf.check,
            self.load(lvm_image_store='thin'))

        self.assertIn('lvm_thin_pool', str(error))


class TestConf(OptionsTestCase):

    def all_options(self):
        [(group, options)] = opts.list_opts()
        self.assertEqual(GROUP, group.name)
        return options

    def test_every_option_is_tested(self):
        tested = {name.removeprefix('test_')
                  for case in (TestSchedulerOptions, TestComputeOptions,
                               TestImageCacheOptions, TestPrecacheOptions,
                               TestImageRecordOptions, TestOutageOptions,
                               TestLvmOptions)
                  for name in dir(case) if name.startswith('test_')}

        self.assertEqual(
            set(), {option.dest for option in self.all_options()} - tested)

    def test_every_option_has_help(self):
        for option in self.all_options():
            self.assertGreater(len(option.help or ''), 40, option.name)

    def test_every_option_says_which_service_reads_it(self):
        """In its second paragraph, by the module that has the option."""
        for module, words in (
                (conf_scheduler, ('nova-scheduler', 'nova-compute')),
                (conf_decision_log, ('nova-scheduler',)),
                (conf_compute, ('nova-compute',)),
                (conf_fake, ('nova-compute',)),
                (conf_imagecache, ('nova-compute',)),
                (conf_lvm, ('nova-compute',)),
                (conf_image_records, ('nova-api',)),
                (conf_outage, ('nova-compute',)),
                (conf_precache, ('nova-compute',
                                 'cache-aware-sched precache'))):
            for option in module.OPTIONS:
                _first, second, *_rest = option.help.strip().split('\n\n')
                self.assertTrue(second.startswith('Read by '), option.name)
                self.assertTrue(any(f'``{word}``' in second
                                    for word in words), option.name)

    def test_every_number_has_bounds(self):
        for option in self.all_options():
            if type(option.default) in (int, float):
                self.assertIsNotNone(option.type.min, option.name)
                self.assertIsNotNone(option.type.max, option.name)

    def test_what_is_no_number_is_refused(self):
        """It would pass every comparison with the bounds."""
        taken = []
        for option in self.all_options():
            if type(option.default) in (int, float):
                try:
                    conf.check(self.load(**{option.dest: 'nan'}))
                except cfg.ConfigFileValueError:
                    continue
                taken.append(option.dest)

        self.assertEqual([], taken)

    def test_number_left_empty_is_refused(self):
        """oslo.config makes None of it, which is no number to go on with."""
        for option in self.all_options():
            if type(option.default) in (int, float):
                self.assert_refused(option.dest, '')

    def test_registering_twice_does_no_harm(self):
        loaded = self.load()

        conf.register_opts(loaded)

        conf.check(loaded)

    def test_sample_is_written(self):
        path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'sample')
        options = cfg.ConfigOpts()
        generator.register_cli_opts(options)
        options(['--namespace', 'cache_aware_sched', '--output-file', path])

        generator.generate(options)

        with open(path) as file:
            sample = file.read()
        for option in self.all_options():
            self.assertIn(f'#{option.dest} =', sample)

    def test_options_are_nova_s(self):
        self.set(max_same_image_instances_per_host=3)

        self.assertEqual(
            3, config.checked().max_same_image_instances_per_host)

    def test_release_of_nova_that_was_not_tried_is_warned_of_once(self):
        for release in ('34.0.0', '34.2.1'):
            with mock.patch.object(nova_release.version, 'version_string',
                                   autospec=True, return_value=release):
                config.checked()
        self.assertEqual([], self.warnings())

        with mock.patch.object(nova_release.version, 'version_string',
                               autospec=True, return_value='99.1.0'):
            for _start in range(2):
                config.checked()

        [line] = self.warnings()
        self.assertIn('99.1.0', line)

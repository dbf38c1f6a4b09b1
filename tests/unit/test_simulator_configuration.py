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

import nova.conf

from cache_aware_sched.simulator import configuration
from cache_aware_sched.simulator import engine
from cache_aware_sched.simulator import policy
from cache_aware_sched.simulator.settings import Settings
from tests.unit import base
from tests.unit import simulated

CONF = nova.conf.CONF
OURS = 'cache_aware_sched'
CAP = 'max_same_image_instances_per_host'


class TestRead(base.TestCase):

    def test_options(self):
        fragment = f'''
# As in nova.conf.
[{OURS}]
{CAP} = 3
protected_images = a,
  b
[DEFAULT]
max_concurrent_builds: 7
'''

        self.assertEqual(
            {(OURS, CAP): '3', (OURS, 'protected_images'): 'a,\nb',
             ('DEFAULT', 'max_concurrent_builds'): '7'},
            configuration.read(fragment))

    def test_last_one_of_several_lines_counts(self):
        self.assertEqual(
            {(OURS, CAP): '2'},
            configuration.read(f'[{OURS}]\n{CAP} = 1\n{CAP} = 2'))

    def test_option_that_may_come_twice(self):
        key = 'filter_scheduler', 'available_filters'

        self.assertEqual({key: ['a', 'b']}, configuration.read(
            '[filter_scheduler]\navailable_filters = a\n'
            'available_filters = b'))

    def test_nothing(self):
        self.assertEqual({}, configuration.read(''))

    def test_mistakes(self):
        for fragment, message in (
                (f'[{OURS}]\nmax_same = 3', f'[{OURS}] max_same is not an'),
                ('[filter_schedule]\nx = 3', '[filter_schedule] x is not an'),
                (f'{CAP} = 3', f'line 1: {CAP} is in no section'),
                (f'[{OURS}]\nnonsense', 'at line 2'),
                (f'[{OURS}', 'at line 1')):
            error = self.assertRaises(
                configuration.BadFragment, configuration.read, fragment)

            self.assertIn(message, str(error))


class TestApplied(base.TestCase):

    def applied(self, fragment, make=policy.ours, **settings):
        return configuration.applied(
            make(fragment=fragment), Settings(**settings))

    def test_options_are_in_force_for_a_while(self):
        with self.applied(f'[{OURS}]\n{CAP} = 3'):
            self.assertEqual(3, CONF[OURS][CAP])

        self.assertEqual(10, CONF[OURS][CAP])

    def test_options_of_nova(self):
        with self.applied('[filter_scheduler]\nram_weight_multiplier = -2.5'):
            self.assertEqual(
                -2.5, CONF.filter_scheduler.ram_weight_multiplier)

    def test_our_plugins_are_added(self):
        with self.applied(''):
            enabled = CONF.filter_scheduler.enabled_filters
            classes = CONF.filter_scheduler.weight_classes

        self.assertEqual(
            [*CONF.filter_scheduler.enabled_filters,
             'ImageAntiAffinityFilter'], enabled)
        self.assertEqual('ImageCacheWeigher', classes[-1].split('.')[-1])

    def test_plugins_of_the_fragment_are_taken_as_they_are(self):
        with self.applied('[filter_scheduler]\nenabled_filters = IoOpsFilter'):
            self.assertEqual(
                ['IoOpsFilter'], CONF.filter_scheduler.enabled_filters)

    def test_stock_has_none_of_ours(self):
        with self.applied('', policy.stock):
            self.assertNotIn('ImageAntiAffinityFilter',
                             CONF.filter_scheduler.enabled_filters)
            self.assertEqual(['nova.scheduler.weights.all_weighers'],
                             CONF.filter_scheduler.weight_classes)

    def test_fragment_goes_before_the_settings(self):
        fragment = (f'[{OURS}]\nimage_cache_manager = lru\n'
                    'image_cache_max_images = 5\n'
                    '[image_cache]\nmanager_interval = 60\n'
                    '[DEFAULT]\nupdate_resources_interval = 5\n')

        with self.applied(fragment, minimum_age=7.0) as configured:
            settings = configured.settings

        self.assertEqual(
            Settings(cache_manager='lru', image_cache_max_images=5,
                     cache_manager_interval=60, update_interval=5,
                     minimum_age=7.0), settings)

    def test_mistakes(self):
        for fragment, message in (
                (f'[{OURS}]\n{CAP} = x', f'[{OURS}] {CAP} = x'),
                (f'[{OURS}]\n{CAP} = -1', f'[{OURS}] {CAP} = -1'),
                (f'[{OURS}]\nsame_image_scope = me', 'same_image_scope = me'),
                ('[filter_scheduler]\nram_weight_multiplier = much',
                 '[filter_scheduler] ram_weight_multiplier = much'),
                (f'[{OURS}]\nimage_cache_low_watermark_percent = 9',
                 'image_cache_low_watermark_percent'),
                (f'[{OURS}]\nimage_cache_manager = best',
                 f'[{OURS}] image_cache_manager = best'),
                ('[DEFAULT]\nupdate_resources_interval = -1',
                 'update_resources_interval = -1'),
                ('[filter_scheduler]\nimage_props_weight_multiplier = 1',
                 'image_props_weight_multiplier cannot be simulated')):
            def apply(fragment=fragment):
                with self.applied(fragment):
                    pass

            error = self.assertRaises(configuration.BadFragment, apply)

            self.assertIn(message, str(error))
            self.assertEqual(10, CONF[OURS][CAP])

    def test_who_checks_the_cap_at_spawn(self):
        off = '[filter_scheduler]\nenabled_filters =\n'
        for fragment, make, capped in (
                ('', policy.ours, True),
                ('', policy.stock, False),
                (f'[{OURS}]\nsame_image_cap_policy = soft', policy.ours,
                 False),
                (f'[{OURS}]\nsame_image_late_check = false', policy.ours,
                 False),
                (off, policy.ours, False),
                (f'{off}[{OURS}]\n{CAP} = 10', policy.ours, True)):
            with self.applied(fragment, make) as configured:
                self.assertEqual(capped, configured.capped, fragment)

    def test_error_names_the_policy(self):
        for fragment in (f'[{OURS}]\n{CAP} = x', '[filter_scheduler]\n'
                         'enabled_filters = NoSuchFilter',
                         '[filter_scheduler]\nweight_classes = no.Such'):
            error = self.assertRaises(
                configuration.BadFragment, engine.run, simulated.load(),
                Settings(), policy.ours('mine', fragment))

            self.assertIn("policy 'mine': [", str(error))


class TestPolicy(base.TestCase):

    def test_names(self):
        self.assertEqual(
            ['stock', 'ours', 'binary x 1.5'],
            [policy.stock().name, policy.ours().name,
             policy.reference('binary', 1.5).name])

    def test_mistakes(self):
        for arguments in ({'kind': 'best'}, {'kind': 'reference'},
                          {'kind': 'reference', 'reference': 'luck'},
                          {'kind': 'ours', 'reference': 'binary'}):
            self.assertRaises(ValueError, policy.Policy, 'p', **arguments)


class TestSettings(base.TestCase):

    def test_mistakes_are_named(self):
        for name, value in (
                ('hosts', 0), ('fetch_mb_s', 0.0), ('glance_mb_s', -1.0),
                ('boot_seconds', float('nan')), ('cache_manager', 'best'),
                ('claim_delay', 9.0), ('warm_up', 1.5),
                ('image_cache_low_watermark_percent', 5)):
            error = self.assertRaises(ValueError, Settings, **{name: value})

            self.assertIn(name, str(error))

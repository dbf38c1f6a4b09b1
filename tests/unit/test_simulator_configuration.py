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

import functools

import nova.conf

from cache_aware_sched.simulator import engine
from cache_aware_sched.simulator import policy
from cache_aware_sched.simulator.real_nova import configuration
from cache_aware_sched.simulator.real_nova import fragments
from cache_aware_sched.simulator.settings import Settings
from tests.unit import base
from tests.unit import simulated

CONF = nova.conf.CONF
OURS = 'cache_aware_sched'
CAP = 'max_same_image_instances_per_host'
ALL = 'nova.scheduler.weights.all_weighers'
FILTER = 'ImageAntiAffinityFilter'
FILTER_CLASS = f'cache_aware_sched.scheduler.filters.{FILTER}'
WEIGHER_CLASS = 'cache_aware_sched.scheduler.weights.ImageCacheWeigher'

#: The lists of who has this package already.
AFTER = f'''[filter_scheduler]
enabled_filters = {FILTER},IoOpsFilter
available_filters = {FILTER_CLASS}
weight_classes = {WEIGHER_CLASS},{ALL}
'''


class TestApplied(base.TestCase):

    def applied(self, fragment, make=policy.ours, **settings):
        return configuration.applied(
            make(fragment=fragment), Settings(**settings))

    def test_options_are_in_force_for_a_while(self):
        with self.applied(f'[{OURS}]\n{CAP} = 3'):
            self.assertEqual(3, CONF[OURS][CAP])

        self.assertEqual(10, CONF[OURS][CAP])

    def test_no_secret_in_a_message(self):
        for line in ('[vnc]\nnovncproxy_base_url = http://u@x:s3cret@h/vnc',
                     '[neutron]\nmax_retries = x\npassword = s3cret'):
            context = self.applied(line)
            try:
                with context:
                    pass
            except fragments.BadFragment as error:
                self.assertNotIn('s3cret', str(error))

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

    def test_our_plugins_are_added_to_those_of_the_fragment(self):
        """It may be a nova.conf from before this package."""
        with self.applied(
                '[filter_scheduler]\nenabled_filters = IoOpsFilter,\n'
                '  NumInstancesFilter\navailable_filters = mine.MyFilter\n'
                'weight_classes = nova.scheduler.weights.ram.RAMWeigher'):
            lists = CONF.filter_scheduler
            self.assertEqual(
                ['IoOpsFilter', 'NumInstancesFilter', FILTER],
                lists.enabled_filters)
            self.assertEqual(['mine.MyFilter', FILTER_CLASS],
                             lists.available_filters)
            self.assertEqual(
                ['nova.scheduler.weights.ram.RAMWeigher', WEIGHER_CLASS],
                lists.weight_classes)

    def test_our_plugins_are_where_the_fragment_has_them(self):
        with self.applied(AFTER):
            lists = CONF.filter_scheduler
            self.assertEqual([FILTER, 'IoOpsFilter'], lists.enabled_filters)
            self.assertEqual([FILTER_CLASS], lists.available_filters)
            self.assertEqual([WEIGHER_CLASS, ALL], lists.weight_classes)

    def test_no_other_policy_has_them(self):
        """The fragment may be a nova.conf from after this package."""
        for make in (policy.stock, functools.partial(
                policy.Policy, 'binary', policy.REFERENCE,
                reference='binary')):
            with self.applied(AFTER, make):
                lists = CONF.filter_scheduler
                self.assertEqual(['IoOpsFilter'], lists.enabled_filters)
                self.assertEqual([ALL], lists.weight_classes)

    def test_what_nova_registers_elsewhere_has_no_effect(self):
        with self.applied('[placement]\nusername = placement\n'
                          '[oslo_concurrency]\nlock_path = /tmp'):
            self.assertFalse(hasattr(CONF.placement, 'username'))

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

    def test_fragment_may_move_what_depends_on_each_other(self):
        with self.applied(
                f'[{OURS}]\nimage_cache_high_watermark_percent = 60\n'
                'image_cache_low_watermark_percent = 50',
                image_cache_high_watermark_percent=90,
                image_cache_low_watermark_percent=80) as configured:
            self.assertEqual(60, configured.settings.
                             image_cache_high_watermark_percent)

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
                 f'[{OURS}] image_cache_manager must be one of age, lru'),
                ('[DEFAULT]\nupdate_resources_interval = -1',
                 '[DEFAULT] update_resources_interval must be more than 0, '
                 'not -1'),
                ('[filter_scheduler]\nimage_props_weight_multiplier = 1',
                 'image_props_weight_multiplier cannot be simulated')):
            def apply(fragment=fragment):
                with self.applied(fragment):
                    pass

            error = self.assertRaises(configuration.BadFragment, apply)

            self.assertIn(message, str(error))
            self.assertEqual(10, CONF[OURS][CAP])

    def test_who_checks_the_cap_at_spawn(self):
        for fragment, make, capped in (
                ('', policy.ours, True),
                ('', policy.stock, False),
                (f'[{OURS}]\nsame_image_cap_policy = soft', policy.ours,
                 False),
                (f'[{OURS}]\nsame_image_late_check = false', policy.ours,
                 False),
                ('[filter_scheduler]\nenabled_filters =', policy.ours, True)):
            with self.applied(fragment, make) as configured:
                self.assertEqual(capped, configured.capped, fragment)

    def test_error_names_the_policy(self):
        for fragment in (f'[{OURS}]\n{CAP} = x', '[filter_scheduler]\n'
                         'enabled_filters = NoSuchFilter',
                         '[filter_scheduler]\nweight_classes = no.Such',
                         '[filter_scheduler]\nweight_classes = '
                         'nova.scheduler.weights.no_such',
                         '[filter_scheduler]\navailable_filters = '
                         'nova.scheduler.filters.no_such'):
            error = self.assertRaises(
                configuration.BadFragment, engine.run, simulated.load(),
                Settings(), policy.ours('mine', fragment))

            self.assertIn("policy 'mine': [", str(error))
            self.assertNotIn('Traceback', str(error))


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
            self.assertIn('[name]', error.named(lambda _field: '[name]'))

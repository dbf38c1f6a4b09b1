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

"""The files on the pages below doc/source/install."""

import pathlib

import fixtures
import jinja2
from nova.conf import scheduler as nova_conf
import yaml

from cache_aware_sched.virt import libvirt
from tests.cloud import conf as conf_mod
from tests.unit import deployment
from tests.unit.deployment import FILTER
from tests.unit.deployment import INSTALL

DRIVER = f'{libvirt.LibvirtDriver.__module__}.LibvirtDriver'

#: What Blazar's package has, which is not installed here.
BLAZAR = 'blazarnova.scheduler.filters.blazar_filter.BlazarFilter'

#: defaults/main.yml of openstack-ansible-os_nova, commit e06c7bc.
OSA_FILTERS = [
    'ComputeFilter', 'AggregateNumInstancesFilter', 'AggregateIoOpsFilter',
    'ComputeCapabilitiesFilter', 'ImagePropertiesFilter',
    'ServerGroupAntiAffinityFilter', 'ServerGroupAffinityFilter',
    'NUMATopologyFilter']


class TestRollout(deployment.NovaConfTestCase):

    def options(self, step, service='schedulers'):
        return self.load(
            INSTALL / 'rollout' / f'{step}-{service}.conf').cache_aware_sched

    def test_computes(self):
        self.assert_driver(DRIVER, self.load(
            INSTALL / 'rollout/1-computes.conf'))

    def test_schedulers_only_observe_at_first(self):
        found = self.load(INSTALL / 'rollout/2-schedulers.conf')

        self.assert_ours_are_last(found)
        stock = next(one for one in nova_conf.filter_scheduler_opts
                     if one.name == 'enabled_filters').default
        self.assertEqual([*stock, FILTER],
                         found.filter_scheduler.enabled_filters)
        options = found.cache_aware_sched
        self.assertEqual(('observe', 'observe'), (
            options.image_cache_weigher_mode, options.same_image_cap_policy))

    def test_steps_go_on_one_at_a_time(self):
        found = []
        for step in range(2, 7):
            options = self.options(step)
            found.append((options.image_cache_weigher_mode,
                          options.image_cache_weight_multiplier,
                          options.same_image_cap_policy))

        self.assertEqual([
            ('observe', 5.0, 'observe'), ('enforce', 0.0, 'observe'),
            ('enforce', 1.0, 'observe'), ('enforce', 5.0, 'soft'),
            ('enforce', 5.0, 'hard')], found)

    def test_late_check_has_the_cap_of_the_schedulers(self):
        files = [conf_mod.read(INSTALL / 'rollout' / name)
                 for name in ('6-schedulers.conf', '7-computes.conf')]

        self.assertEqual(files[0], files[1])


class TestKollaAnsible(deployment.NovaConfTestCase):

    def path(self, name):
        return INSTALL / 'kolla-ansible' / name

    def test_computes(self):
        self.assert_driver(DRIVER, self.load(self.path('nova-compute.conf')))

    def test_schedulers(self):
        self.assert_ours_are_last(self.load(self.path('nova-scheduler.conf')))

    def test_schedulers_with_blazar(self):
        """Each option replaces what kolla-ansible has of it."""
        mine = conf_mod.read(self.path('nova-scheduler.conf'))
        blazars = conf_mod.read(self.path('nova-scheduler-blazar.conf'))

        section = blazars['filter_scheduler']
        there, after = section['available_filters'], section['enabled_filters']
        self.assertIn(BLAZAR, there)
        there.remove(BLAZAR)
        section['enabled_filters'] = after.replace('BlazarFilter,', '')
        self.assertEqual(
            mine['filter_scheduler']['available_filters'], there)
        self.assertEqual(mine['filter_scheduler'], section)
        self.assertTrue(after.endswith(f'BlazarFilter,{FILTER}'))

    def test_image_is_built_with_the_package(self):
        [section] = conf_mod.read(self.path('kolla-build.conf'))
        # kolla looks for what follows the name of an image so.
        self.assertEqual('nova-base-plugin-cache-aware-sched', section)

    def test_template_of_the_image(self):
        template = jinja2.Environment(loader=jinja2.DictLoader({
            'parent': '', 'ours': self.path(
                'template-overrides.j2').read_text()})).get_template('ours')

        module = template.make_module({'parent_template': 'parent'})

        [package] = module.nova_base_pip_packages_append
        self.assertTrue(package.startswith('cache-aware-sched=='), package)

    def test_globals(self):
        self.assertEqual(['nova_tag'], list(yaml.safe_load(
            self.path('globals.yml').read_text())))


class TestOpenStackAnsible(deployment.NovaConfTestCase):

    def read(self, name):
        return yaml.safe_load(
            (INSTALL / 'openstack-ansible' / name).read_text())

    def test_package(self):
        [package] = self.read('user_variables.yml')['nova_user_pip_packages']

        self.assertTrue(package.startswith('cache-aware-sched=='), package)

    def test_computes(self):
        [(name, driver)] = self.read('group_vars/compute_hosts.yml').items()

        self.assertEqual('nova_compute_driver', name)
        self.assert_driver(DRIVER, self.load(self.write(
            {'DEFAULT': {'compute_driver': driver}})))

    def test_schedulers(self):
        variables = self.read('group_vars/nova_scheduler.yml')
        overrides = variables['nova_nova_conf_overrides']
        # As templates/nova.conf.j2 of os_nova makes them.
        template = {'filter_scheduler': {
            'enabled_filters': ','.join(
                OSA_FILTERS + variables['nova_scheduler_extra_filters']),
            'host_subset_size': variables['nova_scheduler_host_subset_size']}}

        found = self.load(self.write(conf_mod.merge(template, {
            section: {name: _value(value) for name, value in options.items()}
            for section, options in overrides.items()})))

        self.assert_ours_are_last(found)
        self.assertEqual(1, found.filter_scheduler.host_subset_size)
        options = found.cache_aware_sched
        self.assertEqual(('observe', 'observe'), (
            options.image_cache_weigher_mode, options.same_image_cap_policy))

    def write(self, conf):
        path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'nova.conf')
        conf_mod.write(path, conf)
        return path


def _value(value):
    """Return what config_template makes of a value in an override.

    A mapping without values is an option that is given several times, a list
    an option with commas (plugins/action/config_template.py of
    ansible-config_template, _option_write and _write_check).
    """
    if isinstance(value, dict):
        assert not any(value.values()), value
        return sorted(value)
    return ','.join(value) if isinstance(value, list) else str(value)

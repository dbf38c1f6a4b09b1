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

"""What tests of files for deployers have in common."""

import pathlib

from nova.scheduler import filters
from nova.scheduler import weights
from oslo_utils import importutils

from cache_aware_sched import config
from tests.cloud import conf as conf_mod
from tests.unit import base

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALL = ROOT / 'doc/source/install'

ALL_FILTERS = 'nova.scheduler.filters.all_filters'
ALL_WEIGHERS = 'nova.scheduler.weights.all_weighers'
FILTER = 'ImageAntiAffinityFilter'
WEIGHER = 'ImageCacheWeigher'


class NovaConfTestCase(base.TestCase):
    """Has nova load a nova.conf."""

    def load(self, path):
        """Have nova read a file as its only one; return its configuration."""
        found = self._config.conf
        found([], project='nova', default_config_files=[str(path)],
              default_config_dirs=[])
        config.checked()
        for section, options in conf_mod.read(path).items():
            group = found if section == 'DEFAULT' else found[section]
            for name in options:
                self.assertIn(name, group, f'[{section}] {name}')
        return found

    def classes(self, found):
        """Return the filters and the weighers that a scheduler would run.

        In the order of the configuration, each by the name of its class.
        """
        options = found.filter_scheduler
        there = {one.__name__ for one in
                 filters.HostFilterHandler().get_matching_classes(
                     options.available_filters)}
        self.assertEqual(set(), set(options.enabled_filters) - there)
        return options.enabled_filters, [
            one.__name__ for one in
            weights.HostWeightHandler().get_matching_classes(
                options.weight_classes)]

    def assert_ours_are_last(self, found):
        enabled, weighers = self.classes(found)
        self.assertEqual(FILTER, enabled[-1])
        self.assertEqual(1, enabled.count(FILTER))
        # nova looks for its own in a directory; ours is one of them.
        self.assertEqual(1, weighers.count(WEIGHER))
        self.assertTrue(
            found.filter_scheduler.weight_classes[-1].endswith(WEIGHER))
        self.assertIn('RAMWeigher', weighers)

    def assert_driver(self, name, found):
        driver = importutils.import_class(f'nova.virt.{found.compute_driver}')
        self.assertEqual(name, f'{driver.__module__}.{driver.__name__}')

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

import fixtures
from oslo_config import cfg
from oslo_config import generator

from cache_aware_sched.cinder import conf
from tests.unit import base


class TestOptions(base.TestCase):

    def load(self, **options):
        """Return the options of a configuration file, unread."""
        path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'cinder.conf')
        with open(path, 'w') as file:
            file.write('[cache_aware_sched]\n')
            file.writelines(f'{name} = {value}\n'
                            for name, value in options.items())
        loaded = cfg.ConfigOpts()
        conf.register_opts(loaded)
        loaded(['--config-file', path], project='cinder')
        return loaded

    def assert_refused(self, name, *texts):
        for text in texts:
            error = self.assertRaises(
                cfg.ConfigFileValueError, conf.values,
                self.load(**{name: text}))
            self.assertIn(name, str(error))

    def test_image_volume_cache_weight_multiplier(self):
        name = 'image_volume_cache_weight_multiplier'
        self.assertEqual(5.0, conf.values(self.load())[0])
        for value in (-1e6, -2.5, 0.0, 1e6):
            self.assertEqual(value, conf.values(self.load(**{name: value}))[0])
        self.assert_refused(name, -1e6 - 1, 1e6 + 1, 'nan', 'inf', 'x', '')

    def test_image_volume_arrival_seconds(self):
        name = 'image_volume_arrival_seconds'
        self.assertEqual(300, conf.values(self.load())[1])
        for value in (0, 3600):
            self.assertEqual(value, conf.values(self.load(**{name: value}))[1])
        self.assert_refused(name, -1, 3601, '1.5', 'x', '')

    def test_help_names_the_service(self):
        for option in conf.OPTIONS:
            _first, second, *_rest = option.help.strip().split('\n\n')
            self.assertEqual('Read by ``cinder-scheduler``.', second)

    def test_registering_twice_does_no_harm(self):
        loaded = self.load()

        conf.register_opts(loaded)

        conf.values(loaded)

    def test_sample_is_written(self):
        path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'sample')
        options = cfg.ConfigOpts()
        generator.register_cli_opts(options)
        options(['--namespace', 'cache_aware_sched.cinder',
                 '--output-file', path])

        generator.generate(options)

        with open(path) as file:
            sample = file.read()
        for option in conf.OPTIONS:
            self.assertIn(f'#{option.dest} =', sample)
        self.assertNotIn('nova', sample)

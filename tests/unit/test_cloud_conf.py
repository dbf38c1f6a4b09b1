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

import pathlib
import socket
import stat

import fixtures
from keystoneauth1 import loading as keystone_loading
from oslo_config import cfg
from oslo_utils import importutils
from stevedore import named

from cache_aware_sched import nova_release
from tests.cloud import cloud as cloud_mod
from tests.cloud import conf
from tests.cloud import openstack_conf
from tests.cloud import running
from tests.cloud import settings as settings_mod
from tests.cloud import taking_down
from tests.unit import base

#: Who defines the options of a nova.conf.
LIBRARIES = ['cache_aware_sched', 'keystonemiddleware.auth_token',
             'nova.conf', 'oslo.cache', 'oslo.concurrency', 'oslo.log',
             'oslo.messaging', 'oslo.service.service']


class ConfTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def settings(self, **more):
        return settings_mod.Settings(
            state=str(self.path), computes=1, fakes=1, schedulers=1, **more)


class TestConf(ConfTestCase):

    def setUp(self):
        super().setUp()
        self.file = self.path / 'etc' / 'x.conf'

    def read(self, *options):
        """Return what OpenStack reads, as a dictionary."""
        config = cfg.ConfigOpts()
        config.register_opts(options, 'a')
        config(['--config-file', str(self.file)], default_config_files=[],
               default_config_dirs=[])
        return dict(config.a)

    def test_later_one_counts(self):
        first = {'a': {'x': 1, 'y': ['p', 'q']}, 'b': {'x': 2}}

        merged = conf.merge(first, {'a': {'y': ['r'], 'z': 3}}, {'c': {}})

        self.assertEqual({'a': {'x': 1, 'y': ['r'], 'z': 3}, 'b': {'x': 2},
                          'c': {}}, merged)
        self.assertEqual({'x': 1, 'y': ['p', 'q']}, first['a'])

    def test_every_kind_of_value(self):
        options = (cfg.StrOpt('text'), cfg.IntOpt('number'),
                   cfg.FloatOpt('fraction'), cfg.BoolOpt('yes'),
                   cfg.BoolOpt('no'), cfg.MultiStrOpt('several'),
                   cfg.StrOpt('left_out', default='as it was'))
        values = {'text': 'a = b, c', 'number': -3, 'fraction': 0.5,
                  'yes': True, 'no': False, 'several': ['p', 'q']}

        conf.write(self.file, {'b': {'number': 7}, 'a': {
            **values, 'left_out': None}})

        self.assertEqual({**values, 'left_out': 'as it was'},
                         self.read(*options))

    def test_whether_a_file_changed(self):
        self.assertTrue(conf.write(self.file, {'a': {'x': 1}}))
        self.assertFalse(conf.write(self.file, {'a': {'x': 1}}))
        self.assertTrue(conf.write(self.file, {'a': {'x': 2}}))
        self.assertEqual({'x': 2}, self.read(cfg.IntOpt('x')))

    def test_passwords_are_nobody_else_s(self):
        conf.write(self.file, {'a': {'password': 'x'}})

        self.assertEqual(0, stat.S_IMODE(self.file.stat().st_mode) & 0o077)


class TestNovaConf(ConfTestCase):

    def test_every_option_is_known(self):
        """One that is not is ignored."""
        known = {}
        for library in named.NamedExtensionManager(
                'oslo.config.opts', LIBRARIES, invoke_on_load=True):
            for group, options in library.obj:
                name = getattr(group, 'name', group) or 'DEFAULT'
                known.setdefault(name, set()).update(
                    one.dest for one in options)
        account = {one.dest for one in
                   keystone_loading.get_auth_plugin_conf_options('password')}
        cloud = cloud_mod.Cloud(self.settings(), print)
        unknown = set()

        for one in (openstack_conf.nova_control(cloud.settings, 'cell1'),
                    *map(cloud.computes.usual_conf, cloud.computes),
                    *map(cloud.schedulers.usual_conf, cloud.schedulers)):
            for section, options in one.items():
                there = known.get(section, set())
                if 'auth_type' in options:
                    there = there | account
                # Each of oslo.privsep's sections is made when it is used.
                unknown |= {f'{section}.{name}' for name in options
                            if name not in there and name != 'helper_command'}

        # The cloud has nova 34.
        if not nova_release.installed().startswith('34.'):
            unknown -= {'DEFAULT.manager_shutdown_timeout'}
        self.assertEqual(set(), unknown)

    def test_our_half_of_the_scheduler(self):
        options = openstack_conf.SCHEDULER['filter_scheduler']
        ours = importutils.import_class(openstack_conf.OUR_FILTER)

        self.assertIn(openstack_conf.OUR_FILTER, options['available_filters'])
        self.assertEqual(
            [*cfg.CONF.filter_scheduler.enabled_filters, ours.__name__],
            options['enabled_filters'].split(','))
        for name in options['weight_classes'].split(','):
            self.assertTrue(importutils.import_class(name))
        self.assertIn(openstack_conf.OUR_WEIGHER,
                      options['weight_classes'].split(','))


class TestSettings(ConfTestCase):

    def test_each_has_a_port_of_its_own(self):
        ports = settings_mod.ports(20_000)

        self.assertEqual(set(settings_mod.LISTENERS), set(ports))
        self.assertEqual(len(ports), len(set(ports.values())))
        self.assertEqual(20_000, min(ports.values()))

    def test_chosen_port(self):
        ports = settings_mod.ports(20_000, {'glance': 9292})

        self.assertEqual(
            settings_mod.ports(20_000) | {'glance': 9292}, ports)
        self.assertEqual('http://127.0.0.1:9292/v2', self.settings(
            port=ports).url('glance', '/v2'))

    def test_two_of_one_port(self):
        error = self.assertRaises(
            ValueError, settings_mod.ports, 20_000, {'keystone': 20_001})

        self.assertIn('keystone and placement', str(error))

    def test_what_is_made_is_found(self):
        settings = self.settings()
        settings.run.mkdir()
        (self.path / 'log').mkdir()
        (self.path / 'run-1').touch()

        self.assertEqual([settings.run], settings.tree.runs())

    def test_no_two_clouds_are_alike(self):
        one, other = self.settings(), self.settings()

        self.assertNotEqual(one.run, other.run)
        self.assertNotEqual(one.secret, other.secret)


class TestLoad(ConfTestCase):

    def setUp(self):
        super().setUp()
        self.given = self.settings(virt_type='kvm', port=settings_mod.ports(
            20_000, {'glance': 9292}))
        self.tree = self.given.tree
        taking_down.begin(self.tree, self.given.run)

    def load(self):
        return cloud_mod.load(self.tree, print)

    def test_cloud_that_is_up(self):
        self.tree.record.write_text(self.given.dumps())

        found = self.load()

        self.assertEqual(self.given, found.settings)
        self.assertEqual(['compute1', 'fake1'], found.computes.names)
        self.assertEqual(['scheduler1'], found.schedulers.names)

    def test_cloud_that_is_not_up_yet(self):
        self.assertIsNone(self.load())

    def test_cloud_of_before_the_machine_was_turned_off(self):
        self.tree.record.write_text(self.given.dumps())
        (self.given.run / 'boot_id').write_text('another')

        self.assertIsNone(self.load())


class TestPorts(base.TestCase):

    def test_free_until_somebody_listens(self):
        with socket.socket() as one:
            # Nobody else gets this port as long as it is bound.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(('127.0.0.1', 0))
            port = one.getsockname()[1]
            self.assertTrue(running.free(port))

            one.listen()

            self.assertFalse(running.free(port))

    def test_not_free_if_somebody_listens_everywhere(self):
        with socket.create_server(('0.0.0.0', 0)) as one:
            self.assertFalse(running.free(one.getsockname()[1]))

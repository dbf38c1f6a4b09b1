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

"""The DevStack plug-in, with what DevStack gives it played.

The functions that change a nova.conf do so; those that install note it.
"""

import pathlib
import shutil
import subprocess
import sys

import fixtures

from cache_aware_sched.virt import libvirt
from tests.cloud import conf as conf_mod
from tests.unit import deployment
from tests.unit.deployment import ALL_FILTERS
from tests.unit.deployment import FILTER
from tests.unit.deployment import ROOT

PLUGIN = ROOT / 'devstack'
DRIVER = f'{libvirt.LibvirtDriver.__module__}.LibvirtDriver'

#: lib/nova of DevStack, commit 493835a6.
FILTERS = ('ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,'
           'ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter,'
           'SameHostFilter,DifferentHostFilter')

#: As DevStack's inc/ini-config has them, and its errexit.
STUBS = r"""
set -o errexit -o nounset
ini() { "$PYTHON" -W ignore "$INI" "$@"; }
iniset() { ini set "$@"; }
iniadd() { ini add "$@"; }
iniget() { ini get "$@"; }
iniget_multiline() { ini get "$@"; }
pip_install() { echo "pip_install $*" >>"$CALLS"; }
setup_develop() { echo "setup_develop $*" >>"$CALLS"; }
echo_summary() { echo "$*"; }
define_plugin() { :; }
is_service_enabled() {
    local one
    for one in "$@"; do
        [[ " $ENABLED_SERVICES " == *" $one "* ]] && return 0
    done
    return 1
}
source "$PLUGIN/settings"
source "$PLUGIN/plugin.sh" "$@"
"""

INI = """
import pathlib
import sys

sys.path.insert(0, {root!r})
from tests.cloud import conf

how, file, section, option, *values = sys.argv[1:]
path = pathlib.Path(file)
found = conf.read(path)
value = found.get(section, {{}}).get(option, [])
value = value if isinstance(value, list) else [value]
if how == 'get':
    print(' '.join(value))
else:
    value = [*(value if how == 'add' else []), *values]
    conf.write(path, conf.merge(found, {{section: {{option: value}}}}))
"""


class DevStackTestCase(deployment.NovaConfTestCase):

    def setUp(self):
        super().setUp()
        if shutil.which('bash') is None:
            self.skipTest('bash is missing, which DevStack is written in')
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.conf = self.path / 'nova.conf'
        self.calls = self.path / 'calls'
        (self.path / 'ini.py').write_text(INI.format(root=str(ROOT)))
        self.given()

    def given(self, **options):
        """Have a nova.conf as configure_nova of DevStack leaves it."""
        conf_mod.write(self.conf, {
            'DEFAULT': {'compute_driver': 'libvirt.LibvirtDriver'},
            'filter_scheduler': {'enabled_filters': FILTERS, **options}})

    def play(self, *phase, services='n-cpu n-sch n-api', **settings):
        """Have DevStack call the plug-in; return what it prints."""
        done = subprocess.run(
            ['bash', '-c', STUBS, 'bash', *phase], capture_output=True,
            text=True, check=False, timeout=120, env={
                'PATH': '/usr/bin:/bin', 'PYTHON': sys.executable,
                'INI': str(self.path / 'ini.py'), 'PLUGIN': str(PLUGIN),
                'CALLS': str(self.calls), 'ENABLED_SERVICES': services,
                'DEST': '/opt/stack', 'NOVA_DIR': '/opt/stack/nova',
                'NOVA_CONF': str(self.conf), 'NOVA_FILTERS': FILTERS,
                'VIRT_DRIVER': 'libvirt', **settings})
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        return done.stdout

    def configure(self, **how):
        self.play('stack', 'post-config', **how)
        return self.load(self.conf)


class TestInstall(DevStackTestCase):

    def test_nova_is_not_hidden(self):
        self.play('stack', 'install')

        self.assertEqual([
            'pip_install --config-settings editable_mode=compat -e '
            '/opt/stack/nova',
            'setup_develop /opt/stack/cache-aware-sched',
        ], self.calls.read_text().splitlines())

    def test_nothing_without_nova(self):
        for phase in ('install', 'post-config'):
            self.play('stack', phase, services='g-api key')

        self.assertFalse(self.calls.exists())
        self.assertNotIn('cache_aware_sched', self.conf.read_text())

    def test_other_phases(self):
        for phase in (('stack', 'pre-install'), ('stack', 'extra'),
                      ('unstack',), ('clean',)):
            self.play(*phase)

        self.assertFalse(self.calls.exists())


class TestConfigure(DevStackTestCase):

    def test_all_of_nova_on_one_host(self):
        found = self.configure()

        self.assert_ours_are_last(found)
        self.assert_driver(DRIVER, found)
        self.assertEqual([*FILTERS.split(','), FILTER],
                         found.filter_scheduler.enabled_filters)
        options = found.cache_aware_sched
        self.assertEqual(('enforce', 5.0, 10, 'hard', 'age'), (
            options.image_cache_weigher_mode,
            options.image_cache_weight_multiplier,
            options.max_same_image_instances_per_host,
            options.same_image_cap_policy, options.image_cache_manager))

    def test_twice_is_once(self):
        self.configure()
        once = self.conf.read_text()

        self.configure()

        self.assertEqual(once, self.conf.read_text())

    def test_what_other_plugins_have_added_stays(self):
        other = 'nova.scheduler.filters.compute_filter.ComputeFilter'
        self.given(available_filters=[ALL_FILTERS, other],
                   weight_classes='nova.scheduler.weights.ram.RAMWeigher')

        found = self.configure().filter_scheduler

        self.assertEqual([ALL_FILTERS, other], found.available_filters[:2])
        self.assertEqual(3, len(found.available_filters))
        self.assertEqual('nova.scheduler.weights.ram.RAMWeigher',
                         found.weight_classes[0])
        self.assertEqual(2, len(found.weight_classes))

    def test_compute_alone(self):
        found = self.configure(services='n-cpu')

        self.assert_driver(DRIVER, found)
        self.assertNotIn(FILTER, found.filter_scheduler.enabled_filters)
        # For the late check.
        self.assertEqual(
            10, found.cache_aware_sched.max_same_image_instances_per_host)

    def test_controller_alone(self):
        found = self.configure(services='n-sch n-api')

        self.assert_ours_are_last(found)
        self.assertEqual('libvirt.LibvirtDriver', found.compute_driver)

    def test_fake_computes(self):
        found = self.configure(VIRT_DRIVER='fake')

        self.assertEqual('cache_aware.FakeDriver', found.compute_driver)

    def test_driver_that_there_is_none_for(self):
        said = self.play('stack', 'post-config', VIRT_DRIVER='ironic')

        self.assertIn('has no driver for VIRT_DRIVER=ironic', said)
        self.assertEqual('libvirt.LibvirtDriver',
                         self.load(self.conf).compute_driver)

    def test_settings(self):
        options = self.configure(
            CACHE_AWARE_SCHED_WEIGHER_MODE='observe',
            CACHE_AWARE_SCHED_MULTIPLIER='2', CACHE_AWARE_SCHED_CAP='3',
            CACHE_AWARE_SCHED_CAP_POLICY='soft',
            CACHE_AWARE_SCHED_MANAGER='lru').cache_aware_sched

        self.assertEqual(('observe', 2.0, 3, 'soft', 'lru'), (
            options.image_cache_weigher_mode,
            options.image_cache_weight_multiplier,
            options.max_same_image_instances_per_host,
            options.same_image_cap_policy, options.image_cache_manager))


class TestShellcheck(deployment.NovaConfTestCase):

    def test_it_has_nothing_to_say(self):
        if shutil.which('shellcheck') is None:
            self.skipTest('shellcheck is missing: install what bindep.txt '
                          'lists')

        done = subprocess.run(
            ['shellcheck', '--shell=bash', str(PLUGIN / 'plugin.sh'),
             str(PLUGIN / 'settings')], capture_output=True, text=True,
            check=False, timeout=120)

        self.assertEqual((0, ''), (done.returncode, done.stdout))

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

import ast
import collections
import os
import pathlib
import re
import subprocess
import sys

import cache_aware_sched
from tests.unit import base

PACKAGE = 'cache_aware_sched'
ROOT = pathlib.Path(cache_aware_sched.__file__).parent


#: Makes every import of nova fail.
NO_NOVA = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {blocked!r}:
            raise ImportError(name + ' must not be needed')
sys.meta_path.insert(0, Blocker())
import importlib
for name in {modules!r}:
    importlib.import_module(name)
"""


def modules():
    """Return the paths of all modules by their names."""
    found = {}
    for path in sorted(ROOT.rglob('*.py')):
        parts = path.relative_to(ROOT.parent).with_suffix('').parts
        found['.'.join(part for part in parts if part != '__init__')] = path
    return found


def imports(path):
    """Return the names of what a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
    return names


def below(name, *packages):
    return any(name == package or name.startswith(f'{package}.')
               for package in packages)


class TestDirections(base.TestCase):

    def assert_independent(self, *packages, of):
        """Assert that packages import nothing of others, however far on."""
        known = modules()
        todo = [name for name in known if below(name, *packages)]
        self.assertNotEqual([], todo)
        seen = set(todo)
        while todo:
            name = todo.pop()
            for imported in imports(known[name]):
                self.assertFalse(
                    below(imported, *of), f'{name} imports {imported}')
                for module in (imported, imported.rpartition('.')[0]):
                    if module in known and module not in seen:
                        seen.add(module)
                        todo.append(module)

    def assert_loads_without(self, blocked, *names):
        environment = {**os.environ, 'PYTHONPATH': str(ROOT.parent)}
        result = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', NO_NOVA.format(
                blocked=blocked, modules=names)],
            capture_output=True, text=True, env=environment, timeout=60,
            check=False)
        self.assertEqual((0, ''), (result.returncode, result.stderr))

    def test_report_needs_no_nova(self):
        self.assert_independent(f'{PACKAGE}.report', of=['nova'])

    def test_scoring_needs_no_nova(self):
        for module in ('first_copy', 'scoring', 'spreading'):
            self.assert_independent(
                f'{PACKAGE}.scheduler.{module}', of=['nova'])

    def test_nova_s_half_and_cinder_s_meet_only_in_the_scoring(self):
        self.assert_independent(f'{PACKAGE}.cinder', of=[
            'nova', f'{PACKAGE}.config', f'{PACKAGE}.scheduler',
            f'{PACKAGE}.virt', f'{PACKAGE}.imagecache'])
        for name, path in modules().items():
            if not below(name, f'{PACKAGE}.cinder'):
                for imported in imports(path):
                    self.assertFalse(
                        below(imported, 'cinder', f'{PACKAGE}.cinder'),
                        f'{name} imports {imported}')

    def test_half_of_cinder_decides_without_cinder(self):
        self.assert_loads_without(('nova', 'cinder'), *(
            f'{PACKAGE}.cinder.{name}'
            for name in ('conf', 'recent', 'scoring', 'volume_request')))

    def test_what_servers_and_volumes_are_scored_by_needs_neither(self):
        for module in ('fetch_time', 'guards'):
            self.assert_independent(f'{PACKAGE}.{module}', of=[
                'nova', 'cinder', f'{PACKAGE}.scheduler', f'{PACKAGE}.cinder'])

    def test_eviction_policies_need_no_nova(self):
        for module in ('entry', 'limits', 'policies'):
            self.assert_independent(
                f'{PACKAGE}.imagecache.{module}', of=['nova'])

    def test_image_cache_managers_know_no_driver(self):
        self.assert_independent(
            f'{PACKAGE}.imagecache',
            of=[f'{PACKAGE}.virt', f'{PACKAGE}.scheduler', 'nova.scheduler',
                'nova.virt.libvirt'])

    def test_order_of_other_hosts_needs_no_nova(self):
        for module in ('sources', 'sending', 'watching'):
            self.assert_independent(
                f'{PACKAGE}.neighbours.{module}', of=['nova'])

    def test_options_need_no_nova(self):
        self.assert_independent(f'{PACKAGE}.conf', of=['nova'])

    def test_scheduler_knows_no_compute(self):
        self.assert_independent(
            f'{PACKAGE}.scheduler',
            of=[f'{PACKAGE}.virt', f'{PACKAGE}.imagecache', 'nova.virt'])

    def test_compute_knows_no_scheduler(self):
        self.assert_independent(
            f'{PACKAGE}.virt', of=[f'{PACKAGE}.scheduler', 'nova.scheduler'])

    def test_api_knows_neither(self):
        self.assert_independent(
            f'{PACKAGE}.api',
            of=[f'{PACKAGE}.scheduler', f'{PACKAGE}.virt'])

    def test_package_needs_no_test_tools(self):
        """But for what of it is for tests, which nothing else needs."""
        suites = f'{PACKAGE}.testing'
        self.assert_independent(
            *(name for name in modules()
              if name != PACKAGE and not below(name, suites)),
            of=['tests', 'nova.tests', 'unittest', 'hypothesis', suites])

    def test_suites_need_no_checkout(self):
        self.assert_independent(
            f'{PACKAGE}.testing',
            of=['tests', 'nova.tests', 'fixtures', 'hypothesis', 'oslotest',
                'testtools', f'{PACKAGE}.virt', f'{PACKAGE}.scheduler'])

    def test_workloads_need_no_nova(self):
        for module in ('workload', 'input.options', 'input.trace',
                       'input.images', 'input.synthetic'):
            self.assert_independent(
                f'{PACKAGE}.simulator.{module}', of=['nova'])

    def test_reading_nova_s_databases_needs_no_scheduler(self):
        self.assert_independent(
            f'{PACKAGE}.simulator.input.nova.history',
            of=['nova.scheduler', 'nova.compute', 'nova.virt'])

    def test_model_of_the_simulator_needs_no_nova(self):
        for module in ('cloud.allocations', 'cloud.bandwidth', 'cloud.cache',
                       'cloud.loop', 'results', 'policy', 'settings',
                       'workload'):
            self.assert_independent(
                f'{PACKAGE}.simulator.{module}', of=['nova'])

    def test_rooms_of_the_simulator_lead_one_way(self):
        """Input and results know no cloud, and the report no input."""
        home = f'{PACKAGE}.simulator'
        for room, others in (
                ('input', ('cloud', 'real_nova', 'results', 'report')),
                ('results', ('input', 'cloud', 'real_nova', 'report')),
                ('report', ('input', 'cloud', 'real_nova')),
                ('real_nova', ('input', 'cloud', 'results', 'report')),
                ('cloud', ('input', 'report'))):
            self.assert_independent(
                f'{home}.{room}', of=[f'{home}.{other}' for other in others])

    def test_simulator_acts_on_no_host(self):
        """Of the compute half it takes the rules, and nothing that acts."""
        allowed = [f'{PACKAGE}.imagecache.entry',
                   f'{PACKAGE}.imagecache.limits',
                   f'{PACKAGE}.imagecache.policies',
                   f'{PACKAGE}.virt.fetch_rate']
        for name, path in modules().items():
            if below(name, f'{PACKAGE}.simulator'):
                for imported in imports(path):
                    self.assertFalse(
                        below(imported, f'{PACKAGE}.imagecache',
                              f'{PACKAGE}.virt', 'nova.virt', 'nova.compute')
                        and not below(imported, *allowed),
                        f'{name} imports {imported}')

    def test_commands_for_operators_act_on_no_host(self):
        """Nor do they need the services, but for the report."""
        for package in ('fleet', 'fleet_page', 'exporter'):
            self.assert_independent(f'{PACKAGE}.{package}', of=[
                f'{PACKAGE}.scheduler', f'{PACKAGE}.virt',
                f'{PACKAGE}.imagecache', f'{PACKAGE}.simulator'])

    def test_checks_need_no_service(self):
        self.assert_independent(f'{PACKAGE}.checks', of=[
            f'{PACKAGE}.scheduler', f'{PACKAGE}.virt',
            f'{PACKAGE}.imagecache', f'{PACKAGE}.simulator'])
        for module in ('catalog', 'check', 'mutes', 'showing'):
            self.assert_independent(
                f'{PACKAGE}.checks.{module}', of=['nova', 'sqlalchemy'])

    def test_nothing_needs_the_simulator(self):
        """But what runs it."""
        for name, path in modules().items():
            if not below(name, f'{PACKAGE}.simulator', f'{PACKAGE}.cli'):
                for imported in imports(path):
                    self.assertFalse(
                        below(imported, f'{PACKAGE}.simulator'),
                        f'{name} imports {imported}')

    def test_all_this_loads_without_nova(self):
        self.assert_loads_without(
            ('nova',), f'{PACKAGE}.report', f'{PACKAGE}.scheduler.scoring',
            f'{PACKAGE}.imagecache.policies', f'{PACKAGE}.imagecache.limits',
            f'{PACKAGE}.conf.opts', f'{PACKAGE}.once')

    def test_help_of_the_command_needs_no_nova(self):
        """It takes seconds to load; plotly may not be there at all."""
        self.assert_loads_without(
            ('nova', 'oslo_db', 'oslo_messaging', 'plotly',
             'prometheus_client', 'rich', 'sqlalchemy', 'tooz'),
            f'{PACKAGE}.cli.app', f'{PACKAGE}.cli.simulate', *(
                f'{PACKAGE}.cli.{name}' for name in (
                    'cap', 'check', 'decisions', 'explain', 'exporter',
                    'host', 'image', 'image_cache', 'precache', 'report',
                    'status', 'upgrade_check')))

    def test_nothing_needs_the_command(self):
        for name, path in modules().items():
            if not below(name, f'{PACKAGE}.cli'):
                for imported in imports(path):
                    self.assertFalse(below(imported, f'{PACKAGE}.cli'),
                                     f'{name} imports {imported}')

    def test_libvirt_driver_loads_without_libvirt(self):
        """So that a mistake in nova.conf is told as such."""
        self.assert_loads_without(
            ('libvirt', 'guestfs'), f'{PACKAGE}.virt.libvirt')

    def test_other_drivers_load_without_oslo_vmware(self):
        self.assert_loads_without(
            ('oslo_vmware', 'suds'), f'{PACKAGE}.virt.libvirt',
            f'{PACKAGE}.virt.fake', 'nova.virt.cache_aware')

    def test_modules_load_on_their_own(self):
        """In whatever order nova comes upon them."""
        for name in ('scheduler.filters', 'virt.driver'):
            self.assert_loads_without(('no_such_module',),
                                      f'{PACKAGE}.{name}')


class TestFiles(base.TestCase):

    def test_every_module_says_what_it_is_for(self):
        for name, path in modules().items():
            self.assertTrue(
                ast.get_docstring(ast.parse(path.read_text())), name)

    def test_class_name_means_one_thing(self):
        """Whoever greps for a class finds one."""
        where = collections.defaultdict(list)
        for module, path in modules().items():
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    where[node.name.lstrip('_')].append(module)

        self.assertEqual({}, {name: found for name, found in where.items()
                              if len(found) > 1})

    def test_module_map_has_every_module_and_no_other(self):
        """The page on which a newcomer looks for one."""
        page = (ROOT.parent / 'doc/source/contributor/architecture.rst'
                ).read_text()
        named = set(re.findall('``([a-z0-9_.]+)``', page.partition(
            '\nModule map\n')[2].partition('\nDependency rules\n')[0]))
        there = {
            name.removeprefix(f'{PACKAGE}.') for name in modules()
            if name != PACKAGE and not name.endswith('_main__')}
        # Each has one row for all that is in it; the report and the options
        # say themselves what that is.
        rooms = {name for name in there if re.match(
            r'report\.|conf\.|simulator\.\w+\.', name)}
        inside = {name.rpartition('.')[2] for name in rooms
                  if name.startswith('simulator')}
        packages = {name for name in there if any(
            other.startswith(f'{name}.') for other in there)}

        self.assertEqual(set(), there - rooms - packages - named)
        self.assertEqual(set(), inside - named)
        self.assertEqual(set(), {
            name for name in named if '.' in name
            and not name.endswith(('.html', '.css', '.js'))} - there)

    def test_pages_name_modules_that_are_there(self):
        """As the loggers of their log lines, which somebody greps for."""
        named = set()
        for path in (ROOT.parent / 'doc/source').rglob('*.rst'):
            named |= {(name, path.name) for name in re.findall(
                r'\[?(cache_aware_sched(?:\.[a-z0-9_]+)+)', path.read_text())}
        there = modules()
        groups = (ROOT.parent / 'setup.cfg').read_text()

        def is_there(name):
            parent, _dot, last = name.rpartition('.')
            return (name in there or f'{name} =' in groups
                    or (parent in there and re.search(
                        rf'\b{last}\b', there[parent].read_text())))

        self.assertEqual(set(), {
            (name, page) for name, page in named if not is_there(name)})

    def test_every_module_is_licensed(self):
        for name, path in modules().items():
            self.assertIn('Apache License, Version 2.0',
                          path.read_text()[:200], name)

    def test_nova_s_packages_are_left_to_nova(self):
        """A file of ours there would overwrite nova's own."""
        ours = ROOT.parent / 'nova'
        if ours.is_dir() and not (ours / 'version.py').exists():
            self.assertFalse((ours / '__init__.py').exists())
            self.assertFalse((ours / 'virt' / '__init__.py').exists())

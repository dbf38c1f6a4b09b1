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

import importlib
import pathlib
import sys
import textwrap

import fixtures
from nova import exception
from stevedore import _cache as stevedore_cache

from cache_aware_sched.conf import imagecache as conf
from cache_aware_sched.imagecache import entry
from cache_aware_sched.imagecache import loading
from cache_aware_sched.imagecache import manager
from cache_aware_sched.imagecache import managers
from cache_aware_sched.imagecache import policies
from cache_aware_sched.simulator.cloud import cache as simulator_cache
from cache_aware_sched.simulator import engine
from cache_aware_sched.simulator import policy
from cache_aware_sched.simulator.real_nova import fragments
from cache_aware_sched.simulator import settings
from cache_aware_sched.virt import fake
from tests.unit import base

GOOD = '''
    from cache_aware_sched.imagecache import manager

    class LargestFirst(manager.BaseImageCacheManager):

        def order(self, entries, now):
            return sorted(entries, key=lambda entry: -entry.size)
    '''


class Packages(fixtures.Fixture):
    """Packages that are installed for one test."""

    def _setUp(self):  # noqa: N802 (of fixtures)
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.modules = []
        self.addCleanup(self._forget)
        self.addCleanup(policies.named.cache_clear)

    def install(self, name, code, entry_points):
        """Install a package of one module.

        :param entry_points: what stands behind each name
        """
        directory = self.path / name
        info = directory / f'{name}-1.0.dist-info'
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n')
        (info / 'entry_points.txt').write_text('\n'.join([
            f'[{conf.MANAGERS}]', *(
                f'{key} = {value}' for key, value in entry_points.items())]))
        (directory / f'{name}.py').write_text(textwrap.dedent(code))
        self.modules.append(name)
        self.useFixture(fixtures.MonkeyPatch(
            'sys.path', [*sys.path, str(directory)]))
        self._look_again()

    def _look_again(self):
        """Have stevedore, which remembers, look for entry points."""
        importlib.invalidate_caches()
        self.useFixture(fixtures.MonkeyPatch(
            'stevedore.extension.ExtensionManager.ENTRY_POINT_CACHE', {}))
        # What it would leave in the home directory goes with the test.
        self.useFixture(fixtures.MonkeyPatch(
            'stevedore._cache.get_group_all', stevedore_cache.Cache(
                str(self.path / 'cache')).get_group_all))

    def _forget(self):
        for name in self.modules:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()


class LoadingTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.packages = self.useFixture(Packages())

    def install(self, code, value='plugin_x:Plugin', name='x'):
        self.packages.install('plugin_x', code, {name: value})

    def assert_refused(self, name, *words):
        error = self.assertRaises(
            exception.InvalidConfiguration, loading.load, name)

        for word in ('[cache_aware_sched] image_cache_manager', repr(name),
                     *words):
            self.assertIn(word, str(error))


class TestInstalled(LoadingTestCase):

    def test_each_name(self):
        for name, expected in (
                ('age', managers.AgeImageCacheManager),
                ('lru', managers.LRUImageCacheManager),
                ('popularity', managers.PopularityImageCacheManager),
                ('protected', managers.ProtectedImageCacheManager),
                ('none', managers.NoneImageCacheManager)):
            self.assertIs(expected, type(loading.load(name)))

    def test_all_names(self):
        self.assertEqual(
            ['age', 'lru', 'none', 'popularity', 'protected'],
            conf.installed())

    def test_default(self):
        self.assertIn(base.nova.conf.CONF.cache_aware_sched
                      .image_cache_manager, conf.installed())

    def test_a_new_one_each_time(self):
        self.assertIsNot(loading.load('lru'), loading.load('lru'))

    def test_unknown_name(self):
        self.assert_refused(
            'lur', 'is not installed',
            'Installed are: age, lru, none, popularity, protected.')

    def test_names_are_lower_case(self):
        self.assert_refused('LRU', 'is not installed')

    def test_empty_name(self):
        self.assert_refused('', 'is not installed')

    def test_class_is_no_name(self):
        self.assert_refused(
            'cache_aware_sched.imagecache.managers:LRUImageCacheManager',
            'is not installed')


class TestPolicy(LoadingTestCase):
    """What the simulator plays."""

    def test_of_the_package(self):
        self.assertIs(policies.LeastPopular, policies.named('popularity'))

    def test_of_a_third_party(self):
        self.install('''
    from cache_aware_sched.imagecache import manager
    from cache_aware_sched.imagecache import policies

    class LargestFirst(policies.EvictionPolicy):

        def order(self, entries, now):
            return sorted(entries, key=lambda entry: -entry.size)

    class Manager(LargestFirst, manager.BaseImageCacheManager):
        """Has the policy."""
    ''', 'plugin_x:Manager')

        self.assertEqual('LargestFirst', policies.named('x').__name__)
        self.assertEqual('Manager', type(loading.load('x')).__name__)
        held = simulator_cache.Cache(settings.Settings(
            cache_manager='x', image_cache_max_size_gb=3), lambda: 0)
        for image, size in (('a', 1), ('b', 2)):
            held.expect(image, size << 30, 0.0, ())
            held.arrived(image, size << 30, 0.0)
        self.assertEqual(['b'], held.expect('c', 1 << 30, 1.0, ()))

    def test_manager_that_decides_by_itself(self):
        self.install(GOOD, 'plugin_x:LargestFirst')

        error = self.assertRaises(
            fragments.BadFragment, engine.check,
            settings.Settings(cache_manager='x'), [policy.stock()])

        for word in ('image_cache_manager', "'x'", 'LargestFirst',
                     'inherit its policy'):
            self.assertIn(word, str(error))

    def test_function_that_returns_a_manager(self):
        self.install(f'''{GOOD}
    def create():
        return LargestFirst()
    ''', 'plugin_x:create')

        self.assertRaises(ValueError, policies.named, 'x')


class TestThirdParty(LoadingTestCase):

    def test_is_loaded(self):
        self.install(GOOD, 'plugin_x:LargestFirst')

        loaded = loading.load('x')

        self.assertIsInstance(loaded, manager.BaseImageCacheManager)
        self.assertEqual('LargestFirst', type(loaded).__name__)
        small, large = (
            entry.Entry(letter * 40, entry.Kind.IMAGE, letter * 40, size,
                        0) for letter, size in (('a', 1), ('b', 2)))
        self.assertEqual([large, small], loaded.order([small, large], 0.0))

    def test_init_that_does_not_call_its_parent_s(self):
        self.install(f'''{GOOD}
        def __init__(self):
            self.mine = 1
    ''', 'plugin_x:LargestFirst')

        self.assert_refused('x', 'LargestFirst', 'super().__init__()')

    def test_is_listed(self):
        self.install(GOOD, 'plugin_x:LargestFirst', name='largest')

        self.assert_refused(
            'unknown', 'age, largest, lru, none, popularity, protected.')

    def test_does_not_replace_the_others(self):
        self.install(GOOD, 'plugin_x:LargestFirst')

        self.assertIs(managers.LRUImageCacheManager,
                      type(loading.load('lru')))

    def test_function_that_returns_a_manager(self):
        self.install(f'''{GOOD}
    def create():
        return LargestFirst()
    ''', 'plugin_x:create')

        self.assertEqual('LargestFirst', type(loading.load('x')).__name__)

    def test_broken_one_that_was_not_chosen(self):
        self.install('import no_such_module')

        self.assertIs(managers.LRUImageCacheManager,
                      type(loading.load('lru')))
        self.assertIn('x', conf.installed())

    def test_name_that_two_packages_install(self):
        self.packages.install('plugin_x', GOOD, {'x': 'plugin_x:LargestFirst'})
        self.packages.install('plugin_y', GOOD, {'x': 'plugin_y:LargestFirst'})

        self.assert_refused('x', 'several packages', 'LargestFirst')

    def test_name_of_one_of_ours(self):
        self.install(GOOD, 'plugin_x:LargestFirst', name='lru')

        self.assert_refused('lru', 'several packages', 'LargestFirst')


class TestOptions(LoadingTestCase):

    def test_what_is_wrong_with_them_is_not_the_manager_s(self):
        self.set(image_cache_low_watermark_percent=50)

        error = self.assertRaises(
            exception.InvalidConfiguration, loading.load, 'lru')

        self.assertIn('image_cache_low_watermark_percent', str(error))
        self.assertNotIn('image_cache_manager', str(error))


class TestBroken(LoadingTestCase):
    """nova-compute does not start with another one than was chosen."""

    def test_no_module(self):
        self.install('', 'no_such_module:Plugin')

        self.assert_refused('x', 'ModuleNotFoundError', 'no_such_module')

    def test_module_that_cannot_be_imported(self):
        self.install('import no_such_module')

        self.assert_refused('x', 'ModuleNotFoundError', 'no_such_module')

    def test_module_with_a_mistake(self):
        self.install('class Plugin(')

        self.assert_refused('x', 'SyntaxError')

    def test_no_such_class(self):
        self.install(GOOD, 'plugin_x:SmallestFirst')

        self.assert_refused('x', 'AttributeError', 'SmallestFirst')

    def test_constructor_that_fails(self):
        for error in ('ValueError', 'OSError', 'AssertionError', 'Exception'):
            with Packages() as packages:
                packages.install('plugin_x', f'''
    class Plugin:
        def __init__(self):
            raise {error}('no licence')
    ''', {'x': 'plugin_x:Plugin'})

                self.assert_refused('x', error, 'no licence')

    def test_constructor_that_wants_something(self):
        self.install('''
    class Plugin:
        def __init__(self, path):
            pass
    ''')

        self.assert_refused('x', 'TypeError', 'path')

    def test_abstract_class(self):
        self.install('''
    from cache_aware_sched.imagecache import manager

    class Plugin(manager.BaseImageCacheManager):
        pass
    ''')

        self.assert_refused('x', 'TypeError', 'abstract', 'order')

    def test_class_that_is_no_manager(self):
        self.install('''
    class Plugin:
        def order(self, entries, now):
            return entries
    ''')

        self.assert_refused('x', 'is a Plugin, not a subclass of',
                            'BaseImageCacheManager')

    def test_manager_of_nova(self):
        self.install('from nova.virt.libvirt import imagecache',
                     'plugin_x:imagecache.ImageCacheManager')

        self.assert_refused('x', 'is a ImageCacheManager, not a subclass of',
                            f'{manager.__name__}.BaseImageCacheManager')

    def test_what_cannot_be_called(self):
        self.install('Plugin = 7')

        self.assert_refused('x', 'TypeError')

    def test_function_that_returns_nothing(self):
        self.install('''
    def Plugin():
        pass
    ''')

        self.assert_refused('x', 'not a subclass of')


class TestDriver(LoadingTestCase):
    """The name is an option, and a mistake is told at the start."""

    def driver(self, name):
        self.set(image_cache_manager=name)
        return fake.FakeDriver(None)

    def test_chosen_one(self):
        self.assertIs(managers.PopularityImageCacheManager,
                      type(self.driver('popularity').image_cache_manager))

    def test_third_party(self):
        self.install(GOOD, 'plugin_x:LargestFirst')

        self.assertEqual(
            'LargestFirst',
            type(self.driver('x').image_cache_manager).__name__)

    def test_unknown_name(self):
        self.assertRaisesRegex(
            exception.InvalidConfiguration, 'Installed are: age, lru',
            self.driver, 'lur')

    def test_broken_one(self):
        self.install('import no_such_module')

        self.assertRaisesRegex(
            exception.InvalidConfiguration, 'no_such_module',
            self.driver, 'x')

    def test_limits_that_make_no_sense(self):
        self.set(image_cache_low_watermark_percent=50)

        self.assertRaisesRegex(
            exception.InvalidConfiguration,
            'image_cache_low_watermark_percent', self.driver, 'lru')

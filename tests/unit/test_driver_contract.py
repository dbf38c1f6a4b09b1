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

"""nova's own tests of compute drivers, with ours in the place of nova's."""

import pathlib
from unittest import mock

import fixtures
from nova.tests import fixtures as nova_fixtures
from nova.tests.fixtures import libvirt as libvirt_fixtures
from nova.virt import driver as nova_driver
from nova.virt import fake as nova_fake

from cache_aware_sched.virt import fake
from cache_aware_sched.virt import libvirt
from cache_aware_sched.virt import managed

# To import nova's test case changes mock for all tests of the process.
with mock.patch.object(mock, '_patch', mock._patch):
    from nova import test
    from nova.tests.unit.virt import test_virt_drivers as novas_tests

#: The public methods that our drivers have and nova's do not, and why. All
#: else that is not nova's has a name with an underscore.
CONTRACT = {
    'cached_files': 'every cache-aware driver must have it',
    'cache_facts': 'a driver may have it',
    'caches_images': 'a driver may have it',
    'is_one_machine': 'a driver may have it',
    'uses_fetched_images': 'a driver may have it',
    'image_fetched': 'a driver uses it around a fetch',
    'image_cache_changed': 'a driver calls it when an image is gone',
    'image_used': 'a driver with a manager uses it around making a disk',
}

PAGES = pathlib.Path(__file__).parents[2] / 'doc/source/contributor'


class _OneOfOurs:
    """Puts one of our drivers in the place of the one that nova tests.

    :cvar OURS: where it is
    """

    OURS = ''

    @property
    def driver_module(self):
        return self.OURS

    @driver_module.setter
    def driver_module(self, novas):
        """nova's test case sets the name of nova's driver."""

    def setUp(self):
        # No driver asks a policy, and reading them takes a third of the time.
        with mock.patch.object(
                nova_fixtures, 'PolicyFixture', fixtures.Fixture):
            super().setUp()
        ours = type(self.connection)
        self.assertEqual(self.OURS, f'{ours.__module__}.{ours.__name__}')
        # Its threads would go on in the tests that follow.
        self.addCleanup(self.connection.cleanup_host, 'host')


class TestFakeDriver(_OneOfOurs, novas_tests.FakeConnectionTestCase):

    OURS = 'cache_aware_sched.virt.fake.FakeDriver'


class TestLibvirtDriver(_OneOfOurs, novas_tests.LibvirtConnTestCase):

    OURS = 'cache_aware_sched.virt.libvirt.LibvirtDriver'


class TestLoading(novas_tests.VirtDriverLoaderTestCase):
    """By the names that users type."""

    new_drivers = {'cache_aware.FakeDriver': 'FakeDriver',
                   'cache_aware.LibvirtDriver': 'LibvirtDriver'}


class TestPublicMethods(test.NoDBTestCase):
    """nova has such a test for each of its drivers.

    A driver has the public methods of ComputeDriver with their arguments, and
    no others: a later nova may give one of that name another meaning.
    """

    def setUp(self):
        super().setUp()
        base = type('ComputeDriver', (nova_driver.ComputeDriver,), {
            name: getattr(managed.ManagedCacheMixin, name)
            for name in CONTRACT})
        self.base = base(None)

    def test_fake_driver(self):
        self.assertPublicAPISignatures(
            self.base, fake.FakeDriver(nova_fake.FakeVirtAPI(), True))

    def test_libvirt_driver(self):
        self.useFixture(libvirt_fixtures.LibvirtFixture())

        self.assertPublicAPISignatures(
            self.base,
            libvirt.LibvirtDriver(nova_fake.FakeVirtAPI(), True))

    def test_nova_has_no_method_of_our_names(self):
        for name in CONTRACT:
            self.assertFalse(hasattr(nova_driver.ComputeDriver, name), name)

    def test_our_methods_are_documented(self):
        text = ''.join((PAGES / page).read_text()
                       for page in ('drivers.rst', 'managers.rst'))

        for name in CONTRACT:
            self.assertIn(f'{name}(', text)

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

"""The suites of cache_aware_sched.testing, on the stores of the package."""

import contextlib
import os
import re
import subprocess
import sys
import unittest

import fixtures

import cache_aware_sched
from cache_aware_sched.imagecache import directory
from cache_aware_sched.imagecache.store import Removal
from cache_aware_sched.testing import directories
from cache_aware_sched.testing import managers
from cache_aware_sched.testing.stage import HOST
from cache_aware_sched.testing import stores
from cache_aware_sched.virt import fake
from tests.unit import base
from tests.unit.managers import LargestFirst


class FakeDirectoryStage(directories.DirectoryStage):
    """That of a host of FakeDriver, whose disk never gets full."""

    def make_store(self):
        return fake.FakeDirectory(lambda: HOST)

    def limit_disk(self, gib):
        self.lacks('limit_disk')


class TestDirectory(directories.DirectoryStage, stores.StoreConformance,
                    base.TestCase):
    pass


class TestFakeDirectory(FakeDirectoryStage, stores.StoreConformance,
                        base.TestCase):
    pass


globals().update(managers.suites(
    __name__, directories.DirectoryStage, base.TestCase))
globals().update(managers.suites(
    __name__, FakeDirectoryStage, base.TestCase, ('lru',)))


class TestThirdParty(directories.DirectoryStage, managers.ManagerConformance,
                     base.TestCase):
    """A manager that has no entry point."""

    manager = LargestFirst


class WrongStage(directories.DirectoryStage):
    """The stage of a store that does one thing wrong."""

    wrong = directories.SparseDirectory

    def make_store(self):
        return self.wrong(lambda: HOST)


class TestWrongStores(base.TestCase):
    """A suite that lets everything pass shows nothing."""

    def test_each_mistake_is_seen(self):
        for mistake, test in (
                ({'claim': lambda self, sha1: None}, 'test_claim'),
                ({'touch': lambda self, *names: None}, 'test_touch'),
                ({'remove': lambda self, entry, still_free: Removal.REMOVED},
                 'test_removal'),
                ({'_remove': _remove_blindly}, 'test_what_has_come_back'),
                ({'lock': _no_lock},
                 'test_image_that_somebody_has_locked'),
                ({'backing': lambda self, *args: set()},
                 'test_what_only_the_store_can_see'),
                ({'disk': lambda self: None},
                 'test_room_that_a_removal_makes'),
                ({'hosts': lambda self: []}, 'test_hosts'),
                ({'entries': _no_entries}, 'test_store_that_cannot_be_read'),
                ({'size_of': staticmethod(lambda status: 0)},
                 'test_entry_of_an_image')):
            self.assertIn(test, self.failing(mistake), mistake)

    def test_no_mistake(self):
        self.assertEqual(set(), self.failing({}))

    def failing(self, mistake):
        """Return the names of the tests that a store does not pass."""
        case = type('Wrong', (
            WrongStage, stores.StoreConformance, unittest.TestCase), {
                'wrong': type('Store', (directories.SparseDirectory,),
                              mistake)})
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
        return {test.id().rpartition('.')[2]
                for test, _error in result.failures + result.errors}


def _remove_blindly(self, entry, still_free):
    os.unlink(os.path.join(self.cache_dir, entry.name))
    return Removal.REMOVED


def _no_lock(self, name, blocking=True):
    return contextlib.nullcontext()


def _no_entries(self, now):
    try:
        return directory.Directory.entries(self, now)
    except OSError:
        return []


#: What another project has in a file of its own.
THIRD_PARTY = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('tests', 'testtools', 'fixtures',
                                  'hypothesis', 'oslotest'):
            raise ImportError(name + ' must not be needed')
sys.meta_path.insert(0, Blocker())
import unittest
from cache_aware_sched.testing import directories
from cache_aware_sched.testing import managers
from cache_aware_sched.testing import stores

class MyStage(directories.DirectoryStage):
    pass

class TestStore(MyStage, stores.StoreConformance, unittest.TestCase):
    pass

globals().update(managers.suites(
    __name__, MyStage, unittest.TestCase, ('age', 'protected')))
"""


class TestThirdPartyCheckout(base.TestCase):

    def test_only_nova_and_the_package_are_needed(self):
        home = self.useFixture(fixtures.TempDir()).path
        with open(os.path.join(home, 'test_mine.py'), 'w') as file:
            file.write(THIRD_PARTY)

        done = subprocess.run(
            [sys.executable, '-m', 'unittest', 'test_mine'], cwd=home,
            capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(
                {os.path.dirname(path) for path in
                 cache_aware_sched.__path__})})

        self.assertEqual(0, done.returncode, done.stderr)
        ran = int(re.search(r'Ran ([0-9]+) tests', done.stderr)[1])
        self.assertGreater(ran, 100)

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

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from unittest import mock

import fixtures
from nova.virt import storage_users

from cache_aware_sched.cli import compute_access
from cache_aware_sched import nova_databases
from tests.unit import base
from tests.unit import command
from tests.unit import managers
from tests.unit.managers import image
from tests.unit.managers import sha1

NOBODY = 65534


class CommandTestCase(managers.ManagerTestCase):
    """Runs the command on a real directory; nova.conf is not read."""

    def setUp(self):
        super().setUp()
        self.set_nova(compute_driver=compute_access.DRIVER)
        self.useFixture(fixtures.MockPatchObject(
            nova_databases, 'configure', autospec=True))
        self.useFixture(fixtures.MockPatchObject(
            compute_access, 'asking_conductor', contextlib.nullcontext))
        # There is no database.
        self.useFixture(fixtures.MockPatchObject(
            compute_access, 'check_host', autospec=True))

    def execute(self, *argv):
        return command.execute('image', *argv)

    def read(self, *argv, status=0):
        """Return the rows of the table."""
        got, out, err = self.execute(*argv, '-f', 'json')
        self.assertEqual(status, got, err)
        return json.loads(out)

    def refused(self, *argv):
        """Return why nothing is done."""
        status, out, err = self.execute(*argv)
        self.assertEqual((1, ''), (status, out))
        self.assertNotIn('Traceback', err)
        return err


class TestEvict(CommandTestCase):

    def test_evicted(self):
        self.put_images(1)

        self.assertEqual([{
            'File': sha1(1), 'GiB': 1.0, 'Evicted': 'yes', 'Why not': ''}],
            self.read('evict', managers.HOST, image(1)))

        self.assertEqual([], os.listdir(self.cache))

    def test_dry_run(self):
        self.put_images(1)

        [row] = self.read('evict', managers.HOST, image(1), '--dry-run')

        self.assertEqual('would be', row['Evicted'])
        self.assertEqual([sha1(1)], os.listdir(self.cache))

    def files(self):
        return {str(path): path.stat().st_mtime_ns
                for path in pathlib.Path(self.path).rglob('*')}

    def test_dry_run_writes_nothing(self):
        self.put_images(1)
        # As nova-compute has done, which makes nova's lock file of the hosts.
        storage_users.register_storage_use(self.path, managers.HOST)
        before = self.files()

        self.read('evict', managers.HOST, image(1), '--dry-run')

        self.assertEqual(before, self.files())

    def test_in_use(self):
        self.put_images(1)
        booted = self.boot(1)

        [row] = self.read('evict', managers.HOST, image(1), status=1)

        self.assertEqual('no', row['Evicted'])
        self.assertIn(booted.uuid, row['Why not'])
        self.assertEqual([sha1(1)], os.listdir(self.cache))

    def test_another_host(self):
        self.put_images(1)

        why = self.refused('evict', managers.OTHER_HOST, image(1))

        self.assertIn("this is host 'host1'", why)
        self.assertEqual([sha1(1)], os.listdir(self.cache))

    def test_not_in_the_cache(self):
        self.assertIn(
            f'image {image(1)} is not in the cache of host host1',
            self.refused('evict', managers.HOST, image(1)))

    def test_no_cache_yet(self):
        os.rmdir(self.cache)

        self.assertIn('is not in the cache',
                      self.refused('evict', managers.HOST, image(1)))

    def test_driver_without_such_a_cache(self):
        self.set_nova(compute_driver='libvirt.LibvirtDriver')

        self.assertIn("is 'libvirt.LibvirtDriver'",
                      self.refused('evict', managers.HOST, image(1)))

    def test_cache_of_another_user(self):
        """Its lock files would be in the way of nova-compute."""
        if os.geteuid():
            self.skipTest('only root can give a directory away')
        self.put_images(1)
        os.chown(self.cache, NOBODY, -1)

        self.assertIn('run the command as that user',
                      self.refused('evict', managers.HOST, image(1)))

        self.assertEqual([sha1(1)], os.listdir(self.cache))


class TestImpatient(base.TestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch(
            'cache_aware_sched.cli.compute_access.PATIENCE', 1))
        self.asked = mock.Mock()
        self.impatient = compute_access.Impatient(self.asked)

    def test_answer_that_does_not_come(self):
        self.asked.object_action = lambda: time.sleep(600)

        self.assertRaises(
            compute_access.NoAnswer, self.impatient.object_action)

    def test_what_is_done_with_an_answer_takes_its_time(self):
        self.asked.object_action.return_value = 'servers'

        self.assertEqual('servers', self.impatient.object_action('a', b='c'))

        self.asked.object_action.assert_called_once_with('a', b='c')
        self.assertEqual((0, 0), signal.getitimer(signal.ITIMER_REAL))


class TestNoConductor(managers.ManagerTestCase):
    """The whole command, with the configuration of a compute."""

    def test_it_does_not_answer(self):
        self.assert_refused('fake:/', 'MessagingTimeout')

    def test_nobody_listens_on_the_bus(self):
        self.assert_refused('rabbit://x:y@127.0.0.1:1/', 'within 4 s')

    def assert_refused(self, transport, why):
        self.put_images(1)
        conf = pathlib.Path(self.path, 'nova.conf')
        conf.write_text(textwrap.dedent(f"""
            [DEFAULT]
            host = {managers.HOST}
            compute_driver = cache_aware.LibvirtDriver
            instances_path = {self.path}
            transport_url = {transport}
            rpc_response_timeout = 1
            [oslo_concurrency]
            lock_path = {self.path}/lock
            """))

        done = subprocess.run(
            [sys.executable, '-c', 'import sys\n'
             'from cache_aware_sched.cli import app, compute_access\n'
             'compute_access.PATIENCE = 4\nsys.exit(app.main())',
             'image', 'evict', '--config-file', str(conf), managers.HOST,
             image(1)], capture_output=True, text=True, timeout=120,
            check=False)

        self.assertEqual((1, ''), (done.returncode, done.stdout))
        self.assertIn('nothing was evicted, as it cannot be told who uses',
                      done.stderr)
        self.assertIn(why, done.stderr)
        self.assertNotIn('Traceback', done.stderr)
        self.assertEqual([sha1(1)], os.listdir(self.cache))


class TestProtect(CommandTestCase):

    def test_what_protects_what(self):
        path = pathlib.Path(self.path, 'golden')
        path.write_text(f'{image(1)}\n{image(2)}\n')
        self.set(protected_images=[image(2), image(3)],
                 protected_images_file=str(path))
        self.put_images(1)
        self.put(f'{sha1(1)}_20', 3 * managers.GIB)

        status, out, err = self.execute('protect', '-f', 'json')

        self.assertEqual(0, status)
        self.assertEqual([
            (image(1), f'protected_images_file {path}', 2, 4.0),
            (image(2), f'protected_images, protected_images_file {path}', 0,
             0.0),
            (image(3), 'protected_images', 0, 0.0),
        ], [tuple(row.values()) for row in json.loads(out)])
        self.assertIn('3 images protected on host host1; 1 in ', err)

    def test_line_that_is_no_id(self):
        path = pathlib.Path(self.path, 'golden')
        path.write_text('rubbish\n')
        self.set(protected_images_file=str(path))

        self.assertEqual([], self.read('protect'))

        self.assertIn("line 1 ('rubbish')", self.warnings()[0])

    def test_file_that_cannot_be_read(self):
        self.set(protected_images_file=os.path.join(self.path, 'none'))

        status, _out, err = self.execute('protect')

        self.assertEqual(1, status)
        self.assertIn('until it can be, nothing is evicted', err)

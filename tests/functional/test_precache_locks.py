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

"""Locks on a real Redis and a real etcd, between real processes.

etcd is there where somebody has installed it, with ``tooz[etcd3gw]``.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from unittest import mock

import ddt
import fixtures

from cache_aware_sched.precache import coordination
from cache_aware_sched.precache import fetching
from cache_aware_sched.precache import keeper
from cache_aware_sched.precache import pace
from cache_aware_sched.precache.plan import PrecachePlan
from cache_aware_sched.precache.results import FetchOutcome
from cache_aware_sched.precache import watching
from tests.functional.prometheus import free_port
from tests.functional.prometheus import wait_until
from tests.unit import base
from tests.unit.test_precache_fetching import copy
from tests.unit.test_precache_fetching import SimulatedHosts

#: Seconds that a lock lives: two leave no time for a slow machine.
_LEASE = 4
_OPTIONS = f'?lock_timeout={_LEASE}&membership_timeout={_LEASE}'

#: Holds a lock, and says so whenever it is asked with a line.
_HOLDER = """\
import sys
from cache_aware_sched.precache import coordination
with coordination.locks(sys.argv[1], '') as locks:
    lock = locks.acquire(sys.argv[2])
    print(lock is not None, flush=True)
    for line in sys.stdin:
        print(lock.is_held(), flush=True)
"""


class LockServer:
    """A server of locks, with what it knows in memory or in a directory.

    :ivar url: its address
    """

    def __init__(self, kind, path):
        self._kind, self._path = kind, path
        self._port = free_port()
        self.url = {'redis': 'redis', 'etcd': 'etcd3+http'}[kind] + (
            f'://127.0.0.1:{self._port}{_OPTIONS}')
        self._process = None

    def start(self):
        listens = f'http://127.0.0.1:{self._port}'
        argv = {
            'redis': ['redis-server', '--port', str(self._port), '--save', '',
                      '--bind', '127.0.0.1', '--dir', self._path],
            'etcd': ['etcd', '--data-dir', f'{self._path}/etcd',
                     '--listen-client-urls', listens,
                     '--advertise-client-urls', listens,
                     '--listen-peer-urls', f'http://127.0.0.1:{free_port()}'],
        }[self._kind]
        with open(f'{self._path}/log', 'a') as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        wait_until(self.answers, f'{self._kind} answers')

    def answers(self):
        try:
            with coordination.locks(self.url, ''):
                return True
        except coordination.NotCoordinated:
            return False

    def stop(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@ddt.ddt
class LockServerTests(base.TestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(keeper, 'PATIENCE', 2.0))

    def serve(self, kind):
        program = {'redis': 'redis-server', 'etcd': 'etcd'}[kind]
        if shutil.which(program) is None:
            self.skipTest(f'{program} is missing: install what bindep.txt '
                          'lists')
        if kind == 'etcd' and importlib.util.find_spec('etcd3gw') is None:
            self.skipTest('etcd3gw is missing: install tooz[etcd3gw]')
        server = LockServer(
            kind, self.useFixture(fixtures.TempDir()).path)
        self.addCleanup(server.stop)
        # A server that is not there yet is not waited for for long.
        with mock.patch.object(keeper, 'START_PATIENCE', 2.0):
            server.start()
        return server

    def locks(self, server):
        return self.useFixture(ContextFixture(
            coordination.locks(server.url, ''))).value

    def hold(self, server, name):
        """Start a process that holds a lock."""
        holder = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', _HOLDER, server.url, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.stdin.close)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.assertEqual('True\n', holder.stdout.readline())
        return holder

    def says_held(self, holder):
        holder.stdin.write('\n')
        holder.stdin.flush()
        return holder.stdout.readline() == 'True\n'

    @ddt.data('redis', 'etcd')
    def test_processes_exclude_each_other(self, kind):
        server = self.serve(kind)
        self.hold(server, 'slot 0')
        locks = self.locks(server)

        self.assertIsNone(locks.acquire('slot 0'))

        self.assertEqual('', locks.trouble)
        self.assertIsNotNone(locks.acquire('slot 1'))

    @ddt.data('redis', 'etcd')
    def test_what_a_killed_process_held_is_free_again(self, kind):
        server = self.serve(kind)
        holder = self.hold(server, 'watch')
        locks = self.locks(server)

        holder.kill()
        holder.wait()

        lock = wait_until(lambda: locks.acquire('watch'), 'the lease is over')
        self.assertTrue(lock.is_held())

    @ddt.data('redis', 'etcd')
    def test_a_lock_is_held_for_longer_than_its_lease(self, kind):
        """As during a long fetch, while its owner does something else."""
        server = self.serve(kind)
        holder = self.hold(server, 'slot 0')
        killed = self.hold(server, 'slot 1')
        locks = self.locks(server)
        killed.kill()
        wait_until(lambda: locks.acquire('slot 1'), 'a lease is over')

        self.assertIsNone(locks.acquire('slot 0'))

        self.assertTrue(self.says_held(holder))

    @ddt.data('redis', 'etcd')
    def test_a_process_that_was_stopped_knows_what_it_lost(self, kind):
        server = self.serve(kind)
        holder = self.hold(server, 'watch')
        locks = self.locks(server)
        os.kill(holder.pid, signal.SIGSTOP)
        lock = wait_until(lambda: locks.acquire('watch'), 'the lease is over')

        os.kill(holder.pid, signal.SIGCONT)

        self.assertFalse(self.says_held(holder))
        self.assertTrue(lock.is_held())

    @ddt.data('redis', 'etcd')
    def test_a_server_that_goes_away_and_comes_back(self, kind):
        server = self.serve(kind)
        locks = self.locks(server)
        lock = locks.acquire('slot 0')

        server.stop()

        self.assertIsNone(locks.acquire('slot 1'))
        self.assertNotEqual('', locks.trouble)
        wait_until(lambda: not lock.is_held(), 'a lock is not trusted')
        server.start()
        wait_until(lambda: locks.acquire('slot 1'), 'it answers again')
        # Redis has forgotten everything, and somebody else may be faster.
        wait_until(lambda: lock.is_held()
                   or self.locks(server).acquire('slot 0'), 'one has it')
        self.assertIsNone(self.locks(server).acquire('slot 0'))
        warnings = '\n'.join(self.warnings())
        self.assertIn('cannot be told', warnings)
        self.assertIn('answer again', warnings)

    @ddt.data('redis', 'etcd')
    def test_fetches_begin_again_with_the_server(self, kind):
        """And what was running ends, with nobody to give its lock back to."""
        server = self.serve(kind)
        locks, hosts = self.locks(server), SimulatedHosts(*'abc')
        turns = []

        def sleep(seconds):
            turns.append(len(hosts.asked))
            if len(turns) == 1:
                server.stop()
            elif len(turns) == 30:
                server.start()
                wait_until(lambda: locks.acquire('any'), 'it answers again')
            hosts.sleep(seconds)

        results = fetching.FetchRun(
            hosts.ask, lambda: hosts.hosts, locks, pace.Pace(2), lambda: '',
            lambda _result: None, 10, lambda: hosts.now, sleep,
        ).run([copy('a'), copy('b'), copy('c')])

        self.assertEqual([FetchOutcome.CACHED] * 3,
                         [one.outcome for one in results])
        self.assertEqual(2, hosts.most)
        self.assertEqual({2}, set(turns[:30]))

    @ddt.data('redis', 'etcd')
    def test_watch_goes_on_when_the_server_does(self, kind):
        server = self.serve(kind)
        locks, said, carried, slept = self.locks(server), [], [], []

        class Ended(Exception):
            pass

        def sleep(seconds):
            slept.append(seconds)
            if len(carried) == 2 or len(slept) > 100:
                raise Ended
            time.sleep(0.1)  # etcd remembers what was held
            if not said:
                server.stop()
                wait_until(lambda: not watch._lock.is_held(), 'it is away')
                said.append('away')
            elif len(said) == 2:
                server.start()
                said.append('back')
                wait_until(lambda: locks.acquire('any'), 'it answers again')

        watch = watching.Watch(
            lambda: PrecachePlan((copy('a'),), (), 0.0, ()),
            lambda plan, active: carried.append(active()), locks,
            watching.WatchOptions(), said.append, OSError, sleep)

        self.assertRaises(Ended, watch.run)

        self.assertEqual([True, True], carried)
        self.assertIn('waits until it can be told', said[1])

    @ddt.data('redis', 'etcd')
    def test_nobody_listens(self, kind):
        server = LockServer(kind, '')
        if kind == 'etcd' and importlib.util.find_spec('etcd3gw') is None:
            self.skipTest('etcd3gw is missing: install tooz[etcd3gw]')
        self.useFixture(
            fixtures.MockPatchObject(keeper, 'START_PATIENCE', 2.0))

        error = self.assertRaises(
            coordination.NotCoordinated,
            coordination.locks(server.url, '').__enter__)

        self.assertIn('precache_coordination_url: ', str(error))


class ContextFixture(fixtures.Fixture):
    """Is in a context until the test ends.

    :ivar value: what it gives
    """

    def __init__(self, context):
        super().__init__()
        self._context = context

    def _setUp(self):  # noqa: N802
        self.value = self._context.__enter__()
        self.addCleanup(self._context.__exit__, None, None, None)

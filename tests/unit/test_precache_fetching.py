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

"""Fetches that are carried out, with a clock that is moved by waiting."""

import concurrent.futures
import dataclasses
import os
import sys
from unittest import mock

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from cache_aware_sched.precache import coordination
from cache_aware_sched.precache import fetching
from cache_aware_sched.precache import pace
from cache_aware_sched.precache.plan import PlannedCopy
from cache_aware_sched.precache.planner import CacheHost
from cache_aware_sched.precache.results import FetchOutcome
from cache_aware_sched import report
from tests.unit import base
from tests.unit import factories

GIB = 2 ** 30
IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE


def copy(host, image=IMAGE, size=GIB):
    return PlannedCopy(image, '', host, size)


class Lock:
    def __init__(self, held, name):
        self._held, self._name = held, name

    def release(self):
        self._held.discard(self._name)

    def is_held(self):
        return self._name in self._held


class Locks(coordination.Locks):
    """Those of one process, and of those that are said to be held."""

    def __init__(self):
        super().__init__(None)
        self.held = set()

    def acquire(self, name):
        if name in self.held:
            return None
        self.held.add(name)
        return Lock(self.held, name)


class SimulatedHosts:
    """Hosts that take their time, by the clock of the test.

    :ivar behaviour: what a host does: seconds that it takes and its answer,
        None if it never reports what it says
    """

    def __init__(self, *names, seconds=10.0):
        self.now = 0.0
        self.seconds = seconds
        self.hosts = {name: CacheHost(name, room=GIB) for name in names}
        self.behaviour = {}
        self.asked = []
        self.most = 0
        self._running = []

    def ask(self, planned):
        assert planned.host not in [one[1].host for one in self._running]
        self.asked.append((planned.host, planned.image_id))
        future = concurrent.futures.Future()
        seconds, answer = self.behaviour.get(
            planned.host, (self.seconds, 'cached'))
        self._running.append((self.now + seconds, planned, future, answer))
        self.most = max(self.most, len(self._running))
        return future

    def sleep(self, seconds):
        self.now += seconds
        for one in list(self._running):
            at, planned, future, answer = one
            if at <= self.now:
                self._running.remove(one)
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
                if answer == 'cached':
                    self.hold(planned.host, planned.image_id)

    def hold(self, name, image, **more):
        host = self.hosts[name]
        self.hosts[name] = dataclasses.replace(host, held={
            **host.held, report.image_key(image): GIB}, **more)


class FetchRunTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.hosts = SimulatedHosts(*'abcdef')
        self.locks = Locks()
        self.told = []
        self.closed = lambda: ''

    def run_copies(self, *copies, slots=3, slot_rate=float('inf'),
                   max_failures=10):
        self.run_ = fetching.FetchRun(
            self.hosts.ask, lambda: dict(self.hosts.hosts), self.locks,
            pace.Pace(slots, slot_rate), self.closed,
            self.told.append, max_failures,
            lambda: self.hosts.now, self.hosts.sleep)
        results = self.run_.run(copies)
        self.assertEqual(results, self.told)
        self.assertEqual(len(copies), len(results))
        return {(one.copy.host, one.copy.image_id): one for one in results}

    def outcome(self, results, host, image=IMAGE):
        return results[host, image].outcome


class FetchRunTests(FetchRunTestCase):

    def test_all_are_fetched(self):
        results = self.run_copies(*map(copy, 'abcdef'))

        self.assertEqual({FetchOutcome.CACHED},
                         {one.outcome for one in results.values()})
        self.assertEqual(3, self.hosts.most)
        self.assertEqual(set(), self.locks.held)

    def test_what_is_there_is_not_asked_for(self):
        self.hosts.hold('a', IMAGE)

        results = self.run_copies(copy('a'), copy('b'))

        self.assertEqual(FetchOutcome.EXISTING, self.outcome(results, 'a'))
        self.assertEqual([('b', IMAGE)], self.hosts.asked)

    def test_host_that_is_full_meanwhile(self):
        """It has room for one image only, whatever its size."""
        hold = self.hosts.hold
        self.hosts.hold = lambda name, image: hold(name, image, room=0)

        results = self.run_copies(
            copy('a'), copy('a', OTHER_IMAGE), copy('b'),
            dataclasses.replace(copy('b', OTHER_IMAGE), evicts=True))

        self.assertEqual([('a', IMAGE), ('b', IMAGE), ('b', OTHER_IMAGE)],
                         self.hosts.asked)
        self.assertEqual(FetchOutcome.NOT_TRIED,
                         self.outcome(results, 'a', OTHER_IMAGE))
        self.assertIn('no room', results['a', OTHER_IMAGE].reason)

    def test_one_at_a_time_on_a_host(self):
        results = self.run_copies(copy('a'), copy('a', OTHER_IMAGE))

        self.assertEqual(1, self.hosts.most)
        self.assertEqual(2, len(results))

    def test_host_that_another_command_uses(self):
        self.locks.held.add('host a')

        def let_go():
            if self.hosts.now > 50 and not self.hosts.asked[1:]:
                self.locks.held.discard('host a')
            return ''

        self.closed = let_go

        results = self.run_copies(copy('a'), copy('b'))

        self.assertEqual(['b', 'a'], [host for host, _i in self.hosts.asked])
        self.assertEqual(FetchOutcome.CACHED, self.outcome(results, 'a'))

    def test_slots_that_another_command_uses(self):
        self.locks.held.update({'slot 0', 'slot 2'})

        self.run_copies(*map(copy, 'abc'))

        self.assertEqual(1, self.hosts.most)

    def test_host_that_refuses(self):
        self.hosts.behaviour['b'] = (1.0, 'error')

        results = self.run_copies(*map(copy, 'abc'))

        self.assertEqual(FetchOutcome.FAILED, self.outcome(results, 'b'))
        self.assertIn('nova-compute log', results['b', IMAGE].reason)
        self.assertEqual(FetchOutcome.CACHED, self.outcome(results, 'c'))

    def test_host_that_dies(self):
        """Its other images are not tried: each would take as long."""
        self.hosts.behaviour['b'] = (60.0, TimeoutError('no answer'))

        results = self.run_copies(
            copy('a'), copy('b'), copy('b', OTHER_IMAGE), copy('c'))

        self.assertIn('no answer', results['b', IMAGE].reason)
        self.assertIn('did not answer', results['b', OTHER_IMAGE].reason)
        self.assertEqual(FetchOutcome.CACHED, self.outcome(results, 'c'))

    def test_host_that_gets_no_servers_meanwhile(self):
        """It is told without a wait, and is no failure that stops others."""
        def lose():
            if self.hosts.now > 5:
                self.hosts.hosts['c'] = CacheHost('c', room=GIB, unfit='down')
            return ''

        self.closed = lose

        results = self.run_copies(*map(copy, 'abcd'), slots=1, max_failures=0)

        self.assertEqual((FetchOutcome.NOT_TRIED, 'the host gets no images '
                          'now: down'), (
            self.outcome(results, 'c'), results['c', IMAGE].reason))
        self.assertEqual(FetchOutcome.CACHED, self.outcome(results, 'd'))

    def test_host_that_answers_no_more_but_has_it(self):
        self.hosts.behaviour['b'] = (60.0, TimeoutError('no answer'))

        def settle():
            if self.hosts.now > 50:
                self.hosts.hold('b', IMAGE)
            return ''

        self.closed = settle
        self.hosts.behaviour['a'] = (60.0, 'error')

        results = self.run_copies(copy('b'), copy('a'), slots=2)

        self.assertEqual(FetchOutcome.CACHED, self.outcome(results, 'b'))

    def test_host_that_still_fetches(self):
        self.hosts.hosts['b'] = CacheHost('b', room=GIB, arriving=frozenset(
            [report.image_key(IMAGE)]))
        self.hosts.behaviour['b'] = (60.0, TimeoutError('no answer'))

        results = self.run_copies(copy('b'))

        self.assertIn('still arrives', results['b', IMAGE].reason)

    def test_host_that_says_more_than_it_reports(self):
        self.hosts.behaviour['b'] = (1.0, 'existing')

        results = self.run_copies(copy('b'))

        self.assertEqual(FetchOutcome.FAILED, self.outcome(results, 'b'))
        self.assertIn("says 'existing'", results['b', IMAGE].reason)
        self.assertGreater(self.hosts.now, fetching.CONFIRM_SECONDS)

    def test_host_whose_report_is_cut(self):
        self.hosts.hosts['b'] = CacheHost('b', knows_all=False)
        self.hosts.behaviour['b'] = (1.0, 'existing')

        results = self.run_copies(copy('b'))

        self.assertEqual(FetchOutcome.EXISTING, self.outcome(results, 'b'))

    def test_host_that_cannot(self):
        self.hosts.behaviour['b'] = (1.0, 'unsupported')

        self.assertIn('cannot fetch ahead of time', self.run_copies(
            copy('b'))['b', IMAGE].reason)

    def test_too_many_failures(self):
        for host in 'abcdef':
            self.hosts.behaviour[host] = (1.0, 'error')

        results = self.run_copies(*map(copy, 'abcdef'), slots=1,
                                  max_failures=1)

        self.assertEqual(4, sum(one.outcome is FetchOutcome.NOT_TRIED
                                for one in results.values()))
        self.assertIn('more than 1', self.run_.stopped)

    def test_host_that_fails_often_does_not_stop_the_others(self):
        images = [f'aaaaaaaa-0000-4000-8000-{number:012}'
                  for number in range(5)]
        for answer, tried in ((TimeoutError('no answer'), 1), ('error', 2)):
            self.hosts.asked.clear()
            self.told.clear()
            self.hosts.behaviour['b'] = (1.0, answer)

            results = self.run_copies(
                *(copy('b', image) for image in images), copy('c', str(tried)),
                slots=1, max_failures=1)

            self.assertEqual('', self.run_.stopped)
            self.assertEqual(FetchOutcome.CACHED,
                             self.outcome(results, 'c', str(tried)))
            self.assertEqual(
                tried, [host for host, _i in self.hosts.asked].count('b'))

    def test_pause(self):
        """What was begun goes on, and nothing more begins."""
        self.closed = lambda: 'paused' if 5 < self.hosts.now < 100 else ''

        self.run_copies(copy('a'), copy('b'), slots=1)

        self.assertEqual(['a', 'b'], [host for host, _i in self.hosts.asked])
        self.assertGreater(self.hosts.now, 100)

    def test_rate(self):
        """Each takes 10 s, and at the limit it would take 40."""
        self.run_copies(*map(copy, 'abcdef'), slots=2, slot_rate=GIB / 40)

        self.assertEqual(2, self.hosts.most)
        self.assertGreaterEqual(self.hosts.now, 2 * 40 + 10)

    def test_what_is_there_already_keeps_no_slot(self):
        """Nothing was fetched, so there is no rate to keep to."""
        for name in 'abc':
            self.hosts.behaviour[name] = (1.0, 'existing')
            self.hosts.hosts[name] = CacheHost(name, knows_all=False)

        self.run_copies(*map(copy, 'abc'), slots=1, slot_rate=1)

        self.assertLess(self.hosts.now, GIB)

    def test_fetches_do_not_wait_for_renewals(self):
        """Nor the other way round: they need no slot, and share no host."""
        renewed = [f'renewed{number:02}' for number in range(25)]
        for name in renewed:
            self.hosts.hosts[name] = CacheHost(name)
            self.hosts.hold(name, IMAGE)
            self.hosts.behaviour[name] = (30.0, 'existing')

        self.run_copies(
            *(dataclasses.replace(copy(name), renews=True)
              for name in renewed), *map(copy, 'abc'), slots=1)

        asked = [host for host, _image in self.hosts.asked]
        self.assertLess(asked.index('c'), asked.index('renewed10'))
        self.assertEqual(fetching.RENEWALS + 1, self.hosts.most)
        self.assertEqual(set(), self.locks.held)

    def test_renewals_do_not_wait_for_a_slot(self):
        self.hosts.hold('b', IMAGE)
        self.hosts.behaviour['b'] = (1.0, 'existing')
        self.locks.held.add('slot 0')
        self.closed = lambda: self.told and self.locks.held.discard('slot 0')

        results = self.run_copies(
            copy('a'), dataclasses.replace(copy('b'), renews=True), slots=1)

        self.assertEqual(FetchOutcome.RENEWED, self.outcome(results, 'b'))
        self.assertEqual(['b', 'a'], [host for host, _i in self.hosts.asked])

    def test_renewal(self):
        """Also on a host that has no room for anything else."""
        self.hosts.behaviour['a'] = (1.0, 'existing')
        self.hosts.hold('a', IMAGE, room=0)

        results = self.run_copies(*(dataclasses.replace(
            copy(name), renews=True) for name in 'ab'))

        self.assertEqual(FetchOutcome.RENEWED, self.outcome(results, 'a'))
        self.assertEqual(FetchOutcome.NOT_TRIED, self.outcome(results, 'b'))
        self.assertEqual([('a', IMAGE)], self.hosts.asked)

    def test_renewal_that_fails(self):
        """The report shows the image before and after: it tells nothing."""
        for name, answer in (('a', 'error'), ('b', TimeoutError('no answer')),
                             ('c', 'unsupported')):
            self.hosts.behaviour[name] = (1.0, answer)
            self.hosts.hold(name, IMAGE)
            self.hosts.hold(name, OTHER_IMAGE)

        results = self.run_copies(*(
            dataclasses.replace(copy(name, image), renews=True)
            for image in (IMAGE, OTHER_IMAGE) for name in 'abc'))

        self.assertEqual({FetchOutcome.FAILED},
                         {one.outcome for one in results.values()})
        self.assertIn('nova-compute log', results['a', IMAGE].reason)
        self.assertIn('no answer', results['b', IMAGE].reason)
        # One time-out for each host.
        self.assertIn(('a', OTHER_IMAGE), self.hosts.asked)
        self.assertNotIn(('b', OTHER_IMAGE), self.hosts.asked)

    def test_run_that_is_stopped_while_it_may_go_on(self):
        """As one whose controller has lost its lock."""
        def stop_later():
            if self.told:
                self.run_.stop('another controller is active')
            return ''

        self.closed = stop_later

        results = self.run_copies(*map(copy, 'abc'), slots=1)

        self.assertEqual([('a', IMAGE)], self.hosts.asked)
        self.assertEqual(FetchOutcome.NOT_TRIED, self.outcome(results, 'b'))

    def test_room_that_others_have_taken(self):
        """Hosts report whole GiB; what is below that they can tell."""
        for name, room in (('a', 2 * GIB), ('b', 3 * GIB), ('c', 2 * GIB)):
            self.hosts.hosts[name] = CacheHost(name, room=room, evicts=True)

        results = self.run_copies(
            *(dataclasses.replace(copy(name), takes=3 * GIB)
              for name in 'ab'),
            dataclasses.replace(copy('c'), takes=3 * GIB, evicts=True))

        self.assertEqual([('b', IMAGE), ('c', IMAGE)], self.hosts.asked)
        self.assertIn('no room', results['a', IMAGE].reason)


class FetchRunPropertiesTests(base.TestCase):

    @given(st.lists(st.tuples(st.sampled_from('abcd'), st.sampled_from(
        [IMAGE, OTHER_IMAGE])), unique=True),
        st.dictionaries(st.sampled_from('abcd'), st.tuples(
            st.floats(0, 100), st.sampled_from(
                ['cached', 'existing', 'error', 'unsupported', 'x',
                 TimeoutError('late')]))),
        st.integers(1, 4), st.integers(0, 5))
    def test_every_copy_gets_one_result(self, pairs, behaviour, slots,
                                        failures):
        hosts, locks = SimulatedHosts(*'abcd'), Locks()
        hosts.behaviour = behaviour
        copies = [copy(host, image) for host, image in pairs]

        results = fetching.FetchRun(
            hosts.ask, lambda: dict(hosts.hosts), locks, pace.Pace(slots),
            lambda: '', lambda result: None, failures, lambda: hosts.now,
            hosts.sleep).run(copies)

        self.assertCountEqual(copies, [one.copy for one in results])
        self.assertEqual(set(), locks.held)
        self.assertLessEqual(hosts.most, slots)
        self.assertEqual(len(set(hosts.asked)), len(hosts.asked))
        for one in results:
            if one.outcome in (FetchOutcome.CACHED, FetchOutcome.EXISTING):
                self.assertIn(report.image_key(one.copy.image_id),
                              hosts.hosts[one.copy.host].held)
            else:
                self.assertTrue(one.reason)


class LocksTests(base.TestCase):
    """With tooz, on this machine."""

    def setUp(self):
        super().setUp()
        self.path = self.useFixture(fixtures.TempDir()).path

    def test_a_lock_is_held_once(self):
        with (coordination.locks(None, self.path) as one,
              coordination.locks(None, self.path) as other):
            lock = one.acquire('host ../../a')
            self.assertTrue(lock.is_held())
            self.assertIsNone(other.acquire('host ../../a'))
            self.assertIsNotNone(other.acquire('host b'))
            lock.release()
            self.assertIsNotNone(other.acquire('host ../../a'))

    def test_first_that_is_free(self):
        with (coordination.locks(None, self.path) as one,
              coordination.locks(None, self.path) as other):
            held = [one.first_free('slot', 2), other.first_free('slot', 2)]

            self.assertNotIn(None, held)
            self.assertIsNone(one.first_free('slot', 2))

    def test_what_root_makes_others_can_use(self):
        """A command of root must not keep that of nova's user out."""
        if os.geteuid():
            self.skipTest('only root can give files to others')
        os.chown(self.path, 65534, 65534)
        with coordination.locks(None, self.path) as locks:
            locks.acquire('host a')

        self.assertEqual({(65534, 65534)}, {
            (status.st_uid, status.st_gid) for status in (
                os.lstat(os.path.join(where, name))
                for where, directories, files in os.walk(self.path)
                for name in (*directories, *files))})

    def test_no_directory(self):
        error = self.assertRaises(
            coordination.NotCoordinated,
            coordination.locks('', '/proc/none').__enter__)

        self.assertIn('/proc/none', str(error))

    def test_address_that_is_none(self):
        for url in ('nothing://x', 'mysql://user:secret@nowhere.test/x'):
            error = self.assertRaises(
                coordination.NotCoordinated,
                coordination.locks(url, self.path).__enter__)
            self.assertIn('precache_coordination_url', str(error))
            self.assertNotIn('secret', str(error))

    def test_library_that_is_missing(self):
        """The driver is there, what it speaks with is not."""
        for url, missing, extra in (
                ('etcd3+http://somewhere', 'etcd3gw', 'tooz[etcd3gw]'),
                ('redis://somewhere', 'redis', 'tooz[redis]')):
            with mock.patch.dict(sys.modules, {missing: None}):
                for name in ('etcd3gw', 'redis'):
                    sys.modules.pop(f'tooz.drivers.{name}', None)
                error = self.assertRaises(
                    coordination.NotCoordinated,
                    coordination.locks(url, self.path).__enter__)
            self.assertIn('precache_coordination_url: a library is missing',
                          str(error))
            self.assertIn(extra, str(error))

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

import collections
import contextlib
import os
import pathlib
import random
import time
from unittest import mock

import fixtures
import hypothesis
from hypothesis import strategies as st
from nova import exception
from nova import objects
from nova import servicegroup

from cache_aware_sched.checks import reaching
from cache_aware_sched import glance_outage
from cache_aware_sched.neighbours import copying
from cache_aware_sched.neighbours import fetching
from cache_aware_sched.neighbours import holders
from cache_aware_sched.neighbours import sending
from cache_aware_sched.neighbours.sending import CopyFailed
from cache_aware_sched.neighbours.sending import Trouble
from cache_aware_sched.neighbours import sources
from cache_aware_sched.neighbours.sources import Source
from cache_aware_sched import report
from tests.unit import base
from tests.unit import factories
from tests.unit import neighbours

SHA1 = report.image_sha1(factories.IMAGE)
MIB = 2 ** 20
OUTAGE = exception.GlanceConnectionFailed(server='http://g', reason='no')

NAMES = st.sampled_from(['a', 'b', 'c', 'd', 'e', 'own'])
SOURCES = st.lists(st.builds(
    Source, host=NAMES, address=st.sampled_from(
        ['192.0.2.1', '2001:db8::1', 'host-1', '-oProxyCommand=x', '', 'a b',
         'a:b', 'fe80::1%eth0'])), max_size=8)


class TestAddress(base.TestCase):

    def test_of_hosts(self):
        for text in ('192.0.2.1', '2001:db8::1', 'host1', 'a.b-c_d.example'):
            self.assertTrue(sources.is_address(text), text)

    def test_what_a_program_could_take_for_something_else(self):
        for text in ('', '-h', '-oProxyCommand=touch x', 'a b', 'a/b', 'a:b',
                     'root@a', 'a;b', '$(a)', 'a\nb', '.a', 'None\n', '::1%lo',
                     'h\u00f6st', 'a' * 300):
            self.assertFalse(sources.is_address(text), text)


class TestOrder(base.TestCase):

    @hypothesis.given(known=SOURCES, first=st.none() | NAMES,
                      without=st.sets(NAMES), seed=st.integers())
    def test_each_host_that_can_be_asked_once(self, known, first, without,
                                              seed):
        found = sources.order(known, 'own', first, without,
                              random.Random(seed))

        hosts = [source.host for source in found]
        self.assertEqual(len(set(hosts)), len(hosts))
        expected = {source.host for source in known
                    if sources.is_address(source.address)}
        expected |= {first} if first else set()
        self.assertEqual(expected - without - {'own'}, set(hosts))
        self.assertTrue(all(sources.is_address(source.address)
                            for source in found))
        if first in hosts:
            self.assertEqual(first, hosts[0])

    def test_hosts_are_asked_about_as_often(self):
        known = [Source(f'h{number}', '192.0.2.1') for number in range(10)]
        chance = random.Random(1)

        asked = collections.Counter(
            sources.order(known, 'own', None, (), chance)[0].host
            for _boot in range(1000))

        self.assertEqual(10, len(asked))
        self.assertLess(max(asked.values()), 150)

    def test_first_that_does_not_report(self):
        [found] = sources.order([], 'own', 'there', (), random.Random())

        self.assertEqual(Source('there', 'there'), found)


class TestHolders(base.TestCase):
    """What the conductor answers."""

    def setUp(self):
        super().setUp()
        self.nodes, self.down = [], set()
        self.pages = []
        self.useFixture(fixtures.MockPatchObject(
            objects.ComputeNodeList, 'get_by_pagination', self._page))
        self.useFixture(fixtures.MockPatchObject(
            objects.ServiceList, 'get_by_binary', self._services))
        self.useFixture(fixtures.MockPatchObject(
            servicegroup.API, 'service_is_up',
            lambda _api, service: service.host not in self.down))
        self.holders = holders.Holders()

    def _page(self, context, limit, marker):
        assert context.is_admin
        self.pages.append(marker)
        left = [node for node in self.nodes if node.id > (marker or 0)]
        return objects.ComputeNodeList(objects=left[:limit])

    def _services(self, context, binary, include_disabled):
        assert include_disabled
        return objects.ServiceList(objects=[
            objects.Service(host=node.host) for node in self.nodes])

    def node(self, *files, **fields):
        number = len(self.nodes) + 1
        stats = {report.STATS_KEY: report.encode(files, max_bytes=16_384)}
        self.nodes.append(objects.ComputeNode(**{
            'id': number, 'host': f'h{number}', 'host_ip': f'192.0.2.{number}',
            'stats': stats, **fields}))

    def found(self):
        return [source.host for source in self.holders.of(SHA1)]

    def test_hosts_with_the_complete_image(self):
        file = report.BaseFile(SHA1, 5 * MIB)
        self.node(file)
        self.node()
        self.node(report.BaseFile(SHA1, MIB, report.FileKind.ARRIVING))
        self.node(report.BaseFile(SHA1, MIB, report.FileKind.RESIZED))
        self.node(file, report.BaseFile(SHA1, MIB, report.FileKind.RESIZED))

        self.assertEqual(
            [Source('h1', '192.0.2.1', 5), Source('h5', '192.0.2.5', 5)],
            self.holders.of(SHA1))

    def test_host_that_is_down(self):
        for _number in range(2):
            self.node(report.BaseFile(SHA1, MIB))
        self.down = {'h1'}

        self.assertEqual(['h2'], self.found())

    def test_host_to_log_in_on(self):
        """Any that reports and is up; of this one the check knows better."""
        for number in range(4):
            self.node(host='own' if not number else f'h{number + 1}')
        self.down = {'h2'}
        self.node(stats={})
        self.set_nova(host='own')
        self.nodes[3].host_ip = None
        with mock.patch.object(sending, 'check') as check:
            found = reaching.reach(contextlib.nullcontext)

        self.assertEqual(('h3', ''), (found.host, found.error))
        check.assert_called_once_with('192.0.2.3', mock.ANY)

        with mock.patch.object(sending, 'check',
                               side_effect=CopyFailed(Trouble.REFUSED, 'no')):
            found = reaching.reach(contextlib.nullcontext)

        self.assertEqual(('h3', 'refused over ssh: no'),
                         (found.host, found.error))

    def test_conductor_that_does_not_tell(self):
        with mock.patch.object(objects.ComputeNodeList, 'get_by_pagination',
                               side_effect=ValueError('no answer')):
            found = reaching.reach(contextlib.nullcontext)

        self.assertEqual('', found.host)
        self.assertIn('no answer', found.error)

    def test_what_cannot_be_read(self):
        for stats in (None, {}, {report.STATS_KEY: 'v=9;|'},
                      {report.STATS_KEY: ''}):
            self.node(stats=stats)
        self.node(report.BaseFile(SHA1, MIB), host_ip=None)
        self.node(report.BaseFile(SHA1, MIB))

        self.assertEqual(['h6'], self.found())

    def test_large_cell(self):
        for _number in range(120):
            self.node(report.BaseFile(SHA1, MIB), host_ip='192.0.2.1')

        self.assertEqual(120, len(self.found()))
        self.assertEqual([None, 50, 100], self.pages)

    def test_cell_without_end(self):
        self.nodes = [mock.Mock(id=1, stats=None)] * 50
        with mock.patch.object(
                objects.ComputeNodeList, 'get_by_pagination',
                return_value=self.nodes) as asked:
            self.assertEqual([], self.found())

        self.assertEqual(holders.MAX_NODES // holders.PAGE_NODES,
                         asked.call_count)

    def test_answer_is_used_for_a_moment(self):
        self.node()
        self.assertEqual([], self.found())
        self.node(report.BaseFile(SHA1, MIB))
        self.assertEqual([], self.found())
        later = time.monotonic() + holders.FRESH_SECONDS

        with mock.patch.object(holders.time, 'monotonic',
                               return_value=later):
            self.assertEqual(['h2'], self.found())


class FetchTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.set(fetch_from_hosts='outage')
        self.known = [Source(f'h{number}', f'192.0.2.{number}')
                      for number in range(1, 10)]
        self.holders = mock.Mock(spec=('of',))
        self.holders.of.side_effect = lambda sha1: list(self.known)
        self.useFixture(fixtures.MockPatchObject(
            holders, 'address_of', lambda host: None))
        self.slept = []
        self.useFixture(fixtures.MockPatchObject(
            fetching.time, 'sleep', self.slept.append))
        self.neighbours = fetching.Neighbours(lambda: 'own', self.holders)

    def wanted(self, path=f'/instances/_base/{SHA1}', **fields):
        return fetching.WantedImage(
            factories.IMAGE, str(path), lambda size: contextlib.nullcontext(),
            **fields)

    def fetch(self, error=OUTAGE, **fields):
        def fetch():
            if error:
                raise error

        return self.neighbours.fetch(fetch, self.wanted(**fields))


class TestFetch(FetchTestCase):
    """Which hosts are tried, and what is said if none sends the image."""

    def setUp(self):
        super().setUp()
        self.asked = []
        self.outcome = lambda source: 5 * MIB
        self.useFixture(fixtures.MockPatchObject(copying, 'copy', self.copy))

    def copy(self, source, path, converts, room):
        self.asked.append(source.host)
        outcome = self.outcome(source)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def test_glance_sends_it(self):
        self.assertTrue(self.fetch(error=None))

        self.assertEqual([], self.asked)
        self.holders.of.assert_not_called()

    def test_glance_is_down(self):
        self.assertFalse(self.fetch())

        self.assertEqual(1, len(self.asked))
        [line] = self.logged()
        self.assertIn(f'Host own has copied image {factories.IMAGE} (5242880 '
                      f'bytes) from host {self.asked[0]} in ', line)

    def test_other_errors(self):
        for error in (exception.ImageNotFound(image_id='i'),
                      OSError('No space left on device')):
            self.assertRaises(type(error), self.fetch, error)

        self.assertEqual([], self.asked)

    def test_by_default_nobody_is_asked(self):
        self.set(fetch_from_hosts='never')

        self.assertIs(OUTAGE, self.assertRaises(
            exception.GlanceConnectionFailed, self.fetch))

        self.assertEqual([], self.asked)
        self.assertEqual([], self.warnings())

    def test_image_whose_signature_is_to_be_checked(self):
        self.assertIs(OUTAGE, self.assertRaises(
            exception.GlanceConnectionFailed, self.fetch, is_signed=True))

        self.assertEqual([], self.asked)

    def test_disks_that_are_no_files(self):
        for images_type in ('rbd', 'lvm', 'ploop'):
            self.set_nova('libvirt', images_type=images_type)

            self.assertIs(OUTAGE, self.assertRaises(
                exception.GlanceConnectionFailed, self.fetch))
            self.neighbours.start()

        self.assertEqual([], self.asked)
        [line] = self.logged()
        self.assertIn('fetch_from_hosts = outage has no effect with [libvirt] '
                      'images_type = rbd', line)

    def test_disks_that_are_files(self):
        for images_type in sources.FILES:
            self.set_nova('libvirt', images_type=images_type)
            self.neighbours.start()

            self.assertFalse(self.fetch())

        self.assertEqual([], self.warnings())

    def test_host_that_the_server_comes_from(self):
        self.fetch(first='h7')

        self.assertEqual(['h7'], self.asked)

    def test_it_fails_from_one(self):
        outcomes = iter([CopyFailed(Trouble.STALLED), MIB])
        self.outcome = lambda source: next(outcomes)

        self.assertFalse(self.fetch())

        self.assertEqual(2, len(set(self.asked)))
        [warning] = self.warnings()
        self.assertIn(f'Host own could not copy image {factories.IMAGE} from '
                      f'host {self.asked[0]}: stalled', warning)

    def test_it_fails_from_three(self):
        outcomes = iter([CopyFailed(Trouble.STALLED, 'x' * 1000),
                         CopyFailed(Trouble.REFUSED, 'because'),
                         CopyFailed(Trouble.STALLED)])
        self.outcome = lambda source: next(outcomes)

        error = self.assertRaises(fetching.NotCopied, self.fetch)

        self.assertEqual(3, len(set(self.asked)))
        self.assertEqual(
            'not copied from another host: 3 tried, 2 stalled, 1 refused over '
            'ssh; Connection to glance host http://g failed: no',
            str(error))
        # So that the server goes on
        self.assertTrue(glance_outage.is_outage(error))

    def test_nobody_has_it(self):
        self.known = []

        error = self.assertRaises(fetching.NotCopied, self.fetch)

        self.assertIn('no other host that is up reports it', str(error))
        self.assertEqual([], self.slept)

    def test_it_cannot_be_told_who_has_it(self):
        self.holders.of.side_effect = ValueError('conductor')

        for _boot in range(2):
            error = self.assertRaises(fetching.NotCopied, self.fetch)

        self.assertIn('it is not known which hosts hold it', str(error))
        [warning] = self.warnings()
        self.assertIn('conductor', warning)

    def test_no_room_is_nobody_else_s_fault(self):
        self.outcome = lambda source: copying.DestinationFull('5 bytes')

        error = self.assertRaises(fetching.NotCopied, self.fetch)

        self.assertIn('no room here: 5 bytes', str(error))
        self.assertEqual(1, len(self.asked))

    def test_error_of_this_host(self):
        self.outcome = lambda source: AttributeError('copy_file')

        error = self.assertRaises(fetching.NotCopied, self.fetch)

        self.assertIn('an error here: copy_file', str(error))
        self.assertEqual(1, len(self.asked))
        self.assertEqual(1, len(self.errors()))

    def test_hosts_that_are_busy(self):
        """Others are tried, and after a pause all again."""
        def outcome(source):
            return MIB if self.slept else sending.Busy()

        self.outcome = outcome

        self.assertFalse(self.fetch())

        self.assertEqual(fetching.HOSTS_A_ROUND + 1, len(self.asked))
        self.assertEqual(1, len(self.slept))
        self.assertEqual([], self.warnings())

    def test_hosts_that_are_busy_for_ever(self):
        clock = [0.0]

        def sleep(seconds):
            clock[0] += seconds
            self.slept.append(seconds)

        self.outcome = lambda source: sending.Busy()
        with (mock.patch.object(fetching.time, 'sleep', sleep),
              mock.patch.object(fetching.time, 'monotonic',
                                lambda: clock[0])):
            error = self.assertRaises(fetching.NotCopied, self.fetch)

        self.assertIn('send as many images as they may', str(error))
        self.assertGreaterEqual(clock[0], fetching.WAIT_SECONDS)
        self.assertLess(max(self.slept), 1.5 * fetching.LONGEST_PAUSE)
        self.assertLess(len(self.slept), 30)

    def test_one_that_fails_is_not_tried_again_after_a_pause(self):
        def outcome(source):
            if source.host == 'h1':
                return CopyFailed(Trouble.SIZE)
            return MIB if self.slept else sending.Busy()

        self.known = self.known[:2]
        self.outcome = outcome

        self.assertFalse(self.fetch())

        self.assertEqual(1, self.asked.count('h1'))


class TestWithPrograms(FetchTestCase):
    """From the error of Glance to the file, with rsync."""

    def setUp(self):
        super().setUp()
        self.need_qemu_img()
        self.instances = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'instances')
        self.path = self.instances / '_base' / SHA1
        self.path.parent.mkdir(parents=True)
        self.set_nova(instances_path=str(self.instances))
        self.set_nova('libvirt', remote_filesystem_transport='rsync')
        self.hosts = self.useFixture(neighbours.Hosts(self.instances))

    def test_one_host_breaks_off_and_one_is_too_short(self):
        data = b'\x01disk' * 200_000
        self.known = [
            Source('h1', '192.0.2.1'), Source('h3', '192.0.2.3'),
            Source('h2', '192.0.2.2', report.size_code(2 * len(data)))]
        self.hosts.add('192.0.2.1', SHA1, data, 'breaks')
        self.hosts.add('192.0.2.2', SHA1, data)
        self.hosts.add('192.0.2.3', SHA1, data)

        self.assertFalse(self.fetch(path=self.path, first='h1'))

        self.assertEqual(data, self.path.read_bytes())
        self.assertEqual([SHA1], os.listdir(self.path.parent))

    def test_no_host_sends_it(self):
        self.known = self.known[:4]
        for number in range(1, 5):
            self.hosts.add(f'192.0.2.{number}', SHA1, b'', 'refuses')

        error = self.assertRaises(
            fetching.NotCopied, self.fetch, path=self.path)

        self.assertIn('3 tried, 3 refused over ssh', str(error))
        self.assertEqual([], os.listdir(self.path.parent))

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


"""Critical images are fetched, with the fake driver and a real directory."""

import os
import pathlib
import threading
import time
from unittest import mock

import fixtures
from nova import context as nova_context
from nova import exception
from nova.image import glance
from nova import objects

from cache_aware_sched.imagecache import limits
from cache_aware_sched import report
from cache_aware_sched import service_account
from cache_aware_sched.virt import critical_fetches
from cache_aware_sched.virt import fake
from cache_aware_sched.virt import fetch_schedule
from cache_aware_sched.virt import host_thread
from cache_aware_sched.virt import libvirt
from tests.unit import base
from tests.unit import factories
from tests.unit import rows

HOST = 'host1'
GIB = factories.GIB
IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
THIRD_IMAGE = 'aaaaaaaa-0000-4000-8000-000000000003'

BEGIN = host_thread.HostThread.begin


class Glance:
    """The image service: counts what it is asked.

    :ivar error: that it raises; None for none
    """

    def __init__(self):
        self.asked = []
        self.sizes = {}
        self.error = None

    def show(self, context, image_id):
        self.asked.append(image_id)
        if self.error:
            raise self.error
        return {'size': self.sizes.get(image_id, GIB), 'disk_format': 'raw'}


class CriticalFetchesTestCase(base.TestCase):
    """A host; hours pass in an instant."""

    def setUp(self):
        super().setUp()
        self.set(critical_image_spread_seconds=0)
        self.useFixture(rows.Rows())
        self.glance = Glance()
        self.aggregates = {}
        self.asked_aggregates = 0
        self.now = 0.0
        for owner, name, answer in (
                (glance, 'get_remote_image_service',
                 lambda context, image_id: (self.glance, image_id)),
                (glance.API, 'get', lambda api, context, image_id:
                 self.glance.show(context, image_id)),
                (objects.AggregateList, 'get_by_host', self.aggregates_of),
                (objects.BlockDeviceMappingList, 'bdms_by_instance_uuid',
                 lambda context, uuids: {}),
                (service_account, 'local_context', lambda: self.context),
                (critical_fetches.time, 'monotonic', lambda: self.now)):
            self.useFixture(fixtures.MockPatchObject(owner, name, answer))
        self.cache = fake.image_cache(HOST)

    def aggregates_of(self, context, host, key=None):
        self.asked_aggregates += 1
        if self.aggregates is None:
            raise exception.NovaException('no answer')
        return [objects.Aggregate(name=name, metadata={key: text})
                for name, text in self.aggregates.items()]

    def start(self, **options):
        self.set(**options)
        self.driver = fake.FakeDriver(mock.Mock(spec=()))
        self.driver.init_host(HOST)
        self.addCleanup(self.driver.cleanup_host, HOST)
        self.fetches = self.driver._critical_fetches

    def look(self, seconds=0.0):
        """Look for as long as anything is to be done."""
        end = self.now + seconds
        while True:
            wait = self.fetches.look()
            if self.now + wait > end or (
                    wait and self.now == end):
                self.now = end
                return
            self.now += wait

    def warnings(self):
        """Return those that are of critical images."""
        return [line for line in super().warnings() if 'critical' in line]

    def held(self):
        return [image_id for image_id in (IMAGE, OTHER_IMAGE, THIRD_IMAGE)
                if self.cache.has(image_id)]

    def facts(self):
        resources = self.driver.get_available_resource(HOST)
        return report.Report(resources['stats'][report.STATS_KEY]).facts

    def critical(self):
        facts = self.facts()
        return (facts.critical, facts.critical_missing,
                facts.critical_trouble)


class TestFetching(CriticalFetchesTestCase):

    def test_nothing_is_critical(self):
        self.start()

        self.look(3600)

        self.assertEqual([], self.glance.asked)
        self.assertEqual((0, 0, ''), self.critical())

    def test_missing_ones_are_fetched(self):
        self.start(critical_images=[IMAGE, OTHER_IMAGE.upper()])
        self.assertEqual((2, 2, ''), self.critical())

        self.look()

        self.assertEqual([IMAGE, OTHER_IMAGE], self.held())
        self.assertEqual((2, 0, ''), self.critical())
        self.assertIn(f'Host {HOST} fetched critical image {IMAGE}.',
                      self.logged())

    def test_glance_is_not_asked_while_all_are_there(self):
        self.start(critical_images=[IMAGE])
        self.cache.put(IMAGE, GIB)

        self.look(86_400)

        self.assertEqual([], self.glance.asked)
        self.assertEqual(1, self.asked_aggregates)

    def test_comes_back(self):
        self.start(critical_images=[IMAGE])
        self.look()
        self.cache.remove(IMAGE)

        self.look(60)

        self.assertEqual([IMAGE], self.held())

    def test_waits_at_random(self):
        self.set(critical_image_spread_seconds=600)
        with mock.patch.object(
                fetch_schedule.random, 'uniform', autospec=True,
                return_value=400) as draw:
            self.start(critical_images=[IMAGE])
        self.fetches._schedule = fetch_schedule.FetchSchedule(600, draw)

        self.look(399)
        self.assertEqual([], self.held())
        self.look(1)

        self.assertEqual([IMAGE], self.held())
        draw.assert_called_once_with(0, 600)

    def test_change_of_the_file_is_seen_within_a_minute(self):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'list')
        path.write_text(f'{IMAGE}\n')
        self.start(critical_images_file=str(path))
        self.look()

        path.write_text(f'{IMAGE}\n{OTHER_IMAGE}\n')
        self.look(59)

        self.assertEqual([IMAGE, OTHER_IMAGE], self.held())

    def test_one_that_arrives_is_no_complete_one(self):
        self.start(critical_images=[IMAGE])
        self.cache.begin(IMAGE, GIB)

        self.assertEqual((1, 1, ''), self.critical())

    def test_fetch_that_brings_nothing_is_not_repeated_at_once(self):
        self.start(critical_images=[IMAGE])
        with mock.patch.object(self.driver, 'cache_image', autospec=True,
                               return_value=False) as fetch:
            self.look(59)

        fetch.assert_called_once_with(self.context, IMAGE)


class TestFailures(CriticalFetchesTestCase):

    def test_glance_that_is_down_for_a_while(self):
        self.start(critical_images=[IMAGE, OTHER_IMAGE])
        self.glance.error = exception.GlanceConnectionFailed(
            server='glance', reason='no route')
        self.look(6 * 3600)
        tries = len(self.glance.asked)
        self.assertEqual([], self.held())

        self.glance.error = None
        self.look(3601)

        self.assertEqual([IMAGE, OTHER_IMAGE], self.held())
        # Of each image as the delays double, then two an hour on average.
        self.assertLess(tries, 200)
        self.assertEqual(2, len(self.warnings()))
        for image_id, warning in zip((IMAGE, OTHER_IMAGE), self.warnings(),
                                     strict=True):
            self.assertIn(image_id, warning)
            self.assertIn(HOST, warning)
            self.assertIn('no route', warning)

    def test_next_outage_is_told_again(self):
        self.start(critical_images=[IMAGE])
        error = exception.GlanceConnectionFailed(
            server='glance', reason='no route')
        for number in (1, 2):
            self.cache.remove(IMAGE)
            self.glance.error = error
            self.look(3600)
            self.glance.error = None
            self.look(3600 + 60)

            self.assertEqual([IMAGE], self.held())
            self.assertEqual(number, len(self.warnings()))

    def test_image_that_is_not_in_glance(self):
        self.start(critical_images=[IMAGE, OTHER_IMAGE])
        show = self.glance.show

        def one_is_missing(context, image_id):
            if image_id == IMAGE:
                raise exception.ImageNotFound(image_id=image_id)
            return show(context, image_id)

        self.glance.show = one_is_missing
        self.look(3600)

        self.assertEqual([OTHER_IMAGE], self.held())
        self.assertEqual(1, len(self.warnings()))
        self.assertEqual((2, 1, ''), self.critical())

    def test_no_account(self):
        """It is told once, however many images there are."""
        self.start(critical_images=[IMAGE, OTHER_IMAGE])
        with mock.patch.object(
                service_account, 'local_context', autospec=True,
                side_effect=service_account.NoAccount('no account in X')):
            self.look(3600)

        [warning] = self.warnings()
        self.assertIn('no account in X', warning)

    def test_cache_that_cannot_be_read_ends_nothing(self):
        self.start(critical_images=[IMAGE])
        rounds = []

        class Ended(threading.Event):

            def wait(self, timeout=None):
                rounds.append(timeout)
                return len(rounds) > 3

        with mock.patch.object(self.driver, 'cached_files', autospec=True,
                               side_effect=OSError('stale')):
            self.fetches._run(Ended())

        self.assertEqual([0.0] + [critical_fetches.LOOK_SECONDS] * 3, rounds)
        self.assertEqual(1, len(self.warnings()))


class TestAggregates(CriticalFetchesTestCase):

    def test_are_asked_at_the_start(self):
        self.aggregates = {'gold': f'{IMAGE},{OTHER_IMAGE}'}
        self.start()

        self.look()

        self.assertEqual([IMAGE, OTHER_IMAGE], self.held())

    def test_are_asked_again_if_nobody_answers(self):
        self.aggregates = None
        self.start()
        self.look(3600)
        self.assertLess(self.asked_aggregates, 10)
        self.assertEqual(1, len(self.warnings()))

        self.aggregates = {'gold': IMAGE}
        self.look(critical_fetches.ASK_SECONDS)

        self.assertEqual([IMAGE], self.held())

    def test_nobody_answers_after_a_restart(self):
        self.aggregates = {'gold': IMAGE}
        self.start()
        self.look()
        self.cache.remove(IMAGE)

        self.aggregates = None
        self.start()
        self.look()

        self.assertEqual([IMAGE], self.held())

    def test_pass_asks(self):
        self.start()
        self.look()
        self.aggregates = {'gold': IMAGE}
        os.makedirs(self.driver._cache_directory.cache_dir, exist_ok=True)

        self.driver.manage_image_cache(
            nova_context.get_admin_context(), [])
        self.look()

        self.assertEqual([IMAGE], self.held())
        self.assertEqual(2, self.asked_aggregates)


class TestRoom(CriticalFetchesTestCase):

    def disk(self, available):
        self.useFixture(fixtures.MockPatchObject(
            fake.FakeDirectory, 'disk', autospec=True,
            return_value=limits.Disk(GIB, int(available))))

    def test_makes_room(self):
        self.start(critical_images=[IMAGE], image_cache_manager='lru',
                   image_cache_max_images=1)
        self.cache.put(OTHER_IMAGE, GIB)
        self.age(OTHER_IMAGE)

        self.look()

        self.assertEqual([IMAGE], self.held())

    def test_never_evicts_another_critical_image(self):
        self.start(critical_images=[IMAGE, OTHER_IMAGE],
                   image_cache_manager='none', image_cache_max_size_gb=1)

        self.look(86_400)
        self.driver.manage_image_cache(
            nova_context.get_admin_context(), [])

        self.assertEqual([IMAGE], self.held())
        [error] = self.errors()
        self.assertIn(f'{HOST} cannot hold critical image {OTHER_IMAGE}',
                      error)
        self.assertIn(f'it takes {GIB} bytes', error)
        self.assertIn('image_cache_max_size_gb = 1', error)
        self.assertEqual((2, 1, report.NO_ROOM), self.critical())

    def test_larger_than_the_limit(self):
        self.start(critical_images=[IMAGE], image_cache_max_size_gb=1)
        self.glance.sizes[IMAGE] = 2 * GIB

        self.look(3600)

        [error] = self.errors()
        self.assertIn(f'it takes {2 * GIB} bytes', error)
        self.assertIn('image_cache_max_size_gb is 1', error)

    def test_disk_that_it_would_fill(self):
        """Though no limit is set."""
        self.disk(GIB - 1)
        self.start(critical_images=[IMAGE])

        self.look(3600)

        [error] = self.errors()
        self.assertIn(f'{GIB} bytes', error)
        self.assertIn(f'{GIB - 1} bytes are free', error)
        self.assertIn('critical_images', error)
        self.assertEqual([], self.held())

    def test_room_that_comes(self):
        self.start(critical_images=[IMAGE, OTHER_IMAGE],
                   image_cache_max_images=1)
        self.look()
        self.assertEqual(report.NO_ROOM, self.facts().critical_trouble)

        self.driver.image_cache_manager.cache._evictor.limits = (
            limits.Limits(max_images=2))
        self.driver.image_cache_manager.cache._fetches._limits = (
            limits.Limits(max_images=2))
        self.look(3601)

        self.assertEqual((2, 0, ''), self.critical())

    def test_is_reported_at_once(self):
        self.start(critical_images=[IMAGE], image_cache_max_size_gb=1)
        self.glance.sizes[IMAGE] = 2 * GIB
        with mock.patch.object(self.driver, 'image_cache_changed',
                               autospec=True) as changed:
            self.look(3600)

        changed.assert_called_once_with()

    def age(self, image_id):
        path = os.path.join(self.driver._cache_directory.cache_dir,
                            report.image_sha1(image_id))
        os.utime(path, (1, 1))


class TestOthers(CriticalFetchesTestCase):

    def test_disks_from_images_in_ceph(self):
        self.start(critical_images=[IMAGE])
        with mock.patch.object(fake.FakeDriver, 'uses_fetched_images',
                               autospec=True, return_value=False):
            self.look(3600)

            self.assertEqual((1, 1, report.NOT_KEPT), self.critical())
        self.assertEqual([], self.glance.asked)
        self.assertEqual(1, len([line for line in self.logged()
                                 if 'images in Ceph' in line]))

    def test_libvirt(self):
        for images_type, uses in (('rbd', False), ('qcow2', True),
                                  ('raw', True), ('lvm', True)):
            self.set_nova('libvirt', images_type=images_type)

            self.assertIs(uses, libvirt.LibvirtDriver.uses_fetched_images(
                mock.sentinel.driver))

    def test_thread_fetches_and_ends(self):
        self.start(critical_images=[IMAGE])
        ended = []
        run = self.fetches._run
        self.fetches.thread._run = lambda event: (
            run(event), ended.append(1))

        for _time in range(3):
            BEGIN(self.fetches.thread)
        self.wait(self.held)
        self.driver.cleanup_host(HOST)

        self.wait(lambda: ended)
        self.assertEqual([1], ended)

    def test_report_after_the_end_begins_no_thread(self):
        self.start(critical_images=[IMAGE])
        self.useFixture(fixtures.MockPatchObject(
            host_thread.HostThread, 'begin', BEGIN))
        self.driver.cleanup_host(HOST)

        with mock.patch.object(host_thread.threading, 'Thread') as thread:
            self.driver.get_available_resource(HOST)
            self.assertEqual([], thread.mock_calls)

            # After SIGHUP.
            self.driver.init_host(HOST)
            self.driver.get_available_resource(HOST)
            self.assertEqual([mock.call().start()], thread.mock_calls[1:])

    def test_thread_that_cannot_be_started(self):
        self.start(critical_images=[IMAGE])
        with mock.patch.object(
                host_thread.threading.Thread, 'start', autospec=True,
                side_effect=RuntimeError("can't start new thread")):
            BEGIN(self.fetches.thread)

        [warning] = self.warnings()
        self.assertIn("can't start new thread", warning)

    def test_end_waits_for_no_fetch(self):
        self.start(critical_images=[IMAGE])
        begun, go_on = threading.Event(), threading.Event()

        def slow(context, image_id):
            begun.set()
            go_on.wait(30)

        with mock.patch.object(self.driver, 'cache_image', slow):
            BEGIN(self.fetches.thread)
            self.assertTrue(begun.wait(30))
            self.driver.cleanup_host(HOST)
            self.assertFalse(go_on.is_set())
            go_on.set()

    def wait(self, condition):
        end = time.time() + 30
        while not condition():
            self.assertLess(time.time(), end)
            time.sleep(0.01)

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

import time
from unittest import mock

import fixtures
from nova import objects
from nova.virt import fake as nova_fake
from nova.virt import node

from cache_aware_sched import report
from cache_aware_sched.report import FileKind
from cache_aware_sched.virt import cached_files
from cache_aware_sched.virt import fake
from tests.unit import base
from tests.unit import factories
from tests.unit import rows

HOST = 'h'
GIB = factories.GIB
IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE


class TestImageCache(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cache = fake.image_cache(HOST)

    def files(self, host=HOST):
        return cached_files.CachedFiles(
            fake.FakeDirectory(lambda: host)).files()

    def test_put_and_remove(self):
        self.cache.put(IMAGE, GIB)
        self.cache.put(OTHER_IMAGE, GIB)

        self.cache.remove(IMAGE)
        self.cache.remove(IMAGE)

        self.assertEqual([factories.file_of(OTHER_IMAGE, GIB)], self.files())
        self.assertFalse(self.cache.has(IMAGE))
        self.assertTrue(self.cache.has(OTHER_IMAGE))

    def test_fetch_that_goes_on(self):
        self.cache.begin(IMAGE, GIB)

        [file] = self.files()

        self.assertIs(FileKind.ARRIVING, file.kind)
        self.assertFalse(self.cache.has(IMAGE))

    def test_cache_of_a_host(self):
        self.cache.put(IMAGE, GIB)

        self.assertTrue(fake.image_cache(HOST).has(IMAGE))
        self.assertEqual([], self.files('other'))

    def test_files_are_as_large_as_they_say(self):
        """Though nothing of them is on the disk."""
        self.cache.put(IMAGE, GIB)
        where = fake.FakeDirectory(lambda: HOST)

        [entry] = where.entries(time.time())

        self.assertEqual(GIB, entry.size)
        self.assertEqual((0, 10 ** 6 * GIB), (
            where.disk().used, where.disk().available))
        self.assertEqual([HOST], where.hosts())


class FakeDriverTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(rows.Rows())
        self.driver = self.start()
        self.cache = fake.image_cache(HOST)

    def start(self, host=HOST):
        driver = fake.FakeDriver(mock.Mock(spec=()))
        driver.init_host(host)
        return driver

    def spawn(self, image=IMAGE, size=GIB, driver=None, instance_image=None):
        server = factories.instance(
            image if instance_image is None else instance_image,
            vm_state='active')
        meta = objects.ImageMeta(id=image, size=size)
        (driver or self.driver).spawn(
            self.context, server, meta, [], None, {})
        return server

    def report(self, driver=None, host=HOST):
        resources = (driver or self.driver).get_available_resource(host)
        return report.Report(resources['stats'][report.STATS_KEY])

    def holding(self):
        return self.report().holding(report.image_key(IMAGE))


class TestFakeDriver(FakeDriverTestCase):

    def test_spawn_fetches_the_image(self):
        server = self.spawn(size=3 * GIB)

        self.assertEqual([factories.file_of(size=3 * GIB)],
                         list(self.driver.cached_files()))
        self.assertIn(server.uuid, self.driver.instances)
        self.assertEqual(report.Holding.WARM, self.holding())

    def test_spawn_from_volume_fetches_nothing(self):
        self.spawn(instance_image='')

        self.assertEqual([], list(self.driver.cached_files()))

    def test_server_that_was_not_started_is_no_hit_and_no_miss(self):
        """nova may start it on another host, where it is."""
        with mock.patch.object(self.driver.image_cache_manager.cache, 'booted',
                               autospec=True) as booted:
            with mock.patch.object(fake.time, 'sleep', autospec=True,
                                   side_effect=OSError('no')):
                self.assertRaises(OSError, self.spawn)
            with mock.patch.object(nova_fake.FakeDriver, 'spawn',
                                   autospec=True, side_effect=OSError('no')):
                self.assertRaises(OSError, self.spawn)
            booted.assert_not_called()

            self.spawn()

        self.assertTrue(booted.call_args.args[2])

    def test_image_of_unknown_size(self):
        server = factories.instance()
        self.driver.spawn(self.context, server, objects.ImageMeta(id=IMAGE),
                          [], None, {})

        self.assertEqual(1, len(list(self.driver.cached_files())))

    def test_cached_image_is_not_fetched(self):
        self.cache.put(IMAGE, 5 * GIB)

        self.spawn(size=GIB)

        self.assertEqual([factories.file_of(size=5 * GIB)],
                         list(self.driver.cached_files()))

    def test_cache_image_fetches_ahead_of_time(self):
        with mock.patch('nova.image.glance.API', autospec=True) as api:
            api.return_value.get.return_value = {'size': 2 * GIB}

            fetched = [self.driver.cache_image(self.context, IMAGE)
                       for _again in range(2)]

        self.assertEqual([True, False], fetched)
        self.assertEqual([factories.file_of(size=2 * GIB)],
                         list(self.driver.cached_files()))

    def test_unknown_node(self):
        self.assertEqual({}, self.driver.get_available_resource('other'))

    def test_first_start_leaves_the_identity_that_a_restart_asks_for(self):
        # Given a nova-compute that has read its configuration.
        path = self.useFixture(fixtures.TempDir()).path
        self.useFixture(fixtures.MockPatchObject(
            node, 'CONF', mock.Mock(config_file=[], state_path=path)))

        self.start()
        left = node.read_local_node_uuid()
        self.start()
        self.start('other')

        self.assertEqual({left: HOST}, self.start().get_nodenames_by_uuid())
        self.assertEqual(left, node.read_local_node_uuid())

    def test_new_host_shares_its_storage_with_nobody(self):
        self.start('new')

        self.assertNotIn('storage', ' '.join(self.warnings()))

    def test_start_without_a_place_for_the_identity(self):
        self.useFixture(fixtures.MockPatchObject(
            node, 'CONF', mock.Mock(config_file=[], state_path='/nowhere')))

        self.assertEqual([HOST], self.start().get_available_nodes())

        self.assertIn('/nowhere', self.warnings()[-1])

    def test_restart_keeps_the_cache_and_the_uuid_of_the_node(self):
        self.spawn()
        before = self.driver.get_available_resource(HOST)['uuid']

        again = self.start()

        self.assertEqual(before, again.get_available_resource(HOST)['uuid'])
        self.assertEqual({before: HOST}, again.get_nodenames_by_uuid())
        self.assertEqual(1, len(self.report(again).files(
            report.image_key(IMAGE))))

    def test_hosts_have_caches_of_their_own(self):
        other = self.start('other')

        self.spawn()

        self.assertEqual([], list(self.report(other, 'other')))
        self.assertNotEqual(
            self.driver.get_available_resource(HOST)['uuid'],
            other.get_available_resource('other')['uuid'])


class TestFetches(FakeDriverTestCase):

    def setUp(self):
        super().setUp()
        self.set(fake_image_fetch_seconds=0.2)

    def test_two_spawns_of_one_image_fetch_once(self):
        fetches = []
        real = self.driver.image_fetched

        def count(sha1):
            fetches.append(sha1)
            return real(sha1)

        with mock.patch.object(self.driver, 'image_fetched',
                               autospec=True, side_effect=count):
            threads = [self.run_in_thread(self.spawn) for _ in range(4)]
            time.sleep(0.1)
            self.assertEqual(report.Holding.ARRIVING, self.holding())
            self.assertEqual({}, self.driver.instances)
            for thread in threads:
                thread.join(10)

        self.assertEqual(1, len(fetches))
        self.assertEqual(4, len(self.driver.instances))
        self.assertEqual(report.Holding.WARM, self.holding())

    def test_fetch_that_fails_does_not_hang_others(self):
        """Whoever waited for it, or comes later, fetches the image."""
        real, failed = time.sleep, []

        def fail_once(seconds):
            real(seconds)
            if not failed:
                failed.append(seconds)
                raise OSError('disk is full')

        with mock.patch.object(fake, 'time', autospec=True) as clock:
            clock.sleep.side_effect = fail_once
            first = self.run_in_thread(
                lambda: self.assertRaises(OSError, self.spawn))
            real(0.05)
            waiting = self.run_in_thread(self.spawn)
            first.join(5)
            later = self.run_in_thread(self.spawn)
            waiting.join(5)
            later.join(5)

        self.assertEqual(2, len(self.driver.instances))
        self.assertEqual(report.Holding.WARM, self.holding())

    def test_failed_fetch_leaves_nothing_behind(self):
        with mock.patch.object(fake, 'time', autospec=True) as clock:
            clock.sleep.side_effect = OSError('disk is full')
            self.assertRaises(OSError, self.spawn)

        self.assertEqual(report.Holding.COLD, self.holding())


class TestNova(base.TestCase):

    def test_driver_is_where_nova_looks_for_it(self):
        from nova.virt import driver
        self.set_nova(compute_driver='cache_aware.FakeDriver')

        loaded = driver.load_compute_driver(mock.Mock(spec=()))

        self.assertIsInstance(loaded, fake.FakeDriver)
        self.assertIsInstance(loaded, nova_fake.FakeDriver)

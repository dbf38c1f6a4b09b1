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

import inspect
from unittest import mock

import fixtures
from nova.virt import driver as nova_driver

from cache_aware_sched import report
from cache_aware_sched.report import FileKind
from cache_aware_sched.virt import driver
from cache_aware_sched.virt import host_report
from cache_aware_sched.virt import late_check
from tests.unit import base
from tests.unit import database
from tests.unit import factories
from tests.unit import rows

HOST = 'h'
KEY = report.image_key(factories.IMAGE)


class Hypervisor(nova_driver.ComputeDriver):
    """As little of a driver as will do."""

    stats = None

    def __init__(self, virtapi):
        super().__init__(virtapi)
        self.host = None
        self.spawned = []

    def init_host(self, host):
        self.host = host

    def get_available_resource(self, nodename):
        if nodename != HOST:
            return {}
        return {'vcpus': 4, **({} if self.stats is None
                               else {'stats': self.stats})}

    def spawn(self, context, instance, *args, **kwargs):
        self.spawned.append(instance.uuid)
        return 'spawned'


class Driver(driver.CacheAwareMixin, Hypervisor):

    files = ()
    caches = True

    def cached_files(self):
        return list(self.files)

    def caches_images(self):
        return self.caches


class DriverTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.rows = self.useFixture(rows.Rows())
        self.driver = Driver(mock.Mock(spec=()))
        self.driver.init_host(HOST)
        self.refresh = self.useFixture(fixtures.MockPatchObject(
            self.driver._cache_report._refresher, 'request',
            autospec=True)).mock

    def server(self, image=factories.IMAGE, **fields):
        return self.rows.server(image, HOST, **fields)

    def stats(self):
        return self.driver.get_available_resource(HOST).get('stats')

    def report(self):
        return report.Report(self.stats()[report.STATS_KEY])


class TestReport(DriverTestCase):

    def test_is_in_the_statistics(self):
        self.driver.files = [factories.file_of()]

        self.assertEqual(report.Holding.WARM, self.report().holding(KEY))

    def test_empty_cache(self):
        self.assertEqual(report.Holding.COLD, self.report().holding(KEY))

    def test_is_a_text(self):
        """Anything else nova refuses."""
        for value in self.stats().values():
            self.assertIsInstance(value, str)

    def test_does_not_change_while_nothing_does(self):
        self.driver.files = [factories.file_of(factories.new_uuid())
                             for _ in range(20)]
        before = self.stats()

        self.driver.files = self.driver.files[::-1]

        self.assertEqual(before, self.stats())

    def test_users_are_counted(self):
        self.driver.files = [factories.file_of()]
        self.server()
        self.server()
        self.server(factories.OTHER_IMAGE)
        self.server('')

        [file] = self.report().files(KEY)
        self.assertEqual(2, file.users)

    def test_users_that_come_or_may_come_back_are_counted(self):
        self.driver.files = [factories.file_of()]
        self.rows.moving('other', HOST)
        self.rows.migration(self.rows.server(
            host='other', vm_state='resized'), HOST, 'other', 'finished')

        [file] = self.report().files(KEY)
        self.assertEqual(2, file.users)

    def test_users_that_went_are_not_counted(self):
        """Whatever the row of their migration says."""
        self.driver.files = [factories.file_of()]
        self.rows.migration(
            self.rows.server(host='other'), HOST, 'other', 'running')

        [file] = self.report().files(KEY)
        self.assertEqual(0, file.users)

    def test_users_of_another_node_are_not_counted(self):
        self.driver.files = [factories.file_of()]
        self.server().node = 'other'

        [file] = self.report().files(KEY)
        self.assertEqual(0, file.users)

    def test_user_that_moves_within_the_host_is_counted_once(self):
        self.driver.files = [factories.file_of()]
        self.rows.moving(HOST, HOST, task_state='resize_migrating')

        [file] = self.report().files(KEY)
        self.assertEqual(1, file.users)

    def test_spellings_of_an_image_are_one_image(self):
        """nova names a base file by the spelling that was typed."""
        self.driver.files = [factories.file_of(factories.IMAGE.upper())]
        self.server()
        self.server(factories.IMAGE.upper())

        [file] = self.report()
        self.assertEqual(KEY, file.sha1)
        self.assertEqual((FileKind.COMPLETE, 2), (file.kind, file.users))

    def test_two_files_of_an_image_in_two_spellings_are_listed_once(self):
        self.driver.files = [factories.file_of(),
                             factories.file_of(factories.IMAGE.upper())]
        self.server(factories.IMAGE.upper())

        read = self.report()

        self.assertEqual(1, len(list(read)))
        self.assertEqual(1, read.header.images)

    def test_copies_of_an_image_are_all_listed(self):
        sizes = (20, 40)
        self.driver.files = [factories.file_of(), *(
            factories.file_of(size=gib * factories.GIB, kind=FileKind.RESIZED)
            for gib in sizes)]
        self.server()

        self.assertEqual(3, len(self.report().files(KEY)))

    def test_image_in_use_without_a_file_is_listed_as_absent(self):
        self.server()
        self.server()

        [file] = self.report()
        self.assertEqual((KEY, FileKind.ABSENT, 2),
                         (file.sha1, file.kind, file.users))

    def test_image_that_is_absent_is_no_image_of_the_cache(self):
        self.server()

        read = self.report()

        self.assertEqual(0, read.header.images)
        self.assertEqual(report.Found(report.Holding.COLD, 1, 0),
                         read.look_up(KEY))

    def test_servers_are_counted(self):
        """Whatever they were made of; as nova counts those of its row."""
        self.server()
        self.server('')
        self.server(vm_state='building')
        self.server(vm_state='shelved_offloaded')
        self.server().node = 'other'
        self.rows.moving('other', HOST)

        self.assertEqual(3, self.report().header.servers)

    def test_server_that_is_unshelved_here_is_counted(self):
        """As nova counts it, from when it has claimed the host."""
        self.server(vm_state='shelved_offloaded', task_state='spawning')

        self.assertEqual(1, self.report().header.servers)

    def test_image_that_a_server_names_as_its_kernel_is_still_listed(self):
        """A tenant names what he likes."""
        self.driver.files = [factories.file_of(), factories.file_of('golden')]
        self.server(kernel_id='golden', ramdisk_id='golden')

        self.assertEqual(2, self.report().header.images)

    def test_host_that_does_not_cache(self):
        self.driver.caches = False
        self.driver.files = [factories.file_of()]

        read = self.report()

        self.assertFalse(read.header.caches)
        self.assertEqual([], list(read))

    def test_host_that_does_not_cache_tells_what_is_in_use(self):
        self.driver.caches = False
        self.driver.files = [factories.file_of()]
        self.server()

        read = self.report()

        self.assertEqual(report.Found(report.Holding.COLD, 1, 0),
                         read.look_up(KEY))
        self.assertEqual(0, read.header.images)

    def test_keeps_to_its_size(self):
        self.set(report_max_bytes=1024)
        self.driver.files = [factories.file_of(factories.new_uuid())
                             for _ in range(500)]

        text = self.stats()[report.STATS_KEY]

        self.assertLessEqual(len(text), 1024)
        self.assertTrue(report.Report(text).header.truncated)

    def test_makes_room_for_other_statistics(self):
        self.driver.stats = {'other': 'x' * 45_000}
        self.driver.files = [factories.file_of(factories.new_uuid())
                             for _ in range(500)]

        text = self.stats()[report.STATS_KEY]

        self.assertLess(len(text) + 45_000, 65_535)
        self.assertTrue(report.Report(text).header.truncated)

    def test_no_room_at_all_is_warned_of_once(self):
        self.driver.stats = {'other': 'x' * 65_000}
        self.driver.files = [factories.file_of()]

        for _again in range(3):
            self.assertEqual(self.driver.stats, self.stats())

        self.assertEqual(1, len(self.warnings()))

    def test_no_room_at_all_on_a_host_that_does_not_cache(self):
        self.driver.stats = {'other': 'x' * 65_000}
        self.driver.caches = False

        self.assertEqual(self.driver.stats, self.stats())

    def test_tells_how_fast_images_are_fetched(self):
        with mock.patch.object(
                host_report, 'time', autospec=True) as clock:
            clock.monotonic.side_effect = [0.0, 10.0]
            with self.driver.image_fetched('a' * 40) as fetch:
                fetch.size = 10 ** 9

        self.assertEqual(128, self.report().header.rate)


class TestResources(DriverTestCase):

    def test_statistics_of_the_driver_stay(self):
        self.driver.stats = {'a': 'b'}

        self.assertEqual({'a', report.STATS_KEY}, set(self.stats()))

    def test_statistics_of_the_driver_are_not_changed(self):
        self.driver.stats = {'a': 'b'}

        self.stats()

        self.assertEqual({'a': 'b'}, self.driver.stats)

    def test_resources_of_the_driver_stay(self):
        self.assertEqual(
            4, self.driver.get_available_resource(HOST)['vcpus'])

    def test_unknown_node_has_none(self):
        self.assertEqual({}, self.driver.get_available_resource('other'))

    def test_error_is_logged_and_nothing_broken(self):
        self.driver.stats = {'a': 'b'}
        self.rows.read_servers.side_effect = RuntimeError('database is down')

        self.assertEqual({'a': 'b'}, self.stats())

        [line] = self.errors()
        self.assertIn(HOST, line)

    def test_cache_that_cannot_be_read_is_logged(self):
        with mock.patch.object(self.driver, 'cached_files', autospec=True,
                               side_effect=PermissionError):
            self.assertIsNone(self.stats())

        self.assertEqual(1, len(self.errors()))

    def test_error_is_said_once_until_there_is_a_report(self):
        """nova asks each minute."""
        def fail():
            self.rows.read_servers.side_effect = RuntimeError('it is down')
            self.stats()

        fail()
        fail()
        self.assertEqual(1, len(self.errors()))
        self.assertIn('it is down', self.errors()[0])

        self.rows.read_servers.side_effect = None
        self.stats()
        fail()
        self.assertEqual(2, len(self.errors()))

    def test_error_of_the_driver_is_nova_s(self):
        with mock.patch.object(
                Hypervisor, 'get_available_resource', autospec=True,
                side_effect=ZeroDivisionError):
            self.assertRaises(
                ZeroDivisionError, self.driver.get_available_resource, HOST)

    def test_host_is_told_to_the_driver(self):
        self.assertEqual(HOST, self.driver.host)


class TestFetch(DriverTestCase):

    SHA1 = report.image_sha1(factories.IMAGE)

    def test_image_is_arriving_meanwhile(self):
        with self.driver.image_fetched(self.SHA1):
            self.assertEqual(
                report.Holding.ARRIVING, self.report().holding(KEY))

        self.assertEqual(report.Holding.COLD, self.report().holding(KEY))

    def test_two_fetches_of_one_image(self):
        with self.driver.image_fetched(self.SHA1):
            with self.driver.image_fetched(self.SHA1):
                pass
            self.assertEqual(
                report.Holding.ARRIVING, self.report().holding(KEY))

    def test_what_the_driver_lists_is_not_listed_twice(self):
        self.driver.files = [factories.file_of(kind=FileKind.ARRIVING)]
        with self.driver.image_fetched(self.SHA1):
            self.assertEqual(1, len(list(self.report())))

    def test_beginning_and_end_are_reported_at_once(self):
        with self.driver.image_fetched(self.SHA1):
            self.assertEqual(1, self.refresh.call_count)

        self.assertEqual(2, self.refresh.call_count)

    def test_failure_is_reported_and_raised(self):
        def fail():
            with self.driver.image_fetched(self.SHA1) as fetch:
                fetch.size = 10 ** 12
                raise OSError('disk is full')

        self.assertRaises(OSError, fail)

        self.assertEqual(2, self.refresh.call_count)
        read = self.report()
        self.assertEqual((report.Holding.COLD, 0),
                         (read.holding(KEY), read.header.rate))

    def test_nothing_is_reported_at_once_if_not_wanted(self):
        self.set(report_changes_at_once=False)

        with self.driver.image_fetched(self.SHA1):
            self.driver.image_cache_changed()

        self.refresh.assert_not_called()

    def test_images_that_once_arrived_do_not_pile_up(self):
        for _ in range(50):
            with self.driver.image_fetched(factories.new_uuid()):
                pass

        self.assertEqual(0, sum(self.driver._cache_report._arriving.values()))
        self.assertLess(len(self.driver._cache_report._arriving), 10)

    def test_many_images_that_arrive_at_once(self):
        """Servers are spawned in threads, of the same images and others."""
        def fetch():
            for number in range(200):
                with self.driver.image_fetched(f'{number % 7:040x}'):
                    self.driver._cache_report._files()

        failed = []
        threads = [self.run_in_thread(
            lambda: self.failures(fetch, failed)) for _ in range(4)]
        for thread in threads:
            thread.join()

        self.assertEqual([], failed)
        self.assertEqual({}, dict(self.driver._cache_report._arriving))

    def failures(self, function, failed):
        try:
            function()
        except Exception as error:
            failed.append(error)


class TestSpawn(DriverTestCase):

    def setUp(self):
        super().setUp()
        self.admit = self.useFixture(fixtures.MockPatchObject(
            late_check.LateCheck, 'admit', autospec=True)).mock
        self.forget = self.useFixture(fixtures.MockPatchObject(
            late_check.LateCheck, 'forget', autospec=True)).mock
        self.instance = factories.instance(vm_state='building')

    def test_admitted_server_is_spawned(self):
        result = self.driver.spawn(self.context, self.instance, None)

        self.assertEqual('spawned', result)
        self.assertEqual([self.instance.uuid], self.driver.spawned)
        self.forget.assert_not_called()

    def test_refused_server_is_not_spawned(self):
        self.admit.side_effect = late_check.SameImageCapReached(
            host=HOST, servers='1 server', cap=1, image='i')

        self.assertRaises(
            late_check.SameImageCapReached, self.driver.spawn,
            self.context, self.instance, None)

        self.assertEqual([], self.driver.spawned)

    def test_failed_spawn_is_forgotten(self):
        for error in (RuntimeError, SystemExit):
            with mock.patch.object(Hypervisor, 'spawn', autospec=True,
                                   side_effect=error):
                self.assertRaises(error, self.driver.spawn, self.context,
                                  self.instance, None)

            self.forget.assert_called_with(mock.ANY, self.instance.uuid)


class TestServerChanges(DriverTestCase):
    """nova writes what it had the driver do a moment later."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            late_check.LateCheck, 'admit', autospec=True))
        self.done = {name: self.useFixture(fixtures.MockPatchObject(
            Hypervisor, name, autospec=True, return_value=name)).mock
            for name in ('spawn', *driver.SERVER_CHANGES)}

    def arguments(self, name):
        """Return what nova must give a method of the driver."""
        method = getattr(nova_driver.ComputeDriver, name)
        return [
            factories.instance() if parameter.name == 'instance'
            else mock.sentinel.argument
            for parameter in inspect.signature(method).parameters.values()
            if parameter.name != 'self'
            and parameter.default is parameter.empty]

    def test_each_is_reported_at_once_and_when_it_has_settled(self):
        for name, done in self.done.items():
            self.refresh.reset_mock()
            arguments = self.arguments(name)

            result = getattr(self.driver, name)(*arguments)

            self.assertEqual(name, result)
            done.assert_called_once_with(self.driver, *arguments)
            self.refresh.assert_called_once_with(settles=True, at_once=False)

    def test_keywords_are_handed_on(self):
        self.driver.destroy(*self.arguments('destroy'), destroy_disks=False)

        self.assertEqual({'destroy_disks': False},
                         self.done['destroy'].call_args.kwargs)

    def test_what_fails_is_reported_and_raised(self):
        for name, done in self.done.items():
            self.refresh.reset_mock()
            done.side_effect = ZeroDivisionError

            self.assertRaises(
                ZeroDivisionError, getattr(self.driver, name),
                *self.arguments(name))

            self.refresh.assert_called_once_with(settles=True, at_once=False)

    def test_it_is_done_before_it_is_reported(self):
        for name, done in self.done.items():
            self.refresh.reset_mock()
            done.side_effect = (
                lambda *_args: self.refresh.assert_not_called())

            getattr(self.driver, name)(*self.arguments(name))

    def test_nothing_is_reported_at_once_if_not_wanted(self):
        self.set(report_changes_at_once=False)

        for name in self.done:
            getattr(self.driver, name)(*self.arguments(name))

        self.refresh.assert_not_called()

    def test_all_that_moves_a_server_is_among_them(self):
        self.assertEqual({
            'destroy', 'migrate_disk_and_power_off', 'finish_migration',
            'confirm_migration', 'finish_revert_migration',
            'post_live_migration_at_source',
            'post_live_migration_at_destination'},
            set(driver.SERVER_CHANGES))

    def test_nova_calls_each_by_its_name(self):
        for name in ('spawn', *driver.SERVER_CHANGES):
            self.assertTrue(
                callable(getattr(nova_driver.ComputeDriver, name, None)),
                f'{name} is gone: see cache_aware_sched.virt.driver')


class TestDatabase(database.DatabaseTestCase):
    """What the report has from a real database."""

    def setUp(self):
        super().setUp()
        self.driver = Driver(mock.Mock(spec=()))
        self.driver.init_host(HOST)
        self.driver.files = [factories.file_of()]

    def report(self):
        return report.Report(self.driver.get_available_resource(
            HOST)['stats'][report.STATS_KEY])

    def test_servers_here_coming_and_coming_back(self):
        self.server(HOST)
        self.server(HOST, image=factories.IMAGE.upper())
        self.server(HOST, node='other')
        self.server(HOST, 'shelved_offloaded')
        self.server(HOST, image='')
        self.load(self.server(HOST)).destroy()
        self.migration(self.server('other', task_state='migrating'),
                       'running', 'other', HOST)
        self.migration(self.server('other', 'resized'), 'finished', HOST,
                       'other')
        self.migration(self.server('other'), 'running', HOST, 'other')
        self.migration(self.server('other', task_state='migrating'),
                       'running', 'other', 'third')

        read = self.report()

        self.assertEqual(5, read.look_up(KEY).users)
        self.assertEqual(3, read.header.servers)


class TestContract(base.TestCase):

    def test_driver_must_say_what_it_holds(self):
        class Incomplete(driver.CacheAwareMixin, Hypervisor):
            pass

        self.assertRaises(TypeError, Incomplete, None)

    def test_driver_caches_if_it_says_nothing_else(self):
        class Silent(driver.CacheAwareMixin, Hypervisor):
            def cached_files(self):
                return ()

        self.assertTrue(Silent(None).caches_images())

    def test_bad_option_stops_the_compute(self):
        with mock.patch('cache_aware_sched.config.checked',
                        side_effect=ValueError):
            self.assertRaises(ValueError, Driver, None)

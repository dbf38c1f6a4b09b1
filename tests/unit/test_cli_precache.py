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

"""``cache-aware-sched precache``, on nova's own tables."""

import concurrent.futures
import datetime
import io
import json
import os
import pathlib
from unittest import mock

import fixtures
import sqlalchemy as sa

from cache_aware_sched import cap
from cache_aware_sched.cli import fleet_access
from cache_aware_sched.fleet import glance
from cache_aware_sched import nova_databases
from cache_aware_sched.precache import asking
from cache_aware_sched.precache import coordination
from cache_aware_sched.precache import fetching
from cache_aware_sched.precache import pace
from cache_aware_sched import report
from cache_aware_sched import service_account
from tests.unit import factories
from tests.unit import test_cli_host
from tests.unit.test_fleet_hosts import NODES
from tests.unit.test_fleet_hosts import NOW
from tests.unit.test_fleet_hosts import reporting

GIB = factories.GIB
IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
CLOUD, TENANT = 'c' * 32, 'd' * 32


class Terminal(io.StringIO):
    """What is printed, as if somebody watched."""

    def isatty(self):
        return True


class PrecacheCommandTestCase(test_cli_host.HostCommandTestCase):
    """Three hosts with room, and an image of the cloud's own."""

    NOUN = 'precache'

    def setUp(self):
        super().setUp()
        self.images = {}
        self.useFixture(fixtures.MockPatchObject(
            fleet_access, 'now_utc', return_value=NOW))
        self.useFixture(fixtures.MockPatchObject(
            glance, 'records', side_effect=lambda wanted, single: {
                image: self.images.get(image) for image in wanted}))
        self.set(precache_owners=[CLOUD])
        self.image(IMAGE)
        for name in 'abc':
            self.room(name)

    # Given.

    def image(self, image_id, owner=CLOUD, size=GIB, active=True):
        self.images[image_id] = glance.GlanceImage(
            f'name of {image_id[:4]}', owner, size, 0, active)

    def room(self, name, *files, free_gib=100, **more):
        self.host(name, reporting(
            *files, facts=report.HostFacts(free_gib=free_gib)), **more)

    def boots(self, number, image=IMAGE, host='a', **fields):
        """Have so many servers created an hour ago."""
        at = NOW - datetime.timedelta(hours=1)
        for _number in range(number):
            self.server(image, host, **{
                'created_at': at, 'updated_at': at, **fields})

    # Then.

    def planned(self, *argv):
        """Return the hosts of each line by image and zone."""
        return {(row['Image'], row['Zone']): ', '.join(row['Hosts'])
                for row in self.read_json('plan', *argv)}


class PlanShowTests(PrecacheCommandTestCase):

    def test_line(self):
        self.boots(200)

        [row] = self.read_json('plan')

        boots = row.pop('Servers a day')
        self.assertAlmostEqual(20, boots, delta=1)
        self.assertEqual({
            'Image': IMAGE, 'Name': f'name of {IMAGE[:4]}', 'Zone': '',
            'There': 0, 'Wanted': 3, 'Planned': 3, 'GiB': 3.0,
            'Saved s a day': mock.ANY, 'Hosts': ['a', 'b', 'c'], 'Short': '',
            'Bytes': 3 * GIB,
        }, row)
        self.assertAlmostEqual(boots * GIB / 190e6,
                               row['Saved s a day'], delta=3)

    def test_hosts_are_all_named_for_programs(self):
        """A table names five of them."""
        for name in 'defgh':
            self.room(name)
        argv = ('--expect', f'{IMAGE}=200')

        [row] = self.read_json('plan', *argv)
        _status, out, _err = self.execute('plan', *argv)

        self.assertEqual(list('abcdefgh'), row['Hosts'])
        self.assertIn(' a, b, c, d, e and 3 more ', out)

    def test_bytes_are_exact_for_programs(self):
        """A table has GiB, and bytes if they are asked for."""
        self.image(IMAGE, size=GIB + 1)
        argv = ('--expect', f'{IMAGE}=20', '--min-copies', '1')

        [row] = self.read_json('plan', *argv)
        _status, table, _err = self.execute('plan', *argv)
        _status, asked, _err = self.execute('plan', *argv, '-c', 'Bytes')

        self.assertEqual((1.0, GIB + 1), (row['GiB'], row['Bytes']))
        self.assertNotIn('Bytes', table)
        self.assertIn(f' {GIB + 1} ', asked)

    def test_deleted_servers_count(self):
        self.boots(200, deleted=1)

        self.assertEqual({(IMAGE, ''): 'a, b, c'}, self.planned())

    def test_what_is_there(self):
        self.room('d', report.BaseFile(report.image_sha1(IMAGE), GIB))
        self.room('e', report.BaseFile(
            report.image_sha1(IMAGE), 0, report.FileKind.ARRIVING))
        self.boots(200)

        [row] = self.read_json('plan')

        self.assertEqual((2, 5, 3, 3.0), (
            row['There'], row['Wanted'], row['Planned'], row['GiB']))

    def test_clusters_are_passed_over(self):
        """Neither what they hold counts, nor do they fetch or renew."""
        held = report.BaseFile(report.image_sha1(IMAGE), GIB)
        self.room('vc', held, hypervisor=cap.CLUSTER)
        self.host('silent', hypervisor=cap.CLUSTER)
        self.boots(200)

        [row] = self.read_json('plan')
        _status, _out, said = self.execute('plan')

        self.assertEqual((0, 3, ['a', 'b', 'c'], ''), (
            row['There'], row['Wanted'], row['Hosts'], row['Short']))
        self.assertIn('Passed over, as nova fetches nothing ahead of time to '
                      'a cluster of VMware: silent, vc.', said)
        self.assertNotIn('renew', said)

    def test_bare_metal_is_passed_over(self):
        """It thins out no copies, and is down without any doubt.

        One nova-compute has many nodes, whose servers use no image cache.
        """
        for number in range(97):
            self.host('metal', node=f'node{number}', hypervisor='ironic',
                      service=not number, forced_down=True)
        self.image(OTHER_IMAGE)
        self.boots(200)
        self.boots(200, OTHER_IMAGE, 'metal')

        status, out, said = self.execute('plan', '-f', 'json')

        self.assertEqual([(IMAGE, 3, 3)], [
            (row['Image'], row['Wanted'], row['Planned'])
            for row in json.loads(out)], status)
        self.assertNotIn('In doubt', said)

    def test_servers_of_clusters_are_no_demand_of_others(self):
        self.room('vc', hypervisor=cap.CLUSTER)
        self.boots(200, host='vc')

        self.assertEqual({}, self.planned())

    def test_only_images_that_the_operator_chose(self):
        self.image(OTHER_IMAGE, TENANT)
        self.boots(200, OTHER_IMAGE)
        for options, wanted in (
                ({}, {}),
                ({'precache_owners': [TENANT]}, {OTHER_IMAGE}),
                ({'precache_owners': ['*']}, {OTHER_IMAGE}),
                ({'precache_images': [OTHER_IMAGE.upper()]}, {OTHER_IMAGE}),
                ({'precache_owners': ['*'],
                  'precache_exclude': [OTHER_IMAGE]}, {})):
            self.set(**{'precache_owners': [CLOUD], 'precache_images': [],
                        'precache_exclude': [], **options})
            self.assertEqual(
                set(wanted), {image for image, _zone in self.planned()},
                options)

    def test_no_choice(self):
        self.set(precache_owners=[])

        status, out, err = self.execute('plan')

        self.assertEqual((1, ''), (status, out))
        self.assertIn('precache_owners', err)

    def test_each_zone_for_itself(self):
        self.aggregate('east', 'b', 'c', zone='az1')
        self.boots(200, host='b')

        self.assertEqual({(IMAGE, 'az1'): 'b, c'}, self.planned())

    def test_servers_of_hosts_that_are_gone(self):
        """nova still has their zone."""
        self.aggregate('east', 'b', 'c', zone='az1')
        self.boots(200, host='gone', availability_zone='az1')
        self.boots(200, OTHER_IMAGE, 'gone', availability_zone='nova')
        self.image(OTHER_IMAGE)

        rows = self.read_json('plan')

        self.assertEqual([
            (IMAGE, 'az1', 20.0, ['b', 'c']), (OTHER_IMAGE, '', 20.0, ['a']),
        ], [(row['Image'], row['Zone'], row['Servers a day'], row['Hosts'])
            for row in rows])

    def test_announced_servers(self):
        self.aggregate('east', 'b', 'c', zone='az1')
        for expect, planned in (
                (f'{IMAGE}=60@az1', {(IMAGE, 'az1'): 'b, c'}),
                (f'{IMAGE}=60@nova', {(IMAGE, ''): 'a'}),
                (f'{IMAGE.upper()}=60', {
                    (IMAGE, 'az1'): 'b, c', (IMAGE, ''): 'a'}),
                (f'{IMAGE.replace("-", "")}=60@az1', {
                    (IMAGE, 'az1'): 'b, c'})):
            self.assertEqual(planned, self.planned('--expect', expect))

    def test_zones_that_get_no_servers(self):
        """Announced servers go to the others; what names one is told."""
        self.room('d', disabled=True)
        self.room('e', disabled=True)
        self.aggregate('west', 'd', 'e', zone='az2')

        [row] = self.read_json('plan', '--expect', f'{IMAGE}=60')
        _status, _out, said = self.execute(
            'plan', '--expect', f'{IMAGE}=60@az2')

        self.assertEqual(('', 60), (row['Zone'], row['Servers a day']))
        self.assertIn(f'Image {IMAGE} is announced in vain in zone az2: no '
                      'host there is up and enabled.', said)

    def test_announcements_that_are_none(self):
        for text in (IMAGE, f'{IMAGE}=0', f'{IMAGE}=x', f'{IMAGE}=5@',
                     '=5', 'x=5', f'{IMAGE}=-5', f'{IMAGE}=' + '9' * 5000):
            status, _out, err = self.execute('plan', '--expect', text)
            self.assertEqual(2, status)
            self.assertIn('IMAGE=COUNT', err)
        status, _out, err = self.execute('plan', '--expect', f'{IMAGE}=5@x')
        self.assertEqual(1, status)
        self.assertIn("no host is in the availability zone 'x'", err)

    def test_images_that_are_announced_in_vain(self):
        self.boots(1)
        self.image(OTHER_IMAGE, TENANT)
        for image, options, active, why in (
                (OTHER_IMAGE, {}, True, f'its project {TENANT!r} is not'),
                (IMAGE[:-1] + 'f', {}, True, 'Glance does not show it'),
                (IMAGE, {'precache_exclude': [IMAGE]}, True,
                 'precache_exclude has it'),
                (IMAGE, {}, False, 'it is not active'),
                (IMAGE, {}, True, '')):
            self.set(**{'precache_exclude': [], **options})
            self.image(IMAGE, active=active)

            _status, _out, err = self.execute(
                'plan', '--expect', f'{image}=5', '--expect', f'{image}=6')

            self.assertEqual(bool(why), f'Image {image} is announced in vain: '
                             f'{why}' in err, err)

    def test_image_that_glance_has_no_more(self):
        """Servers that were booted from it are no demand any more."""
        self.set(precache_owners=['*'], precache_images=[IMAGE])
        self.room('d', report.BaseFile(report.image_sha1(IMAGE), GIB))
        self.boots(9)
        self.assertEqual(1, len(self.read_json('plan')))
        del self.images[IMAGE]

        self.assertEqual([], self.read_json('plan'))

    def test_zone_of_a_cell_that_cannot_be_read(self):
        """That the cell is away is told; who watches must not end for it."""
        select = nova_databases.Database.select

        def away(database, statement):
            if database.cell == 'cell1':
                raise nova_databases.Unreadable('cell1 is away')
            return select(database, statement)

        with mock.patch.object(nova_databases.Database, 'select', away):
            status, _out, err = self.execute(
                'plan', '--expect', f'{IMAGE}=5@az1')

        self.assertEqual(0, status, err)
        self.assertIn('In doubt: cell1 is away', err)

    def test_hardly_any_rate(self):
        self.boots(200)

        status, _out, err = self.execute('plan', '--max-gbps', '1e-300')

        self.assertEqual(0, status, err)
        self.assertIn('in about more than a year', err)

    def test_hardly_any_half_life(self):
        status, _out, err = self.execute('plan', '--half-life-hours', '1e-12')

        self.assertEqual(2, status)
        self.assertIn('--half-life-hours', err)

    def test_hosts_that_are_not_to_fetch(self):
        self.room('down', forced_down=True)
        self.room('disabled', disabled=True)
        self.room('full', free_gib=1)
        self.host('rbd', reporting(caches=False))
        self.host('silent', '{}')
        self.boots(2000)

        self.assertEqual({(IMAGE, ''): 'a, b, c'}, self.planned())

    def test_room_that_hosts_tell(self):
        """One is at its limit, one evicts what nobody asks for."""
        junk = report.BaseFile('1' * 40, 9 * GIB)
        for host, facts in (
                ('a', report.HostFacts(free_gib=99, room_gib=1, evicts=False)),
                ('b', report.HostFacts(free_gib=99, room_gib=0, evicts=True)),
                ('c', report.HostFacts(free_gib=1, room_gib=9, evicts=True))):
            self.run_in(self.cells['cell1'], sa.update(NODES).where(
                NODES.c.host == host).values(
                    stats=reporting(junk, facts=facts)))
        self.boots(200)

        self.assertEqual({(IMAGE, ''): 'c, b'}, self.planned())

    def test_zones_whose_hosts_cannot_fetch(self):
        """It is said why nothing is planned there."""
        self.host('rbd', reporting(caches=False))
        self.host('stock', '{}')
        self.aggregate('ceph', 'rbd', zone='az1')
        self.aggregate('new', 'stock', zone='az2')
        self.boots(200, host='rbd')
        self.boots(200, host='stock')

        rows = self.read_json('plan')
        _status, _out, said = self.execute('plan')

        self.assertEqual({
            'az1': 'no host of the zone gets servers and keeps images',
            'az2': 'no host of the zone reports all it holds',
        }, {row['Zone']: row['Short'] for row in rows})
        self.assertIn('1 image lacks copies that no host can take', said)

    def test_glance_is_silent(self):
        self.boots(200)
        with mock.patch.object(glance, 'records', side_effect=(
                glance.GlanceSilent('Glance does not answer'))):
            status, _out, err = self.execute('plan')

        self.assertEqual(0, status)
        self.assertIn('Glance does not answer', err)
        self.assertIn('Nothing is to be fetched.', err)

    def test_glance_has_too_many_images(self):
        self.boots(200)
        self.boots(200, OTHER_IMAGE)
        found = {IMAGE: self.images[IMAGE]}
        with mock.patch.object(glance, 'records', return_value=found):
            _status, _out, err = self.execute('plan')

        self.assertIn('1 of those that are asked for were not looked at', err)
        self.assertIn('To fetch 3 times', err)

    def test_inputs_that_look_wrong(self):
        self.boots(200)
        self.room('d', forced_down=True)
        self.room('e', forced_down=True)

        _status, _out, err = self.execute('plan')

        self.assertIn('In doubt: 2 of 5 hosts are down', err)

    def test_no_servers(self):
        _status, _out, err = self.execute('plan')

        self.assertIn('In doubt: no servers were created lately.', err)

    def test_failure_domains(self):
        self.aggregate('rack1', 'a', 'b', rack='1')
        self.aggregate('rack2', 'c', rack='2')
        self.boots(200)
        self.image(IMAGE, size=GIB)

        hosts = self.planned('--domain-key', 'rack')[IMAGE, '']

        self.assertEqual('a, c, b', hosts)

    def test_image_that_cannot_be_fetched(self):
        self.image(IMAGE, active=False)
        self.boots(200)

        self.assertEqual({}, self.planned())


class PrecacheApplyTests(PrecacheCommandTestCase):
    """With hosts that fetch at once and report it, or fail."""

    def setUp(self):
        super().setUp()
        self.boots(200)
        self.asked = []
        self.answers = {}
        self.useFixture(fixtures.MockPatchObject(
            service_account, 'session', autospec=True))
        self.useFixture(fixtures.MockPatchObject(
            asking, 'rpc', TRANSPORT=object()))
        self.useFixture(fixtures.MockPatchObject(
            asking.rpcapi, 'ComputeAPI', autospec=True))
        self.useFixture(fixtures.MockPatchObject(
            asking.HostAsker, '_fetch', self.fetch, autospec=False))
        for name, seconds in (('REPORT_SECONDS', 0.2), ('TURN_SECONDS', 0.01),
                              ('CONFIRM_SECONDS', 2.0)):
            self.useFixture(fixtures.MockPatchObject(fetching, name, seconds))
        self.set_nova(state_path=self.path)

    def fetch(self, copy):
        self.asked.append(copy.host)
        answer = self.answers.get(copy.host, 'cached')
        if isinstance(answer, Exception):
            raise answer
        if answer == 'cached':
            self.report(copy.host, report.BaseFile(
                report.image_sha1(copy.image_id), GIB))
        return answer

    def report(self, host, *files):
        self.run_in(self.cells['cell1'], sa.update(NODES).where(
            NODES.c.host == host).values(stats=reporting(
                *files, facts=report.HostFacts(free_gib=100))))

    def apply(self, *argv):
        status, out, err = self.execute('apply', '-f', 'json', *argv)
        return status, json.loads(out or '[]'), err

    def test_all_hosts_fetch(self):
        status, rows, err = self.apply()

        self.assertEqual((0, []), (status, rows), err)
        self.assertEqual(['a', 'b', 'c'], sorted(self.asked))
        self.assertIn('3 cached, 0 existing, 0 failed, 0 not tried.', err)

    def test_given_again_it_fetches_nothing(self):
        self.apply()

        status, _rows, err = self.apply('--renew-hours', '0')

        self.assertEqual((0, 3), (status, len(self.asked)), err)

    def test_copies_that_are_there_are_renewed(self):
        self.apply()
        self.answers = dict.fromkeys('abc', 'existing')

        status, _rows, err = self.apply()

        self.assertEqual((0, 6), (status, len(self.asked)), err)
        self.assertIn('To renew: 3 copies that no server uses', err)
        self.assertIn('0 cached, 0 existing, 0 failed, 0 not tried, '
                      '3 renewed.', err)

    def test_hosts_that_fail_are_named(self):
        self.answers = {'a': 'error', 'b': TimeoutError('no reply')}

        status, rows, err = self.apply()

        self.assertEqual(1, status)
        self.assertEqual({'a', 'b'}, {row['Host'] for row in rows})
        self.assertIn('b: image aaaaaaaa', err)
        self.assertIn('not there: no reply.', err)

    def test_bar_on_a_terminal(self):
        self.answers = {'b': 'error'}
        self.useFixture(fixtures.EnvironmentVariable('TERM', 'xterm'))
        with mock.patch.object(io, 'StringIO', Terminal):
            status, _rows, err = self.apply()

        self.assertEqual(1, status)
        self.assertIn('3/3', err)
        self.assertIn('b: image aaaaaaaa', err)
        self.assertIn('2 cached, 0 existing, 1 failed, 0 not tried.', err)

    def test_results(self):
        self.answers = {'a': 'error'}
        path = os.path.join(self.path, 'log')

        self.apply('--results', path)

        with open(path) as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual({('a', 'failed'), ('b', 'cached'), ('c', 'cached')},
                         {(line['host'], line['outcome']) for line in lines})

    def test_results_that_cannot_be_written(self):
        status, _rows, err = self.apply('--results', '/proc/none')

        self.assertEqual((0, 3), (status, len(self.asked)))
        self.assertEqual(1, err.count('Results are not written'))

    def test_pause(self):
        """It is said, once, why nothing begins."""
        path = os.path.join(self.path, 'pause')
        with open(path, 'w'):
            pass
        closed, asked = pace.FetchOptions.closed, []

        def look(options):
            asked.append(1)
            if len(asked) == 4:
                os.unlink(path)
            return closed(options)

        with mock.patch.object(pace.FetchOptions, 'closed', look):
            status, _rows, err = self.apply('--pause-file', path)

        self.assertEqual((0, 3), (status, len(self.asked)))
        self.assertEqual(1, err.count(f'Waiting: {path} is there.\n'), err)
        self.assertEqual(1, err.count('Going on.\n'), err)

    def test_interrupted(self):
        """What goes on is told; a trace is not."""
        settle = fetching.FetchRun._settle
        self.useFixture(fixtures.MockPatchObject(
            asking.HostAsker, 'ask', lambda _asker, copy:
            concurrent.futures.Future()))
        self.useFixture(fixtures.MockPatchObject(
            fetching.FetchRun, '_settle', lambda run: self.interrupt()
            if run._running else settle(run)))

        path = os.path.join(self.path, 'results')

        status, _out, err = self.execute(
            'apply', '--concurrency', '2', '--results', path)

        self.assertEqual(130, status)
        with open(path) as file:
            told = [json.loads(line) for line in file]
        self.assertEqual(['begun'] * 2, [one['outcome'] for one in told])
        self.assertEqual(2, len({one['host'] for one in told}))
        self.assertIn('0 not tried, 2 begun.', err)
        self.assertEqual(2, err.count(' goes on to fetch image '), err)
        self.assertEqual(1, err.count('Interrupted'), err)
        self.assertNotIn('Traceback', err)
        with coordination.locks(None, self.path) as locks:
            self.assertIsNotNone(locks.acquire('host a'))
            self.assertIsNotNone(locks.acquire('slot 0'))

    def interrupt(self):
        raise KeyboardInterrupt

    def test_inputs_that_look_wrong(self):
        for name in 'de':
            self.room(name, forced_down=True)

        status, rows, err = self.apply()

        self.assertEqual((2, [], []), (status, rows, self.asked))
        self.assertIn('Nothing is fetched. --force', err)
        self.assertEqual(0, self.apply('--force')[0])

    def test_database_that_is_away_for_a_moment(self):
        read = nova_databases.Database.select
        reads = []

        def flaky(database, statement):
            reads.append(1)
            if 12 < len(reads) < 18:
                raise nova_databases.Unreadable('gone away')
            return read(database, statement)

        with mock.patch.object(nova_databases.Database, 'select', flaky):
            status, _rows, err = self.apply('--concurrency', '1')

        self.assertEqual((0, True), (status, len(reads) > 18), err)

    def test_no_account(self):
        service_account.session.side_effect = service_account.NoAccount(
            'nova.conf has none')

        status, _rows, err = self.apply()

        self.assertEqual(1, status)
        self.assertIn('nova.conf has none', err)

    def test_options_that_are_none(self):
        for option, value in (('--window', '22-6'), ('--concurrency', '0'),
                              ('--max-gbps', '-1'), ('--timeout', '0')):
            status, _rows, err = self.apply(option, value)
            self.assertEqual(2, status)
            self.assertIn(f'{option}', err)

    def test_watch_once(self):
        status, _out, err = self.execute('watch', '--once')

        self.assertEqual(0, status, err)
        self.assertEqual(['a', 'b', 'c'], sorted(self.asked))

    def test_watch_with_inputs_that_look_wrong(self):
        for name in 'de':
            self.room(name, forced_down=True)

        status, _out, err = self.execute('watch', '--once')

        self.assertEqual((2, []), (status, self.asked))
        self.assertIn('Nothing is done, because the inputs look wrong.', err)

    def test_watch_while_another_is_active(self):
        with coordination.locks(None, self.path) as locks:
            lock = locks.acquire('watch')
            status, _out, err = self.execute('watch', '--once')
            lock.release()

        self.assertEqual((0, []), (status, self.asked))
        self.assertIn('Another controller is active.', err)


class ReleaseWeekendTests(PrecacheCommandTestCase):
    """The worked example of the page about pre-caching."""

    PAGE = pathlib.Path(__file__).parents[2] / 'doc/source/admin/precache.rst'
    UBUNTU = '96605d95-9d7c-44f6-9d5c-482557450e65'
    ROCKY = '139f7110-60c7-4494-ad19-2da3c82ad589'
    WINDOWS = '90e32e82-3945-4353-8cde-ce75921ebce6'

    def setUp(self):
        super().setUp()
        names = [f'compute{number:03}' for number in range(1, 301)]
        for name in names:
            self.host(name, reporting(
                rate=128, facts=report.HostFacts(free_gib=1400)))
        for zone in range(3):
            self.aggregate(f'az{zone + 1}',
                           *names[100 * zone:100 * zone + 100],
                           zone=f'az{zone + 1}')
        self.boots(40, host=names[0])
        self.images = {image: glance.GlanceImage(
            name, CLOUD, int(gib * GIB), 0, True) for image, name, gib in (
                (self.UBUNTU, 'ubuntu-26.10', 1.5),
                (self.ROCKY, 'rocky-11', 2.5),
                (self.WINDOWS, 'windows-2028', 12))}

    def room(self, *args, **kwargs):
        """Have none of the hosts of the other tests."""

    def plan(self, *argv):
        shown = [argument for column in (
            'Image', 'Name', 'Zone', 'Wanted', 'Planned', 'GiB',
            'Saved s a day') for argument in ('-c', column)]
        return self.execute(
            'plan', '--expect', f'{self.UBUNTU}=600',
            '--expect', f'{self.ROCKY}=300',
            '--expect', f'{self.WINDOWS}=90@az1', *shown, *argv)

    def test_page_shows_what_the_command_says(self):
        page = [line.strip() for line in self.PAGE.read_text().splitlines()]

        status, out, err = self.plan()

        self.assertEqual(0, status)
        for line in [*out.splitlines(), err.splitlines()[-1]]:
            self.assertIn(line, page)

    def test_times_on_the_page(self):
        for limit, time in (([], '0:02:00'), (['--max-gbps', '2'], '0:19:55'),
                            (['--concurrency', '1'], '0:19:55')):
            _status, _out, err = self.plan(*limit)
            self.assertIn(f'in about {time} at 128 MB/s', err)

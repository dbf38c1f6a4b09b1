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
import datetime
import json
import os
from unittest import mock

import hypothesis
from hypothesis import strategies as st
from nova import config as nova_config
from nova.db.api import models as api_models
from nova.db.main import models
from oslo_config import cfg
from oslo_db import exception as db_exc
import sqlalchemy as sa

from cache_aware_sched import nova_databases
from cache_aware_sched import option
from cache_aware_sched.simulator.input import images
from cache_aware_sched.simulator.input.nova import history as nova_history
from cache_aware_sched.simulator.input.nova import images as nova_images
from cache_aware_sched.simulator.input import options
from tests.unit import base
from tests.unit import factories
from tests.unit import nova_tables

GIB = factories.GIB
CELL0 = '00000000-0000-0000-0000-000000000000'
START = datetime.datetime(2026, 1, 1)
HOUR = datetime.timedelta(hours=1)
INSTANCES = models.Instance.__table__
SHADOW = sa.Table('shadow_instances', sa.MetaData(), *(
    sa.Column(column.name, column.type) for column in INSTANCES.columns))


def spec(image=factories.IMAGE, size=3 * GIB):
    """Return a request as nova stores it, as far as that matters."""
    return json.dumps({'nova_object.data': {'image': {'nova_object.data': {
        'id': image, 'size': size}}}})


class HistoryTestCase(nova_tables.TablesTestCase):
    """Two cells and cell0, all of them files of SQLite."""

    def setUp(self):
        super().setUp()
        self.api = self.make('api', api_models.CellMapping.__table__,
                             api_models.RequestSpec.__table__)
        self.engines = {}
        for uuid, name in ((CELL0, 'cell0'), (factories.CELL, 'cell1'),
                           (factories.OTHER_CELL, 'cell2')):
            self.engines[name] = self.make(name, INSTANCES, SHADOW)
            self.map_cell(name, uuid, self.url(name))

    # Given.

    def server(self, hours=1, cell='cell1', table=INSTANCES, **values):
        """Create a server some hours after the start; return its uuid."""
        row = self.row(hours, **values)
        self.run_in(self.engines[cell], sa.insert(table).values(row))
        return row['uuid']

    def row(self, hours, **values):
        uuid = factories.new_uuid()
        created = START + hours * HOUR
        return {
            'uuid': uuid, 'deleted': 0, 'vm_state': 'active',
            'hidden': False, 'created_at': created, 'launched_at': created,
            'vcpus': 2, 'memory_mb': 1024, 'root_gb': 20, 'ephemeral_gb': 0,
            'image_ref': factories.IMAGE, 'project_id': factories.PROJECT,
            'reservation_id': f'r-{uuid}', 'launch_index': 0, **values}

    def request(self, server, text):
        """Have the request of a server."""
        self.run_in(self.api, sa.insert(api_models.RequestSpec).values(
            instance_uuid=server, spec=text))

    # When.

    def read(self, **how):
        return nova_history.read(
            options.History(**{'since': START, 'until': START + 24 * HOUR,
                               **how}), self.database())

    def servers(self, **how):
        return self.read(**how).servers

    # Then.

    def assert_unreadable(self, *texts, **how):
        error = self.assertRaises(
            nova_databases.Unreadable, self.read, **how)
        for text in texts:
            self.assertIn(text, str(error))
        return str(error)


class TestServers(HistoryTestCase):

    def test_all_cells_in_the_order_of_time(self):
        for hours, cell in ((3, 'cell1'), (1, 'cell2'), (2, 'cell1')):
            self.server(hours, cell)

        self.assertEqual([3600, 7200, 10800],
                         [server.at for server in self.servers()])

    def test_flavor(self):
        self.server(vcpus=4, memory_mb=4096, root_gb=10, ephemeral_gb=5)
        self.server(2, root_gb=0)

        self.assertEqual(
            [(4, 4096, 15), (2, 1024, 1)],
            [(server.vcpus, server.ram_mb, server.disk_gb)
             for server in self.servers()])

    def test_servers_of_a_request_are_a_batch(self):
        for number, uuid in ((1, 'a'), (0, 'b')):
            self.server(2, reservation_id='r-1', launch_index=number,
                        vcpus=number + 1, uuid=uuid)
        self.server(1)
        self.server(3, reservation_id=None)

        self.assertEqual([(0, 2), (1, 1), (1, 2), (2, 2)], [
            (server.batch, server.vcpus) for server in self.servers()])

    def test_lifetimes(self):
        end = START + 3 * HOUR
        self.server(1)
        self.server(1.1, deleted=7, terminated_at=end,
                    deleted_at=end + HOUR)
        self.server(1.2, deleted=8, deleted_at=end)
        # Deleted softly: it may come back, and has its host
        self.server(1.3, vm_state='soft-delete', deleted_at=end)
        # Clocks of two hosts
        self.server(3.5, deleted=9, deleted_at=end)

        self.assertEqual([None, 6840, 6480, None, 0],
                         [server.lifetime for server in self.servers()])

    def test_images_and_projects_are_numbered(self):
        for hours, image, project in (
                (1, factories.IMAGE, factories.PROJECT),
                (2, factories.OTHER_IMAGE, factories.PROJECT),
                (3, factories.IMAGE, factories.OTHER_PROJECT)):
            self.server(hours, image_ref=image, project_id=project)

        found = self.read()

        first, second, third = found.servers
        self.assertEqual(first.image, third.image)
        self.assertEqual(first.project, second.project)
        self.assertEqual(2, len({server.image for server in found.servers}))
        self.assertEqual(2, len({server.project for server in found.servers}))
        for known in (factories.IMAGE, factories.PROJECT):
            self.assertNotIn(known, repr(found))

    def test_images_are_found_by_their_ids(self):
        self.server()

        found = images.assign(self.read(), options.Images())

        self.assertEqual([found.find_image(factories.IMAGE)],
                         list(found.images))
        self.assertIsNone(found.find_image(factories.OTHER_IMAGE))
        self.assertNotIn(factories.IMAGE, repr(found))

    def test_what_does_not_count(self):
        self.server()
        self.server(image_ref='')
        self.server(image_ref=None, vm_state='error')
        self.server(launched_at=None, vm_state='error')
        self.server(launched_at=None, vm_state='building', deleted=3)
        self.server(vcpus=None)
        self.server(hidden=True)
        self.server(cell='cell0')

        found = self.read()

        self.assertEqual(1, len(found.servers))
        self.assertEqual([2, 2, 1, 1], [
            int(note.split()[0]) for note in found.notes
            if 'left out' in note])

    def test_cell0_that_cannot_be_read(self):
        """As by a reader who may not; nothing but a number is lost."""
        self.server()
        self.run_in(self.api, sa.update(api_models.CellMapping).where(
            api_models.CellMapping.uuid == CELL0).values(
                database_connection='sqlite:////nowhere/x'))

        found = self.read()

        self.assertEqual(1, len(found.servers))
        [note] = [note for note in found.notes if 'not counted' in note]
        self.assertIn('cell0', note)

    def test_what_is_being_built_counts(self):
        self.server(launched_at=None, vm_state='building')

        self.assertEqual(1, len(self.servers()))

    def test_archived_servers(self):
        self.server(1)
        twice = self.server(2)
        self.server(3, table=SHADOW, id=1)
        self.server(4, table=SHADOW, id=2, uuid=twice)

        self.assertEqual(2, len(self.servers()))
        self.assertEqual(3, len(self.servers(archived=True)))


class TestPeriod(HistoryTestCase):

    def test_only_what_was_created_in_it(self):
        for hours in (0.9, 1, 1.9, 2):
            self.server(hours)

        found = self.servers(since=START + HOUR, until=START + 2 * HOUR)

        self.assertEqual([0, 3240], [server.at for server in found])

    def test_none(self):
        self.server(image_ref='')

        self.assert_unreadable(
            'no server was created from an image from 2026-01-01 00:00:00 to '
            '2026-01-02 00:00:00 (UTC)', '1 more server left out')

    def test_a_week_until_now(self):
        now = datetime.datetime(2026, 1, 8, 1, tzinfo=datetime.UTC)

        self.assertEqual(
            (datetime.datetime(2026, 1, 1, 1),
             datetime.datetime(2026, 1, 8, 1)),
            nova_history.period(options.History(), now))

    def test_is_told_in_seconds(self):
        self.server()

        found = self.read(until=START + 2 * HOUR
                          + datetime.timedelta(microseconds=7))

        self.assertEqual(
            '1 server created from 2026-01-01 00:00:00 to '
            '2026-01-01 02:00:00 (UTC).', found.notes[0])

    def test_zones(self):
        zone = datetime.timezone(2 * HOUR)

        self.assertEqual(
            (START - 2 * HOUR, START),
            nova_history.period(options.History(
                since=START.replace(tzinfo=zone), until=START), START))

    def test_empty(self):
        self.assertRaises(option.BadOption, self.read, until=START)

    def test_chunks(self):
        for number in (1, 2, 3, 7, 10):
            self.server(number, id=number)

        for chunk in (1, 2, 3, 9, 10, 11):
            self.assertEqual(5, len(self.servers(chunk=chunk)))

    def test_no_statement_looks_at_more_rows_than_a_chunk_has(self):
        for number in range(10):
            self.server(number)
        asked = []
        select = nova_databases.Database.select

        def note(database, statement):
            rows = select(database, statement)
            asked.append(len(rows))
            return rows

        with mock.patch.object(nova_databases.Database, 'select', note):
            self.assertEqual(10, len(self.servers(chunk=4)))

        self.assertEqual(4, max(asked))


class TestImages(HistoryTestCase):

    def sizes(self, *requests):
        """Return the sizes that are known if there are these requests."""
        for hours, text in enumerate(requests):
            server = self.server(hours)
            if text:
                self.request(server, text)
        return list(self.read().sizes.values())

    def test_size(self):
        self.assertEqual([3 * GIB], self.sizes(spec()))

    def test_any_server_s_request_will_do(self):
        self.assertEqual([3 * GIB], self.sizes(None, spec(), None))

    def test_id_in_upper_case(self):
        """nova keeps it in the request as it was typed."""
        self.assertEqual([3 * GIB], self.sizes(
            spec(image=factories.IMAGE.upper())))

    def test_unknown(self):
        self.assertEqual([], self.sizes(None))

    def test_request_of_a_rebuilt_server(self):
        self.assertEqual([], self.sizes(spec(image=factories.OTHER_IMAGE)))

    def test_many_images(self):
        rows = [self.row(1, image_ref=f'image {number}')
                for number in range(1, 151)]
        self.run_in(self.engines['cell1'], sa.insert(INSTANCES).values(rows))
        self.run_in(self.api, sa.insert(api_models.RequestSpec).values([
            {'instance_uuid': row['uuid'],
             'spec': spec(row['image_ref'], int(row['image_ref'].split()[1]))}
            for row in rows]))

        self.assertEqual(set(range(1, 151)),
                         set(self.read().sizes.values()))

    @hypothesis.given(
        st.text() | st.builds(spec, st.just(factories.IMAGE), st.none()
                              | st.text() | st.floats() | st.integers())
        | st.sampled_from(['nova_object.data', 'image', '"id"', 'size']).map(
            lambda name: spec().replace(name, '0')))
    def test_damaged_requests(self, text):
        size = nova_images.size_in(text, factories.IMAGE)

        self.assertTrue(size is None or size >= 0)


class TestDatabases(HistoryTestCase):

    def test_another_database_for_a_cell(self):
        self.engines['replica'] = self.make('replica', INSTANCES)
        self.server(1, 'cell1')
        self.server(2, 'replica')
        self.server(3, 'cell2')

        for name in ('cell1', factories.CELL):
            self.assertEqual([7200, 10800], [
                server.at for server in self.servers(
                    cell_databases=((name, self.url('replica')),))])

    def test_address_from_a_file(self):
        self.engines['replica'] = self.make('replica', INSTANCES)
        self.server(2, 'replica')
        conf = self.conf(f'[database]\nconnection = {self.url("replica")}\n')

        self.assertEqual([7200], [server.at for server in self.servers(
            cell_databases=(('cell1', conf),))])

    def test_files_without_an_address(self):
        for text, why in (
                ('mysql://nova:s3cret@host/nova', 'is not in the format of'),
                ('[database]\nconnection mysql//s3cret', 'is not in the'),
                ('[api_database]\nconnection = mysql://nova:s3cret@host/nova',
                 'has no connection in [database]'),
                ('[database]\nconnection =', 'has no connection in')):
            conf = self.conf(text)

            told = self.assert_unreadable(
                conf, why, cell_databases=(('cell1', conf),))

            self.assertNotIn('s3cret', told)

    def test_password_with_a_dollar(self):
        """oslo.config takes what follows for the name of an option."""
        for dollar in ('s$ecretTail', 's${ecretTail}', 's$ecret.Tail'):
            conf = self.conf('[database]\nconnection = '
                             f'mysql://nova:{dollar}@host/nova\n')

            told = self.assert_unreadable(
                conf, 'write $$', cell_databases=(('cell1', conf),))

            self.assertNotIn('ecret', told)

    def test_password_of_nova_with_a_dollar(self):
        self.set_nova(group='api_database',
                      connection='mysql://nova:s$ecretTail@host/nova')

        error = self.assertRaises(
            nova_databases.Unreadable, nova_databases.api_database)

        self.assertIn('write $$', str(error))
        self.assertNotIn('ecret', str(error))

    def test_no_such_file(self):
        self.assert_unreadable(
            f'{self.path}/none', 'cannot be read',
            cell_databases=(('cell1', f'{self.path}/none'),))

    def conf(self, text):
        path = os.path.join(self.path, 'cell.conf')
        with open(path, 'w') as file:
            file.write(text)
        return path

    def test_no_such_cell(self):
        self.assert_unreadable(
            'there is no cell cell9; there is cell1, cell2',
            cell_databases=(('cell9', 'sqlite://'),))

    def test_two_cells_of_one_name(self):
        """An address for the name would be that of both."""
        self.map_cell('cell1', factories.IMAGE, self.url('cell1'))

        text = self.assert_unreadable(
            'cell cell1', 'by its uuid',
            cell_databases=(('cell1', self.url('cell1')),))

        self.assertIn(factories.IMAGE, text)

    def test_two_addresses_of_one_cell(self):
        self.assert_unreadable(
            'cell cell1', 'once', cell_databases=(
                ('cell1', self.url('cell1')), ('cell1', self.url('cell2'))))

    def test_disabled_cell_whose_database_is_gone(self):
        self.server()
        self.map_cell('cell3', factories.IMAGE, 'sqlite:////nowhere/x')
        self.run_in(self.api, sa.update(api_models.CellMapping).where(
            api_models.CellMapping.name == 'cell3').values(disabled=True))

        self.assertEqual(1, len(self.servers()))

    def test_password_with_braces(self):
        self.map_cell('cell3', factories.IMAGE,
                      'mysql+pymysql://nova:a{b}c@127.0.0.1:1/nova')

        text = self.assert_unreadable('cell cell3')

        self.assertNotIn('template', text)
        self.assertNotIn('a{b}c', text)

    def test_no_cell(self):
        self.run_in(self.api, sa.delete(api_models.CellMapping).where(
            api_models.CellMapping.uuid != CELL0))

        self.assert_unreadable('the API database has no cell but cell0')

    def test_address_from_a_template(self):
        self.set_nova(group='database', connection=self.url('cell1'))
        self.server()
        self.run_in(self.api, sa.update(api_models.CellMapping).where(
            api_models.CellMapping.name == 'cell1').values(
                database_connection='{scheme}:////{path}'))

        self.assertEqual(1, len(self.servers()))

    def test_template_of_nothing(self):
        self.set_nova(group='database', connection=None)
        self.map_cell('cell3', factories.IMAGE, '{scheme}://{hostname}')

        self.assert_unreadable('the address of cell cell3', 'is a template')

    def test_a_cell_that_does_not_answer_is_named(self):
        self.map_cell('cell3', factories.IMAGE, 'sqlite:////nowhere/x')

        self.assert_unreadable(
            f'cell cell3 ({factories.IMAGE}) at sqlite:////nowhere/x cannot '
            'be read: ', 'unable to open database file')

    def test_a_database_of_something_else(self):
        self.make('other', api_models.CellMapping.__table__)

        self.assert_unreadable('no such table: instances', cell_databases=(
            ('cell1', self.url('other')),))

    def test_addresses_that_are_none(self):
        for url in ('sec:ret', 'nothing://nova:secret@host/nova', ''):
            self.map_cell('cell3', factories.IMAGE, url)

            text = self.assert_unreadable('cell cell3')

            self.assertNotIn('sec', text)
            self.run_in(self.api, sa.delete(api_models.CellMapping).where(
                api_models.CellMapping.name == 'cell3'))


class TestConnection(base.TestCase):

    def database(self, dialect='mysql', error=None):
        """Return a database, and the connection to it."""
        connection = mock.MagicMock(
            spec=['dialect', 'exec_driver_sql', 'execute', 'rollback'])
        connection.dialect.name = dialect
        connection.execute.side_effect = error
        manager = mock.MagicMock()
        engine = manager.reader.get_engine.return_value
        engine.connect.return_value.__enter__.return_value = connection
        return nova_databases.Database(
            'cell x', manager,
            'mysql://nova:s%40cret@host/nova?ssl_key=cret'), connection

    def test_the_server_refuses_writes(self):
        for dialect, statement in (
                ('mysql', 'START TRANSACTION READ ONLY'),
                ('mariadb', 'START TRANSACTION READ ONLY'),
                ('postgresql', 'SET TRANSACTION READ ONLY')):
            database, connection = self.database(dialect)

            database.select(sa.select(1))

            self.assertEqual(
                [mock.call.exec_driver_sql(statement),
                 mock.call.execute(mock.ANY), mock.call.execute().all(),
                 mock.call.rollback()], connection.mock_calls)

    def test_driver_that_does_not_take_an_option(self):
        """No class of SQLAlchemy's: it is told as well, of the database."""
        database, _connection = self.database(
            error=TypeError("unexpected keyword argument 's%40cret'"))

        error = self.assertRaises(
            nova_databases.Unreadable, database.select, sa.select(1))

        self.assertIn('cell x at mysql://nova:***@host/nova', str(error))
        self.assertNotIn('cret\'', str(error))

    def test_no_address_in_a_log(self):
        """nova and oslo.db log what they cannot use."""
        self.set_nova('database',
                      connection='mysql+pymysql://nova:s3cret/w@h/nova')
        mapping = mock.Mock(
            uuid='u', disabled=False, database_connection='{scheme}://{x}/')
        mapping.name = 'one'

        with self.assertNoLogs():
            for instead in (None, 'postgresql://u@h/nova?sslpassword=s3cret'):
                with contextlib.suppress(nova_databases.Unreadable):
                    nova_databases._cell(
                        mapping, instead, True).select(sa.select(1))

    def test_no_password_in_an_error(self):
        database, connection = self.database(error=db_exc.DBConnectionError(
            Exception('denied: nova, s@cret\n[SQL: SELECT 1]')))

        error = self.assertRaises(
            nova_databases.Unreadable, database.select, sa.select(1))

        self.assertEqual(
            'cell x at mysql://nova:***@host/nova cannot be read: '
            'denied: nova, ***', str(error))
        self.assertNotIn('cret', repr(database))
        connection.rollback.assert_called_once_with()

    def test_no_address_in_the_configuration(self):
        self.set_nova(group='api_database', connection=None)

        error = self.assertRaises(
            nova_databases.Unreadable, nova_databases.api_database)

        self.assertIn('no connection in [api_database]', str(error))

    def test_no_line_of_a_configuration_in_an_error(self):
        with mock.patch.object(
                nova_config, 'parse_args', autospec=True,
                side_effect=cfg.ConfigFileParseError('/x', "at '/s3cret'")):
            error = self.assertRaises(
                nova_databases.Unreadable, nova_databases.configure, ('/x',))

        self.assertEqual("nova's configuration cannot be read: /x is not in "
                         'the format of nova.conf', str(error))

    def test_no_such_configuration(self):
        with mock.patch.object(
                nova_config, 'parse_args', autospec=True,
                side_effect=cfg.ConfigFilesNotFoundError(['/x'])) as parse:
            error = self.assertRaises(
                nova_databases.Unreadable, nova_databases.configure, ('/x',))

        self.assertIn('/x', str(error))
        self.assertEqual(['/x'], parse.call_args.kwargs[
            'default_config_files'])

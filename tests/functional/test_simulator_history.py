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


"""The history of a cloud, as nova itself wrote it, becomes a workload."""

from tests.functional import base

import dataclasses
import datetime
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading

import fixtures
from nova import context as nova_context
from nova.db.api import api as api_db
from nova.db.main import api as main_db
import sqlalchemy as sa

from cache_aware_sched import nova_databases
from cache_aware_sched.simulator.input.nova import history as nova_history
from cache_aware_sched.simulator.input import options

#: Prints a workload that is read as the command reads it.
READ = """
import json, sys
from cache_aware_sched.simulator.input import options, sources
workload = sources.from_nova(options.Options(
    history=options.History(config_files=(sys.argv[1],))))
print(json.dumps([boot._asdict() for boot in workload.boots]))
"""


class HistoryTestCase(base.CloudTestCase):
    """Two cells with a host each, and servers of every kind."""

    NUMBER_OF_CELLS = 2

    def setUp(self):
        super().setUp()
        self._start_compute('host1', cell_name='cell1')
        self._start_compute('host2', cell_name='cell2')
        self.small, self.large = (
            self.flavor_with(vcpu=vcpus, memory_mb=512 * vcpus, disk=10)
            for vcpus in (1, 2))
        self.public = self.image(size=3 * base.GIB)
        self.other = self.image(size=5 * base.GIB)
        self.kept = self.boot(self.public, host='host1', flavor=self.small)
        self.request(self.other, number=2, host='host2', flavor=self.large)
        self.all_servers()

    def volume_backed(self):
        server = self._build_server(
            image_uuid='', flavor_id=self.small, networks='none')
        server['block_device_mapping_v2'] = [{
            'boot_index': 0, 'destination_type': 'volume', 'volume_size': 1,
            'source_type': 'image', 'uuid': self.public}]
        self._wait_for_state_change(
            self.api.post_server({'server': server}), 'ACTIVE')

    def archive(self):
        for cell in ('cell1', 'cell2'):
            with nova_context.target_cell(
                    nova_context.get_admin_context(),
                    self.cell_mappings[cell]) as context:
                main_db.archive_deleted_rows(context, max_rows=1000)

    def engines(self):
        """Return the engines of the databases by their addresses."""
        return {
            'api': api_db.context_manager.writer.get_engine(),
            **{cell.database_connection: main_db.create_context_manager(
                cell.database_connection).writer.get_engine()
                for cell in self.cell_mappings.values()}}

    def read(self, **how):
        """Return the history, the small server of one second first.

        nova knows when a server was created to the second: those of one
        second have no order.
        """
        # Until when it is in an hour: also what was created this second.
        until = (datetime.datetime.now(datetime.UTC)
                 + datetime.timedelta(hours=1))
        found = nova_history.read(options.History(until=until, **how),
                                  nova_databases.api_database())
        return dataclasses.replace(found, servers=sorted(
            found.servers, key=lambda server: server.vcpus))


class HistoryTests(HistoryTestCase):

    def test_servers_of_all_cells_are_read(self):
        """Those that a host ran from its cache, and no id of any of them."""
        self.volume_backed()
        self.boot(self.public, flavor=self.flavor_with(vcpu=1000),
                  expect='ERROR')

        found = self.read()

        # 10 GiB of root disk and 10 of ephemeral
        self.assertEqual(
            [(1, 512, 20, None), *[(2, 1024, 20, None)] * 2],
            [(server.vcpus, server.ram_mb, server.disk_gb, server.lifetime)
             for server in found.servers])
        one, *two = (server.batch for server in found.servers)
        self.assertEqual([1 - one] * 2, two)
        first, second, _third = (server.image for server in found.servers)
        self.assertEqual({first: 3 * base.GIB, second: 5 * base.GIB},
                         found.sizes)
        self.assertIn('1 more server left out: made from a volume',
                      ' '.join(found.notes))
        for known in (self.public, self.other, self.kept['id'],
                      self.kept['tenant_id']):
            self.assertNotIn(known, repr(found))

    def test_deleted_and_archived_servers(self):
        self._delete_server(self.kept)

        lifetimes = [server.lifetime for server in self.read().servers]

        self.assertEqual([None, None], lifetimes[1:])
        self.assertTrue(0 <= lifetimes[0] < 600, lifetimes)

        self.archive()

        self.assertEqual(2, len(self.read().servers))
        self.assertEqual(3, len(self.read(archived=True).servers))


class ReadOnlyTests(HistoryTestCase):

    def test_nothing_but_select_is_sent(self):
        sent, here = [], threading.get_ident()

        def note(_connection, _cursor, statement, *_rest):
            # nova's services write on threads of their own that they live.
            if threading.get_ident() == here:
                sent.append(statement)

        for engine in self.engines().values():
            sa.event.listen(engine, 'before_cursor_execute', note)

        self.read(archived=True)

        # BEGIN is what oslo.db starts transactions of SQLite with
        self.assertEqual([], [
            statement for statement in sent
            if not re.match('SELECT |BEGIN$', statement)
            or re.search('FOR (UPDATE|SHARE)', statement)])
        # And each kind of table was asked
        for table in ('cell_mappings', 'instances', 'shadow_instances',
                      'request_specs'):
            self.assertTrue(any(
                re.search(rf'FROM {table}\b', statement)
                for statement in sent), table)

    def test_through_nova_s_configuration_from_files_that_stay(self):
        path = self.useFixture(fixtures.TempDir()).path
        urls = self.save_databases(path)
        conf = os.path.join(path, 'nova.conf')
        with open(conf, 'w') as file:
            file.write(f'[api_database]\nconnection = {urls["api"]}\n')
        before = self.digests(path)

        result = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', READ, conf],
            capture_output=True, text=True, timeout=120, check=False)

        self.assertEqual(0, result.returncode, result.stderr)
        self.assertEqual([1, 2, 2], sorted(
            boot['vcpus'] for boot in json.loads(result.stdout)))
        self.assertEqual(before, self.digests(path))

    def save_databases(self, path):
        """Write the databases to files; return their addresses."""
        urls = {}
        for number, (name, engine) in enumerate(self.engines().items()):
            file = os.path.join(path, f'{number}.sqlite')
            urls[name] = f'sqlite:///{file}'
            source = engine.raw_connection()
            target = sqlite3.connect(file)
            source.driver_connection.backup(target)
            target.close()
            source.close()
        mappings = sqlite3.connect(os.path.join(path, '0.sqlite'))
        for name, url in urls.items():
            mappings.execute(
                'UPDATE cell_mappings SET database_connection = ? '
                'WHERE database_connection = ?', (url, name))
        mappings.commit()
        mappings.close()
        return urls

    def digests(self, path):
        digests = {}
        for name in sorted(os.listdir(path)):
            with open(os.path.join(path, name), 'rb') as file:
                digests[name] = hashlib.sha256(file.read()).hexdigest()
        return digests

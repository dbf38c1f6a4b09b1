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

import datetime
import json
import os

from nova.db.api import models as api_models
from nova.db.main import models
import sqlalchemy as sa

from cache_aware_sched.fleet import hosts
from cache_aware_sched import nova_databases
from cache_aware_sched import report
from tests.unit import factories
from tests.unit import nova_tables

NOW = datetime.datetime(2026, 1, 1, 12)
NODES, SERVICES, INSTANCES, ACTIONS, EVENTS = (
    model.__table__ for model in (
        models.ComputeNode, models.Service, models.Instance,
        models.InstanceAction, models.InstanceActionEvent))
AGGREGATES, MEMBERS, METADATA, FLAVORS, SPECS = (
    model.__table__ for model in (
        api_models.Aggregate, api_models.AggregateHost,
        api_models.AggregateMetadata, api_models.Flavors,
        api_models.FlavorExtraSpecs))
GIB = factories.GIB


def reporting(*files, **how):
    return json.dumps({'num_instances': '3', report.STATS_KEY: report.encode(
        files, max_bytes=65535, **how)})


class FleetTestCase(nova_tables.TablesTestCase):
    """Two cells, and aggregates."""

    def setUp(self):
        super().setUp()
        self.api = self.make('api', api_models.CellMapping.__table__,
                             AGGREGATES, MEMBERS, METADATA, FLAVORS, SPECS)
        self.cells = {}
        for uuid, name in ((factories.CELL, 'cell1'),
                           (factories.OTHER_CELL, 'cell2')):
            self.cells[name] = self.make(
                name, NODES, SERVICES, INSTANCES, ACTIONS, EVENTS)
            self.map_cell(name, uuid, self.url(name))

    # Given.

    def host(self, name, stats=None, cell='cell1', node=None, seconds=10,
             service=True, hypervisor='QEMU', **fields):
        """Have a compute node whose row was written some seconds ago."""
        self.run_in(self.cells[cell], sa.insert(NODES).values(
            host=name, hypervisor_hostname=node or name, stats=stats,
            hypervisor_type=hypervisor, hypervisor_version=1, cpu_info='',
            vcpus=1, memory_mb=1, local_gb=1, vcpus_used=0, memory_mb_used=0,
            local_gb_used=0, deleted=0, uuid=factories.new_uuid(),
            updated_at=NOW - datetime.timedelta(seconds=seconds)))
        if service:
            self.run_in(self.cells[cell], sa.insert(SERVICES).values(
                host=name, binary='nova-compute', deleted=0,
                **{'disabled': False, 'forced_down': False,
                   'last_seen_up': NOW, 'topic': 'compute',
                   'report_count': 1, **fields}))

    def server(self, image_id, host='a', cell='cell1', **fields):
        self.run_in(self.cells[cell], sa.insert(INSTANCES).values(**{
            'uuid': factories.new_uuid(), 'image_ref': image_id, 'host': host,
            'node': host, 'deleted': 0, 'hidden': False, **fields}))

    def flavor(self, number, name, **extra_specs):
        """Have a flavor with extra specs of ours."""
        self.run_in(self.api, sa.insert(FLAVORS).values(
            id=number, name=name, memory_mb=1, vcpus=1, swap=0,
            flavorid=name, rxtx_factor=1, root_gb=1, ephemeral_gb=0,
            disabled=False, is_public=True, vcpu_weight=0))
        for key, value in extra_specs.items():
            self.run_in(self.api, sa.insert(SPECS).values(
                flavor_id=number, key=f'cache_aware_sched:{key}',
                value=value))

    def aggregate(self, name, *members, zone=None, **metadata):
        with self.api.begin() as connection:
            number = connection.execute(sa.insert(AGGREGATES).values(
                name=name, uuid=factories.new_uuid())).inserted_primary_key[0]
            for host in members:
                connection.execute(sa.insert(MEMBERS).values(
                    aggregate_id=number, host=host))
            if zone:
                metadata['availability_zone'] = zone
            for key, value in metadata.items():
                connection.execute(sa.insert(METADATA).values(
                    aggregate_id=number, key=key, value=value))

    # When.

    def read(self):
        api = self.database()
        return hosts.read(api, nova_databases.cells(api, ()), 60.0, NOW)


class TestHosts(FleetTestCase):

    def test_all_cells(self):
        self.host('b', reporting())
        self.host('a', reporting(), cell='cell2')
        self.host('c', reporting(), cell='cell2')

        self.assertEqual(['b', 'a', 'c'],
                         [host.name for host in self.read().hosts])

    def test_report(self):
        self.host('a', reporting(
            report.BaseFile(report.image_sha1(factories.IMAGE), 3 * GIB,
                            users=2), rate=190, caches=True))

        [host] = self.read().hosts

        [file] = host.files
        self.assertEqual((report.image_key(factories.IMAGE), 3 * GIB, 2),
                         (file.sha1, file.size, file.users))
        self.assertEqual('', host.why)
        self.assertEqual(10, host.age(NOW))

    def test_hosts_that_do_not_report(self):
        for stats, why in (
                (None, 'its driver reports none'),
                ('{}', 'its driver reports none'),
                ('[]', 'its driver reports none'),
                ('{', 'its statistics are no JSON'),
                (json.dumps({report.STATS_KEY: 'v=9;w=16|'}),
                 "version '9' is not known"),
                (json.dumps({report.STATS_KEY: 7}), 'not a string')):
            self.run_in(self.cells['cell1'], sa.delete(NODES))
            self.run_in(self.cells['cell1'], sa.delete(SERVICES))
            self.host('a', stats)

            [host] = self.read().hosts

            self.assertIsNone(host.reported)
            self.assertIn(why, host.why)

    def test_state(self):
        before = NOW - datetime.timedelta(seconds=61)
        self.host('disabled', disabled=True)
        self.host('down', last_seen_up=before)
        self.host('forced', forced_down=True)
        self.host('never', last_seen_up=None, created_at=None)
        self.host('new', last_seen_up=None, created_at=NOW)
        self.host('none', service=False)
        self.host('up')

        self.assertEqual(
            ['disabled', 'down', 'down', 'down', 'up', 'no service', 'up'],
            [host.state for host in self.read().hosts])

    def test_nodes_of_one_service(self):
        self.host('a', node='n2')
        self.host('a', node='n1', service=False)

        self.assertEqual([('n1', 'up'), ('n2', 'up')], [
            (host.node, host.state) for host in self.read().hosts])

    def test_aggregates_and_zone(self):
        self.host('a')
        self.host('b')
        self.aggregate('fast', 'a')
        self.aggregate('east', 'a', zone='az1')

        a, b = self.read().hosts

        self.assertEqual((('east', 'fast'), 'az1'), (a.aggregates, a.zone))
        self.assertEqual(((), ''), (b.aggregates, b.zone))

    def test_deleted_rows(self):
        self.host('a')
        self.run_in(self.cells['cell1'], sa.update(NODES).values(deleted=1))

        self.assertEqual([], self.read().hosts)

    def test_cell_that_does_not_answer(self):
        self.host('a')
        os.unlink(os.path.join(self.path, 'cell2'))

        fleet = self.read()

        self.assertEqual(['a'], [host.name for host in fleet.hosts])
        self.assertEqual(['cell2'], list(fleet.unread))
        self.assertIn('cell2', fleet.unread['cell2'])

    def test_totals(self):
        self.host('a', reporting())
        for number in range(7):
            self.host(f'old{number}')

        self.assertEqual([
            '1 of 8 hosts report.',
            'Not reporting: old0, old1, old2, old3, old4 and 2 more (its '
            'driver reports none: see compute_driver).'],
            list(hosts.totals(self.read().hosts)))

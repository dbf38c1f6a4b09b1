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

"""The command "explain" on a real nova, with what it needs and without."""

# isort: off
from tests.functional import base
# isort: on

import json
import uuid

import fixtures
from keystoneauth1 import exceptions as ks_exc
from nova import context as nova_context
from nova.db.main import api as main_db
from nova import objects
from nova.scheduler.client import report
from oslo_db.sqlalchemy import enginefacade

from cache_aware_sched.fleet import glance
from cache_aware_sched import nova_databases
from tests.unit import command

#: The address of a database that cannot be opened.
FAR = 'sqlite:////no/such/directory/far'


class ExplainCommandTestCase(base.CloudTestCase):
    """nova.conf has no account with which Glance answers."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            nova_databases, 'configure', autospec=True))
        self.name = self.api.get_flavor(self.flavor)['name']

    def run_command(self, *argv, status=0):
        """Return what the command writes to stdout and to stderr."""
        found, out, err = command.execute('explain', *argv)
        self.assertEqual(status, found, err)
        self.assertNotIn('Traceback', err)
        return out, err

    def of_image(self, image, *argv, status=0):
        return self.run_command(
            '--image', image, '--flavor', self.name, *argv, status=status)


class CellDownTests(ExplainCommandTestCase):
    """One of two cells is down.

    nova's own fixture raises KeyError where nova asks that cell.
    """

    def setUp(self):
        super().setUp()
        self.start('host1', 'host2')

    def cell_goes_down(self):
        # nova's fixture knows the addresses of its own cells only.
        create = main_db.create_context_manager

        def create_also(url=None):
            if url != FAR:
                return create(url)
            manager = enginefacade.transaction_context()
            manager.configure(connection=url)
            return manager

        self.useFixture(fixtures.MockPatchObject(
            main_db, 'create_context_manager', create_also))
        context = nova_context.get_admin_context()
        far = objects.CellMapping(
            context, uuid=str(uuid.uuid4()), name='far',
            transport_url='none:///', database_connection=FAR)
        far.create()
        objects.HostMapping(context, host='host9', cell_mapping=far).create()
        nova_context.CELLS = []

    def test_answers_with_the_other_cells(self):
        image = self.image()
        self.cache('host2', image)
        server = self.boot(image)
        self.cell_goes_down()

        for argv in (('--image', image, '--flavor', self.name),
                     ('--server', server['id'])):
            out, err = self.run_command(*argv, '-f', 'json')

            [found] = json.loads(out)
            self.assertEqual(('host2', 2), (
                found['winner'], found['all_hosts']))
            self.assertIn('cell far (', err)
            self.assertIn('is missing below', err)

    def test_group(self):
        group = self.api.post_server_groups(
            {'name': 'g', 'policy': 'anti-affinity'})['id']
        image = self.image()
        first = self.boot(image, hints={'group': group})
        self.cell_goes_down()

        out, err = self.of_image(
            image, '--hint', f'group={group}', '-f', 'json')

        self.assertNotEqual(first['OS-EXT-SRV-ATTR:host'],
                            json.loads(out)[0]['winner'])
        self.assertIn('cell far (', err)

    def test_host_that_is_named(self):
        image = self.image()
        self.cell_goes_down()

        out, _err = self.of_image(
            image, '--zone', 'nova:host2', '-f', 'json')
        _out, err = self.of_image(image, '--zone', 'nova:host9', status=1)

        self.assertEqual('host2', json.loads(out)[0]['winner'])
        self.assertIn('cell far (', err)
        self.assertIn('No such host - host: host9', err)


class MissingTests(ExplainCommandTestCase):
    """What the request names, or what must answer, is not there."""

    def test_image_that_only_a_server_tells_of(self):
        self.start('host1', 'host2')
        image = self.image()
        self.boot(image)

        out, err = self.of_image(image, '-f', 'json')

        [found] = json.loads(out)
        self.assertEqual((20 * base.GIB, []), (
            found['image_bytes'], found['notes']))
        self.assertIn('Glance is not asked', err)

    def test_glance_that_does_not_answer(self):
        self.start('host1', 'host2')
        self.useFixture(fixtures.MockPatchObject(
            glance, '_adapter', side_effect=ks_exc.ConnectFailure('refused')))
        image = str(uuid.uuid4())

        out, err = self.of_image(image)

        self.assertIn(
            f'Note: Neither Glance nor a server says what image {image} is',
            out)
        self.assertIn(f'Glance does not describe image {image}: refused', err)

    def test_placement_that_does_not_answer(self):
        self.start('host1')
        self.useFixture(fixtures.MockPatchObject(
            report.SchedulerReportClient, 'get', autospec=True,
            side_effect=ks_exc.ConnectFailure('refused')))

        _out, err = self.of_image(self.image(), status=1)

        self.assertIn('Placement API service is not responding', err)
        self.assertIn('placement does not answer', err)
        self.assertIn('[placement]', err)

    def test_hosts(self):
        out, _err = self.of_image(self.image())

        self.assertIn('0 of 0 hosts can take the server', out)
        self.assertIn('No cell that can be read has a compute host', out)

    def test_server_that_was_deleted(self):
        self.start('host1', 'host2')
        server = self.boot(self.image())
        self._delete_server(server)

        # nova keeps the request until it archives the server.
        out, _err = self.run_command('--server', server['id'])

        self.assertIn('2 of 2 hosts can take the server', out)


class ReplacingTests(ExplainCommandTestCase):
    """What is given besides --server replaces what the server has."""

    def setUp(self):
        super().setUp()
        self.start('host1', 'host2')
        self.server = self.boot(self.image(), host='host1')['id']

    def of_server(self, *argv):
        out, _err = self.run_command(
            '--server', self.server, '-f', 'json', *argv)
        [found] = json.loads(out)
        return found

    def test_image(self):
        image = self.image()
        self.cache('host2', image)

        found = self.of_server('--image', image)

        self.assertEqual((image, 'host2'), (found['image'], found['winner']))

    def test_project(self):
        self.assertEqual('p', self.of_server('--project', 'p')['project'])

    def test_flavor_with_a_numa_topology(self):
        self.flags(group='filter_scheduler', enabled_filters=[
            *base.STOCK_FILTERS, 'NUMATopologyFilter'])
        flavor = self.flavor_with({'hw:numa_nodes': '1'})

        found = self.of_server('--flavor', flavor)

        # The fake hosts have no topology.
        self.assertEqual({'NUMATopologyFilter'}, {
            one['by'] for one in found['refused']})

    def test_group_is_kept(self):
        _out, err = self.run_command(
            '--server', self.server, '--hint', 'group=g', status=1)

        self.assertIn('a server keeps its group', err)

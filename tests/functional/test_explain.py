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


"""Explanations on a real nova: what they say is what happens."""

from tests.functional import base

# isort: off
# After nova's own fixtures.
import os
import tempfile
from unittest import mock
import uuid

from nova.scheduler.filters import compute_filter
from nova.scheduler.weights import ram
import sqlalchemy as sa

from cache_aware_sched import cap
from cache_aware_sched.decision_log import reader
from cache_aware_sched.explain import asked as asked_mod
from cache_aware_sched.explain import now
from cache_aware_sched.explain import offers
from cache_aware_sched.explain import past
from cache_aware_sched.explain import text
from cache_aware_sched import nova_databases
# isort: on


class ExplainTestCase(base.CloudTestCase):

    HOSTS = tuple(f'host{number}' for number in range(1, 7))

    def setUp(self):
        super().setUp()
        self.start(*self.HOSTS)
        self.api_database = nova_databases.api_database()
        self.cells = nova_databases.cells(self.api_database, ())

    def explain(self, **asked):
        asked.setdefault('flavor', self.flavor)
        described = self.glance.show(None, asked['image']) if asked.get(
            'image') else None
        return now.explain(asked_mod.Asked(**asked), self.api_database,
                           self.cells, described)


class NowTests(ExplainTestCase):

    def test_boots_go_where_it_says(self):
        images = [self.image() for _number in range(5)]
        self.cache('host2', images[0])
        self.cache('host4', images[1])
        said, went = [], []

        for number in range(50):
            image = images[number % len(images)]
            [found] = self.explain(image=image)
            said.append(found.decision.winner)
            [server] = self.settle(self.request(image))
            went.append(server['OS-EXT-SRV-ATTR:host'])

        self.assertEqual(went, said)

    def test_changes_nothing(self):
        image = self.image()
        self.cache('host2', image)
        self.boot(image)
        before = self._tables()

        self.explain(image=image, number=3)

        self.assertEqual(before, self._tables())

    def _tables(self):
        """Return all rows of all tables, and what placement has given."""
        found = {}
        for database in (self.api_database, *self.cells):
            engine = database.manager.reader.get_engine()
            metadata = sa.MetaData()
            metadata.reflect(engine)
            with engine.connect() as connection:
                for table in metadata.sorted_tables:
                    # Hosts say all the time that they are alive.
                    if table.name != 'services':
                        found[database.name, table.name] = sorted(map(
                            str, connection.execute(sa.select(table))))
        for host in self.HOSTS:
            found[host] = self._get_provider_usages(
                self._get_provider_uuid_by_host(host))
        return found

    def test_several_servers(self):
        image = self.image()

        found = self.explain(image=image, number=6)
        self.request(image, number=6)
        servers = self.all_servers()

        self.assertEqual(
            sorted(one.decision.winner for one in found),
            sorted(server['OS-EXT-SRV-ATTR:host'] for server in servers))

    def test_at_the_cap_everywhere(self):
        self.set(max_same_image_instances_per_host=1)
        self.restart_scheduler()
        image = self.image()
        for _host in self.HOSTS:
            self.boot(image)

        [found] = self.explain(image=image)

        lines = list(text.lines(found))
        self.assertIn('0 of 6 hosts can take the server: 6 at the cap of 1',
                      lines[0])
        self.assertIn('No host takes the server', '\n'.join(lines))
        self.assertEqual('', found.decision.winner)
        self.assertIn(found.stock, self.HOSTS)

    def test_cluster_has_no_cap(self):
        """It takes the server that all machines refuse."""
        self.set(max_same_image_instances_per_host=1)
        self.restart_scheduler()
        image = self.image()
        for _host in self.HOSTS:
            self.boot(image)
        with self.cells[-1].manager.writer.get_engine().begin() as connection:
            connection.execute(sa.text(
                'UPDATE compute_nodes SET hypervisor_type = :type '
                "WHERE host = 'host3'"), {'type': cap.CLUSTER})

        [found] = self.explain(image=image)

        self.assertEqual('host3', found.decision.winner)
        self.assertIn('1 of 6 hosts can take the server: 5 at the cap of 1',
                      next(text.lines(found)))

    def test_above_the_cap(self):
        self.set(max_same_image_instances_per_host=1)
        self.restart_scheduler()
        image = self.image()
        for _host in self.HOSTS:
            self.boot(image)

        for policy in ('soft', 'observe'):
            self.set(same_image_cap_policy=policy)
            [found] = self.explain(image=image)

            self.assertIn(
                'It goes above the cap, as same_image_cap_policy is '
                f'{policy}: {found.decision.winner} 1 of 1.',
                list(text.lines(found)))

    def test_multiplier_of_an_aggregate(self):
        image = self.image()
        self.cache('host2', image)
        said = ('image_cache_weight_multiplier is 0 for all candidates: the '
                'image cache does not count.')
        self.set(image_cache_weight_multiplier=0.0)
        [found] = self.explain(image=image)
        self.assertIn(said, found.notes)

        self.aggregate(['host2'], image_cache_weight_multiplier='10')
        [found] = self.explain(image=image)

        self.assertEqual('host2', found.decision.winner)
        self.assertNotIn(said, found.notes)
        self.set(image_cache_weight_multiplier=10.0)
        self.aggregate(self.HOSTS, image_cache_weight_multiplier='0')
        [found] = self.explain(image=image)
        self.assertIn(said, found.notes)

    def test_several_servers_until_the_cap(self):
        self.set(max_same_image_instances_per_host=1)
        self.restart_scheduler()
        self.force_down('host6')

        found = self.explain(image=self.image(), number=9)

        self.assertEqual(6, len(found))
        self.assertEqual(
            '0 of 6 hosts can take the server: 5 at the cap of 1, 1 has not '
            'been heard from in a while.', next(text.lines(found[-1])))

    def test_without_this_package_a_full_host_is_chosen(self):
        self.flags(group='filter_scheduler', ram_weight_multiplier=-1.0,
                   cpu_weight_multiplier=-1.0, io_ops_weight_multiplier=0.0)
        self.set(max_same_image_instances_per_host=1)
        self.restart_scheduler()

        first, *others = self.explain(image=self.image(), number=3)

        self.assertEqual([first.decision.winner] * 2,
                         [other.stock for other in others])
        self.assertNotIn(first.decision.winner,
                         [other.decision.winner for other in others])

    def test_placement_that_offers_less_than_there_is(self):
        for limit, said in ((6, False), (3, True)):
            self.flags(group='scheduler', max_placement_results=limit)

            [found] = self.explain(image=self.image())

            self.assertEqual(said, any(
                note.startswith('Placement offered as many hosts')
                for note in found.notes), limit)

    def test_disabled_and_full_hosts(self):
        self.api.put_service(self.computes['host1'].service_ref.uuid, {
            'status': 'disabled', 'disabled_reason': 'broken'})
        self.boot(self.image(), host='host3',
                  flavor=self.flavor_with(vcpu=90, memory_mb=4096 * 99))

        [found] = self.explain(
            image=self.image(), flavor=self.flavor_with(memory_mb=8192))

        reasons = {host: one.reason for one in found.refused
                   for host in one.hosts}
        self.assertEqual({'host1': 'disabled',
                          'host3': 'without enough memory'}, reasons)
        self.assertIn('4 of 6 hosts can take the server: 1 disabled, 1 '
                      'without enough memory.', next(text.lines(found)))

    def test_a_filter_says_why(self):
        self.force_down('host5')

        [found] = self.explain(image=self.image())

        [refusal] = found.refused
        self.assertEqual(('ComputeFilter', ('host5',)),
                         (refusal.by, refusal.hosts))
        self.assertIn('has not been heard from', refusal.reason)

    def test_parts_are_those_of_every_weigher(self):
        image = self.image()
        self.cache('host2', image)

        [found] = self.explain(image=image)

        shares = found.shares['host2']
        self.assertIn('RAMWeigher', shares)
        self.assertAlmostEqual(found.winner.before, sum(
            share.share for name, share in shares.items()
            if name != 'ImageCacheWeigher'), places=5)
        self.assertAlmostEqual(
            found.total(found.winner) - found.winner.before,
            shares['ImageCacheWeigher'].share, places=4)
        self.assertEqual('host2', found.decision.winner)
        line = '\n'.join(text.lines(found))
        self.assertIn('host2 wins by ', line)
        self.assertIn('holds the image, which saves a fetch of ', line)
        self.assertIn('Without this package nova would choose', line)

    def test_why_not(self):
        image = self.image()
        self.cache('host2', image)
        self.force_down('host5')
        [found] = self.explain(image=image)

        self.assertIn('ComputeFilter', '\n'.join(
            text.lines(found, 'host5')))
        self.assertIn('as good or better if it held the image', '\n'.join(
            text.lines(found, 'host3')))
        self.assertIn('host2 wins.', '\n'.join(text.lines(found, 'host2')))
        self.assertIn('no candidate that is known', '\n'.join(
            text.lines(found, 'nowhere')))

    def test_a_server_as_if_it_were_placed_now(self):
        image = self.image()
        server = self.boot(image)

        [found] = self.explain(server=server['id'], flavor='')

        self.assertEqual(server['id'], found.decision.server)
        self.assertIn(found.decision.winner, self.HOSTS)

    def test_server_groups(self):
        image = self.image()
        group = self.api.post_server_groups(
            {'name': 'g', 'policy': 'anti-affinity'})
        first = self.boot(image, hints={'group': group['id']})

        [found] = self.explain(image=image, hints={'group': [group['id']]})

        refused = {host: one.by for one in found.refused
                   for host in one.hosts}
        self.assertEqual({first['OS-EXT-SRV-ATTR:host']:
                          'ServerGroupAntiAffinityFilter'}, refused)

    def test_several_servers_of_a_group(self):
        self.api.microversion = 'latest'
        for policy in ('anti-affinity', 'affinity', 'soft-anti-affinity',
                       'soft-affinity'):
            image = self.image()
            self.cache('host3', image)
            group = self.api.post_server_groups(
                {'name': 'g', 'policy': policy})['id']

            found = self.explain(image=image, number=4,
                                 hints={'group': [group]})
            self.request(image, number=4, hints={'group': group})

            self.assertEqual(
                sorted(one.decision.winner for one in found),
                sorted(server['OS-EXT-SRV-ATTR:host']
                       for server in self.all_servers()
                       if server['image']['id'] == image), policy)

    def test_zones_and_hosts_that_are_named(self):
        image = self.image()
        self.cache('host5', image)
        self.cache('host3', image)
        self.aggregate(['host2', 'host3'], availability_zone='z1')

        for zone, host in (('z1', 'host3'), ('z1:host2', 'host2'),
                           ('nova:host4', 'host4'), ('nova::host6', 'host6')):
            [found] = self.explain(image=image, zone=zone)
            self.assertEqual((host, host), (
                found.decision.winner, self.where(image, az=zone)), zone)

    def test_a_filter_or_weigher_that_fails_is_named(self):
        for plugin, method in ((compute_filter.ComputeFilter, 'host_passes'),
                               (ram.RAMWeigher, '_weigh_object')):
            with mock.patch.object(plugin, method, side_effect=ValueError(7)):
                error = self.assertRaises(
                    offers.CannotAsk, self.explain, image=self.image())
            self.assertIn(f'{plugin.__name__} fails', str(error))

    def test_what_is_not_there(self):
        for asked, said in (
                ({'image': self.image(), 'flavor': 'none'}, "flavor 'none'"),
                ({'server': str(uuid.uuid4())}, 'no server'),
                ({'image': ''}, 'an image and a flavor are needed'),
                ({'image': self.image(), 'zone': 'none'},
                 "no availability zone 'none'; there is nova"),
                ({'image': self.image(), 'hints': {
                    'group': [str(uuid.uuid4())]}}, 'server group')):
            error = self.assertRaises(
                asked_mod.BadRequest, self.explain, **asked)
            self.assertIn(said, str(error))

    def test_other_options_that_decide_are_named(self):
        self.flags(group='filter_scheduler', host_subset_size=3,
                   shuffle_best_same_weighed_hosts=True)

        [found] = self.explain(image=self.image())

        notes = ' '.join(found.notes)
        self.assertIn('host_subset_size = 3', notes)
        self.assertIn('shuffle_best_same_weighed_hosts', notes)

    def test_without_our_weigher(self):
        self.flags(group='filter_scheduler',
                   weight_classes=[base.ALL_WEIGHERS], host_subset_size=3)
        image = self.image()
        self.cache('host2', image)

        [found] = self.explain(image=image)

        notes = ' '.join(found.notes)
        self.assertIn('is not in [filter_scheduler] weight_classes', notes)
        self.assertIn('host_subset_size = 3', notes)
        self.assertEqual(
            {'host2': 'warm', 'host3': 'cold'},
            {host.host: host.holding for host in found.decision.hosts
             if host.host in ('host2', 'host3')})


class PastTests(ExplainTestCase):

    def configure(self):
        super().configure()
        self.path = os.path.join(
            self.enterContext(tempfile.TemporaryDirectory()), 'decisions')
        self.set(decision_log_file=self.path)

    def log(self):
        """Return the decision log, when the scheduler has written it."""
        self.scheduler_service.manager.host_manager.weighers[-1]._log.flush()
        return reader.DecisionLog([self.path])

    def test_agrees_with_what_happened(self):
        images = [self.image() for _number in range(4)]
        for _burst in range(2):
            for number in range(40):
                self.request(images[number % len(images)])
            servers = self.all_servers()

        self.assertEqual(80, len(servers))
        log = self.log()
        for server in servers:
            [found] = past.explain(log, server['id'])
            is_on = past.where(server['id'], self.cells)
            self.assertEqual(server['OS-EXT-SRV-ATTR:host'], is_on.host)
            # nova takes an alternate where a claim or a late check fails.
            self.assertRegex(
                past.outcome(found, is_on),
                'The server is there.' if found.decision.winner == is_on.host
                else 'gave it back|led, but did not take it')

    def test_a_refusal(self):
        self.set(max_same_image_instances_per_host=1)
        self.restart_scheduler()
        image = self.image()
        for _host in self.HOSTS:
            self.boot(image)
        server = self.boot(image, expect='ERROR')

        [found] = past.explain(self.log(), server['id'])

        self.assertIn('0 of 6 hosts can take the server: 6 at the cap',
                      next(text.lines(found)))

    def test_a_move_is_a_decision_of_its_own(self):
        server = self.boot(self.image())
        self.api.post_server_action(server['id'], {'migrate': None})
        self.settle(server, states=('VERIFY_RESIZE',))

        first, second = past.explain(self.log(), server['id'])

        self.assertFalse(first.decision.move)
        self.assertTrue(second.decision.move)
        self.assertNotEqual(first.decision.winner, second.decision.winner)

    def test_a_dry_run_is_not_logged(self):
        image = self.image()
        self.boot(image)
        before = len(list(self.log().records()))

        self.explain(image=image)

        self.assertEqual(before, len(list(self.log().records())))

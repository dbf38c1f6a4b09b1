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

"""Images that are fetched ahead of time, with the real nova."""

# isort: off
from tests.functional import base
# isort: on

import collections
import json
import os
import time

import fixtures
from nova import context as nova_context

from cache_aware_sched.fleet import glance
from cache_aware_sched import nova_databases
from cache_aware_sched.precache import fetching
from cache_aware_sched import service_account
from cache_aware_sched.virt import fake
from tests.unit import command

GIB = base.GIB
OWNER = 'c' * 32


class PrecacheTestCase(base.CloudTestCase):
    """Lets the command reach the nova of the test."""

    HOSTS = ()

    def setUp(self):
        super().setUp()
        for target, name, attribute in (
                (nova_databases, 'configure', {}),
                (service_account, 'session', {}),
                # The fake Glance asks for no token.
                (service_account, 'sent_context', {
                    'side_effect': lambda _session:
                    nova_context.get_admin_context()}),
                (glance, 'records', {'side_effect': self.records})):
            self.useFixture(fixtures.MockPatchObject(
                target, name, **attribute))
        self.useFixture(fixtures.MockPatchObject(
            fetching, 'REPORT_SECONDS', 0.5))
        self.flags(state_path=self.useFixture(fixtures.TempDir()).path)
        self.set(precache_owners=[OWNER], image_cache_weight_multiplier=0.0)
        self.start(*self.HOSTS)
        self.public = self.image(size=2 * GIB)
        for host in self.computes:
            self.report(host)

    def records(self, wanted, single):
        """Answer as Glance would, of which this cloud has a part only."""
        return {**dict.fromkeys(wanted), **{image['id']: glance.GlanceImage(
            image['name'], OWNER, image['size'], 0, True)
            for image in self.glance.detail(None)
            if image['id'] in wanted}}

    def run_json(self, *argv, status=0):
        found, out, err = command.execute('precache', *argv, '-f', 'json')
        self.assertEqual(status, found, err)
        self.assertNotIn('Traceback', err)
        return json.loads(out), err

    def holders(self):
        return {host for host in self.computes
                if fake.image_cache(host).has(self.public)}


class PrecacheTests(PrecacheTestCase):
    """Three hosts, in the zones nova and east; nothing is cached."""

    HOSTS = ('host1', 'host2', 'host3')

    def setUp(self):
        super().setUp()
        self.aggregate(['host3'], availability_zone='east')

    def test_servers_that_are_announced(self):
        expect = ('--expect', f'{self.public}=60@nova')
        rows, err = self.run_json('plan', *expect)

        self.assertEqual([(self.public, '', 2)], [
            (row['Image'], row['Zone'], row['Planned']) for row in rows])
        self.assertIn('In doubt: no servers were created lately.', err)
        self.assertEqual(set(), self.holders())

        _rows, err = self.run_json('apply', '--force', *expect)

        self.assertIn('2 cached, 0 existing, 0 failed', err)
        self.assertEqual({'host1', 'host2'}, self.holders())

        rows, err = self.run_json('plan', *expect)
        self.assertEqual([], rows)

    def test_servers_that_were_created(self):
        servers = [self.boot(self.public, host='host1') for _ in range(6)]
        for server in servers:
            self._delete_server(server)

        self.run_json('apply', '--half-life-hours', '1')

        self.assertEqual({'host1', 'host2'}, self.holders())
        # The next one starts from what was fetched ahead.
        self.set(image_cache_weight_multiplier=10.0)
        self.assertIn(self.where(self.public), {'host1', 'host2'})

    def test_host_that_cannot(self):
        """It is named, with what to look at, and the other one fetches."""
        def fail(*_args, **_kwargs):
            raise OSError('the disk is broken')

        self.computes['host1'].driver.cache_image = fail

        rows, _err = self.run_json(
            'apply', '--force', '--expect', f'{self.public}=60@nova',
            status=1)

        self.assertEqual([('host1', 'failed')], [
            (row['Host'], row['Outcome']) for row in rows])
        self.assertIn('its nova-compute log says why', rows[0]['Reason'])
        self.assertEqual({'host2'}, self.holders())

    def test_hosts_that_nova_takes_for_dead(self):
        self.force_down('host1')

        self.run_json('apply', '--force', '--expect',
                      f'{self.public}=60@nova')

        self.assertEqual({'host2'}, self.holders())

    def test_nothing_is_done_without_hosts_that_live(self):
        self.boot(self.public, host='host3')
        for host in ('host1', 'host2'):
            self.force_down(host)

        _rows, err = self.run_json(
            'apply', '--expect', f'{self.public}=60', status=2)

        self.assertIn('In doubt: 2 of 3 hosts are down', err)
        self.assertEqual({'host3'}, self.holders())


class RenewalTests(PrecacheTestCase):
    """Hosts with the manager age hold an image that nobody uses."""

    HOSTS = ('host1', 'host2', 'host3')

    def setUp(self):
        super().setUp()
        self.expect = ('--expect', f'{self.public}=20', '--min-copies', '2')
        for host in self.HOSTS:
            # As large as Glance sends: a file that grew would be arriving.
            self.cache(host, self.public, 2 * GIB)
            self.age(host, hours=30)
            self.report(host)

    def age(self, host, hours):
        used = time.time() - hours * 3600
        directory = fake.FakeDirectory(lambda: host).cache_dir
        for name in os.listdir(directory):
            os.utime(os.path.join(directory, name), (used, used))

    def make_passes(self):
        context = nova_context.get_admin_context()
        for host, compute in self.computes.items():
            with nova_context.target_cell(
                    context, self.host_mappings[host].cell_mapping) as cell:
                compute.driver.manage_image_cache(cell, [])

    def test_copies_that_are_wanted_stay(self):
        """Two of three are wanted: the third one ages out."""
        _rows, err = self.run_json('plan', *self.expect)
        self.assertIn('To renew: 2 copies that no server uses', err)

        rows, err = self.run_json('apply', '--force', *self.expect)

        self.assertEqual([], rows)
        self.assertIn('0 cached, 0 existing, 0 failed, 0 not tried, '
                      '2 renewed.', err)
        self.make_passes()
        self.assertEqual({'host1', 'host2'}, self.holders())

    def test_without_renewal_they_age_out(self):
        self.run_json('apply', '--force', '--renew-hours', '0', *self.expect)

        self.make_passes()

        self.assertEqual(set(), self.holders())

    def test_one_that_a_server_uses_needs_none(self):
        self.boot(self.public, host='host2')
        self.report('host2')

        _rows, err = self.run_json('plan', *self.expect)

        self.assertIn('To renew: 1 copy that no server uses', err)

    def test_one_that_has_just_left_is_fetched(self):
        """The report of the host does not say so yet."""
        fake.image_cache('host1').remove(self.public)

        _rows, err = self.run_json('apply', '--force', *self.expect)

        self.assertIn('1 cached, 0 existing, 0 failed, 0 not tried, '
                      '1 renewed.', err)


class ManyHostsTests(PrecacheTestCase):

    HOSTS = tuple(f'host{number:02}' for number in range(100))

    def test_all_of_them(self):
        """Nothing is fetched twice."""
        fetched = collections.Counter()
        for name, compute in self.computes.items():
            def fetch(context, image_id, name=name, driver=compute.driver):
                fetched[name] += 1
                return type(driver).cache_image(driver, context, image_id)

            compute.driver.cache_image = fetch

        _rows, err = self.run_json(
            'apply', '--force', '--concurrency', '20', '--expect',
            f'{self.public}=2000')

        self.assertIn('100 cached, 0 existing, 0 failed, 0 not tried.', err)
        self.assertEqual(set(self.HOSTS), self.holders())
        self.assertEqual({1}, set(fetched.values()))

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

from cache_aware_sched import report
from cache_aware_sched.simulator.cloud import row
from cache_aware_sched.simulator.real_nova import novas
from cache_aware_sched.simulator.settings import Settings
from tests.unit import base
from tests.unit import factories
from tests.unit import simulated

UUID = '00000000-0000-4000-8000-00000000000f'
GIB = simulated.GIB
SETTINGS = Settings(host_vcpus=8, host_ram_mb=10000, host_disk_gb=100)
FILE = report.BaseFile(report.image_sha1(simulated.A), 3 * GIB)
BOOT = simulated.boot(0.0, vcpus=2, ram_mb=1000, disk_gb=20)


class TestRow(base.TestCase):

    def row(self, reporting=True, settings=SETTINGS):
        return row.Row(novas.host_state('h', UUID, settings), settings,
                       reporting, 16384)

    def facts(self, state):
        """Return all that nova reads from a row."""
        # Objects that are equal to nothing but themselves.
        hidden = 'pci_stats', 'metrics', 'service'
        return {name: value for name, value in vars(state).items()
                if name not in hidden}

    def test_it_is_what_nova_makes_of_it(self):
        mine = self.row()
        mine.claim('server', BOOT)
        mine.update(['server'], [FILE], 128, 3 * GIB)
        mine.claim('another', BOOT)
        mine.read()

        nova_s = novas.host_state('h', UUID, SETTINGS)
        nova_s.update(compute=novas.compute_node(
            'h', UUID, SETTINGS, vcpus_used=4, memory_mb_used=2512,
            free_ram_mb=7488, local_gb_used=40, free_disk_gb=60,
            disk_available_least=77, stats={
                'num_instances': '2', 'io_workload': '2',
                'failed_builds': '0', report.STATS_KEY: report.encode(
                    [FILE], rate=128, max_bytes=16384)}))
        self.assertEqual(self.facts(nova_s), self.facts(mine.state))

    def test_all_is_back_when_the_servers_have_gone(self):
        mine = self.row(reporting=False)
        before = self.facts(self.row(reporting=False).state)
        mine.claim('server', BOOT)
        mine.update((), (), 0, GIB)

        mine.release('server', BOOT)
        mine.update((), (), 0, 0)

        self.assertEqual(before, self.facts(mine.state))

    def test_ended_build_is_seen_by_an_update_only(self):
        mine = self.row()
        mine.claim('first', BOOT)
        mine.claim('second', BOOT)
        self.assertEqual(2, mine.state.num_io_ops)

        mine.update(['second'], (), 0, 0)
        self.assertEqual(1, mine.state.num_io_ops)
        mine.release('second', BOOT)
        self.assertEqual(0, mine.state.num_io_ops)
        mine.release('first', BOOT)
        self.assertEqual(0, mine.state.num_io_ops)

    def test_report_stays_as_it_is_when_a_server_is_claimed(self):
        mine = self.row()
        mine.update((), [FILE], 0, 0)
        mine.read()
        before = mine.state.stats[report.STATS_KEY]

        mine.claim('server', BOOT)

        self.assertFalse(mine.unread)
        self.assertEqual(before, mine.state.stats[report.STATS_KEY])

    def test_report_is_the_real_one(self):
        mine = self.row()

        mine.update((), [FILE], 64, 0)
        self.assertTrue(mine.unread)
        mine.read()

        found = report.Report(mine.state.stats[report.STATS_KEY])
        self.assertEqual(64, found.header.rate)
        self.assertEqual(report.Holding.WARM,
                         found.holding(report.image_key(simulated.A)))

    def test_host_that_does_not_report(self):
        mine = self.row(reporting=False)

        mine.update((), [FILE], 64, 0)

        self.assertFalse(mine.unread)
        self.assertNotIn(report.STATS_KEY, mine.state.stats)

    def test_cache_takes_from_the_free_disk(self):
        mine = self.row()

        mine.update((), (), 0, 3 * GIB + 1)

        self.assertEqual(96 * 1024, mine.state.free_disk_mb)

    def test_cache_on_another_disk(self):
        mine = self.row(settings=Settings(host_disk_gb=100, image_disk=False))

        mine.update((), (), 0, 3 * GIB)

        self.assertEqual(100 * 1024, mine.state.free_disk_mb)


class TestNovasObjects(base.TestCase):

    def test_instance_is_one_of_nova_s(self):
        made = novas.instance(BOOT, UUID, 'h')

        self.assertEqual(
            (UUID, 'h', simulated.A, simulated.PROJECT, 'active'),
            (made.uuid, made.host, made.image_ref, made.project_id,
             made.vm_state))
        self.assertNotIn('flavor', made)

    def test_request_spec_has_what_nova_s_has(self):
        """At least what the tests of the filter and the weigher have."""
        image = simulated.load().images[simulated.A]

        spec = novas.request_spec(BOOT, image, UUID)

        for name in factories.spec().obj_what_changed():
            self.assertIn(name, spec)
        self.assertEqual(
            (2, 1000, 20, image.size, simulated.A),
            (spec.vcpus, spec.memory_mb, spec.root_gb, spec.image.size,
             spec.image.id))

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

from cache_aware_sched.simulator.cloud import allocations
from cache_aware_sched.simulator.settings import Settings
from tests.unit import base
from tests.unit.simulated import boot

#: For servers: 16 vCPUs, 3 GiB and 100 GiB.
SETTINGS = Settings(hosts=2, host_vcpus=8, cpu_allocation_ratio=2.0,
                    host_ram_mb=4096, reserved_host_memory_mb=1024,
                    host_disk_gb=100)
SMALL = {'vcpus': 1, 'ram_mb': 1, 'disk_gb': 1}


class TestAllocations(base.TestCase):

    def setUp(self):
        super().setUp()
        self.allocations = allocations.Allocations(SETTINGS)

    def candidates(self, **wanted):
        return self.allocations.candidates(boot(0.0, **{**SMALL, **wanted}))

    def take(self, name, number):
        self.allocations.take(0, boot(0.0, **{
            'vcpus': 0, 'ram_mb': 0, 'disk_gb': 0, name: number}))

    def test_vcpus(self):
        self.take('vcpus', 8)
        self.assertEqual([0, 1], self.candidates(vcpus=8))

        self.take('vcpus', 1)

        self.assertEqual([1], self.candidates(vcpus=8))

    def test_memory(self):
        self.take('ram_mb', 1000)

        self.assertEqual([0, 1], self.candidates(ram_mb=2072))
        self.assertEqual([1], self.candidates(ram_mb=2073))

    def test_disk(self):
        self.take('disk_gb', 70)

        self.assertEqual([0, 1], self.candidates(disk_gb=30))
        self.assertEqual([1], self.candidates(disk_gb=31))

    def test_no_server_gets_more_than_is_there_physically(self):
        """Twice as many vCPUs are there only for several of them."""
        self.assertEqual([0, 1], self.candidates(vcpus=8))
        self.assertEqual([], self.candidates(vcpus=9))

    def test_what_was_a_candidate_may_not_be_any_more(self):
        wanted = boot(0.0, disk_gb=30)
        self.assertTrue(self.allocations.fits(0, wanted))

        self.take('disk_gb', 71)

        self.assertFalse(self.allocations.fits(0, wanted))
        self.assertTrue(self.allocations.fits(1, wanted))

    def test_what_is_given_back_is_there_again(self):
        server = boot(0.0, vcpus=8, ram_mb=3072, disk_gb=100)
        self.allocations.take(0, server)
        self.assertEqual([1], self.candidates())

        self.allocations.give(0, server)

        self.assertEqual([0, 1], self.candidates())

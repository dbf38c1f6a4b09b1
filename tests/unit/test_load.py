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

from cache_aware_sched.scheduler import load
from tests.unit import base
from tests.unit import factories


class TestLoads(base.TestCase):

    def loads(self, *hosts, **flavor):
        return load.loads(factories.request(**flavor), hosts)

    def test_share_of_vcpus_with_the_server_on_the_host(self):
        host = factories.host(vcpus=100, vcpus_used=30)

        self.assertEqual([0.5], self.loads(host, vcpus=20))

    def test_share_of_memory_if_that_is_larger(self):
        host = factories.host(vcpus_used=10, memory_mb=1000, memory_used=700)

        self.assertEqual([0.8], self.loads(host, memory_mb=100))

    def test_overcommit(self):
        host = factories.host(vcpus=10, vcpus_used=70)
        host.cpu_allocation_ratio = 16.0

        self.assertEqual([0.5], self.loads(host, vcpus=10, memory_mb=0))

    def test_in_the_order_of_the_hosts(self):
        hosts = [factories.host(vcpus_used=used) for used in (9, 49, 19)]

        self.assertEqual([0.1, 0.5, 0.2], self.loads(*hosts))

    def test_host_that_was_never_updated(self):
        host = factories.host()
        for name in ('vcpus_total', 'vcpus_used', 'free_ram_mb',
                     'total_usable_ram_mb', 'cpu_allocation_ratio',
                     'ram_allocation_ratio'):
            setattr(host, name, None)

        self.assertEqual([0.0], self.loads(host))

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

"""Several scheduler processes that know nothing of each other's choices."""

from tests.functional import base

import itertools

import fixtures
from nova.scheduler import manager


class SeveralSchedulersTestCase(base.CloudTestCase):
    """Twelve hosts, one of which holds the image.

    nova's tests have one scheduler. The others are managers with filters,
    weighers and memories of their own, and requests go to each in turn.
    """

    HOSTS = tuple(f'host{number}' for number in range(1, 13))
    SCHEDULERS = 1
    CAP = 10
    BOOTS = 48
    MULTIPLIER = 5.0

    def setUp(self):
        super().setUp()
        self.set(max_same_image_instances_per_host=self.CAP)
        self.start(*self.HOSTS)
        first = self.scheduler_service.manager
        turns = itertools.cycle([
            first._schedule, *(self.another() for _number
                               in range(self.SCHEDULERS - 1))])

        def in_turn(*args, **kwargs):
            return next(turns)(*args, **kwargs)

        self.useFixture(fixtures.MockPatchObject(first, '_schedule', in_turn))

    def another(self):
        base.count.share(None)
        return manager.SchedulerManager()._schedule

    def burst(self):
        """Boot servers of a new image at once; return their hosts."""
        image = self.image()
        self.cache('host7', image)
        servers = self.settle(*[
            self.request(image) for _server in range(self.BOOTS)])
        self.assertEqual({'ACTIVE'}, {
            server['status'] for server in servers}, self.hosts_of(servers))
        return self.hosts_of(servers)


class BurstTests:
    """Each server finds a host, as there is room for all of them."""

    def test_all_run_and_no_host_is_above_the_cap(self):
        spread = self.burst()

        self.assertEqual(self.BOOTS, spread.total())
        self.assertLessEqual(max(spread.values()), self.CAP)


class OneSchedulerTests(BurstTests, SeveralSchedulersTestCase):
    CAP, BOOTS = 2, 12


class TwoSchedulersTests(BurstTests, SeveralSchedulersTestCase):
    SCHEDULERS, CAP, BOOTS = 2, 2, 12


class FourSchedulersTests(BurstTests, SeveralSchedulersTestCase):
    SCHEDULERS, CAP, BOOTS = 4, 2, 12


class EightSchedulersTests(BurstTests, SeveralSchedulersTestCase):
    SCHEDULERS, CAP, BOOTS = 8, 2, 12


class LargeBurstTests(BurstTests, SeveralSchedulersTestCase):
    SCHEDULERS, CAP, BOOTS = 4, 10, 48

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

"""An exporter over nova's tables, for tests."""

import datetime
import os

import fixtures
import prometheus_client

from cache_aware_sched.decision_log import following
from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.exporter import exporting
from cache_aware_sched.exporter import reading
from cache_aware_sched.exporter import settings as settings_mod
from cache_aware_sched import nova_databases
from tests.unit import factories
from tests.unit import test_fleet_hosts
from tests.unit.test_fleet_hosts import NOW

PREFIX = 'cache_aware_sched_'


def decision(server='s1', warm=True, **fields):
    """Return a decision for host a that spared a fetch, or did not."""
    made = {
        'time': NOW.replace(tzinfo=datetime.UTC), 'server': server,
        'image': factories.IMAGE, 'winner': 'a', 'cached': 'a', 'stock': 'b',
        'seconds': 12.5, 'size': 3 * factories.GIB, 'hosts': (
            record_mod.DecidedHost('a', 'a', 'warm' if warm else 'cold'),
            record_mod.DecidedHost('b', 'b', 'cold'))}
    return record_mod.DecisionRecord(**{**made, **fields})


class ExporterTestCase(test_fleet_hosts.FleetTestCase):
    """Has an exporter of its own; its clock stands until it is moved."""

    def setUp(self):
        super().setUp()
        self.now = NOW
        self.log_path = os.path.join(self.path, 'decisions.log')

        self.useFixture(fixtures.MockPatchObject(
            nova_databases, 'api_database', autospec=True,
            side_effect=self.database))
        self.databases = nova_databases.KeptDatabases()

    def make_exporter(self, once=False, **how):
        settings = settings_mod.ExporterSettings(
            once=once, **{'cache_seconds': 0.0, **how})
        self.exporter = exporting.Exporter(
            settings, reading.CloudReader(
                self.databases, lambda: 60.0,
                datetime.timedelta(days=settings.days)),
            following.FollowedLog([self.log_path], from_start=once),
            lambda: self.now)
        return self.exporter

    # Given.

    def decide(self, *decisions):
        with open(self.log_path, 'a') as file:
            file.writelines(map(record_mod.dump, decisions))

    def create(self, uuid, seconds=None, image=factories.IMAGE, **fields):
        """Have a server created now, and ACTIVE so much later."""
        launched = (None if seconds is None
                    else self.now + datetime.timedelta(seconds=seconds))
        self.server(image, uuid=uuid, **{
            'created_at': self.now, 'launched_at': launched,
            'updated_at': launched or self.now, **fields})

    def wait(self, **how):
        self.now += datetime.timedelta(**how)

    # Then.

    def scrape(self):
        """Return the text that Prometheus gets."""
        return prometheus_client.generate_latest(
            self.exporter.registry).decode()

    def values(self, name, *labels):
        """Return the values of a metric by some of its labels."""
        found = {}
        for family in self.exporter.registry.collect():
            for sample in family.samples:
                if sample.name == PREFIX + name:
                    key = tuple(sample.labels[label] for label in labels)
                    found[key[0] if len(key) == 1 else key] = sample.value
        return found

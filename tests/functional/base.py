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

"""A small cloud whose hosts are cache-aware."""

# isort: off
# Must be imported before anything else of nova.
from nova.tests.functional import integrated_helpers
# isort: on

import collections
import logging
import os
import sys
import time
import uuid

import fixtures
import nova.conf
from nova import context as nova_context
from nova.scheduler import manager

from cache_aware_sched import report
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.virt import fake
from tests import process

CONF = nova.conf.CONF

# After a test, when its log is not kept any more, nova says there what ends.
logging.getLogger('nova.thread_pool_factory').setLevel(logging.WARNING)

GIB = 2 ** 30
WEIGHER = 'cache_aware_sched.scheduler.weights.ImageCacheWeigher'
FILTER = 'cache_aware_sched.scheduler.filters.ImageAntiAffinityFilter'
CACHE_FILTER = 'cache_aware_sched.scheduler.filters.ImageCacheFilter'
ALL_WEIGHERS = 'nova.scheduler.weights.all_weighers'
ALL_FILTERS = 'nova.scheduler.filters.all_filters'
STOCK_FILTERS = ['ComputeFilter', 'ComputeCapabilitiesFilter',
                 'ImagePropertiesFilter', 'ServerGroupAntiAffinityFilter',
                 'ServerGroupAffinityFilter']


def api_paste():
    """Return the path of nova's api-paste.ini, as its wheel installs it."""
    return os.path.join(sys.prefix, 'etc/nova/api-paste.ini')


def settling_in(seconds):
    """Return a fixture with which servers are reported again that soon."""
    return fixtures.MonkeyPatch(
        'cache_aware_sched.virt.refresh.SETTLE_SECONDS', seconds)


def end_reports(computes):
    """Wait until no host reports or fetches: that would outlive the test."""
    end = time.monotonic() + 5
    for compute in computes:
        fetches = getattr(compute.manager.driver, '_critical_fetches', None)
        if fetches:
            fetches.thread.end()
        # nova's own drivers have none.
        sent = getattr(compute.manager.driver, '_cache_report', None)
        while (sent and sent._refresher._running
               and time.monotonic() < end):
            time.sleep(0.02)


class CloudTestCase(integrated_helpers.ProviderUsageBaseTestCase):
    """Starts the controllers; the tests start the computes.

    :cvar MULTIPLIER: the weigher's; enough to outweigh nova's own weighers
    :cvar VCPUS: of a fake host
    :cvar SETTLE_SECONDS: so short that nothing waits when a test is over
    """

    compute_driver = 'cache_aware.FakeDriver'
    MULTIPLIER = 10.0
    VCPUS = 100
    SETTLE_SECONDS = 0.1
    WEIGHERS = (ALL_WEIGHERS, WEIGHER)

    def setUp(self):
        self.flags(group='wsgi', api_paste_config=api_paste())
        self.configure()
        self.flags(instances_path=self.useFixture(fixtures.TempDir()).path)
        process.forget()
        for name, value in (('vcpus', self.VCPUS),
                            ('memory_mb', self.VCPUS * 4096)):
            patch = fixtures.MonkeyPatch(
                f'nova.virt.fake.FakeDriver.{name}', value)
            self.useFixture(patch)
        self.useFixture(settling_in(self.SETTLE_SECONDS))
        super().setUp()
        self.addCleanup(lambda: end_reports(self.computes.values()))
        self.flavor = self.flavor_with()

    def configure(self):
        """Set options before any service starts."""
        self.flags(group='filter_scheduler',
                   weight_classes=list(self.WEIGHERS),
                   available_filters=[ALL_FILTERS, FILTER],
                   enabled_filters=[*STOCK_FILTERS, 'ImageAntiAffinityFilter'])
        self.flags(group='cache_aware_sched',
                   image_cache_weight_multiplier=self.MULTIPLIER)
        self.flags(group='quota', instances=-1, cores=-1, ram=-1)

    def enable_image_cache_filter(self):
        """Have the schedulers heed the hint "require"."""
        self.flags(group='filter_scheduler',
                   available_filters=[ALL_FILTERS, FILTER, CACHE_FILTER],
                   enabled_filters=[*STOCK_FILTERS, 'ImageCacheFilter',
                                    'ImageAntiAffinityFilter'])

    def set(self, **options):
        """Set options of this package."""
        self.flags(group='cache_aware_sched', **options)

    # Given.

    def start(self, *hosts):
        """Start computes, in their own process of thought."""
        for host in hosts:
            self._start_compute(host)

    def restart_scheduler(self):
        """Restart the scheduler, which loses all it remembered."""
        count.share(None)
        self.scheduler_service.stop()
        self.scheduler_service.manager = manager.SchedulerManager()
        self.scheduler_service.start()

    def image(self, size=20 * GIB, **properties):
        """Create an image."""
        image_id = str(uuid.uuid4())
        self.glance.create(None, {
            'id': image_id, 'name': image_id, 'status': 'active',
            'container_format': 'bare', 'disk_format': 'raw', 'min_disk': 0,
            'min_ram': 0, 'size': size, 'visibility': 'public',
            'created_at': None, 'updated_at': None, 'deleted_at': None,
            'deleted': False, 'protected': False, 'tags': [],
            'properties': {}, **properties})
        return image_id

    def flavor_with(self, extra_specs=None, vcpu=1, memory_mb=512, disk=20):
        """Create a flavor."""
        return self._create_flavor(
            vcpu=vcpu, memory_mb=memory_mb, disk=disk,
            extra_spec=extra_specs)

    def cache(self, host, image_id, size=20 * GIB):
        """Let a host hold an image, and report it."""
        fake.image_cache(host).put(image_id, size)
        self.report(host)

    def report(self, host):
        """Have a host report now."""
        compute = self.computes[host]
        context = nova_context.get_admin_context()
        with nova_context.target_cell(
                context, self.host_mappings[host].cell_mapping) as cell:
            compute.manager.update_available_resource(cell)

    def aggregate(self, hosts, **metadata):
        """Create an aggregate of hosts."""
        aggregate = self._create_aggregate(str(uuid.uuid4()))
        for host in hosts:
            self.api.add_host_to_aggregate(aggregate, host)
        self.api.api_post(
            f'/os-aggregates/{aggregate}/action',
            {'set_metadata': {'metadata': metadata}})
        return aggregate

    def force_down(self, host, down=True):
        """Have nova take a compute for dead, or not."""
        self.api.put_service(self.computes[host].service_ref.uuid,
                             {'forced_down': down})

    # When.

    def request(self, image, flavor=None, number=1, hints=None, host=None,
                az=None, **body):
        """Ask for servers without waiting; return the first."""
        server = self._build_server(
            image_uuid=image, flavor_id=flavor or self.flavor,
            networks='none', host=host, az=az)
        server.update(body)
        if number > 1:
            server.update(min_count=number, max_count=number)
        return self.api.post_server(
            {'server': server,
             **({'os:scheduler_hints': hints} if hints else {})})

    def boot(self, image, expect='ACTIVE', **kwargs):
        """Boot a server and return it when it is there."""
        return self._wait_for_state_change(
            self.request(image, **kwargs), expect)

    def where(self, image, **kwargs):
        """Boot a server and return its host."""
        return self.boot(image, **kwargs)['OS-EXT-SRV-ATTR:host']

    def settle(self, *servers, states=('ACTIVE', 'ERROR')):
        """Wait until the servers are in one of the states; return them."""
        done = []
        for server in servers:
            for _attempt in range(200):
                server = self.api.get_server(server['id'])
                if server['status'] in states:
                    break
                time.sleep(0.05)
            self.assertIn(server['status'], states)
            done.append(server)
        return done

    def all_servers(self):
        """Return all servers, waiting for those that are being built."""
        return self.settle(*self.api.get_servers(detail=False))

    # Then.

    def hosts_of(self, servers):
        """Return how many of the servers are on each host."""
        return collections.Counter(
            server['OS-EXT-SRV-ATTR:host'] for server in servers
            if server['status'] == 'ACTIVE')

    def spread(self):
        """Return how many servers are on each host."""
        return self.hosts_of(self.all_servers())

    def reported(self, host):
        """Return a host's report as the scheduler reads it, None without."""
        text = self.stats(host).get(report.STATS_KEY)
        return None if text is None else report.Report(text)

    def stats(self, host):
        """Return the statistics of a host, as the database has them."""
        from nova import objects
        context = nova_context.get_admin_context()
        with nova_context.target_cell(
                context, self.host_mappings[host].cell_mapping) as cell:
            node = objects.ComputeNode.get_first_node_by_host_for_old_compat(
                cell, host)
        return node.stats or {}

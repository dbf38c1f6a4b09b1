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
import logging
from unittest import mock

from nova.scheduler import filters as nova_filters

from cache_aware_sched import request as request_mod
from cache_aware_sched.scheduler import decisions
from cache_aware_sched.scheduler import filters
from cache_aware_sched.scheduler import reports
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler import weights
from tests.unit import base
from tests.unit import factories

REQUIRE = {request_mod.HINT_IMAGE_CACHE: ['require']}
REBUILD = {request_mod.HINT_CHECK_TYPE: ['rebuild']}


def all_kinds():
    """Return hosts that say of the image what can be said of one."""
    return [
        factories.host('warm', text=factories.warm()),
        factories.host('resized', text=factories.resized()),
        factories.host('cold', text=factories.cold()),
        factories.host('arriving', text=factories.arriving()),
        factories.host('silent'),
        factories.host('damaged', text='v=1;junk'),
        factories.host('truncated', text=factories.truncated()),
        factories.host('uncached', text=factories.warm(caches=False)),
    ]


ALL = [host.host for host in all_kinds()]
HOLDERS = ['warm', 'resized']


class RequiringTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.set_nova('filter_scheduler', enabled_filters=[
            'ComputeFilter', 'ImageCacheFilter'])
        self.filter = filters.ImageCacheFilter()

    def passing(self, spec, hosts=None):
        """Return the names of the hosts that pass, as nova asks."""
        left = nova_filters.HostFilterHandler().get_filtered_objects(
            [self.filter], all_kinds() if hosts is None else hosts, spec)
        return [host.host for host in left]

    def lines(self):
        return [line for line in self.logged(logging.INFO)
                if 'image_cache = require' in line]


class TestRequire(RequiringTestCase):

    def test_hosts_that_hold_the_image_pass(self):
        self.assertEqual(
            HOLDERS, self.passing(factories.spec(hints=REQUIRE)))

    def test_id_as_it_was_typed(self):
        self.assertEqual(HOLDERS, self.passing(factories.spec(
            image=factories.IMAGE.upper(), hints=REQUIRE)))

    def test_nobody_else_is_asked(self):
        counter = mock.create_autospec(count.SameImageCounter, instance=True)
        counter.reported.side_effect = count.shared().reported
        self.filter._counter = counter

        self.passing(factories.spec(hints=REQUIRE))

        self.assertEqual(['reported'], [
            name for name, _args, _kwargs in counter.method_calls])

    def test_everything_passes_without_the_hint(self):
        for value in (None, 'prefer', 'ignore', 'avoid', 'junk'):
            hints = value and {request_mod.HINT_IMAGE_CACHE: [value]}
            self.assertEqual(ALL, self.passing(factories.spec(hints=hints)))
        self.assertEqual([], self.lines())

    def test_volume_backed_servers_pass(self):
        self.assertEqual(ALL, self.passing(
            factories.spec(hints=REQUIRE, is_bfv=True)))
        self.assertEqual(ALL, self.passing(
            factories.spec(image=None, hints=REQUIRE)))

    def test_moves_pass(self):
        self.assertEqual(ALL, self.passing(factories.move(hints=REQUIRE)))

    def test_a_boot_to_a_named_host_is_bound(self):
        self.assertEqual(HOLDERS, self.passing(factories.spec(
            hints=REQUIRE, destination=factories.named_host('cold'))))

    def test_rebuilds_are_bound(self):
        """nova names the cell of their server, as for a move."""
        self.assertTrue(filters.ImageCacheFilter.RUN_ON_REBUILD)
        self.assertEqual(HOLDERS, self.passing(
            factories.move(hints={**REQUIRE, **REBUILD})))

    def test_no_hosts(self):
        self.assertEqual([], self.passing(
            factories.spec(hints=REQUIRE), hosts=[]))

    def test_each_server_of_a_multi_create(self):
        placed = factories.schedule(
            factories.spec(hints=REQUIRE, number=6), all_kinds(), 6,
            filters_=[self.filter])

        self.assertEqual(6, len(placed))
        self.assertLessEqual(set(placed), set(HOLDERS))
        self.assertEqual(1, len(self.lines()))

    def test_an_error_keeps_no_server_from_its_host(self):
        with mock.patch.object(reports.Reports, 'answers',
                               side_effect=RuntimeError('no')):
            self.assertEqual(
                ALL, self.passing(factories.spec(hints=REQUIRE)))

        [line] = self.logged(logging.ERROR)
        self.assertIn('image_cache = require was not applied', line)

    def test_nova_finds_it(self):
        [found] = nova_filters.HostFilterHandler().get_matching_classes(
            ['cache_aware_sched.scheduler.filters.ImageCacheFilter'])

        self.assertIs(filters.ImageCacheFilter, found)


class TestLog(RequiringTestCase):

    def test_why_no_host_is_left(self):
        spec = factories.spec(hints=REQUIRE)

        self.assertEqual([], self.passing(spec, all_kinds()[2:]))

        [line] = self.lines()
        for part in ('No host is left', spec.instance_uuid, factories.IMAGE,
                     'Of 6 candidates', '0 hold it', '2 are cold',
                     '1 arriving', '3 unknown'):
            self.assertIn(part, line)

    def test_fewer_hosts(self):
        self.passing(factories.spec(hints=REQUIRE))

        [line] = self.lines()
        self.assertIn('Fewer hosts are left', line)
        self.assertIn('2 hold it', line)

    def test_nothing_is_said_where_all_hold_it(self):
        self.passing(factories.spec(hints=REQUIRE), all_kinds()[:2])

        self.assertEqual([], self.lines())

    def test_each_host_is_named_for_debugging(self):
        self.log_debug()

        self.passing(factories.spec(hints=REQUIRE))

        lines = [line for line in self.logged(logging.DEBUG)
                 if 'which the hint' in line]
        self.assertEqual(len(ALL) - len(HOLDERS), len(lines))
        self.assertIn('host cold does not hold the image', lines[0])
        self.assertIn('host arriving is still fetching', lines[1])
        self.assertIn('host silent does not report', lines[2])


class TestWithoutTheFilter(base.TestCase):
    """The weigher says that the hint only prefers."""

    def setUp(self):
        super().setUp()
        self.set(image_cache_weight_multiplier=10.0)
        self.weigher = weights.ImageCacheWeigher()
        self.hosts = [factories.host('warm', text=factories.warm()),
                      factories.host('cold', text=factories.cold())]

    def weigh(self, spec):
        return factories.weigh(self.weigher, spec, self.hosts)

    def said(self):
        return [line for line in self.warnings() if 'require' in line]

    def test_it_is_said_once(self):
        weighed = self.weigh(factories.spec(hints=REQUIRE))
        self.weigh(factories.spec(hints=REQUIRE))

        [line] = self.said()
        self.assertIn('ImageCacheFilter is not in [filter_scheduler] '
                      'enabled_filters', line)
        # And it is treated as prefer
        self.assertGreater(weighed['warm'], weighed['cold'])

    def test_nothing_is_said_where_it_would_not_matter(self):
        self.weigh(factories.spec())
        self.weigh(factories.move(hints=REQUIRE))
        self.set_nova('filter_scheduler', enabled_filters=[
            'ImageCacheFilter'])
        self.weigh(factories.spec(hints=REQUIRE))

        self.assertEqual([], self.said())

    def test_name_of_the_filter(self):
        self.assertEqual(filters.ImageCacheFilter.__name__,
                         decisions._REQUIRING_FILTER)

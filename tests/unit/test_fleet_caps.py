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


import datetime

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched import cap as cap_mod
from cache_aware_sched.fleet import cap_trial
from cache_aware_sched.fleet import capped
from cache_aware_sched.fleet import images
from cache_aware_sched import nova_databases
from tests.unit import base
from tests.unit import factories
from tests.unit import test_fleet_hosts
from tests.unit.test_fleet_hosts import NOW
from tests.unit.test_fleet_hosts import reporting

IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
DAY = datetime.timedelta(days=1)
A, B, C, VC = ((name, name) for name in ('a', 'b', 'c', 'vc'))


class CapsTestCase(test_fleet_hosts.FleetTestCase):

    def servers(self, *hosts, image=IMAGE, **fields):
        for host in hosts:
            self.server(image, host, **fields)

    def known(self, instead=None, since=None):
        api = self.database()
        cells = nova_databases.cells(api, ())
        fleet = self.read()
        return capped.read(api, cells, images.read(fleet, cells), fleet,
                           True, instead, since)

    def image_caps(self, instead=None, flavor=None):
        known = self.known(instead)
        return list(known.image_caps(known.caps(flavor)))


class TestCaps(CapsTestCase):

    def setUp(self):
        super().setUp()
        for name in 'abc':
            self.host(name, reporting())

    def test_cap_of_the_option(self):
        self.set(max_same_image_instances_per_host=2)
        self.servers('a', 'a', 'a', 'b')

        [found] = self.image_caps()

        self.assertEqual((4, {A: 3, B: 1}, {A: 2, B: 2}), (
            found.running, found.counts, found.limits))
        self.assertEqual(([A], [A]), (found.full, found.above))
        # One on b and two on c; a, which is above it, has none to give.
        self.assertEqual(3, found.headroom)

    def test_cap_of_an_aggregate(self):
        self.set(max_same_image_instances_per_host=2)
        self.aggregate('big', 'b', max_same_image_instances_per_host='5')
        self.aggregate('bad', 'c', max_same_image_instances_per_host='x')
        self.servers('a', 'b')

        [found] = self.image_caps()

        self.assertEqual({A: 2, B: 5}, found.limits)
        self.assertEqual(1 + 4 + 2, found.headroom)

    def test_cap_of_a_flavor(self):
        self.set(max_same_image_instances_per_host=9)
        self.flavor(1, 'small', max_same_image_instances_per_host='2')
        self.flavor(2, 'other', hide='x')
        self.servers('a')
        known = self.known()

        [found] = known.image_caps(known.caps(known.flavors[0]))

        self.assertEqual(['small'], [one.name for one in known.flavors])
        self.assertEqual({A: 2}, found.limits)

    def test_no_cap(self):
        self.set(max_same_image_instances_per_host=0)
        self.servers('a')

        [found] = self.image_caps()

        self.assertEqual((None, [], []), (
            found.headroom, found.full, found.above))

    def test_no_cap_on_some_hosts(self):
        self.set(max_same_image_instances_per_host=1)
        self.aggregate('free', 'c', max_same_image_instances_per_host='0')
        self.servers('a')

        [found] = self.image_caps()

        self.assertEqual((None, [A]), (found.headroom, found.full))

    def test_clusters_have_no_cap(self):
        self.set(max_same_image_instances_per_host=2)
        self.host('vc', reporting(), hypervisor=cap_mod.CLUSTER)
        self.aggregate('all', 'vc', max_same_image_instances_per_host='1')
        self.servers('vc', 'vc', 'vc', 'a', 'a', 'a')
        self.servers('b', image=OTHER_IMAGE)

        on_both, on_machines = sorted(
            self.image_caps(), key=lambda one: -one.running)

        self.assertEqual({VC: 0, A: 2}, on_both.limits)
        self.assertEqual(([A], [A], None), (
            on_both.full, on_both.above, on_both.headroom))
        self.assertEqual(5, on_machines.headroom)

    def test_cluster_that_is_down_has_no_room(self):
        self.set(max_same_image_instances_per_host=2)
        self.host('vc', hypervisor=cap_mod.CLUSTER, forced_down=True)
        self.servers('vc', 'a', 'a')

        [found] = self.image_caps()

        self.assertEqual((4, {VC: 0, A: 2}), (found.headroom, found.limits))

    def test_cap_that_is_tried(self):
        self.set(max_same_image_instances_per_host=9)
        self.servers('a', 'a')

        self.assertEqual({A: 1}, self.image_caps(instead=1)[0].limits)

    def test_share(self):
        """A tenth of 20 servers and one more, rounded up."""
        self.set(max_same_image_instances_per_host=1,
                 max_same_image_share_per_host=0.1)
        for number in range(20):
            self.host(f'h{number}', reporting())
            self.servers(f'h{number}')

        [found] = self.image_caps()

        self.assertEqual({3}, set(found.limits.values()))
        self.assertEqual(23 * 3 - 20, found.headroom)

    def test_scope_of_a_project(self):
        self.set(max_same_image_instances_per_host=2,
                 same_image_scope='project')
        self.servers('a', 'a', project_id='p1')
        self.servers('a', project_id='p2')

        found = {one.project: one for one in self.image_caps()}

        self.assertEqual(({A: 2}, {A: 1}),
                         (found['p1'].counts, found['p2'].counts))
        self.assertEqual([], found['p2'].full)

    def test_hosts_that_get_no_servers_have_no_room(self):
        self.set(max_same_image_instances_per_host=2)
        self.host('off', reporting(), disabled=True)
        self.servers('off')

        [found] = self.image_caps()

        self.assertEqual((6, {('off', 'off'): 2}),
                         (found.headroom, found.limits))

    def test_flavors_that_cannot_be_read(self):
        self.servers('a')
        test_fleet_hosts.SPECS.drop(self.api)

        known = self.known()

        self.assertEqual(([], ['flavors']),
                         (known.flavors, list(known.unread)))
        self.assertIn('The caps of flavors', known.unread['flavors'])


class TestStranded(CapsTestCase):

    def stranded(self, cap):
        known = self.known(cap)
        caps = known.caps(None)
        return cap_trial.stranded(known.image_caps(caps), caps)

    def test_servers_that_fit_elsewhere(self):
        for name in 'ab':
            self.host(name, reporting())
        self.servers('a', 'a', 'b')

        self.assertEqual({A: {IMAGE: 1}, B: {IMAGE: 1}}, self.stranded(2))
        self.assertEqual({}, self.stranded(3))
        self.assertEqual({A: {IMAGE: 2}, B: {IMAGE: 1}}, self.stranded(1))

    def test_only_host(self):
        self.host('a', reporting())
        self.servers('a')
        self.servers('a', image=OTHER_IMAGE)

        self.assertEqual({A: {IMAGE: 1, OTHER_IMAGE: 1}}, self.stranded(5))

    def test_host_that_is_down(self):
        """Its own room counts for none."""
        self.host('a', reporting(), disabled=True)
        self.host('b', reporting())
        self.servers('a', 'a', 'b')

        self.assertEqual({A: {IMAGE: 1}, B: {IMAGE: 1}}, self.stranded(2))

    def test_the_only_host_without_a_cap(self):
        """What it may run does not count for its own servers."""
        self.host('a', reporting())
        self.host('b', reporting())
        self.aggregate('any', 'a', max_same_image_instances_per_host='0')
        self.servers('a', 'a', 'a', 'b')

        self.assertEqual({A: {IMAGE: 2}}, self.stranded(2))

    def test_clusters(self):
        """One is not lost as a whole, and takes what runs on it already."""
        self.host('a', reporting())
        self.host('vc', hypervisor=cap_mod.CLUSTER)
        self.servers('vc', 'vc', 'vc', 'a')
        self.servers('a', image=OTHER_IMAGE)

        self.assertEqual({A: {OTHER_IMAGE: 1}}, self.stranded(2))


class TestReplay(CapsTestCase):

    def setUp(self):
        super().setUp()
        self._minute = 0

    def created(self, *hosts, days=1.0, lives=None, **fields):
        """Have servers created in this order, some days ago."""
        for host in hosts:
            self._minute += 1
            at = NOW - days * DAY + datetime.timedelta(seconds=self._minute)
            ended = {} if lives is None else {
                'deleted': self._minute, 'deleted_at': at + lives * DAY}
            self.servers(host, created_at=at, **ended, **fields)

    def replay(self, cap, days=7):
        trial = self.known(cap, NOW - days * DAY).replay()
        return trial.asked, trial.elsewhere, sum(trial.refused.values())

    def two_hosts(self):
        for name in 'ab':
            self.host(name, reporting())

    def test_servers_below_the_cap(self):
        self.two_hosts()
        self.created('a', 'a', 'b')

        self.assertEqual((3, 0, 0), self.replay(2))

    def test_servers_that_go_elsewhere(self):
        self.two_hosts()
        self.created('a', 'a', 'a')

        self.assertEqual((3, 1, 0), self.replay(2))

    def test_servers_that_are_refused(self):
        self.two_hosts()
        self.created('a', 'a', 'a')

        self.assertEqual((3, 1, 1), self.replay(1))

    def test_server_that_went_elsewhere_takes_room_there(self):
        self.two_hosts()
        self.created('a', 'a', 'b')

        self.assertEqual((3, 1, 1), self.replay(1))

    def test_servers_that_are_deleted_give_room(self):
        self.two_hosts()
        self.created('a', 'a', lives=0.1, days=3)
        self.created('a', 'a')

        self.assertEqual((4, 0, 0), self.replay(2))
        self.assertEqual((4, 2, 0), self.replay(1))

    def test_older_servers_keep_their_hosts(self):
        self.two_hosts()
        self.created('a', 'a', 'a', days=30)
        self.created('a', 'b')

        self.assertEqual((2, 1, 0), self.replay(2))

    def test_older_servers_that_are_gone_do_not_count(self):
        self.two_hosts()
        self.created('a', 'a', days=30, lives=1)
        self.created('a')

        self.assertEqual((1, 0, 0), self.replay(1))

    def test_zone(self):
        """nova notes it of each server: nobody need have asked for it."""
        self.two_hosts()
        self.aggregate('one', 'a', zone='az1')
        self.created('a', 'a', availability_zone='az1')

        self.assertEqual((2, 1, 0), self.replay(1))

    def test_host_that_gets_no_servers_takes_none(self):
        self.host('a', reporting())
        self.host('b', reporting(), disabled=True)
        self.created('a', 'a')

        self.assertEqual((2, 0, 1), self.replay(1))

    def test_servers_of_a_cluster_stay(self):
        self.host('a', reporting())
        self.host('vc', hypervisor=cap_mod.CLUSTER)
        self.created('vc', 'vc', 'vc', 'a')

        self.assertEqual((4, 0, 0), self.replay(1))

    def test_images_and_projects_do_not_mix(self):
        self.set(same_image_scope='project')
        self.host('a', reporting())
        self.created('a', project_id='p1')
        self.created('a', project_id='p2')
        self.created('a', image=OTHER_IMAGE, project_id='p1')

        self.assertEqual((3, 0, 0), self.replay(1))

    def test_flavor_with_its_own_cap_does_not_care(self):
        self.host('a', reporting())
        self.flavor(7, 'small', max_same_image_instances_per_host='1')
        self.flavor(8, 'wide', max_same_image_share_per_host='1')
        self.created('a', 'a', instance_type_id=7)
        self.created('a', image=OTHER_IMAGE, instance_type_id=8)
        self.created('a', image=OTHER_IMAGE, instance_type_id=8)

        self.assertEqual((4, 0, 0), self.replay(1))

    def test_what_is_no_request_for_a_host(self):
        self.two_hosts()
        self.created('a', image='')
        self.created('a', hidden=True)
        self.servers('a', created_at=None)

        self.assertEqual((0, 0, 0), self.replay(1))


CREATED = st.lists(st.tuples(
    st.integers(0, 3), st.integers(0, 100),
    st.none() | st.integers(1, 50)), max_size=40)


class Limit:
    """Caps of hosts that are all the same."""

    def __init__(self, nodes, limit):
        self.nodes = dict.fromkeys(nodes, 'cap')
        self._limit = limit

    def of(self, node):
        return 'cap'

    def limits(self, total):
        return {'cap': self._limit}


class TestPlacing(base.TestCase):

    @hypothesis.given(CREATED, st.integers(1, 4))
    def test_cap_is_kept(self, created, limit):
        """Against a replay that looks at every host at each step."""
        nodes = [(f'h{number}', f'h{number}') for number in range(4)]
        servers = sorted((cap_trial.PastServer(
            'i', 'p', nodes[number], 1, NOW + at * DAY,
            None if lives is None else NOW + (at + lives) * DAY)
            for number, at, lives in created),
            key=lambda server: server.created)

        trial = cap_trial.replay(
            servers, NOW, Limit(nodes, limit), {}, False)

        refused = 0
        placed = []
        for server in servers:
            counts = dict.fromkeys(nodes, 0)
            for node, deleted in placed:
                counts[node] += deleted is None or deleted > server.created
            node = server.node
            if counts[node] >= limit:
                node = min(nodes, key=lambda one: (counts[one], one))
            if counts[node] >= limit:
                refused += 1
            else:
                placed.append((node, server.deleted))
        self.assertEqual(refused, sum(trial.refused.values()))
        self.assertEqual(len(servers), trial.asked)

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

"""What the planner plans, whatever the cloud is like."""

import collections
import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from cache_aware_sched.precache import planner
from tests.unit import base

GIB = 2 ** 30
_IMAGES = 'abcdef'


def wish(image='a', copies=2, boots=10.0, size=GIB, zone='z'):
    return planner.Wish(image, zone, copies, boots, size)


def host(name='h1', **more):
    return planner.CacheHost(name, **{'zone': 'z', 'room': 100 * GIB, **more})


def _hosts(count, **more):
    return [host(f'h{number}', **more) for number in range(1, count + 1)]


def _planned(hosts, *wishes):
    return [(fetch.image, fetch.host)
            for fetch in planner.plan(hosts, wishes).fetches]


class PlanTests(base.TestCase):

    def test_what_lacks_most_is_first(self):
        self.assertEqual(
            ['b', 'b', 'a', 'b'], [image for image, _host in _planned(
                _hosts(3), wish('a', 1, 99.0), wish('b', 3, 1.0))])

    def test_what_is_there_or_arrives_is_not_fetched_again(self):
        hosts = [host('h1', held={'a': GIB}),
                 host('h2', arriving=frozenset('a')), host('h3')]

        self.assertEqual([('a', 'h3')], _planned(hosts, wish(copies=3)))
        self.assertEqual([], _planned(hosts, wish(copies=2)))

    def test_idle_hosts_first(self):
        hosts = [host('h1', load=0.8), host('h2', load=0.2),
                 host('h3', load=0.5)]

        self.assertEqual([('a', 'h2'), ('a', 'h3')], _planned(hosts, wish()))

    def test_hosts_that_draw_few_boots_first(self):
        hosts = [host('h1', held={'hot': GIB}), host('h2')]

        self.assertEqual([('a', 'h2')], _planned(
            hosts, wish(copies=1), wish('hot', 1, 500.0)))

    def test_same_plan_in_every_process(self):
        """Sums depend on no order in which a process keeps a set.

        0.1 + 0.2 + 0.3 is more than 0.3 + 0.2 + 0.1. Each letter is another
        set of images.
        """
        for letter in 'abcdefghijkl':
            names = [f'{letter}{number}' for number in (1, 2, 3)]
            hosts = [host('h1', held=dict.fromkeys(names, 1)),
                     host('h2', held={'other': 1})]
            wishes = [wish(name, 1, boots) for name, boots in zip(
                [*names, 'other'], [0.1, 0.2, 0.3, 0.6], strict=True)]

            self.assertEqual([('new', 'h1')], _planned(
                hosts, *wishes, wish('new', 1)))

    def test_failure_domains(self):
        hosts = [host('h1', domain='rack1', held={'a': GIB}),
                 host('h2', domain='rack1'),
                 host('h3', domain='rack2', load=0.9)]

        self.assertEqual([('a', 'h3')], _planned(hosts, wish()))

    def test_room(self):
        hosts = [host('h1', room=GIB), host('h2', room=GIB - 1)]

        found = planner.plan(hosts, [wish()])

        self.assertEqual(['h1'], [fetch.host for fetch in found.fetches])
        self.assertIn('of 1 host without it none has room',
                      found.images[0].short)

    def test_room_is_used_once(self):
        self.assertEqual(1, len(_planned(
            [host(room=GIB)], wish('a', 1), wish('b', 1))))

    def test_each_zone_for_itself(self):
        hosts = [host('h1', zone='east'), host('h2', zone='west')]

        self.assertEqual([('a', 'h2')], _planned(
            hosts, wish(copies=1, zone='west')))

    def test_hosts_that_get_no_servers(self):
        hosts = [host('h1', unfit='down', held={'a': GIB}),
                 host('h2', unfit='disabled'), host('h3')]

        found = planner.plan(hosts, [wish()])

        self.assertEqual([('a', 'h3')], [
            (fetch.image, fetch.host) for fetch in found.fetches])
        self.assertEqual((0, 1), (
            found.images[0].there, found.images[0].wanted))

    def test_zone_without_hosts(self):
        found = planner.plan([], [wish()])

        self.assertEqual([], found.fetches)
        self.assertEqual('no host of the zone gets servers and keeps images',
                         found.images[0].short)

    def test_zone_whose_hosts_do_not_tell(self):
        """One that tells of the image itself is told of as well."""
        [image] = planner.plan([host(knows_all=False)], [wish()]).images
        self.assertEqual((0, 0, 'no host of the zone reports all it holds'),
                         (image.there, image.wanted, image.short))

        [image] = planner.plan(
            [host(knows_all=False, held={'a': 1})], [wish()]).images
        self.assertEqual((1, 1, ''), (
            image.there, image.wanted, image.short))

    def test_unknown_hosts_are_not_taken_for_cold(self):
        hosts = [host('h1'), host('h2'), host('h3', knows_all=False),
                 host('h4', knows_all=False)]

        found = planner.plan(hosts, [wish(copies=2)])

        self.assertEqual(['h1'], [fetch.host for fetch in found.fetches])
        self.assertEqual(2, found.images[0].unknown)

    def test_unknown_size(self):
        found = planner.plan(_hosts(2), [wish(size=0)])

        self.assertEqual('its size is not known', found.images[0].short)

    def test_full_host_evicts_what_nobody_wants(self):
        self.assertEqual([('a', 'h1')], _planned(
            [host(room=0, evicts=True, held={'junk': GIB})], wish()))

    def test_what_is_evicted_for_is_told(self):
        found = planner.plan([
            host('h1', room=0, evicts=True, held={'junk': GIB}), host('h2')],
            [wish()])

        self.assertEqual([('h2', False), ('h1', True)], [
            (fetch.host, fetch.evicts) for fetch in found.fetches])

    def test_full_host_keeps_what_is_hotter_or_wanted(self):
        for hot in (wish('b', 0, 11.0), wish('b', 1, 1.0)):
            self.assertEqual([], _planned(
                [host(room=0, evicts=True, held={'junk': GIB, 'b': GIB})],
                wish(), hot))

    def test_image_in_use_makes_no_room(self):
        self.assertEqual([], _planned([host(
            room=0, evicts=True, held={'junk': GIB},
            in_use=frozenset(['junk']))], wish()))

    def test_full_host_without_eviction(self):
        self.assertEqual([], _planned(
            [host(room=0, held={'junk': GIB})], wish()))


_HOST = st.builds(
    planner.CacheHost,
    zone=st.sampled_from('yz'), domain=st.sampled_from(['', 'r1', 'r2']),
    room=st.integers(0, 10), evicts=st.booleans(),
    load=st.floats(0, 1), held=st.dictionaries(
        st.sampled_from(_IMAGES), st.integers(1, 5)),
    in_use=st.frozensets(st.sampled_from(_IMAGES)),
    arriving=st.frozensets(st.sampled_from(_IMAGES), max_size=2),
    knows_all=st.booleans(), unfit=st.sampled_from(['', '', '', 'down']),
    name=st.just(''))
_CLOUD = st.lists(_HOST, max_size=8).map(lambda hosts: [
    dataclasses.replace(one, name=f'h{number}')
    for number, one in enumerate(hosts)])
_WISHES = st.lists(
    st.builds(planner.Wish, st.sampled_from(_IMAGES), st.sampled_from('yz'),
              st.integers(0, 6), st.floats(0, 100), st.integers(0, 6)),
    unique_by=lambda one: (one.image, one.zone), max_size=8)


class PlanPropertiesTests(base.TestCase):

    @given(_CLOUD, _WISHES)
    def test_never_beyond_the_room(self, hosts, wishes):
        found = planner.plan(hosts, wishes)

        by_name = {one.name: one for one in hosts}
        planned = collections.defaultdict(list)
        for fetch in found.fetches:
            planned[fetch.host].append(fetch)
        for name, fetches in planned.items():
            one = by_name[name]
            evictable = sum(one.held[image] for image in one.evictable())
            self.assertLessEqual(
                sum(fetch.size for fetch in fetches),
                one.room + (evictable if one.evicts else 0))

    @given(_CLOUD, _WISHES)
    def test_only_to_hosts_that_surely_lack_it(self, hosts, wishes):
        found = planner.plan(hosts, wishes)

        by_name = {one.name: one for one in hosts}
        for fetch in found.fetches:
            one = by_name[fetch.host]
            self.assertFalse(one.unfit)
            self.assertTrue(one.knows_all)
            self.assertFalse(one.has(fetch.image))
            self.assertEqual(fetch.zone, one.zone)
        self.assertEqual(len(found.fetches), len({
            (fetch.image, fetch.host) for fetch in found.fetches}))

    @given(_CLOUD, _WISHES)
    def test_nothing_hotter_is_evicted_and_nothing_then_lacks(
            self, hosts, wishes):
        found = planner.plan(hosts, wishes)

        boots = {(one.zone, one.image): one.boots_per_day for one in wishes}
        by_name = {one.name: one for one in hosts}
        room = {one.name: one.room for one in hosts}
        gone = collections.defaultdict(set)
        for fetch in found.fetches:
            room[fetch.host] -= fetch.size
            if room[fetch.host] < 0:
                # The host may choose any of these.
                for image in by_name[fetch.host].evictable():
                    key = (fetch.zone, image)
                    gone[key].add(fetch.host)
                    if key in boots:
                        self.assertLess(
                            boots[key], boots[fetch.zone, fetch.image])
        for image in found.images:
            key = (image.wish.zone, image.wish.image)
            lacked = max(0, image.wanted - image.there)
            lacks = image.wanted - image.there - len(image.hosts) + len(
                gone[key])
            self.assertLessEqual(max(0, lacks), lacked)
            self.assertLessEqual(len(image.hosts), lacked)

    @given(_CLOUD, _WISHES, st.randoms(use_true_random=False))
    def test_same_plan_in_any_order(self, hosts, wishes, chance):
        found = planner.plan(hosts, wishes)
        chance.shuffle(hosts)
        chance.shuffle(wishes)

        self.assertEqual(found, planner.plan(hosts, wishes))

    @given(_CLOUD, _WISHES)
    def test_nothing_left_that_could_be_planned(self, hosts, wishes):
        found = planner.plan(hosts, wishes)

        for image in found.images:
            self.assertTrue(
                image.short or image.wanted == 0
                or image.there + len(image.hosts) >= image.wanted, image)

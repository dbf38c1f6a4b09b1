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

import dataclasses

import hypothesis
from hypothesis import strategies as st
from nova import objects

from cache_aware_sched import request
from tests.unit import base
from tests.unit import factories

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner)
    | st.dictionaries(st.text() | st.integers(), inner), max_leaves=8)
HINTS = (request.HINT_IMAGE_CACHE, request.HINT_CAP)


class Broken:
    """Raises whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError(name)


class BrokenObject:

    def obj_attr_is_set(self, name):
        raise RuntimeError(name)


def hints(value):
    return {key: [value] for key in HINTS}


def read(spec):
    return request.Request.from_spec(spec)


NOTHING = read(None)


class TestRequest(base.TestCase):

    def test_everything_is_read(self):
        spec = factories.spec(
            size=7, number=3, vcpus=2, memory_mb=3, root_gb=4, name='m1',
            extra_specs={'a': 'b'}, spec_id=8, hints={
                'image_cache': ['avoid'],
                'max_same_image_instances_per_host': ['5']},
            group=factories.server_group('affinity', ['h']),
            destination=factories.named_host('h2'))

        self.assertEqual(
            request.Request(
                image=factories.IMAGE, image_size=7,
                instance=spec.instance_uuid, project=factories.PROJECT,
                flavor='m1', vcpus=2, memory_mb=3, disk_gb=4, count=3,
                extra_specs={'a': 'b'},
                image_cache=request.Hint(('avoid',)),
                hinted_cap=request.Hint(('5',)),
                group_policy='affinity', group_has_host=True, rebuild=False,
                move=False, named_host='h2', forced=False, sequence=8),
            read(spec))

    def test_nothing_is_set(self):
        for spec in (objects.RequestSpec(), None, {}, 0, 'x'):
            self.assertEqual(NOTHING, read(spec))

        self.assertEqual(
            request.Request(
                image=None, image_size=0, instance=None, project=None,
                flavor=None, vcpus=0, memory_mb=0, disk_gb=0, count=1,
                extra_specs={}, image_cache=request.Hint(),
                hinted_cap=request.Hint(), group_policy=None,
                group_has_host=False, rebuild=False, move=False,
                named_host=None, forced=False, sequence=NOTHING.sequence),
            NOTHING)

    def test_each_field_may_be_unset(self):
        affected = {
            'id': {'sequence'},
            'image': {'image', 'image_size'}, 'instance_uuid': {'instance'},
            'project_id': {'project'}, 'num_instances': {'count'},
            'flavor': {'flavor', 'vcpus', 'memory_mb', 'disk_gb',
                       'extra_specs'},
            'scheduler_hints': {'image_cache', 'hinted_cap'},
            'instance_group': {'group_policy', 'group_has_host'},
            'requested_destination': {'named_host'},
            'is_bfv': set()}
        for field, names in affected.items():
            spec = factories.spec(
                number=2, extra_specs={'a': 'b'}, spec_id=3,
                hints=hints('b'),
                group=factories.server_group(host_names=['h']),
                destination=factories.named_host('h2'))
            whole = dataclasses.asdict(read(spec))
            delattr(spec, f'_obj_{field}')

            for name, value in dataclasses.asdict(read(spec)).items():
                if name not in names:
                    self.assertEqual(whole[name], value, (field, name))
                elif name != 'sequence':
                    self.assertEqual(
                        dataclasses.asdict(NOTHING)[name], value,
                        (field, name))

    def test_each_field_may_be_none(self):
        for field in ('image', 'project_id', 'scheduler_hints',
                      'instance_group', 'force_hosts', 'force_nodes',
                      'requested_destination'):
            spec = factories.spec()
            setattr(spec, field, None)

            read(spec)

    def test_objects_in_it_may_be_empty(self):
        spec = factories.spec(
            group=objects.InstanceGroup(), destination=objects.Destination())
        spec.image, spec.flavor = objects.ImageMeta(), objects.Flavor()

        found = read(spec)

        self.assertEqual((None, 0, {}, None, None, False), (
            found.image, found.vcpus, found.extra_specs, found.group_policy,
            found.named_host, found.move))

    def test_nothing_is_loaded(self):
        """nova's objects load what is not set, and then it is."""
        spec = factories.spec(destination=objects.Destination())

        read(spec)

        self.assertNotIn('cell', spec.requested_destination)
        self.assertNotIn('host', spec.requested_destination)

    def test_broken_objects(self):
        for broken in (Broken(), BrokenObject(), object()):
            self.assertEqual(NOTHING, read(broken))

    @hypothesis.given(ANYTHING)
    def test_hints_of_any_kind(self, value):
        class Spec:
            scheduler_hints = value

        self.assertEqual(NOTHING, read(Spec()))

    @hypothesis.given(ANYTHING)
    def test_values_of_hints_of_any_kind(self, value):
        class Spec:
            scheduler_hints = dict.fromkeys(HINTS, value)

        for hint in (read(Spec()).image_cache, read(Spec()).hinted_cap):
            self.assertIsInstance(hint.unread, bool)
            for one in hint.values:
                self.assertIsInstance(one, str)

    @hypothesis.given(ANYTHING)
    def test_fields_of_any_kind(self, value):
        class Flavor:
            vcpus = memory_mb = root_gb = extra_specs = value

        class Spec:
            num_instances = instance_group = is_bfv = id = value
            image = requested_destination = value
            flavor = Flavor()

        found = read(Spec())

        self.assertIsInstance(found.vcpus, int)
        self.assertIsInstance(found.sequence, int)
        self.assertIsInstance(found.extra_specs, dict)


class TestImage(base.TestCase):

    def test_volume_backed_without_an_image(self):
        self.assertIsNone(read(factories.spec(None, is_bfv=True)).image)

    def test_volume_backed_with_an_image(self):
        """The image is written to the volume; the cache is not used."""
        self.assertIsNone(read(factories.spec(is_bfv=True)).image)

    def test_image_without_an_id(self):
        self.assertIsNone(read(factories.spec(None)).image)
        self.assertIsNone(read(factories.spec('')).image)

    def test_image_in_upper_case(self):
        """As nova keeps what was typed, and Glance finds it."""
        spec = factories.spec(factories.IMAGE.upper())

        self.assertEqual(factories.IMAGE, read(spec).image)


class TestHints(base.TestCase):

    def hint(self, value):
        class Spec:
            scheduler_hints = {request.HINT_IMAGE_CACHE: value}

        return read(Spec()).image_cache

    def test_list(self):
        spec = factories.spec(hints={request.HINT_IMAGE_CACHE: ['x', 'y']})

        self.assertEqual(
            request.Hint(('x', 'y')), read(spec).image_cache)

    def test_nothing(self):
        for value in (None, []):
            self.assertEqual(request.Hint(), self.hint(value))

    def test_scalars(self):
        for value, text in (('x', 'x'), (5, '5'), (0, '0'), ('', '')):
            self.assertEqual(request.Hint((text,)), self.hint(value))

    def test_what_is_no_text_is_not_read(self):
        for value in ({}, {'a': 'b'}, [[]], [None], [{'a': 'b'}]):
            self.assertEqual(request.Hint((), unread=True), self.hint(value))

    def test_too_long_text_is_not_read(self):
        longest = 'x' * request.MAX_HINT_CHARS

        self.assertEqual(request.Hint((longest,)), self.hint([longest]))
        self.assertEqual(
            request.Hint(('y',), unread=True),
            self.hint([f'{longest}x', 'y']))

    def test_too_many_values_are_not_read(self):
        found = self.hint([str(number) for number in range(100_000)])

        self.assertEqual(request.MAX_HINT_VALUES, len(found.values))
        self.assertTrue(found.unread)

    def test_long_text_is_not_kept(self):
        """Requests are kept for as long as nova needs them."""
        spec = factories.spec(hints=hints('x' * 100_000))

        self.assertLess(len(repr(read(spec))), 2000)


class TestMove(base.TestCase):

    def test_boot(self):
        for destination in (
                None, objects.Destination(), factories.named_host('h'),
                # As a request filter of nova leaves it behind.
                objects.Destination(aggregates=['a'])):
            spec = factories.spec(destination=destination)

            self.assertFalse(read(spec).move)

    def test_conductor_names_the_cell(self):
        self.assertTrue(read(factories.move()).move)

    def test_move_to_a_named_host_of_any_cell(self):
        destination = objects.Destination(host='h', cell=None)

        self.assertTrue(read(factories.spec(destination=destination)).move)

    def test_is_of_one_server(self):
        """Its request still says with how many it was booted."""
        self.assertEqual(1, read(factories.move(number=50)).count)
        self.assertEqual(50, read(factories.spec(number=50)).count)

    def test_is_not_bound_by_the_cap_that_was_hinted(self):
        found = read(factories.move(hints=hints('2')))

        self.assertEqual(request.Hint(), found.hinted_cap)
        self.assertEqual(request.Hint(('2',)), found.image_cache)


class TestGroup(base.TestCase):

    def test_none(self):
        found = read(factories.spec())

        self.assertIsNone(found.group_policy)
        self.assertFalse(found.group_has_host)

    def test_without_members_that_have_a_host(self):
        found = read(factories.spec(group=factories.server_group('affinity')))

        self.assertEqual('affinity', found.group_policy)
        self.assertFalse(found.group_has_host)

    def test_with_a_member_that_has_a_host(self):
        found = read(factories.spec(
            group=factories.server_group('affinity', ['h'])))

        self.assertTrue(found.group_has_host)


class TestSequence(base.TestCase):

    def test_is_the_id_of_the_request(self):
        self.assertEqual(
            [7, 8], [read(factories.spec(spec_id=number)).sequence
                     for number in (7, 8)])

    def test_is_that_of_the_server_without_an_id(self):
        """And the same in every process, whatever its hash seed."""
        uuid = '00000000-0000-4000-8000-000000000001'

        found = [read(factories.spec(instance_uuid=one)).sequence
                 for one in (uuid, uuid, factories.new_uuid())]

        self.assertEqual([0x4ce73681] * 2, found[:2])
        self.assertNotEqual(found[0], found[2])


class TestKind(base.TestCase):

    def test_rebuild(self):
        spec = factories.spec(hints={'_nova_check_type': ['rebuild']})

        self.assertTrue(read(spec).rebuild)

    def test_other_checks_are_no_rebuild(self):
        for hints in (None, {}, {'_nova_check_type': []},
                      {'_nova_check_type': ['other']}):
            self.assertFalse(read(factories.spec(hints=hints)).rebuild)

    def test_rebuild_is_what_nova_takes_for_one(self):
        from nova.scheduler import utils
        for check in ('rebuild', 'other'):
            spec = factories.spec(hints={'_nova_check_type': [check]})

            self.assertEqual(
                utils.request_is_rebuild(spec), read(spec).rebuild)

    def test_forced(self):
        for field in ('force_hosts', 'force_nodes'):
            spec = factories.spec()
            self.assertFalse(read(spec).forced)

            setattr(spec, field, ['h'])

            self.assertTrue(read(spec).forced)

    def test_forced_to_nothing(self):
        spec = factories.spec()
        spec.force_hosts = spec.force_nodes = []

        self.assertFalse(read(spec).forced)

    def test_server_for_the_log(self):
        spec = factories.spec()

        self.assertEqual(spec.instance_uuid, request.server_of(spec))
        for broken in (None, {}, Broken(), objects.RequestSpec()):
            self.assertIsNone(request.server_of(broken))

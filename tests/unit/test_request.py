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


class Broken:
    """Raises whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError(name)


class BrokenObject:

    def obj_attr_is_set(self, name):
        raise RuntimeError(name)


def read(spec):
    return request.Request.from_spec(spec)


NOTHING = read(None)


class TestRequest(base.TestCase):

    def test_everything_is_read(self):
        spec = factories.spec(
            size=7, number=3, vcpus=2, memory_mb=3, root_gb=4,
            extra_specs={'a': 'b'}, hints={'c': ['d']},
            group=factories.server_group())

        self.assertEqual(
            request.Request(
                image=factories.IMAGE, image_size=7,
                instance=spec.instance_uuid, project=factories.PROJECT,
                vcpus=2, memory_mb=3, disk_gb=4, count=3,
                extra_specs={'a': 'b'}, hints={'c': ['d']}, grouped=True,
                rebuild=False, forced=False), read(spec))

    def test_nothing_is_set(self):
        for spec in (objects.RequestSpec(), None, {}, 0, 'x'):
            self.assertEqual(NOTHING, read(spec))

        self.assertEqual(
            (None, None, None, 0, 0, 1, {}, {}, False, False, False),
            (NOTHING.image, NOTHING.instance, NOTHING.project,
             NOTHING.image_size, NOTHING.disk_gb, NOTHING.count,
             NOTHING.extra_specs, NOTHING.hints, NOTHING.grouped,
             NOTHING.rebuild, NOTHING.forced))

    def test_each_field_may_be_unset(self):
        affected = {
            'image': {'image', 'image_size'}, 'instance_uuid': {'instance'},
            'project_id': {'project'}, 'num_instances': {'count'},
            'flavor': {'vcpus', 'memory_mb', 'disk_gb', 'extra_specs'},
            'scheduler_hints': {'hints'}, 'instance_group': {'grouped'},
            'is_bfv': set()}
        for field, names in affected.items():
            spec = factories.spec(
                number=2, hints={'a': ['b']}, extra_specs={'a': 'b'},
                group=factories.server_group())
            whole = dataclasses.asdict(read(spec))
            delattr(spec, f'_obj_{field}')

            for name, value in dataclasses.asdict(read(spec)).items():
                expected = (getattr(NOTHING, name) if name in names
                            else whole[name])
                self.assertEqual(expected, value, (field, name))

    def test_each_field_may_be_none(self):
        for field in ('image', 'project_id', 'scheduler_hints',
                      'instance_group', 'force_hosts', 'force_nodes'):
            spec = factories.spec()
            setattr(spec, field, None)

            read(spec)

    def test_objects_in_it_may_be_empty(self):
        spec = factories.spec()
        spec.image, spec.flavor = objects.ImageMeta(), objects.Flavor()

        found = read(spec)

        self.assertEqual((None, 0, {}), (
            found.image, found.vcpus, found.extra_specs))

    def test_broken_objects(self):
        for broken in (Broken(), BrokenObject(), object()):
            self.assertEqual(NOTHING, read(broken))

    @hypothesis.given(ANYTHING)
    def test_hints_of_any_kind(self, value):
        class Spec:
            scheduler_hints = value

        hints = read(Spec()).hints

        for name, values in hints.items():
            self.assertIsInstance(name, str)
            for one in values:
                self.assertIsInstance(one, str)

    @hypothesis.given(ANYTHING)
    def test_fields_of_any_kind(self, value):
        class Flavor:
            vcpus = memory_mb = root_gb = extra_specs = value

        class Spec:
            num_instances = instance_group = is_bfv = value
            image = value
            flavor = Flavor()

        found = read(Spec())

        self.assertIsInstance(found.vcpus, int)
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


class TestHints(base.TestCase):

    def test_lists(self):
        spec = factories.spec(hints={'a': ['x', 'y']})

        self.assertEqual({'a': ['x', 'y']}, read(spec).hints)

    def test_scalars(self):
        class Spec:
            scheduler_hints = {'a': 'x', 'b': 5, 'c': None, 'd': ['y', 6]}

        self.assertEqual(
            {'a': ['x'], 'b': ['5'], 'c': ['None'], 'd': ['y', '6']},
            read(Spec()).hints)


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

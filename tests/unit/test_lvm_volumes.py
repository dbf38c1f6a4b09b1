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

import json

import hypothesis
from hypothesis import strategies

from cache_aware_sched.lvm import volumes
from cache_aware_sched import report
from tests.unit import base
from tests.unit import factories

IMAGE = factories.IMAGE
NAME = volumes.volume_name(report.image_sha1(IMAGE))


def row(name=NAME, size=4 << 20, tags=(), **fields):
    return {'lv_name': name, 'lv_size': str(size), 'pool_lv': '',
            'origin': '', 'data_percent': '', 'metadata_percent': '',
            'lv_tags': ','.join(tags), **fields}


def told(*rows, seg=(), **fields):
    return json.dumps({'report': [{
        'vg': [{'vg_name': 'vg', 'vg_size': '100', 'vg_free': '40',
                **fields}], 'lv': rows, 'seg': seg}]})


def parsed(*rows, **fields):
    return volumes.parse(told(*rows, **fields), 'vg')


def complete():
    return [volumes.COMPLETE, *(
        tag for tag in volumes.tags(IMAGE, 1000, 5)
        if tag != volumes.INCOMPLETE)]


class TestParse(base.TestCase):

    def test_group_without_volumes(self):
        """LVM leaves the lists out then."""
        text = ('{"report": [{"vg": [{"vg_name": "vg", "vg_size": "100", '
                '"vg_free": "40"}], "pv": [{"pv_name": "/dev/sda"}]}]}')

        group = volumes.parse(text, 'vg')

        self.assertEqual((100, 40, {}), (
            group.size, group.free, dict(group.volumes)))

    def test_thin_pool(self):
        group = parsed(
            row('pool', data_percent='12.34', metadata_percent='5.00'),
            row('disk', pool_lv='pool', origin=NAME, data_percent='50.00',
                size=1000),
            seg=[{'lv_name': 'pool', 'zero': 'zero'},
                 {'lv_name': 'disk', 'zero': 'unknown'}])

        pool, disk = group.volumes['pool'], group.volumes['disk']
        self.assertEqual((12.34, 5.0, True, 500, False), (
            pool.data_percent, pool.metadata_percent, pool.zeroes, disk.used,
            disk.zeroes))
        self.assertEqual({NAME}, group.origins())

    def test_volume_that_is_not_active(self):
        group = parsed(row('disk', pool_lv='pool', size=1000))

        self.assertEqual(1000, group.volumes['disk'].used)

    def test_other_group(self):
        error = self.assertRaises(
            ValueError, volumes.parse, told(), 'other')

        self.assertIn('other', str(error))

    @hypothesis.given(strategies.text() | strategies.recursive(
        strategies.none() | strategies.text() | strategies.integers(),
        lambda inner: strategies.lists(inner) | strategies.dictionaries(
            strategies.sampled_from(('report', 'vg', 'lv', 'seg', 'x')),
            inner)).map(json.dumps))
    def test_anything_else(self, text):
        self.assertRaises(ValueError, volumes.parse, text, 'vg')

    @hypothesis.given(
        strategies.sampled_from(sorted(row())),
        strategies.none() | strategies.text() | strategies.integers()
        | strategies.floats())
    def test_one_damaged_field(self, field, value):
        """A whole group, or none."""
        text = told({**row(tags=complete()), field: value})

        try:
            group = volumes.parse(text, 'vg')
        except ValueError:
            return

        self.assertEqual(1, len(group.volumes))
        for image in group.images():
            self.assertGreaterEqual(image.volume.size, image.length)


class TestImages(base.TestCase):

    @hypothesis.given(
        strategies.integers(1, 10 ** 17), strategies.integers(0, 10 ** 17))
    def test_what_the_tags_say(self, length, used_ms):
        tags = volumes.tags(IMAGE, length, used_ms)

        [image] = parsed(row(size=length, tags=tags)).images()

        self.assertEqual(
            (report.image_sha1(IMAGE), IMAGE, False, length, used_ms),
            (image.sha1, image.image_id, image.is_complete, image.length,
             image.used_ms))

    def test_complete(self):
        [image] = parsed(row(tags=complete())).images()

        self.assertTrue(image.is_complete)

    def test_both_states(self):
        """It was killed between the two, if LVM did not do both at once."""
        [image] = parsed(row(
            tags=[*complete(), volumes.INCOMPLETE])).images()

        self.assertFalse(image.is_complete)

    def test_complete_without_a_length(self):
        [image] = parsed(row(tags=[volumes.COMPLETE])).images()

        self.assertEqual((False, None), (image.is_complete, image.image_id))

    def test_what_is_no_image(self):
        uuid = factories.new_uuid()
        for wrong in (
                row(tags=()), row(f'{uuid}_disk', tags=complete()),
                row('i_x', tags=complete()), row(f'{NAME}_', tags=complete()),
                # Somebody else's, of whatever image.
                row(tags=['cache_aware_sched:state=complete',
                          f'cache_aware_sched:image={uuid}'])):
            self.assertEqual([], list(parsed(wrong).images()))

    @hypothesis.given(strategies.text())
    def test_any_text_for_an_id(self, image_id):
        """It is no tag of its own, and is not believed if it is cut."""
        tags = volumes.tags(image_id, 1000, 5)

        for tag in tags:
            self.assertRegex(tag, r'\A[A-Za-z0-9_+.=/!:&#-]+\Z')
        self.assertEqual(0, sum(tag.count(',') for tag in tags))

    @hypothesis.given(strategies.text(), strategies.text())
    def test_names_of_different_images_differ(self, one, other):
        names = {volumes.volume_name(report.image_sha1(image_id))
                 for image_id in (one, other)}

        self.assertEqual(len({one, other}), len(names))
        for name in names:
            self.assertTrue(volumes.is_image_name(name))
            self.assertLess(len(name), 128)

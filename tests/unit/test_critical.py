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


"""Which images are critical, and who says so."""

import os
import pathlib
import stat

import fixtures
import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.imagecache import critical
from cache_aware_sched.imagecache import protected
from tests.unit import base
from tests.unit import factories

IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
THIRD_IMAGE = 'aaaaaaaa-0000-4000-8000-000000000003'


class CriticalTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.memory = str(self.home / 'critical.json')

    def images(self, *image_ids, path=None):
        return critical.CriticalImages(image_ids, path, self.memory)

    def file(self, *image_ids):
        path = self.home / 'list'
        path.write_text(''.join(f'{one}\n' for one in image_ids))
        return str(path)


class TestCriticalImages(CriticalTestCase):

    def test_nothing(self):
        images = critical.CriticalImages((), None)

        self.assertEqual({}, images.by_sha1())
        self.assertEqual({}, images.sources())

    def test_who_says_so(self):
        path = self.file(OTHER_IMAGE)
        images = self.images(IMAGE, path=path)

        images.learn({'gold': f'{IMAGE}, {THIRD_IMAGE.upper()}'})

        self.assertEqual({IMAGE, OTHER_IMAGE, THIRD_IMAGE},
                         set(images.by_sha1().values()))
        self.assertEqual({
            IMAGE: ['critical_images', 'aggregate gold: critical_images'],
            OTHER_IMAGE: [f'critical_images_file {path}'],
            THIRD_IMAGE: ['aggregate gold: critical_images']},
            images.sources())

    def test_messages_name_the_option(self):
        missing = str(self.home / 'missing')
        images = self.images(path=missing)

        images.by_sha1()

        self.assertIn(f'critical_images_file {missing}', self.warnings()[0])
        self.assertIn('stays critical', self.warnings()[0])

    def test_file_is_read_again(self):
        path = self.file(IMAGE)
        images = self.images(path=path)
        images.by_sha1()

        self.file(IMAGE, OTHER_IMAGE)

        self.assertEqual({IMAGE, OTHER_IMAGE},
                         set(images.by_sha1().values()))

    def test_file_that_vanishes(self):
        path = self.file(IMAGE)
        images = self.images(path=path)
        images.by_sha1()

        os.unlink(path)

        self.assertEqual({IMAGE}, set(images.by_sha1().values()))


class TestAggregates(CriticalTestCase):

    def test_are_dropped(self):
        images = self.images()
        images.learn({'gold': IMAGE, 'silver': IMAGE})
        images.learn({'silver': IMAGE})

        self.assertEqual({IMAGE: ['aggregate silver: critical_images']},
                         images.sources())

        images.learn({})

        self.assertEqual({}, images.by_sha1())

    def test_bad_values_are_told_once(self):
        images = self.images()

        for _pass in range(2):
            images.learn({'gold': f'ubuntu,{IMAGE},'})
            images.learn({})

        self.assertEqual(
            ["In the metadata critical_images of aggregate gold these are "
             "not ids of images and are skipped: 'ubuntu'."],
            self.warnings())

    def test_good_ones_beside_bad_ones(self):
        images = self.images()

        images.learn({'gold': f'ubuntu,{IMAGE}', 'silver': OTHER_IMAGE})

        self.assertEqual({IMAGE, OTHER_IMAGE},
                         set(images.by_sha1().values()))

    def test_are_known_after_a_restart(self):
        self.images().learn({'gold': IMAGE})

        again = self.images()

        self.assertEqual({IMAGE}, set(again.by_sha1().values()))
        self.assertEqual(0o600, stat.S_IMODE(os.stat(self.memory).st_mode))

    def test_none_are_known_after_a_restart(self):
        self.images().learn({'gold': IMAGE})
        self.images().learn({})

        self.assertEqual({}, self.images().by_sha1())

    def test_damaged_file(self):
        for text in ('', '{', '[]', '{"aggregates": 1}', '[' * 10 ** 5):
            pathlib.Path(self.memory).write_text(text)

            self.assertEqual({}, self.images().by_sha1())

        self.assertIn(self.memory, self.warnings()[0])

    def test_file_that_cannot_be_written(self):
        images = critical.CriticalImages(
            (), None, str(self.home / 'missing' / 'critical.json'))

        images.learn({'gold': IMAGE})
        images.learn({'gold': f'{IMAGE},{OTHER_IMAGE}'})

        self.assertEqual(2, len(images.by_sha1()))
        self.assertEqual(1, len(self.warnings()))

    def test_file_that_can_be_written_later(self):
        os.mkdir(self.memory)
        images = self.images()
        images.learn({'gold': IMAGE})
        os.rmdir(self.memory)

        images.learn({'gold': IMAGE})

        self.assertEqual({IMAGE}, set(self.images().by_sha1().values()))

    def test_is_written_on_a_change_only(self):
        images = self.images()
        images.learn({'gold': IMAGE})
        os.unlink(self.memory)

        images.learn({'gold': IMAGE})

        self.assertFalse(os.path.exists(self.memory))

    @hypothesis.given(st.dictionaries(st.text(max_size=20), st.one_of(
        st.text(max_size=60), st.lists(st.uuids()).map(
            lambda ids: ','.join(map(str, ids))))))
    def test_whatever_they_say(self, texts):
        images = self.images()
        images.learn(texts)

        self.assertEqual(images.by_sha1(), self.images().by_sha1())
        self.assertEqual(set(images.sources()),
                         set(images.by_sha1().values()))
        images.learn({})


class TestProtection(CriticalTestCase):

    def test_critical_images_are_protected(self):
        keep = protected.ProtectedImages(
            [IMAGE], None, self.images(IMAGE, OTHER_IMAGE))

        self.assertEqual({IMAGE, OTHER_IMAGE}, set(keep.by_sha1().values()))
        self.assertEqual({
            IMAGE: ['protected_images', 'critical_images'],
            OTHER_IMAGE: ['critical_images']}, keep.sources())

    def test_which_file_is_unread(self):
        missing = str(self.home / 'missing')
        keep = protected.ProtectedImages(
            (), missing, self.images(path=missing))

        self.assertEqual(['protected_images_file', 'critical_images_file'],
                         keep.unread)

        (self.home / 'missing').write_text('')
        keep.by_sha1()

        self.assertEqual([], keep.unread)

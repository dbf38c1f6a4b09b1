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
import os
import pathlib
import time
import unittest

import fixtures
import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.imagecache import history
from cache_aware_sched import report
from tests.unit import base
from tests.unit import factories

IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
SHA1, OTHER = map(report.image_sha1, (IMAGE, OTHER_IMAGE))
NOW = 1_800_000_000.0
DAY = 86_400.0
HALF_LIFE = 7 * DAY

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(),
              st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=8)
#: What is near to what is written.
FIELDS = st.one_of(JSON, st.tuples(
    st.one_of(st.just(IMAGE), JSON), st.one_of(st.floats(), JSON),
    st.one_of(st.floats(), st.integers(), JSON)))
FILES = st.one_of(JSON, st.fixed_dictionaries(
    {'version': JSON, 'images': st.one_of(JSON, st.dictionaries(
        st.one_of(st.sampled_from([SHA1, OTHER]), st.text(max_size=5)),
        FIELDS, max_size=4))}))


class SavedHistory(history.ImageHistory):
    """A history of which each change is saved, as in a pass after it."""

    def add_ids(self, *image_ids):
        super().add_ids(*image_ids)
        self.save()

    def add_boot(self, image_id, now=None):
        super().add_boot(image_id, now)
        self.save()


class HistoryTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'image-cache-h.json')

    def history(self):
        """Return the history as nova-compute finds it when it starts."""
        return SavedHistory(str(self.path), HALF_LIFE)

    def write(self, content):
        text = content if isinstance(content, str) else json.dumps(content)
        self.path.write_text(text, encoding='utf-8')

    def write_images(self, images):
        self.write({'version': 1, 'images': images})


class TestIds(HistoryTestCase):

    def test_nothing_is_known(self):
        known = self.history()

        self.assertIsNone(known.image_id(SHA1))
        self.assertIsNone(known.image_id(None))

    def test_id_that_was_told(self):
        known = self.history()

        known.add_ids(IMAGE, OTHER_IMAGE)

        self.assertEqual(IMAGE, known.image_id(SHA1))
        self.assertEqual(OTHER_IMAGE, known.image_id(OTHER))

    def test_id_of_what_was_booted(self):
        known = self.history()

        known.add_boot(IMAGE)

        self.assertEqual(IMAGE, known.image_id(SHA1))

    def test_id_is_no_boot(self):
        known = self.history()

        known.add_ids(IMAGE)

        self.assertEqual(0.0, known.boots(SHA1, NOW))

    def test_boots_stay_when_the_id_is_told_again(self):
        known = self.history()
        known.add_boot(IMAGE, NOW)

        known.add_ids(IMAGE)

        self.assertEqual(1.0, known.boots(SHA1, NOW))

    def test_file_is_not_written_for_what_is_known(self):
        known = self.history()
        known.add_ids(IMAGE, OTHER_IMAGE)
        self.path.unlink()

        known.add_ids(OTHER_IMAGE, IMAGE)

        self.assertFalse(self.path.exists())

    def test_file_is_written_if_one_of_many_is_new(self):
        known = self.history()
        known.add_ids(IMAGE)

        known.add_ids(OTHER_IMAGE, IMAGE)

        self.assertEqual(OTHER_IMAGE, self.history().image_id(OTHER))


class TestBoots(HistoryTestCase):

    def test_none(self):
        self.assertEqual(0.0, self.history().boots(SHA1, NOW))
        self.assertEqual(0.0, self.history().boots(None, NOW))

    def test_are_counted_for_each_image(self):
        known = self.history()

        for image_id in (IMAGE, OTHER_IMAGE, IMAGE, IMAGE):
            known.add_boot(image_id, NOW)

        self.assertEqual(3.0, known.boots(SHA1, NOW))
        self.assertEqual(1.0, known.boots(OTHER, NOW))

    def test_are_counted_now(self):
        known = self.history()

        before = time.time()
        known.add_boot(IMAGE)
        after = time.time()

        self.assertGreaterEqual(known.boots(SHA1, before + HALF_LIFE), 0.5)
        self.assertLessEqual(known.boots(SHA1, after + HALF_LIFE), 0.5)

    def test_count_half_after_the_half_life(self):
        known = self.history()
        known.add_boot(IMAGE, NOW)

        for half_lives, boots in ((0, 1.0), (1, 0.5), (2, 0.25), (10, 2**-10)):
            self.assertAlmostEqual(
                boots, known.boots(SHA1, NOW + half_lives * HALF_LIFE))

    def test_half_life_is_an_option(self):
        known = history.ImageHistory(None, 3600.0)
        known.add_boot(IMAGE, NOW)

        self.assertAlmostEqual(0.5, known.boots(SHA1, NOW + 3600))

    def test_later_boot_counts_with_what_is_left(self):
        known = self.history()

        known.add_boot(IMAGE, NOW)
        known.add_boot(IMAGE, NOW + HALF_LIFE)
        known.add_boot(IMAGE, NOW + 2 * HALF_LIFE)

        self.assertAlmostEqual(1.75, known.boots(SHA1, NOW + 2 * HALF_LIFE))

    def test_after_a_very_long_time(self):
        known = self.history()
        known.add_boot(IMAGE, NOW)

        self.assertEqual(0.0, known.boots(SHA1, 1e300))

    def test_clock_was_set_back(self):
        known = self.history()
        known.add_boot(IMAGE, NOW)

        self.assertEqual(1.0, known.boots(SHA1, NOW - 100 * HALF_LIFE))

    def test_boot_after_the_clock_was_set_back(self):
        known = self.history()
        known.add_boot(IMAGE, NOW)

        known.add_boot(IMAGE, NOW - 100 * HALF_LIFE)

        self.assertEqual(2.0, known.boots(SHA1, NOW - 100 * HALF_LIFE))
        self.assertAlmostEqual(
            1.0, known.boots(SHA1, NOW - 99 * HALF_LIFE))

    @hypothesis.given(st.lists(st.floats(0, 1e10), min_size=1, max_size=5),
                      st.floats(-1e10, 1e11))
    def test_any_times(self, times, now):
        known = history.ImageHistory(None, HALF_LIFE)
        for then in times:
            known.add_boot(IMAGE, then)

        boots = known.boots(SHA1, now)

        self.assertGreaterEqual(boots, 0.0)
        self.assertLessEqual(boots, len(times))


class TestRestart(HistoryTestCase):

    def test_boots_and_ids_are_remembered(self):
        known = self.history()
        known.add_boot(IMAGE, NOW)
        known.add_boot(IMAGE, NOW)
        known.add_ids(OTHER_IMAGE)

        known = self.history()

        self.assertAlmostEqual(2.0, known.boots(SHA1, NOW))
        self.assertAlmostEqual(1.0, known.boots(SHA1, NOW + HALF_LIFE))
        self.assertEqual(OTHER_IMAGE, known.image_id(OTHER))
        self.assertEqual([], self.warnings())

    def test_boots_are_counted_on(self):
        self.history().add_boot(IMAGE, NOW)

        self.history().add_boot(IMAGE, NOW + HALF_LIFE)

        self.assertAlmostEqual(
            1.5, self.history().boots(SHA1, NOW + HALF_LIFE))

    def test_no_file_is_left_beside_it(self):
        self.history().add_boot(IMAGE)

        self.assertEqual([self.path.name], os.listdir(self.path.parent))

    def test_without_a_file(self):
        known = history.ImageHistory(None, HALF_LIFE)
        known.add_boot(IMAGE, NOW)

        self.assertEqual(1.0, known.boots(SHA1, NOW))
        self.assertEqual([], os.listdir(self.path.parent))
        self.assertEqual(0.0, history.ImageHistory(
            None, HALF_LIFE).boots(SHA1, NOW))

    def test_killed_while_the_file_was_written(self):
        self.history().add_boot(IMAGE, NOW)
        self.path.with_name(f'{self.path.name}.new').write_text('{"vers')

        known = self.history()
        self.assertAlmostEqual(1.0, known.boots(SHA1, NOW))
        known.add_boot(OTHER_IMAGE, NOW)

        self.assertAlmostEqual(1.0, self.history().boots(OTHER, NOW))
        self.assertEqual([], self.warnings())


class TestDamagedFile(HistoryTestCase):
    """Popularity starts anew, and is counted on."""

    def assert_starts_anew(self, why=''):
        known = self.history()

        warning, = self.warnings()
        self.assertIn(str(self.path), warning)
        self.assertIn('starts anew', warning)
        self.assertIn(why, warning)
        self.assertEqual(0.0, known.boots(SHA1, NOW))
        known.add_boot(IMAGE, NOW)
        self.assertAlmostEqual(1.0, self.history().boots(SHA1, NOW))
        self.assertEqual(1, len(self.warnings()))

    def test_missing(self):
        known = self.history()

        known.add_boot(IMAGE, NOW)

        self.assertAlmostEqual(1.0, self.history().boots(SHA1, NOW))
        self.assertEqual([], self.warnings())

    def test_empty(self):
        self.write('')

        self.assert_starts_anew()

    def test_torn(self):
        self.history().add_boot(IMAGE, NOW)
        text = self.path.read_text(encoding='utf-8')
        self.write(text[:len(text) // 2])

        self.assert_starts_anew()

    def test_zeros_after_a_crash(self):
        self.write('\0' * 4096)

        self.assert_starts_anew()

    def test_no_text(self):
        self.path.write_bytes(b'\xff\xfe\x80' * 100)

        self.assert_starts_anew()

    def test_something_else(self):
        for content in ('[]', '{}', 'null', '7', '"images"',
                        '{"images": []}', '{"images": null}',
                        '{"images": "x"}', '[{"images": {}}]'):
            self._log.lines.clear()
            self.write(content)

            self.assert_starts_anew()

    def test_deeply_nested(self):
        self.write('[' * 500_000)

        self.assert_starts_anew('recursion')

    def test_number_of_very_many_digits(self):
        self.write(f'{{"images": {{"{SHA1}": [null, {"9" * 5000}, 0]}}}}')

        self.assert_starts_anew()

    def test_huge(self):
        with self.path.open('wb') as file:
            file.truncate(2 ** 40)

        self.assert_starts_anew('larger than')

    def test_directory(self):
        self.path.mkdir()

        known = self.history()
        known.add_boot(IMAGE, NOW)

        self.assertEqual(1.0, known.boots(SHA1, NOW))
        cannot_read, cannot_write = self.warnings()
        self.assertIn('Cannot read', cannot_read)
        self.assertIn('Cannot write', cannot_write)

    def test_no_images(self):
        self.write_images({})

        self.assertEqual(0.0, self.history().boots(SHA1, NOW))
        self.assertEqual([], self.warnings())

    def test_newer_version_with_more_in_it(self):
        self.write({'version': 2, 'more': [1], 'images': {
            SHA1: [IMAGE, 2.0, NOW]}})

        self.assertEqual(2.0, self.history().boots(SHA1, NOW))


class TestDamagedImages(HistoryTestCase):

    def assert_forgotten(self, *fields, sha1=SHA1):
        """Check that one image is forgotten, and another is not."""
        self._log.lines.clear()
        self.write_images({sha1: fields[0] if len(fields) == 1 else fields,
                           OTHER: [OTHER_IMAGE, 3.0, NOW]})

        known = self.history()

        self.assertEqual(3.0, known.boots(OTHER, NOW))
        self.assertEqual(OTHER_IMAGE, known.image_id(OTHER))
        self.assertIsNone(known.image_id(sha1))
        self.assertEqual(0.0, known.boots(sha1, NOW))
        warning, = self.warnings()
        self.assertIn('Of 2 images', warning)
        self.assertIn(str(self.path), warning)

    def test_another_type(self):
        for fields in (None, 7, 'x', True, {}, {'boots': 3}):
            self.assert_forgotten(fields)

    def test_another_number_of_fields(self):
        for fields in ([], [IMAGE], [IMAGE, 1.0], [IMAGE, 1.0, NOW, 1]):
            self.assert_forgotten(fields)

    def test_id_of_another_type(self):
        for image_id in (7, 1.5, True, [], {}):
            self.assert_forgotten(image_id, 1.0, NOW)

    def test_very_long_id(self):
        self.assert_forgotten('x' * 256, 1.0, NOW)

    def test_boots_that_are_no_number(self):
        for boots in ('many', None, [], {}, float('nan'), float('inf'),
                      float('-inf'), -1.0, 10 ** 400):
            self.assert_forgotten(IMAGE, boots, NOW)

    def test_time_that_is_none(self):
        for at in ('now', None, [], float('nan'), float('inf'), 10 ** 400):
            self.assert_forgotten(IMAGE, 1.0, at)

    def test_name_that_is_no_digest(self):
        for name in ('', 'x', SHA1[:-1], f'{SHA1}0', SHA1.upper(),
                     f'{SHA1}\n', f'{SHA1}_20', '../etc/passwd'):
            self.assert_forgotten(IMAGE, 1.0, NOW, sha1=name)

    def test_id_that_was_never_told(self):
        self.write_images({SHA1: [None, 2.0, NOW]})

        self.assertEqual(2.0, self.history().boots(SHA1, NOW))
        self.assertIsNone(self.history().image_id(SHA1))
        self.assertEqual([], self.warnings())

    def test_time_in_the_future(self):
        self.write_images({SHA1: [IMAGE, 2.0, 1e300]})

        self.assertEqual(2.0, self.history().boots(SHA1, NOW))

    def test_are_not_written_again(self):
        self.write_images({SHA1: [IMAGE, 1.0, NOW], OTHER: 'damaged'})
        self.history().add_boot(IMAGE, NOW)
        self._log.lines.clear()

        self.assertEqual(2.0, self.history().boots(SHA1, NOW))
        self.assertEqual([], self.warnings())

    @hypothesis.given(FILES)
    def test_any_json(self, value):
        self.write(value)

        self.use(self.history())
        self.use(self.history())

    @hypothesis.settings(max_examples=50)
    @hypothesis.given(st.one_of(
        st.binary(max_size=50), st.text('{}[]",:.-+eE019 ', max_size=20).map(
            lambda text: f'{{"images": {text}}}'.encode())))
    def test_any_bytes(self, data):
        self.path.write_bytes(data)

        self.use(self.history())

    def use(self, known):
        before = known.boots(SHA1, NOW)
        self.assertGreaterEqual(before, 0.0)
        known.add_boot(IMAGE, NOW)
        known.add_ids(OTHER_IMAGE)
        self.assertGreaterEqual(known.boots(SHA1, NOW), before)
        self.assertEqual(IMAGE, known.image_id(SHA1))


class TestUnwritable(HistoryTestCase):
    """nova-compute goes on with what it has in memory."""

    def assert_kept_in_memory(self, known, why):
        known.add_boot(IMAGE, NOW)
        known.add_boot(IMAGE, NOW)
        known.add_ids(OTHER_IMAGE)

        self.assertEqual(2.0, known.boots(SHA1, NOW))
        self.assertEqual(OTHER_IMAGE, known.image_id(OTHER))
        warning, = self.warnings()
        self.assertIn(f'{self.path}: {why}', warning)
        self.assertIn('instances_path', warning)

    def test_missing_directory(self):
        self.path = self.path.parent / 'missing' / 'file'

        self.assert_kept_in_memory(
            self.history(), 'No such file or directory')

    @unittest.skipUnless(os.path.exists('/dev/full'), 'there is no /dev/full')
    def test_full_disk(self):
        self.fill()

        self.assert_kept_in_memory(self.history(), 'No space left on device')

    @unittest.skipUnless(os.path.exists('/dev/full'), 'there is no /dev/full')
    def test_old_file_stays_on_a_full_disk(self):
        self.history().add_boot(IMAGE, NOW)
        self.fill()

        self.history().add_boot(IMAGE, NOW)

        self.assertAlmostEqual(1.0, self.history().boots(SHA1, NOW))

    def fill(self):
        """Make each write of the file end as on a full disk."""
        self.useFixture(fixtures.MonkeyPatch(
            f'{history.__name__}._private',
            lambda path, flags: os.open('/dev/full', os.O_WRONLY)))

    def test_directory_comes_back(self):
        self.path = self.path.parent / 'missing' / 'file'
        known = self.history()
        known.add_boot(IMAGE, NOW)
        self.path.parent.mkdir()
        known.add_boot(IMAGE, NOW)

        self.assertAlmostEqual(2.0, self.history().boots(SHA1, NOW))

    def test_directory_goes_again(self):
        self.path = self.path.parent / 'missing' / 'file'
        known = self.history()
        known.add_boot(IMAGE, NOW)
        self.path.parent.mkdir()
        known.add_boot(IMAGE, NOW)
        self.path.unlink()
        self.path.parent.rmdir()

        known.add_boot(IMAGE, NOW)

        self.assertEqual(2, len(self.warnings()))


class TestBound(HistoryTestCase):

    def setUp(self):
        super().setUp()
        self.many = [f'{number:040x}' for number in range(history.MAX_IMAGES)]
        self.write_images({
            sha1: [factories.new_uuid(), boots + 0.5678, NOW]
            for boots, sha1 in enumerate(self.many)})

    def forgotten(self, known):
        return [sha1 for sha1 in self.many if not known.boots(sha1, NOW)]

    def test_as_many_as_there_may_be(self):
        known = self.history()

        self.assertEqual([], self.forgotten(known))
        self.assertEqual([], self.warnings())

    def test_least_booted_is_forgotten(self):
        known = self.history()

        known.add_boot(IMAGE, NOW)

        self.assertEqual(self.many[:1], self.forgotten(known))
        self.assertEqual(1.0, known.boots(SHA1, NOW))

    def test_image_that_was_never_booted_is_the_least(self):
        known = self.history()

        known.add_ids(IMAGE)

        self.assertEqual([], self.forgotten(known))
        self.assertIsNone(known.image_id(SHA1))

    def test_it_is_forgotten_after_a_restart(self):
        self.history().add_boot(IMAGE, NOW)

        known = self.history()

        self.assertEqual(self.many[:1], self.forgotten(known))
        self.assertEqual(1.0, known.boots(SHA1, NOW))
        self.assertEqual([], self.warnings())

    def test_boots_are_compared_as_they_count_now(self):
        """Not as they counted when they were noted."""
        self.write_images({sha1: [None, 5.0 + boots, NOW]
                           for boots, sha1 in enumerate(self.many)})
        known = self.history()
        later = NOW + 100 * HALF_LIFE

        known.add_boot(IMAGE, later)

        self.assertEqual(1.0, known.boots(SHA1, later))
        self.assertEqual(self.many[:1], self.forgotten(known))


class TestFile(HistoryTestCase):

    def test_is_written_when_it_is_saved(self):
        known = history.ImageHistory(str(self.path), HALF_LIFE)
        known.add_ids(IMAGE)
        known.add_boot(IMAGE, NOW)
        self.assertFalse(self.path.exists())

        known.save()

        self.assertEqual(1.0, self.history().boots(SHA1, NOW))

    def test_is_not_written_if_nothing_is_new(self):
        known = self.history()
        known.add_ids(IMAGE)
        self.path.unlink()

        known.save()

        self.assertFalse(self.path.exists())

    def test_is_nobody_else_s(self):
        self.history().add_ids(IMAGE)

        self.assertEqual(0o600, self.path.stat().st_mode & 0o777)

    def test_pipe_keeps_nobody_waiting(self):
        os.mkfifo(self.path)

        known = self.history()

        self.assertEqual(1, len(self.warnings()))
        known.add_ids(IMAGE)
        self.assertEqual(IMAGE, self.history().image_id(SHA1))

    def test_pipe_beside_it_keeps_nobody_waiting(self):
        os.mkfifo(f'{self.path}.new')

        self.history().add_ids(IMAGE)

        self.assertEqual(IMAGE, self.history().image_id(SHA1))

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

import contextlib
import errno
import os
import pathlib
import socket
from unittest import mock
import uuid

import fixtures
import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.imagecache import image_list
from cache_aware_sched.imagecache import protected
from cache_aware_sched import report
from tests.unit import base
from tests.unit import factories

IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
THIRD_IMAGE = 'aaaaaaaa-0000-4000-8000-000000000003'

LINES = st.one_of(
    st.binary(max_size=40),
    st.uuids().map(lambda value: str(value).encode()),
    st.uuids().map(lambda value: value.hex.upper().encode()),
    st.sampled_from([b'#', b'\xef\xbb\xbf', b'\xff\xfe', b'\r', b'\0', b'{',
                     b'urn:uuid:', IMAGE.encode(), b'\xe2\x80\xa8']))


def by_sha1(*image_ids):
    return {report.image_sha1(image_id): image_id for image_id in image_ids}


class ProtectedTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        directory = os.path.realpath(
            self.useFixture(fixtures.TempDir()).path)
        self.file = pathlib.Path(directory, 'protected')
        self.images = protected.ProtectedImages((), str(self.file))
        self.writes = 0

    def write(self, text):
        """Write the file; it is never as old as it was before."""
        data = text if isinstance(text, bytes) else text.encode()
        self.file.write_bytes(data)
        self.writes += 1
        os.utime(self.file, (self.writes, self.writes))

    def assert_protected(self, *image_ids):
        self.assertEqual(by_sha1(*image_ids), self.images.by_sha1())


class TestOption(ProtectedTestCase):

    def test_nothing(self):
        self.images = protected.ProtectedImages((), None)

        self.assert_protected()

    def test_images(self):
        self.images = protected.ProtectedImages([IMAGE, OTHER_IMAGE], None)

        self.assert_protected(IMAGE, OTHER_IMAGE)

    def test_upper_case(self):
        self.images = protected.ProtectedImages([IMAGE.upper()], None)

        self.assert_protected(IMAGE)

    def test_with_a_file(self):
        self.images = protected.ProtectedImages([IMAGE], str(self.file))
        self.write(f'{OTHER_IMAGE}\n')

        self.assert_protected(IMAGE, OTHER_IMAGE)

    def test_stays_when_the_file_is_missing(self):
        self.images = protected.ProtectedImages([IMAGE], str(self.file))

        self.assert_protected(IMAGE)

    def test_no_file_is_no_warning(self):
        protected.ProtectedImages([IMAGE], None).by_sha1()

        self.assertEqual([], self.warnings())


class TestFile(ProtectedTestCase):

    def test_an_id_a_line(self):
        self.write(f'{IMAGE}\n{OTHER_IMAGE}\n')

        self.assert_protected(IMAGE, OTHER_IMAGE)
        self.assertEqual([], self.warnings())
        self.assertEqual([f'Protected by {self.file}: 2 images.'],
                         self.logged())

    def test_no_newline_at_the_end(self):
        self.write(f'{IMAGE}\n{OTHER_IMAGE}')

        self.assert_protected(IMAGE, OTHER_IMAGE)

    def test_empty(self):
        self.write('')

        self.assert_protected()
        self.assertEqual([], self.warnings())

    def test_comments_and_empty_lines(self):
        self.write(f'# golden images\n\n  \n{IMAGE} # Debian\n\t#{THIRD_IMAGE}'
                   f'\n  {OTHER_IMAGE}\t\n#\n')

        self.assert_protected(IMAGE, OTHER_IMAGE)
        self.assertEqual([], self.warnings())

    def test_lines_of_other_systems(self):
        self.write(f'{IMAGE}\r\n{OTHER_IMAGE}\r\n')

        self.assert_protected(IMAGE, OTHER_IMAGE)
        self.assertEqual([], self.warnings())

    def test_byte_order_mark(self):
        self.write(b'\xef\xbb\xbf' + IMAGE.encode() + b'\n')

        self.assert_protected(IMAGE)
        self.assertEqual([], self.warnings())

    def test_upper_case(self):
        self.write(IMAGE.upper())

        self.assert_protected(IMAGE)

    def test_without_dashes(self):
        self.write(uuid.UUID(IMAGE).hex)

        self.assert_protected(IMAGE)

    def test_id_twice(self):
        self.write(f'{IMAGE}\n{IMAGE.upper()}\n')

        self.assert_protected(IMAGE)


class TestUnread(ProtectedTestCase):
    """Whether nobody knows what the file protects."""

    def test_no_file_is_named(self):
        for path in (None, ''):
            images = protected.ProtectedImages([IMAGE], path)
            images.by_sha1()

            self.assertFalse(images.unread)

    def test_file_that_never_was_there(self):
        for _pass in range(2):
            self.images.by_sha1()

            self.assertTrue(self.images.unread)

    def test_file_that_cannot_be_read(self):
        self.file.mkdir()
        self.images.by_sha1()

        self.assertTrue(self.images.unread)

    def test_file_that_is_there(self):
        for text in (f'{IMAGE}\n', '', 'rubbish'):
            images = protected.ProtectedImages((), str(self.file))
            self.write(text)
            images.by_sha1()

            self.assertFalse(images.unread)

    def test_file_that_comes_later(self):
        self.images.by_sha1()
        self.write('')
        self.images.by_sha1()

        self.assertFalse(self.images.unread)

    def test_file_that_vanishes(self):
        self.write(f'{IMAGE}\n')
        self.images.by_sha1()
        self.file.unlink()
        self.images.by_sha1()

        self.assertFalse(self.images.unread)


class TestBadLines(ProtectedTestCase):

    def test_good_ones_protect(self):
        self.write(f'{IMAGE}\nnonsense\n{OTHER_IMAGE}\n')

        self.assert_protected(IMAGE, OTHER_IMAGE)

    def test_are_named_by_number(self):
        self.write(f'# list\nfoo\n\n{IMAGE}\n{IMAGE[:-1]} # cut\n')

        self.images.by_sha1()

        warning, = self.warnings()
        self.assertIn("line 2 ('foo')", warning)
        self.assertIn(f"line 5 ('{IMAGE[:-1]}')", warning)
        self.assertIn(str(self.file), warning)
        self.assertEqual(2, warning.count('line '))

    def test_numbers_of_lines_of_other_systems(self):
        self.write(f'{IMAGE}\r\nfoo\r\n')

        self.images.by_sha1()

        warning, = self.warnings()
        self.assertIn("line 2 ('foo')", warning)

    def test_numbers_are_those_of_an_editor(self):
        """To which a form feed or a line separator ends no line."""
        self.write('# one\x0cmore\n# two\u2028more\x85\n# three\v\nfoo\n')

        self.images.by_sha1()

        warning, = self.warnings()
        self.assertIn(": line 4 ('foo').", warning)

    def test_are_told_once(self):
        self.write('nonsense\n')

        for _pass in range(3):
            self.images.by_sha1()

        self.assertEqual(1, len(self.warnings()))

    def test_are_told_again_after_a_change(self):
        self.write('nonsense\n')
        self.images.by_sha1()
        self.write('nonsense\nfoolish\n')

        self.images.by_sha1()

        self.assertEqual(2, len(self.warnings()))
        self.assertIn("line 2 ('foolish')", self.warnings()[1])

    def test_many_are_one_short_warning(self):
        self.write('nonsense\n' * 12)

        self.images.by_sha1()

        warning, = self.warnings()
        self.assertIn('line 10 ', warning)
        self.assertNotIn('line 11 ', warning)
        self.assertIn('and 2 more', warning)

    def test_long_one_is_cut(self):
        self.write('x' * 10 ** 5)

        self.images.by_sha1()

        warning, = self.warnings()
        self.assertLess(len(warning), 400 + len(str(self.file)))

    def test_bytes_that_are_no_text(self):
        self.write(b'\xff\xfe\0\n' + IMAGE.encode() + b'\n')

        self.assert_protected(IMAGE)
        warning, = self.warnings()
        self.assertIn('line 1 ', warning)
        self.assertTrue(warning.isprintable(), warning)

    def test_binary_file(self):
        self.write(bytes(range(256)) * 100)

        self.assert_protected()
        self.assertEqual(1, len(self.warnings()))

    def test_two_ids_in_a_line(self):
        self.write(f'{IMAGE}, {OTHER_IMAGE}\n{THIRD_IMAGE}\n')

        self.assert_protected(THIRD_IMAGE)
        self.assertIn('line 1 ', self.warnings()[0])


class TestChange(ProtectedTestCase):

    def test_is_read_again(self):
        self.write(f'{IMAGE}\n')
        self.assert_protected(IMAGE)

        self.write(f'{OTHER_IMAGE}\n')

        self.assert_protected(OTHER_IMAGE)

    def test_is_not_read_again_unchanged(self):
        self.write(f'{IMAGE}\n')

        for _pass in range(3):
            self.assert_protected(IMAGE)

        self.assertEqual(1, len(self.logged()))

    def test_of_the_size_alone(self):
        self.write(f'{IMAGE}\n')
        self.assert_protected(IMAGE)

        self.file.write_text(f'{IMAGE}\n{OTHER_IMAGE}\n')
        os.utime(self.file, (self.writes, self.writes))

        self.assert_protected(IMAGE, OTHER_IMAGE)

    def test_of_the_file_alone(self):
        """As when an editor puts a new one in its place."""
        self.write(f'{IMAGE}\n')
        self.assert_protected(IMAGE)

        other = self.file.with_name('new')
        other.write_text(f'{OTHER_IMAGE}\n')
        os.utime(other, (self.writes, self.writes))
        os.replace(other, self.file)

        self.assert_protected(OTHER_IMAGE)

    def test_to_an_older_file(self):
        self.write(f'{IMAGE}\n')
        self.write(f'{IMAGE}\n')
        self.assert_protected(IMAGE)

        self.file.write_text(f'{OTHER_IMAGE}\n')
        os.utime(self.file, (1, 1))

        self.assert_protected(OTHER_IMAGE)

    def test_emptied(self):
        self.write(f'{IMAGE}\n')
        self.assert_protected(IMAGE)

        self.write('')

        self.assert_protected()


class TestUnreadable(ProtectedTestCase):
    """What was read last goes on to be protected."""

    def assert_warns_once(self, why):
        for _pass in range(3):
            self.images.by_sha1()

        warning, = self.warnings()
        self.assertIn('protected_images_file', warning)
        self.assertIn(str(self.file), warning)
        self.assertIn(why, warning)

    def read_before(self):
        self.write(f'{IMAGE}\n')
        self.assert_protected(IMAGE)
        self.file.unlink()

    def times_open(self):
        """Return how often this process has the file open."""
        links = []
        for link in pathlib.Path('/proc/self/fd').iterdir():
            with contextlib.suppress(OSError):
                links.append(os.readlink(link))
        return links.count(str(self.file))

    def test_missing(self):
        self.assert_warns_once('No such file or directory')
        self.assert_protected()

    def test_missing_directory(self):
        self.images = protected.ProtectedImages(
            (), str(self.file / 'below'))

        self.assert_warns_once('No such file or directory')

    def test_removed(self):
        self.read_before()

        self.assert_warns_once('What it listed (1 image) stays protected')
        self.assert_protected(IMAGE)

    def test_comes_back(self):
        self.read_before()
        self.assert_protected(IMAGE)

        self.write(f'{OTHER_IMAGE}\n')

        self.assert_protected(OTHER_IMAGE)

    def test_goes_again(self):
        self.images.by_sha1()
        self.write(f'{IMAGE}\n')
        self.images.by_sha1()
        self.file.unlink()

        self.images.by_sha1()

        self.assertEqual(2, len(self.warnings()))

    def test_comes_back_unchanged(self):
        self.write(f'{IMAGE}\n')
        self.images.by_sha1()
        aside = self.file.with_name('aside')
        os.rename(self.file, aside)
        self.images.by_sha1()
        os.rename(aside, self.file)
        self.assert_protected(IMAGE)
        self.file.unlink()

        self.images.by_sha1()

        self.assertEqual(2, len(self.warnings()))

    def test_directory(self):
        self.read_before()
        self.file.mkdir()

        self.assert_warns_once('Cannot read')
        self.assert_protected(IMAGE)

    def test_directory_is_not_left_open(self):
        self.file.mkdir()

        for _pass in range(3):
            self.images.by_sha1()

        self.assertEqual(0, self.times_open())

    def test_pipe_is_not_waited_for(self):
        self.read_before()
        os.mkfifo(self.file)

        self.assert_warns_once('it is not a file')
        self.assert_protected(IMAGE)

    def test_pipe_is_not_left_open(self):
        os.mkfifo(self.file)

        for _pass in range(3):
            self.images.by_sha1()

        self.assertEqual(0, self.times_open())

    def test_device(self):
        self.file.symlink_to('/dev/zero')

        self.assert_warns_once('it is not a file')

    def test_socket(self):
        self.read_before()
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.file))

            self.assert_warns_once('No such device or address')
            self.assert_protected(IMAGE)

    def test_symlink_in_a_circle(self):
        self.file.symlink_to(self.file)

        self.assert_warns_once('symbolic links')

    def test_no_permission(self):
        self.write(f'{IMAGE}\n')
        self.assert_protected(IMAGE)
        self.write(f'{OTHER_IMAGE}\n')

        with mock.patch.object(
                os, 'open', autospec=True, side_effect=PermissionError(
                    errno.EACCES, os.strerror(errno.EACCES))):
            self.assert_warns_once('Permission denied')
            self.assert_protected(IMAGE)

        self.assert_protected(OTHER_IMAGE)

    def test_symlink_is_followed(self):
        self.write(f'{IMAGE}\n')
        target = self.file.with_name('target')
        os.rename(self.file, target)
        self.file.symlink_to(target)

        self.assert_protected(IMAGE)


class TestLargeFile(ProtectedTestCase):

    def test_what_is_beyond_is_not_read(self):
        line = f'{IMAGE}\n'
        self.write(line * (image_list.MAX_BYTES // len(line) + 1)
                   + f'{OTHER_IMAGE}\n')

        self.assert_protected(IMAGE)
        warning, = self.warnings()
        self.assertIn(f'larger than {image_list.MAX_BYTES} bytes', warning)

    def test_line_that_is_cut_is_no_bad_one(self):
        data = b'#' * (image_list.MAX_BYTES - 11) + b'\n' + IMAGE.encode()

        self.write(data)

        self.assert_protected()
        warning, = self.warnings()
        self.assertNotIn('line ', warning)

    def test_exactly_as_large_as_it_may_be(self):
        id_ = IMAGE.encode()
        self.write(b'#' * (image_list.MAX_BYTES - len(id_) - 1) + b'\n' + id_)

        self.assert_protected(IMAGE)
        self.assertEqual([], self.warnings())

    def test_one_endless_line(self):
        self.write(b'a' * (image_list.MAX_BYTES + 1))

        self.assert_protected()


class TestAnyFile(ProtectedTestCase):

    @hypothesis.given(st.one_of(
        st.binary(max_size=200),
        st.lists(LINES, max_size=8).map(b'\n'.join)))
    def test_any_bytes(self, data):
        self.write(data)

        images = self.images.by_sha1()

        for sha1, image_id in images.items():
            self.assertEqual(sha1, report.image_sha1(image_id))
            self.assertEqual(image_id, str(uuid.UUID(image_id)))

    @hypothesis.given(st.lists(st.uuids(), max_size=8), st.sampled_from(
        ['\n', '\r\n', '\n\n', ' # x\n', '\n# x\n', '\nnonsense\n']))
    def test_any_ids(self, ids, separator):
        ids = [str(image_id) for image_id in ids]
        self.write(separator.join([*ids, '']))

        self.assert_protected(*ids)

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

import enum
import json
import random

import fixtures
import hypothesis
from hypothesis import strategies as st

from cache_aware_sched import report
from cache_aware_sched.report import FileKind
from cache_aware_sched.report import Holding
from cache_aware_sched.report import reader
from cache_aware_sched.report import records as records_mod
from tests.unit import base
from tests.unit import factories

GIB = factories.GIB
MAX_BYTES = 16 * 1024
KEY = report.image_key(factories.IMAGE)

SHA1S = st.binary(min_size=20, max_size=20).map(bytes.hex)
FILES = st.lists(
    st.builds(report.BaseFile, sha1=SHA1S,
              size=st.integers(0, 2 ** 45), kind=st.sampled_from(FileKind),
              users=st.integers(0, 2000)),
    max_size=60, unique_by=lambda file: file.sha1)
#: Files of few images, so that each has several.
CROWDED = st.lists(
    st.builds(report.BaseFile, sha1=st.sampled_from(
        [report.image_sha1(str(number)) for number in range(5)]),
        size=st.integers(0, 200).map(lambda gib: gib * GIB),
        kind=st.sampled_from(FileKind), users=st.integers(0, 5)),
    max_size=30)


def some_report(**header):
    """Return a report of one image with other fields in its header."""
    fields = {'v': '1', 'w': '16', 'c': '1', 'n': '1', 'k': '1', 't': '0',
              'r': '0', **header}
    record = factories.warm().partition('|')[2]
    text = ';'.join(f'{name}={value}' for name, value in fields.items())
    return f'{text}|{record}'


def random_files(number, seed=1, **fields):
    rand = random.Random(seed)
    return [report.BaseFile(
        rand.randbytes(20).hex(), rand.randrange(1, 50) * GIB,
        users=rand.randrange(3), **fields) for _ in range(number)]


class TestRoundTrip(base.TestCase):

    @hypothesis.given(FILES, st.booleans(), st.integers(0, 10 ** 6))
    def test_what_is_written_is_read(self, files, caches, rate):
        text = report.encode(
            files, caches=caches, rate=rate, max_bytes=MAX_BYTES)

        read = report.Report(text)

        self.assertEqual(caches, read.header.caches)
        self.assertEqual(rate, read.header.rate)
        self.assertFalse(read.header.truncated)
        self.assertEqual(len(files), read.header.records)
        expected = sorted(
            (records_mod.sha1_key(file.sha1),
             report.size_of_code(report.size_code(file.size)), file.kind,
             min(file.users, report.MAX_USERS)) for file in files)
        self.assertEqual(expected, sorted(
            (file.sha1, file.size, file.kind, file.users) for file in read))

    @hypothesis.given(FILES)
    def test_every_image_is_found(self, files):
        read = report.Report(report.encode(files, max_bytes=MAX_BYTES))

        for file in files:
            found = read.files(records_mod.sha1_key(file.sha1))
            self.assertEqual([file.kind], [one.kind for one in found])

    @hypothesis.given(FILES, st.integers(0, 10 ** 6))
    def test_number_of_servers_is_read(self, files, servers):
        text = report.encode(files, servers=servers, max_bytes=MAX_BYTES)

        self.assertEqual(servers, report.Report(text).header.servers)

    def test_number_of_servers_may_be_left_out(self):
        text = report.encode([factories.file_of()], max_bytes=MAX_BYTES)

        self.assertNotIn('i', [field.partition('=')[0] for field in
                               text.partition('|')[0].split(';')])
        self.assertLess(report.Report(text).header.servers, 0)

    def test_image_takes_no_more_than_17_bytes(self):
        for number in (100, 500, 1000):
            text = report.encode(random_files(number), max_bytes=48 * 1024)

            self.assertLessEqual(len(text) / number, 17)

    @hypothesis.given(st.one_of(FILES, CROWDED), st.randoms(),
                      st.integers(256, 1024))
    def test_order_of_files_does_not_matter(self, files, rand, max_bytes):
        files = list(dict.fromkeys(files))
        shuffled = list(files)
        rand.shuffle(shuffled)

        self.assertEqual(report.encode(files, max_bytes=max_bytes),
                         report.encode(shuffled, max_bytes=max_bytes))

    def test_order_does_not_matter_where_two_files_are_worth_the_same(self):
        # Given two files of one image, and room for one of them.
        files = [factories.file_of(),
                 factories.file_of(kind=FileKind.ARRIVING)]
        max_bytes = len(report.encode(files, max_bytes=MAX_BYTES)) - 1

        self.assertEqual(report.encode(files, max_bytes=max_bytes),
                         report.encode(files[::-1], max_bytes=max_bytes))

    @hypothesis.given(st.one_of(FILES, CROWDED), st.integers(0, 2 ** 40),
                      st.none() | st.integers(0, 10 ** 6),
                      st.integers(256, 4096))
    def test_report_keeps_to_its_size(self, files, rate, servers, max_bytes):
        text = report.encode(files, rate=rate, servers=servers,
                             max_bytes=max_bytes)

        self.assertLessEqual(len(text.encode()), max_bytes)

    def test_image_ids_are_not_told(self):
        text = factories.warm()

        self.assertNotIn(factories.IMAGE, text)
        self.assertNotIn(report.image_sha1(factories.IMAGE), text)

    def test_name_of_base_file_is_the_one_nova_uses(self):
        from nova.virt.libvirt import imagecache

        self.assertEqual(imagecache.get_cache_fname(factories.IMAGE),
                         report.image_sha1(factories.IMAGE))


class TestTruncation(base.TestCase):

    def test_says_that_it_is_truncated_and_how_many_there_are(self):
        read = report.Report(report.encode(
            random_files(500) + random_files(20, 2, kind=FileKind.RESIZED),
            max_bytes=1024))

        self.assertTrue(read.header.truncated)
        self.assertEqual(500, read.header.images)
        self.assertEqual(len(list(read)), read.header.records)
        self.assertLess(read.header.records, 64)
        self.assertGreater(read.header.records, 55)

    def test_large_images_stay(self):
        files = [report.BaseFile(report.image_sha1(str(gib)), gib * GIB)
                 for gib in range(1, 201)]

        read = report.Report(report.encode(files, max_bytes=1024))

        kept = sorted(file.size // GIB for file in read)
        self.assertEqual(list(range(201 - len(kept), 201)), kept)

    def test_images_in_use_stay(self):
        idle = random_files(100)
        used = [report.BaseFile(report.image_sha1(str(number)), 50 * GIB,
                                users=1) for number in range(30)]

        read = report.Report(report.encode(idle + used, max_bytes=1024))

        self.assertEqual(30, sum(file.size == 50 * GIB and file.users == 1
                                 for file in read))

    def test_resized_copies_go_first(self):
        copies = [report.BaseFile(
            report.image_sha1(str(number)), 500 * GIB, FileKind.RESIZED, 9)
            for number in range(100)]
        images = [report.BaseFile(report.image_sha1(str(number)), GIB)
                  for number in range(50)]

        read = report.Report(report.encode(copies + images, max_bytes=1024))

        kinds = [file.kind for file in read]
        self.assertEqual(50, kinds.count(FileKind.COMPLETE))
        self.assertLess(kinds.count(FileKind.RESIZED), 20)
        self.assertTrue(read.header.truncated)
        self.assertEqual(50, read.header.images)

    def test_images_that_are_absent_are_worth_less_than_files(self):
        absent = [report.BaseFile(report.image_sha1(str(number)), 0,
                                  FileKind.ABSENT, 9) for number in range(100)]
        images = random_files(50)

        read = report.Report(report.encode(absent + images, max_bytes=1024))

        kinds = [file.kind for file in read]
        self.assertEqual(50, kinds.count(FileKind.COMPLETE))
        self.assertTrue(read.header.truncated)
        self.assertEqual(50, read.header.images)

    def test_nothing_is_listed_where_there_is_no_room(self):
        read = report.Report(report.encode(random_files(3), max_bytes=0))

        self.assertEqual([], list(read))
        self.assertTrue(read.header.truncated)

    def test_all_is_listed_where_it_just_fits(self):
        files = random_files(20)
        exact = len(report.encode(files, max_bytes=MAX_BYTES))

        fits = report.Report(report.encode(files, max_bytes=exact))
        cut = report.Report(report.encode(files, max_bytes=exact - 1))

        self.assertEqual((20, False),
                         (fits.header.records, fits.header.truncated))
        self.assertEqual((19, True),
                         (cut.header.records, cut.header.truncated))


class TestSizes(base.TestCase):

    def test_every_whole_gib_up_to_255_keeps_its_value(self):
        for gib in range(1, 256):
            self.assertEqual(gib * GIB, report.size_of_code(
                report.size_code(gib * GIB)))

    def test_every_whole_gib_has_a_code_of_its_own(self):
        codes = {report.size_code(gib * GIB) for gib in range(256)}

        self.assertEqual(256, len(codes))

    @hypothesis.given(st.integers(-10, 2 ** 70))
    def test_code_has_12_bits(self, size):
        self.assertIn(report.size_code(size), range(2 ** 12))

    @hypothesis.given(st.integers(128 * 2 ** 20, 2 ** 50))
    def test_size_is_right_to_a_percent(self, size):
        read = report.size_of_code(report.size_code(size))

        self.assertLess(abs(read - size) / size, 0.01)

    @hypothesis.given(st.integers(0, 2 ** 60), st.integers(0, 2 ** 60))
    def test_order_of_sizes_is_kept(self, one, other):
        smaller, larger = sorted((one, other))

        self.assertLessEqual(report.size_code(smaller),
                             report.size_code(larger))

    def test_tiny_image_is_not_of_size_0(self):
        self.assertEqual(
            2 ** 20, report.size_of_code(report.size_code(1)))


class TestHolding(base.TestCase):

    def test_warm(self):
        read = report.Report(factories.warm())

        self.assertEqual(Holding.WARM, read.holding(KEY))

    def test_cold(self):
        read = report.Report(factories.cold())

        self.assertEqual(Holding.COLD, read.holding(KEY))

    def test_empty_cache_is_cold(self):
        read = report.Report(report.encode([], max_bytes=256))

        self.assertEqual(Holding.COLD, read.holding(KEY))

    def test_arriving(self):
        read = report.Report(factories.arriving())

        self.assertEqual(Holding.ARRIVING, read.holding(KEY))

    def test_complete_image_that_also_arrives_is_warm(self):
        read = report.Report(report.encode(
            [factories.file_of(), factories.file_of(kind=FileKind.ARRIVING)],
            max_bytes=MAX_BYTES))

        self.assertEqual(Holding.WARM, read.holding(KEY))

    def test_resized_copy_of_the_right_size(self):
        read = report.Report(factories.resized(20))

        self.assertEqual(Holding.WARM_RESIZED, read.holding(
            KEY, report.size_code(20 * GIB)))

    def test_resized_copy_of_another_size(self):
        read = report.Report(factories.resized(20))

        for gib in (19, 21, 40):
            self.assertEqual(Holding.WARM, read.holding(
                KEY, report.size_code(gib * GIB)))

    def test_no_size_asked_for(self):
        read = report.Report(factories.resized(20))

        self.assertEqual(Holding.WARM, read.holding(KEY))

    def test_resized_copy_alone_is_cold(self):
        read = report.Report(report.encode(
            [factories.file_of(kind=FileKind.RESIZED)], max_bytes=MAX_BYTES))

        self.assertEqual(Holding.COLD, read.holding(
            KEY, report.size_code(20 * GIB)))

    def test_not_listed_in_a_truncated_report_is_unknown(self):
        read = report.Report(factories.truncated())

        self.assertEqual(Holding.UNKNOWN, read.holding(KEY))

    def test_listed_in_a_truncated_report_is_warm(self):
        text = report.encode(
            [*random_files(200), factories.file_of(size=900 * GIB)],
            max_bytes=1024)

        read = report.Report(text)

        self.assertTrue(read.header.truncated)
        self.assertEqual(Holding.WARM, read.holding(KEY))

    def test_host_that_does_not_cache_is_cold(self):
        read = report.Report(
            report.encode([], caches=False, max_bytes=MAX_BYTES))

        self.assertFalse(read.header.caches)
        self.assertEqual(Holding.COLD, read.holding(KEY))

    def test_key_inside_of_or_across_records_is_not_found(self):
        header = factories.warm().partition('|')[0].replace('k=1', 'k=2')
        for records in ('AAAA' + KEY + 'A' * 16,
                        'A' * 12 + KEY + 'A' * 8,
                        'A' * 5 + KEY + 'A' * 15):
            read = report.Report(f'{header}|{records}')

            self.assertEqual(Holding.COLD, read.holding(KEY))

    def test_key_is_found_after_it_was_seen_inside_of_a_record(self):
        header, _bar, record = factories.warm().partition('|')
        text = header.replace('k=1', 'k=2') + '|' + 'AAAA' + KEY + record

        self.assertEqual(Holding.WARM, report.Report(text).holding(KEY))

    def test_image_that_is_absent_is_cold(self):
        read = report.Report(report.encode(
            [factories.file_of(size=0, kind=FileKind.ABSENT, users=3)],
            max_bytes=MAX_BYTES))

        self.assertEqual(Holding.COLD, read.holding(KEY))
        self.assertEqual(0, read.header.images)

    def test_image_whose_id_is_spelt_in_another_way(self):
        read = report.Report(factories.warm())

        self.assertEqual(Holding.WARM, read.holding(
            report.image_key(factories.IMAGE.upper())))

    def test_number_of_users_is_kept_up_to_its_bound(self):
        for users, read in ((0, 0), (1, 1), (63, 63), (64, 64),
                            (1023, 1023), (1024, 1023), (10 ** 6, 1023),
                            (-1, 0)):
            text = report.encode([factories.file_of(users=users)],
                                 max_bytes=MAX_BYTES)

            self.assertEqual(
                read, report.Report(text).files(KEY)[0].users)


class TestLookUp(base.TestCase):

    def look_up(self, *files, **kwargs):
        read = report.Report(report.encode(
            files, max_bytes=MAX_BYTES, **kwargs))
        return read.look_up(KEY, report.size_code(20 * GIB))

    def test_image(self):
        self.assertEqual(
            report.Found(Holding.WARM, 3, 5 * GIB),
            self.look_up(factories.file_of(size=5 * GIB, users=3)))

    def test_image_with_its_copies(self):
        """The size is that of what was fetched, not of what it grew to."""
        files = [factories.file_of(size=5 * GIB, users=3), *(
            factories.file_of(size=gib * GIB, kind=FileKind.RESIZED, users=3)
            for gib in (10, 20, 40))]

        self.assertEqual(
            report.Found(Holding.WARM_RESIZED, 3, 5 * GIB),
            self.look_up(*files))

    def test_copy_alone(self):
        self.assertEqual(
            report.Found(Holding.COLD, 3, 0),
            self.look_up(factories.file_of(kind=FileKind.RESIZED, users=3)))

    def test_image_that_arrives(self):
        self.assertEqual(
            report.Found(Holding.ARRIVING, 2, 0), self.look_up(
                factories.file_of(size=0, kind=FileKind.ARRIVING, users=2)))

    def test_image_that_is_absent(self):
        for caches in (True, False):
            self.assertEqual(
                report.Found(Holding.COLD, 3, 0), self.look_up(
                    factories.file_of(size=0, kind=FileKind.ABSENT, users=3),
                    caches=caches))

    def test_image_that_is_not_listed(self):
        self.assertEqual(report.Found(Holding.COLD, 0, 0), self.look_up())

    def test_image_that_is_not_listed_in_a_truncated_report(self):
        read = report.Report(factories.truncated())

        self.assertEqual(report.Found(Holding.UNKNOWN, None, 0),
                         read.look_up(KEY))

    @hypothesis.given(CROWDED)
    def test_says_of_each_image_what_its_files_say(self, files):
        read = report.Report(report.encode(files, max_bytes=MAX_BYTES))

        for file in files:
            key = records_mod.sha1_key(file.sha1)
            found, listed = read.look_up(key), read.files(key)
            self.assertEqual(found.holding, read.holding(key))
            self.assertEqual(found.users, max(one.users for one in listed))
            self.assertEqual(found.size, max(
                (one.size for one in listed if one.kind is FileKind.COMPLETE),
                default=0))


class TestTolerance(base.TestCase):

    def assert_unreadable(self, text):
        error = self.assertRaises(report.UnreadableReport, report.Report, text)
        # It becomes part of a warning that is given once a message.
        self.assertLess(len(str(error)), 60)

    def test_what_is_no_text(self):
        for value in (None, 0, 17, 1.5, True, {}, {'v': 1}, [], b'v=1|',
                      object()):
            self.assert_unreadable(value)

    def test_what_is_no_report(self):
        for text in ('', '|', '||||', 'v', 'v=', 'v=|', '{"v": 1}', ';|',
                     '=;=;=|', 'v=1|', 'v=1;w=16|', '\0' * 1000,
                     'x' * 10 ** 6, '|' * 10 ** 6, factories.warm() * 5000):
            self.assert_unreadable(text)

    def test_another_version(self):
        for version in ('2', '0', '10', '1.0', '', ' 1', '\u0661', '9' * 200):
            self.assert_unreadable(some_report(v=version))

    def test_cut_at_every_position(self):
        whole = report.encode(random_files(10), rate=64, max_bytes=1024)

        for position in range(len(whole)):
            self.assert_unreadable(whole[:position])

    def test_cut_from_the_front(self):
        whole = report.encode(random_files(3), rate=64, max_bytes=1024)

        for position in range(1, len(whole)):
            self.assert_unreadable(whole[position:])

    def test_anything_added(self):
        for more in ('A', ' ', '\n', 'A' * 15, 'A' * 17):
            self.assert_unreadable(factories.warm() + more)

    def test_negative_numbers(self):
        for name in 'wcnktr':
            self.assert_unreadable(some_report(**{name: '-1'}))

    def test_numbers_that_are_none(self):
        for name in 'wcnktr':
            for value in ('', 'x', '1.5', '0x10', 'nan', '1e3', '\u00b2'):
                self.assert_unreadable(some_report(**{name: value}))

    def test_number_of_servers_that_is_none(self):
        for value in ('', 'x', '1.5', 'nan'):
            self.assert_unreadable(some_report(i=value))

    def test_negative_number_of_servers_is_as_if_left_out(self):
        for value in ('-1', '-7'):
            self.assertEqual(
                report.Report(some_report()).header,
                report.Report(some_report(i=value)).header)

    def test_missing_fields(self):
        whole = factories.warm()
        for name in 'vwcnktr':
            header, _bar, records = whole.partition('|')
            fields = [field for field in header.split(';')
                      if not field.startswith(name)]
            self.assert_unreadable(';'.join(fields) + '|' + records)

    def test_records_that_are_too_short(self):
        self.assert_unreadable(some_report(w='15'))
        self.assert_unreadable(some_report(w='8', k='2'))

    @hypothesis.given(st.text(max_size=300))
    def test_any_text(self, text):
        self.assert_unreadable(text)

    @hypothesis.given(st.text(max_size=300))
    def test_any_text_with_a_bar(self, text):
        self.assert_unreadable(f'v=1;w=16;{text}|{text}')

    @hypothesis.given(
        st.dictionaries(st.sampled_from('vwcnktrix'),
                        st.one_of(st.integers(), st.text(max_size=9))),
        st.text(max_size=64))
    def test_any_header_reads_or_is_refused(self, fields, records):
        header = ';'.join(f'{name}={value}'
                          for name, value in fields.items())
        try:
            read = report.Report(f'{header}|{records}')
        except report.UnreadableReport:
            return
        read.holding(KEY)
        list(read)

    @hypothesis.given(st.text(min_size=32, max_size=32))
    def test_any_records(self, records):
        text = some_report(k='2').partition('|')[0] + '|' + records

        read = report.Report(text)

        self.assertIn(read.holding(KEY), Holding)
        self.assertEqual(list(read), list(read))

    @hypothesis.given(FILES, st.integers(0, 2 ** 20), st.characters())
    def test_a_character_changed_does_no_harm(self, files, place, char):
        text = report.encode(files, max_bytes=MAX_BYTES)
        place %= len(text)
        try:
            read = report.Report(text[:place] + char + text[place + 1:])
        except report.UnreadableReport:
            return
        read.holding(KEY)
        list(read)


class TestNewerWriter(base.TestCase):

    def test_wider_records(self):
        files = random_files(5)
        text = report.encode([*files, factories.file_of(users=3)],
                             max_bytes=MAX_BYTES)
        header, _bar, records = text.partition('|')
        wide = header.replace('w=16', 'w=20') + '|' + ''.join(
            records[start:start + 16] + 'more'
            for start in range(0, len(records), 16))

        read = report.Report(wide)

        self.assertEqual(Holding.WARM, read.holding(KEY))
        self.assertEqual(list(report.Report(text)), list(read))

    def test_more_header_fields(self):
        for header in ({'zone': 'b'}, {'x': ''}, {'y': 'a=b=c'}, {'': '1'}):
            read = report.Report(some_report(**header))

            self.assertEqual(Holding.WARM, read.holding(KEY))

    def test_other_order_of_header_fields(self):
        header, _bar, records = factories.warm().partition('|')
        turned = ';'.join(reversed(header.split(';')))

        read = report.Report(f'{turned}|{records}')

        self.assertEqual(Holding.WARM, read.holding(KEY))

    def test_file_whose_record_cannot_be_read_says_nothing(self):
        header, _bar, record = factories.warm().partition('|')
        for last in ('!', '\u00e4', ' '):
            read = report.Report(f'{header}|{record[:-1]}{last}')

            self.assertEqual(Holding.UNKNOWN, read.holding(KEY))
            self.assertEqual([], read.files(KEY))
            self.assertEqual([], list(read))

    def test_file_whose_record_cannot_be_read_beside_another(self):
        header, _bar, record = factories.warm().partition('|')
        unknown = record[:-1] + '!'

        for records in (record + unknown, unknown + record):
            read = report.Report(
                header.replace('k=1', 'k=2') + '|' + records)

            self.assertEqual(Holding.WARM, read.holding(KEY))


class TestOlderReader(base.TestCase):
    """A reader of before the kind ABSENT and the number of servers.

    It knows three kinds, and passes over a record of another one.
    """

    def setUp(self):
        super().setUp()
        older = enum.IntEnum('FileKind', {
            kind.name: kind.value for kind in FileKind
            if kind is not FileKind.ABSENT})
        self.useFixture(fixtures.MockPatchObject(
            records_mod, 'FileKind', older))
        records_mod.decode.cache_clear()
        self.addCleanup(records_mod.decode.cache_clear)

    def read(self, *files):
        return report.Report(report.encode(
            files, servers=7, max_bytes=MAX_BYTES))

    def test_passes_over_what_is_absent(self):
        read = self.read(
            factories.file_of(size=0, kind=FileKind.ABSENT, users=3),
            factories.file_of(factories.OTHER_IMAGE))

        self.assertEqual([], read.files(KEY))
        self.assertEqual(1, len(list(read)))

    def test_reads_all_else(self):
        read = self.read(
            factories.file_of(users=2),
            factories.file_of('another', 0, FileKind.ABSENT, users=3))

        [file] = read.files(KEY)
        self.assertEqual((20 * GIB, 2), (file.size, file.users))
        self.assertEqual(1, read.header.images)


NUMBERS = st.none() | st.integers(-5, 10 ** 30)
TRUTHS = st.none() | st.booleans()
FACTS = st.builds(
    report.HostFacts, protected=NUMBERS, free_gib=NUMBERS, manager=st.text(),
    cap=st.none() | st.builds(
        report.ReportedCap, number=st.integers(-5, 10 ** 30),
        share=st.floats(0, 1), policy=st.text(), scope=st.text(),
        checks=st.booleans()),
    asks_for_cap=TRUTHS, package=st.text(), nova=st.text(), reflinks=TRUTHS,
    own_device=TRUTHS, critical=NUMBERS, critical_missing=NUMBERS,
    critical_trouble=st.sampled_from(report.TROUBLES), room_gib=NUMBERS,
    evicts=TRUTHS)


class TestFacts(base.TestCase):

    def write(self, **facts):
        return report.encode([factories.file_of()], servers=7,
                             facts=report.HostFacts(**facts), max_bytes=1024)

    def test_come_back(self):
        facts = report.HostFacts(
            protected=3, free_gib=128, manager='my-manager_2',
            cap=report.ReportedCap(10, 0.2, 'soft', 'project', checks=False),
            asks_for_cap=True, package='1.2.0.dev7', nova='34.0.0',
            reflinks=True, own_device=False, critical=12, critical_missing=2,
            critical_trouble=report.NO_ROOM, room_gib=120, evicts=True)

        text = report.encode([], facts=facts, max_bytes=1024)

        self.assertEqual(facts, report.Report(text).facts)

    def test_are_unknown_where_they_are_not_written(self):
        self.assertEqual(report.UNKNOWN_FACTS, report.Report(
            factories.warm()).facts)
        self.assertNotIn('?', factories.warm())

    def test_no_cap_is_asked_for(self):
        facts = report.Report(self.write(
            asks_for_cap=False, cap=report.ReportedCap(
                10, 0.0, 'hard', 'all'))).facts

        self.assertEqual((False, None), (facts.asks_for_cap, facts.cap))

    def test_text_that_would_end_a_field(self):
        text = self.write(manager='a;v=9|b=c"\\\u00e4', package='x' * 99)

        read = report.Report(text)

        self.assertEqual('a_v_9_b_c___', read.facts.manager)
        self.assertEqual('x' * 24, read.facts.package)
        self.assertEqual(Holding.WARM, read.holding(KEY))

    @hypothesis.given(FACTS)
    def test_any_facts_leave_the_report_readable(self, facts):
        text = report.encode(
            [factories.file_of()], caches=True, rate=4096, servers=10 ** 6,
            facts=facts, max_bytes=1024)

        read = report.Report(text)

        self.assertEqual(Holding.WARM, read.holding(KEY))
        self.assertEqual(10 ** 6, read.header.servers)
        # Room for fields that are to come.
        self.assertLess(len(read.head), reader.MAX_HEADER_CHARS - 25)
        # JSON, as which nova keeps it, makes nothing longer.
        self.assertEqual(len(text) + 2, len(json.dumps(text)))

    @hypothesis.given(FACTS)
    def test_what_was_read_is_written_again(self, facts):
        once = report.Report(report.encode(
            [], facts=facts, max_bytes=1024)).facts

        again = report.Report(report.encode(
            [], facts=once, max_bytes=1024)).facts

        self.assertEqual(once, again)

    @hypothesis.given(st.dictionaries(
        st.sampled_from('pfmlsexqb'), st.one_of(
            st.text(max_size=40), st.integers().map(str),
            st.sampled_from(('10,0,hard', '-1,0,hard,all,1', '1,2,a,b,1',
                             '1,nan,a,b,1', '1,0,a,b,2', '\u0661', '1?',
                             '12,2', '12,x,1', '2,1,9', '5,2', '-5,1')))))
    def test_damaged_fact_is_unknown_and_nothing_else(self, damaged):
        hypothesis.assume(not any(set(value) & set(';|')
                                  for value in damaged.values()))
        text = some_report(**damaged)
        hypothesis.assume(text.index('|') < reader.MAX_HEADER_CHARS)

        read = report.Report(text)

        self.assertEqual(Holding.WARM, read.holding(KEY))
        for name in ('protected', 'free_gib', 'critical', 'critical_missing',
                     'room_gib'):
            value = getattr(read.facts, name)
            self.assertTrue(value is None or value >= 0)
        self.assertIn(read.facts.critical_trouble, report.TROUBLES)

    def test_critical_images_and_room(self):
        for facts, field in (
                ({'critical': 12, 'critical_missing': 2}, 'q=12,2,0'),
                ({'critical': 12, 'critical_missing': 2,
                  'critical_trouble': report.NO_ROOM}, 'q=12,2,1'),
                ({'critical': 1, 'critical_missing': 1,
                  'critical_trouble': report.NOT_KEPT}, 'q=1,1,2'),
                ({'critical': 1000, 'critical_missing': 1000}, 'q=999,999,0'),
                ({'room_gib': 120, 'evicts': True}, 'b=120,1'),
                ({'room_gib': 10 ** 6, 'evicts': False}, 'b=99999,0')):
            text = self.write(**facts)

            self.assertIn(field, text.partition('|')[0].split(';'))

    def test_critical_images_of_a_newer_writer(self):
        facts = report.Report(some_report(q='12,2,7,more', b='3,1,more')).facts

        self.assertEqual((12, 2, ''), (
            facts.critical, facts.critical_missing, facts.critical_trouble))
        self.assertEqual((3, True), (facts.room_gib, facts.evicts))

    def test_cap_of_a_newer_writer(self):
        facts = report.Report(some_report(l='10,0,hard,all,1,more')).facts

        self.assertEqual(report.ReportedCap(10, 0.0, 'hard', 'all'),
                         facts.cap)

    def test_are_left_out_where_the_header_has_no_room(self):
        facts = report.HostFacts(manager='lru')
        whole = report.encode([], facts=facts, max_bytes=1024)

        self.assertIn('m=lru', report.encode(
            [], facts=facts, max_bytes=len(whole)))
        self.assertNotIn('m=lru', report.encode(
            [], facts=facts, max_bytes=len(whole) - 1))

    @hypothesis.given(FILES, FACTS, st.integers(60, 2000))
    def test_report_with_facts_keeps_its_bound(self, files, facts, room):
        text = report.encode(files, facts=facts, max_bytes=room)

        self.assertLessEqual(len(text), room)
        report.Report(text)

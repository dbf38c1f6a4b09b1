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


import gzip
import os

import ddt
import fixtures
import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.simulator.input import arrivals
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator.input import sources
from cache_aware_sched.simulator.input import trace
from cache_aware_sched.simulator.input import trace_columns
from cache_aware_sched.simulator.workload import Boot
from tests.unit import base
from tests.unit import factories

GIB = factories.GIB
HEADER = 'arrival_s,batch,vcpus,ram_mb,lifetime_s'
ROW = '0,0,1,512,60'
AS_THEY_ARE = options.Trace(bin_seconds=0)


class TraceTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'trace.csv')

    def write(self, *lines, data=None):
        if data is None:
            data = ''.join(f'{line}\n' for line in lines).encode()
        with open(self.path, 'wb') as file:
            file.write(data)

    def read(self, *lines, how=AS_THEY_ARE, seed=0, data=None):
        self.write(*lines, data=data)
        return trace.read(self.path, how, seed)

    def servers(self, *lines, **kwargs):
        return self.read(*lines, **kwargs).servers

    def assert_bad(self, text, *lines, line=None, column=None, data=None):
        self.write(*lines, data=data)
        error = self.assertRaises(
            trace.BadTrace, trace.read, self.path, AS_THEY_ARE)
        self.assertIn(text, str(error))
        self.assertEqual((line, column), (error.line, error.column))


class TestFile(TraceTestCase):

    def test_columns_in_any_order_and_others(self):
        found = self.servers('x,lifetime_s,ram_mb,batch, vcpus ,arrival_s',
                             'y,60,512,3,2,7')

        self.assertEqual([Boot(0, 3, 2, 512, 60)], found)

    def test_gzip_is_known_by_its_content(self):
        plain = f'{HEADER}\n{ROW}\n'.encode()

        found = self.servers(data=gzip.compress(plain))

        self.assertEqual([Boot(0, 0, 1, 512, 60)], found)

    def test_plain_text_with_the_name_of_a_gzip(self):
        self.path += '.gz'

        self.assertEqual(1, len(self.servers(HEADER, ROW)))

    def test_as_spreadsheets_write_it(self):
        found = self.servers(
            data=f'\ufeff{HEADER}\r\n\r\n0, 0 ,1.0,512.0,\r\n'.encode())

        self.assertEqual([Boot(0, 0, 1, 512, None)], found)

    def test_empty(self):
        self.assert_bad('the file is empty', data=b'')
        self.assert_bad('the file is empty', data=gzip.compress(b''))

    def test_no_server(self):
        self.assert_bad('there is no server', HEADER)

    def test_damaged_gzip(self):
        whole = gzip.compress(f'{HEADER}\n'.encode() + os.urandom(3000).hex()
                              .encode())

        for data in (whole[:500], whole[:-8] + bytes(8), b'\x1f\x8bxxxxxxxx'):
            self.write(data=data)
            error = self.assertRaises(
                trace.BadTrace, trace.read, self.path, AS_THEY_ARE)
            self.assertIn('damaged gzip', str(error))

    def test_not_utf8(self):
        self.assert_bad('not UTF-8', line=3, data=(
            f'{HEADER}\n{ROW}\n\xe4\n'.encode('latin-1')))

    def test_endless_line(self):
        self.assert_bad('line 1: longer than', '0' * 100000, line=1)

    def test_quote_without_end(self):
        for after in ((), (ROW, ROW), (ROW,) * 20000):
            self.assert_bad('a quote that opens here is not closed',
                            HEADER, ROW, '"0', *after, line=3)

    def test_record_of_two_lines(self):
        self.assert_bad("'x' is not", f'{HEADER},note', '0,1,1,512,,"a', 'b"',
                        'x,1,1,512,,"a', 'b"', line=4, column='arrival_s')

    def test_text_after_a_quoted_value_of_two_lines(self):
        self.assert_bad("not CSV: ',' expected after", HEADER, '"0', '"x,1',
                        line=2)

    def test_lines_that_end_with_cr(self):
        self.assert_bad('LF or CR LF is wanted',
                        data=f'{HEADER}\r{ROW}\r'.encode(), line=1)

    def test_no_file(self):
        self.assertRaises(FileNotFoundError, trace.read, self.path,
                          AS_THEY_ARE)

    @hypothesis.given(st.binary(max_size=60), st.booleans(), st.booleans())
    def test_whatever_is_in_it(self, data, header, zipped):
        data = HEADER.encode() * header + data
        self.write(data=gzip.compress(data) if zipped else data)

        try:
            found = trace.read(self.path, AS_THEY_ARE).servers
        except trace.BadTrace as error:
            self.assertTrue(str(error))
        else:
            self.assertTrue(found)


@ddt.ddt
class TestLines(TraceTestCase):

    def test_missing_columns_are_named(self):
        self.assert_bad('the header lacks batch, lifetime_s',
                        'arrival_s,vcpus,ram_mb', line=1)

    def test_column_twice(self):
        self.assert_bad('the header has vcpus twice', f'{HEADER},vcpus',
                        line=1)

    def test_unknown_column_twice(self):
        self.assertEqual(1, len(self.servers(f'{HEADER},x,x', f'{ROW},,')))

    @ddt.data(
        ('arrival_s', '-1'), ('arrival_s', 'nan'), ('arrival_s', 'inf'),
        ('arrival_s', '1e300'), ('arrival_s', ''), ('arrival_s', '1_0'),
        ('arrival_s', '\u0663'), ('batch', '-1'), ('batch', '1.5'),
        ('batch', 'a'), ('batch', '9' * 5000), ('vcpus', '0'),
        ('vcpus', '0.5'), ('vcpus', '10001'), ('ram_mb', '0'),
        ('ram_mb', str(2 ** 31)), ('lifetime_s', '-0.1'),
        ('lifetime_s', 'None'), ('image_size_gb', '0'),
        ('image_size_gb', '-1'), ('image_size_gb', '1e9'),
        ('image_size_gb', 'nan'))
    @ddt.unpack
    def test_bad_value(self, column, value):
        columns = [*HEADER.split(','), 'image_id', 'image_size_gb']
        values = dict(zip(columns, [*ROW.split(','), 'i', '1'], strict=True))

        self.assert_bad(
            f'line 3, column {column}: {value[:40]!r}'[:-1],
            ','.join(columns), ','.join(values.values()),
            ','.join({**values, column: value}.values()),
            line=3, column=column)

    def test_what_is_wanted_is_said(self):
        self.assert_bad("'x' is not a whole number, 1 to 10000", HEADER,
                        '0,0,x,512,', line=2, column='vcpus')

    @ddt.data('0,0,1,512', f'{ROW},')
    def test_too_few_or_too_many_values(self, row):
        self.assert_bad(f'{row.count(",") + 1} values, but the header has 5',
                        HEADER, ROW, row, line=3)

    def test_the_first_is_the_start(self):
        found = self.servers(HEADER, '1700000100,0,1,512,',
                             '1700000000.5,1,1,512,')

        self.assertEqual([0, 99.5], [server.at for server in found])

    def test_same_moments_stay_in_their_order(self):
        found = self.servers(HEADER, '5,1,1,512,', '0,2,2,512,', '5,3,3,512,',
                             '0,4,4,512,')

        self.assertEqual([2, 4, 1, 3], [server.batch for server in found])

    @hypothesis.given(st.lists(st.tuples(
        st.integers(0, 10 ** 9), st.integers(0, 2 ** 63 - 1),
        st.integers(1, trace_columns.MAX_VCPUS),
        st.integers(1, trace_columns.MAX_INT),
        st.none() | st.floats(0, trace_columns.MAX_SECONDS)), min_size=1))
    @hypothesis.example([(0, 2 ** 63 - 1, 1, 1, None)])
    def test_all_that_is_written_is_read(self, rows):
        start = min(row[0] for row in rows)

        found = self.servers(HEADER, *(
            ','.join('' if value is None else repr(value) for value in row)
            for row in rows))

        self.assertEqual(
            sorted(rows, key=lambda row: row[0]),
            [(server.at + start, *server[1:5]) for server in found])


class TestNames(TraceTestCase):

    HEADER = f'{HEADER},image_id,image_size_gb,project'

    def rows(self, *ends):
        return self.read(self.HEADER, *(f'{ROW},{end}' for end in ends))

    def test_uuids_stay(self):
        project = '12345678-1234-4234-8234-123456789abc'

        found, = self.rows(f'{factories.IMAGE},,{project}').servers

        self.assertEqual((factories.IMAGE, project.replace('-', '')),
                         (found.image, found.project))

    def test_other_names_become_uuids(self):
        found = self.rows('debian,,staff', 'debian,,', 'staff,,staff').servers

        self.assertEqual(found[0].image, found[1].image)
        self.assertNotEqual(found[0].image, found[2].image)
        self.assertEqual(found[0].project, found[2].project)
        self.assertEqual((36, 32),
                         (len(found[0].image), len(found[0].project)))

    def test_none_is_left_to_be_assigned(self):
        found, = self.rows(',,').servers

        self.assertEqual(('', ''), (found.image, found.project))

    def test_size_of_an_image_on_any_of_its_lines(self):
        found = self.rows('a,,', 'a,1.5,', 'a,,', 'b,,')

        self.assertEqual({found.servers[0].image: GIB * 3 // 2}, found.sizes)

    def test_two_sizes_of_an_image(self):
        self.assert_bad(
            '2, but line 2 gives the same image 1', self.HEADER,
            f'{ROW},a,1,', f'{ROW},a,2,', line=3, column='image_size_gb')

    def test_size_of_no_image(self):
        self.assert_bad('there is a size, but no image_id', self.HEADER,
                        f'{ROW},,1,', line=2, column='image_size_gb')

    def test_sizes_without_the_column_of_the_images(self):
        self.assert_bad('image_size_gb without image_id',
                        f'{HEADER},image_size_gb', f'{ROW},1', line=1)


class TestBins(TraceTestCase):

    def bins(self, *numbers, width=300):
        """Return lines with a batch of two servers in each bin."""
        return [HEADER, *(f'{width * number},{number},1,512,'
                          for number in numbers for _server in range(2))]

    def test_each_batch_starts_somewhere_in_its_bin(self):
        found = self.servers(*self.bins(*range(100)), how=options.Trace())

        places = [server.at - 300 * server.batch for server in found[::2]]
        self.assertTrue(all(0 <= place < 300 for place in places))
        self.assertTrue(100 < sum(places) / len(places) < 200)

    def test_batches_of_a_bin_start_apart(self):
        lines = [*self.bins(*range(20)), '300,99,1,512,']

        starts = {server.batch: server.at
                  for server in self.servers(*lines, how=options.Trace())}

        self.assertNotEqual(starts[1], starts[99])

    def test_servers_of_a_batch_follow_each_other(self):
        first, second = self.servers(
            *self.bins(1), how=options.Trace(bin_seconds=300, gap_seconds=5))

        self.assertEqual(5, second.at - first.at)

    def test_taken_as_they_are(self):
        found = self.servers(*self.bins(*range(20)))

        self.assertEqual([300 * server.batch for server in found],
                         [server.at for server in found])

    def test_width_that_is_found(self):
        for width, *numbers in ((300, *range(0, 40, 2), 7), (3600, *range(12)),
                                (60.5, *range(12))):
            self.assertEqual(width, trace.found_bin(
                width * number for number in numbers))

    def test_moments_that_are_no_bins(self):
        for times in ([7 * number for number in range(100)],
                      [0, 300, 600], [300.1 * number ** 2 + number
                                      for number in range(100)],
                      [86400 * number for number in range(100)]):
            self.assertEqual(0, trace.found_bin(times))

    def test_the_seed_decides(self):
        lines = self.bins(*range(20))

        first, same, other = (
            self.servers(*lines, how=options.Trace(), seed=seed)
            for seed in (1, 1, 2))

        self.assertEqual(first, same)
        self.assertNotEqual(first, other)


class TestChosen(base.TestCase):

    def servers(self, *sizes):
        """Return batches of some sizes, one a second."""
        return [Boot(second, second, 1, 512, None)
                for second, size in enumerate(sizes) for _one in range(size)]

    def test_all(self):
        servers = self.servers(1, 2, 3)

        for boots in (0, 6, 7):
            self.assertEqual(servers, arrivals.thin(servers, boots))

    @hypothesis.given(st.lists(st.integers(1, 30), min_size=1, max_size=50),
                      st.integers(1, 100), st.integers())
    def test_whole_batches_about_so_many(self, sizes, boots, seed):
        servers = self.servers(*sizes)

        kept = arrivals.thin(servers, boots, seed)

        # In their order, each whole
        batches = {server.batch for server in kept}
        self.assertEqual(
            [server for server in servers if server.batch in batches], kept)
        # One more or one less would be no nearer
        if kept != servers:
            self.assertTrue(abs(len(kept) - boots) <= max(
                max(sizes) / 2, min(sizes) - boots))

    def test_the_smallest_of_batches_that_are_all_too_large(self):
        kept = arrivals.thin(self.servers(9, 7, 8), 2)

        self.assertEqual([1] * 7, [server.batch for server in kept])

    def test_from_all_of_the_time(self):
        kept = arrivals.thin(self.servers(*[2] * 1000), 500, seed=1)

        self.assertEqual(500, len(kept))
        early = sum(server.at < 500 for server in kept)
        self.assertTrue(200 < early < 300, early)

    def test_the_seed_decides(self):
        servers = self.servers(*[1] * 100)

        first, same, other = (
            arrivals.thin(servers, 10, seed) for seed in (1, 1, 2))

        self.assertEqual(first, same)
        self.assertNotEqual(first, other)

    def test_the_first_of_what_is_kept(self):
        servers = self.servers(*[1] * 100)

        found = arrivals.chosen(arrivals.Arrivals(servers), 50, 10, 0)

        self.assertEqual(arrivals.thin(servers, 50)[:10], found.servers)


class TestWorkload(TraceTestCase):

    def test_of_a_trace(self):
        self.write(f'{HEADER},image_id,image_size_gb,project',
                   f'10,4,2,1024,60,{factories.IMAGE},30.5,'
                   f'{factories.PROJECT}', '9,5,1,512,,,,')

        found = sources.from_trace(
            self.path, options.Options(limit=5, trace=AS_THEY_ARE))

        unnamed, named = found.boots
        self.assertEqual(
            (1, 4, 2, 1024, 31, 60, factories.IMAGE, factories.PROJECT),
            (named.at, named.batch, named.vcpus, named.ram_mb, named.disk_gb,
             named.lifetime, named.image, named.project))
        self.assertEqual({named.image, unnamed.image}, set(found.images))
        self.assertIn('2 servers in the trace.', found.notes)

    def test_images_are_found_by_the_ids_of_the_trace(self):
        self.write(f'{HEADER},image_id', f'{ROW},debian 12',
                   f'{ROW},{factories.IMAGE}', f'{ROW},')

        found = sources.from_trace(
            self.path, options.Options(trace=AS_THEY_ARE))

        named, uuid, assigned = (boot.image for boot in found.boots)
        for text, image in (
                ('debian 12', named), (named, named), ('debian', None),
                (factories.IMAGE, uuid), (factories.IMAGE.upper(), uuid),
                (assigned, assigned), (factories.OTHER_IMAGE, None)):
            self.assertEqual(image, found.find_image(text), text)

    def test_image_of_servers_that_are_left_out(self):
        self.write(f'{HEADER},image_id', f'{ROW},a', f'{ROW},b')

        found = sources.from_trace(
            self.path, options.Options(limit=1, trace=AS_THEY_ARE))

        self.assertIsNone(found.find_image('b'))

    def test_large_numbers_are_readable(self):
        self.write(HEADER, *[ROW] * 1000)

        found = sources.from_trace(
            self.path, options.Options(trace=AS_THEY_ARE))

        self.assertIn('1,000 servers in the trace.', found.notes)

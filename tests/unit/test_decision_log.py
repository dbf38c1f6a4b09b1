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

"""Tests of the records and the reader of the decision log."""

import dataclasses
import datetime
import json
import math
import os
import tempfile
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from cache_aware_sched.decision_log import line_file
from cache_aware_sched.decision_log import reader
from cache_aware_sched.decision_log import record as record_mod
from tests.unit import base

NOON = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)

_NUMBERS = st.floats(-1e6, 1e6).map(lambda value: float(f'{value:.6g}'))


def decision(server='s1', **fields):
    return record_mod.DecisionRecord(**{
        'time': NOON, 'server': server, 'image': 'i1', **fields})


def hosts():
    return st.builds(
        record_mod.DecidedHost, host=st.text(max_size=20),
        node=st.text(max_size=20), holding=st.sampled_from(
            ['unknown', 'cold', 'arriving', 'warm', 'warm_resized']),
        count=st.integers(0, 1000), cap=st.integers(0, 1000),
        before=_NUMBERS, benefit=_NUMBERS, holds=_NUMBERS, headroom=_NUMBERS,
        gate=_NUMBERS, weight=_NUMBERS, multiplier=_NUMBERS,
        aggregates=st.lists(st.text(max_size=9), max_size=3).map(tuple))


class RecordTests(base.TestCase):

    @given(st.lists(hosts(), max_size=record_mod.MAX_HOSTS).map(tuple),
           st.sampled_from(record_mod.OUTCOMES), st.text(max_size=255))
    def test_a_record_comes_back_as_it_was_written(self, listed, outcome,
                                                   flavor):
        made = decision(hosts=listed, outcome=outcome, flavor=flavor,
                        seconds=1.5)

        line = record_mod.dump(made)

        self.assertEqual(line.count('\n'), 1)
        self.assertEqual(made, record_mod.parse(line))

    def test_lost_decisions_come_back(self):
        made = record_mod.LostDecisions(NOON, 7)

        self.assertEqual(made, record_mod.parse(record_mod.dump(made)))

    @given(st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
            st.sampled_from(['v', 'time', 'lost', 'hosts', 'server', 'image',
                             'outcome', 'seconds', 'aggregates']),
            inner, max_size=6)))
    def test_what_is_no_record_is_a_bad_one(self, anything):
        for given_ in (anything, {'v': 1, 'time': NOON.isoformat(),
                                  'server': 's', 'image': 'i',
                                  'hosts': anything},
                       {'v': 1, 'time': anything, 'lost': 1}):
            line = json.dumps(given_)
            try:
                found = record_mod.parse(line)
            except record_mod.BadRecord:
                continue
            record_mod.parse(record_mod.dump(found))

    def test_an_unknown_version_is_named(self):
        error = self.assertRaises(
            record_mod.BadRecord, record_mod.parse, '{"v": 2}')

        self.assertIn("version '2'", str(error))

    def test_numbers_that_cannot_be_added_up_are_none(self):
        fields = json.loads(record_mod.dump(decision()))

        for name, value in (('size', 10 ** 400), ('seconds', 10 ** 400),
                            ('seconds', 1e308), ('seconds', math.nan),
                            ('candidates', -10 ** 400)):
            line = json.dumps({**fields, name: value})
            self.assertRaises(record_mod.BadRecord, record_mod.parse, line)

    def test_unknown_fields_are_ignored(self):
        fields = json.loads(record_mod.dump(decision()))

        self.assertEqual(
            decision(), record_mod.parse(json.dumps({**fields, 'new': 1})))

    def test_fetches_saved(self):
        warm = record_mod.DecidedHost('warm', 'warm', 'warm')
        cold = record_mod.DecidedHost('cold', 'cold', 'cold')
        listed = (warm, cold)

        def saved(cached, stock):
            return decision(cached=cached, stock=stock, winner=cached,
                            hosts=listed).fetches_saved

        self.assertEqual((1, -1, 0, 0), (
            saved('warm', 'cold'), saved('cold', 'warm'),
            saved('warm', 'warm'), saved('', '')))


class ReaderTests(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = os.path.join(
            self.enterContext(tempfile.TemporaryDirectory()), 'log.json')

    def write(self, suffix, *lines):
        with open(self.path + suffix, 'a', encoding='utf-8') as file:
            file.writelines(lines)

    def test_rotated_files_come_first(self):
        self.write('.2', record_mod.dump(decision('a')))
        self.write('.10', record_mod.dump(decision('0')))
        self.write('.1', record_mod.dump(decision('b')))
        self.write('', record_mod.dump(decision('c')))
        self.write('.old', record_mod.dump(decision('no')))

        found = reader.DecisionLog([self.path]).records()

        self.assertEqual(
            ['0', 'a', 'b', 'c'], [record.server for record in found])

    def test_torn_lines_are_counted_and_passed_over(self):
        line = record_mod.dump(decision('a'))
        self.write('', line[:40] + '\n', line, '\x00\xff\n', '\n', line[:-9])
        log = reader.DecisionLog([self.path])

        found = list(log.records())

        self.assertEqual(['a'], [record.server for record in found])
        self.assertEqual(4, log.bad)

    def test_since_and_lost(self):
        self.write('', record_mod.dump(decision('early')),
                   record_mod.dump(dataclasses.replace(
                       decision('late'),
                       time=NOON + datetime.timedelta(hours=2))),
                   record_mod.dump(record_mod.LostDecisions(
                       NOON + datetime.timedelta(hours=3), 5)))
        log = reader.DecisionLog([self.path])

        found = list(log.records(NOON + datetime.timedelta(hours=1)))

        self.assertEqual(['late'], [record.server for record in found])
        self.assertEqual(5, log.lost)

    def test_rotation_meanwhile_loses_nothing(self):
        for number in range(4):
            self.append(decision(str(number)))
        found = reader.DecisionLog([self.path]).records()
        first = next(found)

        self.append(decision('4'))

        self.assertEqual(['0', '1', '2', '3'], [
            record.server for record in (first, *found)])

    def test_a_file_that_is_overwritten_meanwhile_is_passed_over(self):
        for number in range(4):
            self.append(decision(str(number)))
        found = reader.DecisionLog([self.path]).records()
        first = next(found)

        for number in range(4, 6):
            self.append(decision(str(number)), backups=3)

        self.assertEqual(['0', '2', '3'], [
            record.server for record in (first, *found)])

    def append(self, record, backups=9):
        """Write a record to a file of its own."""
        line_file.LineFile(self.path, 1, backups).append(
            record_mod.dump(record).encode())

    def test_the_files_of_a_link_are_those_it_stands_for(self):
        os.symlink(f'{self.path}.other', self.path)
        for number in range(3):
            self.append(decision(str(number)))

        self.assertEqual(['0', '1', '2'], [
            record.server
            for record in reader.DecisionLog([self.path]).records()])
        self.assertTrue(os.path.islink(self.path))

    def test_a_pipe_of_a_shell(self):
        """As ``--decision-log <(zcat decisions.gz)`` gives."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        os.write(write, record_mod.dump(decision('a')).encode())
        os.close(write)

        [found] = reader.DecisionLog([f'/dev/fd/{read}']).records()

        self.assertEqual('a', found.server)

    def test_a_line_without_end_does_not_fill_the_memory(self):
        with open(self.path, 'wb') as file:
            file.truncate(20 * line_file.MAX_LINE)
        self.write('', '\n', record_mod.dump(decision('a')))
        log = reader.DecisionLog([self.path])

        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        found = [record.server for record in log.records()]

        self.assertEqual(['a'], found)
        self.assertLess(tracemalloc.get_traced_memory()[1],
                        10 * line_file.MAX_LINE)

    def test_a_missing_file_is_an_empty_log(self):
        self.assertEqual([], list(reader.DecisionLog([self.path]).records()))

    def test_what_is_named_twice_counts_once(self):
        self.write('.1', record_mod.dump(decision('a')))
        self.write('', record_mod.dump(decision('b')))
        link = f'{self.path}.link'
        os.symlink(self.path, link)

        for paths, expected in (
                ((self.path, self.path), ['a', 'b']),
                ((self.path, f'{self.path}.1'), ['a', 'b']),
                ((f'{self.path}.1', link), ['a', 'b']),
                ((f'{self.path}.1',), ['a'])):
            with self.subTest(paths=paths):
                found = reader.DecisionLog(paths).records()

                self.assertEqual(expected,
                                 [record.server for record in found])

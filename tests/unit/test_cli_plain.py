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

"""Tests that what others named does not steer a terminal."""

import csv
import io
import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
import yaml

from cache_aware_sched.cli import plain
from cache_aware_sched import report
from tests.unit import base
from tests.unit import command
from tests.unit import test_cli_check
from tests.unit import test_cli_host
from tests.unit.test_fleet_hosts import reporting

EVIL = '\x1b]0;owned\x07\x1b[2J\x9b31m\r\u202e"\',;|=\n[ok] CAS202 all is well'

#: Controls, what reorders or breaks a line, and what no stream can encode.
BAD = ('Cc', 'Cs', 'Zl', 'Zp')


def obeyed(text):
    """Return what of a text a terminal would obey."""
    return [character for character in text
            if character not in '\t\n' and (
                unicodedata.category(character) in BAD
                or unicodedata.bidirectional(character) in (
                    'LRE', 'RLE', 'LRO', 'RLO', 'PDF', 'LRI', 'RLI', 'FSI',
                    'PDI'))]


class PlainTests(base.TestCase):

    @given(st.text(st.characters(exclude_categories=())))
    def test_nothing_is_obeyed_and_the_rest_stays(self, raw):
        found = plain.text(raw)

        self.assertEqual([], obeyed(found))
        found.encode()
        if not obeyed(raw) and not set(raw) & set('\u061c\u200e\u200f'):
            self.assertEqual(raw, found)

    def test_a_line_is_one(self):
        self.assertEqual(['a\\nb\\x0bc'], plain.line('a\nb\x0bc').splitlines())


class HostileTests(test_cli_check.ConfiguredTestCase,
                   test_cli_host.HostCommandTestCase):
    """A compute that somebody has taken over writes what it wants."""

    def setUp(self):
        super().setUp()
        self.configure()
        self.set(max_same_image_instances_per_host=1)
        self.host('good', reporting())
        self.host(EVIL, reporting(
            report.BaseFile('1' * 40, 2 ** 63, users=10 ** 9), caches=True))
        self.host('b', json.dumps({
            report.STATS_KEY: f'v={EVIL};|', 'uptime': EVIL}), node=EVIL + 'b')
        self.host('c', json.dumps({report.STATS_KEY: EVIL * 5000}))
        self.aggregate(EVIL, EVIL, image_cache_weight_multiplier=EVIL)
        for _number in range(3):
            self.server(EVIL, EVIL, project_id=EVIL)

    COMMANDS = (('host', 'list'), ('host', 'show', EVIL), ('image', 'list'),
                ('image', 'show', EVIL), ('status',), ('cap', 'status'),
                ('cap', 'try', '1'))
    NO_NAMES = (('image', 'list'), ('image', 'show', EVIL), ('cap', 'status'))

    def run_all(self, *format_):
        for argv in self.COMMANDS:
            more = ('--no-names',) if argv in self.NO_NAMES else ()
            if format_[1] == 'csv' and {'show', 'status'} & set(argv) and (
                    argv[0] != 'cap'):
                continue  # it shows one thing, not a list
            status, out, err = command.execute(*argv, *more, *format_)
            self.assertEqual([], obeyed(out + err), argv)
            self.assertIn(status, (0, 1), (argv, err))
            self.assertNotIn('Traceback', err)
            yield out

    def test_tables(self):
        for format_ in ('table', 'value'):
            self.assertEqual(
                len(self.COMMANDS), len(list(self.run_all('-f', format_))))

    def test_formats_for_programs_stay_readable(self):
        for out in self.run_all('-f', 'json'):
            json.loads(out)
        for out in self.run_all('-f', 'yaml'):
            yaml.safe_load(out)
        for out in self.run_all('-f', 'csv'):
            rows = list(csv.reader(io.StringIO(out)))
            self.assertEqual(1, len(set(map(len, rows))))

    def test_checks(self):
        for form in ('text', 'short', 'json'):
            _status, out, err = command.execute('check', '-o', form)
            self.assertEqual([], obeyed(out + err))
            self.assertNotIn('\n[ok] CAS202 all is well', out)

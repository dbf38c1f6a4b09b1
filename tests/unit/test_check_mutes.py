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


import datetime
import os
import pathlib

import fixtures
import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.checks import check
from cache_aware_sched.checks.check import Level
from cache_aware_sched.checks import mutes
from tests.unit import base

NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def finding(level, code='CAS101'):
    return check.CheckFinding(
        check.SetUpCheck(code, 'g', 't', 'w', lambda _: None),
        check.Outcome(level, 'text', 'mend'))


class TestMutes(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'new', 'mutes.json')

    def mute(self, level=Level.WARN, until=NOW + DAY):
        mutes.Mutes(self.path).add(finding(level), until)

    def is_muted(self, level=Level.WARN, now=NOW, code='CAS101'):
        [found] = mutes.Mutes(self.path).apply([finding(level, code)], now)
        self.assertIs(not found.muted, found.counts)
        return bool(found.muted)

    def test_nothing_is_muted_at_first(self):
        self.assertFalse(self.is_muted())
        self.assertFalse(self.path.exists())

    def test_one_check_is_muted(self):
        self.mute()

        self.assertTrue(self.is_muted())
        self.assertFalse(self.is_muted(code='CAS102'))

    def test_ends_by_itself(self):
        self.mute()

        self.assertTrue(self.is_muted(now=NOW + DAY * 0.99))
        self.assertFalse(self.is_muted(now=NOW + DAY))

    def test_ends_when_it_becomes_worse(self):
        self.mute(Level.WARN)
        before = self.is_muted(Level.FAIL)

        self.mute(Level.FAIL)

        self.assertFalse(before)
        self.assertTrue(self.is_muted(Level.FAIL))
        self.assertTrue(self.is_muted(Level.WARN))

    def test_can_be_ended(self):
        self.mute()

        mutes.Mutes(self.path).remove('CAS101')
        mutes.Mutes(self.path).remove('CAS102')

        self.assertFalse(self.is_muted())

    def test_check_that_is_well_is_muted_for_later(self):
        self.mute(Level.OK)

        self.assertTrue(self.is_muted(Level.WARN))

    def test_only_one_file_is_left(self):
        self.mute()
        self.mute()

        self.assertEqual(['mutes.json'], os.listdir(self.path.parent))

    def test_damaged_file(self):
        self.mute()
        for text in ('', '{', '[]', '{"CAS101": 1}', '{"CAS101": {}}',
                     '{"CAS101": {"until": "x", "level": "WARN"}}',
                     '{"CAS101": {"until": "2026-01-01", "level": "x"}}'):
            self.path.write_text(text)

            error = self.assertRaises(
                mutes.BadMutes, mutes.Mutes, self.path)
            self.assertIn(str(self.path), str(error))

    def test_file_that_cannot_be_written(self):
        known = mutes.Mutes(self.path)
        self.path.parent.write_text('a file where the directory would be')

        error = self.assertRaises(
            mutes.BadMutes, known.add, finding(Level.WARN), NOW)

        self.assertIn('--mute-file', str(error))

    def test_place(self):
        self.useFixture(fixtures.EnvironmentVariable(
            'XDG_STATE_HOME', '/state'))

        self.assertEqual('/state/cache-aware-sched/mutes.json',
                         str(mutes.default_path()))


class TestDuration(base.TestCase):

    def test_units(self):
        self.assertEqual(
            [datetime.timedelta(minutes=30), DAY / 2, 7 * DAY, 14 * DAY],
            [mutes.duration(text) for text in ('30m', '12h', '7d', '2w')])

    @hypothesis.given(st.text(max_size=8))
    def test_any_text(self, text):
        try:
            length = mutes.duration(text)
        except ValueError as error:
            self.assertIn('like 30m', str(error))
        else:
            self.assertTrue(datetime.timedelta() < length <= mutes.LONGEST)

    def test_what_is_none(self):
        for text in ('', '7', 'd', '0d', '-1d', '1y', '400d', '7 d', '1.5h'):
            self.assertRaises(ValueError, mutes.duration, text)

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

"""Tests of reading the decision log while it is written and rotated."""

import os
import tempfile
import tracemalloc

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cache_aware_sched.decision_log import following
from cache_aware_sched.decision_log import line_file
from cache_aware_sched.decision_log import record as record_mod
from tests.unit import base
from tests.unit.test_decision_log import decision
from tests.unit.test_decision_log import NOON


class Log:
    """A decision log that is rotated as its writer does it.

    :param backups: files that are kept beside it
    """

    def __init__(self, path, backups=9):
        self.path = path
        self._backups = backups

    def write(self, *names, end=''):
        with open(self.path, 'a') as file:
            file.writelines(record_mod.dump(decision(name))
                            for name in names)
            file.write(end)

    def rotate(self):
        for number in range(self._backups, -1, -1):
            name = f'{self.path}.{number}' if number else self.path
            if os.path.exists(name):
                os.rename(name, f'{self.path}.{number + 1}')
        last = f'{self.path}.{self._backups + 1}'
        if os.path.exists(last):
            os.unlink(last)


def names(followed):
    return [record.server for record in followed.new()]


class FollowedLogTests(base.TestCase):

    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, 'decisions')
        self.log = Log(self.path)

    def test_what_was_there_before(self):
        self.log.write('a')

        self.assertEqual([], names(following.FollowedLog([self.path])))
        self.assertEqual(['a'], names(following.FollowedLog(
            [self.path], from_start=True)))

    def test_what_is_named_twice(self):
        self.log.write('a')
        self.log.rotate()
        self.log.write('b')

        self.assertEqual(['a', 'b'], names(following.FollowedLog(
            [self.path, f'{self.path}.1'], from_start=True)))

    def test_what_is_written_later(self):
        followed = following.FollowedLog([self.path])
        self.log.write('a', 'b')
        self.assertEqual(['a', 'b'], names(followed))
        self.assertEqual([], names(followed))
        self.log.write('c')
        self.assertEqual(['c'], names(followed))

    def test_rotation_between(self):
        self.log.write('a')
        followed = following.FollowedLog([self.path])
        self.log.write('b')
        self.log.rotate()
        self.log.write('c')
        self.log.rotate()
        self.log.write('d')

        self.assertEqual(['b', 'c', 'd'], names(followed))

    def test_rotated_and_nothing_new(self):
        self.log.write('a')
        followed = following.FollowedLog([self.path])
        self.log.rotate()

        self.assertEqual([], names(followed))
        self.log.write('b')
        self.assertEqual(['b'], names(followed))

    def test_line_without_its_end(self):
        followed = following.FollowedLog([self.path])
        line = record_mod.dump(decision('b'))
        self.log.write('a', end=line[:30])
        self.assertEqual(['a'], names(followed))
        self.log.write(end=line[30:])

        self.assertEqual((['b'], 0), (names(followed), followed.bad))

    def test_file_that_was_emptied(self):
        self.log.write('a', 'b')
        followed = following.FollowedLog([self.path])
        os.truncate(self.path, 0)
        self.log.write('c')

        self.assertEqual(['c'], names(followed))

    def test_more_was_rotated_than_is_kept(self):
        self.log = Log(self.path, backups=1)
        self.log.write('a')
        followed = following.FollowedLog([self.path])
        for name in 'bcd':
            self.log.rotate()
            self.log.write(name)

        self.assertEqual(['c', 'd'], names(followed))

    def test_bad_lines_and_lost_decisions(self):
        followed = following.FollowedLog([self.path])
        self.log.write('a', end='{\n' + record_mod.dump(
            record_mod.LostDecisions(NOON, 5)))

        self.assertEqual(['a'], names(followed))
        self.assertEqual((1, 5), (followed.bad, followed.lost))

    def test_lost_decisions_only_become_more(self):
        followed = following.FollowedLog([self.path])
        self.log.write('a', end='\n' + record_mod.dump(
            record_mod.LostDecisions(NOON, -3)))

        names(followed)

        self.assertEqual(0, followed.lost)

    def test_line_without_end_does_not_fill_the_memory(self):
        """It is taken for several, as the reader does it."""
        followed = following.FollowedLog([self.path])
        with open(self.path, 'wb') as file:
            file.truncate(20 * line_file.MAX_LINE)
        self.log.write(end='\n')
        self.log.write('a')

        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        found = names(followed)

        self.assertEqual((['a'], 21), (found, followed.bad))
        self.assertLess(tracemalloc.get_traced_memory()[1],
                        10 * line_file.MAX_LINE)

    def test_long_line_is_read_once(self):
        self.log.write('a', end='x' * (2 * line_file.MAX_LINE + 9))
        followed = following.FollowedLog([self.path], from_start=True)

        self.assertEqual((['a'], 2), (names(followed), followed.bad))
        self.log.write(end='\n' + record_mod.dump(decision('b')))
        self.assertEqual((['b'], 3), (names(followed), followed.bad))

    def test_log_that_cannot_be_read(self):
        os.mkdir(self.path)
        other = Log(self.path + '-other')
        followed = following.FollowedLog([self.path, other.path])
        other.write('a')

        self.assertEqual(['a'], names(followed))
        self.assertEqual({self.path: 'Is a directory'}, followed.errors)

    @settings(max_examples=50)
    @given(st.lists(st.sampled_from(['write', 'rotate', 'read']),
                    max_size=30))
    def test_each_line_once(self, steps):
        with tempfile.TemporaryDirectory() as directory:
            log = Log(os.path.join(directory, 'log'), backups=30)
            followed = following.FollowedLog([log.path])
            written, read = [], []
            for number, step in enumerate(steps):
                if step == 'write':
                    written.append(str(number))
                    log.write(written[-1])
                elif step == 'rotate':
                    log.rotate()
                else:
                    read += names(followed)

            self.assertEqual(written, read + names(followed))

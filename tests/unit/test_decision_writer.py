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


"""Tests of the writer of the decision log: real files, real processes."""

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import tempfile
from unittest import mock

from cache_aware_sched.decision_log import line_file
from cache_aware_sched.decision_log import reader
from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.decision_log import writer as writer_mod
from tests.unit import base
from tests.unit.test_decision_log import decision


class FileTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.path = os.path.join(self.directory, 'decisions.json')

    def content(self, suffix=''):
        with open(self.path + suffix, 'rb') as file:
            return file.read()


class LineFileTests(FileTestCase):

    def file(self, max_bytes=1000, backups=2):
        return line_file.LineFile(self.path, max_bytes, backups)

    def test_appends(self):
        for number in range(3):
            self.file().append(b'%d\n' % number)

        self.assertEqual(b'0\n1\n2\n', self.content())

    def test_others_may_not_read_it(self):
        self.file().append(b'a\n')

        self.assertEqual(0, os.stat(self.path).st_mode & 0o007)

    def test_is_rotated_before_it_becomes_too_large(self):
        for number in range(7):
            self.file(max_bytes=4).append(b'%d\n' % number)

        self.assertEqual(
            [b'6\n', b'4\n5\n', b'2\n3\n'],
            [self.content(suffix) for suffix in ('', '.1', '.2')])
        self.assertEqual(3, len(os.listdir(self.directory)))

    def test_files_beyond_a_smaller_number_go(self):
        for number in range(7):
            self.file(max_bytes=2, backups=5).append(b'%d\n' % number)
        self.file(max_bytes=2, backups=1).append(b'7\n')

        self.assertEqual(['decisions.json', 'decisions.json.1'],
                         sorted(os.listdir(self.directory)))

    def test_without_backups_it_begins_anew(self):
        for number in range(3):
            self.file(max_bytes=4, backups=0).append(b'%d\n' % number)

        self.assertEqual(b'2\n', self.content())
        self.assertEqual(1, len(os.listdir(self.directory)))

    def test_a_line_that_is_too_long_is_written_all_the_same(self):
        self.file(max_bytes=4).append(b'123456\n')

        self.assertEqual(b'123456\n', self.content())

    def test_a_torn_line_gets_an_end(self):
        with open(self.path, 'wb') as file:
            file.write(b'{"torn')

        self.file().append(b'whole\n')

        self.assertEqual(b'{"torn\nwhole\n', self.content())

    def test_a_full_disk_leaves_no_part_of_a_line(self):
        self.file().append(b'whole\n')

        with mock.patch('os.writev', lambda file, data: os.write(
                file, data[0][:3])):
            error = self.assertRaises(
                OSError, self.file().append, b'does not fit\n')

        self.assertEqual(errno.ENOSPC, error.errno)
        self.assertEqual(b'whole\n', self.content())

    def test_a_full_device_says_so(self):
        os.symlink('/dev/full', self.path)

        error = self.assertRaises(OSError, self.file().append, b'a\n')

        self.assertEqual(errno.ENOSPC, error.errno)

    def test_a_lock_that_stays_is_an_error(self):
        self.file().append(b'a\n')
        with open(self.path, 'rb') as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with mock.patch.object(line_file, 'LOCK_SECONDS', 0.05):
                error = self.assertRaises(
                    OSError, self.file().append, b'b\n')

        self.assertEqual(errno.EBUSY, error.errno)

    def test_a_pipe_that_nobody_reads_does_not_stop_anything(self):
        os.mkfifo(self.path)

        # It takes some before it is full.
        for _time in range(2):
            self.assertRaises(OSError, self.file().append, b'a' * 10 ** 6)

    def test_processes_share_it_while_it_is_rotated(self):
        processes = [
            multiprocessing.get_context('fork').Process(
                target=_append_many, args=(self.path, name, 300))
            for name in 'abc']
        for process in processes:
            process.start()
        for process in processes:
            process.join()

        found = b''.join(
            self.content(name.removeprefix('decisions.json'))
            for name in os.listdir(self.directory)).split()
        self.assertEqual(
            sorted(b'%s-%d-%s' % (name.encode(), number, b'x' * 50)
                   for name in 'abc' for number in range(300)), sorted(found))
        self.assertLess(3, len(os.listdir(self.directory)))

    def test_a_worker_that_is_killed_tears_no_line_of_another(self):
        for _time in range(5):
            victim = multiprocessing.get_context('fork').Process(
                target=_append_many, args=(self.path, 'victim', 10 ** 6))
            victim.start()
            _append_many(self.path, 'other', 100)
            os.kill(victim.pid, signal.SIGKILL)
            victim.join()
            self.file(10 ** 9).append(b'after\n')

        lines = b''.join(
            self.content(name.removeprefix('decisions.json'))
            for name in os.listdir(self.directory)).split(b'\n')
        self.assertEqual(5, lines.count(b'after'))
        self.assertEqual(500, sum(
            line.startswith(b'other') and len(line.split(b'-')[2]) == 50
            for line in lines))


def _append_many(path, name, number):
    file = line_file.LineFile(path, 10_000, 1000)
    for index in range(number):
        file.append(b'%s-%d-%s\n' % (name.encode(), index, b'x' * 50))


class WriterTests(FileTestCase):

    def setUp(self):
        super().setUp()
        self.set(decision_log_file=self.path)
        self.writer = writer_mod.DecisionWriter()

    def log(self, *servers):
        for server in servers:
            self.writer.log(lambda server=server: decision(server))

    def written(self):
        self.writer.flush()
        self.log_read = reader.DecisionLog([self.path])
        return [record.server for record in self.log_read.records()]

    def wait(self):
        """Wait for the thread to have written what there was."""
        thread = self.writer._thread
        for _time in range(1000):
            if not self.writer._pending:
                break
            thread.join(0.01)

    def test_the_thread_writes(self):
        self.log('a', 'b')
        self.wait()

        self.assertEqual(['a', 'b'], self.written())

    def test_many(self):
        names = [str(number) for number in range(1000)]
        self.log(*names)

        self.assertEqual(set(names), set(self.written()))

    def test_without_a_file_nothing_is_made(self):
        self.set(decision_log_file=None)
        make = mock.Mock()

        self.writer.log(make)

        make.assert_not_called()

    def test_a_record_that_cannot_be_made_harms_nobody(self):
        self.writer.log(mock.Mock(side_effect=KeyError('host')))

        self.assertIn('A decision was not logged.', self.errors()[0])

    def test_a_missing_directory_is_said_once(self):
        self.set(decision_log_file=os.path.join(self.path, 'not', 'there'))
        with mock.patch.object(writer_mod, 'RETRY_SECONDS', 0.0):
            for _time in range(3):
                self.log('a')
                self.writer.flush()
                self.wait()

        [warning] = self.warnings()
        self.assertIn('cannot be written: No such file', warning)
        self.assertIn('Make room', warning)

    def test_what_is_lost_is_counted_in_the_file(self):
        path = self.path
        self.set(decision_log_file=self.directory)  # is no file
        with mock.patch.object(writer_mod, 'RETRY_SECONDS', 0.0):
            self.log('a', 'b')
            self.wait()
            self.writer.flush()
            self.set(decision_log_file=path)
            self.log('c')
            self.wait()

            self.assertEqual(['c'], self.written())
        self.assertEqual(2, self.log_read.lost)
        self.assertIn('2 decisions are missing', self.logged()[0])

    def test_a_queue_that_is_full_loses_and_counts(self):
        with mock.patch.object(writer_mod, 'MAX_PENDING', 2), \
                mock.patch.object(self.writer, '_start'):
            self.log('a', 'b', 'c')
            self.assertEqual(['a', 'b'], self.written())
            self.log('d')
            self.written()

        self.assertEqual(1, self.log_read.lost)

    def test_each_process_has_a_thread(self):
        """As nova forks its workers."""
        self.log('before')
        self.wait()

        process = multiprocessing.get_context('fork').Process(
            target=self._log_in_child)
        process.start()
        process.join()

        self.assertEqual(0, process.exitcode)
        self.assertEqual(['before', 'child'], self.written())

    def _log_in_child(self):
        self.log('child')
        for _time in range(1000):
            if b'child' in self.content():
                return
            self.writer._thread.join(0.01)
        os._exit(1)

    def test_lines_are_json(self):
        self.log('a')
        self.written()

        fields = json.loads(self.content())
        self.assertEqual(('a', record_mod.VERSION),
                         (fields['server'], fields['v']))

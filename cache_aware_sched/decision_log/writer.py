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


"""Writes the decision log, outside the path of a request.

A request only puts its record into a queue, from which a thread of the
process writes. What cannot be written is counted, and the number is written
as soon as something can be.
"""

import collections
from collections.abc import Callable
import datetime
import os
import threading
import time

from oslo_log import log as logging

from cache_aware_sched import config
from cache_aware_sched.decision_log import line_file
from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched import once

LOG = logging.getLogger(__name__)

#: Records that wait to be written, at most: what the fastest scheduler decides
#: in a minute, in about 20 MB.
MAX_PENDING = 10_000

#: Records that are written with one call: about 100 KB.
BATCH = 100

#: Seconds until a file is tried again that could not be written. Judgement: a
#: full disk need not be tried for each decision.
RETRY_SECONDS = 10.0


class DecisionWriter:
    """Writes the decisions of one process.

    :cvar best_hosts: hosts of a record
    """

    best_hosts = record_mod.BEST_HOSTS

    def __init__(self) -> None:
        self._pending: collections.deque[record_mod.DecisionRecord] = (
            collections.deque())
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = 0
        self._lost = 0
        self._failed_at = -RETRY_SECONDS

    def log(self, make: Callable[[], record_mod.DecisionRecord]) -> None:
        """Have a decision written if that is wanted.

        Never waits for the file, and never raises.

        :param make: returns the record
        """
        if not self.is_on:
            return
        try:
            self.put(make())
        except Exception:
            LOG.exception('A decision was not logged.')

    @property
    def is_on(self) -> bool:
        """Return whether decisions are wanted."""
        return bool(config.CONF.cache_aware_sched.decision_log_file)

    def put(self, record: record_mod.DecisionRecord) -> None:
        """Have a record written."""
        with self._lock:
            if len(self._pending) >= MAX_PENDING:
                self._lost += 1
            else:
                self._pending.append(record)
            self._start()
        self._wake.set()

    def _start(self) -> None:
        """Start the thread if this process has none.

        Not earlier: nova forks its workers after it has made the filters.
        """
        if self._thread is None or self._process != os.getpid():
            self._process = os.getpid()
            self._thread = threading.Thread(
                target=self._run, name='decision log', daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                self.flush()
            except Exception:
                # Without the thread nothing would be written any more.
                LOG.exception('Decisions were not logged.')

    def flush(self) -> None:
        """Write what is there; what cannot be written is lost."""
        while self._pending:
            batch = [self._pending.popleft()
                     for _number in range(min(BATCH, len(self._pending)))]
            if not self._write(batch):
                with self._lock:
                    self._lost += len(batch)

    def _write(self, batch: list[record_mod.DecisionRecord]) -> bool:
        """Write some records; return whether they are written."""
        ours = config.CONF.cache_aware_sched
        path, now = ours.decision_log_file, time.monotonic()
        if not path or now - self._failed_at < RETRY_SECONDS:
            return not path
        lost = self._lost
        lines = [record_mod.dump(record) for record in batch]
        if lost:
            lines.insert(0, record_mod.dump(record_mod.LostDecisions(
                datetime.datetime.now(datetime.UTC), lost)))
        try:
            line_file.LineFile(
                path, ours.decision_log_max_size_mb * 10 ** 6,
                ours.decision_log_max_files - 1,
            ).append(''.join(lines).encode())
        except OSError as error:
            self._failed_at = now
            once.warning(
                LOG, ('unwritten', path),
                'decision_log_file %(path)s cannot be written: %(error)s. '
                'Decisions are not logged until it can; requests go on. Make '
                'room, or a directory that nova-scheduler may write to.',
                {'path': path, 'error': error.strerror})
            return False
        self._failed_at = -RETRY_SECONDS
        if lost:
            with self._lock:
                self._lost -= lost
            once.forget(LOG, ('unwritten', path))
            LOG.info('decision_log_file %(path)s is written again; %(lost)d '
                     'decisions are missing in it.',
                     {'path': path, 'lost': lost})
        return True


#: nova makes filters and weighers one after the other and tells them nothing
#: of each other; they share the file, so they share its writer.
_shared: DecisionWriter | None = None


def share(writer: DecisionWriter | None) -> None:
    """Let the filters and weighers that are made from now on share a writer.

    :param writer: None for a new one, as after a start of the process
    """
    global _shared
    _shared = writer


def shared() -> DecisionWriter:
    """Return the writer of this scheduler process."""
    global _shared
    if _shared is None:
        _shared = DecisionWriter()
    return _shared

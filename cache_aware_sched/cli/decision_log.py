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


"""Opens the decision log for the commands that read it."""

import argparse
from collections.abc import Iterator
import contextlib
from typing import Any

from cache_aware_sched.decision_log import reader
from cache_aware_sched import wording


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the log."""
    parser.add_argument(
        '--decision-log', action='append', default=[], metavar='FILE',
        help='A decision log, with the files that were rotated beside it. Can '
        'be repeated, for those of several schedulers. Default: '
        "decision_log_file of nova's configuration.")


@contextlib.contextmanager
def opened(app: Any, parsed_args: argparse.Namespace, is_read: bool = False,
           ) -> Iterator[reader.DecisionLog]:
    """Give the decision log, and say in the end what is missing in it.

    :param is_read: whether nova's configuration was read already: it cannot be
        read again once a database was asked
    :raises RuntimeError: if there is none, or it cannot be read
    """
    log = reader.DecisionLog(parsed_args.decision_log or [
        _configured(parsed_args, is_read)])
    if not log.files():
        raise RuntimeError(
            f'there is no decision log {" or ".join(log.paths)}: '
            'nova-scheduler writes one where its nova.conf sets '
            'decision_log_file in [cache_aware_sched]')
    try:
        yield log
    except OSError as error:
        raise RuntimeError(f'the decision log cannot be read: {error}'
                           ) from None
    if log.bad:
        app.LOG.warning('Left out: %s of the decision log that cannot be '
                        'read', wording.counted(log.bad, 'line'))
    if log.lost:
        app.LOG.warning('Missing: %s that nova-scheduler could not write',
                        wording.counted(log.lost, 'decision'))


def _configured(parsed_args: argparse.Namespace, is_read: bool) -> str:
    from cache_aware_sched.cli import fleet_access
    if not is_read:
        fleet_access.configuration(parsed_args)
    found = next(iter(fleet_access.decision_logs(())), None)
    if not found:
        raise RuntimeError(
            'decision_log_file is not set in [cache_aware_sched] of nova\'s '
            'configuration: name the file with --decision-log, or set it for '
            'nova-scheduler')
    return str(found)

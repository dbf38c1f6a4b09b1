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


"""Listens to what filters log of the hosts that they refuse.

nova's filters answer yes or no; why, they only write to the log.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import logging
from typing import Any

#: The loggers of nova's filters and of ours.
_LOGGERS = ('nova.scheduler.filters', 'cache_aware_sched.scheduler')

#: What a filter says about a host is cut after so many characters.
_MAX_REASON = 160


class Listener(logging.Handler):
    """Keeps the last line about each host.

    :param hosts: HostStates
    :ivar reasons: why hosts are refused, by their id()
    :ivar let_through: why a server passes though no host has room for it
    """

    def __init__(self, hosts: Sequence[Any]) -> None:
        super().__init__(logging.DEBUG)
        self._by_name = {str(host.host): host for host in hosts}
        self._ids = set(map(id, hosts))
        self.reasons: dict[int, str] = {}
        self.let_through = ''

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a line if it is about one host, or about the cap."""
        values = record.args if isinstance(record.args, dict) else {}
        if {'source', 'reason'} <= values.keys():  # scheduler.refusals
            self.let_through = str(values['reason'])
        host = next((value for value in values.values()
                     if id(value) in self._ids), None)
        if host is None:
            host = self._by_name.get(str(values.get('host')))
        if host is not None:
            self.reasons[id(host)] = _reason(record, values, host)


def _reason(record: logging.LogRecord, values: Any, host: Any) -> str:
    """Return what a line says, the same for all hosts."""
    if {'cap', 'source'} <= values.keys():
        return f'at the cap of {values["cap"]} ({values["source"]})'
    if 'without' in values:
        return f'{values["without"]} (hint image_cache = require)'
    text = record.getMessage().replace(repr(host), '').strip(' .:,')
    return text[:_MAX_REASON]


@contextlib.contextmanager
def listener(hosts: Sequence[Any]) -> Iterator[Listener]:
    """Give what is said of hosts while a block runs."""
    listener = Listener(hosts)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    try:
        for logger in loggers:
            logger.addHandler(listener)
            logger.setLevel(logging.DEBUG)
            logger.propagate = False
        yield listener
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(listener)
            logger.setLevel(level)
            logger.propagate = propagate


@contextlib.contextmanager
def warnings_of(name: str) -> Iterator[list[str]]:
    """Give the warnings that a logger gets while a block runs."""
    lines: list[str] = []
    logger = logging.getLogger(name)

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    keeper = Keeper(logging.WARNING)
    propagate = logger.propagate
    try:
        logger.addHandler(keeper)
        logger.propagate = False
        yield lines
    finally:
        logger.removeHandler(keeper)
        logger.propagate = propagate
